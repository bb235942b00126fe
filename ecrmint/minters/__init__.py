"""Ways of minting logins, one file each. Importing this imports no cloud's SDK: a mint that needs one does."""

from typing import Annotated

from pydantic import Field

from ecrmint.minters._base import AccountModel, Endpoints, Minter, Resources
from ecrmint.minters._observer import CloudObserver
from ecrmint.minters.ecr import EcrAccount
from ecrmint.minters.ecr_public import EcrPublicAccount
from ecrmint.minters.google import GoogleAccount
from ecrmint.minters.static import StaticAccount

__all__ = ["Account", "AccountModel", "CloudObserver", "Endpoints", "Minter", "Resources"]

Account = Annotated[EcrAccount | EcrPublicAccount | GoogleAccount | StaticAccount, Field(discriminator="type")]
"""An account of the configuration: the one line per provider."""
