"""A subject token that is a signed call of AWS's GetCallerIdentity, which Google makes to learn who signed it.

Source: Security Token Service API reference, ``v1.token``, ``subjectToken``: the call as JSON, percent-encoded; and
IAM docs, "Configure Workload Identity Federation with AWS or Azure VMs", for the default attribute mapping.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from ecrmint.standin import aws
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import RefusedError
from ecrmint.standin.oauth_error import refusal
from ecrmint.standin.sigv4 import SignedRequest
from ecrmint.standin.sts_form import signer
from ecrmint.standin.workload_identity import AwsPoolProvider, Subject

_HOST: Final = re.compile(r"sts(\.[a-z0-9-]+)?\.amazonaws\.com", re.ASCII)
_CALL: Final = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
_TARGET: Final = "x-goog-cloud-target-resource"


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: str
    value: str


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str
    method: Literal["POST"]
    headers: Sequence[_Header]


def verified(cloud: Cloud, provider: AwsPoolProvider, text: str) -> Subject:
    """Return who signed the call. Raises: RefusedError."""
    request = _request(text)
    if request.headers.get(_TARGET, "").removeprefix("https:") != provider.name:
        raise refusal("invalid_grant", f"The header {_TARGET} is missing, or names another provider.")
    try:
        key = signer(cloud, request)
    except RefusedError as refused:
        failure = refused.failure
        text = f"Received invalid AWS response of type {failure.code} with error message: {failure.message}"
        raise refusal("invalid_grant", text) from None
    if key.account != provider.account:
        raise refusal("invalid_grant", f"The AWS account {key.account} is not the provider's.")
    return Subject(key.arn, {"aws_role": _role(key.arn)})


def claimed(cloud: Cloud, text: str) -> str:
    """Return who says to have signed the call, by ARN; "" for nobody."""
    try:
        return aws.claim(cloud, _request(text)).caller
    except RefusedError:
        return ""


def _request(text: str) -> SignedRequest:
    try:
        call = _Call.model_validate_json(unquote(text))
    except ValidationError:
        raise refusal("invalid_grant", "Unable to parse the AWS request of the subject token.") from None
    url = urlsplit(call.url)
    headers = {header.key.lower(): header.value for header in call.headers}
    if url.scheme != "https" or not _HOST.fullmatch(url.netloc) or headers.get("host") != url.netloc:
        # Google asks whom the token names: it must be AWS, or anybody could say who signed.
        raise refusal("invalid_grant", "The URL of the AWS request is not that of AWS's STS.")
    if dict(parse_qsl(url.query)) != _CALL:
        raise refusal("invalid_grant", "The AWS request is not a GetCallerIdentity.")
    return SignedRequest(call.method, url.path or "/", url.query, headers, b"")


def _role(arn: str) -> str:
    """Return the ARN without its session: what the default mapping calls attribute.aws_role."""
    return arn.rpartition("/")[0] if ":assumed-role/" in arn else arn
