"""The instance metadata service of EC2, version 2 alone: a token first, then the role's name, then its credentials.

Source: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata".
"""

import re
import secrets
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ecrmint.standin import machine_credentials
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation
from ecrmint.tokens import Secret

TOKEN_PATH: Final = "/latest/api/token"
ROLES_PATH: Final = "/latest/meta-data/iam/security-credentials/"
_LIFE_HEADER: Final = "x-aws-ec2-metadata-token-ttl-seconds"
_LONGEST: Final = 21600  # seconds
_THROTTLED: Final = Failure(503, "ServiceUnavailable", "Service Unavailable")


def token_operation(cloud: Cloud, request: Request) -> Operation:
    """Return the issue of a token."""
    perform = partial(_issue_token, cloud, request.headers.get(_LIFE_HEADER, ""))
    return Operation("imds.token", "", "", perform, _refuse, _THROTTLED)


def role_operation(cloud: Cloud, request: Request) -> Operation:
    """Return the reading of the role's name, or of its credentials."""
    name = request.url.path.removeprefix(ROLES_PATH)
    token = Secret(request.headers.get("x-aws-ec2-metadata-token", ""))
    return Operation("imds.credentials", "", name, partial(_read_role, cloud, name, token), _refuse, _THROTTLED)


def _issue_token(cloud: Cloud, seconds: str) -> Response:
    if not re.fullmatch(r"\d{1,5}", seconds, re.ASCII) or not 0 < int(seconds) <= _LONGEST:
        raise RefusedError(Failure(400, "BadRequest", "Bad Request"))
    token = secrets.token_urlsafe(42)
    cloud.machines.instance_tokens[Secret(token)] = cloud.clock() + int(seconds)
    return PlainTextResponse(token, headers={_LIFE_HEADER: seconds})


def _read_role(cloud: Cloud, name: str, token: Secret) -> Response:
    if cloud.machines.instance_tokens.get(token, 0.0) <= cloud.clock():
        raise RefusedError(Failure(401, "Unauthorized", "Unauthorized"))
    role = cloud.machines.instance_role
    role_name = role.rsplit("/", 1)[-1]
    if not role or name not in ("", role_name):
        raise RefusedError(Failure(404, "NotFound", "Not Found"))
    if not name:
        return PlainTextResponse(role_name)
    credentials = machine_credentials.issue(cloud, "imds.credentials", role)
    return JSONResponse({"Code": "Success", "Type": "AWS-HMAC", **credentials})


def _refuse(failure: Failure) -> Response:
    return PlainTextResponse(failure.message, failure.status)
