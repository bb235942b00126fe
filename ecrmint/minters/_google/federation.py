"""Workload identity federation: Google's Security Token Service gives a token for one of another identity provider.

Not google-auth's: that one asks once, and starts a thread that asks others. Sources: RFC 8693, "OAuth 2.0 Token
Exchange"; Security Token Service API reference, ``v1.token``; google.aip.dev/auth/4117.
"""

from dataclasses import dataclass
from functools import partial
from time import time
from typing import Final, Protocol
from urllib.parse import urlencode

from ecrmint.errors import CloudError, MintError, NoIdentityError, TrustDeniedError
from ecrmint.minters._google.access_token import HOUR, OK, AccessToken, granted, json_object
from ecrmint.minters._http import Answer, Calls, failure_of
from ecrmint.minters._retry import persistently
from ecrmint.tokens import Secret

_WHAT: Final = "Google's Security Token Service"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_REFUSED: Final = (400, 401, 403)


class Subject(Protocol):
    """Where the other provider's token is from. Implementations are frozen dataclasses: part of the cache's key."""

    def token(self, calls: Calls) -> Secret:
        """Return the token as the Security Token Service takes it. Raises: MintError, and nothing else."""

    def describe(self, calls: Calls) -> str:
        """Return whose token it is, or where it is from. Raises: MintError, and nothing else."""


@dataclass(frozen=True, slots=True)
class FederatedSource:
    """``audience``: the pool's provider, by its full name; ``token_type``: of the subject's token, a URN."""

    audience: str
    token_type: str
    subject: Subject
    url: str

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return a token that lives an hour, or as long as the subject's: five minutes, perhaps. Raises: MintError."""
        form = {
            "grant_type": _GRANT,
            "audience": self.audience,
            "scope": " ".join(scopes),
            "requested_token_type": _ACCESS_TOKEN,
            "subject_token_type": self.token_type,
            "subject_token": self.subject.token(calls).reveal(),
        }
        asked = time()
        ask = partial(calls.post, self.url, headers=_FORM, content=urlencode(form).encode(), what=_WHAT, call="sts")
        answer = persistently(ask, calls)
        if answer.status != OK:
            raise self._refusal(answer)
        return granted(answer, asked=asked, what=_WHAT)

    def identity(self, calls: Calls) -> str:
        """Return the provider, and whose token it is given. Raises: MintError."""
        return f"{self.subject.describe(calls)}, by {self.audience}"

    @property
    def life(self) -> float:
        """The seconds that its tokens live at most."""
        return HOUR

    def _refusal(self, answer: Answer) -> MintError:
        code = json_object(answer).get("error") if answer.status in _REFUSED else None
        match code:
            case "unauthorized_client":
                return TrustDeniedError(
                    f"{self.audience} does not let us in",
                    hint="look at the provider's attribute condition, and at what our token says",
                )
            case "invalid_target":
                return NoIdentityError(
                    f"Google has no provider {self.audience}",
                    hint="look at `audience` in the credentials file: the project's number (not its name), pool and"
                    " provider; they may be disabled",
                )
            case "invalid_grant":
                return NoIdentityError(
                    f"{self.audience} does not accept our token",
                    hint="one of: the token is over, its issuer or audience is not the provider's, Google can't reach"
                    " the issuer's keys, the AWS account is not the provider's, or a clock is wrong",
                )
            case "invalid_request" | "invalid_scope" | "unsupported_token_type":
                return CloudError(
                    f"{_WHAT} does not understand the credentials file ({code})",
                    hint="look at `subject_token_type`, `audience` and the provider's kind",
                )
        return failure_of(_WHAT, answer)
