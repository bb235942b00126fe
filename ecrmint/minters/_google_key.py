"""A service account's key: google-auth signs with it, and asks Google's token endpoint through our own HTTP.

Every answer but a success is turned into our own error before google-auth sees it, so it neither retries nor sleeps,
and no answer gets into its exceptions. Importing this does not import google-auth: a call does.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from ecrmint.errors import ClockSkewError, MalformedAnswerError, MintError, NoIdentityError
from ecrmint.minters._access_token import OK, AccessToken, json_object, made
from ecrmint.minters._attempt import attempt
from ecrmint.minters._http import Answer, Calls, failure_of
from ecrmint.minters._urls import same_origin
from ecrmint.tokens import Secret

if TYPE_CHECKING:
    from google.oauth2.service_account import Credentials

_WHAT: Final = "Google's token endpoint"
_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_UNIVERSE: Final = "googleapis.com"
# The whole of it: parsers of URLs disagree about odd ones, so that a beginning or an ending proves nothing.
_GOOGLES: Final = re.compile(
    r"https://(?:(?:[a-z0-9-]+\.)*googleapis\.com|accounts\.google\.com)(?::443)?/[A-Za-z0-9/._~-]*", re.ASCII
)
_OTHER_KINDS: Final = (
    "authorized_user",
    "external_account",
    "external_account_authorized_user",
    "gdch_service_account",
    "impersonated_service_account",
)
_REFUSED: Final = (400, 401, 403)
_SKEW_TEXT: Final = "reasonable timeframe"  # both a date and anything else wrong with a key are an invalid_grant


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What of Google's JSON file is used."""

    email: str
    key_id: str
    private_key: Secret
    token_uri: str


def parse_key(text: str, *, token_url: str | None) -> KeyFile:
    """Return the key in a file. ``token_url`` is the configuration's. Raises: ValueError, with no part of the key."""
    try:
        content: object = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004 - the text is wrong, not its type
            "expected a service account's key, the JSON file that Google gives"
        )
    if content.get("type") != "service_account":
        kind = next((kind for kind in _OTHER_KINDS if kind == content.get("type")), "this type")
        raise ValueError(f"credentials of {kind} are not supported yet, expected a service account's key")
    if content.get("universe_domain", _UNIVERSE) != _UNIVERSE:
        raise ValueError(f"a key of another universe than {_UNIVERSE} is not supported yet")
    email, key_id, private_key = (_text(content, name) for name in ("client_email", "private_key_id", "private_key"))
    token_uri = _text(content, "token_uri") if "token_uri" in content else _TOKEN_URI
    if _GOOGLES.fullmatch(token_uri) is None and (token_url is None or not same_origin(token_uri, token_url)):
        # It is sent an assertion that is worth a token: to a stranger's address, the stranger's token.
        raise ValueError("the key's token_uri is not Google's, nor that of `endpoints.google_token`")
    return KeyFile(email, key_id, Secret(private_key), token_url or token_uri)


def _text(content: Mapping[str, object], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"the key has no {name}")
    return value


@dataclass(frozen=True, slots=True)
class KeySource:
    """``file`` is the whole JSON; ``token_url`` the configuration's, None for the file's."""

    file: Secret
    token_url: str | None

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return a token for one hour. Raises: MintError."""
        credentials = attempt(partial(_credentials, self._key(), scopes), _unusable)
        return attempt(partial(_refresh, credentials, calls), _unreadable)

    def identity(self, calls: Calls) -> str:
        """Return the service account that the key belongs to. Raises: MintError."""
        return self._key().email

    def _key(self) -> KeyFile:
        try:
            return parse_key(self.file.reveal(), token_url=self.token_url)
        except ValueError as error:
            raise NoIdentityError(f"the credentials file can't be used: {error}") from None


def _credentials(key: KeyFile, scopes: tuple[str, ...]) -> "Credentials":
    from google.oauth2.service_account import Credentials

    content = {
        "client_email": key.email,
        "private_key_id": key.key_id,
        "private_key": key.private_key.reveal(),
        "token_uri": key.token_uri,
        "universe_domain": _UNIVERSE,
    }
    made_of: Credentials = Credentials.from_service_account_info(content, scopes=scopes)  # type: ignore[no-untyped-call]
    return made_of


def _refresh(credentials: "Credentials", calls: Calls) -> AccessToken:
    # refresh() alone: before_request() asks another API about regions, behind our back.
    credentials.refresh(_Transport(calls))  # type: ignore[no-untyped-call]
    return made(credentials.token, credentials.expiry, what=_WHAT)


@dataclass(frozen=True, slots=True)
class _Response:
    """google.auth.transport.Response."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Transport:
    """google.auth.transport.Request, for one refresh. A keyword that it does not know (cert) is a TypeError."""

    calls: Calls

    def __call__(
        self, url: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> _Response:
        if method != "POST":
            raise TypeError(f"a token is asked for by POST, not by {method}")
        answer = self.calls.post(url, headers=headers or {}, content=body, what=_WHAT)
        if answer.status != OK:
            raise _refusal(answer)
        return _Response(answer.status, answer.headers, answer.body)


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


def _unusable(error: Exception) -> MintError:
    return NoIdentityError(f"the private key of the credentials file can't be read ({type(error).__name__})")


def _unreadable(error: Exception) -> MintError:
    return MalformedAnswerError(f"{_WHAT} answers what can't be read ({type(error).__name__})")
