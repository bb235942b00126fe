"""What every way of minting has in common: the interface, the account's part of the configuration, shared resources.

A new registry provider is one file beside this one and one line in ``ecrmint.minters.Account``.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

from ecrmint.fields import Model, SecretSource
from ecrmint.tokens import Login


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


class AccountModel(Model):
    """The part of an account's configuration that all types share: ``registries``, bare hosts."""

    registries: tuple[str, ...]

    def secret_sources(self) -> Mapping[str, SecretSource]:
        """Return the secrets that this account reads, by the dotted path of their field; settings.py reads them."""
        return {}

    @abstractmethod
    def minters(self, name: str, resources: "Resources") -> Mapping[str, Minter]:
        """Return the minter for each host. Hosts that share a login have equal minters. No I/O, no client is made yet."""
