"""Tokens of one identity for all of its accounts: many service accounts that it acts as cost one token of its own."""

import copy
import threading
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Final
from weakref import WeakValueDictionary

from ecrmint.errors import MintError, MintTimeoutError
from ecrmint.minters._google.access_token import AccessToken, Source
from ecrmint.minters._http import Calls

_MARGIN: Final = 60.0  # seconds that a token has left at least, or a fifth of its life where that is shorter


@dataclass(slots=True, eq=False, weakref_slot=True)
class SharedToken:
    """One identity's token, for any thread. Whoever holds the lock asks for a new one, the others wait for it."""

    source: Source
    scopes: tuple[str, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _token: AccessToken | None = None
    _fetched: float = 0.0  # monotonic
    _life: float = 0.0  # seconds, at that time
    _failures: int = 0
    _error: MintError | None = None

    def fetch(self, calls: Calls, *, fresh: bool) -> AccessToken:
        """Return a token that is good for a call, or for a login (``fresh``: asked for no earlier than now).

        Raises: MintError; whoever waited for a failing call shares its failure.
        """
        asked, failures = monotonic(), self._failures
        if not self._lock.acquire(timeout=max(0.0, calls.left())):
            raise MintTimeoutError("the token of the process's own identity is waited for in vain")
        try:
            token = self._lasting(asked if fresh else None)
            if token is None and self._error is not None and self._failures != failures:
                raise copy.copy(self._error)
            return token or self._renewed(calls)
        finally:
            self._lock.release()

    def forget(self, token: AccessToken) -> None:
        """Drop a token that was not accepted, unless there is another one by now."""
        if self._token is token:  # not under the lock: that may be held for a whole call; a lost race costs another one
            self._token = None

    def _lasting(self, since: float | None) -> AccessToken | None:
        """Return the token if it is good for a call; with ``since``, only if it was fetched after that."""
        if self._token is None or (since is not None and self._fetched < since):
            return None
        left = min(self._life - (monotonic() - self._fetched), self._token.expires_at - time())
        return self._token if left > min(_MARGIN, self._life / 5) else None

    def _renewed(self, calls: Calls) -> AccessToken:
        try:
            token = self.source.fetch(self.scopes, calls)
        except MintError as error:
            self._failures, self._error = self._failures + 1, copy.copy(error)
            raise
        self._token, self._fetched, self._life = token, monotonic(), token.expires_at - time()
        return token


@dataclass(slots=True, eq=False)
class SharedTokens:
    """Finds them by everything that goes into one: equal sources are one identity, reached in one way.

    A reload that keeps this keeps the tokens of identities that did not change; those of others, and the keys in their
    sources, go with the last minter that has them.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: WeakValueDictionary[tuple[Source, tuple[str, ...]], SharedToken] = field(default_factory=WeakValueDictionary)

    def of(self, source: Source, scopes: tuple[str, ...]) -> SharedToken:
        """Return the token of an identity, for whoever needs it to hold."""
        with self._lock:
            found = self._held.get((source, scopes))
            if found is None:
                found = self._held[source, scopes] = SharedToken(source, scopes)
            return found
