"""Roles, assumed one by the other: each is one call to STS, and the last one's session is what asks the registry.

Sources: STS API Reference, AssumeRole, AssumeRoleWithWebIdentity; IAM User Guide, "Roles terms and concepts" (chains).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from ecrmint.errors import (
    MintError,
    NoIdentityError,
    PolicyTooLargeError,
    TagSessionDeniedError,
    TrustDeniedError,
    WrongIdentityError,
)
from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws.clients import Aws, Place, SessionKey
from ecrmint.minters._aws.errors import ANOTHER_ANSWERS, UNREADABLE, Step, malformed
from ecrmint.minters._aws.session_tags import TagKey, Tags, build_session_name, session_tags, smaller
from ecrmint.minters._aws.web_identity import read_claims, read_token
from ecrmint.minters._base import Tell
from ecrmint.minters._observer import CloudObserver
from ecrmint.tokens import Secret
from ecrmint.wire import RegistryRequest

if TYPE_CHECKING:
    from mypy_boto3_sts.type_defs import (
        AssumeRoleRequestTypeDef,
        AssumeRoleResponseTypeDef,
        AssumeRoleWithWebIdentityRequestTypeDef,
        AssumeRoleWithWebIdentityResponseTypeDef,
    )

_IN_BOTH: Final = "in the role's trust policy and in the policy of who assumes it, beside sts:AssumeRole"


@dataclass(frozen=True, slots=True)
class Hop:
    """A role to assume, and how: every parameter of the call.

    ``token_file``: it is assumed with the web identity in that file. The file is part of a login's key, its content is
    not: it changes every hour and stays the same identity.
    """

    arn: str
    sts: Place
    session_name: str
    seconds: int
    external_id: str | None = None
    token_file: str | None = None
    policy: str | None = None
    source_identity: str | None = None
    tags: Tags = ()

    @property
    def account(self) -> str:
        """The 12 digits of the role's account."""
        return self.arn.split(":")[4]

    @property
    def session_arn(self) -> str:
        """That of its session: the role's name without its path, and the session's."""
        _, partition, _, _, account, path = self.arn.split(":", 5)
        return f"arn:{partition}:sts::{account}:assumed-role/{path.rpartition('/')[2]}/{self.session_name}"

    def parameters(self) -> "AssumeRoleRequestTypeDef":
        """Return what AssumeRole is called with."""
        request: AssumeRoleRequestTypeDef = {
            "RoleArn": self.arn,
            "RoleSessionName": self.session_name,
            "DurationSeconds": self.seconds,
        }
        if self.policy is not None:
            request["Policy"] = self.policy
        if self.external_id is not None:
            request["ExternalId"] = self.external_id
        if self.source_identity is not None:
            request["SourceIdentity"] = self.source_identity
        if self.tags:
            request["Tags"] = [{"Key": key, "Value": value} for key, value in self.tags]
        return request

    def web_parameters(self, token: Secret) -> "AssumeRoleWithWebIdentityRequestTypeDef":
        """Return what AssumeRoleWithWebIdentity is called with: it knows no external id, source identity or tags."""
        request: AssumeRoleWithWebIdentityRequestTypeDef = {
            "RoleArn": self.arn,
            "RoleSessionName": self.session_name,
            "DurationSeconds": self.seconds,
            "WebIdentityToken": token.reveal(),
        }
        if self.policy is not None:
            request["Policy"] = self.policy
        return request


@dataclass(frozen=True, slots=True)
class Chain:
    """The roles from the process's own identity to the one that asks the registry; none where it asks itself.

    ``tag_keys``: what the last role's session says of a build, whose login is then its own. ``named``: that session has
    a name from the configuration, which no build changes.
    """

    account: str  # its name in the configuration
    hops: tuple[Hop, ...]
    own: Place = field(compare=False)  # where the process's own identity is asked for its name: no part of a mint
    aws: Aws = field(compare=False, repr=False)
    observer: CloudObserver = field(compare=False, repr=False)
    tag_keys: tuple[TagKey, ...] = ()
    named: bool = False

    @property
    def last(self) -> Hop | None:
        """The role that asks the registry."""
        return self.hops[-1] if self.hops else None

    def for_build(self, request: RegistryRequest) -> "Chain":
        """Return the chain of this build's login."""
        if not self.tag_keys:
            return self
        *before, last = self.hops
        name = build_session_name(request, self.tag_keys, account=self.account)
        tags = session_tags(request, self.tag_keys)
        mine = replace(last, tags=tags, session_name=last.session_name if self.named else name)
        return replace(self, hops=(*before, mine))

    def tell_own(self, tell: Tell) -> None:
        """Tell who the process is, where that matters. Raises: MintError."""
        if self.hops and self.hops[0].token_file is not None:
            return
        try:
            arn = self.aws.own_arn(self.own)
        except NoIdentityError:
            raise
        except MintError as error:  # a mint may do without: STS need not be reachable where there is no role
            tell("identity", f"not known: {error}")
        else:
            tell("identity", arn or "STS does not say")

    def assume(self, tell: Tell) -> SessionKey | None:
        """Assume each role with the session of the one before, and tell of it. Raises: MintError."""
        key: SessionKey | None = None
        for hop in self.hops:
            key = self._assume_fitting(hop, key)
            tell("role", key.arn)
        return key

    def _assume_fitting(self, hop: Hop, caller: SessionKey | None) -> SessionKey:
        """Assume a role, with fewer tags where STS finds all of them too large."""
        while True:
            try:
                return _session_key(attempt(partial(self._ask, hop, caller), _step(hop).explain), hop)
            except PolicyTooLargeError:
                less = smaller(hop.tags)
                if less is None:
                    raise
            dropped, tags = less
            self.observer.tags_dropped(self.account, dropped)
            hop = replace(hop, tags=tags)

    def _ask(
        self, hop: Hop, caller: SessionKey | None
    ) -> "AssumeRoleResponseTypeDef | AssumeRoleWithWebIdentityResponseTypeDef":
        if hop.token_file is not None:
            request = hop.web_parameters(read_token(hop.token_file))
            return self.aws.unsigned_sts(hop.sts).assume_role_with_web_identity(**request)
        if caller is None:
            return self.aws.sts(hop.sts).assume_role(**hop.parameters())
        with self.aws.sts_as(hop.sts, caller) as client:
            return client.assume_role(**hop.parameters())


def text(value: object) -> str:
    """Return a text of an answer, "" where it is none: botocore checks no types."""
    return value if isinstance(value, str) else ""


def silent(step: str, detail: str) -> None:
    """Tell nobody."""


def _step(hop: Hop) -> Step:
    if hop.token_file is not None:
        return Step("STS's AssumeRoleWithWebIdentity", partial(_web_denied, hop), broken=UNREADABLE)
    missing = {"sts:TagSession": partial(_tags_denied, hop), "sts:SetSourceIdentity": partial(_source_denied, hop)}
    return Step("STS's AssumeRole", partial(_denied, hop), broken=UNREADABLE, missing=missing)


def _denied(hop: Hop, code: str) -> MintError:
    return TrustDeniedError(
        f"AWS does not let us assume {hop.arn} ({code})",
        hint="one of: the role does not exist; its trust policy does not name our identity; the external id is"
        " another; our identity may not sts:AssumeRole it. AWS answers all of them alike",
        target=hop.arn,
        action="sts:AssumeRole",
        external_id=hop.external_id,
    )


def _web_denied(hop: Hop, code: str) -> MintError:
    return TrustDeniedError(
        f"AWS does not let us assume {hop.arn} with the web identity ({code})",
        hint="one of: the role does not exist; its trust policy does not name the token's issuer, or asks for another"
        " audience (aud) or subject (sub) than the token's. AWS answers all of them alike",
        target=hop.arn,
        action="sts:AssumeRoleWithWebIdentity",
        web=read_claims(hop.token_file or ""),
    )


def _tags_denied(hop: Hop, code: str) -> MintError:
    return TagSessionDeniedError(
        f"AWS does not let a session of {hop.arn} have tags ({code})",
        hint=f"allow sts:TagSession {_IN_BOTH}; EKS Pod Identity adds tags of its own, which need it as well",
        target=hop.arn,
        action="sts:TagSession",
    )


def _source_denied(hop: Hop, code: str) -> MintError:
    return TrustDeniedError(
        f"AWS does not let a session of {hop.arn} have a source identity ({code})",
        hint=f"allow sts:SetSourceIdentity {_IN_BOTH}; a session that has a source identity already can't change it",
        target=hop.arn,
        action="sts:SetSourceIdentity",
    )


def _session_key(answer: Mapping[str, object], hop: Hop) -> SessionKey:
    user, credentials = answer.get("AssumedRoleUser"), answer.get("Credentials")
    if not isinstance(user, Mapping) or not isinstance(credentials, Mapping):
        raise malformed("STS's answer holds no credentials")
    if text(user.get("Arn")) != hop.session_arn:
        # A proxy's or an emulator's mistake must not reach a build.
        raise WrongIdentityError(f"STS answers with another session than of {hop.arn}", hint=ANOTHER_ANSWERS)
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    key_id, secret, token = (text(credentials.get(name)) for name in names)
    if not (key_id and secret and token):
        raise malformed("STS's answer holds incomplete credentials")
    return SessionKey(hop.session_arn, key_id, Secret(secret), Secret(token))
