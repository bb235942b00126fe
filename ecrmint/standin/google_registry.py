"""Which registries take Google's tokens: the public cloud's by their form, and those that were added by name.

Another universe has names of its own (docker.s3nsregistry.fr), and no token of it opens the public cloud's.

Source: Artifact Registry docs, "Repository names and locations" and "Regional endpoints". mirror.gcr.io takes none.
"""

import re
from typing import Final

from ecrmint.standin.cloud import CLOUD_PLATFORM, UNIVERSE, Cloud, GoogleToken

_HOST: Final = re.compile(
    r"(us\.|eu\.|asia\.)?gcr\.io|[a-z]+(-[a-z]+\d+)?-docker\.pkg\.dev|docker\.[a-z]+-[a-z]+\d+\.rep\.pkg\.dev", re.ASCII
)
_PULL_SCOPES: Final = {CLOUD_PLATFORM, f"{CLOUD_PLATFORM}.read-only"}


def opens(cloud: Cloud, token: GoogleToken, host: str) -> bool:
    """Say whether that token is a login for that registry by now."""
    if token.expires_at <= cloud.clock() or token.scopes.isdisjoint(_PULL_SCOPES):
        return False
    return host in cloud.google_hosts or (cloud.universe_domain == UNIVERSE and _HOST.fullmatch(host) is not None)
