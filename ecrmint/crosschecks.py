"""What one part of the configuration says about another: names that exist, names that are unique, safe listeners.

It reads the plain data of the file, so that a fault in one place does not hide these in another: whatever has the wrong
type has been complained about, and is passed over here.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from ecrmint.addresses import DEFAULT_ADMIN, DEFAULT_LISTEN, Address, parse_address
from ecrmint.complaints import Complaints, not_among
from ecrmint.yamlfile import Path

_PLAINTEXT: Final = (
    "is reachable from outside this machine and has no TLS: set `tls`, or `allow_plaintext: true` where the network may"
    " be trusted with the requests and the logins"
)

Data = Mapping[str, object]


def check_names(data: Data, complaints: Complaints) -> None:
    """Complain about names that are used twice, and about uses of names that nothing has."""
    for section in ("rules", "secrets"):
        _check_unique(data, section, complaints)
    accounts = data.get("accounts")
    if isinstance(accounts, Mapping):
        names = [*accounts]
        _check_known(data, ("rules", "accounts"), names, complaints)
        _check_known(data, ("tests", "grants"), names, complaints)
    if "secrets" in data:
        names = [str(entry["name"]) for _, entry in _entries(data, "secrets") if "name" in entry]
        _check_known(data, ("rules", "secrets"), names, complaints)
        _check_known(data, ("tests", "secret"), names, complaints)


def check_listeners(data: Data, complaints: Complaints) -> None:
    """Complain about logins in plain text on a network, and about two listeners on one address."""
    listen = _address(data, "listen", DEFAULT_LISTEN)
    admin = _address(data, "admin", DEFAULT_ADMIN)
    if listen is not None and not (listen.loopback or data.get("tls") or data.get("allow_plaintext")):
        complaints.add(("listen",), _PLAINTEXT)
    if listen is not None and admin is not None and listen.clashes(admin):
        complaints.add(("admin",), f"the same address as `listen` ({listen}), expected one of its own")


def _check_unique(data: Data, section: str, complaints: Complaints) -> None:
    first: dict[object, int] = {}
    for index, entry in _entries(data, section):
        name = entry.get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            line, _ = complaints.file.place((section, first[name], "name"))
            complaints.add((section, index, "name"), f"already the name of {section}.{first[name]}, in line {line}")


def _check_known(data: Data, where: tuple[str, str], names: list[str], complaints: Complaints) -> None:
    section, key = where
    names = [*dict.fromkeys(names)]
    existing = frozenset(names)
    for index, entry in _entries(data, section):
        for path, name in _names((section, index, key), entry.get(key)):
            if name not in existing:
                complaints.add(path, not_among(name, names))


def _names(path: Path, value: object) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, tuple):
        yield from (((*path, index), item) for index, item in enumerate(value) if isinstance(item, str))


def _entries(data: Data, section: str) -> Iterator[tuple[int, Data]]:
    entries = data.get(section)
    for index, entry in enumerate(entries if isinstance(entries, tuple) else ()):
        if isinstance(entry, Mapping):
            yield index, entry


def _address(data: Data, key: str, default: Address) -> Address | None:
    try:
        return parse_address(data[key]) if key in data else default
    except ValueError:
        return None
