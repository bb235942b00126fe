"""Walks of accounts: side by side, each with a deadline, reported in order; with minters that do as they are told."""

import threading

import pytest
from support.minters import FakeMinter

from ecrmint import live
from ecrmint.commands._live import as_text
from ecrmint.errors import CloudError, LoginRefusedError, MintTimeoutError, TrustDeniedError
from ecrmint.live import Clocks, Report, Step, Walk
from ecrmint.registry import Registry


def walk(minter: FakeMinter, *registries: Registry) -> Walk:
    return Walk(minter.account, minter, registries)


def codes(reports: list[Report]) -> dict[str, str | None]:
    return {report.walk.account: None if report.error is None else report.error.code for report in reports}


def test_an_account_that_hangs_is_given_up_and_the_others_go_on() -> None:
    hanging = FakeMinter(account="hanging").then_login()
    hanging.gate.clear()
    others = [FakeMinter(account=f"good-{number}").then_login() for number in range(3)]
    reports = live.follow([walk(hanging), *map(walk, others)], seconds=0.2, at_once=1)
    hanging.gate.set()
    assert codes(reports) == {"hanging": "timeout", "good-0": None, "good-1": None, "good-2": None}
    assert reports[0].steps[-1].detail == "not done after 0.2 s"


def test_what_was_given_up_may_still_end_and_changes_nothing() -> None:
    late, other = FakeMinter(account="late").then_login(), FakeMinter(account="other").then_login()
    late.gate.clear()
    other.gate.clear()
    told = []

    def ended(done: int) -> None:
        told.append(done)
        # First the late one is given up, then it ends after all: only then may the other one.
        (late if len(told) == 1 else other).gate.set()

    reports = live.follow([walk(late), walk(other)], seconds=1.0, at_once=1, ended=ended)
    assert told == [1, 1, 2]
    assert codes(reports) == {"late": "timeout", "other": None}


def test_as_many_are_walked_at_one_time_as_is_said_and_no_more() -> None:
    minters = [FakeMinter(account=str(number)).then_login() for number in range(5)]
    for minter in minters:
        minter.gate.clear()
    thread = threading.Thread(target=live.follow, args=([*map(walk, minters)],), kwargs={"seconds": 30, "at_once": 2})
    thread.start()
    for last in (1, 2, 3):
        assert minters[last].entered.acquire(timeout=10)
        assert [minter.calls for minter in minters[last + 1 :]] == [0] * (4 - last)
        minters[last - 1].gate.set()
    minters[3].gate.set()
    minters[4].gate.set()
    thread.join(10)
    assert [minter.calls for minter in minters] == [1] * 5


def test_reports_are_in_the_order_of_the_walks_whoever_ends_first() -> None:
    slow, quick = FakeMinter(account="slow").then_login(), FakeMinter(account="quick").then_login()
    slow.gate.clear()

    def ended(done: int) -> None:
        slow.gate.set()

    reports = live.follow([walk(slow), walk(quick)], ended=ended)
    assert [*codes(reports)] == ["slow", "quick"]


def test_a_registry_that_hangs_has_the_timeout_and_the_login_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up, let_go = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        looked_up.set()
        let_go.wait(30)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", hang)
    (report,) = live.follow([walk(FakeMinter().then_login(), Registry("registry.example"))], seconds=1.0)
    let_go.set()
    assert looked_up.is_set()
    assert [step.name for step in report.steps] == ["login"]
    assert (report.error, isinstance(report.hosts["registry.example"], MintTimeoutError)) == (None, True)


@pytest.mark.parametrize(
    ("minter", "code", "text"),
    [
        (FakeMinter().then_error(CloudError("the cloud fell down")), "cloud_error", "the cloud fell down"),
        (FakeMinter().then_error(KeyError("hunter2")), "cloud_error", "the check failed with KeyError"),
        (FakeMinter().then_login(expires_at=1.0), "malformed", "a login that has already expired"),
    ],
    ids=["the cloud's", "ours", "an old login"],
)
def test_what_a_walk_ends_with_is_told(minter: FakeMinter, code: str, text: str) -> None:
    (report,) = live.follow([walk(minter)])
    assert codes([report]) == {"prod": code}
    assert text in report.steps[-1].detail


def test_what_a_cloud_says_can_not_move_the_cursor() -> None:
    minter, wild = FakeMinter().then_login(), "\x1b[2J"
    steps = (Step(wild, ok=True, detail=wild), Step("login", ok=False, detail=wild))
    report = Report(walk(minter), steps, CloudError(wild, hint=wild), {"registry.example": LoginRefusedError(wild)})
    shown = [*as_text([report], Clocks())]
    assert [line for line in shown if not line.isprintable()] == []
    assert len([line for line in shown if "[2J" in line]) == 6


@pytest.mark.parametrize(
    ("details", "caller"),
    [
        ((), ""),
        (("not known: AWS can't be reached",), ""),
        (("arn:aws:iam::111111111111:user/ci",), "arn:aws:iam::111111111111:user/ci"),
        (("arn:aws:iam::1:user/ci", "arn:aws-cn:sts::2:assumed-role/a/b"), "arn:aws-cn:sts::2:assumed-role/a/b"),
        (("pull@acme.example, by way of a@acme.example",), "pull@acme.example"),
        (("arn:aws:sts::2:assumed-role/a/b, by //iam.googleapis.com/x",), "arn:aws:sts::2:assumed-role/a/b"),
        (("denied@acme.example, by ci@acme.example",), "ci@acme.example"),
        (("denied@acme.example",), "denied@acme.example"),
    ],
    ids=[
        "no step",
        "not known",
        "who we are",
        "who we became",
        "by way of another",
        "by a provider",
        "who a file would have become",
        "itself",
    ],
)
def test_who_was_refused_is_whom_the_last_step_names(details: tuple[str, ...], caller: str) -> None:
    steps = tuple(Step("role", ok=True, detail=detail) for detail in details)
    refused = Step("trust", ok=False, detail="no user@host.example")
    error = TrustDeniedError("no", target="denied@acme.example")
    assert Report(walk(FakeMinter().then_login()), (*steps, refused), error).caller == caller
