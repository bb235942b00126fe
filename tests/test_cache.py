"""Single flight, background refresh, outages: what the cache does around the rules of tokens.py."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from support.clock import SettableClock
from support.minters import FakeMinter, Recorder, settled

from ecrmint.cache import MAX_THREADS_PER_ACCOUNT, LoginCache, Outcome
from ecrmint.errors import CloudError, MalformedAnswerError, MintTimeoutError, ThrottledError, TrustDeniedError
from ecrmint.tokens import Login

HOUR = 3600.0


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def cache(clock: SettableClock, recorder: Recorder) -> LoginCache:
    return LoginCache(recorder, clock=clock, roll=lambda: 0.0)


def good(clock: SettableClock, *passwords: str, account: str = "prod") -> FakeMinter:
    """Return a minter of 12-hour logins, each living from the moment of its mint."""
    minter = FakeMinter(account)
    for password in passwords or ("p",):
        minter.results.append(_fresh(clock, password))
    return minter


def _fresh(clock: SettableClock, password: str) -> Callable[[], Login]:
    def mint() -> Login:
        scratch = FakeMinter().then_login(password, expires_at=clock.wall + 12 * HOUR)
        return scratch.mint()

    return mint


async def get(cache: LoginCache, minter: FakeMinter, *, wait: float = 20) -> Outcome:
    return await cache.get(minter, timeout_minutes=60, wait_seconds=wait)


def password(outcome: Outcome) -> str:
    assert outcome.held is not None
    return outcome.held.login.password.reveal()


async def test_the_first_request_waits_for_a_mint_and_the_next_ones_do_not(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock)
    assert (await get(cache, minter)).kind == "minted"
    assert (await get(cache, minter)).kind == "hit"
    assert minter.calls == 1


async def test_a_thousand_waiters_cost_one_mint(cache: LoginCache, clock: SettableClock) -> None:
    minter = good(clock)
    minter.gate.clear()
    waiters = [asyncio.create_task(get(cache, minter)) for _ in range(1000)]
    await asyncio.to_thread(minter.entered.acquire)
    minter.gate.set()
    assert {"minted"} == {outcome.kind for outcome in await asyncio.gather(*waiters)}
    assert minter.calls == 1


async def test_a_thousand_waiters_on_a_failing_account_are_answered_by_one_mint(cache: LoginCache) -> None:
    minter = FakeMinter().then_error(ThrottledError("slow down"))
    minter.gate.clear()
    waiters = [asyncio.create_task(get(cache, minter)) for _ in range(1000)]
    await asyncio.to_thread(minter.entered.acquire)
    minter.gate.set()
    outcomes = await asyncio.gather(*waiters)
    assert {"failed"} == {outcome.kind for outcome in outcomes}
    assert minter.calls == 1
    error = outcomes[0].error
    assert error is not None
    assert error.__traceback__ is None  # its frames would hold the cloud's answer


async def test_a_waiter_that_leaves_cancels_nobody(cache: LoginCache, clock: SettableClock) -> None:
    minter = good(clock)
    minter.gate.clear()
    leaver, stayer = (asyncio.create_task(get(cache, minter)) for _ in range(2))
    await asyncio.to_thread(minter.entered.acquire)
    leaver.cancel()
    minter.gate.set()
    assert (await stayer).kind == "minted"
    assert leaver.cancelled()
    assert minter.calls == 1


async def test_a_due_login_is_handed_out_at_once_and_refreshed_behind_the_caller(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock, "old", "new")
    await get(cache, minter)
    clock.advance(0.4 * 12 * HOUR)
    minter.gate.clear()
    due = await get(cache, minter)
    assert (due.kind, password(due)) == ("hit", "old")
    minter.gate.set()
    await settled()
    assert password(await get(cache, minter)) == "new"
    assert minter.calls == 2


async def test_a_failing_refresh_costs_nobody_anything_while_the_login_is_good(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock).then_error(ThrottledError("slow down"))
    await get(cache, minter)
    clock.advance(0.4 * 12 * HOUR)
    assert (await get(cache, minter)).kind == "hit"
    await settled()
    assert (await get(cache, minter)).kind == "hit"
    await settled()
    assert minter.calls == 2  # the second one backs off


async def test_in_an_outage_an_old_login_is_handed_out_until_five_minutes_before_its_end(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock).then_error(ThrottledError("slow down"))
    await get(cache, minter)
    clock.advance(12 * HOUR - 300)
    short = await get(cache, minter)
    assert short.kind == "short"
    assert short.held is not None
    clock.advance(1)
    assert (await get(cache, minter)).kind == "failed"


async def test_an_expired_login_is_never_handed_out(cache: LoginCache, clock: SettableClock) -> None:
    minter = FakeMinter().then_login("brief", expires_at=clock.wall + 60).then_error(ThrottledError("slow down"))
    await get(cache, minter)
    clock.advance(54)
    assert (await get(cache, minter)).kind == "short"
    clock.advance(6)
    assert (await get(cache, minter)).held is None


async def test_a_login_that_ends_while_it_is_waited_for_is_not_handed_out(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = FakeMinter()

    def slow() -> Login:
        login = FakeMinter().then_login(expires_at=clock.wall + 60).mint()
        clock.advance(61)
        return login

    minter.results.append(slow)
    outcome = await get(cache, minter)
    assert outcome.held is None


async def test_a_definite_refusal_takes_the_held_login_away_and_is_remembered_for_a_while(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock).then_error(TrustDeniedError("no"))
    await get(cache, minter)
    clock.advance(11.5 * HOUR)
    denied = await get(cache, minter)
    assert denied.held is None
    assert isinstance(denied.error, TrustDeniedError)
    clock.advance(29)
    await get(cache, minter)
    assert minter.calls == 2
    clock.advance(1)
    await get(cache, minter)
    assert minter.calls == 3


async def test_doubtful_failures_back_off_twice_as_long_each_time_up_to_five_minutes(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = FakeMinter().then_error(ThrottledError("slow down"))
    waits = []
    for _ in range(12):
        calls = minter.calls
        await get(cache, minter)
        assert minter.calls == calls + 1
        waited = 0.0
        while minter.calls == calls + 1:
            clock.advance(0.5)
            waited += 0.5
            await get(cache, minter)
        waits.append(waited)
        clock.advance(150)
    assert waits[:4] == [0.5, 2.0, 8.0, 32.0]
    assert max(waits) == 150.0  # half of five minutes: the jitter's lower end


async def test_after_a_success_a_new_failure_starts_from_the_shortest_back_off(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = FakeMinter().then_error(ThrottledError("a")).then_error(ThrottledError("b"))
    minter.results.append(_fresh(clock, "p"))
    minter.then_error(ThrottledError("c"))
    for _ in range(3):
        await get(cache, minter)
        clock.advance(10)
    assert cache.failure(minter) is None
    clock.advance(11.9 * HOUR)
    await get(cache, minter)
    clock.advance(0.5)
    await get(cache, minter)
    assert minter.calls == 5


async def test_a_waiter_is_answered_at_its_deadline_and_the_mint_goes_on(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock)
    minter.gate.clear()
    late = await get(cache, minter, wait=0.01)
    assert isinstance(late.error, MintTimeoutError)
    minter.gate.set()
    await settled()
    assert (await get(cache, minter)).kind == "hit"
    assert minter.calls == 1


async def test_an_account_that_hangs_holds_two_threads_and_slows_no_other(
    cache: LoginCache, clock: SettableClock
) -> None:
    stuck = [good(clock, account="stuck") for _ in range(5)]
    for minter in stuck:
        minter.gate.clear()
    waiting = [asyncio.create_task(get(cache, minter)) for minter in stuck]
    await asyncio.gather(*(asyncio.to_thread(minter.entered.acquire) for minter in stuck[:2]))
    assert (await get(cache, good(clock, account="other"))).kind == "minted"
    assert sum(minter.calls for minter in stuck) == 2
    assert sum(thread.name == "mint" for thread in threading.enumerate()) <= 3
    for minter in stuck:
        minter.gate.set()
    await asyncio.gather(*waiting)


async def test_a_mint_that_never_ends_fails_its_flight_and_keeps_its_thread_s_place(
    clock: SettableClock, recorder: Recorder
) -> None:
    cache = LoginCache(recorder, clock=clock, roll=lambda: 0.0, max_threads=1, mint_seconds=0.01)
    hung = good(clock, account="hung")
    hung.gate.clear()
    failed = await get(cache, hung)
    assert isinstance(failed.error, MintTimeoutError)
    other = good(clock, account="other")
    assert isinstance((await get(cache, other)).error, MintTimeoutError)
    assert other.calls == 0
    hung.gate.set()


async def test_without_a_thread_for_it_a_mint_fails_and_its_place_is_free_again(
    cache: LoginCache, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    minter = good(clock)
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", no_thread)
        for _ in range(MAX_THREADS_PER_ACCOUNT):
            assert (await get(cache, minter)).kind == "failed"
            clock.advance(60)
    assert (await get(cache, minter)).kind == "minted"


async def test_a_failure_is_logged_with_its_cause_and_its_cure(
    cache: LoginCache, caplog: pytest.LogCaptureFixture
) -> None:
    await get(cache, FakeMinter().then_error(ThrottledError("too many calls", hint="ask for a higher quota")))
    assert caplog.messages == ["account prod: no login (throttled): too many calls; ask for a higher quota"]


async def test_a_fault_in_a_minter_costs_its_account_only(cache: LoginCache, caplog: pytest.LogCaptureFixture) -> None:
    outcome = await get(cache, FakeMinter().then_error(ZeroDivisionError("s3cret")))
    assert isinstance(outcome.error, CloudError)
    assert "ZeroDivisionError" in str(outcome.error)
    assert "s3cret" not in caplog.text + str(outcome.error)


async def test_a_login_that_is_over_when_it_comes_is_a_failure(cache: LoginCache, clock: SettableClock) -> None:
    outcome = await get(cache, FakeMinter().then_login(expires_at=clock.wall - 1))
    assert isinstance(outcome.error, MalformedAnswerError)


async def test_a_refresh_that_brings_the_same_login_is_not_tried_again_until_its_last_minutes(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = FakeMinter().then_login("same", expires_at=clock.wall + HOUR)
    await get(cache, minter)
    clock.advance(0.45 * HOUR)
    await get(cache, minter)
    await settled()
    for _ in range(5):
        clock.advance(300)
        assert (await get(cache, minter)).kind == "hit"
        await settled()
    assert minter.calls == 2
    clock.advance(180)
    await get(cache, minter)
    await settled()
    assert minter.calls == 3


async def test_a_wall_clock_set_back_asks_for_a_fresh_login_once_and_keeps_serving(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock, "old", "new")
    await get(cache, minter)
    clock.set_wall(-2 * HOUR)
    assert password(await get(cache, minter)) == "old"
    await settled()
    assert password(await get(cache, minter)) == "new"
    await settled()
    assert minter.calls == 2


async def test_the_observer_is_told_of_each_mint(cache: LoginCache, clock: SettableClock, recorder: Recorder) -> None:
    await get(cache, good(clock))
    await get(cache, FakeMinter("broken").then_error(ThrottledError("slow down")))
    assert recorder.started == ["prod", "broken"]
    assert [type(result).__name__ for result in recorder.ended] == ["HeldLogin", "ThrottledError"]


async def test_closing_ends_the_flights_without_waiting_for_their_threads(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock)
    minter.gate.clear()
    waiter = asyncio.create_task(get(cache, minter))
    await asyncio.to_thread(minter.entered.acquire)
    await cache.close()
    minter.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_an_account_with_many_logins_pushes_out_its_own_and_nobody_else_s(
    cache: LoginCache, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecrmint.cache.MAX_LOGINS", 2)
    other = good(clock, account="other")
    many = [good(clock, account="many") for _ in range(3)]
    for minter in (other, *many):
        await get(cache, minter)
    assert [(await get(cache, minter)).kind for minter in (other, many[2], many[1], many[0])] == [
        "hit",
        "hit",
        "hit",
        "minted",
    ]


async def test_the_last_mint_of_an_account_is_told(cache: LoginCache, clock: SettableClock) -> None:
    assert cache.last("prod") is None
    held = (await get(cache, good(clock))).held
    assert cache.last("prod") is held
    error = (await get(cache, FakeMinter().then_error(ThrottledError("slow down")))).error
    assert cache.last("prod") is error


async def test_a_reload_keeps_what_stays_and_drops_the_rest_at_once(cache: LoginCache, clock: SettableClock) -> None:
    stays, changed, gone = good(clock, account="a"), good(clock, account="b"), good(clock, account="c")
    for minter in (stays, changed, gone):
        await get(cache, minter)
    cache.retain({"a": None, "b": [good(clock, account="b")]})
    assert [(await get(cache, minter)).kind for minter in (stays, changed, gone)] == ["hit", "minted", "minted"]


async def test_a_mint_that_was_under_way_for_a_removed_account_is_not_kept(
    cache: LoginCache, clock: SettableClock
) -> None:
    minter = good(clock, "thrown away", "kept")
    minter.gate.clear()
    waiter = asyncio.create_task(get(cache, minter))
    await asyncio.to_thread(minter.entered.acquire)
    cache.retain({})
    assert not cache._shelves
    minter.gate.set()
    await waiter
    assert cache.last("prod") is None
    assert password(await get(cache, minter)) == "kept"


async def test_a_refusal_that_is_remembered_is_forgotten_with_its_configuration(cache: LoginCache) -> None:
    minter = FakeMinter().then_error(TrustDeniedError("no"))
    await get(cache, minter)
    cache.retain({"prod": []})
    await get(cache, minter)
    assert minter.calls == 2
