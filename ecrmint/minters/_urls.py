"""Addresses of the clouds' APIs, as a configuration may change them: https, or plain http where nobody listens in."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

# Link-local or on the machine itself: EC2, ECS, EKS Pod Identity, Google, by IPv4 and IPv6.
METADATA_HOSTS: Final = frozenset(
    {
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "metadata.google.internal",
    }
)
_REGION: Final = re.compile(r"[a-z]+(?:-[a-z]+){1,3}-[0-9]{1,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Regional:
    """One address for every region, or one for each that is named; None where the cloud's own counts."""

    everywhere: str | None = None
    regions: Mapping[str, str] = field(default_factory=dict)

    def at(self, region: str) -> str | None:
        """Return the address for a region."""
        return self.regions.get(region, self.everywhere)


def check_url(url: str) -> str:
    """Return an address that a cloud's API may have. Raises: ValueError, without a password that the text may hold."""
    try:
        parts = urlsplit(url)
        host, userinfo = parts.hostname or "", parts.username is not None
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        host, userinfo, parts = "", "@" in url, urlsplit("")
    if userinfo:
        raise ValueError("a user name or password in a URL is not allowed here")
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or not url.isprintable():
        raise ValueError("expected a URL such as https://host.example/path")
    if parts.scheme == "http" and not is_near(host):
        raise ValueError("expected https: plain http goes to loopback or a metadata address only")
    return url.rstrip("/")


def same_origin(one: str, other: str) -> bool:
    """Return whether two addresses have the same scheme, host and port."""
    try:
        return _origin(one) == _origin(other)
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def parse_regional(value: object) -> Regional:
    """Return the addresses of ``https://...`` or of a mapping from region to address. Raises: ValueError."""
    match value:
        case Regional():
            return value
        case str():
            return Regional(check_url(value))
        case Mapping() if value and all(isinstance(url, str) for url in value.values()):
            return Regional(
                regions={_check_region(region): _check_url_of(region, url) for region, url in value.items()}
            )
    raise ValueError("expected a URL, or a mapping from region to URL")


def _check_region(region: object) -> str:
    if not isinstance(region, str) or _REGION.fullmatch(region) is None:
        raise ValueError("expected regions such as eu-west-1 as the keys")
    return region


def _check_url_of(region: str, url: str) -> str:
    try:
        return check_url(url)
    except ValueError as error:
        raise ValueError(f"{region}: {error}") from None


def is_near(host: str) -> bool:
    """Return whether a host is this machine or a metadata server: plain http goes there, and by no proxy."""
    if host == "localhost" or host in METADATA_HOSTS:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Url = Annotated[str, AfterValidator(check_url)]
"""An address of a cloud's API."""

RegionalUrl = Annotated[Regional, BeforeValidator(parse_regional)]
"""An address, or one for each region."""
