"""boto3's real clients, pointed at a server on loopback."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_sts import STSClient

# Without the client's own checks of parameters: the server's are asked. One try: what a server answers is seen.
_CONFIG = Config(
    parameter_validation=False,
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=5,
    read_timeout=5,
)
_SESSION = boto3.Session()


@dataclass(frozen=True)
class Key:
    """What a client signs with."""

    id: str
    secret: str
    token: str | None = None


def sts(url: str, key: Key, *, region: str = "eu-west-1") -> "STSClient":
    """Return a client that signs with that key."""
    return _SESSION.client(
        "sts",
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        aws_session_token=key.token,
        config=_CONFIG,
    )


def ecr(url: str, key: Key, *, region: str = "eu-west-1") -> "ECRClient":
    """Return a client that signs with that key."""
    return _SESSION.client(
        "ecr",
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        aws_session_token=key.token,
        config=_CONFIG,
    )
