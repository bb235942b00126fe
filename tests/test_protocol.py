"""The bounds of the HTTP protocol, over real loopback sockets, with small limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from ecrmint.app import Reply
from ecrmint.errors import FrontDoorError
from ecrmint.protocol import Limits, bounded

LIMITS = Limits(max_connections=3, head_bytes=1024, head_lines=8, receive_seconds=0.05)
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Listener:
    """A listener on loopback, what its app was asked, and what was refused before it."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    refused: list[str] = field(default_factory=list)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 to every whole request."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.lost.set()
                return
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def refuse(self, error: FrontDoorError) -> Reply:
        """Note the reason."""
        self.refused.append(error.reason)
        return Reply(431 if error.reason == "headers_too_large" else 400, "invalid", error.reason, b"no\n")


@asynccontextmanager
async def listening(limits: Limits = LIMITS) -> AsyncIterator[Listener]:
    """Listen with that protocol; no server object of uvicorn's is needed for it."""
    listener, loop, state = Listener(), asyncio.get_running_loop(), ServerState()
    config = uvicorn.Config(
        listener.app, interface="asgi3", lifespan="off", log_config=None, access_log=False, ws="none"
    )
    protocol = bounded(limits, listener.refuse)
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.close()
        await server.wait_closed()


async def exchange(listener: Listener, *chunks: bytes) -> bytes:
    """Send the chunks and return all that comes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


Sender = Callable[[Listener], Awaitable[bytes]]


async def test_a_whole_request_is_answered_and_its_connection_kept() -> None:
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        for _ in range(3):
            writer.write(POST)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()
    assert listener.bodies == [b"ok"] * 3
    assert listener.refused == []


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([b"POST / HTTP/1.1\r\nA: " + b"x" * 2000 + b"\r\n\r\n"], id="one long line"),
        pytest.param([b"POST / HTTP/1.1\r\nA: " + b"x" * 2000], id="one long line, half sent"),
        pytest.param([b"POST / HTTP/1.1\r\n" + b"A: 1\r\n" * 9 + b"\r\n"], id="many lines"),
        pytest.param([b"POST / HTTP/1.1\r\n" + b"A: 1\r\n" * 200], id="many lines, half sent"),
        pytest.param([b"POST /" + b"x" * 2000 + b" HTTP/1.1\r\n\r\n"], id="a long target"),
        pytest.param([b"POST / HTTP/1.1\r\nA: "] + [b"x" * 300] * 4, id="in pieces"),
        pytest.param([POST + b"POST / HTTP/1.1\r\nA: " + b"x" * 2000 + b"\r\n\r\n"], id="the second request"),
    ],
)
async def test_a_head_that_is_too_large_is_answered_431_and_closed(chunks: list[bytes]) -> None:
    async with listening() as listener:
        answer = await exchange(listener, *chunks)
    assert b"HTTP/1.1 431 Request Header Fields Too Large\r\n" in answer
    assert answer.endswith(b"cache-control: no-store\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno\n")
    assert listener.refused == ["headers_too_large"]


async def test_a_large_body_is_not_taken_for_a_large_head() -> None:
    async with listening() as listener:
        body = b"x" * 5000
        await exchange(listener, b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n", body)
    assert listener.bodies == [body]


@pytest.mark.parametrize(
    "bytes_sent",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="garbage"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", id="two lengths"),
        pytest.param(
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", id="length and coding"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nA: 1\r\n 2\r\n\r\n", id="a folded line"),
    ],
)
async def test_what_is_not_http_is_answered_400_and_closed(bytes_sent: bytes) -> None:
    async with listening() as listener:
        assert (await exchange(listener, bytes_sent)).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert listener.refused == ["syntax"]


@pytest.mark.parametrize(
    ("bytes_sent", "refused"),
    [
        pytest.param(b"", [], id="nothing at all"),
        pytest.param(b"POST / HTTP/1.1\r\nHost:", ["timeout"], id="half a head"),
    ],
)
async def test_a_request_that_does_not_come_is_given_up(bytes_sent: bytes, refused: list[str]) -> None:
    async with listening() as listener:
        await exchange(listener, bytes_sent)
    assert listener.refused == refused


async def test_a_body_that_does_not_come_is_given_up_and_the_app_learns_of_it() -> None:
    async with listening() as listener:
        assert await exchange(listener, POST[:-1]) == b""
        await listener.lost.wait()
    assert listener.bodies == []


async def test_a_connection_that_is_kept_alive_has_no_deadline_while_idle() -> None:
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(POST)
        await reader.readuntil(b"\r\n\r\n")
        # Another connection's deadline passes meanwhile: as much time as this one would need to be cut.
        await exchange(listener, b"")
        await exchange(listener, b"")
        writer.write(POST)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_line_ends_between_two_requests_do_not_hold_a_connection_open() -> None:
    async with listening() as listener, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(POST)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\r\n")
        assert await reader.read() == b""
        writer.close()
    assert listener.refused == []


async def test_a_burst_of_connections_leaves_no_more_than_the_bound() -> None:
    async with listening(Limits(max_connections=3, receive_seconds=60)) as listener:
        opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", listener.port) for _ in range(10)))
        answers = []
        for reader, writer in opened:
            with suppress(ConnectionError):
                writer.write(POST)
                answers.append(await reader.read(8))
            writer.close()
    assert [answer for answer in answers if answer] == [b"HTTP/1.1"] * 3


async def test_over_the_bound_the_longest_idle_connection_goes() -> None:
    async with listening(Limits(max_connections=3, receive_seconds=60)) as listener:
        opened = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(3)]
        for reader, writer in reversed(opened):
            writer.write(POST)
            await reader.readuntil(b"\r\n\r\n")
        newest_reader, newest_writer = await asyncio.open_connection("127.0.0.1", listener.port)
        newest_writer.write(POST)
        await newest_reader.readuntil(b"\r\n\r\n")
        assert await opened[2][0].read() == b""  # it was answered first, so it was idle the longest
        opened[0][1].write(POST)
        assert (await opened[0][0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        for _, writer in [*opened, (newest_reader, newest_writer)]:
            writer.close()
