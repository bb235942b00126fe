"""Google's IAM Credentials API: generateAccessToken, which is how one identity acts as a service account.

Source: IAM Service Account Credentials API reference, ``projects.serviceAccounts.generateAccessToken``.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Final

from starlette.responses import JSONResponse, Response

from ecrmint.standin.cloud import CLOUD_PLATFORM, GOOGLE_LIFE, Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.operation import Operation
from ecrmint.standin.service_account import ServiceAccount
from ecrmint.tokens import Secret

PATH: Final = "/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
_SCOPES: Final = {CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam"}  # one of them is needed to call
_THROTTLED: Final = Failure(429, "RESOURCE_EXHAUSTED", "Quota exceeded")
_DENIED: Final = Failure(
    403,
    "PERMISSION_DENIED",
    "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """A request's body: emails of the chain's links before the target, scopes, and a length in seconds."""

    delegates: Sequence[str]
    scopes: frozenset[str]
    lifetime: int


def operation(cloud: Cloud, email: str, bearer: Secret, body: bytes) -> Operation:
    """Return the minting of a token for that service account."""
    token = cloud.google_tokens.get(bearer)
    caller = "" if token is None else token.email
    perform = partial(_generate, cloud, email, bearer, body)
    return Operation("google.generateAccessToken", caller, email, perform, _refuse, _THROTTLED)


def _generate(cloud: Cloud, email: str, bearer: Secret, body: bytes) -> Response:
    caller = _authenticate(cloud, bearer)
    account = cloud.service_accounts.get(email)
    if account is None:
        raise RefusedError(Failure(404, "NOT_FOUND", f"Not found; Gaia id not found for email {email}"))
    wish = _parse(body)
    _check_chain(cloud, [caller, *wish.delegates, email])
    _check_wish(wish, account)
    seconds = cloud.life("google.generateAccessToken", wish.lifetime)
    token = cloud.issue_google_token(email, wish.scopes, seconds=seconds)
    # Whole seconds: clients parse no fraction here.
    expire_time = datetime.fromtimestamp(cloud.clock() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return JSONResponse({"accessToken": token.reveal(), "expireTime": expire_time})


def _authenticate(cloud: Cloud, bearer: Secret) -> str:
    token = cloud.google_tokens.get(bearer)
    if token is None or token.expires_at <= cloud.clock():
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise RefusedError(Failure(401, "UNAUTHENTICATED", text))
    if not token.scopes & _SCOPES:
        raise RefusedError(Failure(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes."))
    return token.email


def _check_chain(cloud: Cloud, chain: Sequence[str]) -> None:
    for caller, target in pairwise(chain):
        account = cloud.service_accounts.get(target)
        if account is None or caller not in account.impersonators:
            raise RefusedError(_DENIED)


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
    return JSONResponse({"error": error}, failure.status)
