"""Asks a registry extension as a Drone runner does: one signed POST, no redirect, no retry. Prints nothing.

What a runner makes of each answer is drone-go's ``plugin/internal/client/client.go`` and runner-go's
``registry/external.go``; an answer that would cost a runner its logins is never taken for a good one here.
"""

import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from ecrmint import __version__, signature, wire
from ecrmint.errors import NoAnswerError
from ecrmint.table import printable
from ecrmint.tokens import Login, Secret

TIMEOUT: Final = 60.0  # seconds; runner-go registry/external.go
LONGEST_TEXT: Final = 300  # characters of a refusal that are worth showing

Logins = tuple[tuple[str, Login], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``problem`` is empty where a runner would use the logins, and else says in a line why not."""

    status: int
    logins: Logins = ()
    problem: str = ""
    request_id: str = ""
    clock_ahead: float | None = None  # seconds that the server's clock is ahead of ours; None: it sent no Date


def ask(
    endpoint: str, secret: Secret, request: wire.RegistryRequest, *, clock: Callable[[], float] = time.time
) -> Answer:
    """Send the request, signed with the secret, and return the answer. Raises: NoAnswerError."""
    url = _url(endpoint)
    body = wire.encode_request(request)
    headers = {**signature.sign(secret=secret, body=body, date=clock()), "User-Agent": f"ecrmint/{__version__}"}
    try:
        status, answered, content = _post(url, headers, body)
    except ImportError:  # httpx2 needs one more package for these
        raise NoAnswerError("the environment sets a SOCKS proxy, which can't be used here") from None
    except (httpx2.HTTPError, ValueError) as error:  # the latter: another proxy that can't be used
        raise NoAnswerError(f"no answer from {_shown(url)}: {str(error) or type(error).__name__}") from None
    logins, problem = _read(status, answered, content, secret)
    return Answer(
        status,
        logins,
        problem,
        request_id=answered.get("x-request-id", ""),
        clock_ahead=_clock_ahead(answered.get("date", ""), clock()),
    )


def _url(endpoint: str) -> httpx2.URL:
    try:
        url = httpx2.URL(endpoint)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise NoAnswerError("the endpoint is not a URL such as http://127.0.0.1:3000 or https://ecrmint.example")
    return url


def _shown(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"  # without a user's name, password or the query


def _post(url: httpx2.URL, headers: Mapping[str, str], body: bytes) -> tuple[int, httpx2.Headers, bytes]:
    # Go sends nothing for this machine through a proxy (net/http ProxyFromEnvironment); httpx2 would.
    client = httpx2.Client(
        verify=httpx2.create_ssl_context(),
        trust_env=not _is_loopback(url.host),
        timeout=TIMEOUT,
        follow_redirects=False,
    )
    with client, client.stream("POST", url, headers=headers, content=body) as response:
        # Raw: a runner, which asked for identity, would not unpack it either.
        return response.status_code, response.headers, b"".join(response.iter_raw())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(status: int, headers: Mapping[str, str], content: bytes, secret: Secret) -> tuple[Logins, str]:
    if status > 299:  # noqa: PLR2004 - drone-go's own limit
        return (), _first_line(content) or "no reason was given"
    if status == httpx2.codes.NO_CONTENT:
        return (), ""
    try:
        if headers.get("content-encoding") == "aesgcm":
            content = signature.decrypt(secret, content)
        return _logins(content), ""
    except ValueError as error:
        return (), f"a runner could not use this answer: {error}"


def _first_line(content: bytes) -> str:
    lines = content.decode("utf-8", "replace").split("\n")
    text = next((line.strip() for line in lines if line.strip()), "")
    return printable(text[:LONGEST_TEXT])


def _logins(content: bytes) -> Logins:
    try:
        entries = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):  # its text may quote a password
        entries = False
    match entries:
        case None:  # what a Go server makes of an empty list
            return ()
        case list():
            return tuple(_login(entry) for entry in entries)
    raise ValueError("it is not a JSON list")


def _login(entry: object) -> tuple[str, Login]:
    fields = [entry.get(name) for name in ("address", "username", "password")] if isinstance(entry, dict) else []
    match fields:
        case [str(address), str(username), str(password)] if address:
            return address, Login(username, Secret(password))
    raise ValueError("an element of the list is not {address, username, password}")


def _clock_ahead(date: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except ValueError:
        return None
