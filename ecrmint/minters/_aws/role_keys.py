"""The part of an AWS account's configuration that says which roles are assumed, and how; what can't work is refused.

Sources: STS API Reference, AssumeRole, AssumeRoleWithWebIdentity; IAM User Guide, "IAM and AWS STS quotas".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, model_validator

from ecrmint.fields import Duration, Model, Said
from ecrmint.minters._aws.clients import Place
from ecrmint.minters._aws.roles import Chain, Hop
from ecrmint.minters._aws.session_tags import NO_BUILD, TagKey, account_session_name
from ecrmint.minters._base import AccountModel, Resources
from ecrmint.minters._hosts import check_list, partition_of

_ROLE_ARN: Final = re.compile(
    r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/(?:[\x21-\x7e]{1,510}/)?[\w+=,.@-]{1,64}", re.ASCII
)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
# Of a session's name and of a source identity alike; without `:`, so that no source identity starts with `aws:`.
_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_FIRST_SECONDS: Final = 900  # the shortest that there is; the session is good for one call
_CHAINED_SECONDS: Final = 3600
_MOST_HOPS: Final = 4  # roles of `via`


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


def _check_via(via: tuple["Via", ...]) -> tuple["Via", ...]:
    if not 0 < len(via) <= _MOST_HOPS:
        raise ValueError(f"expected 1 to {_MOST_HOPS} roles: each is one more call in the way of a mint")
    return via


def _check_region(region: str) -> str:
    if partition_of(region) is None:
        raise ValueError("expected a region such as eu-west-1")
    return region


RoleArn = Annotated[str, AfterValidator(_check_role_arn)]
ExternalId = Annotated[str, AfterValidator(_check_external_id)]
SessionName = Annotated[str, AfterValidator(_check_session_name)]


class Via(Model):
    """A role on the way to the account's own. ``region``: that of the STS that is asked; else the registry's."""

    role_arn: RoleArn
    external_id: Said[ExternalId] = None
    region: Said[Annotated[str, AfterValidator(_check_region)]] = None


class RoleKeys(AccountModel):
    """The keys of a role. ``duration``: of its session, in seconds."""

    role_keys: ClassVar[tuple[str, ...]] = ("role_arn",)
    """The keys that name a role: all but these, type and registries have no effect without one."""

    role_arn: Said[RoleArn] = None
    external_id: Said[ExternalId] = None
    via: Annotated[tuple[Via, ...], AfterValidator(_check_via)] = ()
    web_identity_token_file: Said[Annotated[str, Field(min_length=1)]] = None
    session_tags: Annotated[tuple[TagKey, ...], AfterValidator(check_list)] = ()
    source_identity: Said[SessionName] = None
    role_session_name: Said[SessionName] = None
    duration: Annotated[Duration, Field(ge=900, le=43200)] = 3600.0

    @model_validator(mode="after")
    def _consistent(self) -> "RoleKeys":
        problems = [*self.problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def problems(self) -> Iterator[str]:
        """Yield what can't work together, each text starting with the key."""
        idle = self.model_fields_set - {"type", "registries", *self.role_keys}
        if idle and not self.model_fields_set & {*self.role_keys}:
            named = ", ".join(key for key in type(self).model_fields if key in idle)
            yield f"{named}: without {' or '.join(self.role_keys)} this has no effect"
        yield from self._misplaced()
        yield from self._impossible_chain()

    def partitions(self) -> Mapping[str, str]:
        """Return the partitions of the registries, and a host in each."""
        return {"aws": self.registries[0]}

    def chain(self, name: str, arn: str | None, own: Place, resources: Resources, *, policy: str | None) -> Chain:
        """Return the roles that end with this one, ``own`` being the STS of the registry's region and form."""
        chain = Chain(
            account=name,
            hops=() if arn is None else self._hops(name, arn, own, resources, policy=policy),
            own=own,
            aws=resources.aws,
            observer=resources.observer,
            tag_keys=self.session_tags,
            named=self.role_session_name is not None,
        )
        return chain.for_build(NO_BUILD)

    def _hops(self, name: str, arn: str, own: Place, resources: Resources, *, policy: str | None) -> tuple[Hop, ...]:
        session_name = self.role_session_name or account_session_name(name)
        hops = [
            Hop(
                via.role_arn,
                replace(own, region=via.region, url=resources.endpoints.sts.at(via.region)) if via.region else own,
                session_name,
                _FIRST_SECONDS,
                via.external_id,
            )
            for via in self.via
        ]
        last = Hop(
            arn,
            own,
            session_name,
            int(self.duration),
            self.external_id,
            policy=policy,
            source_identity=self.source_identity,
        )
        return _with_token((*hops, last), self.web_identity_token_file)

    def _misplaced(self) -> Iterator[str]:
        """Yield roles and regions of another partition than the registries'."""
        arns = {
            "role_arn": self.role_arn,
            **{f"via.{index}.role_arn": via.role_arn for index, via in enumerate(self.via)},
        }
        for partition, host in self.partitions().items():
            for key, arn in arns.items():
                if arn is not None and arn.split(":")[1] != partition:
                    yield f"{key}: a role for {host} is of the partition {partition}: arn:{partition}:iam::..."
        for index, via in enumerate(self.via):
            if via.region is not None and partition_of(via.region) != via.role_arn.split(":")[1]:
                yield f"via.{index}.region: {via.region} is in another partition than the role"

    def _impossible_chain(self) -> Iterator[str]:
        """Yield what STS would refuse, or has no parameter for."""
        if self.via and self.duration > _CHAINED_SECONDS:
            yield (
                "duration: expected 1h at most: the role is assumed by another role's session (`via`), and AWS limits"
                " such a chain to one hour"
            )
        if self.web_identity_token_file is None:
            return
        if self.via:
            without = {"via.0.external_id": self.via[0].external_id}
        else:
            keys = ("external_id", "session_tags", "source_identity")
            without = {key: getattr(self, key) or None for key in keys}
        for key, value in without.items():
            if value is not None:
                yield f"{key}: AssumeRoleWithWebIdentity, which assumes this role, has no such parameter"


def _with_token(hops: tuple[Hop, ...], file: str | None) -> tuple[Hop, ...]:
    first, *others = hops
    return (replace(first, token_file=file), *others)
