"""drone-runner-docker as its users run it: built once from its Go module, kept outside of this repository."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.process import Process, free_ports

MODULE: Final = "github.com/drone-runners/drone-runner-docker"
VERSION: Final = "v1.8.3"
RPC_SECRET: Final = "secret-of-runner-and-server"


def program() -> Path:
    """Return the runner's program, built into the user's cache folder where it isn't there yet (about 15 s)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = cache / "ecrmint" / f"drone-runner-docker-{VERSION}"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=built.parent) as folder:
            _build(Path(folder) / built.name).rename(built)
    return built


def _build(target: Path) -> Path:
    """Build in the module's own folder, which ``go install`` refuses: its go.mod replaces a module."""
    download = ["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    module = subprocess.run(download, cwd=target.parent, check=True, stdout=subprocess.PIPE, timeout=300)
    source = json.loads(module.stdout)["Dir"]
    subprocess.run(["go", "build", "-o", str(target), "."], cwd=source, check=True, timeout=300)
    return target


@contextmanager
def daemon(folder: Path, *, docker: str, drone: str, extension: str, secret: str) -> Iterator[Process]:
    """Run the daemon; ``docker`` and ``extension`` are URLs, ``drone`` is host:port, ``secret`` the extension's."""
    (port,) = free_ports(1)
    env = {
        "DOCKER_HOST": docker,
        "DRONE_RPC_HOST": drone,
        "DRONE_RPC_SECRET": RPC_SECRET,
        "DRONE_REGISTRY_PLUGIN_ENDPOINT": extension,
        "DRONE_REGISTRY_PLUGIN_TOKEN": secret,
        "DRONE_HTTP_BIND": f"127.0.0.1:{port}",
        "DRONE_RUNNER_CAPACITY": "1",
        "DRONE_TRACE": "true",
    }
    with Process([str(program()), "daemon"], folder, env=env) as process:
        yield process
