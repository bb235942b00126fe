"""An answer in one write is byte for byte what uvicorn makes of the same messages in two."""

import asyncio
from collections.abc import Sequence

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ecrmint.onewrite import take_over

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


class Plain(HttpToolsProtocol):
    """Uvicorn's own protocol, which notes the pieces that it writes."""

    pieces: list[bytes]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        write = transport.write

        def noted(data: bytes) -> None:
            self.pieces.append(data)
            write(data)

        transport.write = noted  # type: ignore[method-assign, assignment]


class TakenOver(Plain):
    """The same with answers in one write."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        take_over(self.cycle)


async def written(protocol: type[Plain], request: bytes, messages: Sequence[Message]) -> list[bytes]:
    """Return the pieces that one request is answered with."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    config = uvicorn.Config(app, interface="asgi3", lifespan="off", log_config=None, access_log=False, ws="none")
    pieces: list[bytes] = []
    kind = type("Noting", (protocol,), {"pieces": pieces})
    loop, state = asyncio.get_running_loop(), ServerState()
    state.default_headers = [(b"date", b"Tue, 15 Nov 2022 08:12:31 GMT")]
    server = await loop.create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(request)
    writer.write_eof()
    await reader.read()
    writer.close()
    server.close()
    await server.wait_closed()
    return pieces


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, **more: bool) -> Message:
    return {"type": "http.response.body", "body": data, **more}


LENGTH = (b"content-length", b"2")
USUAL = [start((b"content-type", b"application/json"), LENGTH), body(b"[]")]


async def test_the_usual_answer_is_one_write() -> None:
    (piece,) = await written(TakenOver, POST, USUAL)
    assert piece == b"".join(await written(Plain, POST, USUAL))


@pytest.mark.parametrize(
    ("request_", "messages"),
    [
        pytest.param(POST.replace(b"POST", b"HEAD"), USUAL, id="HEAD"),
        pytest.param(POST.replace(b"/1.1", b"/1.0"), USUAL, id="HTTP/1.0"),
        pytest.param(POST, [start(LENGTH, (b"connection", b"close"), status=400), body(b"no")], id="closing"),
        pytest.param(POST, [start(), body(b"ok")], id="no length"),
        pytest.param(POST, [start(LENGTH), body(b"o", more_body=True), body(b"k")], id="in pieces"),
        pytest.param(POST, [start(LENGTH), body(b"too much")], id="a wrong length"),
        pytest.param(POST, [start(LENGTH, (b"a", b"1\r\nb: 2")), body(b"ok")], id="a header with a line end"),
        pytest.param(POST, [], id="nothing"),
        pytest.param(POST, [body(b"ok")], id="no start"),
        pytest.param(POST, [start((b"content-length", b"0")), {"type": "http.response.body"}], id="an empty body"),
        pytest.param(POST + POST, USUAL, id="two requests at once"),
    ],
)
async def test_what_the_client_reads_is_what_uvicorn_would_send(request_: bytes, messages: list[Message]) -> None:
    ours, uvicorns = await written(TakenOver, request_, messages), await written(Plain, request_, messages)
    assert b"".join(ours) == b"".join(uvicorns)


async def test_an_answer_that_never_gets_its_body_is_a_500() -> None:
    assert b"".join(await written(TakenOver, POST, [start(LENGTH)])).startswith(b"HTTP/1.1 500 ")
