"""A Drone server as a runner sees it: offers one build after the other, and hears how each ended.

The routes are those of runner-go's ``client/http.go``; whatever else is asked for is answered 501.
"""

import base64
import concurrent.futures
import json
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

BUILD_SECONDS: Final = 30.0
PIPELINE: Final = """\
kind: pipeline
type: docker
name: default
clone: {{disable: true}}
steps:
- {{name: test, image: "{image}", pull: always, commands: [echo pulled]}}
"""


@dataclass(frozen=True, slots=True)
class Build:
    """A build of one stage with one step; ``status`` is the stage's, as the runner reports its end."""

    number: int
    image: str
    repo: str
    event: str
    source_repo: str
    status: Future[str] = field(default_factory=Future)

    def stage(self) -> dict[str, object]:
        """Return the stage as a runner is offered it."""
        kind = {"kind": "pipeline", "type": "docker", "os": "linux", "arch": "amd64"}
        return {"id": self.number, "build_id": self.number, "number": 1, "name": "default"} | kind

    def details(self) -> dict[str, object]:
        """Return all that a runner is told before it starts the stage."""
        namespace, name = self.repo.split("/")
        pipeline = PIPELINE.format(image=self.image).encode()
        build = {"id": self.number, "number": self.number, "event": self.event, "source_repo": self.source_repo}
        return {
            "build": build | {"ref": "refs/heads/main"},
            "stage": self.stage(),
            "repository": {"id": 1, "namespace": namespace, "name": name, "slug": self.repo, "timeout": 60},
            "config": {"data": base64.b64encode(pipeline).decode()},
            "secrets": [],
            "system": {},
            "netrc": {},
        }

    def hear(self, stage: object) -> None:
        """Take note of what the runner says of the stage."""
        assert isinstance(stage, dict)
        if stage["status"] != "running":
            self.status.set_result(stage["status"])


class Drone(ThreadingHTTPServer):
    """The server, on a free port of 127.0.0.1; all it hears is written to ``log``."""

    daemon_threads = True

    def __init__(self, log: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.log = log
        self.builds: list[Build] = []
        self.offers: queue.SimpleQueue[Build | None] = queue.SimpleQueue()

    def run(self, *, image: str, repo: str, event: str, source_repo: str) -> str:
        """Have the runner run a build, and return the status that it ended with, or "unfinished"."""
        build = Build(len(self.builds) + 1, image=image, repo=repo, event=event, source_repo=source_repo)
        self.builds.append(build)
        self.offers.put(build)
        ended, _ = concurrent.futures.wait([build.status], BUILD_SECONDS)
        return build.status.result() if ended else "unfinished"


@contextmanager
def drone(folder: Path) -> Iterator[Drone]:
    """Serve until the block ends."""
    with Drone(folder / "drone.log") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.offers.put(None)
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers in JSON, and hangs up where a long poll ends with nothing to say."""

    protocol_version = "HTTP/1.1"
    server: Drone

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode().strip()
        with self.server.log.open("a", encoding="utf-8") as log:
            log.write(f"{self.command} {self.path} {text}\n")
        answer = self._answer(json.loads(text or "null"))
        if answer is None:
            self.close_connection = True
        else:
            self._send(json.dumps(answer).encode())

    do_GET = do_PUT = do_POST

    def _answer(self, body: object) -> object:
        match [self.command, *urlsplit(self.path).path.removeprefix("/rpc/v2/").split("/")]:
            case ["POST", "stage"]:
                build = self.server.offers.get()
                return build and build.stage()
            case ["GET", "stage", number]:
                return self._build(number).details()
            case ["PUT", what, number]:
                if what == "stage":
                    self._build(number).hear(body)
                return body
            case ["POST", "build", number, "watch"]:  # an answer would be heard as "cancel the build"
                concurrent.futures.wait([self._build(number).status], BUILD_SECONDS)
                return None
            case ["POST", "ping"] | ["POST", "stage", _] | ["POST", "step", _, "logs", _]:
                return {}
        self.send_error(HTTPStatus.NOT_IMPLEMENTED)
        return None

    def _build(self, number: str) -> Build:
        return self.server.builds[int(number) - 1]

    def _send(self, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on standard error."""
