"""From a verified request to the logins of its answer: decide, look up or mint, and say what came of it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from ecrmint import wire
from ecrmint.cache import LoginCache, Outcome
from ecrmint.minters import Minter
from ecrmint.policy import Decision, Policy
from ecrmint.tokens import HeldLogin
from ecrmint.wire import RegistryRequest

AnswerKind = Literal["granted", "empty", "partial", "failed"]


class Entry(NamedTuple):
    """One line of an answer before its login is known: which host is served by which account's minter."""

    host: str
    minter: Minter


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request comes to: the decision, an outcome for each minter that was asked, the JSON for the runner."""

    decision: Decision
    outcomes: tuple[tuple[Minter, Outcome], ...] = ()
    body: bytes = field(default=b"[]", repr=False)

    @property
    def kind(self) -> AnswerKind:
        """Granted: all that the rules say. Empty: they say nothing. Partial, failed: some or all can't be minted."""
        if not self.outcomes:
            return "empty"
        held = sum(outcome.held is not None for _, outcome in self.outcomes)
        if held == len(self.outcomes):
            return "granted"
        return "partial" if held else "failed"

    @property
    def failed_accounts(self) -> list[str]:
        """The names of the accounts of which a login is missing, in the order of the answer."""
        names = [minter.account for minter, outcome in self.outcomes if outcome.held is None]
        return list(dict.fromkeys(names))


@dataclass(slots=True)
class _Grant:
    """What a combination of granted accounts comes to, and the answer that was last made of it.

    Encoding a 2 KB password costs 8 µs of a warm request, and the same logins are answered for hours.
    """

    entries: tuple[Entry, ...]
    minters: tuple[Minter, ...]
    per_build: bool
    held: Sequence[HeldLogin | None] = ()
    body: bytes = field(default=b"[]", repr=False)

    def encode(self, outcomes: Iterable[tuple[Minter, Outcome]]) -> bytes:
        held = [outcome.held for _, outcome in outcomes]
        if held != self.held:
            login_of = {minter: each.login for minter, each in zip(self.minters, held, strict=True) if each}
            logins = [(host, login_of[minter]) for host, minter in self.entries if minter in login_of]
            self.held, self.body = held, wire.encode(logins)
        return self.body


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
        self._grant = lru_cache(maxsize=1024)(self._make_grant)

    async def answer(self, request: RegistryRequest, *, secret: str) -> Answer:
        """Return the logins that the rules give to this request, all minted side by side within the deadline."""
        decision = self._policy.decide(request, secret=secret)
        if not decision.accounts:
            return Answer(decision)
        grant = self._grant(decision.accounts)
        minters = grant.minters
        if grant.per_build:
            minters = tuple(minter.for_build(request) for minter in minters)
        found = await self._outcomes(minters, timeout_minutes=request.timeout)
        outcomes = tuple(zip(minters, found, strict=True))
        return Answer(decision, outcomes, grant.encode(outcomes))

    def _make_grant(self, accounts: tuple[str, ...]) -> _Grant:
        entries = assign_hosts(accounts, self._minters)
        minters = tuple(dict.fromkeys(minter for _, minter in entries))
        return _Grant(entries, minters, per_build=any(minter.per_build for minter in minters))

    async def _outcomes(self, minters: tuple[Minter, ...], *, timeout_minutes: int) -> Sequence[Outcome]:
        ready = [self._cache.ready(minter, timeout_minutes=timeout_minutes) for minter in minters]
        held = [outcome for outcome in ready if outcome]
        if len(held) == len(ready):  # most requests have all: no task is made for them
            return held
        waiting = zip(minters, ready, strict=True)
        waited = await asyncio.gather(*(self._wait(*each, timeout_minutes) for each in waiting))
        return [self._cache.still(outcome) for outcome in waited]

    async def _wait(self, minter: Minter, ready: Outcome | None, timeout_minutes: int) -> Outcome:
        return ready or await self._cache.get(
            minter, timeout_minutes=timeout_minutes, wait_seconds=self._deadline_seconds
        )
