"""Google's metadata server: the identity of the machine, or of the pod by Workload Identity.

Not google-auth's: that one needs requests, tries for a minute, and asks through a proxy. Source: Compute Engine docs,
"Authenticate workloads to Google Cloud APIs using service accounts".
"""

import re
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Final
from urllib.parse import urlencode

from ecrmint.errors import MalformedAnswerError, MintError, NoIdentityError, TrustDeniedError, UnreachableError
from ecrmint.minters._google.access_token import HOUR, OK, AccessToken, granted
from ecrmint.minters._http import Answer, Calls, failure_of
from ecrmint.minters._retry import persistently

_PATH: Final = "/computeMetadata/v1/instance/service-accounts/default"
_WHAT: Final = "Google's metadata server"
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_HINT: Final = (
    "run where Google gives the process an identity, attach a service account to it, or name a credentials_file"
)


@dataclass(frozen=True, slots=True)
class MetadataSource:
    """``url``: the server's address without a path."""

    url: str

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return the machine's token: a cached one, with 5 to 60 minutes left. Compute Engine ignores the scopes."""
        asked = time()
        query = urlencode({"scopes": ",".join(scopes)})
        return granted(self._get(f"token?{query}", calls), asked=asked, what=_WHAT)

    def identity(self, calls: Calls) -> str:
        """Return the machine's service account; on GKE it may be the name of the workload pool. Raises: MintError."""
        name = self._get("email", calls).body.decode("ascii", "replace").strip()
        if re.fullmatch(r"[\w.:@-]{1,320}", name, re.ASCII) is None:
            raise MalformedAnswerError(f"{_WHAT} does not say who the process is")
        return name

    @property
    def life(self) -> float:
        """The seconds that its tokens live at most."""
        return HOUR

    def _get(self, value: str, calls: Calls) -> Answer:
        url, headers = f"{self.url}{_PATH}/{value}", {"Metadata-Flavor": "Google"}
        ask = partial(calls.get_metadata, url, headers=headers, what=_WHAT)
        try:
            # GKE's does not listen yet in a pod's first seconds; it refuses connections, which costs no time.
            answer = persistently(ask, calls, unreachable=True)
        except UnreachableError:
            raise NoIdentityError(f"{_WHAT} can't be reached", hint=_HINT) from None
        if answer.status != OK:
            raise _refusal(answer)
        if answer.headers.get("metadata-flavor") != "Google":
            raise NoIdentityError(f"something else answers in the place of {_WHAT}", hint=_HINT)
        return answer


def _refusal(answer: Answer) -> MintError:
    if answer.status == _NOT_FOUND:
        return NoIdentityError(f"{_WHAT} has no service account for the process", hint=_HINT)
    if answer.status == _FORBIDDEN:
        return TrustDeniedError(
            f"{_WHAT} may not act as the service account of the process",
            hint="GKE: give the Kubernetes service account the role Workload Identity User on it",
        )
    return failure_of(_WHAT, answer)
