"""Assembles the stand-in cloud: one address for every service, 501 for all that is not known."""

from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ecrmint.standin import (
    aws,
    aws_json,
    container,
    ecr,
    ecr_public,
    iamcredentials,
    imds,
    machines,
    metadata,
    oauth,
    registry,
    repository,
    sts,
    subject_token,
    token_exchange,
)
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Failure
from ecrmint.standin.operation import Operation, run, unknown
from ecrmint.standin.sigv4 import SignedRequest
from ecrmint.tokens import Secret

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(cloud: Cloud) -> Starlette:
    """Return the server of that cloud."""

    async def nothing(request: Request, _: Exception) -> Response:
        return await run(cloud, unknown(f"{request.method} {request.url.path}", "", _refuse))

    app = Starlette(
        routes=[
            *(Route(path, _endpoint(cloud, operation)) for path, operation in _READS.items()),
            *(Route(path, _posted(cloud, operation), methods=["POST"]) for path, operation in _POSTS.items()),
            Route(imds.TOKEN_PATH, _endpoint(cloud, imds.token_operation), methods=["PUT"]),
            Route("/v2/{path:path}", _endpoint(cloud, repository.operation), methods=["GET", "HEAD", "POST"]),
        ],
        exception_handlers={404: nothing, 405: nothing},
        middleware=[Middleware(_DatedAnswers, cloud=cloud)],
    )
    app.router.redirect_slashes = False  # a path that is almost right is not known either
    return app


def _endpoint(cloud: Cloud, operation: Callable[[Cloud, Request], Operation]) -> Endpoint:
    async def answer(request: Request) -> Response:
        return await run(cloud, operation(cloud, request))

    return answer


def _posted(cloud: Cloud, operation: Callable[[Cloud, Request, bytes], Operation]) -> Endpoint:
    async def answer(request: Request) -> Response:
        return await run(cloud, operation(cloud, request, await request.body()))

    return answer


def _aws_operation(cloud: Cloud, request: Request, body: bytes) -> Operation:
    path = request.scope["raw_path"].decode("ascii")
    signed = SignedRequest(request.method, path, request.url.query, dict(request.headers), body)
    match target := signed.headers.get("x-amz-target"):
        case None:
            return sts.operation(cloud, signed)
        case ecr.TARGET:
            return ecr.operation(cloud, signed)
        case ecr_public.TARGET:
            return ecr_public.operation(cloud, signed)
    return unknown(target, aws.claim(cloud, signed).caller, aws_json.refuse)


def _token(cloud: Cloud, _request: Request, body: bytes) -> Operation:
    return oauth.operation(cloud, body)


def _exchange(cloud: Cloud, _request: Request, body: bytes) -> Operation:
    return token_exchange.operation(cloud, body)


def _access_token(cloud: Cloud, request: Request, body: bytes) -> Operation:
    return iamcredentials.operation(cloud, request.path_params["email"], _bearer(request), body)


def _locations(cloud: Cloud, request: Request) -> Operation:
    return iamcredentials.allowed_locations(cloud, request.path_params["resource"], _bearer(request))


def _subject_token(cloud: Cloud, request: Request) -> Operation:
    return subject_token.operation(cloud, request.url.path)


def _bearer(request: Request) -> Secret:
    return Secret(request.headers.get("authorization", "").removeprefix("Bearer "))


_READS: Final[Mapping[str, Callable[[Cloud, Request], Operation]]] = {
    "/": metadata.operation,
    f"{metadata.ROOT}{{path:path}}": metadata.operation,
    iamcredentials.LOCATIONS_PATH: _locations,
    subject_token.TEXT_PATH: _subject_token,
    subject_token.JSON_PATH: _subject_token,
    "/v2/": registry.operation,
    container.POD_PATH: container.pod_operation,
    f"{machines.TASK_ROOT}{{id}}": container.task_operation,
    f"{imds.ROLES_PATH}{{name:path}}": imds.role_operation,
}
_POSTS: Final[Mapping[str, Callable[[Cloud, Request, bytes], Operation]]] = {
    "/": _aws_operation,
    "/token": _token,
    token_exchange.PATH: _exchange,
    iamcredentials.PATH: _access_token,
}


def _refuse(failure: Failure) -> Response:
    return JSONResponse({"error": failure.message}, failure.status)


class _DatedAnswers:
    """Dates every answer by the cloud's own clock: clients tell from it that theirs is wrong."""

    def __init__(self, app: ASGIApp, cloud: Cloud) -> None:
        self._app = app
        self._cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Date"] = formatdate(self._cloud.clock(), usegmt=True)
            await send(message)

        await self._app(scope, receive, send_dated)
