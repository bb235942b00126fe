"""Google's metadata server: the identity of the machine or pod that asks.

Source: Compute Engine, "About VM metadata", and google-auth's ``compute_engine/_metadata.py`` for what is asked of it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ecrmint.standin.cloud import CLOUD_PLATFORM, Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation, unknown

ROOT: Final = "/computeMetadata/v1/"
_FLAVOR: Final = {"Metadata-Flavor": "Google"}
_THROTTLED: Final = Failure(429, "RESOURCE_EXHAUSTED", "Too Many Requests")
NOT_BOUND: Final = Failure(  # GKE's server, where the annotation names a service account that does not know the pod
    403,
    "Forbidden",
    "Unable to generate access token; IAM returned 403 Forbidden: Permission 'iam.serviceAccounts.getAccessToken'"
    " denied on resource (or it may not exist).\nThis error could be caused by a missing IAM policy binding on the"
    " target IAM service account.",
)


def operation(cloud: Cloud, request: Request) -> Operation:
    """Return the reading of one value; the service account may be called ``default`` or by its email."""
    path = request.url.path.replace(f"/service-accounts/{cloud.metadata_identity}/", "/service-accounts/default/")
    if path not in _READERS:
        return unknown(f"GET {path}", "", _refuse)
    perform = partial(_read, cloud, path, request)
    return Operation("google.metadata", "", path.removeprefix(ROOT), perform, _refuse, _THROTTLED)


def _read(cloud: Cloud, path: str, request: Request) -> Response:
    if request.headers.get("metadata-flavor") != "Google":
        # This header is what keeps a server-side request forgery from reading tokens.
        raise RefusedError(Failure(403, "Forbidden", "Missing Metadata-Flavor:Google header."))
    return _READERS[path](cloud, request)


def _root(_cloud: Cloud, _request: Request) -> Response:
    return PlainTextResponse("computeMetadata/\n", headers=_FLAVOR)


def _universe(cloud: Cloud, _request: Request) -> Response:
    return PlainTextResponse(cloud.universe_domain, headers=_FLAVOR)


def _project(cloud: Cloud, _request: Request) -> Response:
    return PlainTextResponse(_project_of(_identity(cloud)), headers=_FLAVOR)


def _email(cloud: Cloud, _request: Request) -> Response:
    return PlainTextResponse(_identity(cloud), headers=_FLAVOR)


def _info(cloud: Cloud, request: Request) -> Response:
    if request.query_params.get("recursive") != "true":
        raise RefusedError(Failure(501, "NotImplemented", "the stand-in cloud lists no folders"))
    content = {"aliases": ["default"], "email": _identity(cloud), "scopes": [CLOUD_PLATFORM]}
    return JSONResponse(content, headers=_FLAVOR)


def _token(cloud: Cloud, _request: Request) -> Response:
    """Give the machine's scopes whatever ``scopes`` asks for, as Compute Engine does."""
    _identity(cloud)
    password, token = cloud.metadata_token()
    expires_in = int(token.expires_at - cloud.clock())
    content = {"access_token": password.reveal(), "expires_in": expires_in, "token_type": "Bearer"}
    return JSONResponse(content, headers=_FLAVOR)


_ACCOUNT: Final = f"{ROOT}instance/service-accounts/default/"
_READERS: Final[Mapping[str, Callable[[Cloud, Request], Response]]] = {
    "/": _root,
    f"{ROOT}universe/universe-domain": _universe,
    f"{ROOT}project/project-id": _project,
    _ACCOUNT: _info,
    f"{_ACCOUNT}email": _email,
    f"{_ACCOUNT}token": _token,
}


def _identity(cloud: Cloud) -> str:
    if not cloud.metadata_identity:
        raise RefusedError(Failure(404, "Not Found", "The requested URL was not found on this server."))
    return cloud.metadata_identity


def _project_of(identity: str) -> str:
    """Return the project in the email of a service account, or in the name of a pool (PROJECT.svc.id.goog)."""
    return identity.rpartition("@")[2].partition(".")[0]


def _refuse(failure: Failure) -> Response:
    return PlainTextResponse(failure.message, failure.status, headers=_FLAVOR)
