"""Google's IAM Credentials API: generateAccessToken, which is how one identity acts as a service account.

Source: IAM Service Account Credentials API reference, ``projects.serviceAccounts.generateAccessToken``, and the Cloud
APIs' error model (google.rpc.Status with ErrorInfo) for what a refusal looks like.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from starlette.responses import JSONResponse, Response

from ecrmint.standin.bearer import find
from ecrmint.standin.cloud import CLOUD_PLATFORM, GOOGLE_LIFE, Cloud, GoogleToken
from ecrmint.standin.faults import ErrorInfo, Failure, RefusedError
from ecrmint.standin.operation import Operation
from ecrmint.standin.service_account import ServiceAccount
from ecrmint.tokens import Secret

PATH: Final = "/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
LOCATIONS_PATH: Final = "/v1/projects/{resource:path}/allowedLocations"
_SCOPES: Final = {CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam"}  # one of them is needed to call
_THROTTLED: Final = Failure(429, "RESOURCE_EXHAUSTED", "Quota exceeded")
_SERVICE: Final = ("service", "iamcredentials.googleapis.com")
_DENIED: Final = Failure(
    403,
    "PERMISSION_DENIED",
    "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
    ErrorInfo("IAM_PERMISSION_DENIED", "iam.googleapis.com", (("permission", "iam.serviceAccounts.getAccessToken"),)),
)
_TOO_NARROW: Final = Failure(
    403,
    "PERMISSION_DENIED",
    "Request had insufficient authentication scopes.",
    ErrorInfo(
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "googleapis.com",
        (_SERVICE, ("method", "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken")),
    ),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """A request's body: emails of the chain's links before the target, scopes, and a length in seconds."""

    delegates: Sequence[str]
    scopes: frozenset[str]
    lifetime: int


def operation(cloud: Cloud, email: str, bearer: Secret, body: bytes) -> Operation:
    """Return the minting of a token for that service account."""
    perform = partial(_generate, cloud, email, bearer, body)
    return Operation("google.generateAccessToken", _caller(cloud, bearer), email, perform, _refuse, _THROTTLED)


def allowed_locations(cloud: Cloud, resource: str, bearer: Secret) -> Operation:
    """Return the look-up of a token's regional boundary, which google-auth makes unasked: there is none here."""

    def perform() -> Response:
        raise RefusedError(Failure(404, "NOT_FOUND", "Requested entity was not found."))

    return Operation("google.allowedLocations", _caller(cloud, bearer), resource, perform, _refuse, _THROTTLED)


def service_disabled(project: int) -> Failure:
    """Return what the API answers where that project, by its number, has not switched it on."""
    text = f"IAM Service Account Credentials API has not been used in project {project} before or it is disabled."
    consumer = ("consumer", f"projects/{project}")
    return Failure(
        403, "PERMISSION_DENIED", text, ErrorInfo("SERVICE_DISABLED", "googleapis.com", (_SERVICE, consumer))
    )


def _caller(cloud: Cloud, bearer: Secret) -> str:
    """Return whose token it is: an email, or the principal:// of a federated identity."""
    token = find(cloud, bearer)
    return "" if token is None else min(token.principals)  # principal: sorts before principalSet:


def _generate(cloud: Cloud, email: str, bearer: Secret, body: bytes) -> Response:
    token = _authenticate(cloud, bearer)
    account = cloud.service_accounts.get(email)
    if account is None:
        raise RefusedError(Failure(404, "NOT_FOUND", f"Not found; Gaia id not found for email {email}"))
    wish = _parse(body)
    _check_chain(cloud, token.principals, [*wish.delegates, email])
    _check_wish(wish, account)
    seconds = cloud.life("google.generateAccessToken", wish.lifetime)
    issued = cloud.issue_google_token(frozenset({email}), wish.scopes, seconds=seconds)
    # Whole seconds: clients parse no fraction here.
    expire_time = datetime.fromtimestamp(cloud.clock() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return JSONResponse({"accessToken": issued.reveal(), "expireTime": expire_time})


def _authenticate(cloud: Cloud, bearer: Secret) -> GoogleToken:
    token = find(cloud, bearer)
    if token is None or token.expires_at <= cloud.clock():
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise RefusedError(Failure(401, "UNAUTHENTICATED", text))
    if not token.scopes & _SCOPES:
        raise RefusedError(_TOO_NARROW)
    return token


def _check_chain(cloud: Cloud, caller: frozenset[str], chain: Sequence[str]) -> None:
    """Check each hop: who goes by one of the names in ``caller`` may act as the first, the first as the second ..."""
    for target in chain:
        account = cloud.service_accounts.get(target)
        if account is None or caller.isdisjoint(account.impersonators):
            raise RefusedError(_DENIED)
        caller = frozenset({target})


def _check_wish(wish: Wish, account: ServiceAccount) -> None:
    if not wish.scopes:
        raise _invalid("Scope required.")
    if not 0 < wish.lifetime <= account.max_lifetime:
        raise _invalid(f"The access token lifetime cannot exceed {account.max_lifetime} seconds.")


def _parse(body: bytes) -> Wish:
    try:
        sent: object = json.loads(body)
    except ValueError:
        raise _invalid("Invalid JSON payload received.") from None
    if not isinstance(sent, dict) or sent.keys() - {"delegates", "scope", "lifetime"}:
        raise _invalid("Invalid JSON payload received. Unknown name.")
    lifetime = re.fullmatch(r"(\d{1,9})s", str(sent.get("lifetime", f"{GOOGLE_LIFE}s")), re.ASCII)
    if lifetime is None:
        raise _invalid("Invalid value at 'lifetime' (type.googleapis.com/google.protobuf.Duration)")
    return Wish(_emails(_texts(sent, "delegates")), frozenset(_texts(sent, "scope")), int(lifetime[1]))


def _texts(sent: dict[str, object], name: str) -> list[str]:
    value = sent.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise _invalid(f"Invalid value at '{name}': a list of texts is expected")
    return value


def _emails(delegates: Sequence[str]) -> list[str]:
    matches = [re.fullmatch(r"projects/-/serviceAccounts/([^/]+)", name) for name in delegates]
    if None in matches:
        raise RefusedError(_DENIED)
    return [match[1] for match in matches if match]


def _invalid(message: str) -> RefusedError:
    return RefusedError(Failure(400, "INVALID_ARGUMENT", message))


def _refuse(failure: Failure) -> Response:
    error = {"code": failure.status, "message": failure.message, "status": failure.code}
    return JSONResponse({"error": {**error, **_details(failure.info)}}, failure.status)


def _details(info: ErrorInfo | None) -> Mapping[str, object]:
    if info is None:
        return {}
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    detail = {"@type": kind, "reason": info.reason, "domain": info.domain, "metadata": dict(info.metadata)}
    return {"details": [detail]}
