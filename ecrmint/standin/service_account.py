"""A Google service account: its keys, and who may impersonate it."""

import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TOKEN_URI = "https://oauth2.googleapis.com/token"


@dataclass(slots=True)
class ServiceAccount:
    """One service account. ``max_lifetime``: seconds of an access token; 12 h where the organisation allows it."""

    email: str
    max_lifetime: int
    keys: dict[str, rsa.RSAPublicKey] = field(default_factory=dict)  # by key id
    impersonators: set[str] = field(default_factory=set)  # emails that have Token Creator on it

    @property
    def project(self) -> str:
        """The project in its email."""
        return self.email.partition("@")[2].partition(".")[0]

    def create_key(self, token_uri: str) -> dict[str, str]:
        """Return a new key in the form of Google's JSON file; its tokens are to be asked at ``token_uri``."""
        private, key_id = rsa.generate_private_key(65537, 2048), secrets.token_hex(20)
        self.keys[key_id] = private.public_key()
        return {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": key_id,
            "private_key": _pem(private),
            "client_email": self.email,
            "client_id": "".join(secrets.choice("0123456789") for _ in range(21)),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
