"""``ecrmint demo`` as a person runs it."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.process import Process
from support.serve import ECRMINT


@contextmanager
def taken(*ports: int) -> Iterator[None]:
    """Listen on those ports; where another program has one already, that will do as well."""
    sockets = []
    for port in ports:
        try:
            sockets.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
    try:
        yield
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what the demo prints where its usual ports are taken."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "AWS_PROFILE": "a-profile-of-the-person"}
    with taken(3000, 9090):
        ended = subprocess.run(
            [str(ECRMINT), "demo", "--exit"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(folder.iterdir()) == []
    return ended.stdout


def test_the_three_builds_get_what_the_rules_say(shown: str) -> None:
    assert re.findall(r"^  200 after \d+ ms, (\d) logins$", shown, re.MULTILINE) == ["3", "0", "0"]
    assert "granted: prod, gar, hub" in shown
    assert "forks: this is a fork build (source_repo stranger/app)" in shown
    assert "repos: found stranger/thing, allowed team-a/*" in shown


def test_the_minted_logins_are_proven_at_the_registry(shown: str) -> None:
    assert shown.count("200 with its login, 401 with another password") == 2


def test_taken_ports_are_said_and_others_chosen(shown: str) -> None:
    assert re.search(r"port 3000 is taken: the runners' port is \d+ instead", shown)
    assert re.search(r"port 9090 is taken: the admin port is \d+ instead", shown)


def test_no_password_is_shown(shown: str) -> None:
    assert "correct-horse-battery-staple" not in shown
    assert re.search(r"[A-Za-z0-9+=_-]{60}", shown) is None


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_it_stays_up_and_ends_everything_that_it_started(ending: signal.Signals, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with Process([str(ECRMINT), "demo"], tmp_path, env={"TMPDIR": str(temporary)}) as demo:
        demo.wait_until(lambda: "It stays up until Ctrl-C" in demo.stdout.read_text())
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        assert len(children) == 1
        os.kill(demo.pid, ending)
        assert demo.wait() == 0
    assert not Path(f"/proc/{children[0]}").exists()
    assert list(temporary.iterdir()) == []
    assert demo.stdout.read_text().endswith("All that was started has ended.\n")


def test_the_command_that_it_prints_works(tmp_path: Path) -> None:
    with Process([str(ECRMINT), "demo"], tmp_path) as demo:
        demo.wait_until(lambda: "/metrics" in demo.stdout.read_text())
        printed = re.search(r"request (--endpoint .*)$", demo.stdout.read_text(), re.MULTILINE)
        assert printed is not None
        asked = subprocess.run(
            [str(ECRMINT), "request", *printed[1].split()], capture_output=True, text=True, timeout=30, check=False
        )
        assert (asked.returncode, asked.stdout.count("\n")) == (0, 4)
