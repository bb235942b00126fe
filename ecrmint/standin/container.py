"""Where a container asks for its role's credentials: the EKS Pod Identity agent, and Amazon ECS's endpoint.

Source: AWS SDKs and Tools Reference Guide, "Container credential provider"; the Amazon ECS Developer Guide, "Task IAM
role". What the agent answers to a bad token is not documented: clients take everything but 200 alike.
"""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ecrmint.standin import machine_credentials
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation
from ecrmint.tokens import Secret

POD_PATH: Final = "/v1/credentials"
_THROTTLED: Final = Failure(429, "TooManyRequests", "Too many requests")


def pod_operation(cloud: Cloud, request: Request) -> Operation:
    """Return the Pod Identity agent's answer to whoever shows a token."""
    token = Secret(request.headers.get("authorization", ""))
    return Operation("eks.credentials", "", "", partial(_pod, cloud, token), _refuse, _THROTTLED)


def task_operation(cloud: Cloud, request: Request) -> Operation:
    """Return ECS's answer at a task's own path."""
    perform = partial(_task, cloud, request.url.path)
    return Operation("ecs.credentials", "", "", perform, _refuse, _THROTTLED)


def _pod(cloud: Cloud, token: Secret) -> Response:
    pod = cloud.machines.pods.get(token)
    if pod is None:
        raise RefusedError(Failure(401, "Unauthorized", "the service account token can't be verified"))
    credentials = machine_credentials.issue(cloud, "eks.credentials", pod.role, tags=pod.tags)
    return JSONResponse({**credentials, "AccountId": cloud.keys[credentials["AccessKeyId"]].account})


def _task(cloud: Cloud, path: str) -> Response:
    role = cloud.machines.tasks.get(path)
    if role is None:
        raise RefusedError(Failure(404, "NotFound", "no task has these credentials"))
    return JSONResponse({"RoleArn": role, **machine_credentials.issue(cloud, "ecs.credentials", role)})


def _refuse(failure: Failure) -> Response:
    return PlainTextResponse(failure.message, failure.status)
