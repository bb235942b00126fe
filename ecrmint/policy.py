"""Rules: which accounts one build may have, and why. Decides purely; everything is denied until a rule says otherwise.

A set of rules is an int here: rule ``i`` of the configuration is its bit ``i``. Each fact about a build admits such a
set, and the rules that match are what all of them admit: one ``&`` for each fact, however many rules there are.
Source of all of it: design section 2, "Rules".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Annotated, Final, Literal, Protocol, TypeVar, get_args

from pydantic import AfterValidator, Field, model_validator

from ecrmint import globs
from ecrmint.fields import Digits, Model, Name, Said
from ecrmint.globs import EVERYTHING, GlobIndex, fold

Event = Literal["push", "pull_request", "tag", "promote", "rollback", "cron", "custom"]
"""The events that Drone has."""

Reason = Literal[
    "granted",
    "no_rule",  # no rule matches
    "fork",  # something would be granted if it were not for a fork
    "denied",  # a deny rule matches, and nothing is left
]

Key = Literal["repos", "secrets", "events", "refs", "uids", "trusted", "private", "deploy_to"]
FailedKey = Literal[Key, "forks"]
_T = TypeVar("_T")

# A pull or merge request's refs, at GitHub and Gitea, Bitbucket Server, GitLab.
_REQUEST_REFS: Final = ("refs/pull/", "refs/pull-requests/", "refs/merge-requests/")
_REPO_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-/*")
_KEYS: Final[tuple[Key, ...]] = get_args(Key)
_FLAGS: Final = ("false", "true")
_FEW: Final = 64
_TRUTHS: Final = bytes.maketrans(b"01", b"\x00\x01")
_MOST_LISTED: Final = 10


class Build(Protocol):
    """What rules look at in a build; a verified request has it. What was not sent is empty or False."""

    @property
    def slug(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def ref(self) -> str: ...
    @property
    def source_repo(self) -> str: ...
    @property
    def deploy_to(self) -> str: ...
    @property
    def trusted(self) -> bool: ...
    @property
    def private(self) -> bool: ...


def _check_repo(pattern: str) -> str:
    if pattern != EVERYTHING and "/" not in pattern:
        raise ValueError("expected a pattern with a / in it, such as octocat/*, or ** alone for every repository")
    never = next((char for char in globs.check(pattern) if char not in _REPO_CHARACTERS), None)
    if never is not None:
        raise ValueError(f"expected A-Z a-z 0-9 . _ ~ - / and *, not {never!a}, which no repository's slug has")
    return pattern


def _check_ref(pattern: str) -> str:
    if pattern != EVERYTHING and not pattern.startswith("refs/"):
        raise ValueError("expected a pattern that starts with refs/, such as refs/heads/main or refs/tags/v*, or **")
    return globs.check(pattern)


def _check_text(text: str) -> str:
    if not text:
        raise ValueError("expected text that is not empty: what a build leaves out matches nothing")
    return text


def _check_some(values: tuple[_T, ...]) -> tuple[_T, ...]:
    if not values:
        raise ValueError("expected at least one entry; without any, leave the key out")
    return values


# Not strict, or a Python list would be no tuple; what is in it stays strict.
_Some = (Field(strict=False), AfterValidator(_check_some))
_Text = Annotated[str, AfterValidator(_check_text)]


class Rule(Model):
    """One rule as it is configured. Every key but ``name``, ``accounts`` and ``effect`` restricts the builds it is for.

    ``secrets`` and ``accounts`` are names, which settings.py compares with those that exist.
    """

    name: Name
    repos: Annotated[tuple[Annotated[str, AfterValidator(_check_repo)], ...], *_Some]
    accounts: Annotated[tuple[str, ...], *_Some] = ()
    events: Annotated[tuple[Event, ...], *_Some] = ()
    refs: Annotated[tuple[Annotated[str, AfterValidator(_check_ref)], ...], *_Some] = ()
    uids: Annotated[tuple[Annotated[Digits, AfterValidator(_check_text)], ...], *_Some] = ()
    trusted: Said[bool] = None
    private: Said[bool] = None
    deploy_to: Annotated[tuple[_Text, ...], *_Some] = ()
    secrets: Annotated[tuple[str, ...], *_Some] = ()
    forks: Said[Literal["allow"]] = None
    effect: Literal["allow", "deny"] = "allow"

    @model_validator(mode="after")
    def _grants_something(self) -> "Rule":
        if self.effect == "allow" and not self.accounts:
            raise ValueError("expected accounts: without them this rule grants nothing (effect: deny takes all away)")
        return self


@dataclass(frozen=True, slots=True)
class Decision:
    """What a build gets: accounts in order of precedence, and the names of the matching rules, in the rules' order."""

    accounts: tuple[str, ...]
    rules: tuple[str, ...]
    fork: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What one rule says to a build. ``failed`` is the first key that did not fit; ``text`` is for people."""

    rule: str
    effect: Literal["allow", "deny"]
    matched: bool
    failed: FailedKey | None
    text: str


def is_fork(build: Build) -> bool:
    """Return whether a fork's author may have written what this build runs, whatever its event says.

    A promoted or restarted pull request keeps its source and ref, and loses its event: the event alone proves nothing.
    """
    if build.source_repo:
        return fold(build.source_repo) != fold(build.slug)
    return build.event == "pull_request" or build.ref.startswith(_REQUEST_REFS)


@dataclass(frozen=True, slots=True)
class _Test:
    """One key that rules have. ``find(fact, others)`` is the set that admits a fact; ``others`` don't have the key."""

    key: Key
    position: int  # of the fact in _facts
    find: Callable[[str, int], int]
    others: int


class Policy:
    """Compiled rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """``rules`` are in the order of the configuration, which is the order of precedence."""
        self._rules = tuple(rules)
        self._names = [rule.name for rule in rules]
        # Many rules, few lists of accounts: numbered, because numbers are cheaper to tell apart than the lists.
        self._lists = [*dict.fromkeys(rule.accounts for rule in rules)]
        numbers = {accounts: number for number, accounts in enumerate(self._lists)}
        self._list_of = [numbers[rule.accounts] for rule in rules]
        self._denying = _bits(rule.effect == "deny" for rule in rules)
        # A deny rule is for fork builds too, whatever it says about them.
        self._for_forks = self._denying | _bits(rule.forks == "allow" for rule in rules)
        tests = (_compile(rules, key, position) for position, key in enumerate(_KEYS))
        self._tests = tuple(test for test in tests if test is not None)

    def decide(self, build: Build, *, secret: str) -> Decision:
        """Return what the build gets; ``secret`` is the name of the shared secret that signed for it."""
        matching = -1  # every rule; the test for repos, which all have, leaves those that exist
        facts = _facts(build, secret)
        for test in self._tests:
            matching &= test.find(facts[test.position], test.others)
        return self._conclude(matching, fork=is_fork(build))

    def explain(self, build: Build, *, secret: str) -> list[RuleVerdict]:
        """Return every rule's verdict, in the rules' order."""
        facts = _facts(build, secret)
        admitted = [(test.key, fact := facts[test.position], test.find(fact, test.others)) for test in self._tests]
        fork_text = _fork_text(build) if is_fork(build) else ""
        return [self._verdict(index, admitted, fork_text) for index in range(len(self._rules))]

    def _verdict(self, index: int, admitted: Sequence[tuple[Key, str, int]], fork_text: str) -> RuleVerdict:
        rule = self._rules[index]
        for key, fact, bits in admitted:
            if not bits >> index & 1:
                return _failing(rule, key, _found_allowed(fact, _wanted(rule, key)))
        if fork_text and not self._for_forks >> index & 1:
            return _failing(rule, "forks", fork_text)
        return RuleVerdict(rule.name, rule.effect, True, None, _matching_text(rule))

    def _conclude(self, matching: int, *, fork: bool) -> Decision:
        applying = matching & self._for_forks if fork else matching
        denying = applying & self._denying
        rules = tuple(_select(self._names, applying))
        accounts = self._grant(applying ^ denying, denying)
        if accounts:
            return Decision(accounts, rules, fork, "granted")
        if fork and self._grant(matching ^ denying, denying):
            return Decision((), rules, fork, "fork")
        return Decision((), rules, fork, "denied" if denying else "no_rule")

    def _grant(self, allowing: int, denying: int) -> tuple[str, ...]:
        accounts = dict.fromkeys(chain.from_iterable(self._account_lists(allowing)))
        for taken in self._account_lists(denying) if denying else ():
            for account in taken or tuple(accounts):
                accounts.pop(account, None)
        return tuple(accounts)

    def _account_lists(self, bits: int) -> Iterable[tuple[str, ...]]:
        return map(self._lists.__getitem__, dict.fromkeys(_select(self._list_of, bits)))


def _facts(build: Build, secret: str) -> tuple[str, ...]:
    """Return what each of _KEYS restricts, as text."""
    trusted, private = _FLAGS[build.trusted], _FLAGS[build.private]
    return build.slug, secret, build.event, build.ref, build.uid, trusted, private, build.deploy_to


def _wanted(rule: Rule, key: Key) -> tuple[str, ...]:
    """Return the facts that a rule's key admits, some of them as patterns; none: any."""
    value: bool | tuple[str, ...] | None = getattr(rule, key)
    if value is None:
        return ()
    return (_FLAGS[value],) if isinstance(value, bool) else value


def _compile(rules: Sequence[Rule], key: Key, position: int) -> _Test | None:
    """Return None for a key that no rule has, except for repos."""
    wanted = [_wanted(rule, key) for rule in rules]
    others = _bits(not values for values in wanted)
    if key == "repos":
        index = GlobIndex(_bits_by_value([map(fold, values) for values in wanted]))
        return _Test(key, position, lambda slug, _: index.match(fold(slug)), others)
    by_value = _bits_by_value(wanted)
    if not by_value:
        return None
    if key == "refs":
        match_ref = GlobIndex(by_value).match
        return _Test(key, position, lambda ref, others: match_ref(ref) | others, others)
    return _Test(key, position, {value: bits | others for value, bits in by_value.items()}.get, others)


def _bits(flags: Iterable[bool]) -> int:
    return int("".join("1" if flag else "0" for flag in flags)[::-1] or "0", 2)


def _bits_by_value(values: Iterable[Iterable[str]]) -> dict[str, int]:
    """Return the set of the rules that have it for each value; ``values`` has those of each rule."""
    bits: dict[str, int] = {}
    for index, each in enumerate(values):
        for value in each:
            bits[value] = bits.get(value, 0) | 1 << index
    return bits


def _select(of_rules: Sequence[_T], bits: int) -> list[_T]:
    """Return what belongs to the rules of a set, in order."""
    selected: list[_T] = []
    while bits and len(selected) < _FEW:
        # From the top, where an int gets shorter; each step costs its whole length, so many are not taken one by one.
        last = bits.bit_length() - 1
        selected.append(of_rules[last])
        bits ^= 1 << last
    selected.reverse()
    return [*compress(of_rules, f"{bits:b}"[::-1].encode().translate(_TRUTHS)), *selected] if bits else selected


def _failing(rule: Rule, failed: FailedKey, text: str) -> RuleVerdict:
    return RuleVerdict(rule.name, rule.effect, False, failed, f"{failed}: {text}")


def _found_allowed(found: str, allowed: Sequence[str]) -> str:
    listed = [_show(value) for value in allowed[:_MOST_LISTED]]
    if len(allowed) > _MOST_LISTED:
        listed.append(f"{len(allowed) - _MOST_LISTED} more")
    return f"found {_show(found)}, allowed {', '.join(listed)}"


def _show(fact: str) -> str:
    # Refs and the like are whatever a pull request's author chose, and this goes to a terminal.
    return (fact if fact.isprintable() else ascii(fact)) or "nothing"


def _fork_text(build: Build) -> str:
    source = f"source_repo {_show(build.source_repo)}" if build.source_repo else "a pull request without source_repo"
    return f"this is a fork build ({source}) and the rule does not say forks: allow"


def _matching_text(rule: Rule) -> str:
    if rule.effect == "allow":
        return f"grants {', '.join(rule.accounts)}"
    return f"takes away {', '.join(rule.accounts) or 'every account'}"
