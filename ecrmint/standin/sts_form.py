"""What the forms of STS's actions have in common: who sent one, and the limits of its parameters.

The limits are those of botocore's ``sts/2011-06-15`` model.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Union

from ecrmint.standin import aws
from ecrmint.standin.cloud import AccessKey, Cloud
from ecrmint.standin.faults import Failure, RefusedError, region_disabled
from ecrmint.standin.iam_policy import Policy, parse
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
_PROTOCOL: Final = {"Action", "Version"}
_POLICY_SIZE: Final = 2048  # characters
_PATTERNS: Final = {
    "RoleArn": r"arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]{1,512}",
    "RoleSessionName": r"[\w+=,.@-]{2,64}",
    "ExternalId": r"[\w+=,.@:/-]{2,1224}",
    "DurationSeconds": r"\d{1,9}",
    "SourceIdentity": r"(?!aws:)[\w+=,.@-]{2,64}",
    "WebIdentityToken": r"[\s\S]{4,20000}",
}

Form = Mapping[str, str]
Tree = Mapping[str, Union[str, "Tree"]]


def signer(cloud: Cloud, request: SignedRequest) -> AccessKey:
    """Return who signed a form. Raises: RefusedError."""
    session = aws.authenticate(cloud, SERVICE, request)
    if session.region in cloud.disabled_regions:
        raise RefusedError(region_disabled(session.key.account))
    return session.key


def validate(form: Form, *, required: Iterable[str], optional: Iterable[str]) -> None:
    """Check names and values, the names of lists (``Tags.member.1.Key``) by their start. Raises: RefusedError."""
    for name in sorted({name.partition(".")[0] for name in form} - {*required, *optional, *_PROTOCOL}):
        text = f"the stand-in cloud does not know {form['Action']}'s {name}"
        raise RefusedError(Failure(501, "NotImplemented", text))
    for name in required:
        if name not in form:
            raise invalid(name, "Member must not be null")
    for name in form.keys() & _PATTERNS.keys():
        if not re.fullmatch(_PATTERNS[name], form[name], re.ASCII):
            raise invalid(name, f"Member must satisfy regular expression pattern: {_PATTERNS[name]}")


def session_policy(form: Form) -> Policy | None:
    """Return the form's policy, if it has one. Raises: RefusedError."""
    text = form.get("Policy")
    if text is not None and len(text) > _POLICY_SIZE:
        raise invalid("Policy", f"Member must have length less than or equal to {_POLICY_SIZE}")
    return None if text is None else parse(text)


def invalid(name: str, constraint: str) -> RefusedError:
    """Return the refusal of a parameter's value."""
    where = f"Value at '{name[0].lower()}{name[1:]}' failed to satisfy constraint"
    return SERVICE.refusal("invalid", f"1 validation error detected: {where}: {constraint}")
