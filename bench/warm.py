"""Warm requests a second of the whole server, beside bare uvicorn and Drone's own Go handler, each on one core.

``PYTHONPATH=tests python -m bench.warm``; how to read what it prints: bench/README.md.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from support.golang import build, extension
from support.process import Process, free_ports, listens
from support.serve import Serve

from bench import load, post
from bench.clouds import clouds
from bench.load import Load, Target

PIN: Final = ("taskset", "-c", load.SERVER_CORE)
BARE: Final = Path(__file__).with_name("bare.py")
WARM_UP: Final = 1  # seconds
HEAD: Final = "| server | requests/s | spread | p50 ms | p99 ms | ratio | CPU µs a request | CPU ratio |"
Loads = Mapping[str, list[Load]]


@contextmanager
def bare_uvicorn(answer: bytes, folder: Path) -> Iterator[Target]:
    """Run bare uvicorn with that answer and yield it."""
    file = folder / "answer.json"
    file.write_bytes(answer)
    (port,) = free_ports(1)
    with Process([*PIN, sys.executable, str(BARE), str(port), str(file)], folder) as process:
        process.wait_until(lambda: listens(port))
        yield Target(f"http://127.0.0.1:{port}", process.pid)


@contextmanager
def servers() -> Iterator[Mapping[str, Target]]:
    """Run the three side by side, the two others with the very bytes that ecrmint answers."""
    with ExitStack() as stack:
        ecrmint_folder, bare_folder, go_folder = (
            Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)
        )
        cloud = stack.enter_context(clouds())
        serve = stack.enter_context(Serve.start(cloud.config, ecrmint_folder, env=cloud.env, prefix=PIN))
        answer = post.send(post.signed(), serve.url)
        bare = stack.enter_context(bare_uvicorn(answer, bare_folder))
        (login,) = json.loads(answer)
        go = stack.enter_context(
            extension(build(), go_folder, secret=post.SECRET, logins={post.ONE_CLOUD: [login]}, prefix=PIN, quiet=True)
        )
        yield {
            "bare uvicorn": bare,
            "Drone's Go handler": Target(go.url, go.process.pid),
            "ecrmint serve": Target(serve.url, serve.process.pid),
        }


def measure(targets: Mapping[str, Target], *, rounds: int, seconds: int) -> Loads:
    """Load each in turn, for so many rounds after one to warm up: what disturbs the machine disturbs all three."""
    loads: dict[str, list[Load]] = {name: [] for name in targets}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds + 1):
            for name, target in targets.items():
                run = load.run(target, post.signed(), seconds=seconds if turn else WARM_UP, folder=Path(folder))
                loads[name] += [run] if turn else []
                print(f"round {turn}: {name}: {run.rate:,.0f}/s", file=sys.stderr)
    return loads


def table(loads: Loads) -> list[str]:
    """Return the result as the lines of a Markdown table; ratios are to the first row."""
    base = next(iter(loads.values()))
    return [HEAD, "|---|---|---|---|---|---|---|---|"] + [row(name, runs, base=base) for name, runs in loads.items()]


def row(name: str, runs: Sequence[Load], *, base: Sequence[Load]) -> str:
    """Return one line: medians over the rounds, and how far apart the rounds were."""
    rates = [run.rate for run in runs]
    rate, cost = median(rates), median(run.cost for run in runs)
    p50, p99 = median(run.p50 for run in runs), median(run.p99 for run in runs)
    spread = (max(rates) - min(rates)) / rate
    ratio, cost_ratio = rate / median(run.rate for run in base), median(run.cost for run in base) / cost
    return (
        f"| {name} | {rate:,.0f} | {spread:.0%} | {p50:.2f} | {p99:.2f} | {ratio:.2f} | {cost:.0f} | {cost_ratio:.2f} |"
    )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5, help="of each run")
    chosen = options.parse_args()
    with servers() as targets:
        loads = measure(targets, rounds=chosen.rounds, seconds=chosen.seconds)
    print(*table(loads), sep="\n")


if __name__ == "__main__":
    main()
