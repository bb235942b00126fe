"""The audit line where the app's own tests don't reach."""

import asyncio
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.minters import FakeMinter

from ecrmint.audit import AuditLog, Seen, line
from ecrmint.broker import Answer
from ecrmint.cache import Outcome
from ecrmint.errors import ThrottledError
from ecrmint.policy import Policy
from ecrmint.tokens import HeldLogin, Instant, Login, Secret, hold
from ecrmint.wire import RegistryRequest

START = Instant(wall=1_800_000_000.0, boot=1_000.0)
FIELDS = [field.name for field in fields(RegistryRequest)]


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


def record(seen: Seen) -> dict[str, Any]:
    """Return the line as who reads it sees it."""
    text = line(seen, outcome="partial", reason="mint", status=200, started=START, ended=START)
    assert (text.count(b"\n"), text[-1:]) == (1, b"\n")
    read: dict[str, Any] = json.loads(text)
    return read


def accounts(*outcomes: Outcome) -> object:
    minters = [FakeMinter("prod") for _ in outcomes]
    decision = Policy([]).decide(RegistryRequest("a/b"), secret="main")
    return record(Seen("id", answer=Answer(decision, tuple(zip(minters, outcomes, strict=True)))))["accounts"]


def test_what_was_never_learnt_is_null() -> None:
    empty = record(Seen("id"))
    known = {"kind", "v", "time", "request_id", "outcome", "reason", "status", "duration_ms"}
    lists: dict[str, object] = {"rules": [], "granted": [], "accounts": {}}
    assert {
        name: value for name, value in empty.items() if name not in known | lists.keys() and value is not None
    } == {}
    assert {name: empty[name] for name in lists} == lists


TEXT, FLAG, NUMBER = st.text(), st.booleans(), st.integers()


@given(st.builds(RegistryRequest, *[TEXT] * 6, FLAG, FLAG, NUMBER, NUMBER))
def test_every_field_of_a_request_is_read_as_it_was_sent(request_: RegistryRequest) -> None:
    written = record(Seen("id", secret=request_.ref, request=request_))
    assert [written["repo" if name == "slug" else name] for name in FIELDS] == list(astuple(request_))
    assert written["secret"] == request_.ref


def test_all_lines_have_the_same_fields_in_the_same_order() -> None:
    decision = Policy([]).decide(RegistryRequest("a/b"), secret="main")
    learnt = record(Seen("id", "main", RegistryRequest("a/b"), Answer(decision)))
    assert list(learnt) == list(record(Seen("id")))


@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "reversed"])
def test_an_account_with_several_logins_shows_the_one_with_the_least_left(reverse: bool) -> None:
    outcomes = [Outcome("hit", held("long", 7200)), Outcome("hit", held("short", 3600))]
    expected = {"outcome": "hit", "remaining_seconds": 3600, "fingerprint": Secret("short").fingerprint()}
    assert accounts(*(reversed(outcomes) if reverse else outcomes)) == {"prod": expected}


@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "reversed"])
def test_an_account_of_which_one_login_failed_shows_the_failure(reverse: bool) -> None:
    outcomes = [Outcome("hit", held("good", 60)), Outcome("failed", error=ThrottledError("slow down"))]
    expected = {"outcome": "throttled", "remaining_seconds": None, "fingerprint": None}
    assert accounts(*(reversed(outcomes) if reverse else outcomes)) == {"prod": expected}


def test_a_control_character_cannot_start_a_line_of_its_own() -> None:
    ref = "refs/heads/x\n{}\r\u2028"
    assert record(Seen("id", request=RegistryRequest("a/b", ref=ref)))["ref"] == ref


def test_lines_are_appended_and_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    for number in range(2):
        assert AuditLog(str(file)).write(b"%d\n" % number)
    assert file.read_text() == "0\n1\n"
    assert file.stat().st_mode & 0o777 == 0o600


async def test_lines_of_one_turn_are_written_together_and_before_any_of_them_is_answered(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    log = AuditLog(str(file))

    async def ask(number: int) -> str:
        assert await log.commit(b"%d\n" % number)
        return file.read_text()

    assert await asyncio.gather(*map(ask, range(3))) == ["0\n1\n2\n"] * 3


async def test_a_request_that_is_cancelled_takes_no_other_line_with_it(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    log = AuditLog(str(file))
    first, second = (asyncio.create_task(log.commit(b"%d\n" % number)) for number in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert file.read_text() == "0\n1\n"


def test_a_line_after_one_that_went_out_in_part_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    log = AuditLog(str(file))
    with file_size_limit(10):
        assert not log.write(b"more than ten bytes\n")
        assert not log.write(b"1\n")
    assert log.write(b"2\n")
    assert log.write(b"3\n")
    assert file.read_text() == "more than \n2\n3\n"


async def test_each_line_of_a_write_that_ends_early_is_told_its_own_end(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    log = AuditLog(str(file))
    with file_size_limit(10):
        assert await asyncio.gather(*(log.commit(b"%d2345\n" % number) for number in range(3))) == [True, False, False]
    assert await log.commit(b"after\n")
    assert file.read_text() == "02345\n1234\nafter\n"


def test_a_line_that_does_not_go_out_is_told() -> None:
    assert not AuditLog("/dev/full").write(b"{}\n")


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[AuditLog, int]]:
    """Give a log that writes to a pipe, and the pipe's other end."""
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    yield AuditLog(str(fifo), write_seconds=0.01), reader
    os.close(reader)


def test_a_pipe_that_nobody_reads_is_given_up_and_read_again_it_gets_whole_lines(pipe: tuple[AuditLog, int]) -> None:
    log, reader = pipe
    text = b"x" * 999 + b"\n"
    written = 0
    while log.write(text):
        written += 1
    assert not log.write(text)
    held = os.read(reader, 1 << 20)
    assert held == text * written
    assert log.write(text)
    assert os.read(reader, 1 << 20) == text


def test_a_long_line_to_a_pipe_goes_out_in_pieces(pipe: tuple[AuditLog, int]) -> None:
    log, reader = pipe
    assert log.write(b"y" * 10_000 + b"\n")
    assert os.read(reader, 1 << 20) == b"y" * 10_000 + b"\n"


def test_a_pipe_without_a_reader_is_a_line_that_does_not_go_out(pipe: tuple[AuditLog, int]) -> None:
    log, reader = pipe
    other = os.dup(reader)
    os.dup2(os.open("/dev/null", os.O_RDONLY), reader)
    os.close(other)
    assert not log.write(b"{}\n")
