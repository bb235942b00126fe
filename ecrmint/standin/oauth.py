"""Google's token endpoint: an access token for a service account that signs an assertion (RFC 7523).

Source: Google Identity, "Using OAuth 2.0 for Server to Server Applications".
"""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.responses import JSONResponse, Response

from ecrmint.standin.cloud import GOOGLE_LIFE, Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation
from ecrmint.standin.service_account import TOKEN_URI

GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SKEW: Final = 300.0  # seconds that an assertion may come from the future
_THROTTLED: Final = Failure(429, "rate_limit_exceeded", "Too many requests")


@dataclass(frozen=True, slots=True)
class Assertion:
    """A JWT as it was sent: nothing of it holds before its signature was verified."""

    header: dict[str, object]
    claims: dict[str, object]
    signed: bytes
    signature: bytes

    @property
    def issuer(self) -> str:
        """The service account that it says it is from."""
        return str(self.claims.get("iss", ""))


def operation(cloud: Cloud, body: bytes) -> Operation:
    """Return what the form asks for."""
    form = dict(parse_qsl(body.decode(errors="replace")))
    try:
        assertion = _parse(form.get("assertion", ""))
    except ValueError:
        assertion = Assertion({}, {}, b"", b"")
    perform = partial(_grant, cloud, form.get("grant_type", ""), assertion)
    return Operation("google.token", assertion.issuer, "", perform, _refuse, _THROTTLED)


def _grant(cloud: Cloud, grant_type: str, unverified: Assertion) -> Response:
    if grant_type != GRANT:
        raise RefusedError(Failure(400, "unsupported_grant_type", f"Invalid grant_type: {grant_type}"))
    _verify(cloud, unverified)
    claims = unverified.claims
    _check_claims(claims, cloud.clock())
    scopes = frozenset(str(claims.get("scope", "")).split())
    if not scopes:
        raise RefusedError(Failure(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided."))
    seconds = cloud.life("google.token", GOOGLE_LIFE)
    token = cloud.issue_google_token(unverified.issuer, scopes, seconds=seconds)
    return JSONResponse({"access_token": token.reveal(), "expires_in": int(seconds), "token_type": "Bearer"})


def _parse(text: str) -> Assertion:
    header, claims, signature = text.split(".")
    return Assertion(_object(header), _object(claims), f"{header}.{claims}".encode(), _decode(signature))


def _object(part: str) -> dict[str, object]:
    value: object = json.loads(_decode(part))
    return value if isinstance(value, dict) else {}


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _verify(cloud: Cloud, unverified: Assertion) -> None:
    account = cloud.service_accounts.get(unverified.issuer)
    if account is None:
        raise _invalid_grant("Invalid grant: account not found")
    key = account.keys.get(str(unverified.header.get("kid")))
    if key is None or unverified.header.get("alg") != "RS256":
        raise _invalid_grant("Invalid JWT Signature.")
    try:
        key.verify(unverified.signature, unverified.signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        raise _invalid_grant("Invalid JWT Signature.") from None


def _check_claims(claims: dict[str, object], now: float) -> None:
    if claims.get("aud") != TOKEN_URI:
        raise _invalid_grant("Invalid JWT: Failed audience check. The right audience is the token endpoint's address.")
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or not isinstance(expires, int) or not _timely(issued, expires, now):
        text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        raise _invalid_grant(f"{text} Check your iat and exp values in the JWT claim.")


def _timely(issued: int, expires: int, now: float) -> bool:
    return issued <= now + _SKEW and now < expires <= issued + GOOGLE_LIFE


def _invalid_grant(description: str) -> RefusedError:
    return RefusedError(Failure(400, "invalid_grant", description))


def _refuse(failure: Failure) -> Response:
    return JSONResponse({"error": failure.code, "error_description": failure.message}, failure.status)
