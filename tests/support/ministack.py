"""ministack, an AWS emulator by others that checks signatures, trust and permissions, in an environment of its own.

It pins another botocore than ours, so it is never installed beside us. tests/aws/requirements.txt locks all of it; the
environment is made once for each content of that file and kept in the user's cache.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.process import Process, free_ports

_LOCK = Path(__file__).parents[1] / "aws" / "requirements.txt"
_INSTALL_SECONDS = 300


def install() -> Path:
    """Return the program, after making its environment where that does not exist yet."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]
    environment = _cache() / f"ministack-{version}-{digest}"
    program = environment / "bin" / "ministack"
    if not program.exists():
        _make(environment)
    return program


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ecrmint"


def _make(environment: Path) -> None:
    # Half an environment, of a run that was stopped, or of one beside us, must not look like a whole one.
    shutil.rmtree(environment, ignore_errors=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=_INSTALL_SECONDS)
        subprocess.run([*pip, "--require-hashes", "-r", str(_LOCK)], check=True, timeout=_INSTALL_SECONDS)
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        raise


@contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """Run it on a free port of loopback, its state in the folder, and yield its URL."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    env = {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "HOME": str(folder),
        "SERVICES": "sts,ecr,iam",
        "TMPDIR": str(folder),
    }
    with Process([str(install())], folder, env=env) as process:
        process.wait_until(lambda: _is_healthy(url))
        yield url


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=5) as answer:  # noqa: S310  # our own URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False
