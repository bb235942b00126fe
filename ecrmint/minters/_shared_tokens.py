"""Tokens of one identity for all of its accounts: many service accounts that it acts as cost one token of its own."""

import copy
import threading
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Final

from cachetools import LRUCache

from ecrmint.errors import MintError, MintTimeoutError
from ecrmint.minters._access_token import AccessToken, Source
from ecrmint.minters._http import Calls

_MOST: Final = 256  # identities and scopes, those of earlier configurations included
_MARGIN: Final = 60.0  # seconds that a token has left at least, or a fifth of its life where that is shorter

Key = tuple[Source, tuple[str, ...]]
"""Everything that goes into a token: equal sources are one identity, reached in one way."""


@dataclass(slots=True)
class _Slot:
    """One identity's token. Whoever holds the lock asks for a new one, the others wait for what comes of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    token: AccessToken | None = None
    fetched: float = 0.0  # monotonic
    life: float = 0.0  # seconds, at that time
    failures: int = 0
    error: MintError | None = None

    def keep(self, token: AccessToken) -> None:
        self.token, self.fetched, self.life = token, monotonic(), token.expires_at - time()

    def lasting(self, since: float | None) -> AccessToken | None:
        """Return the token if it is good for a call; with ``since``, only if it was fetched after that."""
        if self.token is None or (since is not None and self.fetched < since):
            return None
        left = min(self.life - (monotonic() - self.fetched), self.token.expires_at - time())
        return self.token if left > min(_MARGIN, self.life / 5) else None


@dataclass(slots=True, eq=False)
class SharedTokens:
    """Keeps them, for any thread. A reload that keeps this keeps the tokens of identities that did not change."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _slots: LRUCache[Key, _Slot] = field(default_factory=lambda: LRUCache(_MOST))

    def fetch(self, source: Source, scopes: tuple[str, ...], calls: Calls, *, fresh: bool) -> AccessToken:
        """Return a token that is good for a call, or for a login (``fresh``: asked for no earlier than now).

        Raises: MintError; whoever waited for a failing call shares its failure.
        """
        asked = monotonic()
        slot = self._slot((source, scopes))
        failures = slot.failures
        if not slot.lock.acquire(timeout=max(0.0, calls.left())):
            raise MintTimeoutError("the token of the process's own identity is waited for in vain")
        try:
            token = slot.lasting(asked if fresh else None)
            if token is None and slot.error is not None and slot.failures != failures:
                raise copy.copy(slot.error)
            return token or _fetched(slot, source, scopes, calls)
        finally:
            slot.lock.release()

    def forget(self, source: Source, scopes: tuple[str, ...]) -> None:
        """Drop a token that was not accepted."""
        self._slot((source, scopes)).token = None

    def _slot(self, key: Key) -> _Slot:
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = _Slot()
            return slot


def _fetched(slot: _Slot, source: Source, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
    try:
        token = source.fetch(scopes, calls)
    except MintError as error:
        slot.failures, slot.error = slot.failures + 1, copy.copy(error)
        raise
    slot.keep(token)
    return token
