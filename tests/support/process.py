"""A child process of a test: its output in files, ready when it says so, ended by its own pid."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

POLL_SECONDS = 0.01
STOP_SECONDS = 10.0


def _kept() -> dict[str, str]:
    """Return what a child may see of our environment: where programs are, and that coverage is measured."""
    return {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_CONFIG") if name in os.environ}


class Process:
    """Runs until the ``with`` block ends; its environment is PATH and what is given: nothing else of ours leaks in."""

    def __init__(self, command: Sequence[str], folder: Path, *, env: Mapping[str, str] | None = None) -> None:
        """Start the command; ``stdout`` and ``stderr`` are files in the folder, named after the program."""
        name = Path(command[0]).name
        self.stdout, self.stderr = folder / f"{name}.stdout", folder / f"{name}.stderr"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**_kept(), **(env or {})},
            )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 20.0) -> None:
        """Return as soon as ``ready()``. Raises: AssertionError where the child ends first, or the time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self._child.poll()
            assert ended is None, f"ended with {ended}: {self.stderr.read_text()}"
            assert time.monotonic() < deadline, f"not ready after {seconds} s: {self.stderr.read_text()}"
            time.sleep(POLL_SECONDS)

    def wait(self) -> int:
        """Wait for the child to end by itself and return its exit code. Raises: subprocess.TimeoutExpired."""
        return self._child.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Ask the child to end (SIGTERM), kill it where it doesn't, and return its exit code."""
        self._child.terminate()
        try:
            return self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def free_ports(count: int) -> list[int]:
    """Return that many different TCP ports of 127.0.0.1 that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def listens(port: int) -> bool:
    """Say whether somebody accepts connections on that port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
