"""Drone's own client and handler: the programs of tests/interop, built with the machine's Go and run."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.process import Process, free_ports, listens

SOURCES = Path(__file__).parents[1] / "interop"
PROGRAMS = Path(__file__).parents[2] / ".cache" / "interop"
Logins = Sequence[Mapping[str, str]]


def build() -> Path:
    """Build what has changed into the repository's cache folder, and return that folder."""
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-o", f"{PROGRAMS}/", "./..."], cwd=SOURCES, check=True, timeout=300)
    return PROGRAMS


@dataclass(frozen=True, slots=True)
class Answer:
    """What Drone's client made of an answer; ``encoding`` is its Content-Encoding."""

    registries: list[dict[str, str]]
    error: str
    encoding: str


def ask(
    programs: Path, endpoint: str, *, secret: str, repo: Mapping[str, object], build: Mapping[str, object]
) -> Answer:
    """Ask the extension at that URL as a runner would; ``repo`` and ``build`` are in Drone's field names."""
    question = {"endpoint": endpoint, "secret": secret, "repo": repo, "build": build}
    done = subprocess.run(
        [str(programs / "client")], input=json.dumps(question).encode(), capture_output=True, check=True, timeout=60
    )
    return Answer(**json.loads(done.stdout))


@dataclass(frozen=True, slots=True)
class Extension:
    """Drone's own handler while it runs."""

    url: str
    process: Process

    def accepted(self) -> list[dict[str, dict[str, object]]]:
        """Return the requests that it accepted so far, each ``{repo, build}``."""
        return [json.loads(line) for line in self.process.stdout.read_text(encoding="utf-8").splitlines()]


@contextmanager
def extension(
    programs: Path,
    folder: Path,
    *,
    secret: str,
    logins: Mapping[str, Logins],
    prefix: Sequence[str] = (),
    quiet: bool = False,
) -> Iterator[Extension]:
    """Run Drone's handler on a free port with fixed logins for each slug; ``quiet`` records no requests."""
    file = folder / "logins.json"
    file.write_text(json.dumps(logins), encoding="utf-8")
    (port,) = free_ports(1)
    command = [*prefix, str(programs / "server"), "-listen", f"127.0.0.1:{port}", "-logins", str(file)]
    with Process([*command, *(["-quiet"] if quiet else [])], folder, env={"SECRET": secret}) as process:
        process.wait_until(lambda: listens(port))
        yield Extension(f"http://127.0.0.1:{port}", process)
