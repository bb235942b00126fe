"""Amazon ECR: roles where they are named, then GetAuthorizationToken in the registry's own region.

Source: Amazon ECR API Reference, GetAuthorizationToken.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator

from ecrmint.errors import WrongIdentityError
from ecrmint.fields import Said
from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws.clients import Place, SessionKey
from ecrmint.minters._aws.ecr_login import RoleMinter, login_of
from ecrmint.minters._aws.errors import ANOTHER_ANSWERS, UNREADABLE, Step, malformed
from ecrmint.minters._aws.role_keys import RoleKeys
from ecrmint.minters._aws.roles import text
from ecrmint.minters._aws.session_policy import LONGEST, Access, check_repository, session_policy
from ecrmint.minters._base import BareHost, Minter, Registries, Resources
from ecrmint.minters._hosts import EcrHost, check_ecr, check_list, parse_ecr
from ecrmint.tokens import Login

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import AuthorizationDataTypeDef

# As in a role's ARN after `role/`: a name, or a path and a name.
_ROLE: Final = re.compile(r"(?:[!-9;-~]{1,510}/)?[\w+=,.@-]{1,64}", re.ASCII)


def _check_role(role: str) -> str:
    if _ROLE.fullmatch(role) is None or role.startswith("/"):
        raise ValueError("expected a role's name, or its path and name such as team/drone-pull, without arn:")
    return role


@dataclass(frozen=True, slots=True)
class _Group:
    """Hosts that share a login, as the same role asks for it in the same place. None: the process itself."""

    role: str | None
    partition: str
    region: str
    fips: bool
    dual_stack: bool


class EcrAccount(RoleKeys):
    """``type: ecr``: private ECR registries, as the process itself or as a role.

    ``role``: the name of a role in the account of each host. ``repositories``: patterns that narrow the login.
    """

    role_keys: ClassVar[tuple[str, ...]] = ("role_arn", "role")

    type: Literal["ecr"]
    registries: Registries[Annotated[BareHost, AfterValidator(check_ecr)]]
    role: Said[Annotated[str, AfterValidator(_check_role)]] = None
    repositories: Annotated[
        tuple[Annotated[str, AfterValidator(check_repository)], ...], AfterValidator(check_list)
    ] = ("*",)
    access: Access = "pull"

    def problems(self) -> Iterator[str]:
        """Yield what can't work together."""
        if self.role is not None and self.role_arn is not None:
            yield "role_arn, role: expected one of them, not both"
        yield from super().problems()
        for group, hosts in self._groups().items():
            size = len(self._policy(group, hosts) or "")
            if size > LONGEST:
                yield (
                    f"repositories: with the registries in {group.region} they make a session policy of {size:,}"
                    f" characters, of which AWS takes {LONGEST:,}: name fewer, or split the account"
                )

    def partitions(self) -> Mapping[str, str]:
        """Return the partitions of the registries, and a host in each."""
        return {parse_ecr(host).partition: host for host in self.registries}

    def minters(self, name: str, resources: Resources) -> Mapping[str, Minter]:
        """Return a minter for each host; hosts that one role serves in one region and form share a login."""
        made: dict[str, Minter] = {}
        for group, hosts in self._groups().items():
            made |= dict.fromkeys(hosts, self._minter(name, group, self._policy(group, hosts), resources))
        return {host: made[host] for host in self.registries}

    def _groups(self) -> Mapping[_Group, Mapping[str, EcrHost]]:
        groups: dict[_Group, dict[str, EcrHost]] = defaultdict(dict)
        for name in self.registries:
            host = parse_ecr(name)
            group = _Group(self._arn(host), host.partition, host.region, fips=host.fips, dual_stack=host.dual_stack)
            groups[group][name] = host
        return groups

    def _arn(self, host: EcrHost) -> str | None:
        return self.role_arn if self.role is None else f"arn:{host.partition}:iam::{host.account}:role/{self.role}"

    def _policy(self, group: _Group, hosts: Mapping[str, EcrHost]) -> str | None:
        if group.role is None:
            return None
        return session_policy(
            partition=group.partition,
            region=group.region,
            # The registries' accounts, not the role's: a repository policy may let it into others.
            accounts=sorted({host.account for host in hosts.values()}),
            repositories=self.repositories,
            access=self.access,
        )

    def _minter(self, name: str, group: _Group, policy: str | None, resources: Resources) -> Minter:
        endpoints = resources.endpoints
        place = partial(Place, group.region, fips=group.fips, dual_stack=group.dual_stack)
        return EcrMinter(
            account=name,
            place=place(endpoints.ecr.at(group.region)),
            chain=self.chain(name, group.role, place(endpoints.sts.at(group.region)), resources, policy=policy),
            aws=resources.aws,
            partition=group.partition,
        )


@dataclass(frozen=True, slots=True)
class EcrMinter(RoleMinter):
    """Mints the login of an identity in a region: it opens every registry there that the identity may pull from."""

    partition: str

    @property
    def provider(self) -> str:
        """``ecr``."""
        return "ecr"

    def ask(self, key: SessionKey | None) -> Login:
        """Ask ECR. Raises: MintError."""
        denied = partial(self.denied, "ECR", "ecr:GetAuthorizationToken")
        step = Step("ECR's GetAuthorizationToken", denied, broken=UNREADABLE)
        data = attempt(partial(self._authorize, key), step.explain)
        self._check_endpoint(text(data.get("proxyEndpoint")))
        return login_of(data)

    def _authorize(self, key: SessionKey | None) -> "AuthorizationDataTypeDef":
        with self.aws.ecr(self.place, key) as client:
            entries = client.get_authorization_token().get("authorizationData", [])
        if len(entries) != 1:
            raise malformed(f"ECR's answer holds {len(entries)} logins instead of one")
        return entries[0]

    def _check_endpoint(self, endpoint: str) -> None:
        """Refuse the login of another identity: a proxy's or an emulator's mistake must not reach a build."""
        try:
            found = parse_ecr(endpoint.removeprefix("https://"))
        except ValueError:
            raise malformed("ECR's answer does not name the registry that the login is for") from None
        account = self.chain.last.account if self.chain.last else self.aws.own_account(self.place)
        expected = (self.partition, self.place.region, account or found.account)
        if (found.partition, found.region, found.account) != expected:
            raise WrongIdentityError(
                f"ECR's login is for the account {found.account} in {found.region} ({found.partition}), expected"
                f" {expected[2]} in {expected[1]} ({expected[0]})",
                hint=ANOTHER_ANSWERS,
            )
