"""Workload identity federation's side of trust: the providers of a pool, and how IAM names who comes through them.

Source: Google IAM docs, "Workload Identity Federation" and "Principal identifiers".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ecrmint.standin import jwt
from ecrmint.standin.iam_policy import wildcard_match

AWS_REQUEST: Final = "urn:ietf:params:aws:token-type:aws4_request"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a verified subject token is about. ``expires_at``: when it ends, and the federated token with it."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    expires_at: float = inf

    def principals(self, provider: str) -> frozenset[str]:
        """Return every member of IAM policies that it is, by way of that provider."""
        pool = f"://{provider.removeprefix('//').rpartition('/providers/')[0]}"
        attributes = {f"principalSet{pool}/attribute.{name}/{value}" for name, value in self.attributes.items()}
        return frozenset({f"principal{pool}/subject/{self.name}", f"principalSet{pool}/*", *attributes})


@dataclass(frozen=True, slots=True)
class AwsPoolProvider:
    """An AWS account that a pool trusts. ``subjects``: a pattern of ARNs, in the place of an attribute condition."""

    name: str  # //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER
    account: str
    subjects: str
    token_types: frozenset[str] = frozenset({AWS_REQUEST})

    def accepts(self, subject: Subject) -> bool:
        """Say whether the attribute condition holds."""
        return wildcard_match(self.subjects, subject.name)


@dataclass(frozen=True, slots=True)
class OidcPoolProvider:
    """An issuer that a pool trusts; it mints tokens too. ``subjects``: as of an AwsPoolProvider."""

    name: str
    issuer: str
    audiences: frozenset[str]
    subjects: str
    clock: Callable[[], float]
    key: RSAPrivateKey = field(repr=False)
    token_types: frozenset[str] = frozenset({JWT, ID_TOKEN})

    def accepts(self, subject: Subject) -> bool:
        """Say whether the attribute condition holds."""
        return wildcard_match(self.subjects, subject.name)

    def token(self, *, sub: str, seconds: float = 3600.0, **claims: object) -> str:
        """Return a new subject token; ``claims`` are added to it, or put in the place of its own."""
        now = int(self.clock())
        own = {"iss": self.issuer, "sub": sub, "aud": min(self.audiences), "iat": now, "exp": now + int(seconds)}
        return jwt.sign({**own, **claims}, self.key)


PoolProvider: TypeAlias = AwsPoolProvider | OidcPoolProvider


def default_audiences(name: str) -> frozenset[str]:
    """Return whom a provider's tokens are for where it says nothing: the provider, with or without https."""
    return frozenset({name, f"https:{name}"})
