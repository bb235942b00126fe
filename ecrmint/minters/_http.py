"""HTTP to Google: bounded in time and size, failures in our classes, and never a proxy for the metadata server.

Importing this does not import httpx2: a call does.
"""

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
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
from ecrmint.minters._deadline import bound, deadline
from ecrmint.minters._observer import SILENT, CloudObserver, seconds_ahead

if TYPE_CHECKING:
    import httpx2

_CONNECT_SECONDS: Final = 2.0
_READ_SECONDS: Final = 5.0
_LARGEST: Final = 64 << 10  # bytes of an answer; tokens have 1 to 16 KB
_THROTTLED: Final = 429
_SERVER_FAULT: Final = 500
_NO_COOKIES: Final = DefaultCookiePolicy(allowed_domains=())  # one identity's would speak for the next one
_AS_IT_IS: Final = {"Accept-Encoding": "identity"}  # 1 KB of a compressed body may be 1 GB, and no token needs it


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Its body may hold a token, so it is not shown."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)


@dataclass(slots=True, eq=False)
class Http:
    """The clients, for any thread; made at the first call, since making one reads the machine's certificates."""

    observer: CloudObserver = SILENT
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _clients: "dict[_Kind, httpx2.Client]" = field(default_factory=dict)

    def within(self, seconds: float) -> "Calls":
        """Return the right to make calls that end, together, in about that time."""
        return Calls(self, monotonic() + seconds)

    def client(self, url: str, *, proxied: bool = True) -> "httpx2.Client":
        """Return the client for an address: one of plain http is near, and no proxy's business."""
        plain = url[:5].lower() == "http:"
        kind = _Kind(plain=plain, proxied=proxied and not plain)
        with self._lock:
            if kind not in self._clients:
                self._clients[kind] = bound(kind.made())
            return self._clients[kind]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Of a client. ``proxied``: by proxies as the usual variables say."""

    plain: bool
    proxied: bool

    def made(self) -> "httpx2.Client":
        import httpx2

        # Calls are most of an hour apart: no connection is worth keeping, and none is left to close.
        limits = httpx2.Limits(max_keepalive_connections=0)
        return httpx2.Client(
            trust_env=self.proxied, verify=self._trusted(), limits=limits, cookies=CookieJar(_NO_COOKIES)
        )

    def _trusted(self) -> ssl.SSLContext:
        import httpx2

        if self.plain:  # spares the reading of certificates, and trusts nobody
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx2.create_ssl_context(_certificates())


def _certificates() -> ssl.SSLContext | bool:
    """Return those of AWS_CA_BUNDLE where the variables for everybody say nothing: one proxy signs for both clouds."""
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if not bundle or os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return True
    return ssl.create_default_context(cafile=bundle)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that share one deadline, in seconds of the monotonic clock."""

    http: Http
    deadline: float

    def left(self) -> float:
        """Return how many seconds there are; none where it is 0 or less."""
        return self.deadline - monotonic()

    def post(self, url: str, *, headers: Mapping[str, str], content: bytes, what: str, call: str) -> Answer:
        """Post to an API; ``what`` names it in errors, ``call`` its operation. Raises: MintError for no answer."""
        client = partial(self.http.client, url)
        send = partial(self._send, client, "POST", url, headers=headers, content=content, what=what)
        return self._observed(call, partial(attempt, send, partial(_explain, what)))

    def get(self, url: str, *, headers: Mapping[str, str], what: str) -> Answer:
        """Get from the internet; ``what`` names the other side in errors. Raises: MintError for no answer."""
        client = partial(self.http.client, url)
        send = partial(self._send, client, "GET", url, headers=headers, content=None, what=what)
        return attempt(send, partial(_explain, what))

    def get_metadata(self, url: str, *, headers: Mapping[str, str], what: str) -> Answer:
        """Get from a metadata server, past any proxy: that would give its own machine's token, or keep ours.

        Raises: MintError where there is no answer.
        """
        client = partial(self.http.client, url, proxied=False)
        send = partial(self._send, client, "GET", url, headers=headers, content=None, what=what)
        return self._observed("metadata", partial(attempt, send, partial(_explain, what)))

    def _observed(self, call: str, make: Callable[[], Answer]) -> Answer:
        started = monotonic()
        try:
            answer = make()
        finally:
            self.http.observer.call_ended("google", call, monotonic() - started)
        skew = seconds_ahead(answer.headers.get("date"))
        if skew is not None:
            self.http.observer.clock_skew("google", skew)
        return answer

    def _send(
        self,
        client: "Callable[[], httpx2.Client]",
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        what: str,
    ) -> Answer:
        with (
            deadline(self.deadline),
            client().stream(
                method, url, headers={**headers, **_AS_IT_IS}, content=content, timeout=self._timeout(what)
            ) as answer,
        ):
            body = bytearray()
            for part in answer.iter_raw():
                body += part
                if len(body) > _LARGEST:
                    raise MalformedAnswerError(f"{what} answers with more than {_LARGEST >> 10} KiB")
            return Answer(answer.status_code, dict(answer.headers), bytes(body))

    def _timeout(self, what: str) -> "httpx2.Timeout":
        import httpx2

        left = self._left(what)
        return httpx2.Timeout(min(left, _READ_SECONDS), connect=min(left, _CONNECT_SECONDS))

    def _left(self, what: str) -> float:
        left = self.left()
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
        case TimeoutError() | httpx2.ReadTimeout() | httpx2.WriteTimeout() | httpx2.PoolTimeout():
            return MintTimeoutError(f"{what} did not answer in time")
        case httpx2.TransportError():
            return UnreachableError(
                f"{what} can't be reached ({type(error).__name__})",
                hint="look at DNS, the proxy, its certificates and the network's rules",
            )
        case OSError():  # the SDK of HTTP has errors of its own for everything else
            return UnreachableError(
                f"{what} can't be asked: the certificates to trust can't be read ({type(error).__name__})",
                hint="look at the file that SSL_CERT_FILE or AWS_CA_BUNDLE names",
            )
    return MalformedAnswerError(f"{what} answers what can't be read ({type(error).__name__})")
