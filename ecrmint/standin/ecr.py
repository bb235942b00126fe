"""AWS ECR: GetAuthorizationToken in the JSON 1.1 protocol.

Source: Amazon ECR API Reference, and botocore's ``ecr/2015-09-21`` model.
"""

from base64 import b64encode
from functools import partial
from typing import Final

from starlette.responses import JSONResponse, Response

from ecrmint.standin import aws
from ecrmint.standin.cloud import ECR_LIFE, Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation, unknown
from ecrmint.standin.sigv4 import SignedRequest

TARGET: Final = "AmazonEC2ContainerRegistry_V20150921"
SERVICE: Final = aws.Service(
    "ecr",
    {
        "unsigned": (400, "MissingAuthenticationTokenException"),
        "unknown_key": (400, "UnrecognizedClientException"),
        "bad_signature": (400, "InvalidSignatureException"),
        "expired": (400, "ExpiredTokenException"),
        "denied": (400, "AccessDeniedException"),
        "throttled": (400, "ThrottlingException"),
        "invalid": (400, "InvalidParameterException"),
    },
)
_SUFFIXES: Final = {  # start of a region's name: DNS suffix, and that of the dual-stack names
    "cn-": ("amazonaws.com.cn", "on.amazonwebservices.com.cn"),
    "eusc-": ("amazonaws.eu", "on.amazonwebservices.eu"),
    "": ("amazonaws.com", "on.aws"),
}


def operation(cloud: Cloud, request: SignedRequest) -> Operation:
    """Return what the target header asks for."""
    claim, action = aws.claim(cloud, request), request.headers["x-amz-target"]
    if action != f"{TARGET}.GetAuthorizationToken":
        return unknown(action, claim.caller, _refuse)
    return Operation(
        "ecr.GetAuthorizationToken",
        claim.caller,
        claim.region,
        partial(_get_authorization_token, cloud, request),
        _refuse,
        SERVICE.failure("throttled", "Rate exceeded"),
    )


def hosts(account: str, region: str) -> frozenset[str]:
    """Return every name of an account's registry in a region: plain, FIPS, dual-stack, both."""
    suffix, dual_suffix = _suffixes(region)
    plain = {f"{account}.dkr.{name}.{region}.{suffix}" for name in ("ecr", "ecr-fips")}
    return frozenset(plain | {f"{account}.dkr-{name}.{region}.{dual_suffix}" for name in ("ecr", "ecr-fips")})


def _get_authorization_token(cloud: Cloud, request: SignedRequest) -> Response:
    session = aws.authenticate(cloud, SERVICE, request)
    if request.body != b"{}":
        raise RefusedError(Failure(501, "NotImplemented", "the stand-in cloud knows no parameters of this action"))
    account, region = session.key.account, session.region
    seconds = cloud.life("ecr.GetAuthorizationToken", ECR_LIFE)
    password, login = cloud.issue_ecr_login(hosts(account, region), seconds=seconds)
    data = {
        "authorizationToken": b64encode(f"AWS:{password.reveal()}".encode()).decode(),
        "expiresAt": round(login.expires_at, 3),
        "proxyEndpoint": f"https://{account}.dkr.ecr.{region}.{_suffixes(region)[0]}",
    }
    return _json(200, {"authorizationData": [data]})


def _suffixes(region: str) -> tuple[str, str]:
    return next(both for start, both in _SUFFIXES.items() if region.startswith(start))


def _refuse(failure: Failure) -> Response:
    return _json(failure.status, {"__type": failure.code, "message": failure.message})


def _json(status: int, content: object) -> Response:
    return JSONResponse(content, status, media_type="application/x-amz-json-1.1")
