"""podman's Docker API in a cell: the Docker daemon that the runner talks to."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.process import Process

from runner.cell import Cell
from runner.registry import HOST

# Without default_ulimits podman asks for the kernel's highest, which take CAP_SYS_RESOURCE: these are our own.
CONTAINERS = """
[containers]
default_ulimits = {ulimits}
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
REGISTRIES = f"""
[[registry]]
location = "{HOST}"
insecure = true
"""
CGROUPS = Path("/sys/fs/cgroup")


@contextmanager
def podman(cell: Cell, folder: Path) -> Iterator[str]:
    """Run the API with all its state in the folder, and yield its URL for DOCKER_HOST."""
    containers, registries, socket = folder / "containers.conf", folder / "registries.conf", folder / "podman.sock"
    containers.write_text(CONTAINERS.format(ulimits=_ulimits()), encoding="utf-8")
    registries.write_text(REGISTRIES, encoding="utf-8")
    state = {"root": "storage", "runroot": "run", "tmpdir": "tmp", "network-config-dir": "networks"}
    options = [f"--{option}={folder / name}" for option, name in state.items()]
    command = ["podman", "--storage-driver=vfs", *options, "system", "service", "--time=0", f"unix://{socket}"]
    env = {"CONTAINERS_CONF": str(containers), "CONTAINERS_REGISTRIES_CONF": str(registries)}
    with Process(cell.command(*command), folder, env=env) as process:
        process.wait_until(socket.exists)
        yield f"unix://{socket}"


def _ulimits() -> list[str]:
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    return ["{0}={1}:{1}".format(name, resource.getrlimit(which)[1]) for name, which in limits.items()]


def remove_cgroups() -> None:
    """Remove podman's empty cgroups, once its cell has ended: namespaces don't hold them."""
    for parent in list(CGROUPS.glob("**/libpod_parent")):
        for group in sorted(parent.glob("**/"), reverse=True):
            with suppress(OSError):  # in use by a podman that is not ours
                group.rmdir()
