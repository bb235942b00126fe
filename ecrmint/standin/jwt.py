"""JSON Web Tokens signed with RS256 (RFC 7519): written, read, verified."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

_FORM: Final = re.compile(r"([\w-]+)\.([\w-]+)\.([\w-]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token as it was sent: nothing of it holds before its signature was verified."""

    header: Mapping[str, object]
    claims: Mapping[str, object]
    signed: bytes
    signature: bytes

    @classmethod
    def nothing(cls) -> Self:
        """Return what stands for a text that is no token."""
        return cls({}, {}, b"", b"")

    def claim(self, name: str) -> str:
        """Return a claim as text, "" for none."""
        return str(self.claims.get(name, ""))

    def is_signed_by(self, key: RSAPublicKey) -> bool:
        """Say whether that key's owner signed it."""
        try:
            key.verify(self.signature, self.signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return self.header.get("alg") == "RS256"


def parse(text: str) -> Jwt:
    """Return a token's parts. Raises: ValueError."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("not three parts of base64url")
    header, claims, signature = match.groups()
    return Jwt(_object(header), _object(claims), f"{header}.{claims}".encode(), _decode(signature))


def sign(claims: Mapping[str, object], key: RSAPrivateKey) -> str:
    """Return a token of those claims."""
    signed = f"{_encode(json.dumps({'alg': 'RS256', 'typ': 'JWT'}).encode())}.{_encode(json.dumps(claims).encode())}"
    return f"{signed}.{_encode(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _object(part: str) -> Mapping[str, object]:
    value: object = json.loads(_decode(part))
    return value if isinstance(value, dict) else {}


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encode(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()
