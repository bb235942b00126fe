"""A subject token that is another issuer's JWT, as Google's token exchange checks it.

Source: Google IAM docs, "Configure Workload Identity Federation with other identity providers", Prepare your provider.
"""

from typing import Final

from ecrmint.standin import jwt
from ecrmint.standin.jwt import Jwt
from ecrmint.standin.oauth_error import refusal
from ecrmint.standin.oidc import audiences
from ecrmint.standin.workload_identity import OidcPoolProvider, Subject

LONGEST: Final = 24 * 3600.0  # seconds from a token's iat to its exp
_SUBJECT_BYTES: Final = 127


def verified(provider: OidcPoolProvider, text: str, now: float) -> Subject:
    """Return who a token is about. Raises: RefusedError."""
    try:
        unverified = jwt.parse(text)
    except ValueError:
        raise refusal("invalid_grant", "Error parsing the given credential: not a JWT") from None
    if unverified.claim("iss") != provider.issuer:
        text = f"The issuer in ID Token {unverified.claim('iss')} does not match the expected ones: {provider.issuer}."
        raise refusal("invalid_grant", text)
    if not unverified.is_signed_by(provider.key.public_key()):
        raise refusal("invalid_grant", "Invalid ID Token signature")
    if provider.audiences.isdisjoint(audiences(unverified)):
        text = f"The audience in ID Token {audiences(unverified)} does not match the expected audience."
        raise refusal("invalid_grant", text)
    return Subject(_name(unverified), expires_at=_end(unverified, now))


def claimed(text: str) -> str:
    """Return whom a token names, whether it holds or not; "" for nobody."""
    try:
        return jwt.parse(text).claim("sub")
    except ValueError:
        return ""


def _name(token: Jwt) -> str:
    name = token.claim("sub")
    if not name:
        raise refusal("invalid_grant", "Could not obtain a value for google.subject from the given credential.")
    if len(name.encode()) > _SUBJECT_BYTES:
        text = f"The size of mapped attribute google.subject exceeds the {_SUBJECT_BYTES} bytes limit."
        raise refusal("invalid_request", text)
    return name


def _end(token: Jwt, now: float) -> float:
    issued, expires = token.claims.get("iat"), token.claims.get("exp")
    if not isinstance(issued, int) or not isinstance(expires, int) or expires - issued > LONGEST:
        raise refusal("invalid_grant", "The exp and iat of the ID Token must be numbers, at most 24 hours apart.")
    if not issued <= now < expires:
        raise refusal("invalid_grant", f"ID Token issued at {issued} is stale to sign-in.")
    return expires
