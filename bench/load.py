"""One run of the load generator, wrk: the same signed POST over and over, on a core of its own."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.runner import SignedRequest

from bench.proc import cpu_seconds

SERVER_CORE: Final = "0"
CLIENT_CORE: Final = "1"
CONNECTIONS: Final = "16"
# wrk calls `done` once, at the end; latencies are in microseconds, errors.status counts answers above 399.
SCRIPT: Final = """\
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{{"answers": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}}\\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load."""

    url: str
    pid: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw: answers in so many seconds, latencies in milliseconds, the server's CPU time in seconds."""

    answers: int
    seconds: float
    p50: float
    p99: float
    errors: int
    cpu: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of CPU time an answer."""
        return self.cpu / self.answers * 1e6


def run(target: Target, post: SignedRequest, *, seconds: int, folder: Path) -> Load:
    """Load the server for so many seconds. Raises: RuntimeError where one answer was not a 2xx."""
    script = folder / "post.lua"
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in post.headers.items()
    )
    script.write_text(SCRIPT.format(body=post.body.decode(), headers=headers))
    command = ["taskset", "-c", CLIENT_CORE, "wrk", "-t1", "-c", CONNECTIONS, "-d", f"{seconds}s", "-s", str(script)]
    before = cpu_seconds(target.pid)
    done = subprocess.run([*command, target.url], capture_output=True, text=True, check=True)
    load = Load(**json.loads(done.stdout.splitlines()[-1]), cpu=cpu_seconds(target.pid) - before)
    if load.errors:
        raise RuntimeError(f"{load.errors} of {load.answers} answers of {target.url} were errors")
    return load
