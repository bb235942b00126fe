"""AWS Signature Version 4, the checking side, written from the AWS documents alone.

Pure, and nothing here comes from botocore: a mistake that botocore and we shared would go unseen.
Source: AWS IAM User Guide, "Create a signed AWS API request".
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 "
    r"Credential=(?P<key_id>\w+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z-]+)/aws4_request, ?"
    r"SignedHeaders=(?P<signed_headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Authorization:
    """The parts of an Authorization header."""

    key_id: str
    day: str  # YYYYMMDD
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str  # 64 hex digits


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature covers: the query and path as they were sent, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def parse(header: str) -> Authorization:
    """Return the parts of an Authorization header. Raises: ValueError."""
    match = _AUTHORIZATION.fullmatch(header)
    if match is None:
        raise ValueError("not an AWS4-HMAC-SHA256 authorization")
    return Authorization(
        key_id=match["key_id"],
        day=match["day"],
        region=match["region"],
        service=match["service"],
        signed_headers=tuple(match["signed_headers"].split(";")),
        signature=match["signature"],
    )


def verify(request: SignedRequest, authorization: Authorization, secret: str) -> bool:
    """Say whether that secret signed that request, with host, date and session token under the signature."""
    needed = {"host", "x-amz-date", *(name for name in request.headers if name == "x-amz-security-token")}
    signed = set(authorization.signed_headers)
    if not needed <= signed <= set(request.headers) or not request.headers["x-amz-date"].startswith(authorization.day):
        return False
    return hmac.compare_digest(_signature(request, authorization, secret), authorization.signature)


def _signature(request: SignedRequest, authorization: Authorization, secret: str) -> str:
    scope = f"{authorization.day}/{authorization.region}/{authorization.service}/aws4_request"
    canonical = hashlib.sha256(_canonical(request, authorization.signed_headers).encode()).hexdigest()
    text = "\n".join([ALGORITHM, request.headers["x-amz-date"], scope, canonical])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _canonical(request: SignedRequest, signed_headers: tuple[str, ...]) -> str:
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in signed_headers)
    query = "&".join(sorted(part if "=" in part else f"{part}=" for part in request.query.split("&") if part))
    payload = hashlib.sha256(request.body).hexdigest()
    return "\n".join([request.method, request.path, query, headers, ";".join(signed_headers), payload])
