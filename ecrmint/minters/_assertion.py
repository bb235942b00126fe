"""Signed claims: a JSON Web Token by RS256 (RFC 7515, 7519). A call imports cryptography, importing this does not."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ecrmint.errors import MintError, NoIdentityError
from ecrmint.minters._attempt import attempt
from ecrmint.tokens import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


def sign(claims: Mapping[str, object], *, key_id: str, private_key: Secret) -> Secret:
    """Return the claims, signed. ``private_key``: PEM. Raises: NoIdentityError where that is no RSA key."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    key = attempt(partial(_load, private_key), _unusable)
    unsigned = f"{_part({'alg': 'RS256', 'typ': 'JWT', 'kid': key_id})}.{_part(claims)}"
    signature = key.sign(unsigned.encode(), PKCS1v15(), SHA256())
    return Secret(f"{unsigned}.{_encoded(signature)}")


def _load(pem: Secret) -> "RSAPrivateKey":
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem.reveal().encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


def _part(content: Mapping[str, object]) -> str:
    return _encoded(json.dumps(content, separators=(",", ":")).encode())


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _unusable(error: Exception) -> MintError:
    return NoIdentityError(f"the private key of the credentials file can't be read ({type(error).__name__})")
