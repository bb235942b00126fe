"""What every way of minting has in common: the interface, the account's part of the configuration, shared resources.

A new registry provider is one file beside this one and one line in ``ecrmint.minters.Account``.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol, TypeVar

from pydantic import AfterValidator, Field

from ecrmint.fields import Model, SecretSource
from ecrmint.minters._aws.clients import Aws
from ecrmint.minters._google.shared import Google
from ecrmint.minters._hosts import check_bare, check_list
from ecrmint.minters._http import Http
from ecrmint.minters._observer import SILENT, CloudObserver
from ecrmint.minters._urls import Regional, RegionalUrl, Url
from ecrmint.tokens import Login, Secret
from ecrmint.wire import RegistryRequest

Tell = Callable[[str, str], None]
"""Takes the name of a step and what came of it, without any secret."""


class Minter(Protocol):
    """Mints one login. Equal minters mint the same login: **the minter itself is the cache's key**.

    Implementations are frozen, hashable dataclasses with *every* input of the mint among their compared fields, so that
    no login can be found under another identity's key. Shared resources (clients, sessions) are not compared.
    """

    @property
    def account(self) -> str:
        """The account's name in the configuration."""

    @property
    def provider(self) -> str:
        """The account's type: ``ecr``, ``google``, ``static`` ..."""

    def mint(self) -> Login:
        """Return a fresh login; blocks, within the provider's own time limits. Raises: MintError, and nothing else."""

    def walk(self, tell: Tell) -> Login:
        """Mint, and tell each step when it is done: what ``check --live`` shows. Raises: MintError."""

    @property
    def per_build(self) -> bool:
        """Whether builds have logins of their own, as with session tags; ``for_build`` then gives a build's minter."""

    def for_build(self, request: RegistryRequest) -> "Minter":
        """Return the minter of this build's login."""


MinterT = TypeVar("MinterT", bound=Minter)


class SharedByBuilds:
    """What a minter is made of that mints the same login for every build, in one step."""

    __slots__ = ()

    def walk(self: MinterT, tell: Tell) -> Login:
        """Mint; there is no step on the way to tell of."""
        return self.mint()

    @property
    def per_build(self) -> bool:
        """No."""
        return False

    def for_build(self: MinterT, request: RegistryRequest) -> MinterT:
        """Return itself."""
        return self


class Endpoints(Model):
    """Other addresses of the clouds' APIs; the clouds' own where nothing is said."""

    sts: RegionalUrl = Regional()
    ecr: RegionalUrl = Regional()
    ecr_public: RegionalUrl = Regional()
    google_token: Url | None = None
    google_sts: Url | None = None
    iamcredentials: Url | None = None
    metadata: Url | None = None
    registries: dict[Annotated[str, AfterValidator(check_bare)], Url] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Resources:
    """What minters share. Nothing of a cloud's SDK is imported, and no client is made, before the first mint.

    ``secrets`` holds what the accounts' ``secret_sources`` name. ``aws``, ``http`` and ``google`` may outlive a
    configuration: pass those of the one before. ``watched`` gives all of them one observer.
    """

    endpoints: Endpoints = field(default_factory=Endpoints)
    secrets: Mapping[SecretSource, Secret] = field(default_factory=dict)
    aws: Aws = field(default_factory=Aws)
    http: Http = field(default_factory=Http)
    google: Google = field(default_factory=Google)
    observer: CloudObserver = SILENT

    @classmethod
    def watched(
        cls, observer: CloudObserver, *, endpoints: Endpoints, secrets: Mapping[SecretSource, Secret]
    ) -> "Resources":
        """Return resources whose calls the observer is told of."""
        return cls(endpoints, secrets, aws=Aws(observer), http=Http(observer), observer=observer)


_Host = TypeVar("_Host", bound=str)
BareHost = Annotated[str, AfterValidator(check_bare)]
Registries = Annotated[tuple[_Host, ...], AfterValidator(check_list)]
"""The hosts of an account: at least one, none twice; each type says which hosts it knows."""


class AccountModel(Model):
    """The part of an account's configuration that all types share: ``registries``, bare hosts."""

    registries: Registries[BareHost]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host that this account serves."""
        return self.registries

    def secret_sources(self) -> Mapping[str, SecretSource]:
        """Return the secrets that this account reads, by the dotted path of their field; settings.py reads them."""
        return {}

    def check_secret(self, name: str, secret: Secret, endpoints: Endpoints) -> None:
        """Check what was read for a field of ``secret_sources``. Raises: ValueError, with no part of it."""

    def longest_life(self, resources: "Resources") -> float | None:
        """Return the seconds that a login lives at most; None where nobody knows, or where it is long enough."""
        return None

    @abstractmethod
    def minters(self, name: str, resources: Resources) -> Mapping[str, Minter]:
        """Return the minter for each host. Hosts that share a login have equal minters. No I/O yet."""
