"""Google's access tokens, from any of its APIs: what all of their answers have in common."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from ecrmint.errors import MalformedAnswerError
from ecrmint.minters._http import Answer, Calls
from ecrmint.tokens import Secret

OK: Final = 200
HOUR: Final = 3600  # seconds: the longest life of a token, where nobody asked for a longer one
_ABSURD: Final = 10**9  # seconds; what is too large for a float would be no error of ours


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
        """Return who it is: a service account's email, if it has one. Raises: MintError, and nothing else."""

    @property
    def life(self) -> float:
        """The seconds that its tokens live at most."""


def json_object(answer: Answer) -> Mapping[str, object]:
    """Return an answer's JSON object, an empty one where it holds none: a caller misses its fields then."""
    try:
        content: object = json.loads(answer.body)
    except (ValueError, RecursionError):  # and not raised: the error holds the whole body
        return {}
    return content if isinstance(content, dict) else {}


def granted(answer: Answer, *, asked: float, what: str) -> AccessToken:
    """Return the token of an OAuth answer (RFC 6749 section 5.1). Raises: MalformedAnswerError where there is none.

    ``asked``: the epoch seconds before the call, so that its life is never overrated.
    """
    content = json_object(answer)
    seconds = content.get("expires_in")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds < _ABSURD:
        raise MalformedAnswerError(f"{what} does not say when the token ends")
    return made(content.get("access_token"), asked + seconds, what=what)


def made(token: object, expires_at: float | None, *, what: str) -> AccessToken:
    """Return the token of an answer's two values. Raises: MalformedAnswerError where they are none."""
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise MalformedAnswerError(f"{what} answers without an access token")
    if expires_at is None:
        raise MalformedAnswerError(f"{what} does not say when the token ends")
    return AccessToken(Secret(token), expires_at)
