"""A machine's token that has the whole hour: a service account acting as itself, where the metadata server's is short.

That server gives the same token until five minutes are left, and nothing makes it ask for another one. Source: IAM
docs, "Create short-lived credentials for a service account"; the role is Service Account Token Creator on itself.
"""

import threading
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Final

from cachetools import LRUCache

from ecrmint.errors import MintError
from ecrmint.minters._google.access_token import HOUR, AccessToken
from ecrmint.minters._google.email import is_email
from ecrmint.minters._google.impersonation import SCOPE, Impersonation
from ecrmint.minters._google.metadata import MetadataSource
from ecrmint.minters._http import Calls

# A login is handed out down to half of the life that it had here: less than this is too short for most builds.
ENOUGH: Final = 45 * 60.0  # seconds
_DENIED_SECONDS: Final = 3600.0  # that it is not tried again for, after a refusal
_FAILED_SECONDS: Final = 600.0  # ... after anything else that went wrong
_MOST: Final = 64


@dataclass(slots=True, eq=False)
class Refusals:
    """Who may not act as itself, as far as that was tried lately. For any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _until: LRUCache["SelfImpersonation", float] = field(default_factory=lambda: LRUCache(_MOST))  # monotonic

    def hold(self, source: "SelfImpersonation") -> bool:
        """Return whether that one is not to be tried now."""
        with self._lock:
            return self._until.get(source, 0.0) > monotonic()

    def add(self, source: "SelfImpersonation", seconds: float) -> None:
        """Remember that one for so long."""
        with self._lock:
            self._until[source] = monotonic() + seconds


@dataclass(frozen=True, slots=True)
class SelfImpersonation:
    """The machine's identity. ``url``: the IAM Credentials API's address."""

    metadata: MetadataSource
    url: str
    refusals: Refusals = field(compare=False, repr=False)

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return the metadata server's token, or a whole hour's where that one is short. Raises: MintError."""
        token = self.metadata.fetch(scopes, calls)
        if token.expires_at - time() >= ENOUGH or self.refusals.hold(self):
            return token
        try:
            return self._renewed(scopes, calls) or token
        except MintError as error:  # the short one is still good: nothing that comes of the attempt may take it away
            self.refusals.add(self, _DENIED_SECONDS if error.definite else _FAILED_SECONDS)
            return token

    def identity(self, calls: Calls) -> str:
        """Return the machine's service account. Raises: MintError."""
        return self.metadata.identity(calls)

    @property
    def life(self) -> float:
        """The seconds that its tokens live at most."""
        return HOUR

    def _renewed(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken | None:
        email = self.metadata.identity(calls)
        if not is_email(email):  # a GKE pod that goes by its pool's name: there is no service account to act as
            self.refusals.add(self, _DENIED_SECONDS)
            return None
        source = self.metadata.fetch((SCOPE,), calls)  # Cloud Run's has the scopes that it is asked for
        return Impersonation(email, HOUR, self.url).fetch(source, scopes, calls)
