"""``ecrmint serve``: the server."""

import os

import click

from ecrmint import settings
from ecrmint.commands._options import config_option


@click.command()
@config_option
@click.option("--log-format", type=click.Choice(["json", "text"]), default="json", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default=None, help="Default: info."
)
def command(config: str, log_format: str, log_level: str | None) -> None:
    """Answer Drone's runners.

    Audit lines (one for each request) go to standard output, all other logs to standard error. The admin port has
    /healthz, /readyz and /metrics. SIGTERM drains: what is asked meanwhile is still answered.

    \b
    Point each runner at it:
      DRONE_REGISTRY_PLUGIN_ENDPOINT=http://ecrmint:3000
      DRONE_REGISTRY_PLUGIN_TOKEN=<one of the secrets>
    """
    loaded = settings.load(config, environ=os.environ)
    from ecrmint import server, telemetry  # after the configuration: a refused one is told without the server's imports

    level = log_level or ("debug" if loaded.debug else "info")
    telemetry.configure_logging(log_format="json" if log_format == "json" else "text", level=level)
    server.run(loaded)
