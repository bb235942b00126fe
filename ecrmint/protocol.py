"""uvicorn's HTTP protocol with the bounds that it lacks: on a request's head, its time to arrive, and connections.

Measured with uvicorn 0.54: a request that never ends is waited for without end, and httptools keeps header bytes
without a limit, so forty connections with half-sent headers took 200 MB.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ecrmint.errors import FrontDoorError
from ecrmint.onewrite import take_over

if TYPE_CHECKING:
    from ecrmint.app import Reply

MAX_HEAD_BYTES: Final = 16 << 10
MAX_HEAD_LINES: Final = 64
RECEIVE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener allows."""

    max_connections: int
    head_bytes: int = MAX_HEAD_BYTES
    head_lines: int = MAX_HEAD_LINES
    receive_seconds: float = RECEIVE_SECONDS


class BoundedProtocol(HttpToolsProtocol):
    """One connection. ``bounded`` makes the class that a listener uses, with its limits and its refusals."""

    limits: ClassVar[Limits]
    refuse: ClassVar[Callable[[FrontDoorError], "Reply"]]

    _head_bytes = 0  # received since the request began, until its head is complete
    _chunk_bytes = 0  # of what is being parsed
    _receiving = False  # a request has begun and is not complete
    _head_complete = False
    _deadline: asyncio.TimerHandle | None = None
    _refusal: FrontDoorError | None = None
    _idle_since = 0.0  # loop time; 0: busy

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        if len(self.connections) > self.limits.max_connections:
            _longest_idle(self.connections).transport.close()
        # A connection that never says anything is bounded like a request that never ends.
        self._expect_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._idle_since, self._chunk_bytes = 0.0, len(data)
        if not self._head_complete:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._head_complete and self._head_bytes > self.limits.head_bytes:
            self._refuse_head()
            self.send_400_response("")
        elif self._receiving or self._nothing_under_way():
            # Also for the line ends that may stand between two requests: they ended the keep-alive timer.
            self._expect_more()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving, self._head_complete = True, False

    def on_headers_complete(self) -> None:
        # What was received may hold bodies and other heads: only where it is much is this head itself measured.
        much = max(self._head_bytes, self._chunk_bytes) > self.limits.head_bytes
        if (much and self._size_of_head() > self.limits.head_bytes) or len(self.headers) > self.limits.head_lines:
            self._refuse_head()
            raise FrontDoorError("headers_too_large")  # ends the parser; what is answered is in _refusal
        self._head_complete, self._head_bytes = True, 0
        super().on_headers_complete()
        take_over(self.cycle)

    def on_message_complete(self) -> None:
        self._receiving, self._head_complete = False, False
        self._stop_deadline()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser could not read, or what went over a limit, in the app's own way."""
        self._stop_deadline()
        reply = type(self).refuse(self._refusal or FrontDoorError("syntax", "this is not a valid HTTP/1.1 request"))
        self.transport.write(_raw(reply))
        self.transport.close()

    def _nothing_under_way(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse_head(self) -> None:
        self._refusal = FrontDoorError("headers_too_large", "the request's head is too large")

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _expect_more(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.limits.receive_seconds, self._too_slow)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._receiving and not self._head_complete:
            self._refusal = FrontDoorError("timeout", "the request did not arrive in time")
            self.send_400_response("")
        else:
            self.transport.close()  # an app that waits for the body learns of it and audits it


def bounded(limits: Limits, refuse: Callable[[FrontDoorError], "Reply"]) -> type[BoundedProtocol]:
    """Return the protocol class of one listener; uvicorn takes a class. ``refuse`` audits and words a refusal."""
    return type("Bounded", (BoundedProtocol,), {"limits": limits, "refuse": staticmethod(refuse)})


def _longest_idle(connections: Iterable[object]) -> BoundedProtocol:
    idle = [each for each in connections if isinstance(each, BoundedProtocol) and each._idle_since]
    # One that is closing already counts until it is lost: of a burst each must end another one.
    open_ones = [each for each in idle if not each.transport.is_closing()]
    return min(open_ones, key=lambda connection: connection._idle_since)


def _raw(reply: "Reply") -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode()]
    length = (b"content-length", b"%d" % len(reply.body))
    headers = (*reply.headers, (b"cache-control", b"no-store"), length, (b"connection", b"close"))
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", reply.body])
