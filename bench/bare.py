"""Bare uvicorn: the least that a Python server can do with the same request. ``python bench/bare.py PORT FILE``."""

import sys
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send


class Bare:
    """Reads the body, checks nothing, and answers the bytes of the file."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.answer})


if __name__ == "__main__":
    port, file = sys.argv[1:]
    uvicorn.run(
        Bare(Path(file).read_bytes()),
        port=int(port),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
