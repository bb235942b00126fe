"""The credentials of a machine's role, as the endpoints of containers and instances write them in JSON."""

from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from ecrmint.standin import expiry
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Api, Failure, RefusedError
from ecrmint.standin.session_context import SessionContext

_LIFE: Final = 6 * 3600.0  # seconds


def issue(cloud: Cloud, api: Api, role: str, *, tags: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return new credentials of that role, whose tags all go on to further roles. Raises: RefusedError."""
    if role not in cloud.roles:
        raise RefusedError(Failure(500, "InternalServerError", f"{role} can't be assumed"))
    context = SessionContext(tags=tags or {}, transitive=frozenset(tags or {}))
    seconds = cloud.life(api, _LIFE)
    key = cloud.issue_session(cloud.roles[role], name=f"machine-{uuid4().hex}", seconds=seconds, context=context)
    end = expiry.as_text(cloud, api, key.expires_at)
    return {
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret.reveal(),
        "Token": key.session_token.reveal(),
        **({} if end is None else {"Expiration": end}),
    }
