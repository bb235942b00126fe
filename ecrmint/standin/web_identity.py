"""STS's AssumeRoleWithWebIdentity: a token of an OpenID Connect provider instead of a signature.

Source: AWS STS API Reference; the IAM User Guide's and re:Post's articles on the errors of web identities.
"""

from datetime import UTC, datetime
from typing import Final

from ecrmint.standin import jwt
from ecrmint.standin.cloud import Cloud, account_of
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.jwt import Jwt
from ecrmint.standin.oidc import audiences
from ecrmint.standin.session_context import SessionContext
from ecrmint.standin.sigv4 import SignedRequest
from ecrmint.standin.sts_form import SERVICE, Form, Tree, session_policy, validate
from ecrmint.standin.sts_session import start, wish

IDP_UNREACHABLE: Final = Failure(
    400, "IDPCommunicationError", "An error occurred when calling your identity provider. Please try again."
)
NO_VERIFICATION_KEY: Final = Failure(
    400,
    "InvalidIdentityToken",
    "Couldn't retrieve verification key from your identity provider,"
    " please reference AssumeRoleWithWebIdentity documentation for requirements",
)
_REQUIRED: Final = ("RoleArn", "RoleSessionName", "WebIdentityToken")


def assume_role_with_web_identity(cloud: Cloud, _request: SignedRequest, form: Form) -> Tree:
    """Return the answer to a form. Raises: RefusedError."""
    validate(form, required=_REQUIRED, optional=("DurationSeconds", "Policy"))
    context = SessionContext(policy=session_policy(form))
    token = _verified(cloud, form["WebIdentityToken"], account_of(form["RoleArn"]))
    role = cloud.roles.get(form["RoleArn"])
    if role is None or not any(trust.admits(token) for trust in role.web_trust):
        raise SERVICE.refusal("denied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    answer = start(cloud, "sts.AssumeRoleWithWebIdentity", wish(form, role, context, chained=False))
    who = {"SubjectFromWebIdentityToken": token.claim("sub"), "Provider": token.claim("iss")}
    return {**answer, **who, "Audience": audiences(token)[0]}


def claimed_subject(form: Form) -> str:
    """Return whom the form's token names, whether it holds or not: for the record alone."""
    try:
        return jwt.parse(form.get("WebIdentityToken", "")).claim("sub")
    except ValueError:
        return ""


def _verified(cloud: Cloud, text: str, account: str) -> Jwt:
    try:
        unverified = jwt.parse(text)
    except ValueError:
        raise _invalid("The ID Token provided is not a valid JWT.") from None
    provider = cloud.oidc_providers.get((account, unverified.claim("iss")))
    if provider is None:
        raise _invalid(f"No OpenIDConnect provider found in your account for {unverified.claim('iss')}")
    if not unverified.is_signed_by(provider.key.public_key()):
        raise _invalid("The ID Token's signature is not valid.")
    if provider.audiences.isdisjoint(audiences(unverified)):
        raise _invalid("Incorrect token audience")
    _check_time(unverified, cloud.clock())
    return unverified


def _check_time(token: Jwt, now: float) -> None:
    expires = token.claims.get("exp")
    if not isinstance(expires, int):
        raise _invalid("Missing a required claim: exp")
    if expires <= now:
        text = (
            f"Token expired: current date/time {_shown(now)} must be before the expiration date/time {_shown(expires)}"
        )
        raise RefusedError(Failure(400, "ExpiredTokenException", text))


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _invalid(message: str) -> RefusedError:
    return RefusedError(Failure(400, "InvalidIdentityToken", message))
