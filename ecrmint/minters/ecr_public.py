"""Amazon ECR Public: one login for all of it, asked for in us-east-1. Without one, pulls are limited but work.

Source: Amazon ECR Public User Guide, "Registry authentication"; Amazon ECR Public API Reference, GetAuthorizationToken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Literal

from pydantic import AfterValidator

from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws.clients import Place, SessionKey
from ecrmint.minters._aws.ecr_login import RoleMinter, login_of
from ecrmint.minters._aws.errors import UNREADABLE, Step, malformed
from ecrmint.minters._aws.role_keys import RoleKeys
from ecrmint.minters._aws.session_policy import PUBLIC_ACTIONS, public_policy
from ecrmint.minters._base import BareHost, Minter, Registries, Resources
from ecrmint.minters._hosts import ECR_PUBLIC, ECR_PUBLIC_DUAL_STACK, check_ecr_public
from ecrmint.tokens import Login

# The SDKs know us-west-2 too, but logins are given in this region alone; the partition `aws` is the only one with it.
_REGION: Final = "us-east-1"


class EcrPublicAccount(RoleKeys):
    """``type: ecr-public``: Amazon's public registry, as the process itself or as a role."""

    type: Literal["ecr-public"]
    registries: Registries[Annotated[BareHost, AfterValidator(check_ecr_public)]] = (ECR_PUBLIC,)

    def minters(self, name: str, resources: Resources) -> Mapping[str, Minter]:
        """Return a minter for each host; each is asked by its own form of the API."""
        return {host: self._minter(name, host, resources) for host in self.registries}

    def _minter(self, name: str, host: str, resources: Resources) -> Minter:
        endpoints, policy = resources.endpoints, public_policy() if self.role_arn else None
        place = partial(Place, _REGION, dual_stack=host == ECR_PUBLIC_DUAL_STACK)
        chain = self.chain(name, self.role_arn, place(endpoints.sts.at(_REGION)), resources, policy=policy)
        return EcrPublicMinter(name, place(endpoints.ecr_public.at(_REGION)), chain, resources.aws)


@dataclass(frozen=True, slots=True)
class EcrPublicMinter(RoleMinter):
    """Mints the login of an identity for the public registry."""

    @property
    def provider(self) -> str:
        """``ecr-public``."""
        return "ecr-public"

    def ask(self, key: SessionKey | None) -> Login:
        """Ask ECR Public. Raises: MintError."""
        denied = partial(self.denied, "ECR Public", " and ".join(PUBLIC_ACTIONS))
        step = Step("ECR Public's GetAuthorizationToken", denied, broken=UNREADABLE)
        return attempt(partial(self._login, key), step.explain)

    def _login(self, key: SessionKey | None) -> Login:
        with self.aws.ecr_public(self.place, key) as client:
            data = client.get_authorization_token().get("authorizationData")
        if not isinstance(data, Mapping):  # one object, without the registry that ECR's names
            raise malformed("ECR Public's answer holds no login")
        return login_of(data)
