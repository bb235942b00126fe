"""Calls an ASGI app with exactly the header bytes that a test wants, as a server would."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Message

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """What the app sent. ``status`` is 0 where it sent nothing."""

    status: int
    headers: dict[str, str]
    body: bytes


async def call(
    app: ASGIApp,
    *,
    method: str = "POST",
    path: str = "/",
    headers: Headers = (),
    body: bytes = b"",
    received: Sequence[Message] | None = None,
) -> Answer:
    """Send one request; ``received`` replaces the single body message, to send it in pieces or to leave early."""
    messages = list(received or [{"type": "http.request", "body": body, "more_body": False}])
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 3000),
    }
    await app(scope, receive, send)
    if not sent:
        return Answer(0, {}, b"")
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:]))
