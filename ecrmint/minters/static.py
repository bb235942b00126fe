"""Logins that are not minted: a user name and a password from the configuration, for registries without an IAM."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from ecrmint.fields import SecretSource
from ecrmint.minters._base import AccountModel, Minter, Resources, SharedByBuilds
from ecrmint.tokens import Login, Secret


def _check_username(username: str) -> str:
    # RFC 7617: the first colon ends the name, and control characters belong in neither part.
    if re.fullmatch(r"[^:\x00-\x1f\x7f]{1,255}", username) is None:
        raise ValueError("expected a user name: 1 to 255 characters, none of them a colon or a control character")
    return username


class StaticAccount(AccountModel):
    """``type: static``: the same login for each of its registries, until the configuration changes."""

    type: Literal["static"]
    username: Annotated[str, AfterValidator(_check_username)]
    password: SecretSource

    def secret_sources(self) -> Mapping[str, SecretSource]:
        """Return where the password is."""
        return {"password": self.password}

    def minters(self, name: str, resources: Resources) -> Mapping[str, Minter]:
        """Return one minter for all hosts."""
        minter = StaticMinter(name, self.username, resources.secrets[self.password])
        return dict.fromkeys(self.registries, minter)


@dataclass(frozen=True, slots=True)
class StaticMinter(SharedByBuilds):
    """Gives what it was given."""

    account: str
    username: str
    password: Secret

    @property
    def provider(self) -> str:
        """``static``."""
        return "static"

    def mint(self) -> Login:
        """Return the login; it never expires."""
        return Login(self.username, self.password)
