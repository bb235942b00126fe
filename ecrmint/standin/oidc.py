"""An OpenID Connect provider that an AWS account trusts, as a Kubernetes cluster is one; and what a role asks of it.

Source: AWS IAM User Guide, "Create an OpenID Connect (OIDC) identity provider in IAM".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ecrmint.standin import jwt
from ecrmint.standin.iam_policy import wildcard_match
from ecrmint.standin.jwt import Jwt

AUDIENCE: Final = "sts.amazonaws.com"


@dataclass(frozen=True, slots=True)
class WebTrust:
    """A role's trust in a provider's tokens: patterns as in StringLike."""

    issuer: str
    sub: str
    aud: str

    def admits(self, token: Jwt) -> bool:
        """Say whether a verified token fulfils it."""
        if token.claim("iss") != self.issuer or not wildcard_match(self.sub, token.claim("sub")):
            return False
        return any(wildcard_match(self.aud, audience) for audience in audiences(token))


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An issuer as one account knows it: it mints tokens too, and takes those for its audiences alone."""

    issuer: str
    account: str
    audiences: frozenset[str]
    clock: Callable[[], float]
    key: RSAPrivateKey = field(repr=False)

    def token(self, *, sub: str, aud: str = AUDIENCE, seconds: float = 3600.0) -> str:
        """Return a new token of that subject, as Kubernetes projects one into a pod."""
        now = int(self.clock())
        return jwt.sign({"iss": self.issuer, "sub": sub, "aud": [aud], "iat": now, "exp": now + int(seconds)}, self.key)

    def trusted(self, *, sub: str = "*", aud: str = "*") -> WebTrust:
        """Return a role's trust in it, with conditions on subject and audience."""
        return WebTrust(self.issuer, sub, aud)


def audiences(token: Jwt) -> Sequence[str]:
    """Return whom a token is for: one or a list of them (RFC 7519, section 4.1.3)."""
    value = token.claims.get("aud")
    return [str(part) for part in value] if isinstance(value, list) else [str(value)]
