"""boto3's real clients, pointed at a server on loopback."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypedDict

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ecrmint.standin.cloud import AccessKey

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import AssumeRoleResponseTypeDef

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


class PublicClient(Protocol):
    """What is asked of ECR Public."""

    def get_authorization_token(self) -> Mapping[str, object]:
        """Return an answer with ``authorizationData``."""


def used(key: AccessKey) -> Key:
    """Return that key of the stand-in as clients take it."""
    return Key(key.id, key.secret.reveal(), key.session_token.reveal() or None)


class _Signing(TypedDict):
    region_name: str
    endpoint_url: str
    aws_access_key_id: str
    aws_secret_access_key: str
    aws_session_token: str | None
    config: Config


def sts(url: str, key: Key, *, region: str = "eu-west-1") -> "STSClient":
    """Return a client that signs with that key."""
    return _SESSION.client("sts", **_signing(url, key, region))


def ecr(url: str, key: Key, *, region: str = "eu-west-1") -> "ECRClient":
    """Return a client that signs with that key."""
    return _SESSION.client("ecr", **_signing(url, key, region))


def ecr_public(url: str, key: Key, *, region: str = "us-east-1") -> PublicClient:
    """Return a client that signs with that key."""
    client: PublicClient = _SESSION.client("ecr-public", **_signing(url, key, region))
    return client


def _signing(url: str, key: Key, region: str) -> _Signing:
    return {
        "region_name": region,
        "endpoint_url": url,
        "aws_access_key_id": key.id,
        "aws_secret_access_key": key.secret,
        "aws_session_token": key.token,
        "config": _CONFIG,
    }


def assumed(url: str, key: Key, role: str, **more: object) -> "AssumeRoleResponseTypeDef":
    """Return STS's answer to AssumeRole under the session name ``ecrmint``."""
    call: Callable[..., AssumeRoleResponseTypeDef] = sts(url, key).assume_role
    return call(**{"RoleArn": role, "RoleSessionName": "ecrmint", **more})


def assume(url: str, key: Key, role: str, **more: object) -> Key:
    """Return the key of the role's session."""
    issued = assumed(url, key, role, **more)["Credentials"]
    return Key(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def login(url: str, key: Key, *, region: str = "eu-west-1") -> tuple[str, str]:
    """Return username and password that ECR gives for that key."""
    (data,) = ecr(url, key, region=region).get_authorization_token()["authorizationData"]
    return split(data["authorizationToken"])


def split(token: str) -> tuple[str, str]:
    """Return username and password in an authorization token."""
    username, _, password = b64decode(token).decode().partition(":")
    return username, password


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
