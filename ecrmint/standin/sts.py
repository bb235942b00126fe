"""AWS STS in the query protocol: form in, XML out.

Source: AWS STS API Reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import parse_qsl
from uuid import uuid4

from starlette.responses import Response

from ecrmint.standin import aws
from ecrmint.standin.assume_role import assume_role
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Api, Failure
from ecrmint.standin.operation import Operation, unknown
from ecrmint.standin.sigv4 import SignedRequest
from ecrmint.standin.sts_form import SERVICE, Form, Tree, signer
from ecrmint.standin.web_identity import assume_role_with_web_identity, claimed_subject

_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True, slots=True)
class Action:
    """An action that is known: ``answer`` gives its result or raises RefusedError."""

    api: Api
    answer: Callable[[Cloud, SignedRequest, Form], Tree]


def operation(cloud: Cloud, request: SignedRequest) -> Operation:
    """Return what a form asks for."""
    form = dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    caller, name = aws.claim(cloud, request).caller or claimed_subject(form), form.get("Action", "")
    action = _ACTIONS.get(name)
    if action is None:
        return unknown(name, caller, _refuse)
    return Operation(
        action.api,
        caller,
        form.get("RoleArn", ""),
        lambda: _answer(name, action.answer(cloud, request, form)),
        _refuse,
        SERVICE.failure("throttled", "Rate exceeded"),
    )


def _get_caller_identity(cloud: Cloud, request: SignedRequest, _form: Form) -> Tree:
    key = signer(cloud, request)
    return {"Arn": key.arn, "UserId": key.id.replace("AKIA", "AIDA"), "Account": key.account}


_ACTIONS: Final[Mapping[str, Action]] = {
    "AssumeRole": Action("sts.AssumeRole", assume_role),
    "AssumeRoleWithWebIdentity": Action("sts.AssumeRoleWithWebIdentity", assume_role_with_web_identity),
    "GetCallerIdentity": Action("sts.GetCallerIdentity", _get_caller_identity),
}


def _answer(action: str, result: Tree) -> Response:
    tree = {f"{action}Result": result, "ResponseMetadata": {"RequestId": str(uuid4())}}
    return _xml(200, f"{action}Response", tree)


def _refuse(failure: Failure) -> Response:
    kind = "Sender" if failure.status < 500 else "Receiver"  # noqa: PLR2004
    error = {"Type": kind, "Code": failure.code, "Message": failure.message}
    return _xml(failure.status, "ErrorResponse", {"Error": error, "RequestId": str(uuid4())})


def _xml(status: int, name: str, tree: Tree) -> Response:
    text = f'<{name} xmlns="{_NAMESPACE}">{_elements(tree)}</{name}>'
    return Response(text, status, media_type="text/xml")


def _elements(tree: Tree) -> str:
    return "".join(
        f"<{name}>{escape(part) if isinstance(part, str) else _elements(part)}</{name}>" for name, part in tree.items()
    )
