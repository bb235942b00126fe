"""A registry extension on loopback that answers what a test tells it, and remembers what it was asked."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

from support.runner import SignedRequest


@dataclass
class Extension:
    """``url`` is its address; status, headers and body are what it answers, ``asked`` what it was asked."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"[]"
    asked: list[SignedRequest] = field(default_factory=list)
    url: str = ""


@contextmanager
def listening(extension: Extension) -> Iterator[Extension]:
    """Let the extension listen on a free port of 127.0.0.1 until the ``with`` block ends."""
    with HTTPServer(("127.0.0.1", 0), _handler(extension)) as server:
        extension.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield extension
        finally:
            server.shutdown()
            thread.join()


def _handler(extension: Extension) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            extension.asked.append(SignedRequest(dict(self.headers.items()), body))
            self.send_response_only(extension.status)
            for name, value in {"Content-Length": str(len(extension.body)), **extension.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(extension.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
