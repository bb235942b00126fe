"""The configuration: its models, composed from those that the other modules own, and how a file becomes them.

Only this module reads the configuration and the environment: the seven variables in ``_VARIABLES`` and
``_SHARED_SECRETS``, DRONE_DEBUG, and what an ``env:`` names. Kubernetes injects ECRMINT_PORT and
ECRMINT_SERVICE_* for a Service named ecrmint, so those are not read.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from ecrmint import yamlfile
from ecrmint.addresses import DEFAULT_ADMIN, DEFAULT_LISTEN, ListenAddress
from ecrmint.complaints import Complaints
from ecrmint.crosschecks import check_listeners, check_names
from ecrmint.errors import ConfigError, Problem, RequestError
from ecrmint.fields import Duration, Model, SecretSource, Size
from ecrmint.minters import Account
from ecrmint.minters._base import Endpoints
from ecrmint.policy import Policy, Rule
from ecrmint.secretfile import read_secret
from ecrmint.signature import KEY_BYTES, SharedSecret
from ecrmint.tokens import Secret
from ecrmint.wire import RegistryRequest, decode, encode_request
from ecrmint.yamlfile import Path

MIN_SECRET_BYTES: Final = 16
RUNNER_PATIENCE: Final = 60.0  # seconds; then a runner gives up (drone-go v1.7.1, plugin/registry/client.go)

# Each setting that the environment has a say in where the configuration is silent; the first variable counts.
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "listen": ("ECRMINT_LISTEN", "DRONE_BIND", "DRONE_ADDRESS"),
    "admin": ("ECRMINT_ADMIN",),
    "allow_plaintext": ("ECRMINT_ALLOW_PLAINTEXT",),
}
_SHARED_SECRETS: Final = ("ECRMINT_SECRET_FILE", "ECRMINT_SECRET", "DRONE_SECRET")
_TRUTHS: Final[Mapping[str, bool]] = {"true": True, "false": False}

Event = Literal["push", "pull_request", "tag", "promote", "rollback", "cron", "custom"]


def _check_name(name: str) -> str:
    # Names are labels of metrics, fields of the log and words in a query.
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name, re.ASCII) is None:
        raise ValueError("a name has 1 to 63 of A-Z a-z 0-9 _ . - and starts with a letter or digit")
    return name


def _check_path(path: str) -> str:
    if re.fullmatch(r"/[A-Za-z0-9/._~-]*", path, re.ASCII) is None:
        raise ValueError("expected a path that starts with / and has A-Z a-z 0-9 / . _ ~ - only")
    return path


def _digits(value: object) -> object:
    """A whole number counts as its digits, as Drone's published documents have it."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Name = Annotated[str, AfterValidator(_check_name)]


class SharedSecretSource(SecretSource):
    """A secret that runners sign with, and where it is."""

    name: Name


class Tls(Model):
    """The server's certificate chain and key, both PEM files."""

    cert_file: str
    key_file: str


class Drain(Model):
    """Seconds from SIGTERM to the listeners' end, and to the process's."""

    delay: Duration = 5.0
    grace: Duration = 20.0


class Audit(Model):
    """``file``: where the audit lines go, ``-`` for stdout; ``required``: no answer without its line."""

    file: Annotated[str, Field(min_length=1)] = "-"
    required: bool = False


class PolicyTest(Model):
    """What the rules must say to one build: exactly the accounts in ``grants``, in any order."""

    repo: str
    event: Event | None = None
    ref: str = ""
    source_repo: str = ""
    uid: Annotated[str, BeforeValidator(_digits)] = ""
    trusted: bool = False
    private: bool = False
    deploy_to: str = ""
    secret: str | None = None  # None: the first one
    grants: tuple[str, ...]

    def build(self) -> RegistryRequest:
        """Return the request of this build. Raises: RequestError where no build can be so."""
        fields = self.model_dump(exclude={"repo", "event", "secret", "grants"})
        return decode(encode_request(RegistryRequest(slug=self.repo, event=self.event or "", **fields)))

    @model_validator(mode="after")
    def _possible(self) -> "PolicyTest":
        try:
            self.build()
        except RequestError as error:
            raise ValueError(str(error)) from None
        return self


class Settings(Model):
    """The whole configuration, defaults included; durations in seconds, sizes in bytes."""

    listen: ListenAddress = DEFAULT_LISTEN
    admin: ListenAddress = DEFAULT_ADMIN
    allow_plaintext: bool = False
    tls: Tls | None = None
    secrets: tuple[SharedSecretSource, ...] = ()
    accounts: dict[Name, Account]
    rules: tuple[Rule, ...]
    tests: tuple[PolicyTest, ...] = ()
    deadline: Annotated[Duration, Field(gt=0, lt=RUNNER_PATIENCE)] = 10.0
    on_failure: Literal["partial", "strict"] = "partial"
    max_body: Annotated[Size, Field(ge=1 << 10, le=64 << 20)] = 1 << 20
    freshness: Annotated[Duration, Field(gt=0, le=3600)] = 300.0
    path: Annotated[str, AfterValidator(_check_path)] = "/"
    encrypt: bool = False
    drain: Drain = Drain()
    audit: Audit = Audit()
    max_connections: Annotated[int, Field(ge=1)] = 2048
    max_in_flight: Annotated[int, Field(ge=1)] = 256
    endpoints: Endpoints = Endpoints()


_SHARED: Final = TypeAdapter(SharedSecretSource)
_ACCOUNT: Final[TypeAdapter[Account]] = TypeAdapter(Account)
_TLS: Final = TypeAdapter(Tls)
_T = TypeVar("_T")


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
    shared = _read_shared(data, environ, complaints) if with_secrets else ()
    secrets = _read_accounts(data, environ, complaints) if with_secrets else {}
    if with_secrets:
        _check_tls(data, complaints)
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
    variable = next((name for name in _SHARED_SECRETS if environ.get(name)), None)
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


def _read_shared(
    data: Mapping[str, object], environ: Mapping[str, str], complaints: Complaints
) -> tuple[SharedSecret, ...]:
    entries = data.get("secrets") or ()
    if entries == ():
        complaints.add(("secrets",), f"no shared secret: list one here, or set one of {', '.join(_SHARED_SECRETS)}")
    shared: list[SharedSecret] = []
    for index, entry in enumerate(entries if isinstance(entries, tuple) else ()):
        source, path = _valid(_SHARED, entry), ("secrets", index)
        secret = _read(source, path, environ, complaints) if source is not None else None
        if source is not None and secret is not None:
            _check_length(secret, path, complaints, encrypt=data.get("encrypt") is True)
            shared.append(SharedSecret(source.name, secret))
    return tuple(shared)


def _check_length(secret: Secret, path: Path, complaints: Complaints, *, encrypt: bool) -> None:
    length = len(secret.reveal().encode())
    if length < MIN_SECRET_BYTES:
        complaints.add(
            path, f"the secret is shorter than {MIN_SECRET_BYTES} bytes: `openssl rand -hex 16` makes a good one"
        )
    elif length < KEY_BYTES and encrypt:
        complaints.add(path, f"the secret is shorter than {KEY_BYTES} bytes, which `encrypt: true` needs")
    elif length < KEY_BYTES:
        complaints.warn(path, f"the secret is shorter than {KEY_BYTES} bytes: answers can't be encrypted with it")


def _read_accounts(
    data: Mapping[str, object], environ: Mapping[str, str], complaints: Complaints
) -> dict[SecretSource, Secret]:
    accounts = data.get("accounts")
    secrets: dict[SecretSource, Secret] = {}
    for name, entry in accounts.items() if isinstance(accounts, Mapping) else ():
        account = _valid(_ACCOUNT, entry)
        for field, source in account.secret_sources().items() if account is not None else ():
            secret = _read(source, ("accounts", name, *field.split(".")), environ, complaints)
            if secret is not None:
                secrets[source] = secret
    return secrets


def _read(source: SecretSource, path: Path, environ: Mapping[str, str], complaints: Complaints) -> Secret | None:
    try:
        return read_secret(source, environ)
    except ValueError as error:
        complaints.add(path, str(error))
        return None


def _valid(adapter: TypeAdapter[_T], value: object) -> _T | None:
    """Return one part of a configuration whose other parts may be wrong; None where this one is."""
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


def _check_tls(data: Mapping[str, object], complaints: Complaints) -> None:
    tls = _valid(_TLS, data.get("tls"))
    for key, name in tls.model_dump().items() if tls is not None else ():
        try:
            FilePath(name).open("rb").close()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a file's name"
            complaints.add(("tls", key), f"can't read the file: {reason}")


def _run_tests(settings: Settings, policy: Policy, complaints: Complaints) -> None:
    first = settings.secrets[0].name if settings.secrets else "env"
    for index, test in enumerate(settings.tests):
        decision = policy.decide(test.build(), secret=test.secret or first)
        if set(decision.accounts) != set(test.grants):
            rules = f"decided by the rules {', '.join(decision.rules)}" if decision.rules else "no rule matches"
            expected, given = (f"[{', '.join(names)}]" for names in (test.grants, decision.accounts))
            complaints.add(("tests", index, "grants"), f"expected {expected}, the rules give {given}; {rules}")


def _by_place(problem: Problem) -> tuple[int, int]:
    return (problem.line or 0, problem.column or 0)
