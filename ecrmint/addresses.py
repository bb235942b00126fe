"""Addresses to listen on: ``:3000`` for every address of the machine, ``host:3000``, ``[::1]:3000``."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BeforeValidator

_FORM: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]*)):([0-9]{1,5})", re.ASCII)
_HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """``host`` is a name or an IP address without brackets, None for every address, IPv4 and IPv6. Port 0: any free."""

    host: str | None
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it; a name other than localhost may mean anything."""
        ip = _ip(self.host or "")
        return self.host == "localhost" or (ip is not None and ip.is_loopback)

    def clashes(self, other: "Address") -> bool:
        """Return whether the two can't be bound side by side."""
        same_host = self.host == other.host or self._everywhere or other._everywhere
        return self.port == other.port != 0 and same_host

    @property
    def _everywhere(self) -> bool:
        return self.host in (None, "0.0.0.0", "::")  # noqa: S104 - compared, not bound

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


DEFAULT_LISTEN: Final = Address("127.0.0.1", 3000)
DEFAULT_ADMIN: Final = Address("127.0.0.1", 9090)


def parse_address(text: object) -> Address:
    """Return the address. Raises: ValueError."""
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[3]) > _HIGHEST_PORT or (match[1] is not None and _ip(match[1]) is None):
        raise ValueError('expected ":PORT" (every address), "host:PORT" or "[IPv6]:PORT"')
    return Address(match[1] or match[2] or None, int(match[3]))


ListenAddress = Annotated[Address, BeforeValidator(parse_address)]


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
