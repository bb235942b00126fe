"""A fence around the tests: what they do, in this process, reaches this machine's loopback and nothing else."""

import ipaddress
import sys
from socket import AF_INET, AF_INET6, SocketType
from typing import Final

NAMES: Final = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
ADDRESSES: Final = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"})


class OutsideError(BaseException):
    """A test reached for another machine. No ``except Exception`` of what is tested may swallow it."""


def _is_loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return text == "localhost" or ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _host(event: str, arguments: tuple[object, ...]) -> object:
    """Return the host that a socket event names, None where it names none (Python's table of audit events)."""
    if event in NAMES:
        return arguments[0]
    if event in ADDRESSES:
        end, address = arguments
        if isinstance(end, SocketType) and end.family in (AF_INET, AF_INET6) and isinstance(address, tuple):
            return address[0]
    return None


def _stay_inside(event: str, arguments: tuple[object, ...]) -> None:
    host = _host(event, arguments) if event.startswith("socket.") else None
    if host is not None and not _is_loopback(host):
        raise OutsideError(f"{event}: {host!r} is not loopback; tests talk to this machine alone")


def put_up_fence() -> None:
    """Put it up for the rest of the process: an audit hook can't be taken away."""
    sys.addaudithook(_stay_inside)
