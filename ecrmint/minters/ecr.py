"""Amazon ECR: roles where they are named, then GetAuthorizationToken in the registry's own region.

Source: Amazon ECR API Reference, GetAuthorizationToken.
"""

import re
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator

from ecrmint.errors import MalformedAnswerError, MintError, RegistryDeniedError, WrongIdentityError
from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws import Aws, Place, SessionKey
from ecrmint.minters._aws_errors import UNREADABLE, Step
from ecrmint.minters._base import BareHost, Minter, Registries, Resources, Tell
from ecrmint.minters._hosts import EcrHost, check_ecr, check_list, parse_ecr
from ecrmint.minters._role_keys import RoleKeys
from ecrmint.minters._roles import Chain, silent, text
from ecrmint.minters._session_policy import LONGEST, Access, check_repository, session_policy
from ecrmint.tokens import Login, Secret
from ecrmint.wire import RegistryRequest

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
    role: Annotated[str, AfterValidator(_check_role)] | None = None
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
        url = resources.endpoints.ecr.at(group.region)
        return EcrMinter(
            account=name,
            partition=group.partition,
            ecr=Place(group.region, url, fips=group.fips, dual_stack=group.dual_stack),
            chain=self.chain(name, group.role, group.region, resources, policy=policy),
            aws=resources.aws,
        )


@dataclass(frozen=True, slots=True)
class EcrMinter:
    """Mints the login of an identity in a region: it opens every registry there that the identity may pull from."""

    account: str
    partition: str
    ecr: Place
    chain: Chain
    aws: Aws = field(compare=False, repr=False)

    @property
    def provider(self) -> str:
        """``ecr``."""
        return "ecr"

    @property
    def per_build(self) -> bool:
        """Whether the session has a build's tags."""
        return bool(self.chain.tag_keys)

    def for_build(self, request: RegistryRequest) -> "EcrMinter":
        """Return the minter of the build's login."""
        return replace(self, chain=self.chain.for_build(request))

    def mint(self) -> Login:
        """Assume the roles, if there are any, and ask ECR: one call each. Raises: MintError."""
        return self._mint(silent)

    def walk(self, tell: Tell) -> Login:
        """Mint, and tell who we are and the session that each role gave. Raises: MintError."""
        self.chain.tell_own(tell)
        return self._mint(tell)

    def _mint(self, tell: Tell) -> Login:
        key = self.chain.assume(tell)
        data = attempt(
            partial(self._authorize, key),
            Step("ECR's GetAuthorizationToken", self._registry_denied, broken=UNREADABLE).explain,
        )
        self._check_endpoint(text(data.get("proxyEndpoint")))
        expires_at = _moment(data.get("expiresAt"))
        return Login("AWS", _password(text(data.get("authorizationToken"))), expires_at)

    def _authorize(self, key: SessionKey | None) -> "AuthorizationDataTypeDef":
        with self.aws.ecr(self.ecr, key) as client:
            entries = client.get_authorization_token().get("authorizationData", [])
        if len(entries) != 1:
            raise MalformedAnswerError(f"ECR's answer holds {len(entries)} logins instead of one")
        return entries[0]

    def _check_endpoint(self, endpoint: str) -> None:
        """Refuse the login of another identity: a proxy's or an emulator's mistake must not reach a build."""
        try:
            found = parse_ecr(endpoint.removeprefix("https://"))
        except ValueError:
            raise MalformedAnswerError("ECR's answer does not name the registry that the login is for") from None
        expected = (self.partition, self.ecr.region, self.chain.last.account if self.chain.last else found.account)
        if (found.partition, found.region, found.account) != expected:
            raise WrongIdentityError(
                f"ECR's login is for the account {found.account} in {found.region} ({found.partition}), expected"
                f" {expected[2]} in {expected[1]} ({expected[0]})",
                hint="look at `endpoints` and at the AWS_ENDPOINT_URL variables",
            )

    def _registry_denied(self, code: str) -> MintError:
        who = self.chain.last.arn if self.chain.last else "the process's own identity"
        return RegistryDeniedError(
            f"{who} may not get a login from ECR in {self.ecr.region} ({code})",
            hint="allow ecr:GetAuthorizationToken on the resource *",
        )


def _moment(expires_at: object) -> float:
    if not isinstance(expires_at, datetime) or expires_at.tzinfo is None:
        # Without a zone it might be any: a guess of some hours' error is no expiry.
        raise MalformedAnswerError("ECR's answer does not say when the login ends")
    return expires_at.timestamp()


def _password(token: str) -> Secret:
    """Return the password of a token: base64 of ``AWS:PASSWORD``. Raises: MalformedAnswerError."""
    try:
        decoded = b64decode(token, validate=True).decode("ascii")
    except ValueError:  # and not raised: the error holds the token
        decoded = ""
    username, _, password = decoded.partition(":")
    if username != "AWS" or not password:
        raise MalformedAnswerError("ECR's answer holds no login of the form AWS:PASSWORD")
    return Secret(password)
