"""``ecrmint check``: is this configuration valid, does it mean what it says, and do the clouds agree?"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from ecrmint import lint, settings
from ecrmint.commands._options import config_option
from ecrmint.settings import Config, Settings
from ecrmint.table import columns
from ecrmint.tokens import DEFAULT_TIMEOUT

Row = tuple[str, Sequence[str]]
"""A label, and the lines beside it."""


@click.command()
@config_option
@click.option(
    "--without-secrets",
    is_flag=True,
    help="Read nothing but the configuration: no secret, no certificate, no environment variable.",
)
@click.option("--strict", is_flag=True, help="End with 1 where there is a warning.")
@click.option("--live", is_flag=True, help="Then mint every account's login, and try it at its registries.")
@click.option("--json", "as_json", is_flag=True, help="With --live: what came of it as JSON, and nothing else.")
def command(config: str, without_secrets: bool, strict: bool, live: bool, as_json: bool) -> None:
    """Check a configuration, before a server has to.

    Finds all problems at once, each with its line, what was found and what is allowed; reads the secrets, and runs the
    configuration's own `tests:`. Nothing is asked of any cloud without --live.

    --live walks each account, as the identity that this very command runs as: who that is, each role, the login, and
    each registry's answer to it. Where a step fails it says what to do, if possible with the very statement that an IAM
    policy lacks. No login is shown.

    \b
    Exit codes:
      0  valid; with --live, every registry takes its login
      1  valid, but --live found something, or there is a warning and --strict was given
      2  refused
    """
    if live and without_secrets:
        raise click.UsageError("--live needs the secrets: it can't go with --without-secrets")
    if as_json and not live:
        raise click.UsageError("--json shows what --live finds: give that too")
    loaded = settings.load(config, environ=os.environ, with_secrets=not without_secrets)
    warnings = [*loaded.warnings, *_warnings(loaded)]
    for line in _lines([("warning", warnings)] if as_json else [*_summary(loaded.settings), ("warning", warnings)]):
        click.echo(line, err=as_json)
    if not as_json:
        click.echo(f"{config} is valid")
    good = _walk(loaded, as_json=as_json) if live else True
    sys.exit(1 if not good or (strict and warnings) else 0)


def _lines(rows: Iterable[Row]) -> Iterator[str]:
    for label, lines in rows:
        yield from (f"{'' if index else label:<11}{line}" for index, line in enumerate(lines))


def _walk(config: Config, *, as_json: bool) -> bool:
    """Walk the accounts, show what came of it, and return whether all is well."""
    from ecrmint import live  # with all that talks to clouds, which a check of a file does without
    from ecrmint.commands import _live

    clocks = live.Clocks()
    planned = [*live.walks(config, clocks)]
    _progress(0, len(planned))
    reports = live.follow(planned, ended=lambda done: _progress(done, len(planned)))
    for line in [_live.as_json(reports, clocks)] if as_json else ["", *_live.as_text(reports, clocks)]:
        click.echo(line)
    return all(report.ok for report in reports)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        # The line is written over, and wiped at the end.
        click.echo(f"\r\x1b[K{f'{done} of {total} logins tried' if done < total else ''}", nl=False, err=True)


def _summary(settings: Settings) -> Iterator[Row]:
    scheme = "https" if settings.tls is not None else "plain http"
    yield "listen", [f"{settings.listen} for runners ({scheme}), {settings.admin} for probes and metrics"]
    yield "secrets", [", ".join(secret.name for secret in settings.secrets) or "none in this file"]
    accounts = settings.accounts.items()
    yield "accounts", columns([(name, account.type, ", ".join(account.hosts)) for name, account in accounts])
    yield "rules", [f"{len(settings.rules)}, of which {sum(rule.effect == 'deny' for rule in settings.rules)} deny"]
    yield "tests", [f"{len(settings.tests)}, all passed"]
    yield (
        "same host",
        [
            f"{clash.host}: {clash.answers} answers and {clash.silent} does not, where a build is granted both"
            for clash in lint.clashes(settings)
        ],
    )


def _warnings(config: Config) -> Iterator[str]:
    for name in lint.unused_accounts(config.settings):
        yield f"{config.source}: accounts.{name}: no rule grants it"
    for name, life in lint.short_lives(config):
        yield (
            f"{config.source}: accounts.{name}: a login lives {life / 60:.0f} min at most, and a build may take"
            f" {DEFAULT_TIMEOUT} min (Drone's default timeout): what is pulled late may fail. A service_account's"
            " lifetime may be longer where its organisation allows it"
        )
