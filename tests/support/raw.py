"""A server on loopback whose answer a test writes piece by piece, for what no honest server would do."""

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Raw:
    """``head``: the answer's headers; ``pieces``: its body, of which ``sent`` bytes were taken off our hands."""

    head: dict[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] = ()
    status: int = 200
    url: str = ""
    sent: int = 0
    asked: list[str] = field(default_factory=list)
    connections: int = 0


@contextmanager
def raw_server(tls: tuple[Path, Path] | None = None) -> Iterator[Raw]:
    """Yield the answer, for a test to fill in; ``tls``: certificate and key."""
    raw = Raw()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            raw.connections += 1
            super().setup()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.do_GET()

        def do_GET(self) -> None:
            raw.asked.append(f"{self.command} {self.path}")
            self.send_response(raw.status)
            for name, value in raw.head.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the other side has read enough
                for piece in raw.pieces:
                    self.wfile.write(piece)
                    raw.sent += len(piece)

        do_CONNECT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with _running(Handler, tls) as server:
        raw.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        yield raw


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that left, or did not trust us."""


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler], tls: tuple[Path, Path] | None) -> Iterator[ThreadingHTTPServer]:
    server = _Server(("127.0.0.1", 0), handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
