"""A role's session as STS gives it: how long, within which size, and what the answer says of it."""

from dataclasses import dataclass
from math import ceil
from typing import Final

from ecrmint.standin import expiry
from ecrmint.standin.cloud import AccessKey, Cloud, Role
from ecrmint.standin.faults import Api, Failure, RefusedError
from ecrmint.standin.session_context import SessionContext
from ecrmint.standin.sts_form import SERVICE, Form, Tree, invalid

_SHORTEST, _LONGEST, _LONGEST_CHAINED = 900, 43200, 3600  # seconds of a session
_FULL: Final = 100  # percent


@dataclass(frozen=True, slots=True)
class Wish:
    """A session that is allowed: ``chained`` where another role's session asks for it."""

    role: Role
    name: str
    seconds: int
    context: SessionContext


def wish(form: Form, role: Role, context: SessionContext, *, chained: bool) -> Wish:
    """Return what a form asks for. Raises: RefusedError for a length that the role does not give."""
    return Wish(role, form["RoleSessionName"], _duration(form, role, chained=chained), context)


def start(cloud: Cloud, api: Api, wish: Wish) -> Tree:
    """Issue the session's key and return the answer. Raises: RefusedError for too large a policy and tags."""
    percent = ceil(_FULL * wish.context.size / cloud.packed_budget)
    if percent > _FULL:
        what = "Packed size of session tags" if wish.context.tags else "Packed policy"
        raise RefusedError(Failure(400, "PackedPolicyTooLarge", f"{what} consumes {percent}% of allotted space."))
    seconds = cloud.life(api, wish.seconds)
    session = cloud.issue_session(wish.role, name=wish.name, seconds=seconds, context=wish.context)
    packed = {"PackedPolicySize": str(percent)} if percent else {}
    source = {"SourceIdentity": wish.context.source_identity} if wish.context.source_identity else {}
    user = {"AssumedRoleId": f"{wish.role.id}:{wish.name}", "Arn": session.arn}
    credentials = _credentials(session, expiry.as_text(cloud, api, session.expires_at))
    return {"Credentials": credentials, "AssumedRoleUser": user, **packed, **source}


def _credentials(session: AccessKey, end: str | None) -> Tree:
    return {
        "AccessKeyId": session.id,
        "SecretAccessKey": session.secret.reveal(),
        "SessionToken": session.session_token.reveal(),
        **({} if end is None else {"Expiration": end}),
    }


def _duration(form: Form, role: Role, *, chained: bool) -> int:
    seconds = int(form.get("DurationSeconds", "3600"))
    if seconds < _SHORTEST:
        raise invalid("DurationSeconds", f"Member must have value greater than or equal to {_SHORTEST}")
    if seconds > _LONGEST:
        raise invalid("DurationSeconds", f"Member must have value less than or equal to {_LONGEST}")
    if chained and seconds > _LONGEST_CHAINED:
        text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        raise SERVICE.refusal("invalid", text)
    if seconds > role.max_session:
        text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise SERVICE.refusal("invalid", text)
    return seconds
