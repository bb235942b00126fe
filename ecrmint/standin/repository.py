"""Repositories of a docker registry: what a login may pull and push, by its session's policy and the repository's own.

Source: the distribution specification, and the Amazon ECR User Guide, "Private repository policies", "Actions needed".
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ecrmint.standin import ecr_registry
from ecrmint.standin.cloud import Cloud, EcrLogin, GoogleToken
from ecrmint.standin.faults import Api, Failure, RefusedError
from ecrmint.standin.operation import Operation, unknown
from ecrmint.standin.registry import THROTTLED, VERSION, Basic, check_login, refuse

_PATH: Final = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|blobs/uploads)/(?P<what>[^/]*)")
_PUSH: Final = "ecr:InitiateLayerUpload"
_ACTIONS: Final[Mapping[tuple[str, str], str]] = {  # what ECR asks for
    ("GET", "manifests"): "ecr:BatchGetImage",
    ("HEAD", "manifests"): "ecr:BatchGetImage",
    ("GET", "blobs"): "ecr:GetDownloadUrlForLayer",
    ("HEAD", "blobs"): "ecr:GetDownloadUrlForLayer",
    ("POST", "blobs/uploads"): _PUSH,
}
_IMPORT: Final = ("ecr:CreateRepository", "ecr:BatchImportUpstreamImage")  # a pull-through cache's first pull


def operation(cloud: Cloud, request: Request) -> Operation:
    """Return the reading of a manifest or layer, or the start of a push."""
    host, path = request.headers.get("host", ""), request.url.path
    match = _PATH.fullmatch(path)
    action = _ACTIONS.get((request.method, match["kind"])) if match else None
    if match is None or action is None:
        return unknown(f"{request.method} {path}", "", partial(refuse, host))
    login = Basic.of(request)
    perform = partial(_perform, cloud, host, match["name"], login, action)
    api: Api = "registry.push" if action == _PUSH else "registry.pull"
    return Operation(api, login.username, f"{host}/{match['name']}", perform, partial(refuse, host), THROTTLED)


def _perform(cloud: Cloud, host: str, name: str, basic: Basic, action: str) -> Response:
    login = check_login(cloud, host, basic)
    _authorize(cloud, login, host, name, action)
    if cloud.repository(host, name) is None:
        _import(cloud, login, host, name)
    if action != _PUSH:
        return JSONResponse({}, headers=VERSION)
    return Response(status_code=202, headers={**VERSION, "Location": f"/v2/{name}/blobs/uploads/{uuid4()}"})


def _import(cloud: Cloud, login: EcrLogin | GoogleToken, host: str, name: str) -> None:
    if not any(name.startswith(f"{prefix}/") for prefix in cloud.pull_through_prefixes(host)):
        raise RefusedError(Failure(404, "NAME_UNKNOWN", f"The repository with name '{name}' does not exist"))
    for action in _IMPORT:
        _authorize(cloud, login, host, name, action)
    cloud.add_repository(host, name)


def _authorize(cloud: Cloud, login: EcrLogin | GoogleToken, host: str, name: str, action: str) -> None:
    registry = ecr_registry.find(host)
    if registry is None or isinstance(login, GoogleToken):
        if action == _PUSH:
            raise _denied("Not authorized to push")
        return
    repository, key, arn = cloud.repository(host, name), login.key, registry.arn(name)
    text = f"User: {key.arn} is not authorized to perform: {action} on resource: {arn} because no"
    if not key.may(action, arn):
        raise _denied(f"{text} session policy allows the {action} action")
    shared = repository is not None and key.account in repository.shared_with and action != _PUSH
    if registry.account != key.account and not shared:
        raise _denied(f"{text} resource-based policy allows the {action} action")


def _denied(message: str) -> RefusedError:
    return RefusedError(Failure(403, "DENIED", message))
