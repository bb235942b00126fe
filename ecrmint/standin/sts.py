"""AWS STS: AssumeRole and GetCallerIdentity in the query protocol (form in, XML out).

Source: AWS STS API Reference; the limits are those of botocore's ``sts/2011-06-15`` model.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from html import escape
from typing import Final, Union
from urllib.parse import parse_qsl
from uuid import uuid4

from starlette.responses import Response

from ecrmint.standin import aws
from ecrmint.standin.cloud import AccessKey, Cloud, Role
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation, unknown
from ecrmint.standin.sigv4 import SignedRequest

SERVICE: Final = aws.Service(
    "sts",
    {
        "unsigned": (403, "MissingAuthenticationToken"),
        "unknown_key": (403, "InvalidClientTokenId"),
        "bad_signature": (403, "SignatureDoesNotMatch"),
        "expired": (403, "ExpiredToken"),
        "denied": (403, "AccessDenied"),
        "throttled": (400, "Throttling"),
        "invalid": (400, "ValidationError"),
    },
)
_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"
_SHORTEST, _LONGEST, _LONGEST_CHAINED = 900, 43200, 3600  # seconds of a session
_POLICY_SIZE: Final = 2048  # characters
_VALID: Final = {  # the parameters of AssumeRole that are checked by pattern; all others that are known: below
    "RoleArn": r"arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]{1,512}",
    "RoleSessionName": r"[\w+=,.@-]{2,64}",
    "ExternalId": r"[\w+=,.@:/-]{2,1224}",
    "DurationSeconds": r"\d{1,9}",
}
_KNOWN: Final = {"Action", "Version", "Policy", *_VALID}

Form = Mapping[str, str]
Tree = Mapping[str, Union[str, "Tree"]]


def operation(cloud: Cloud, request: SignedRequest) -> Operation:
    """Return what a form asks for."""
    form = dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    caller = aws.claim(cloud, request).caller
    refuse, throttled = _refuse, SERVICE.failure("throttled", "Rate exceeded")
    match action := form.get("Action", ""):
        case "AssumeRole":
            perform = partial(_assume_role, cloud, request, form)
            return Operation("sts.AssumeRole", caller, form.get("RoleArn", ""), perform, refuse, throttled)
        case "GetCallerIdentity":
            perform = partial(_get_caller_identity, cloud, request)
            return Operation("sts.GetCallerIdentity", caller, "", perform, refuse, throttled)
    return unknown(action, caller, refuse)


def _get_caller_identity(cloud: Cloud, request: SignedRequest) -> Response:
    key = aws.authenticate(cloud, SERVICE, request).key
    user_id = key.id.replace("AKIA", "AIDA")
    return _answer("GetCallerIdentity", {"Arn": key.arn, "UserId": user_id, "Account": key.account})


def _assume_role(cloud: Cloud, request: SignedRequest, form: Form) -> Response:
    caller = aws.authenticate(cloud, SERVICE, request).key
    _validate(form)
    role = cloud.roles.get(form["RoleArn"])
    if role is None or not role.admits(caller, form.get("ExternalId")):
        # One answer for every cause, as AWS gives it: a caller can't find out which roles exist.
        text = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {form['RoleArn']}"
        raise SERVICE.refusal("denied", text)
    seconds = _duration(form, role, chained=caller.is_session)
    session = cloud.issue_session(role, name=form["RoleSessionName"], seconds=cloud.life("sts.AssumeRole", seconds))
    return _answer("AssumeRole", _session_tree(session, role, form["RoleSessionName"]))


def _validate(form: Form) -> None:
    for name in form.keys() - _KNOWN:
        raise RefusedError(Failure(501, "NotImplemented", f"the stand-in cloud does not know AssumeRole's {name}"))
    for name in {"RoleArn", "RoleSessionName"} - form.keys():
        raise _invalid(name, "Member must not be null")
    for name in form.keys() & _VALID.keys():
        if not re.fullmatch(_VALID[name], form[name], re.ASCII):
            raise _invalid(name, f"Member must satisfy regular expression pattern: {_VALID[name]}")
    if "Policy" in form:
        _validate_policy(form["Policy"])


def _validate_policy(policy: str) -> None:
    if len(policy) > _POLICY_SIZE:
        raise _invalid("Policy", f"Member must have length less than or equal to {_POLICY_SIZE}")
    try:
        json.loads(policy)
    except ValueError:
        raise RefusedError(Failure(400, "MalformedPolicyDocument", "Syntax errors in policy.")) from None


def _duration(form: Form, role: Role, *, chained: bool) -> int:
    seconds = int(form.get("DurationSeconds", "3600"))
    if seconds < _SHORTEST:
        raise _invalid("DurationSeconds", f"Member must have value greater than or equal to {_SHORTEST}")
    if seconds > _LONGEST:
        raise _invalid("DurationSeconds", f"Member must have value less than or equal to {_LONGEST}")
    if chained and seconds > _LONGEST_CHAINED:
        text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        raise SERVICE.refusal("invalid", text)
    if seconds > role.max_session:
        text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise SERVICE.refusal("invalid", text)
    return seconds


def _invalid(name: str, constraint: str) -> RefusedError:
    where = f"Value at '{name[0].lower()}{name[1:]}' failed to satisfy constraint"
    text = f"1 validation error detected: {where}: {constraint}"
    return SERVICE.refusal("invalid", text)


def _session_tree(session: AccessKey, role: Role, name: str) -> Tree:
    return {
        "Credentials": {
            "AccessKeyId": session.id,
            "SecretAccessKey": session.secret.reveal(),
            "SessionToken": session.session_token.reveal(),
            "Expiration": datetime.fromtimestamp(session.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "AssumedRoleUser": {"AssumedRoleId": f"{role.id}:{name}", "Arn": session.arn},
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
