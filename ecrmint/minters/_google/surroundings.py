"""What a credentials file can't decide for itself: the configuration around it."""

from dataclasses import dataclass, field

from ecrmint.minters._aws.clients import Aws
from ecrmint.minters._google.apis import GoogleApis


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Part of the cache's key. ``self_signed``: a key's claims are its token; ``aws_sts``: of the region us-east-1.

    ``subject_token_urls``: where else than at a metadata server another provider's tokens may be fetched.
    """

    apis: GoogleApis = field(default_factory=GoogleApis)
    self_signed: bool = False
    subject_token_urls: tuple[str, ...] = ()
    aws_sts: str | None = None
    aws: Aws = field(default_factory=Aws, compare=False, repr=False)
