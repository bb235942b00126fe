"""``ecrmint demo``: everything at once on loopback, with a stand-in cloud."""

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import httpx2

from ecrmint import client, settings
from ecrmint.client import Answer
from ecrmint.errors import EcrmintError
from ecrmint.policy import Policy
from ecrmint.standin import example
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.example import Example
from ecrmint.standin.server import StandinServer
from ecrmint.table import columns
from ecrmint.tokens import Secret
from ecrmint.wire import RegistryRequest

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0
_BUILDS: Final = (
    ("A push to a repository that the rules allow", RegistryRequest("team-a/app", event="push", ref="refs/heads/main")),
    (
        "A pull request to it from somebody's fork",
        RegistryRequest("team-a/app", event="pull_request", ref="refs/pull/7/head", source_repo="stranger/app"),
    ),
    (
        "A push to a repository that no rule knows",
        RegistryRequest("stranger/thing", event="push", ref="refs/heads/main"),
    ),
)


class DemoError(EcrmintError):
    """The demo can't go on."""

    code = "demo"


@click.command()
@click.option("--exit", "leave", is_flag=True, help="End after the three builds instead of staying up.")
def command(leave: bool) -> None:
    """Show the main job on this machine, with nothing but loopback.

    Starts a stand-in cloud (AWS, Google and registries that check what real ones check) and `ecrmint serve`, asks as a
    Drone runner would for three builds, shows each answer with what was granted and why, and proves a minted login at
    the stand-in's registry. Then it stays up, to be asked by `ecrmint request`. Ctrl-C ends everything.
    """
    cloud = Cloud()
    environment = example.populate(cloud)
    with (
        contextlib.suppress(KeyboardInterrupt),
        _ended_by_signals(),
        _folder() as folder,
        StandinServer(cloud) as standin,
    ):
        _step("stand-in cloud", f"{standin.url}  (AWS, Google, registries; everybody in it is made up)")
        listen, admin = _port(3000, "runners' port"), _port(9090, "admin port")
        made = example.write(
            folder,
            cloud_url=standin.url,
            listen=listen,
            admin=admin,
            secret=secrets.token_hex(16),
            environment=environment,
        )
        _step("configuration", str(made.config_file))
        with _serving(made, folder, admin):
            _step("ecrmint serve", f"http://127.0.0.1:{listen}  (admin http://127.0.0.1:{admin})")
            _show_builds(made, f"http://127.0.0.1:{listen}", standin)
            if not leave:
                _stay(made, listen, admin, folder)
    click.echo("\nAll that was started has ended." if not leave else "")


def _step(what: str, where: str) -> None:
    click.echo(f"{what:<16}{where}")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End on SIGTERM, or with the terminal, as on Ctrl-C: what was started must not outlive us."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ecrmint-demo-") as folder:
        yield Path(folder)


def _port(wanted: int, name: str) -> int:
    """Return the wanted port of 127.0.0.1, or a free one, saying so, where another program has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
            click.echo(f"{'':16}port {wanted} is taken: the {name} is {probe.getsockname()[1]} instead")
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _serving(made: Example, folder: Path, admin: int) -> Iterator[None]:
    """Run ``ecrmint serve`` as a child, its audit lines and logs in files of the folder."""
    arguments = [sys.executable, "-m", "ecrmint", "serve", "--config", str(made.config_file), "--log-format", "text"]
    with (folder / "audit.jsonl").open("wb") as audit, (folder / "serve.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own command
            arguments, env=_environment() | made.environment, stdin=subprocess.DEVNULL, stdout=audit, stderr=log
        )
    try:
        _wait_ready(child, admin, folder / "serve.log")
        yield
    finally:
        child.terminate()
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()


def _environment() -> dict[str, str]:
    """Return our environment without what points a cloud's or this program's clients elsewhere."""
    ours = ("AWS_", "ECRMINT_", "DRONE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(ours)}


def _wait_ready(child: subprocess.Popen[bytes], admin: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx2.Client(trust_env=False) as http:
        while time.monotonic() < deadline and child.poll() is None:
            with contextlib.suppress(httpx2.TransportError):
                if http.get(f"http://127.0.0.1:{admin}/readyz").is_success:
                    return
            time.sleep(0.02)
    raise DemoError(f"ecrmint serve did not start:\n{log.read_text()}")


def _show_builds(made: Example, endpoint: str, standin: StandinServer) -> None:
    config = settings.load(str(made.config_file), environ={})
    policy, secret = config.policy, config.shared_secrets[0]
    for title, request in _BUILDS:
        started = time.monotonic()
        answer = client.ask(endpoint, secret.key, request)
        milliseconds = (time.monotonic() - started) * 1000
        click.echo(f"\n{click.style(title, bold=True)}: {request.slug}, {request.event}, {request.ref}")
        if answer.problem:
            raise DemoError(f"{answer.status}: {answer.problem}")
        click.echo(f"  {answer.status} after {milliseconds:.0f} ms, {len(answer.logins)} logins")
        for line in [*_logins(answer), *_reasons(policy, request, secret.name)]:
            click.echo(f"  {line}")
        if answer.logins:
            _prove(answer, standin)


def _logins(answer: Answer) -> list[str]:
    if not answer.logins:
        return []
    rows = [("ADDRESS", "USERNAME", "PASSWORD")]
    for address, login in answer.logins:
        password = login.password.reveal()
        rows.append((address, login.username, f"*** ({len(password)} characters, {login.password.fingerprint()})"))
    return columns(rows)


def _reasons(policy: Policy, request: RegistryRequest, secret: str) -> list[str]:
    decision = policy.decide(request, secret=secret)
    granted = ", ".join(decision.accounts) or "nothing"
    verdicts = policy.explain(request, secret=secret)
    rows = [(f"rule {verdict.rule}", verdict.text) for verdict in verdicts]
    return [f"granted: {granted}", *columns(rows)]


def _prove(answer: Answer, standin: StandinServer) -> None:
    logins = dict(answer.logins)
    for host in (example.ECR_HOST, example.GOOGLE_HOST):
        login = logins[host]
        good = _ping(standin.url, host, login.username, login.password)
        bad = _ping(standin.url, host, login.username, Secret("made-up"))
        click.echo(f"  proof: GET /v2/ at {host}: {good} with its login, {bad} with another password")


def _ping(url: str, host: str, username: str, password: Secret) -> int:
    answer = httpx2.get(f"{url}/v2/", headers={"Host": host}, auth=(username, password.reveal()), trust_env=False)
    return answer.status_code


def _stay(made: Example, listen: int, admin: int, folder: Path) -> None:
    ours = _this_command()
    secret_file = shlex.quote(str(made.secret_file))
    click.echo(f"\nAudit lines, one for each request: {folder / 'audit.jsonl'}")
    click.echo("\nIt stays up until Ctrl-C. Try, from another terminal:\n")
    click.echo(f"  {ours} request --endpoint http://127.0.0.1:{listen} --repo team-a/app --secret-file {secret_file}")
    click.echo(f"  {ours} explain --config {shlex.quote(str(made.config_file))} --repo team-a/legacy")
    click.echo(f"  curl -s http://127.0.0.1:{admin}/metrics | grep ecrmint_")
    signal.pause()


def _this_command() -> str:
    """Return how this very program is called from where the person stands."""
    if shutil.which("ecrmint"):
        return "ecrmint"
    here = Path(sys.argv[0])
    return shlex.quote(os.path.relpath(here)) if here.name == "ecrmint" else f"{shlex.quote(sys.executable)} -m ecrmint"
