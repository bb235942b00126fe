"""What AWS's services have in common: who signed a call, and that each has its own codes for the same failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from ecrmint.standin import sigv4
from ecrmint.standin.cloud import AccessKey, Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.tokens import Secret

SKEW: Final = 900.0  # seconds; AWS refuses dates that are further off

FailureKind = Literal["unsigned", "unknown_key", "bad_signature", "expired", "denied", "throttled", "invalid"]
Codes = Mapping[FailureKind, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Service:
    """One AWS service: its name in a signature's scope, and its status and code for each kind of failure."""

    name: str
    codes: Codes

    def failure(self, kind: FailureKind, message: str) -> Failure:
        """Return that kind of failure as this service words it."""
        status, code = self.codes[kind]
        return Failure(status, code, message)

    def refusal(self, kind: FailureKind, message: str) -> RefusedError:
        """Return the exception for it."""
        return RefusedError(self.failure(kind, message))


@dataclass(frozen=True, slots=True)
class Session:
    """A verified caller, and the region that its call was signed for."""

    key: AccessKey
    region: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Whom and which region a request names, whether the signature holds or not; "" for none."""

    caller: str = ""
    region: str = ""


def demand(service: Service, key: AccessKey, action: str) -> None:
    """Check that a session policy leaves room for an action that takes no resource. Raises: RefusedError."""
    if not key.may(action, "*"):
        text = f"User: {key.arn} is not authorized to perform: {action} on resource: *"
        raise service.refusal("denied", f"{text} because no session policy allows the {action} action")


def claim(cloud: Cloud, request: sigv4.SignedRequest) -> Claim:
    """Return what a request claims: for the record alone."""
    try:
        authorization = sigv4.parse(request.headers.get("authorization", ""))
        return Claim(cloud.keys[authorization.key_id].arn, authorization.region)
    except (ValueError, KeyError):
        return Claim()


def authenticate(cloud: Cloud, service: Service, request: sigv4.SignedRequest) -> Session:
    """Return who signed a request. Raises: RefusedError."""
    try:
        authorization = sigv4.parse(request.headers.get("authorization", ""))
    except ValueError:
        raise service.refusal("unsigned", "Request is missing Authentication Token") from None
    if authorization.service != service.name:
        raise service.refusal("bad_signature", f"Credential should be scoped to correct service: '{service.name}'.")
    key = _find_key(cloud, service, request, authorization)
    if not sigv4.verify(request, authorization, key.secret.reveal()):
        raise service.refusal("bad_signature", "The request signature we calculated does not match the one provided.")
    if key.expires_at <= cloud.clock():
        raise service.refusal("expired", "The security token included in the request is expired")
    _check_date(cloud, service, request.headers["x-amz-date"])
    return Session(key, authorization.region)


def _find_key(
    cloud: Cloud, service: Service, request: sigv4.SignedRequest, authorization: sigv4.Authorization
) -> AccessKey:
    key = cloud.keys.get(authorization.key_id)
    token = Secret(request.headers.get("x-amz-security-token", ""))
    if key is None or token != key.session_token:
        raise service.refusal("unknown_key", "The security token included in the request is invalid.")
    return key


def _check_date(cloud: Cloud, service: Service, date: str) -> None:
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise service.refusal("bad_signature", "Date must be in ISO-8601 'basic format'.") from None
    ahead = signed_at - cloud.clock()
    if ahead < -SKEW:
        raise service.refusal("bad_signature", f"Signature expired: {date} is more than 15 minutes ago")
    if ahead > SKEW:
        raise service.refusal("bad_signature", f"Signature not yet current: {date} is more than 15 minutes ahead")
