"""How long ``ecrmint serve`` takes until it is ready, and how much memory it holds, with two clouds configured.

``PYTHONPATH=tests python -m bench.start``; how to read what it prints: bench/README.md.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from support.memory import resident_mib
from support.serve import Serve

from bench import load, post
from bench.clouds import Clouds, clouds

TIMES: Final = 7
LOAD_SECONDS: Final = 5


def python_seconds() -> float:
    """Return how long the interpreter alone takes: the floor for any Python program."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def serve_seconds(cloud: Clouds) -> float:
    """Return how long ``ecrmint serve`` takes from exec to the first 200 of /readyz."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with Serve.start(cloud.config, Path(folder), env=cloud.env):
            return time.perf_counter() - began


def memory(cloud: Clouds) -> list[tuple[str, float]]:
    """Return the resident memory when ready, once both clouds were asked, and after a load of requests."""
    request = post.signed(post.TWO_CLOUDS)
    with tempfile.TemporaryDirectory() as folder, Serve.start(cloud.config, Path(folder), env=cloud.env) as serve:
        pid = serve.process.pid
        ready = resident_mib(pid)
        logins = json.loads(post.send(request, serve.url))
        asked = resident_mib(pid)
        run = load.run(load.Target(serve.url, pid), request, seconds=LOAD_SECONDS, folder=Path(folder))
        loaded = resident_mib(pid)
    return [("ready", ready), (f"{len(logins)} logins minted", asked), (f"{run.answers:,} requests answered", loaded)]


def milliseconds(measure: Callable[[], float]) -> str:
    """Return the median of several measurements and their range, as text."""
    times = sorted(measure() * 1000 for _ in range(TIMES))
    return f"{statistics.median(times):.0f} ms ({times[0]:.0f} to {times[-1]:.0f})"


def main() -> None:
    """Measure and print, as the lines of a Markdown table."""
    with clouds() as cloud:
        print("| what | value |", "|---|---|", sep="\n")
        print(f"| `python -c pass` | {milliseconds(python_seconds)} |")
        print(f"| `ecrmint serve`, exec to ready | {milliseconds(lambda: serve_seconds(cloud))} |")
        for moment, mib in memory(cloud):
            print(f"| resident memory, {moment} | {mib:.0f} MiB |")


if __name__ == "__main__":
    main()
