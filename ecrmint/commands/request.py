"""``ecrmint request``: asks a server as a runner would, to try it out."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import click

from ecrmint import client
from ecrmint.client import Answer, Logins
from ecrmint.commands._options import WrongUseError, build_options
from ecrmint.errors import NoAnswerError
from ecrmint.fields import SecretSource
from ecrmint.secretfile import read_secret
from ecrmint.table import columns, printable
from ecrmint.tokens import Secret
from ecrmint.wire import RegistryRequest

VARIABLES: Final = ("ECRMINT_SECRET", "DRONE_REGISTRY_PLUGIN_TOKEN", "DRONE_SECRET")
CLOCKS_DIFFER: Final = 30.0  # seconds that a network can't explain
UNAUTHORIZED: Final = 401
MASK: Final = "***"

HINTS: Final[Mapping[int, str]] = {
    401: "The secret is not the server's, or its clock and ours differ. The server's log says which check failed.",
    404: "The server answers at another path: compare the endpoint with `path:` in its configuration.",
    406: "The endpoint is another kind of extension, or it encrypts and this secret is too short for that.",
    503: "The server is overloaded, or a mint failed. Ask again; its log says more.",
}
REDIRECT_HINT: Final = "Runners follow no redirect: give them the address where it ends."
EMPTY_HINT: Final = (
    "No rule grants this build anything, or every mint failed: the server's audit line says which."
    " What the rules say, on the server:"
)


@click.command()
@click.option("--endpoint", required=True, metavar="URL", help="Where the extension listens, as runners are told it.")
@build_options
@click.option("--timeout", type=int, default=60, show_default=True, metavar="MINUTES", help="The repository's timeout.")
@click.option("--build", type=int, default=1, show_default=True, metavar="NUMBER", help="The build's number.")
@click.option("--secret-file", metavar="FILE", help="A file with the shared secret.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option("--show-passwords", is_flag=True, help="Print passwords instead of ***.")
@click.option("--allow-empty", is_flag=True, help="An empty list is no failure.")
def command(
    *,
    endpoint: str,
    secret_file: str | None,
    as_json: bool,
    show_passwords: bool,
    allow_empty: bool,
    asked: RegistryRequest,
    timeout: int,
    build: int,
) -> None:
    """Ask a registry extension as a Drone runner would, and show what a build would get.

    The request is signed with the shared secret: that of --secret-file, else of ECRMINT_SECRET_FILE, ECRMINT_SECRET,
    DRONE_REGISTRY_PLUGIN_TOKEN or DRONE_SECRET, whichever is set first.

    \b
    A build of the main branch, then a pull request of a fork:
      export DRONE_REGISTRY_PLUGIN_TOKEN=...
      ecrmint request --endpoint http://127.0.0.1:3000 --repo team-a/app
      ecrmint request --endpoint http://127.0.0.1:3000 --repo team-a/app \\
        --event pull_request --ref refs/pull/7/head --source-repo stranger/app

    Exit code 0: logins. 1: a refusal, or an empty list. 2: wrong usage, or no connection.
    """
    if not asked.slug:
        raise click.MissingParameter(param_hint="--repo", param_type="option")
    asked = replace(asked, timeout=timeout, build=build)
    try:
        answer = client.ask(endpoint, find_secret(secret_file, os.environ), asked)
    except NoAnswerError as error:
        raise WrongUseError(str(error)) from None
    if answer.problem:
        raise click.ClickException(_refusal(answer))
    click.echo(_as_json(answer.logins, show_passwords) if as_json else _table(answer.logins, show_passwords))
    if not answer.logins:
        click.echo(f"{EMPTY_HINT}\n  {_explain(asked)}", err=True)
        click.get_current_context().exit(0 if allow_empty else 1)


def find_secret(file: str | None, environ: Mapping[str, str]) -> Secret:
    """Return the secret of the file or else of the first variable that is set. Raises: click.UsageError."""
    try:
        return read_secret(_source(file or environ.get("ECRMINT_SECRET_FILE"), environ), environ)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _source(file: str | None, environ: Mapping[str, str]) -> SecretSource:
    if file:
        return SecretSource(file=file)
    for name in VARIABLES:
        if environ.get(name):
            return SecretSource(env=name)
    raise ValueError(f"no shared secret: name its file with --secret-file, or set one of {', '.join(VARIABLES)}")


def _explain(asked: RegistryRequest) -> str:
    """Return the command line that explains what the server decided."""
    texts = {
        "--repo": asked.slug,
        "--event": asked.event,
        "--ref": asked.ref,
        "--source-repo": asked.source_repo,
        "--uid": asked.uid,
        "--deploy-to": asked.deploy_to,
    }
    words = [word for name, value in texts.items() if value for word in (name, value)]
    words += ["--trusted"] * asked.trusted + ["--private"] * asked.private
    return printable(shlex.join(["ecrmint", "explain", "--config", "ecrmint.yaml", *words]))


def _refusal(answer: Answer) -> str:
    redirect = 300 <= answer.status < 400  # noqa: PLR2004 - the redirects of HTTP
    hints = [REDIRECT_HINT if redirect else HINTS.get(answer.status, ""), _clock_hint(answer)]
    if answer.request_id:
        hints.append(f"The server's log has it as request {printable(answer.request_id)}.")
    return "\n".join([f"{answer.status}: {answer.problem}", *filter(None, hints)])


def _clock_hint(answer: Answer) -> str:
    ahead = answer.clock_ahead
    if answer.status != UNAUTHORIZED or ahead is None or abs(ahead) < CLOCKS_DIFFER:
        return ""
    return f"The server's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours."


def _as_json(logins: Logins, show: bool) -> str:
    entries = [
        {"address": address, "username": login.username, "password": _password(login.password, show)}
        for address, login in logins
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False)


def _password(secret: Secret, show: bool) -> str:
    return secret.reveal() if show else MASK


def _table(logins: Logins, show: bool) -> str:
    rows = [("ADDRESS", "USERNAME", "FINGERPRINT", "PASSWORD")]
    for address, login in logins:
        password = _password(login.password, show)
        rows.append((printable(address), printable(login.username), login.password.fingerprint(), printable(password)))
    return "\n".join(columns(rows)) if logins else "no logins"
