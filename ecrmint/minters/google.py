"""Google's Artifact Registry and gcr.io: the process's own identity, or a service account that it may act as.

Source: Artifact Registry docs, "Configure authentication to Artifact Registry for Docker", Access token.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from ecrmint.fields import Duration, SecretSource
from ecrmint.minters._access_token import Source
from ecrmint.minters._base import AccountModel, BareHost, Endpoints, Minter, Registries, Resources, SharedByBuilds, Tell
from ecrmint.minters._google_key import KeySource, parse_key
from ecrmint.minters._hosts import check_google, check_list
from ecrmint.minters._http import Calls, Http
from ecrmint.minters._impersonation import ADDRESS as IAM_ADDRESS
from ecrmint.minters._impersonation import SCOPE as IAM_SCOPE
from ecrmint.minters._impersonation import Impersonation
from ecrmint.minters._metadata import ADDRESS as METADATA_ADDRESS
from ecrmint.minters._metadata import MetadataSource
from ecrmint.tokens import Login, Secret

_MINT_SECONDS: Final = 7.0  # for all calls of one mint; the default deadline of an answer is 10
# Enough to pull, and it blocks pushes; what else it reads is the service account's roles to say.
_READ_ONLY: Final = "https://www.googleapis.com/auth/cloud-platform.read-only"
_EMAIL: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}@(?:[a-z0-9-]{1,63}\.){1,8}gserviceaccount\.com", re.ASCII)
_SCOPE: Final = re.compile(r"https://www\.googleapis\.com/auth/[a-z0-9._/-]{1,128}", re.ASCII)


def _check_email(email: str) -> str:
    if _EMAIL.fullmatch(email) is None:
        raise ValueError("expected a service account's email: NAME@PROJECT.iam.gserviceaccount.com")
    return email


def _check_scope(scope: str) -> str:
    if _SCOPE.fullmatch(scope) is None:
        raise ValueError(f"expected an OAuth scope in full, such as {_READ_ONLY}")
    return scope


class GoogleAccount(AccountModel):
    """``type: google``: as the metadata server's identity or a key's, or as a service account that it impersonates."""

    type: Literal["google"]
    registries: Registries[Annotated[BareHost, AfterValidator(check_google)]]
    service_account: Annotated[str, AfterValidator(_check_email)] | None = None
    credentials_file: Annotated[str, Field(min_length=1)] | None = None
    scopes: Annotated[tuple[Annotated[str, AfterValidator(_check_scope)], ...], AfterValidator(check_list)] = (
        _READ_ONLY,
    )
    lifetime: Annotated[Duration, Field(ge=600, le=43200)] = 3600.0

    @model_validator(mode="after")
    def _consistent(self) -> "GoogleAccount":
        if self.service_account is None and "lifetime" in self.model_fields_set:
            raise ValueError("lifetime: without service_account this has no effect")
        return self

    def secret_sources(self) -> Mapping[str, SecretSource]:
        """Return where the credentials are, if they are in a file."""
        return {} if self.credentials_file is None else {"credentials_file": SecretSource(file=self.credentials_file)}

    def check_secret(self, name: str, secret: Secret, endpoints: Endpoints) -> None:
        """Check the credentials file. Raises: ValueError."""
        parse_key(secret.reveal(), token_url=endpoints.google_token)

    def minters(self, name: str, resources: Resources) -> Mapping[str, Minter]:
        """Return one minter for all hosts: the token opens them all."""
        endpoints = resources.endpoints
        minter = GoogleMinter(
            account=name,
            source=self._source(resources),
            target=self._target(endpoints.iamcredentials or IAM_ADDRESS),
            scopes=self.scopes,
            http=resources.http,
        )
        return dict.fromkeys(self.registries, minter)

    def _source(self, resources: Resources) -> Source:
        for source in self.secret_sources().values():
            return KeySource(resources.secrets[source], resources.endpoints.google_token)
        return MetadataSource(resources.endpoints.metadata or METADATA_ADDRESS)

    def _target(self, url: str) -> Impersonation | None:
        return Impersonation(self.service_account, int(self.lifetime), url) if self.service_account else None


@dataclass(frozen=True, slots=True)
class GoogleMinter(SharedByBuilds):
    """Mints an access token, which is a login for every registry that its identity may read."""

    account: str
    source: Source
    target: Impersonation | None
    scopes: tuple[str, ...]
    http: Http = field(compare=False, repr=False)

    @property
    def provider(self) -> str:
        """``google``."""
        return "google"

    def mint(self) -> Login:
        """Return a token of the target's, or of the source's own where there is none. Raises: MintError."""
        return self._mint(self.http.within(_MINT_SECONDS))

    def walk(self, tell: Tell) -> Login:
        """Mint, and tell who we are and as whom we act. Raises: MintError."""
        calls = self.http.within(_MINT_SECONDS)
        tell("identity", self.source.identity(calls))
        login = self._mint(calls)
        if self.target:
            tell("service account", self.target.email)
        return login

    def _mint(self, calls: Calls) -> Login:
        token = self.source.fetch((IAM_SCOPE,) if self.target else self.scopes, calls)
        if self.target:
            token = self.target.fetch(token, self.scopes, calls)
        return Login("oauth2accesstoken", token.secret, token.expires_at)
