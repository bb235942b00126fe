"""A deadline for all that one thread reads and writes: an HTTP client's own limits start anew with every byte.

So an answer's head that trickles in, or interim answers (RFC 9110, 15.2) without end, would hold a mint for ever. What
can't be cut off is a name server that hangs: nothing interrupts ``getaddrinfo``.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpcore2
    import httpx2

_UNTIL: Final[ContextVar[float]] = ContextVar("deadline", default=float("inf"))  # monotonic


@contextmanager
def deadline(moment: float) -> Iterator[None]:
    """Let nothing go over a bounded client's sockets after that moment of the monotonic clock: TimeoutError."""
    before = _UNTIL.set(moment)
    try:
        yield
    finally:
        _UNTIL.reset(before)


def bound(client: "httpx2.Client") -> "httpx2.Client":
    """Return the client, whose sockets know the deadline from now on. A new one, that keeps no connection."""
    for transport in (client._transport, *client._mounts.values()):
        # The client has no parameter for it, its pools have. Where they move, calls go on without; a test would see it.
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _Backend(pool._network_backend)
    return client


@dataclass(frozen=True, slots=True)
class _Backend:
    """What opens connections, in the place of a pool's own (``httpcore2.NetworkBackend``)."""

    inner: "httpcore2.NetworkBackend"

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: object) -> "_Stream":
        return _Stream(self.inner.connect_tcp(host, port, _within(timeout), **options))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Stream:
    """A connection (``httpcore2.NetworkStream``)."""

    inner: "httpcore2.NetworkStream"

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, _within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, _within(timeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "_Stream":
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, _within(timeout)))

    def get_extra_info(self, info: str) -> object:
        return self.inner.get_extra_info(info)


def _within(seconds: float | None) -> float:
    left = _UNTIL.get() - monotonic()
    if left <= 0:
        raise TimeoutError
    return left if seconds is None else min(left, seconds)
