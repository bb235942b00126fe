"""How long ``ecrmint serve`` takes until it is ready, and how much memory it holds, with two clouds configured.

``PYTHONPATH=tests python -m bench.start``; how to read what it prints: bench/README.md.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from support.serve import Serve

from bench import post

TIMES: Final = 7
CONFIG: Final = f"""\
secrets: [{{name: bench, value: {post.SECRET}}}]
accounts:
  prod:
    type: ecr
    registries: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]
    role_arn: arn:aws:iam::123456789012:role/drone-pull
  gar:
    type: google
    registries: [europe-docker.pkg.dev]
    service_account: drone-pull@acme.iam.gserviceaccount.com
rules:
  - {{name: team, repos: ["team-a/*"], events: [push, tag], accounts: [prod, gar]}}
"""


def python_seconds() -> float:
    """Return how long the interpreter alone takes, the floor for any Python program."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def serve_seconds() -> float:
    """Return how long ``ecrmint serve`` takes from exec to the first 200 of /readyz."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Serve.start(CONFIG, Path(folder)):
        return time.perf_counter() - began


def resident_mib(pid: int) -> float:
    """Return a process's resident memory (VmRSS of proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
