"""Servers that give a process its AWS identity, on loopback: EC2's metadata and a container's agent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ecrmint.standin.cloud import AccessKey

ROLES = "/latest/meta-data/iam/security-credentials/"


@dataclass
class Metadata:
    """What is answered, and what was asked. ``key``: None where there is no role."""

    key: AccessKey | None = None
    token: str | None = None  # what a container's agent wants to see
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, authorization: str | None) -> tuple[int, str]:
        """Return status and body. EC2's is that of IMDSv2."""
        self.asked.append(f"{method} {path}")
        if (method, path) == ("PUT", "/latest/api/token"):
            return 200, "a-session-token"
        if self.key is None:
            return 404, ""
        if path == ROLES:
            return 200, "a-role"
        if path == "/agent" and authorization != self.token:
            return 401, "c4n4ry"
        return 200, json.dumps(_credentials(self.key))

    def be_ec2(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the process a machine with this metadata server."""
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.url)

    def be_agent(self, monkeypatch: pytest.MonkeyPatch, token_file: Path) -> None:
        """Make the process a pod with this agent, the file holding its token."""
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{self.url}/agent")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token_file))


def _credentials(key: AccessKey) -> dict[str, str]:
    return {
        "Code": "Success",
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret.reveal(),
        "Token": key.session_token.reveal(),
        "Expiration": (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


@contextmanager
def metadata_server() -> Iterator[Metadata]:
    """Yield a server's answers; its tests set them."""
    answers = Metadata()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.answer(self.command, self.path, self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answers.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
