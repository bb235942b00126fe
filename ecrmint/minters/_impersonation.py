"""Google's IAM Credentials API: a token of one service account for another identity that may act as it.

Not google-auth's: that one mints a source token for each target, and puts an answer that it can't read, token and all,
into its exception. Source: IAM Service Account Credentials API reference, generateAccessToken.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ecrmint.errors import CloudError, MintError, NoIdentityError, TrustDeniedError
from ecrmint.minters._access_token import OK, AccessToken, json_object, made
from ecrmint.minters._http import Answer, Calls, failure_of

ADDRESS: Final = "https://iamcredentials.googleapis.com"
SCOPE: Final = "https://www.googleapis.com/auth/iam"  # what the source's token needs for the call, and no more
_WHAT: Final = "Google's IAM Credentials API"
_BAD_REQUEST, _UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whose token is wanted, for how many seconds; ``url`` is the API's address without a path."""

    email: str
    seconds: int
    url: str

    def fetch(self, source: AccessToken, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return a fresh token of the service account. Raises: MintError."""
        answer = calls.post(
            f"{self.url}/v1/projects/-/serviceAccounts/{self.email}:generateAccessToken",
            headers={"Authorization": f"Bearer {source.secret.reveal()}", "Content-Type": "application/json"},
            content=json.dumps({"scope": scopes, "lifetime": f"{self.seconds}s"}).encode(),
            what=_WHAT,
        )
        if answer.status != OK:
            raise self._refusal(answer)
        content = json_object(answer)
        return made(content.get("accessToken"), _moment(content), what=_WHAT)

    def _refusal(self, answer: Answer) -> MintError:
        if answer.status in (_FORBIDDEN, _NOT_FOUND):
            return TrustDeniedError(
                f"Google does not let us act as {self.email} ({answer.status})",
                hint="one of: it does not exist; our identity lacks the role Service Account Token Creator on it; the"
                " IAM Service Account Credentials API is off in our project",
                target=self.email,
            )
        if answer.status == _UNAUTHENTICATED:
            return NoIdentityError(f"{_WHAT} does not accept the token of the process's own identity")
        if answer.status == _BAD_REQUEST:
            return CloudError(
                f"{_WHAT} refuses the call with {answer.status}",
                hint="a lifetime over 1h needs the organisation's leave for this service account"
                " (iam.allowServiceAccountCredentialLifetimeExtension)",
            )
        return failure_of(_WHAT, answer)


def _moment(content: Mapping[str, object]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(content.get("expireTime")))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
