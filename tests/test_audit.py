"""The audit line where the app's own tests don't reach."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.minters import FakeMinter

from ecrmint.audit import AuditLog, Seen, record
from ecrmint.broker import Answer
from ecrmint.cache import Outcome
from ecrmint.errors import ThrottledError
from ecrmint.policy import Policy
from ecrmint.tokens import HeldLogin, Instant, Login, Secret, hold
from ecrmint.wire import RegistryRequest

START = Instant(wall=1_800_000_000.0, boot=1_000.0)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond that many bytes, as a disk that is full does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def held(password: str, life: float) -> HeldLogin:
    return hold(Login("AWS", Secret(password), START.wall + life), issued=START, roll=0)


def line(*outcomes: Outcome) -> dict[str, object]:
    minters = [FakeMinter("prod") for _ in outcomes]
    decision = Policy([]).decide(RegistryRequest("a/b"), secret="main")
    answer = Answer(decision, tuple(zip(minters, outcomes, strict=True)))
    seen = Seen("id", answer=answer)
    return record(seen, outcome="partial", reason="mint", status=200, started=START, ended=START)


def test_what_was_never_learnt_is_null() -> None:
    empty = record(Seen("id"), outcome="invalid", reason="path", status=404, started=START, ended=START)
    assert {empty[name] for name in ("secret", "repo", "event", "fork", "timeout")} == {None}
    assert (empty["rules"], empty["granted"], empty["accounts"]) == ((), (), {})


@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "reversed"])
def test_an_account_with_several_logins_shows_the_one_with_the_least_left(reverse: bool) -> None:
    outcomes = [Outcome("hit", held("long", 7200)), Outcome("hit", held("short", 3600))]
    expected = {"outcome": "hit", "remaining_seconds": 3600, "fingerprint": Secret("short").fingerprint()}
    assert line(*(reversed(outcomes) if reverse else outcomes))["accounts"] == {"prod": expected}


@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "reversed"])
def test_an_account_of_which_one_login_failed_shows_the_failure(reverse: bool) -> None:
    outcomes = [Outcome("hit", held("good", 60)), Outcome("failed", error=ThrottledError("slow down"))]
    expected = {"outcome": "throttled", "remaining_seconds": None, "fingerprint": None}
    assert line(*(reversed(outcomes) if reverse else outcomes))["accounts"] == {"prod": expected}


def test_a_control_character_cannot_start_a_line_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    assert AuditLog(str(file)).write({"ref": "refs/heads/x\n{}\r\u2028"})
    (written,) = file.read_text().split("\n")[:-1]
    assert json.loads(written) == {"ref": "refs/heads/x\n{}\r\u2028"}


def test_lines_are_appended_and_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    for number in range(2):
        AuditLog(str(file)).write({"n": number})
    assert file.read_text() == '{"n":0}\n{"n":1}\n'
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_line_after_one_that_went_out_in_part_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    log = AuditLog(str(file))
    with file_size_limit(10):
        assert not log.write({"n": "a line of more than ten bytes"})
        assert not log.write({"n": 1})
    assert log.write({"n": 2})
    assert log.write({"n": 3})
    assert file.read_text() == '{"n":"a li\n{"n":2}\n{"n":3}\n'


def test_a_line_that_does_not_go_out_is_told() -> None:
    assert not AuditLog("/dev/full").write({})
