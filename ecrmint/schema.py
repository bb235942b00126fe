"""The configuration as models, composed from those that the other modules own; durations in seconds, sizes in bytes.

Pure: what these name outside, secrets and certificates, is read by ``reading.py``.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ecrmint.addresses import DEFAULT_ADMIN, DEFAULT_LISTEN, ListenAddress
from ecrmint.errors import RequestError
from ecrmint.fields import Digits, Duration, Model, Name, Said, SecretSource, Size
from ecrmint.minters import Account, Endpoints
from ecrmint.policy import Event, Rule
from ecrmint.wire import RegistryRequest, decode, encode_request


def _within(lowest: float, highest: float, text: str) -> AfterValidator:
    def check(value: float) -> float:
        if not lowest <= value <= highest:
            raise ValueError(f"expected {text}")
        return value

    return AfterValidator(check)


def _check_path(path: str) -> str:
    if re.fullmatch(r"/[A-Za-z0-9/._~-]*", path, re.ASCII) is None:
        raise ValueError("expected a path that starts with / and has A-Z a-z 0-9 / . _ ~ - only")
    return path


class SharedSecretSource(SecretSource):
    """A secret that runners sign with, and where it is."""

    name: Name


class Tls(Model):
    """The server's certificate chain and key, both PEM files."""

    cert_file: str
    key_file: str


class Drain(Model):
    """Seconds from SIGTERM to the listeners' end, and from there to the process's at the latest."""

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
    uid: Digits = ""
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
    tls: Said[Tls] = None
    secrets: tuple[SharedSecretSource, ...] = ()
    accounts: dict[Name, Account]
    rules: tuple[Rule, ...]
    tests: tuple[PolicyTest, ...] = ()
    deadline: Annotated[Duration, _within(1, 59, "1s to 59s: a runner gives up after 60s")] = 10.0
    on_failure: Literal["partial", "strict"] = "partial"
    max_body: Annotated[Size, _within(1 << 10, 64 << 20, "1KiB to 64MiB")] = 1 << 20
    freshness: Annotated[Duration, _within(1, 3600, "1s to 1h")] = 300.0
    path: Annotated[str, AfterValidator(_check_path)] = "/"
    encrypt: bool = False
    drain: Drain = Drain()
    audit: Audit = Audit()
    max_connections: Annotated[int, Field(ge=1)] = 2048
    max_in_flight: Annotated[int, Field(ge=1)] = 256
    endpoints: Endpoints = Endpoints()
