"""A docker registry's ``/v2/``: 200 for a login that the stand-in cloud issued for that very host, 401 for any other.

The registry is told by the Host header. Source: the distribution specification, "Determining Support", and RFC 7617.
"""

import re
from base64 import b64decode
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ecrmint.standin.cloud import CLOUD_PLATFORM, Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation
from ecrmint.tokens import Secret

_THROTTLED: Final = Failure(429, "TOOMANYREQUESTS", "Rate exceeded")
_GOOGLE_HOST: Final = re.compile(
    r"(us\.|eu\.|asia\.)?gcr\.io|[a-z]+(-[a-z]+\d+)?-docker\.pkg\.dev|docker\.[a-z]+-[a-z]+\d+\.rep\.pkg\.dev", re.ASCII
)
_PULL_SCOPES: Final = {CLOUD_PLATFORM, f"{CLOUD_PLATFORM}.read-only"}
_VERSION: Final = {"Docker-Distribution-Api-Version": "registry/2.0"}


def operation(cloud: Cloud, request: Request) -> Operation:
    """Return the check of a login."""
    host = request.headers.get("host", "")
    username, password = _basic(request.headers.get("authorization", ""))
    perform = partial(_ping, cloud, host, username, password)
    return Operation("registry.v2", username, host, perform, partial(_refuse, host), _THROTTLED)


def _ping(cloud: Cloud, host: str, username: str, password: Secret) -> Response:
    if not _admits(cloud, host, username, password):
        raise RefusedError(Failure(401, "UNAUTHORIZED", "authentication required"))
    return JSONResponse({}, headers=_VERSION)


def _admits(cloud: Cloud, host: str, username: str, password: Secret) -> bool:
    match username:
        case "AWS":
            login = cloud.ecr_logins.get(password)
            return login is not None and host in login.hosts and login.expires_at > cloud.clock()
        case "oauth2accesstoken":
            token = cloud.google_tokens.get(password)
            allowed = token is not None and token.expires_at > cloud.clock() and token.scopes & _PULL_SCOPES
            return bool(allowed) and _GOOGLE_HOST.fullmatch(host) is not None
    return False


def _basic(header: str) -> tuple[str, Secret]:
    """Return username and password of an Authorization header, empty ones where it holds none."""
    scheme, _, encoded = header.partition(" ")
    try:
        username, _, password = (
            b64decode(encoded if scheme.lower() == "basic" else "", validate=True).decode().partition(":")
        )
    except ValueError:
        return "", Secret("")
    return username, Secret(password)


def _refuse(host: str, failure: Failure) -> Response:
    challenge = {"WWW-Authenticate": f'Basic realm="https://{host}/"'} if failure.status == 401 else {}  # noqa: PLR2004
    errors = [{"code": failure.code, "message": failure.message, "detail": None}]
    return JSONResponse({"errors": errors}, failure.status, headers={**_VERSION, **challenge})
