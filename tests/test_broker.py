"""Which account answers for a host, and what an answer comes to."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from support.clock import SettableClock
from support.minters import FakeMinter, Recorder

from ecrmint.broker import Answer, Broker, assign_hosts
from ecrmint.cache import LoginCache
from ecrmint.errors import ThrottledError
from ecrmint.minters import Minter
from ecrmint.policy import Policy, Rule
from ecrmint.tokens import Login, Secret
from ecrmint.wire import RegistryRequest

Minters = Mapping[str, Mapping[str, Minter]]


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def rule(*accounts: str) -> Rule:
    return Rule.model_validate({"name": "r", "repos": ["**"], "accounts": list(accounts)})


async def answer(clock: SettableClock, minters: Minters, *accounts: str, deadline: float = 20.0) -> Answer:
    cache = LoginCache(Recorder(), clock=clock, roll=lambda: 0.0)
    broker = Broker(Policy([rule(*accounts)]), minters, cache, deadline_seconds=deadline)
    return await broker.answer(RegistryRequest("team-a/app"), secret="main")


def hosts_and_passwords(given: Answer) -> list[tuple[str, str]]:
    return [(entry["address"], entry["password"]) for entry in json.loads(given.body)]


def test_of_two_accounts_with_one_host_the_first_answers_for_it_and_both_for_the_rest() -> None:
    first, second = FakeMinter("first"), FakeMinter("second")
    minters: Minters = {"first": {"a": first, "b": first}, "second": {"b": second, "c": second}}
    assert [(entry.host, entry.minter.account) for entry in assign_hosts(["first", "second"], minters)] == [
        ("a", "first"),
        ("b", "first"),
        ("c", "second"),
    ]


async def test_the_account_that_loses_a_host_is_neither_minted_nor_answered_where_the_first_one_fails(
    clock: SettableClock,
) -> None:
    first, second = FakeMinter("first").then_error(ThrottledError("slow down")), FakeMinter("second").then_login()
    given = await answer(clock, {"first": {"a": first}, "second": {"a": second}}, "first", "second")
    assert given.body == b"[]"
    assert second.calls == 0
    assert (given.kind, given.failed_accounts) == ("failed", ["first"])


async def test_hosts_that_share_a_login_cost_one_mint(clock: SettableClock) -> None:
    minter = FakeMinter().then_login("shared")
    given = await answer(clock, {"prod": {"a": minter, "b": minter}}, "prod")
    assert hosts_and_passwords(given) == [("a", "shared"), ("b", "shared")]
    assert minter.calls == 1


async def test_accounts_are_minted_side_by_side(clock: SettableClock) -> None:
    slow, quick = FakeMinter("slow").then_login("s"), FakeMinter("quick").then_login("q")
    slow.gate.clear()

    def release_the_other() -> Login:
        slow.gate.set()
        return Login("AWS", Secret("q"))

    # The quick one's mint is what lets the slow one go on: one after the other, neither would end.
    quick.results.insert(0, release_the_other)
    given = await answer(clock, {"slow": {"a": slow}, "quick": {"b": quick}}, "slow", "quick")
    assert hosts_and_passwords(given) == [("a", "s"), ("b", "q")]


async def test_at_the_deadline_the_answer_goes_out_with_what_is_there(clock: SettableClock) -> None:
    hung, quick = FakeMinter("hung").then_login(), FakeMinter("quick").then_login("q")
    hung.gate.clear()
    given = await answer(clock, {"hung": {"a": hung}, "quick": {"b": quick}}, "hung", "quick", deadline=0.05)
    hung.gate.set()
    assert hosts_and_passwords(given) == [("b", "q")]
    assert (given.kind, given.failed_accounts) == ("partial", ["hung"])


async def test_nothing_granted_is_an_empty_answer(clock: SettableClock) -> None:
    cache = LoginCache(Recorder(), clock=clock)
    broker = Broker(Policy([]), {}, cache, deadline_seconds=1)
    given = await broker.answer(RegistryRequest("team-a/app"), secret="main")
    assert (given.kind, given.body, given.failed_accounts) == ("empty", b"[]", [])


async def test_a_login_that_ends_while_another_account_is_waited_for_is_not_answered(clock: SettableClock) -> None:
    brief, slow = FakeMinter("brief").then_login("b", expires_at=clock.wall + 10), FakeMinter("slow")

    def outlast_the_other() -> Login:
        asyncio.run_coroutine_threadsafe(cache.get(brief, timeout_minutes=0, wait_seconds=1), loop).result()
        clock.advance(11)
        return Login("AWS", Secret("s"))

    slow.results.append(outlast_the_other)
    loop, cache = asyncio.get_running_loop(), LoginCache(Recorder(), clock=clock, roll=lambda: 0.0)
    broker = Broker(
        Policy([rule("brief", "slow")]), {"brief": {"a": brief}, "slow": {"b": slow}}, cache, deadline_seconds=20
    )
    given = await broker.answer(RegistryRequest("a/b"), secret="main")
    assert hosts_and_passwords(given) == [("b", "s")]
    assert given.failed_accounts == ["brief"]


async def test_no_password_is_in_the_repr_of_an_answer(clock: SettableClock) -> None:
    minter = FakeMinter().then_login("canary")
    given = await answer(clock, {"prod": {"a": minter}}, "prod")
    assert hosts_and_passwords(given) == [("a", "canary")]
    assert "canary" not in repr(given)


async def test_an_answer_s_bytes_are_kept_until_a_login_changes(clock: SettableClock) -> None:
    minter = (
        FakeMinter().then_login("old", expires_at=clock.wall + 3600).then_login("new", expires_at=clock.wall + 9999)
    )
    cache = LoginCache(Recorder(), clock=clock, roll=lambda: 0.0)
    broker = Broker(Policy([rule("prod")]), {"prod": {"a": minter}}, cache, deadline_seconds=20)
    first, again = [await broker.answer(RegistryRequest("a/b"), secret="main") for _ in range(2)]
    assert first.body is again.body
    clock.advance(3500)
    assert hosts_and_passwords(await broker.answer(RegistryRequest("a/b"), secret="main")) == [("a", "new")]


async def test_a_login_that_failed_once_is_answered_when_it_is_there(clock: SettableClock) -> None:
    flaky, steady = FakeMinter("flaky").then_error(ThrottledError("no")).then_login("f"), FakeMinter().then_login("s")
    cache = LoginCache(Recorder(), clock=clock, roll=lambda: 0.0)
    minters: Minters = {"flaky": {"a": flaky}, "prod": {"b": steady}}
    broker = Broker(Policy([rule("flaky", "prod")]), minters, cache, deadline_seconds=20)
    partial = await broker.answer(RegistryRequest("a/b"), secret="main")
    clock.advance(10)
    whole = await broker.answer(RegistryRequest("a/b"), secret="main")
    assert hosts_and_passwords(partial) == [("b", "s")]
    assert hosts_and_passwords(whole) == [("a", "f"), ("b", "s")]


@dataclass(eq=False)
class TaggedMinter(FakeMinter):
    """Each build has a minter of its own, by its slug."""

    builds: dict[str, FakeMinter] = field(default_factory=dict)

    @property
    def per_build(self) -> bool:
        """Yes."""
        return True

    def for_build(self, request: RegistryRequest) -> FakeMinter:  # type: ignore[override]  # another minter
        """Return the build's minter."""
        return self.builds[request.slug]


async def test_a_build_gets_its_own_login_and_never_that_of_the_build_before(clock: SettableClock) -> None:
    slugs = ("team-a/app", "team-b/app")
    tagged = TaggedMinter("tagged", builds={slug: FakeMinter("tagged").then_login(slug) for slug in slugs})
    shared = FakeMinter("shared").then_login("for all")
    cache = LoginCache(Recorder(), clock=clock, roll=lambda: 0.0)
    minters: Minters = {"tagged": {"a": tagged, "b": tagged}, "shared": {"c": shared}}
    broker = Broker(Policy([rule("tagged", "shared")]), minters, cache, deadline_seconds=20)
    for slug in (*slugs, *slugs):
        given = await broker.answer(RegistryRequest(slug), secret="main")
        assert hosts_and_passwords(given) == [("a", slug), ("b", slug), ("c", "for all")]
    assert (tagged.calls, [each.calls for each in tagged.builds.values()], shared.calls) == (0, [1, 1], 1)
