"""A registry on loopback that sends logins to a token service, as Docker Hub and many others do."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class TokenRegistry:
    """Knows one login. ``realm``: where it sends logins, its own service where none is said."""

    username: str
    password: str
    realm: str = ""
    url: str = ""
    asked: list[str] = field(default_factory=list)  # "HOST PATH" of each call
    cookies: list[str | None] = field(default_factory=list)
    queries: list[dict[str, list[str]]] = field(default_factory=list)

    def answer(self, path: str, authorization: str | None) -> tuple[int, dict[str, str], object]:
        """Return status, headers and JSON."""
        if path != "/token":
            realm = self.realm or f"{self.url}/token"
            challenge = f'Basic realm="old clients", Bearer realm="{realm}",service="registry.example"'
            return 401, {"WWW-Authenticate": challenge}, {}
        known = b64encode(f"{self.username}:{self.password}".encode()).decode()
        if authorization != f"Basic {known}":
            return 401, {}, {"details": "incorrect username or password"}
        return 200, {}, {"token": "eyJ.token-of-the-service.x"}


@contextmanager
def serving(registry: TokenRegistry) -> Iterator[TokenRegistry]:
    """Serve that registry; its ``url`` is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            registry.asked.append(f"{self.headers['Host']} {parts.path}")
            registry.cookies.append(self.headers["Cookie"])
            registry.queries.append(parse_qs(parts.query))
            status, headers, content = registry.answer(parts.path, self.headers["Authorization"])
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.send_header("Set-Cookie", "session=of-this-login; Path=/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
