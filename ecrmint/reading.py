"""Reads what a configuration names outside of itself: secrets and certificates. Nothing is shown of any secret.

Like ``crosschecks.py`` it goes by the plain data, part by part, so that a fault elsewhere hides nothing here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from ecrmint.complaints import Complaints
from ecrmint.fields import SecretSource
from ecrmint.minters import Account, AccountModel, Endpoints
from ecrmint.schema import SharedSecretSource, Tls
from ecrmint.secretfile import read_secret
from ecrmint.signature import KEY_BYTES, SharedSecret
from ecrmint.tokens import Secret
from ecrmint.yamlfile import Path

SHARED_SECRETS: Final = ("ECRMINT_SECRET_FILE", "ECRMINT_SECRET", "DRONE_SECRET")
"""The variables that have a shared secret where the configuration names none, the first of them."""
MIN_SECRET_BYTES: Final = 16

_SOURCE: Final = TypeAdapter(SecretSource)
_SHARED: Final = TypeAdapter(SharedSecretSource)
_ACCOUNT: Final[TypeAdapter[AccountModel]] = TypeAdapter(Account)
_ENDPOINTS: Final = TypeAdapter(Endpoints)
_TLS: Final = TypeAdapter(Tls)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads for one configuration, and complains about what can't be read."""

    data: Mapping[str, object]
    environ: Mapping[str, str]
    complaints: Complaints

    def shared_secrets(self) -> tuple[SharedSecret, ...]:
        """Return the secrets that runners sign with."""
        entries = self.data.get("secrets") or ()
        if entries == ():
            self.complaints.add(("secrets",), f"no shared secret: list one here, or set {', '.join(SHARED_SECRETS)}")
        shared: list[SharedSecret] = []
        for index, entry in enumerate(entries if isinstance(entries, tuple) else ()):
            source = _valid(_SHARED, entry)
            secret = self._read(source, ("secrets", index)) if source is not None else None
            if source is not None and secret is not None:
                self._check_length(secret, ("secrets", index))
                shared.append(SharedSecret(source.name, secret))
        return tuple(shared)

    def account_secrets(self) -> dict[SecretSource, Secret]:
        """Return the secrets that accounts need."""
        accounts = self.data.get("accounts")
        secrets: dict[SecretSource, Secret] = {}
        for name, entry in accounts.items() if isinstance(accounts, Mapping) else ():
            account = _valid(_ACCOUNT, entry)
            for key, source in (account.secret_sources() if account is not None else _guess_sources(entry)).items():
                path = ("accounts", name, *key.split("."))
                secret = self._read(source, path)
                if account is not None and secret is not None:
                    secrets[source] = secret
                    self._check_fit(account, key, secret, path)
        return secrets

    def check_tls(self) -> None:
        """Complain about a certificate or key that can't be read."""
        tls = _valid(_TLS, self.data.get("tls"))
        for key, name in tls.model_dump().items() if tls is not None else ():
            try:
                FilePath(name).open("rb").close()
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not a file's name"
                self.complaints.add(("tls", key), f"can't read the file: {reason}")

    def _check_fit(self, account: AccountModel, key: str, secret: Secret, path: Path) -> None:
        endpoints = _valid(_ENDPOINTS, self.data.get("endpoints", {})) or Endpoints()
        try:
            account.check_secret(key, secret, endpoints)
        except ValueError as error:
            self.complaints.add(path, str(error))

    def _read(self, source: SecretSource, path: Path) -> Secret | None:
        try:
            return read_secret(source, self.environ)
        except ValueError as error:
            self.complaints.add(path, str(error))
            return None

    def _check_length(self, secret: Secret, path: Path) -> None:
        length = len(secret.reveal().encode())
        if length < MIN_SECRET_BYTES:
            text = f"the secret is shorter than {MIN_SECRET_BYTES} bytes: `openssl rand -hex 16` makes a good one"
            self.complaints.add(path, text)
        elif length < KEY_BYTES and self.data.get("encrypt") is True:
            self.complaints.add(path, f"the secret is shorter than {KEY_BYTES} bytes, which `encrypt: true` needs")
        elif length < KEY_BYTES:
            text = f"the secret is shorter than {KEY_BYTES} bytes: answers can't be encrypted with it"
            self.complaints.warn(path, text)


def _guess_sources(entry: object) -> dict[str, SecretSource]:
    """Return the secrets of an account that is wrong elsewhere: what looks like one."""
    fields = entry.items() if isinstance(entry, Mapping) else ()
    sources = {key: _valid(_SOURCE, value) for key, value in fields}
    return {key: source for key, source in sources.items() if source is not None}


def _valid(adapter: TypeAdapter[_T], value: object) -> _T | None:
    """Return one part of a configuration; None where it is wrong, which pydantic has complained about."""
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None
