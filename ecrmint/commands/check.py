"""``ecrmint check``: is this configuration valid, and does it mean what it says?"""

import os
import sys
from collections.abc import Iterator, Sequence

import click

from ecrmint import lint, settings
from ecrmint.commands._options import config_option
from ecrmint.settings import Config, Settings
from ecrmint.table import columns

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
def command(config: str, without_secrets: bool, strict: bool) -> None:
    """Check a configuration, before a server has to.

    Finds all problems at once, each with its line, what was found and what is allowed; reads the secrets, and runs the
    configuration's own `tests:`. Nothing is asked of any cloud.

    \b
    Exit codes:
      0  valid
      1  valid, but with a warning, and --strict was given
      2  refused
    """
    loaded = settings.load(config, environ=os.environ, with_secrets=not without_secrets)
    warnings = [*loaded.warnings, *_warnings(loaded)]
    for label, lines in [*_summary(loaded.settings), ("warning", warnings)]:
        for index, line in enumerate(lines):
            click.echo(f"{'' if index else label:<11}{line}")
    click.echo(f"{config} is valid")
    sys.exit(1 if strict and warnings else 0)


def _summary(settings: Settings) -> Iterator[Row]:
    scheme = "https" if settings.tls is not None else "plain http"
    yield "listen", [f"{settings.listen} for runners ({scheme}), {settings.admin} for probes and metrics"]
    yield "secrets", [", ".join(secret.name for secret in settings.secrets) or "none in this file"]
    accounts = settings.accounts.items()
    yield "accounts", columns([(name, account.type, ", ".join(account.registries)) for name, account in accounts])
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
