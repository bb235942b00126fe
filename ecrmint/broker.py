"""From a verified request to the logins of its answer: decide, look up or mint, and say what came of it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from cachetools import LRUCache

from ecrmint.cache import LoginCache, Outcome
from ecrmint.minters import Minter
from ecrmint.policy import Decision, Policy
from ecrmint.tokens import Login
from ecrmint.wire import RegistryRequest

AnswerKind = Literal["granted", "empty", "partial", "failed"]

_NO_ENTRIES: Final = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an answer before its login is known: which host is served by which account's minter."""

    host: str
    minter: Minter


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request comes to. ``logins`` holds (host, login) pairs, ``outcomes`` one outcome for each minter asked."""

    decision: Decision
    logins: tuple[tuple[str, Login], ...] = ()
    outcomes: Mapping[Minter, Outcome] = field(default_factory=dict)

    @property
    def kind(self) -> AnswerKind:
        """Granted: all that the rules say. Empty: they say nothing. Partial, failed: some or all can't be minted."""
        if not self.outcomes:
            return "empty"
        if all(outcome.held for outcome in self.outcomes.values()):
            return "granted"
        return "partial" if self.logins else "failed"

    @property
    def failed_accounts(self) -> list[str]:
        """The names of the accounts of which a login is missing, in the order of the answer."""
        names = [minter.account for minter, outcome in self.outcomes.items() if outcome.held is None]
        return list(dict.fromkeys(names))


def assign_hosts(accounts: Iterable[str], minters: Mapping[str, Mapping[str, Minter]]) -> tuple[Entry, ...]:
    """Return who answers for each host: of two accounts with the same host the one named first.

    ``minters`` is account -> host -> minter. The later account is not answered for that host even where the first one's
    mint fails: which login a build gets must not depend on an outage (design section 2).
    """
    taken: dict[str, Minter] = {}
    for account in accounts:
        for host, minter in minters[account].items():
            taken.setdefault(host, minter)
    return tuple(Entry(host, minter) for host, minter in taken.items())


class Broker:
    """Answers verified requests under one configuration: its rules, its minters, and a cache that outlives it."""

    def __init__(
        self, policy: Policy, minters: Mapping[str, Mapping[str, Minter]], cache: LoginCache, *, deadline_seconds: float
    ) -> None:
        self._policy, self._minters, self._cache = policy, minters, cache
        self._deadline_seconds = deadline_seconds
        self._entries: LRUCache[tuple[str, ...], tuple[Entry, ...]] = LRUCache(1024)

    async def answer(self, request: RegistryRequest, *, secret: str) -> Answer:
        """Return the logins that the rules give to this request, all minted side by side within the deadline."""
        decision = self._policy.decide(request, secret=secret)
        entries = self._entries_of(decision.accounts)
        if not entries:
            return Answer(decision)
        outcomes = await self._outcomes(entries, timeout_minutes=request.timeout)
        return Answer(decision, tuple(_logins(entries, outcomes)), outcomes)

    def _entries_of(self, accounts: tuple[str, ...]) -> tuple[Entry, ...]:
        if not accounts:
            return _NO_ENTRIES
        entries = self._entries.get(accounts)
        if entries is None:
            entries = self._entries[accounts] = assign_hosts(accounts, self._minters)
        return entries

    async def _outcomes(self, entries: Sequence[Entry], *, timeout_minutes: int) -> dict[Minter, Outcome]:
        ready = {entry.minter: self._cache.ready(entry.minter, timeout_minutes=timeout_minutes) for entry in entries}
        missing = [minter for minter, outcome in ready.items() if outcome is None]
        if not missing:  # most requests end here: no task is made for them
            return {minter: outcome for minter, outcome in ready.items() if outcome}
        waited = await asyncio.gather(*(self._wait(minter, timeout_minutes) for minter in missing))
        minted = dict(zip(missing, waited, strict=True))
        return {minter: outcome or minted[minter] for minter, outcome in ready.items()}

    async def _wait(self, minter: Minter, timeout_minutes: int) -> Outcome:
        return await self._cache.get(minter, timeout_minutes=timeout_minutes, wait_seconds=self._deadline_seconds)


def _logins(entries: Iterable[Entry], outcomes: Mapping[Minter, Outcome]) -> Iterable[tuple[str, Login]]:
    for entry in entries:
        held = outcomes[entry.minter].held
        if held is not None:
            yield entry.host, held.login
