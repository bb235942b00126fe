"""Signed claims: a JSON Web Token by RS256 (RFC 7515, 7519). A call imports google-auth, importing this does not."""

from collections.abc import Mapping
from functools import partial

from ecrmint.errors import MintError, NoIdentityError
from ecrmint.minters._attempt import attempt
from ecrmint.tokens import Secret


def sign(claims: Mapping[str, object], *, key_id: str, private_key: Secret) -> Secret:
    """Return the claims, signed. ``private_key``: PEM. Raises: NoIdentityError where that is no RSA key."""
    return attempt(partial(_encode, claims, key_id, private_key), _unusable)


def _encode(claims: Mapping[str, object], key_id: str, private_key: Secret) -> Secret:
    from google.auth import jwt
    from google.auth.crypt import RSASigner

    return Secret(jwt.encode(RSASigner.from_string(private_key.reveal(), key_id), dict(claims)).decode())


def _unusable(error: Exception) -> MintError:
    return NoIdentityError(f"the private key of the credentials file can't be read ({type(error).__name__})")
