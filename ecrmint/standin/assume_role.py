"""STS's AssumeRole: a caller that a role trusts gets a session of it.

Source: AWS STS API Reference, and the IAM User Guide on session tags and source identities.
"""

from dataclasses import replace

from ecrmint.standin.cloud import AccessKey, Cloud, Role
from ecrmint.standin.faults import RefusedError
from ecrmint.standin.session_context import SessionContext
from ecrmint.standin.session_tags import read_tags
from ecrmint.standin.sigv4 import SignedRequest
from ecrmint.standin.sts_form import SERVICE, Form, Tree, session_policy, signer, validate
from ecrmint.standin.sts_session import start, wish

_REQUIRED = ("RoleArn", "RoleSessionName")
_OPTIONAL = ("ExternalId", "DurationSeconds", "Policy", "SourceIdentity", "Tags", "TransitiveTagKeys")


def assume_role(cloud: Cloud, request: SignedRequest, form: Form) -> Tree:
    """Return the answer to a form. Raises: RefusedError."""
    caller = signer(cloud, request)
    validate(form, required=_REQUIRED, optional=_OPTIONAL)
    context = _context(form, caller.context)
    role = _admitted(cloud, caller, form)
    _check_carrying(caller, role, context)
    return start(cloud, "sts.AssumeRole", wish(form, role, context, chained=caller.is_session))


def _context(form: Form, caller: SessionContext) -> SessionContext:
    source_identity = form.get("SourceIdentity", caller.source_identity)
    return replace(read_tags(form, caller), policy=session_policy(form), source_identity=source_identity)


def _admitted(cloud: Cloud, caller: AccessKey, form: Form) -> Role:
    role, arn = cloud.roles.get(form["RoleArn"]), form["RoleArn"]
    if role is None or not role.admits(caller, form.get("ExternalId")) or not caller.may("sts:AssumeRole", arn):
        # One answer for every cause, as AWS gives it: a caller can't find out which roles exist.
        raise _denied(caller, "sts:AssumeRole", arn)
    return role


def _check_carrying(caller: AccessKey, role: Role, context: SessionContext) -> None:
    """Check what is passed to the session, inherited or not: the role must allow it."""
    if context.tags and not (role.tag_session and caller.may("sts:TagSession", role.arn)):
        raise _denied(caller, "sts:TagSession", role.arn)
    if not context.source_identity:
        return
    may_set = role.set_source_identity and caller.may("sts:SetSourceIdentity", role.arn)
    # Once set it stays what it is through every further role.
    if not may_set or caller.context.source_identity not in ("", context.source_identity):
        raise _denied(caller, "sts:SetSourceIdentity", role.arn)


def _denied(caller: AccessKey, action: str, resource: str) -> RefusedError:
    text = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
    return SERVICE.refusal("denied", text)
