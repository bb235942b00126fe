"""Assembles the stand-in cloud: one address for every service, 501 for all that is not known."""

from email.utils import formatdate

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


def build_app(cloud: Cloud) -> Starlette:
    """Return the server of that cloud."""

    async def api(request: Request) -> Response:
        return await run(cloud, _aws_operation(cloud, await _signed(request)))

    async def ping(request: Request) -> Response:
        return await run(cloud, registry.operation(cloud, request))

    async def repository_access(request: Request) -> Response:
        return await run(cloud, repository.operation(cloud, request))

    async def pod_credentials(request: Request) -> Response:
        return await run(cloud, container.pod_operation(cloud, request))

    async def task_credentials(request: Request) -> Response:
        return await run(cloud, container.task_operation(cloud, request))

    async def instance_token(request: Request) -> Response:
        return await run(cloud, imds.token_operation(cloud, request))

    async def instance_role(request: Request) -> Response:
        return await run(cloud, imds.role_operation(cloud, request))

    async def metadata_value(request: Request) -> Response:
        return await run(cloud, metadata.operation(cloud, request))

    async def token(request: Request) -> Response:
        return await run(cloud, oauth.operation(cloud, await request.body()))

    async def generate_access_token(request: Request) -> Response:
        email, body = request.path_params["email"], await request.body()
        return await run(cloud, iamcredentials.operation(cloud, email, _bearer(request), body))

    async def allowed_locations(request: Request) -> Response:
        resource = request.path_params["resource"]
        return await run(cloud, iamcredentials.allowed_locations(cloud, resource, _bearer(request)))

    async def exchange(request: Request) -> Response:
        return await run(cloud, token_exchange.operation(cloud, await request.body()))

    async def workload_token(request: Request) -> Response:
        return await run(cloud, subject_token.operation(cloud, request.url.path))

    async def nothing(request: Request, _: Exception) -> Response:
        return await run(cloud, unknown(f"{request.method} {request.url.path}", "", _refuse))

    app = Starlette(
        routes=[
            Route("/", api, methods=["POST"]),
            Route("/", metadata_value),
            Route(f"{metadata.ROOT}{{path:path}}", metadata_value),
            Route("/token", token, methods=["POST"]),
            Route(token_exchange.PATH, exchange, methods=["POST"]),
            Route(iamcredentials.PATH, generate_access_token, methods=["POST"]),
            Route(iamcredentials.LOCATIONS_PATH, allowed_locations),
            Route(subject_token.TEXT_PATH, workload_token),
            Route(subject_token.JSON_PATH, workload_token),
            Route("/v2/", ping),
            Route(container.POD_PATH, pod_credentials),
            Route(f"{machines.TASK_ROOT}{{id}}", task_credentials),
            Route(imds.TOKEN_PATH, instance_token, methods=["PUT"]),
            Route(f"{imds.ROLES_PATH}{{name:path}}", instance_role),
            Route("/v2/{path:path}", repository_access, methods=["GET", "HEAD", "POST"]),
        ],
        exception_handlers={404: nothing, 405: nothing},
        middleware=[Middleware(_DatedAnswers, cloud=cloud)],
    )
    app.router.redirect_slashes = False  # a path that is almost right is not known either
    return app


def _aws_operation(cloud: Cloud, request: SignedRequest) -> Operation:
    match target := request.headers.get("x-amz-target"):
        case None:
            return sts.operation(cloud, request)
        case ecr.TARGET:
            return ecr.operation(cloud, request)
        case ecr_public.TARGET:
            return ecr_public.operation(cloud, request)
    return unknown(target, aws.claim(cloud, request).caller, aws_json.refuse)


async def _signed(request: Request) -> SignedRequest:
    path = request.scope["raw_path"].decode("ascii")
    return SignedRequest(request.method, path, request.url.query, dict(request.headers), await request.body())


def _bearer(request: Request) -> Secret:
    return Secret(request.headers.get("authorization", "").removeprefix("Bearer "))


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
