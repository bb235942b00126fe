"""``ecrmint explain``: what the rules say to one build, and why."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click

from ecrmint import settings
from ecrmint.commands._options import WrongUseError, build_options, config_option
from ecrmint.errors import RequestError
from ecrmint.policy import Decision, Reason, RuleVerdict
from ecrmint.settings import Config
from ecrmint.table import columns
from ecrmint.wire import RegistryRequest, decode, encode_request

_MANY: Final = 40  # rules; of more than that, those for other repositories are only counted

_REASONS: Final[Mapping[Reason, str]] = {
    "granted": "",
    "no_rule": "nothing: no rule matches that grants anything",
    "fork": "nothing: a fork build, and no rule with forks: allow matches",
    "denied": "nothing: what rules grant is denied by others",
}


@click.command()
@config_option
@build_options
@click.option("--secret", metavar="NAME", default="", help="The shared secret that signed. Default: the first one.")
@click.option(
    "--request", type=click.Path(), default="", help="A file with a request's body, instead of --repo and so on."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, config: str, asked: RegistryRequest, secret: str, request: str, as_json: bool) -> None:
    """Say which rules match a build, what they grant, and why not more.

    Reads nothing but the configuration. Its own `tests:` are not run, so that a failing one can be looked into.

    \b
      ecrmint explain --config ecrmint.yaml --repo team-a/app --ref refs/heads/main
      ecrmint explain --config ecrmint.yaml --repo team-a/app --event pull_request --source-repo stranger/app
    """
    loaded = settings.load(config, environ={}, with_secrets=False, with_tests=False)
    answer = _explain(loaded, _possible(_read(request) if request else encode_request(asked)), secret)
    click.echo(json.dumps(answer.as_json(), indent=2) if as_json else "\n".join(answer.lines()))


@dataclass(frozen=True, slots=True)
class _Explanation:
    """The rules' verdicts on one build. ``hosts``: the account that answers for each registry."""

    build: RegistryRequest
    secret: str
    decision: Decision
    verdicts: Sequence[RuleVerdict]
    hosts: dict[str, str]

    def as_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "build": asdict(self.build),
            "secret": self.secret,
            "fork": self.decision.fork,
            "reason": self.decision.reason,
            "rules": [asdict(verdict) for verdict in self.verdicts],
            "granted": self.decision.accounts,
            "hosts": self.hosts,
        }

    def lines(self) -> Iterator[str]:
        """Return it as lines to read."""
        build, decision = self.build, self.decision
        facts = [f"{name} {_shown(value)}" for name, value in asdict(build).items() if value and name != "slug"]
        yield f"build    {', '.join([build.slug, *facts, f'signed with {self.secret}'])}"
        yield f"fork     {_fork(build) if decision.fork else 'no'}"
        yield "rules"
        yield from self._rules()
        yield f"granted  {', '.join(decision.accounts) or _REASONS[decision.reason]}"
        yield from columns([(host, f"by {account}") for host, account in self.hosts.items()], indent="  ")

    def _rules(self) -> Iterator[str]:
        several = len(self.verdicts) > _MANY
        shown = [verdict for verdict in self.verdicts if not several or verdict.failed != "repos"]
        yield from columns([("+" if each.matched else "-", each.rule, each.text) for each in shown], indent="  ")
        if len(shown) < len(self.verdicts):
            yield f"  -  {len(self.verdicts) - len(shown)} rules for other repositories"


def _shown(value: object) -> str:
    # A ref is whatever its author chose, and may hold a terminal's control sequences.
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if text.isprintable() else ascii(text)


def _fork(build: RegistryRequest) -> str:
    if build.source_repo:
        return f"yes: source_repo {_shown(build.source_repo)} is another repository"
    return "yes: a pull request that does not say where it comes from"


def _explain(config: Config, build: RegistryRequest, secret: str) -> _Explanation:
    names = [source.name for source in config.settings.secrets]
    if secret and names and secret not in names:
        raise WrongUseError(f"--secret {secret}: the configuration has {', '.join(names)}")
    signed_with = secret or (names[0] if names else "env")
    decision = config.policy.decide(build, secret=signed_with)
    verdicts = config.policy.explain(build, secret=signed_with)
    hosts: dict[str, str] = {}
    for account in decision.accounts:
        for host in config.settings.accounts[account].hosts:
            hosts.setdefault(host, account)
    return _Explanation(build, signed_with, decision, verdicts, hosts)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise WrongUseError(f"--request {name}: {error.strerror}") from None


def _possible(body: bytes) -> RegistryRequest:
    """Return the build as a server would see it, which refuses some."""
    try:
        return decode(body)
    except RequestError as error:
        raise WrongUseError(str(error)) from None
