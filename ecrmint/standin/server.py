"""Runs the stand-in cloud on loopback, in a thread of this process."""

import socket
import threading
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self

import uvicorn

from ecrmint.standin.app import build_app
from ecrmint.standin.cloud import Cloud

_STOP_SECONDS: Final = 5.0


class StandinServer:
    """``with StandinServer(cloud) as server: ... server.url``; the cloud may be changed while it runs."""

    def __init__(self, cloud: Cloud, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Port 0: a free one. Raises: ValueError for a host that is not a loopback address."""
        if not ip_address(host).is_loopback:
            raise ValueError(f"the stand-in cloud listens on loopback alone, not on {host}")
        self.cloud = cloud
        self._address = (host, port)
        # The Date header is the cloud's own: uvicorn's would follow the real clock.
        config = uvicorn.Config(
            build_app(cloud),
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="standin", daemon=True)
        self.url = ""

    def start(self) -> None:
        """Listen; connections are accepted from here on. Raises: OSError where the port is taken."""
        self._socket = socket.create_server(self._address, family=_family(self._address[0]))
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._thread.start()

    def stop(self) -> None:
        """Close the listener and every connection, and wait for the thread's end."""
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class _Server(uvicorn.Server):
    """Ends at once: what is still being answered is cut short."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self.server_state.tasks:
            task.cancel()
        await super().shutdown(sockets)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
