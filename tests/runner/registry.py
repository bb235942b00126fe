"""Debian's docker-registry in a cell: it accepts exactly one login."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from support.process import Process

from runner import image
from runner.cell import Cell

HOST = "private.rig.test"
ADDRESS = "127.0.0.2"  # of the cell's own loopback, where port 80 is always free: a bare host name is what rules have
REPOSITORY = f"{HOST}/team-a/private"
USERNAME, PASSWORD = "ci", "password-of-the-private-registry"


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry while it runs."""

    cell: Cell
    image: Path
    process: Process

    def push(self, tag: str) -> str:
        """Push the image under that tag, and return its name."""
        name = f"{REPOSITORY}:{tag}"
        options = ["--quiet", "--dest-tls-verify=false", f"--dest-creds={USERNAME}:{PASSWORD}"]
        command = self.cell.command("skopeo", "copy", *options, f"docker-archive:{self.image}", f"docker://{name}")
        subprocess.run(command, check=True, timeout=60)
        return name

    def answers(self, tag: str) -> set[int]:
        """Return the distinct statuses that pulls of the tag were answered with, from the access log."""
        log = self.process.stdout.read_text(encoding="utf-8")
        return {int(status) for status in re.findall(rf'"GET /v2/\S+/manifests/{tag} \S+" (\d+)', log)}


@contextmanager
def registry(cell: Cell, folder: Path) -> Iterator[Registry]:
    """Run a registry that keeps all it has in the folder."""
    archive = folder / "image.tar"
    image.write(archive)
    with Process(cell.command("docker-registry", "serve", str(_config(folder))), folder) as process:
        process.wait_until(lambda: "listening on" in process.stderr.read_text(encoding="utf-8"))
        yield Registry(cell, archive, process)


def _config(folder: Path) -> Path:
    logins = folder / "htpasswd"
    htpasswd = ["htpasswd", "-niB", USERNAME]
    with logins.open("wb") as file:
        subprocess.run(htpasswd, input=PASSWORD.encode(), stdout=file, check=True, timeout=60)
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": f"{ADDRESS}:80"},
        "auth": {"htpasswd": {"realm": "private", "path": str(logins)}},
    }
    written = folder / "config.yaml"
    written.write_text(yaml.safe_dump(config), encoding="utf-8")
    return written
