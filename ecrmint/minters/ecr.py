"""Amazon ECR: a role where one is named, then GetAuthorizationToken in the registry's own region.

Sources: Amazon ECR API Reference, GetAuthorizationToken; AWS STS API Reference, AssumeRole.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from ecrmint.errors import MalformedAnswerError, MintError, RegistryDeniedError, TrustDeniedError, WrongIdentityError
from ecrmint.fields import Duration
from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws import Aws, Place, SessionKey
from ecrmint.minters._aws_errors import UNREADABLE, Step
from ecrmint.minters._base import AccountModel, BareHost, Minter, Registries, Resources, SharedByBuilds
from ecrmint.minters._hosts import EcrHost, check_ecr, parse_ecr
from ecrmint.tokens import Login, Secret

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import AuthorizationDataTypeDef
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef, AssumeRoleResponseTypeDef

_ROLE_ARN: Final = re.compile(
    r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/(?:[\x21-\x7e]{1,510}/)?[\w+=,.@-]{1,64}", re.ASCII
)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_ONLY_WITH_ROLE: Final = ("external_id", "role_session_name", "duration")


def _check_role_arn(arn: str) -> str:
    if _ROLE_ARN.fullmatch(arn) is None:
        raise ValueError("expected a role's ARN: arn:aws:iam::ACCOUNT:role/NAME, the account 12 digits")
    return arn


def _check_external_id(text: str) -> str:
    if _EXTERNAL_ID.fullmatch(text) is None:
        raise ValueError("an external id has 2 to 1224 of A-Z a-z 0-9 _ + = , . @ : / -")
    return text


def _check_session_name(text: str) -> str:
    if _SESSION_NAME.fullmatch(text) is None:
        raise ValueError("expected 2 to 64 of A-Z a-z 0-9 _ + = , . @ -")
    return text


class EcrAccount(AccountModel):
    """``type: ecr``: private ECR registries, as the process itself or as a role. ``duration``: the role's session."""

    type: Literal["ecr"]
    registries: Registries[Annotated[BareHost, AfterValidator(check_ecr)]]
    role_arn: Annotated[str, AfterValidator(_check_role_arn)] | None = None
    external_id: Annotated[str, AfterValidator(_check_external_id)] | None = None
    role_session_name: Annotated[str, AfterValidator(_check_session_name)] = "ecrmint"
    duration: Annotated[Duration, Field(ge=900, le=43200)] = 3600.0

    @model_validator(mode="after")
    def _consistent(self) -> "EcrAccount":
        idle = [key for key in _ONLY_WITH_ROLE if key in self.model_fields_set]
        if self.role_arn is None and idle:
            raise ValueError(f"{', '.join(idle)}: without role_arn this has no effect")
        partitions = {parse_ecr(host).partition: host for host in self.registries}
        for partition, host in partitions.items():
            if self.role_arn is not None and self.role_arn.split(":")[1] != partition:
                raise ValueError(
                    f"role_arn: a role for {host} is of the partition {partition}: arn:{partition}:iam::..."
                )
        return self

    def minters(self, name: str, resources: Resources) -> Mapping[str, Minter]:
        """Return a minter for each host; hosts of one region and form share a login, whatever their account."""
        return {host: self._minter(name, parse_ecr(host), resources) for host in self.registries}

    def _minter(self, name: str, host: EcrHost, resources: Resources) -> Minter:
        endpoints = resources.endpoints
        return EcrMinter(
            account=name,
            partition=host.partition,
            sts=Place(host.region, endpoints.sts.at(host.region)) if self.role_arn else None,
            ecr=Place(host.region, endpoints.ecr.at(host.region), fips=host.fips, dual_stack=host.dual_stack),
            role=self._role(),
            aws=resources.aws,
        )

    def _role(self) -> "Role | None":
        if self.role_arn is None:
            return None
        return Role(self.role_arn, self.external_id, session_name=self.role_session_name, seconds=int(self.duration))


@dataclass(frozen=True, slots=True)
class Role:
    """A role to assume, and how: every parameter of AssumeRole."""

    arn: str
    external_id: str | None
    session_name: str
    seconds: int

    @property
    def account(self) -> str:
        """The 12 digits of its account."""
        return self.arn.split(":")[4]


@dataclass(frozen=True, slots=True)
class EcrMinter(SharedByBuilds):
    """Mints the login of an identity in a region: it opens every registry there that the identity may pull from."""

    account: str
    partition: str
    sts: Place | None
    ecr: Place
    role: Role | None
    aws: Aws = field(compare=False, repr=False)

    @property
    def provider(self) -> str:
        """``ecr``."""
        return "ecr"

    def mint(self) -> Login:
        """Assume the role, if there is one, and ask ECR: one call each. Raises: MintError."""
        key = self._assume(self.role, self.sts) if self.role and self.sts else None
        data = attempt(
            partial(self._authorize, key),
            Step("ECR's GetAuthorizationToken", self._registry_denied, broken=UNREADABLE).explain,
        )
        self._check_endpoint(_text(data.get("proxyEndpoint")))
        expires_at = _moment(data.get("expiresAt"))
        return Login("AWS", _password(_text(data.get("authorizationToken"))), expires_at)

    def _assume(self, role: Role, place: Place) -> SessionKey:
        step = Step("STS's AssumeRole", self._trust_denied, broken=UNREADABLE)
        return _session_key(attempt(partial(self._ask_sts, role, place), step.explain), role)

    def _ask_sts(self, role: Role, place: Place) -> "AssumeRoleResponseTypeDef":
        request: AssumeRoleRequestTypeDef = {
            "RoleArn": role.arn,
            "RoleSessionName": role.session_name,
            "DurationSeconds": role.seconds,
        }
        if role.external_id is not None:
            request["ExternalId"] = role.external_id
        return self.aws.sts(place).assume_role(**request)

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
        expected = (self.partition, self.ecr.region, self.role.account if self.role else found.account)
        if (found.partition, found.region, found.account) != expected:
            raise WrongIdentityError(
                f"ECR's login is for the account {found.account} in {found.region} ({found.partition}), expected"
                f" {expected[2]} in {expected[1]} ({expected[0]})",
                hint="look at `endpoints` and at the AWS_ENDPOINT_URL variables",
            )

    def _trust_denied(self, code: str) -> MintError:
        return TrustDeniedError(
            f"AWS does not let us assume {self.role.arn if self.role else 'the role'} ({code})",
            hint="one of: the role does not exist; its trust policy does not name our identity; the external id is"
            " another; our identity may not sts:AssumeRole it. AWS answers all of them alike",
            target=self.role.arn if self.role else "",
            external_id=self.role.external_id if self.role else None,
        )

    def _registry_denied(self, code: str) -> MintError:
        who = self.role.arn if self.role else "the process's own identity"
        return RegistryDeniedError(
            f"{who} may not get a login from ECR in {self.ecr.region} ({code})",
            hint="allow ecr:GetAuthorizationToken on the resource *",
        )


def _session_key(answer: "AssumeRoleResponseTypeDef", role: Role) -> SessionKey:
    user, credentials = answer.get("AssumedRoleUser"), answer.get("Credentials")
    if not user or not credentials:
        raise MalformedAnswerError("STS's answer holds no credentials")
    if _text(user.get("Arn")).split(":")[4:5] != [role.account]:
        raise WrongIdentityError(f"STS answers for another account than that of {role.arn}")
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    key_id, secret, token = (_text(credentials.get(name)) for name in names)
    if not (key_id and secret and token):
        raise MalformedAnswerError("STS's answer holds incomplete credentials")
    return SessionKey(key_id, Secret(secret), Secret(token))


def _moment(expires_at: object) -> float:
    if not isinstance(expires_at, datetime) or expires_at.tzinfo is None:
        # Without a zone it might be any: a guess of some hours' error is no expiry.
        raise MalformedAnswerError("ECR's answer does not say when the login ends")
    return expires_at.timestamp()


def _text(value: object) -> str:
    # botocore checks no types: what the answer has in a text's place may be anything.
    return value if isinstance(value, str) else ""


def _password(token: str) -> Secret:
    """Return the password of a token: base64 of ``AWS:PASSWORD``. Raises: MalformedAnswerError."""
    try:
        text = b64decode(token, validate=True).decode("ascii")
    except ValueError:  # and not raised: the error holds the token
        text = ""
    username, _, password = text.partition(":")
    if username != "AWS" or not password:
        raise MalformedAnswerError("ECR's answer holds no login of the form AWS:PASSWORD")
    return Secret(password)
