"""The configuration of a file: validated, complete, its secrets read and its tests passed.

Only this and ``reading.py`` read the environment: what ``_VARIABLES`` and ``SHARED_SECRETS`` list, DRONE_DEBUG, and
what an ``env:`` names. Kubernetes injects ECRMINT_PORT and ECRMINT_SERVICE_* for a Service named ecrmint: never those.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Final

from pydantic import ValidationError

from ecrmint import yamlfile
from ecrmint.complaints import Complaints
from ecrmint.crosschecks import check_listeners, check_names
from ecrmint.errors import ConfigError, Problem
from ecrmint.fields import SecretSource
from ecrmint.policy import Decision, Policy
from ecrmint.reading import SHARED_SECRETS, Reader
from ecrmint.schema import Settings
from ecrmint.signature import SharedSecret
from ecrmint.tokens import Secret
from ecrmint.yamlfile import Path, show_name

__all__ = ["Config", "Settings", "load", "parse"]

# Each setting that the environment has a say in where the configuration is silent; the first variable counts.
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "listen": ("ECRMINT_LISTEN", "DRONE_BIND", "DRONE_ADDRESS"),
    "admin": ("ECRMINT_ADMIN",),
    "allow_plaintext": ("ECRMINT_ALLOW_PLAINTEXT",),
}
_TRUTHS: Final[Mapping[str, bool]] = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration, ready for use: every secret read, every test of its rules passed."""

    settings: Settings
    policy: Policy
    shared_secrets: tuple[SharedSecret, ...]
    secrets: Mapping[SecretSource, Secret]  # the accounts'
    sha256: str  # of the file's bytes
    source: str  # the file's name as the operator gave it
    warnings: tuple[str, ...] = ()  # one line each: place, path, text
    debug: bool = False  # DRONE_DEBUG


def load(
    path: str | FilePath, *, environ: Mapping[str, str], with_secrets: bool = True, with_tests: bool = True
) -> Config:
    """Return the configuration in a file.

    Without secrets nothing but the file is read: no secret, no certificate, no variable. Without tests the ``tests:``
    are not run. Raises: ConfigError with all problems at once; one in the YAML itself hides the others.
    """
    try:
        content = FilePath(path).read_bytes()
    except OSError as error:
        raise ConfigError([Problem("file", f"can't be read: {error.strerror}")], source=str(path)) from None
    return _build(content, str(path), environ, with_secrets=with_secrets, with_tests=with_tests)


def parse(
    text: str,
    *,
    source: str = "config",
    environ: Mapping[str, str] | None = None,
    with_secrets: bool = True,
    with_tests: bool = True,
) -> Config:
    """Return the configuration in a text, as ``load`` does."""
    return _build(text.encode(), source, environ or {}, with_secrets=with_secrets, with_tests=with_tests)


def _build(content: bytes, source: str, environ: Mapping[str, str], *, with_secrets: bool, with_tests: bool) -> Config:
    file = yamlfile.parse(content, source=source)
    environ = environ if with_secrets else {}
    data, origins = _with_environment(file.data, environ)
    complaints = Complaints(file, origins)
    settings = _validate(data, complaints)
    check_names(data, complaints)
    check_listeners(data, complaints)
    reader = Reader(data, environ, complaints)
    shared = reader.shared_secrets() if with_secrets else ()
    secrets = reader.account_secrets() if with_secrets else {}
    if with_secrets:
        reader.check_tls()
    policy = Policy(settings.rules if settings is not None else ())
    if settings is not None and with_tests:
        _run_tests(settings, policy, complaints)
    if settings is None or complaints.problems:
        raise ConfigError(sorted(complaints.problems, key=_by_place), source=source)
    return Config(
        settings=settings,
        policy=policy,
        shared_secrets=shared,
        secrets=secrets,
        sha256=hashlib.sha256(content).hexdigest(),
        source=source,
        warnings=tuple(ConfigError(complaints.warnings, source=source).lines()),
        debug=environ.get("DRONE_DEBUG", "").lower() in ("true", "1"),
    )


def _with_environment(
    data: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[dict[str, object], dict[Path, str]]:
    """Return the data with what the environment adds to it, and the variable that each addition is from."""
    added: dict[str, object] = {}
    origins: dict[Path, str] = {}
    for key, variables in _VARIABLES.items():
        variable = next((name for name in variables if environ.get(name)), None)
        if key not in data and variable is not None:
            text = environ[variable]
            added[key] = _TRUTHS.get(text, text) if key == "allow_plaintext" else text
            origins[(key,)] = variable
    variable = next((name for name in SHARED_SECRETS if environ.get(name)), None)
    if "secrets" not in data and variable is not None:
        source = {"file": environ[variable]} if variable.endswith("_FILE") else {"env": variable}
        added["secrets"] = ({"name": "env", **source},)
        origins["secrets",] = variable
    return {**data, **added}, origins


def _validate(data: Mapping[str, object], complaints: Complaints) -> Settings | None:
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        complaints.add_invalid(error, model=Settings, data=data)
        return None


def _run_tests(settings: Settings, policy: Policy, complaints: Complaints) -> None:
    first = settings.secrets[0].name if settings.secrets else "env"
    for index, test in enumerate(settings.tests):
        decision = policy.decide(test.build(), secret=test.secret or first)
        # An account that does not exist has been complained about.
        if set(decision.accounts) != set(test.grants) <= settings.accounts.keys():
            expected, given = (f"[{', '.join(map(show_name, names))}]" for names in (test.grants, decision.accounts))
            message = f"expected {expected}, the rules give {given}; {_grounds(decision)}"
            complaints.add(("tests", index, "grants"), message)


def _grounds(decision: Decision) -> str:
    rules = f"decided by the rules {', '.join(decision.rules)}" if decision.rules else "no rule counts"
    return f"{rules}; a fork build, which needs a rule with forks: allow" if decision.reason == "fork" else rules


def _by_place(problem: Problem) -> tuple[int, int]:
    return (problem.line or 0, problem.column or 0)
