"""A docker registry's ``/v2/``: 200 for a login that the stand-in cloud issued for that very host, 401 for any other.

The registry is told by the Host header. Source: the distribution specification, "Determining Support", and RFC 7617.
"""

from base64 import b64decode
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ecrmint.standin import bearer, google_registry
from ecrmint.standin.cloud import Cloud, EcrLogin, GoogleToken
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation
from ecrmint.tokens import Secret

THROTTLED: Final = Failure(429, "TOOMANYREQUESTS", "Rate exceeded")
VERSION: Final = {"Docker-Distribution-Api-Version": "registry/2.0"}


@dataclass(frozen=True, slots=True)
class Basic:
    """Username and password of a request."""

    username: str
    password: Secret

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return those of the Authorization header, empty ones where it holds none."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            text = b64decode(encoded if scheme.lower() == "basic" else "", validate=True).decode()
        except ValueError:
            text = ""
        username, _, password = text.partition(":")
        return cls(username, Secret(password))


def operation(cloud: Cloud, request: Request) -> Operation:
    """Return the check of a login."""
    host, basic = request.headers.get("host", ""), Basic.of(request)
    perform = partial(_ping, cloud, host, basic)
    return Operation("registry.v2", basic.username, host, perform, partial(refuse, host), THROTTLED)


def check_login(cloud: Cloud, host: str, basic: Basic) -> EcrLogin | GoogleToken:
    """Return what the password was issued as, where it opens that host. Raises: RefusedError, 401."""
    match basic.username:
        case "AWS":
            login = cloud.ecr_logins.get(basic.password)
            if login is not None and login.expires_at > cloud.clock() and cloud.opens(login, host):
                return login
        case "oauth2accesstoken":
            token = bearer.find(cloud, basic.password)
            if token is not None and google_registry.opens(cloud, token, host):
                return token
    raise RefusedError(Failure(401, "UNAUTHORIZED", "authentication required"))


def refuse(host: str, failure: Failure) -> Response:
    """Return an error answer of that registry."""
    challenge = {"WWW-Authenticate": f'Basic realm="https://{host}/"'} if failure.status == 401 else {}  # noqa: PLR2004
    errors = [{"code": failure.code, "message": failure.message, "detail": None}]
    return JSONResponse({"errors": errors}, failure.status, headers={**VERSION, **challenge})


def _ping(cloud: Cloud, host: str, basic: Basic) -> Response:
    check_login(cloud, host, basic)
    return JSONResponse({}, headers=VERSION)
