"""The real Drone runner asks the installed server, and pulls a private image with the login it got, or can't."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.parts import require, require_root
from support.serve import Serve

from runner import registry
from runner.cell import cell
from runner.daemon import daemon
from runner.drone import Drone, drone
from runner.podman import podman, remove_cgroups
from runner.registry import Registry

TOOLS = ("go", "podman", "runc", "iptables", "skopeo", "docker-registry", "htpasswd", "busybox", "unshare", "nsenter")
SECRET = "secret-of-runner-and-extension-32"
LOG_CHARACTERS = 3_000  # of each log, from its end


@dataclass(frozen=True, slots=True)
class Result:
    """The stage's status, what ecrmint's audit says, and what the registry answered to the pull."""

    status: str
    outcome: object
    fork: object
    pull: set[int]


@dataclass(frozen=True, slots=True)
class Rig:
    """All parts while they run; their logs are in the folder."""

    folder: Path
    serve: Serve
    registry: Registry
    drone: Drone

    def build(self, tag: str, *, repo: str, event: str, source_repo: str) -> Result:
        """Run a build whose step needs the image under a tag of its own: podman would start a cached one."""
        status = self.drone.run(image=self.registry.push(tag), repo=repo, event=event, source_repo=source_repo)
        audit = self.serve.audit_lines(len(self.drone.builds))[-1]
        assert [audit["repo"], audit["build"]] == [repo, len(self.drone.builds)]
        return Result(status, audit["outcome"], audit["fork"], self.registry.answers(tag))

    def logs(self) -> str:
        """Return the ends of all logs, to be shown where a build ended otherwise than it should."""
        files = sorted(file for pattern in ("*.std*", "*.log") for file in self.folder.rglob(pattern))
        return "\n".join(f"--- {file}\n{file.read_text(errors='replace')[-LOG_CHARACTERS:]}" for file in files)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    require(*TOOLS)
    require_root()
    folder = tmp_path_factory.mktemp("runner")
    at = {name: folder / name for name in ("cell", "registry", "podman", "serve", "drone", "daemon")}
    for each in at.values():
        each.mkdir()
    with ExitStack() as stack:
        stack.callback(remove_cgroups)
        inside = stack.enter_context(cell(at["cell"], hosts={registry.HOST: registry.ADDRESS}))
        private = stack.enter_context(registry.registry(inside, at["registry"]))
        docker = stack.enter_context(podman(inside, at["podman"]))
        serve = stack.enter_context(Serve.start(config(at["serve"]), at["serve"]))
        server = stack.enter_context(drone(at["drone"]))
        host = f"127.0.0.1:{server.server_port}"
        stack.enter_context(daemon(at["daemon"], docker=docker, drone=host, extension=serve.url, secret=SECRET))
        yield Rig(folder, serve, private, server)


def config(folder: Path) -> str:
    """Return the extension's configuration; its secrets are files in the folder."""
    secret, password = folder / "secret", folder / "password"
    secret.write_text(SECRET, encoding="utf-8")
    password.write_text(registry.PASSWORD, encoding="utf-8")
    login = {"username": registry.USERNAME, "password": {"file": str(password)}}
    document = {
        "secrets": [{"name": "main", "file": str(secret)}],
        "accounts": {"private": {"type": "static", "registries": [registry.HOST], **login}},
        "rules": [{"name": "team-a", "repos": ["team-a/*"], "accounts": ["private"]}],
    }
    return yaml.safe_dump(document)


def test_a_push_of_an_allowed_repository_pulls_the_private_image(rig: Rig) -> None:
    result = rig.build("push", repo="team-a/app", event="push", source_repo="team-a/app")
    assert result == Result("success", outcome="granted", fork=False, pull={200}), rig.logs()


def test_a_pull_request_of_a_fork_cannot_pull_it(rig: Rig) -> None:
    result = rig.build("fork", repo="team-a/app", event="pull_request", source_repo="stranger/app")
    assert result == Result("error", outcome="empty", fork=True, pull={401}), rig.logs()


def test_an_unknown_repository_cannot_pull_it(rig: Rig) -> None:
    result = rig.build("unknown", repo="stranger/app", event="push", source_repo="stranger/app")
    assert result == Result("error", outcome="empty", fork=False, pull={401}), rig.logs()
