"""Google's Artifact Registry and gcr.io: any identity's token, or that of a service account that it may act as.

Source: Artifact Registry docs, "Configure authentication to Artifact Registry for Docker", Access token.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from ecrmint.errors import NoIdentityError
from ecrmint.fields import Duration, Said, SecretSource
from ecrmint.minters._base import AccountModel, BareHost, Endpoints, Minter, Registries, Resources, SharedByBuilds, Tell
from ecrmint.minters._google.access_token import HOUR, AccessToken, Source
from ecrmint.minters._google.apis import PUBLIC, GoogleApis, check_universe
from ecrmint.minters._google.aws_subject import FALLBACK_REGION
from ecrmint.minters._google.credential_source import check_subject_url
from ecrmint.minters._google.credentials_file import CredentialsFile, parse_credentials
from ecrmint.minters._google.email import check_delegate, check_email
from ecrmint.minters._google.hosts import check_extra, check_google, forms_of, universe_of
from ecrmint.minters._google.impersonation import SCOPE as IAM_SCOPE
from ecrmint.minters._google.impersonation import Impersonation
from ecrmint.minters._google.metadata import MetadataSource
from ecrmint.minters._google.self_impersonation import SelfImpersonation
from ecrmint.minters._google.shared_tokens import SharedToken
from ecrmint.minters._google.surroundings import Surroundings
from ecrmint.minters._hosts import check_list
from ecrmint.minters._http import Calls, Http
from ecrmint.tokens import Login, Secret

_MINT_SECONDS: Final = 7.0  # for all calls of one mint; the default deadline of an answer is 10
# Enough to pull, and it blocks pushes; what else it reads is the service account's roles to say.
_READ_ONLY: Final = "https://www.googleapis.com/auth/cloud-platform.read-only"
_SCOPE: Final = re.compile(r"https://www\.googleapis\.com/auth/[a-z0-9._/-]{1,128}", re.ASCII)
# What has an effect only together with another key.
_NEEDS: Final[Mapping[str, str]] = {
    "lifetime": "service_account",
    "delegates": "service_account",
    "self_signed": "credentials_file",
    "subject_token_urls": "credentials_file",
}


def _check_scope(scope: str) -> str:
    if _SCOPE.fullmatch(scope) is None:
        raise ValueError(f"expected an OAuth scope in full, such as {_READ_ONLY}")
    return scope


class GoogleAccount(AccountModel):
    """``type: google``: as the metadata server's identity or a file's, or as a service account that it impersonates."""

    type: Literal["google"]
    registries: Registries[Annotated[BareHost, AfterValidator(check_google)]] = ()
    extra_registries: Registries[Annotated[BareHost, AfterValidator(check_extra)]] = ()
    universe_domain: Annotated[str, AfterValidator(check_universe)] = PUBLIC
    service_account: Said[Annotated[str, AfterValidator(check_email)]] = None
    delegates: Registries[Annotated[str, AfterValidator(check_delegate)]] = ()
    lifetime: Annotated[Duration, Field(ge=600, le=43200)] = float(HOUR)
    scopes: Annotated[tuple[Annotated[str, AfterValidator(_check_scope)], ...], AfterValidator(check_list)] = (
        _READ_ONLY,
    )
    credentials_file: Said[Annotated[str, Field(min_length=1)]] = None
    self_signed: bool = False
    subject_token_urls: Registries[Annotated[str, AfterValidator(check_subject_url)]] = ()
    self_impersonate: Literal["auto", "never"] = "auto"

    @model_validator(mode="after")
    def _consistent(self) -> "GoogleAccount":
        problems = [*self._idle(), *self._misplaced()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def hosts(self) -> tuple[str, ...]:
        """The registries, and the extra ones."""
        return (*self.registries, *self.extra_registries)

    def secret_sources(self) -> Mapping[str, SecretSource]:
        """Return where the credentials are, if they are in a file."""
        return {} if self.credentials_file is None else {"credentials_file": SecretSource(file=self.credentials_file)}

    def check_secret(self, name: str, secret: Secret, endpoints: Endpoints) -> None:
        """Check the credentials file. Raises: ValueError."""
        parse_credentials(secret.reveal(), self._surroundings(Resources(endpoints)))

    def longest_life(self, resources: Resources) -> float | None:
        """Return how long a login lives at most; None where a file that was not read has a say."""
        if self.service_account is not None:
            return self.lifetime
        unread = any(source not in resources.secrets for source in self.secret_sources().values())
        return None if unread else self._source(resources).life

    def minters(self, name: str, resources: Resources) -> Mapping[str, Minter]:
        """Return one minter for all hosts: the token opens them all."""
        source, target = self._source(resources), self._target(resources)
        own = resources.google.tokens.of(source, self.scopes if target is None else (IAM_SCOPE,))
        minter = GoogleMinter(name, source, target, self.scopes, resources.http, own)
        return dict.fromkeys(self.hosts, minter)

    def _source(self, resources: Resources) -> Source:
        around = self._surroundings(resources)
        for source in self.secret_sources().values():
            return CredentialsFile(resources.secrets[source], around)
        metadata = MetadataSource(around.apis.metadata)
        if self.service_account is not None or self.self_impersonate == "never":
            return metadata
        return SelfImpersonation(metadata, around.apis.iamcredentials(), resources.google.refusals)

    def _surroundings(self, resources: Resources) -> Surroundings:
        return Surroundings(
            apis=self._apis(resources.endpoints),
            self_signed=self.self_signed,
            subject_token_urls=self.subject_token_urls,
            aws_sts=resources.endpoints.sts.at(FALLBACK_REGION),
            aws=resources.aws,
        )

    def _apis(self, endpoints: Endpoints) -> GoogleApis:
        return GoogleApis(
            self.universe_domain,
            own_token=endpoints.google_token,
            own_sts=endpoints.google_sts,
            own_iamcredentials=endpoints.iamcredentials,
            own_metadata=endpoints.metadata,
        )

    def _target(self, resources: Resources) -> Impersonation | None:
        if self.service_account is None:
            return None
        url = self._apis(resources.endpoints).iamcredentials()
        return Impersonation(self.service_account, int(self.lifetime), url, self.delegates)

    def _idle(self) -> Iterator[str]:
        """Yield the keys that have no effect."""
        for key, needed in _NEEDS.items():
            if key in self.model_fields_set and getattr(self, needed) is None:
                yield f"{key}: without {needed} this has no effect"
        others = [key for key in ("service_account", "credentials_file") if getattr(self, key) is not None]
        if "self_impersonate" in self.model_fields_set and others:
            yield f"self_impersonate: with {' or '.join(others)} this has no effect"

    def _misplaced(self) -> Iterator[str]:
        """Yield the hosts of another universe."""
        if not self.hosts:
            yield "registries: expected at least one entry, here or in extra_registries"
        for host in self.registries:
            if universe_of(host) != self.universe_domain:
                yield (
                    f"registries: {host} is in the universe {universe_of(host)}, and universe_domain is"
                    f" {self.universe_domain}, whose registries are: {forms_of(self.universe_domain)}"
                )


@dataclass(frozen=True, slots=True)
class GoogleMinter(SharedByBuilds):
    """Mints an access token, which is a login for every registry that its identity may read."""

    account: str
    source: Source
    target: Impersonation | None
    scopes: tuple[str, ...]
    http: Http = field(compare=False, repr=False)
    own: SharedToken = field(compare=False, repr=False)  # the source's: for the login, or to act as the target

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
            tell("service account", self.target.name)
        return login

    def _mint(self, calls: Calls) -> Login:
        token = self.own.fetch(calls, fresh=True) if self.target is None else self._impersonated(self.target, calls)
        return Login("oauth2accesstoken", token.secret, token.expires_at)

    def _impersonated(self, target: Impersonation, calls: Calls) -> AccessToken:
        own = self.own.fetch(calls, fresh=False)
        try:
            return target.fetch(own, self.scopes, calls)
        except NoIdentityError:  # taken back before its end: the next mint gets another one
            self.own.forget(own)
            raise
