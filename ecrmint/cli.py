"""The ``ecrmint`` command: finds the subcommand, and turns every error into plain lines and an exit code."""

import importlib
import sys
from typing import Final, NoReturn

import click

from ecrmint import __version__
from ecrmint.errors import ConfigError, EcrmintError

COMMANDS: Final = ("serve", "check", "explain", "request", "demo")


class _Commands(click.Group):
    """Imports a command only when it is named: ``request`` need not pay for what ``serve`` imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"ecrmint.commands.{cmd_name}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ecrmint")
def cli() -> None:
    """Short-lived docker logins for Drone builds, minted from IAM roles.

    A Drone runner asks ecrmint for the logins of a pipeline's private images. Rules decide which accounts the
    repository may use; logins are minted from the cloud's own identity system, so no cloud key is stored anywhere.

    \b
    Try it without any cloud:   ecrmint demo
    Before a deployment:        ecrmint check --config ecrmint.yaml
    As a runner would ask:      ecrmint request --endpoint http://127.0.0.1:3000 --repo team-a/app
    """


def main() -> NoReturn:
    """Run the command line and exit: 2 for a refused configuration or usage, 1 for any other error of ours."""
    try:
        cli(prog_name="ecrmint")
    except ConfigError as error:
        for line in error.lines():
            click.echo(line, err=True)
        click.echo(f"{error.source} is refused: {len(error.problems)} problem(s)", err=True)
        sys.exit(2)
    except EcrmintError as error:
        click.echo(f"ecrmint: {error}", err=True)
        sys.exit(1)
    sys.exit(0)
