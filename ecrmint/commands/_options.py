"""Options that several commands share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, get_args

import click

from ecrmint.policy import Event
from ecrmint.wire import RegistryRequest


class WrongUseError(click.ClickException):
    """A command that can't do its work with what it was given: one plain line, exit code 2."""

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

_BUILD: Final = (
    click.option("--repo", metavar="SLUG", default="", help="The repository, as in octocat/hello-world."),
    click.option("--event", type=click.Choice(get_args(Event)), default="push", show_default=True, help="Its event."),
    click.option("--ref", default="refs/heads/main", show_default=True, help="The git reference that is built."),
    click.option("--source-repo", metavar="SLUG", default="", help="Where a pull request comes from."),
    click.option("--uid", default="", help="The repository's id at the forge."),
    click.option("--trusted", is_flag=True, help="The repository is trusted in Drone."),
    click.option("--private", is_flag=True, help="The repository is private."),
    click.option("--deploy-to", metavar="TARGET", default="", help="The target of a promotion."),
)


def build_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that describe a build; it gets ``asked: RegistryRequest``."""

    @wraps(command)
    def describing(
        *,
        repo: str,
        event: str,
        ref: str,
        source_repo: str,
        uid: str,
        trusted: bool,
        private: bool,
        deploy_to: str,
        **others: Any,
    ) -> None:
        asked = RegistryRequest(
            slug=repo,
            uid=uid,
            event=event,
            ref=ref,
            source_repo=source_repo,
            deploy_to=deploy_to,
            trusted=trusted,
            private=private,
        )
        command(asked=asked, **others)

    described: Callable[..., None] = describing
    for option in reversed(_BUILD):
        described = option(described)
    return described
