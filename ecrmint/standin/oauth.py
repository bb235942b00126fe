"""Google's token endpoint: an access token for a service account that signs an assertion (RFC 7523).

Source: Google Identity, "Using OAuth 2.0 for Server to Server Applications".
"""

from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from ecrmint.standin import jwt
from ecrmint.standin.cloud import GOOGLE_LIFE, Cloud
from ecrmint.standin.jwt import Jwt
from ecrmint.standin.oauth_error import THROTTLED, refusal, refuse
from ecrmint.standin.operation import Operation
from ecrmint.standin.service_account import TOKEN_URI

GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SKEW: Final = 300.0  # seconds that an assertion may come from the future


def operation(cloud: Cloud, body: bytes) -> Operation:
    """Return what the form asks for."""
    form = dict(parse_qsl(body.decode(errors="replace")))
    try:
        assertion = jwt.parse(form.get("assertion", ""))
    except ValueError:
        assertion = Jwt.nothing()
    perform = partial(_grant, cloud, form.get("grant_type", ""), assertion)
    return Operation("google.token", assertion.claim("iss"), "", perform, refuse, THROTTLED)


def _grant(cloud: Cloud, grant_type: str, unverified: Jwt) -> Response:
    if grant_type != GRANT:
        raise refusal("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
    _verify(cloud, unverified)
    claims = unverified.claims
    _check_claims(claims, cloud.clock())
    scopes = frozenset(unverified.claim("scope").split())
    if not scopes:
        raise refusal("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    seconds = cloud.life("google.token", GOOGLE_LIFE)
    token = cloud.issue_google_token(frozenset({unverified.claim("iss")}), scopes, seconds=seconds)
    return JSONResponse({"access_token": token.reveal(), "expires_in": int(seconds), "token_type": "Bearer"})


def _verify(cloud: Cloud, unverified: Jwt) -> None:
    account = cloud.service_accounts.get(unverified.claim("iss"))
    if account is None:
        raise refusal("invalid_grant", "Invalid grant: account not found")
    key = account.keys.get(str(unverified.header.get("kid")))
    if key is None or not unverified.is_signed_by(key):
        raise refusal("invalid_grant", "Invalid JWT Signature.")


def _check_claims(claims: Mapping[str, object], now: float) -> None:
    if claims.get("aud") != TOKEN_URI:
        text = "Invalid JWT: Failed audience check. The right audience is the token endpoint's address."
        raise refusal("invalid_grant", text)
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or not isinstance(expires, int) or not _timely(issued, expires, now):
        text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        raise refusal("invalid_grant", f"{text} Check your iat and exp values in the JWT claim.")


def _timely(issued: int, expires: int, now: float) -> bool:
    return issued <= now + _SKEW and now < expires <= issued + GOOGLE_LIFE
