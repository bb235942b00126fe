"""Options that several commands share."""

import click


class WrongUseError(click.ClickException):
    """A command that was given the wrong things: one plain line, exit code 2."""

    exit_code = 2


def _named(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    if not value:
        raise WrongUseError("no configuration: name the file with --config FILE, or in ECRMINT_CONFIG")
    return value


config_option = click.option(
    "--config",
    metavar="FILE",
    envvar="ECRMINT_CONFIG",
    callback=_named,
    help="The configuration, a YAML file. Default: what ECRMINT_CONFIG names.",
)
"""``--config FILE``; the command gets ``config: str``. Without one it ends in one plain line and exit code 2."""
