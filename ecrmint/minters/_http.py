"""HTTP to Google: bounded in time and size, failures in our classes, and never a proxy for the metadata server.

Importing this does not import httpx2: a call does.
"""

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from ecrmint.errors import (
    CloudError,
    MalformedAnswerError,
    MintError,
    MintTimeoutError,
    ThrottledError,
    UnreachableError,
)
from ecrmint.minters._attempt import attempt

if TYPE_CHECKING:
    import httpx2

_CONNECT_SECONDS: Final = 2.0
_READ_SECONDS: Final = 5.0
_LARGEST: Final = 64 << 10  # bytes of an answer; tokens have 1 to 16 KB
_THROTTLED: Final = 429
_SERVER_FAULT: Final = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Its body may hold a token, so it is not shown."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)


@dataclass(slots=True, eq=False)
class Http:
    """The clients, for any thread; made at the first call, since making one reads the machine's certificates."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _public: "httpx2.Client | None" = None
    _metadata: "httpx2.Client | None" = None

    def within(self, seconds: float) -> "Calls":
        """Return the right to make calls that end, together, in about that time."""
        return Calls(self, monotonic() + seconds)

    def public(self) -> "httpx2.Client":
        """Return the client for the internet: proxies and certificates as the usual variables say."""
        import httpx2

        with self._lock:
            if self._public is None:
                self._public = httpx2.Client(limits=_unkept())
            return self._public

    def metadata(self) -> "httpx2.Client":
        """Return the client for the metadata server: a proxy would give its own machine's token, or keep ours."""
        import httpx2

        with self._lock:
            if self._metadata is None:
                # Plain http: an empty context spares the reading of certificates, and trusts nobody.
                self._metadata = httpx2.Client(
                    trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), limits=_unkept()
                )
            return self._metadata


def _unkept() -> "httpx2.Limits":
    import httpx2

    # Calls are most of an hour apart: no connection is worth keeping, and none is left to close.
    return httpx2.Limits(max_keepalive_connections=0)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that share one deadline, in seconds of the monotonic clock."""

    http: Http
    deadline: float

    def post(self, url: str, *, headers: Mapping[str, str], content: bytes, what: str) -> Answer:
        """Post to an API; ``what`` names it in errors. Raises: MintError where there is no answer."""
        call = partial(self._send, self.http.public(), "POST", url, headers=headers, content=content, what=what)
        return attempt(call, partial(_explain, what))

    def get(self, url: str, *, headers: Mapping[str, str], what: str) -> Answer:
        """Get from the internet; ``what`` names the other side in errors. Raises: MintError for no answer."""
        call = partial(self._send, self.http.public(), "GET", url, headers=headers, content=None, what=what)
        return attempt(call, partial(_explain, what))

    def get_metadata(self, url: str, *, headers: Mapping[str, str], what: str) -> Answer:
        """Get from the metadata server, past any proxy. Raises: MintError where there is no answer."""
        call = partial(self._send, self.http.metadata(), "GET", url, headers=headers, content=None, what=what)
        return attempt(call, partial(_explain, what))

    def _send(
        self,
        client: "httpx2.Client",
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        what: str,
    ) -> Answer:
        with client.stream(method, url, headers=headers, content=content, timeout=self._timeout(what)) as answer:
            body = bytearray()
            for part in answer.iter_bytes():
                body += part
                if len(body) > _LARGEST:
                    raise MalformedAnswerError(f"{what} answers with more than {_LARGEST >> 10} KiB")
                self._left(what)  # a read's own timeout starts anew with every byte
            return Answer(answer.status_code, dict(answer.headers), bytes(body))

    def _timeout(self, what: str) -> "httpx2.Timeout":
        import httpx2

        left = self._left(what)
        return httpx2.Timeout(min(left, _READ_SECONDS), connect=min(left, _CONNECT_SECONDS))

    def _left(self, what: str) -> float:
        left = self.deadline - monotonic()
        if left <= 0:
            raise MintTimeoutError(f"{what} did not answer in time")
        return left


def failure_of(what: str, answer: Answer) -> MintError:
    """Return the error of an answer that its caller knows nothing special about."""
    if answer.status == _THROTTLED:
        return ThrottledError(f"{what} says that there are too many calls")
    if answer.status >= _SERVER_FAULT:
        return CloudError(f"{what} failed with {answer.status}")
    return CloudError(f"{what} refuses the call with {answer.status}")


def _explain(what: str, error: Exception) -> MintError:
    import httpx2

    match error:
        case httpx2.TimeoutException() if not isinstance(error, httpx2.ConnectTimeout):
            return MintTimeoutError(f"{what} did not answer in time")
        case httpx2.TransportError():
            return UnreachableError(
                f"{what} can't be reached ({type(error).__name__})",
                hint="look at DNS, the proxy, its certificates and the network's rules",
            )
    return MalformedAnswerError(f"{what} answers what can't be read ({type(error).__name__})")
