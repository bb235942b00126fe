"""What a valid configuration probably doesn't mean: unused accounts, clashing hosts, logins that end early."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

from ecrmint.minters import Resources
from ecrmint.settings import Config, Settings
from ecrmint.tokens import DEFAULT_TIMEOUT, MARGIN

_REPEATED: Final = frozenset({"*", "**"})


@dataclass(frozen=True, slots=True)
class Clash:
    """Two accounts that one build may have, and a host that both serve: ``answers`` is the one that it gets."""

    host: str
    answers: str
    silent: str


@dataclass(frozen=True, slots=True)
class _Grant:
    """One account in one rule."""

    account: str
    repos: tuple[str, ...]


def unused_accounts(settings: Settings) -> list[str]:
    """Return the accounts that no rule grants."""
    granted = {grant.account for grant in _grants(settings)}
    return [name for name in settings.accounts if name not in granted]


def short_lives(config: Config) -> Iterator[tuple[str, float]]:
    """Yield the accounts whose logins can't outlive a build of Drone's default timeout, with their lives in seconds."""
    resources = Resources(endpoints=config.settings.endpoints, secrets=config.secrets)
    for name, account in config.settings.accounts.items():
        life = account.longest_life(resources)
        if life is not None and life < DEFAULT_TIMEOUT * 60 + MARGIN:
            yield name, life


def clashes(settings: Settings) -> list[Clash]:
    """Return every host for which a build may be granted two accounts, in the order of the rules."""
    by_host: dict[str, list[_Grant]] = {}
    for grant in _grants(settings):
        for host in settings.accounts[grant.account].hosts:
            by_host.setdefault(host, []).append(grant)
    # The earlier rule's account answers, inside one rule the one named first: the order that the grants have here.
    found = {
        Clash(host, first.account, second.account): None
        for host, grants in by_host.items()
        if len({grant.account for grant in grants}) > 1
        for first, second in combinations(grants, 2)
        if first.account != second.account and _may_meet(first.repos, second.repos)
    }
    return [*found]


def _grants(settings: Settings) -> Iterator[_Grant]:
    for rule in settings.rules:
        if rule.effect == "allow":
            yield from (_Grant(account, rule.repos) for account in rule.accounts)


def _may_meet(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    return any(patterns_meet(one, other) for one, other in product(ours, theirs))


def patterns_meet(one: str, other: str) -> bool:
    """Return whether some slug matches both patterns of ``repos``."""
    ours, theirs = _tokens(one), _tokens(other)
    seen: set[tuple[int, int]] = set()
    waiting = [(0, 0)]  # how much of either pattern some common beginning of slugs has used up
    while waiting:
        state = waiting.pop()
        if state == (len(ours), len(theirs)):
            return True
        if state not in seen:
            seen.add(state)
            waiting.extend(_steps(ours, theirs, *state))
    return False


def _tokens(pattern: str) -> list[str]:
    # A `**` is one character or more: `?`, which no pattern has, stands for that one.
    return re.findall(r"\*\*|.", pattern.lower().replace("**", "?**"))


def _steps(ours: Sequence[str], theirs: Sequence[str], i: int, j: int) -> Iterator[tuple[int, int]]:
    if i < len(ours) and ours[i] in _REPEATED:
        yield i + 1, j
    if j < len(theirs) and theirs[j] in _REPEATED:
        yield i, j + 1
    if i < len(ours) and j < len(theirs) and _share_character(ours[i], theirs[j]):
        yield i + (ours[i] not in _REPEATED), j + (theirs[j] not in _REPEATED)


def _share_character(one: str, other: str) -> bool:
    if {one, other} & {"?", "**"}:
        return True
    if "*" in (one, other):
        return "/" not in (one, other)
    return one == other
