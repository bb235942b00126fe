"""How long a login lives and when it is fresh enough: the rules of design section 4."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecrmint.errors import MalformedAnswerError
from ecrmint.tokens import MAX_LIFE, HeldLogin, Instant, Login, Secret, hold, wanted_remaining

START = Instant(wall=1_800_000_000.0, boot=5_000.0)
HOUR = 3600.0


def later(seconds: float, *, wall: float | None = None) -> Instant:
    return Instant(wall=START.wall + (seconds if wall is None else wall), boot=START.boot + seconds)


def held(life: float = 12 * HOUR, *, roll: float = 0.0) -> HeldLogin:
    return hold(Login("AWS", Secret("p"), START.wall + life), issued=START, roll=roll)


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{0:>10}".format], ids=["repr", "str", "format", "spec"])
def test_a_secret_is_never_shown(show: Callable[[object], str]) -> None:
    assert "hunter2" not in show(Secret("hunter2"))


def test_what_holds_a_secret_does_not_show_it_either() -> None:
    assert "hunter2" not in repr(held().login) + repr(Login("AWS", Secret("hunter2")))


def test_a_secret_cannot_be_pickled_or_copied() -> None:
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(Secret("hunter2"))
    with pytest.raises(TypeError, match="can't be pickled"):
        copy.copy(Secret("hunter2"))


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_fingerprint_is_the_start_of_the_sha256() -> None:
    assert Secret("abc").fingerprint() == "ba7816bf8f01"


@pytest.mark.parametrize(
    ("timeout", "life", "expected"),
    [
        pytest.param(60, 12 * HOUR, HOUR + 300, id="the build's timeout and a margin"),
        pytest.param(0, 12 * HOUR, HOUR + 300, id="no timeout said: 60 minutes"),
        pytest.param(-1, 12 * HOUR, HOUR + 300, id="nonsense: 60 minutes"),
        pytest.param(10**9, 48 * HOUR, 12 * HOUR + 300, id="never more than 12 hours"),
        pytest.param(60, HOUR, HOUR / 2, id="a one-hour login: half its life"),
    ],
)
def test_a_login_should_outlive_its_build(timeout: int, life: float, expected: float) -> None:
    assert wanted_remaining(timeout, life) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(later(HOUR), 11 * HOUR, id="both clocks agree"),
        pytest.param(later(HOUR, wall=2 * HOUR), 10 * HOUR, id="wall clock ahead: it decides"),
        pytest.param(later(2 * HOUR, wall=HOUR), 10 * HOUR, id="boot clock ahead (the wall was set back): it decides"),
        pytest.param(later(HOUR, wall=-5 * HOUR), 11 * HOUR, id="wall before the issue: the boot clock alone"),
        pytest.param(later(12 * HOUR), 0.0, id="the last moment is over"),
    ],
)
def test_the_pessimistic_clock_decides(now: Instant, expected: float) -> None:
    assert held().remaining(now) == expected


def test_a_wall_clock_before_the_issue_asks_for_a_fresh_login() -> None:
    assert not held().due(later(60))
    assert held().due(later(60, wall=-60))


@given(st.floats(0, 1, exclude_max=True))
def test_a_refresh_is_due_between_40_and_50_percent_of_the_life(roll: float) -> None:
    login = held(roll=roll)
    assert not login.due(later(0.4 * login.life - 1))
    assert login.due(later(0.5 * login.life))


def test_a_login_is_usable_in_an_outage_until_five_minutes_before_its_end() -> None:
    assert held().usable(later(12 * HOUR - 300))
    assert not held().usable(later(12 * HOUR - 299))


def test_a_short_login_is_usable_until_a_tenth_of_its_life() -> None:
    assert held(600).usable(later(540))
    assert not held(600).usable(later(541))


def test_an_expiry_further_ahead_than_any_cloud_gives_is_clamped() -> None:
    assert held(9_000 * HOUR).life == MAX_LIFE


@pytest.mark.parametrize("life", [0.0, -1.0, -10 * HOUR])
def test_a_login_that_is_over_when_it_comes_is_refused(life: float) -> None:
    with pytest.raises(MalformedAnswerError, match="expired"):
        held(life)


def test_a_static_login_never_ends_and_is_never_due() -> None:
    static = hold(Login("octocat", Secret("p")), issued=START, roll=0.5)
    century = later(100 * 365 * 24 * HOUR)
    assert static.outlives(720, century)
    assert not static.due(century)


def test_the_same_login_again_settles_the_one_that_is_held() -> None:
    first = held(HOUR)
    again = hold(first.login, issued=later(1500), roll=0.9, previous=first)
    assert again == replace(first, settled=True)
    # Nobody waits for a fresher one, and it is not asked for again before the last five minutes.
    assert again.outlives(60, later(HOUR - 301))
    assert not again.due(later(HOUR - 301))
    assert not again.outlives(60, later(HOUR - 300))
    assert again.due(later(HOUR - 300))


@given(st.floats(1, MAX_LIFE), st.floats(0, 1, exclude_max=True), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_no_pair_of_clocks_makes_a_login_live_longer(life: float, roll: float, wall: float, boot: float) -> None:
    login = held(life, roll=roll)
    if login.remaining(Instant(START.wall + wall, START.boot + boot)) > 0:
        assert boot < login.life
        assert wall < login.life + 1e-3  # floating-point error of the epoch's large numbers
