"""A service account's key: its signed claims are exchanged for a token, or are themselves the token.

google-auth signs; the exchange is ours, since its own tries again behind one's back and waits meanwhile, past any
deadline. Sources: Google Identity, "Using OAuth 2.0 for Server to Server Applications" and its "Addendum:
Service account authorization without OAuth" (google.aip.dev/auth/4111); RFC 7523.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Final
from urllib.parse import urlencode

from ecrmint.errors import ClockSkewError, MintError, NoIdentityError
from ecrmint.minters._google.access_token import HOUR, OK, AccessToken, granted, json_object, made
from ecrmint.minters._google.apis import GoogleApis
from ecrmint.minters._google.assertion import sign
from ecrmint.minters._google.json_fields import text_of
from ecrmint.minters._http import Answer, Calls, failure_of
from ecrmint.minters._retry import persistently
from ecrmint.tokens import Secret

_WHAT: Final = "Google's token endpoint"
_AUDIENCE: Final = "https://oauth2.googleapis.com/token"  # by whatever address the endpoint is reached
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_REFUSED: Final = (400, 401, 403)
_SKEW_TEXT: Final = "reasonable timeframe"  # both a date and anything else wrong with a key are an invalid_grant


@dataclass(frozen=True, slots=True)
class KeySource:
    """What of Google's JSON file is used. ``token_url`` is None where the claims are the token (self-signed)."""

    email: str
    key_id: str
    private_key: Secret
    token_url: str | None

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return a token for one hour. Raises: MintError."""
        now = int(time())
        claims = {"iss": self.email, "iat": now, "exp": now + HOUR, "scope": " ".join(scopes)}
        if self.token_url is None:
            return made(self._signed({**claims, "sub": self.email}).reveal(), now + HOUR, what="the key")
        form = {"grant_type": _GRANT, "assertion": self._signed({**claims, "aud": _AUDIENCE}).reveal()}
        ask = partial(
            calls.post, self.token_url, headers=_FORM, content=urlencode(form).encode(), what=_WHAT, call="token"
        )
        answer = persistently(ask, calls)
        if answer.status != OK:
            raise _refusal(answer)
        return granted(answer, asked=now, what=_WHAT)

    def identity(self, calls: Calls) -> str:
        """Return the service account that the key belongs to."""
        return self.email

    @property
    def life(self) -> float:
        """The seconds that its tokens live at most."""
        return HOUR

    def _signed(self, claims: Mapping[str, object]) -> Secret:
        return sign(claims, key_id=self.key_id, private_key=self.private_key)


def parse_key(content: Mapping[str, object], apis: GoogleApis, *, self_signed: bool) -> KeySource:
    """Return the key in a file's JSON. Raises: ValueError, with no part of the key."""
    email, key_id, private_key = (text_of(content, name) for name in ("client_email", "private_key_id", "private_key"))
    named = text_of(content, "token_uri") if "token_uri" in content else _AUDIENCE
    # No token endpoint of a sovereign universe takes keys, so nothing is sent to what such a key names.
    if not (apis.sovereign and named == _AUDIENCE):
        apis.check(named, name="token_uri")
    token_url = None if self_signed or apis.sovereign else apis.token(named)
    return KeySource(email, key_id, Secret(private_key), token_url)


def _refusal(answer: Answer) -> MintError:
    if answer.status not in _REFUSED:
        return failure_of(_WHAT, answer)
    content = json_object(answer)
    if _SKEW_TEXT in str(content.get("error_description")):
        return ClockSkewError("Google finds this machine's clock wrong", hint="set the clock")
    if content.get("error") in ("invalid_grant", "invalid_client", "unauthorized_client"):
        return NoIdentityError(
            "Google does not accept the service account's key",
            hint="it was deleted or disabled, or its service account was: make a new one, or better, use none",
        )
    return failure_of(_WHAT, answer)
