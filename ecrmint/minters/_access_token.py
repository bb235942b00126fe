"""Google's access tokens, from any of its APIs: what all of their answers have in common."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from ecrmint.errors import MalformedAnswerError
from ecrmint.minters._http import Answer, Calls
from ecrmint.tokens import Secret

OK: Final = 200


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An OAuth 2.0 access token, and when it ends in epoch seconds."""

    secret: Secret
    expires_at: float


class Source(Protocol):
    """Where an identity's tokens are from. Implementations are frozen dataclasses: part of the cache's key."""

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return a token of the identity. Raises: MintError, and nothing else."""

    def identity(self, calls: Calls) -> str:
        """Return who it is: a service account's email. Raises: MintError, and nothing else."""


def json_object(answer: Answer) -> Mapping[str, object]:
    """Return an answer's JSON object, an empty one where it holds none: a caller misses its fields then."""
    try:
        content: object = json.loads(answer.body)
    except ValueError:  # and not raised: the error holds the whole body
        return {}
    return content if isinstance(content, dict) else {}


def made(token: object, expires_at: float | datetime | None, *, what: str) -> AccessToken:
    """Return the token of an answer's two values. Raises: MalformedAnswerError where they are none."""
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise MalformedAnswerError(f"{what} answers without an access token")
    if expires_at is None:
        raise MalformedAnswerError(f"{what} does not say when the token ends")
    if isinstance(expires_at, datetime):
        # google-auth's datetimes are UTC and have no zone.
        expires_at = (expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)).timestamp()
    return AccessToken(Secret(token), expires_at)
