"""Where Google's APIs are: the universe says so, and the configuration's ``endpoints`` first.

Source: ``universe_domain`` in Google's credentials files; google.aip.dev/auth/4110 to 4117 for what they hold.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ecrmint.minters._urls import same_origin

PUBLIC: Final = "googleapis.com"
METADATA: Final = "http://169.254.169.254"  # not its name: that is what DNS can lie about
_UNIVERSE: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)
# The whole of it: parsers of URLs disagree about odd ones, so that a beginning or an ending proves nothing.
_PLAIN_URL: Final = re.compile(r"https?://([a-z0-9.-]+)(:[0-9]{1,5})?/[A-Za-z0-9/._~@:-]*", re.ASCII)
_ACCOUNTS: Final = "accounts.google.com"  # token_uri of old keys


def check_universe(domain: str) -> str:
    """Return the domain of a universe. Raises: ValueError."""
    if _UNIVERSE.fullmatch(domain) is None:
        raise ValueError(f"expected the domain of a universe's APIs, such as {PUBLIC} or s3nsapis.fr")
    return domain


@dataclass(frozen=True, slots=True)
class GoogleApis:
    """Addresses as the configuration has them, None for those of the universe. Part of the cache's key."""

    universe: str = PUBLIC
    own_token: str | None = None
    own_sts: str | None = None
    own_iamcredentials: str | None = None
    own_metadata: str | None = None

    @property
    def metadata(self) -> str:
        """The metadata server's address, without a path."""
        return self.own_metadata or METADATA

    @property
    def sovereign(self) -> bool:
        """Whether this is another universe than the public one: there, keys are good without any token endpoint."""
        return self.universe != PUBLIC

    def token(self, named: str | None = None) -> str:
        """Return the token endpoint's whole URL; ``named``: what a credentials file says."""
        return _with_path(self.own_token, "/token") or named or f"https://oauth2.{self.universe}/token"

    def sts(self, named: str | None = None) -> str:
        """Return the whole URL of the Security Token Service."""
        return _with_path(self.own_sts, "/v1/token") or named or f"https://sts.{self.universe}/v1/token"

    def iamcredentials(self, named: str | None = None) -> str:
        """Return the IAM Credentials API's address, without a path."""
        return self.own_iamcredentials or named or f"https://iamcredentials.{self.universe}"

    def check(self, url: str, *, name: str) -> str:
        """Return a URL that a credentials file may have: what goes there is worth a token. Raises: ValueError."""
        match = _PLAIN_URL.fullmatch(url)
        if match is None or not (self._is_googles(url, match[1], match[2]) or self._is_ours(url)):
            raise ValueError(f"{name} is not Google's ({self.universe}), nor of the origin of one of `endpoints`")
        return url

    def _is_googles(self, url: str, host: str, port: str | None) -> bool:
        named = host == self.universe or host.endswith(f".{self.universe}")
        known = named or (host == _ACCOUNTS and not self.sovereign)
        return known and url.startswith("https:") and port in (None, ":443")

    def _is_ours(self, url: str) -> bool:
        own = (self.own_token, self.own_sts, self.own_iamcredentials)
        return any(same_origin(url, each) for each in own if each)


def _with_path(url: str | None, path: str) -> str | None:
    return f"{url}{path}" if url and not urlsplit(url).path else url
