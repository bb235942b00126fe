"""The tests' own fence: nothing that a test does leaves this machine."""

import socket
from collections.abc import Callable

import pytest
from support.fence import OutsideError

OUTSIDE = "192.0.2.1"  # RFC 5737: belongs to nobody


def _udp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _connect() -> None:
    with socket.socket() as end:
        end.connect((OUTSIDE, 443))


def _bind_to_every_address() -> None:
    with socket.socket() as end:
        end.bind(("", 0))


def _send() -> None:
    with _udp() as end:
        end.sendto(b"", (OUTSIDE, 53))


ATTEMPTS: dict[str, Callable[[], object]] = {
    "connect": _connect,
    "bind": _bind_to_every_address,
    "send": _send,
    "getaddrinfo": lambda: socket.getaddrinfo("registry.example", 443),
    "gethostbyname": lambda: socket.gethostbyname("registry.example"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_reaching_outside_fails_the_test(attempt: Callable[[], object]) -> None:
    with pytest.raises(OutsideError, match="not loopback"):
        attempt()


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as end:
        assert end.getpeername() == server.getsockname()
