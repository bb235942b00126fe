"""Google's IAM Credentials API: a token of one service account for another identity that may act as it.

Not google-auth's: that one mints a source token for each target, and puts an answer that it can't read, token and all,
into its exception. Source: IAM Service Account Credentials API reference, generateAccessToken.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from ecrmint.errors import CloudError, MintError, NoIdentityError, TrustDeniedError
from ecrmint.minters._google.access_token import OK, AccessToken, Source, json_object, made
from ecrmint.minters._google.denial import Denial, read_denial
from ecrmint.minters._google.email import resource_of
from ecrmint.minters._http import Answer, Calls, failure_of
from ecrmint.minters._retry import persistently

SCOPE: Final = "https://www.googleapis.com/auth/iam"  # what the source's token needs for the call, and no more
_WHAT: Final = "Google's IAM Credentials API"
_ROLE: Final = "the role Service Account Token Creator"
_NO_ROLE_HELPS: Final = ("SERVICE_DISABLED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
_BAD_REQUEST, _UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whose token is wanted, for how many seconds; ``url`` is the API's address without a path.

    ``delegates``: emails of the service accounts on the way, each of which may act as the next one.
    """

    email: str
    seconds: int
    url: str
    delegates: tuple[str, ...] = ()

    def fetch(self, source: AccessToken, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return a fresh token of the service account. Raises: MintError."""
        wish: dict[str, object] = {"scope": scopes, "lifetime": f"{self.seconds}s"}
        if self.delegates:
            wish["delegates"] = [resource_of(email) for email in self.delegates]
        ask = partial(
            calls.post,
            f"{self.url}/v1/{resource_of(self.email)}:generateAccessToken",
            headers={"Authorization": f"Bearer {source.secret.reveal()}", "Content-Type": "application/json"},
            content=json.dumps(wish).encode(),
            what=_WHAT,
            call="generateAccessToken",
        )
        answer = persistently(ask, calls)
        if answer.status != OK:
            raise self._refusal(answer)
        content = json_object(answer)
        return made(content.get("accessToken"), _moment(content), what=_WHAT)

    @property
    def name(self) -> str:
        """The service account, and by way of whom."""
        return f"{self.email}, by way of {', '.join(self.delegates)}" if self.delegates else self.email

    def _refusal(self, answer: Answer) -> MintError:
        if answer.status in (_FORBIDDEN, _NOT_FOUND):
            return self._denied(answer.status, read_denial(answer))
        if answer.status == _UNAUTHENTICATED:
            return NoIdentityError(f"{_WHAT} does not accept the token of the process's own identity")
        if answer.status == _BAD_REQUEST:
            return CloudError(
                f"{_WHAT} refuses to act as {self.email} ({answer.status})",
                hint="a lifetime over 1h needs the organisation's leave for this service account"
                " (iam.allowServiceAccountCredentialLifetimeExtension)",
            )
        return failure_of(_WHAT, answer)

    def _denied(self, status: int, denial: Denial) -> MintError:
        missing = f": {denial.permission} is missing" if denial.permission else ""
        first = self.delegates[0] if self.delegates else self.email
        return TrustDeniedError(
            f"Google does not let us act as {self.name} ({status}){missing}",
            hint=_hint(denial, delegated=bool(self.delegates)),
            target="" if denial.reason in _NO_ROLE_HELPS else first,
        )


@dataclass(frozen=True, slots=True)
class ImpersonatedSource:
    """A service account that another source acts as: what a credentials file may say by itself."""

    source: Source
    target: Impersonation

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return a fresh token of the service account. Raises: MintError."""
        return self.target.fetch(self.source.fetch((SCOPE,), calls), scopes, calls)

    def identity(self, calls: Calls) -> str:
        """Return the service account, and who acts as it. Raises: MintError."""
        return f"{self.target.email}, by {self.source.identity(calls)}"

    @property
    def life(self) -> float:
        """The seconds that its tokens live at most."""
        return self.target.seconds


def _hint(denial: Denial, *, delegated: bool) -> str:
    if denial.reason == "SERVICE_DISABLED":
        return "switch the API on: gcloud services enable iamcredentials.googleapis.com, in our own identity's project"
    if denial.reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return "the machine's access scopes are too narrow: give it https://www.googleapis.com/auth/cloud-platform"
    if delegated:
        return f"our identity needs {_ROLE} on the first delegate, and each delegate on the one after it"
    if denial.permission:
        return f"it does not exist, or our identity lacks {_ROLE} on it"
    return (
        f"one of: it does not exist; our identity lacks {_ROLE} on it; the IAM Service Account Credentials API is off"
        " in our project"
    )


def _moment(content: Mapping[str, object]) -> float | None:
    try:
        moment = datetime.fromisoformat(str(content.get("expireTime")))
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
