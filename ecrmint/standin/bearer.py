"""Whoever bears a Google token: one that was issued, or one that a service account's key signed for itself.

Source: Google Identity, "Using OAuth 2.0 for Server to Server Applications", Service account authorization without
OAuth, with a scope in the place of an audience (AIP-4111).
"""

from math import inf
from typing import Final

from ecrmint.standin import jwt
from ecrmint.standin.cloud import GOOGLE_LIFE, Cloud, GoogleToken
from ecrmint.standin.jwt import Jwt
from ecrmint.tokens import Secret

_CLAIMS: Final = {"iss", "sub", "iat", "exp", "scope"}


def find(cloud: Cloud, token: Secret) -> GoogleToken | None:
    """Return what that token is good for, None where it is good for nothing. It may have ended."""
    return cloud.google_tokens.get(token) or _self_signed(cloud, token)


def _self_signed(cloud: Cloud, token: Secret) -> GoogleToken | None:
    try:
        unverified = jwt.parse(token.reveal())
    except ValueError:
        return None
    account = cloud.service_accounts.get(unverified.claim("iss"))
    key = account.keys.get(str(unverified.header.get("kid"))) if account else None
    if key is None or not unverified.is_signed_by(key) or unverified.claims.keys() != _CLAIMS:
        return None
    return GoogleToken(
        frozenset({unverified.claim("iss")}), frozenset(unverified.claim("scope").split()), _end(unverified)
    )


def _end(token: Jwt) -> float:
    """Return when a token ends: at once where its times make no hour."""
    issued, expires = token.claims["iat"], token.claims["exp"]
    if isinstance(issued, int) and isinstance(expires, int) and expires <= issued + GOOGLE_LIFE:
        return expires
    return -inf
