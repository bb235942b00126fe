"""Hosts of Google's registries, in its public universe and in sovereign ones. Pure, anchored, lower case only.

Sources: Artifact Registry docs, "Locations", "Regional endpoints" and "Transition from Container Registry"; the docs of
Cloud de Confiance by S3NS and of Google Cloud Dedicated, "Differences", for their registries' domains.
"""

import re
from typing import Final

from ecrmint.minters._google.apis import PUBLIC

_LOCATION: Final = r"[a-z]+(?:-[a-z]+[0-9]+)?"
_PUBLIC_HOST: Final = re.compile(
    rf"(?:us\.|eu\.|asia\.)?gcr\.io|{_LOCATION}-docker\.pkg\.dev|docker\.[a-z]+-[a-z]+[0-9]+\.rep\.pkg\.dev", re.ASCII
)
# A sovereign universe has its own domain for registries, and locations that start with u-.
_SOVEREIGN_LOCATION: Final = r"(?:u-[a-z]+(?:-[a-z]+[0-9]+[a-z]?)?-)?docker"
_S3NS: Final = "s3nsapis.fr"
_DEDICATED: Final = re.compile(r"apis-([a-z0-9-]{1,40})\.goog", re.ASCII)
_DEDICATED_HOST: Final = re.compile(rf"{_SOVEREIGN_LOCATION}\.pkg-([a-z0-9-]{{1,40}})\.goog", re.ASCII)
_S3NS_HOST: Final = re.compile(rf"{_SOVEREIGN_LOCATION}\.s3nsregistry\.fr", re.ASCII)
# Whoever reads such a name takes it for Google's; the ones that are Google's are known above.
_LIKENESS: Final = re.compile(r"(?:^|[.-])(?:gcr\.io|pkg\.dev)(?:$|[.:-])|^docker\.pkg-|s3nsregistry", re.ASCII)
_MARKETPLACE: Final = "marketplace.gcr.io"  # Google's own list of its registries has it, but its images are public
_FORMS: Final = "gcr.io, us.gcr.io, eu.gcr.io, asia.gcr.io, LOCATION-docker.pkg.dev or docker.REGION.rep.pkg.dev"


def universe_of(host: str) -> str | None:
    """Return the domain of the universe whose registry a host is, None where it is none.

    mirror.gcr.io is none: it takes no login, and would be sent one with every pull of a public image.
    """
    if _PUBLIC_HOST.fullmatch(host):
        return PUBLIC
    if _S3NS_HOST.fullmatch(host):
        return _S3NS
    dedicated = _DEDICATED_HOST.fullmatch(host)
    return f"apis-{dedicated[1]}.goog" if dedicated else None


def forms_of(universe: str) -> str:
    """Return, in words, which hosts a universe's registries have."""
    if universe == PUBLIC:
        return _FORMS
    if universe == _S3NS:
        return "LOCATION-docker.s3nsregistry.fr"
    dedicated = _DEDICATED.fullmatch(universe)
    if dedicated:
        return f"LOCATION-docker.pkg-{dedicated[1]}.goog"
    return "none that are known: name them in `extra_registries`"


def check_google(host: str) -> str:
    """Return the host of a registry of Google's, of any universe. Raises: ValueError."""
    if universe_of(host) is None:
        raise ValueError(f"expected {_FORMS}; own names of such registries go into `extra_registries`")
    return host


def check_extra(host: str) -> str:
    """Return a host that shall have Google's logins though nothing in its name says so. Raises: ValueError."""
    if universe_of(host) is not None:
        raise ValueError("is a registry of Google's by its name: it belongs into `registries`")
    if host != _MARKETPLACE and _LIKENESS.search(host):
        raise ValueError("looks like a registry of Google's and is none that takes a login")
    return host
