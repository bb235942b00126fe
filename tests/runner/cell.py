"""A cell: namespaces for what a test starts, so that no process, mount, bridge or firewall rule outlives the test."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.process import Process

# Container tools keep state in /run and /var/lib whatever they are told. The shell stays as the first process: it reaps
# what loses its parent.
INSIDE = """
busybox ifconfig lo up
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount --bind "$1" /etc/hosts
touch "$2"
sleep infinity & wait
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """``first`` is its first process; when that ends, the kernel ends all others."""

    first: int

    def command(self, *command: str) -> list[str]:
        """Return that command as it is run inside."""
        return ["nsenter", f"--target={self.first}", "--mount", "--net", "--pid", "--", *command]


@contextmanager
def cell(folder: Path, *, hosts: Mapping[str, str]) -> Iterator[Cell]:
    """Open a cell whose only network is a loopback interface; ``hosts`` are names and their addresses. Needs root."""
    hosts_file, ready = folder / "hosts", folder / "ready"
    hosts_file.write_text("".join(f"{address} {name}\n" for name, address in hosts.items()), encoding="utf-8")
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with Process([*unshare, "sh", "-ec", INSIDE, "sh", str(hosts_file), str(ready)], folder) as process:
        process.wait_until(ready.exists)
        first = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii"))
        try:
            yield Cell(first)
        finally:
            os.kill(first, signal.SIGKILL)  # a namespace's first process ignores SIGTERM, and unshare blocks it
