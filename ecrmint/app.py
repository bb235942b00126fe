"""The runners' endpoint: authenticate, parse, decide, mint, answer, and one audit line on every way out.

It is raw ASGI: this is the hot path, and request and response objects cost as much as all checks together, a router for
one path 5 µs. The order of the checks is that of design section 3; the table from errors to status codes lives here
alone.
"""

import asyncio
import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

from starlette.types import Receive, Scope, Send

from ecrmint import frontdoor, signature, wire
from ecrmint.audit import AuditLog, RequestOutcome, Seen, line
from ecrmint.broker import Answer, Broker
from ecrmint.cache import LoginCache, system_clock
from ecrmint.errors import FrontDoorError, RefusalError, RequestError, SignatureError
from ecrmint.minters import CloudObserver, Minter, Resources
from ecrmint.settings import Config
from ecrmint.signature import Fields
from ecrmint.telemetry import Metrics
from ecrmint.tokens import Instant, Secret

_log = logging.getLogger(__name__)

STATUS: Final[Mapping[str, int]] = {
    "path": 404,
    "method": 405,
    "headers_too_large": 431,
    "timeout": 408,
    "transfer_coding": 411,
    "length": 411,
    "too_large": 413,
    "content_encoding": 415,
    "content_type": 415,
    "duplicate": 400,
    "accept": 406,
    "encryption": 406,
    "overloaded": 503,
}
"""The status of a refusal by its reason; every other reason has its class's."""
STATUS_OF_CLASS: Final[Mapping[type[RefusalError], int]] = {FrontDoorError: 400, SignatureError: 401, RequestError: 400}

# The same for every SignatureError: which check failed helps an attacker only; it is in the log and the metrics.
_SIGNATURE_TEXT: Final = b"the signature is missing or does not hold\n"
_NO_STORE: Final = (b"cache-control", b"no-store")
_JSON: Final = (b"content-type", b"application/json")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE: Final = (b"connection", b"close")
_RETRY_AFTER: Final = (b"retry-after", b"1")


class _Disconnected(Exception):
    """The caller left before its answer began."""


@dataclass(frozen=True, slots=True)
class Live:
    """What answers under one configuration. A reload swaps the whole of it."""

    config: Config
    resources: Resources
    minters: Mapping[str, Mapping[str, Minter]]  # account -> host -> minter
    broker: Broker


def open_config(config: Config, cache: LoginCache, observer: CloudObserver, *, before: Live | None = None) -> Live:
    """Put one configuration to work: its rules compiled, a minter for each host of each account. No I/O yet.

    ``before`` is the one that it takes the place of, whose sessions and clients are used on.
    """
    settings = config.settings
    if before is None:
        resources = Resources.watched(observer, endpoints=settings.endpoints, secrets=config.secrets)
    else:
        resources = replace(before.resources, endpoints=settings.endpoints, secrets=config.secrets)
    minters = {name: account.minters(name, resources) for name, account in settings.accounts.items()}
    broker = Broker(config.policy, minters, cache, deadline_seconds=settings.deadline)
    return Live(config, resources, minters, broker)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on its way out, and what audit and metrics call it."""

    status: int
    outcome: RequestOutcome
    reason: str
    body: bytes = field(repr=False)  # may hold logins
    headers: Sequence[tuple[bytes, bytes]] = (_TEXT,)


class Runners:
    """The endpoint that Drone's runners post to."""

    def __init__(
        self,
        live: Live,
        *,
        metrics: Metrics,
        audit: AuditLog,
        clock: Callable[[], Instant] = system_clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.live = live
        self._metrics, self._audit, self._clock, self._random_bytes = metrics, audit, clock, random_bytes
        self._in_flight = 0
        metrics.requests_in_flight.set_function(lambda: self._in_flight)
        # Made here and never taken from a request; a counter behind a random prefix costs no system call.
        prefix = random_bytes(6).hex()
        self._ids = (f"{prefix}{number:06x}" for number in itertools.count(1))

    def audit_refusal(self, error: FrontDoorError) -> Reply:
        """Audit and count a request that the HTTP protocol refused before the app saw it, and return its answer."""
        started, seen, reply = self._clock(), Seen(next(self._ids)), refusal(error)
        written = self._audit.write(_line(reply, seen, started=started, ended=started))
        reply = self._close(reply, seen, written=written, started=started, ended=started)
        return replace(reply, headers=(*reply.headers, _request_id(seen)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of the ASGI server, audit it and count it."""
        started, seen = self._clock(), Seen(next(self._ids))
        self._in_flight += 1
        try:
            reply = await self._answer(scope, receive, seen)
        except RefusalError as error:
            reply = refusal(error)
        except _Disconnected:
            reply = _DISCONNECTED
        except asyncio.CancelledError:  # the drain's grace is over, and uvicorn ends what is still waited for
            reply = _STOPPING
        except Exception as error:
            _log.error("request %s: %s", seen.request_id, type(error).__name__, exc_info=True)
            reply = _INTERNAL
        finally:
            self._in_flight -= 1
        ended = self._clock()
        written = await self._audit.commit(_line(reply, seen, started=started, ended=ended))
        await _send(send, self._close(reply, seen, written=written, started=started, ended=ended), seen)

    async def _answer(self, scope: Scope, receive: Receive, seen: Seen) -> Reply:
        live = self.live
        settings = live.config.settings
        if scope["path"] != settings.path:
            raise FrontDoorError("path", "nothing is here; runners post to the path that the configuration names")
        if scope["method"] != "POST":
            raise FrontDoorError("method", "only POST is answered here")
        fields, length = frontdoor.check(scope["headers"], max_body=settings.max_body)
        if self._in_flight > settings.max_in_flight:
            raise FrontDoorError("overloaded", "too many requests under way")
        body = await _read(receive, length)
        while True:  # after a reload meanwhile: who may ask, and what is granted, is decided again
            live = self.live
            reply = await self._answer_signed(live, fields, body, seen)
            if live is self.live:
                return reply

    async def _answer_signed(self, live: Live, fields: Fields, body: bytes, seen: Seen) -> Reply:
        settings = live.config.settings
        secret = signature.verify(
            fields, body, secrets=live.config.shared_secrets, now=self._clock().wall, freshness=settings.freshness
        )
        seen.secret = secret.name
        encrypted = settings.encrypt or frontdoor.asks_encryption(fields)
        if encrypted and not signature.can_encrypt(secret.key):
            raise FrontDoorError("encryption", "an encrypted answer needs a secret of 32 bytes or more")
        seen.request = wire.decode(body)
        seen.answer = await live.broker.answer(seen.request, secret=secret.name)
        reply = _reply(seen.answer, strict=settings.on_failure == "strict")
        return self._encrypted(reply, secret.key) if encrypted and reply.status == HTTPStatus.OK else reply

    def _encrypted(self, reply: Reply, key: Secret) -> Reply:
        body = signature.encrypt(key, reply.body, nonce=self._random_bytes(signature.NONCE_BYTES))
        return replace(reply, body=body, headers=(*reply.headers, (b"content-encoding", b"aesgcm")))

    def _close(self, reply: Reply, seen: Seen, *, written: bool, started: Instant, ended: Instant) -> Reply:
        """Count the request, whose audit line is ``written`` or could not be, and return what goes out."""
        if not written:
            self._metrics.audit_failures.inc()
            if self.live.config.settings.audit.required:
                reply = _NO_AUDIT
        self._metrics.request(outcome=reply.outcome, reason=reply.reason, seconds=ended.boot - started.boot)
        if seen.answer is not None:
            self._metrics.answer(seen.answer, now=ended)
        return reply


_DISCONNECTED: Final = Reply(0, "disconnected", "disconnected", b"")
_INTERNAL: Final = Reply(500, "failed", "internal", b"internal error\n")
_STOPPING: Final = Reply(503, "overloaded", "stopping", b"the server stops\n", (_TEXT, _RETRY_AFTER))
_NO_AUDIT: Final = Reply(503, "overloaded", "audit", b"no audit line can be written\n")


def refusal(error: RefusalError) -> Reply:
    """Return what a refused request is answered."""
    status = STATUS.get(error.reason) or STATUS_OF_CLASS[type(error)]
    if isinstance(error, SignatureError):
        _log.info("signature refused (%s): %s", error.reason, error)
        return Reply(status, "refused", error.reason, _SIGNATURE_TEXT)
    outcome: RequestOutcome = "overloaded" if status == HTTPStatus.SERVICE_UNAVAILABLE else "invalid"
    headers = (_TEXT, _RETRY_AFTER) if outcome == "overloaded" else (_TEXT,)
    return Reply(status, outcome, error.reason, f"{error}\n".encode(), headers)


def _line(reply: Reply, seen: Seen, *, started: Instant, ended: Instant) -> bytes:
    return line(seen, outcome=reply.outcome, reason=reply.reason, status=reply.status, started=started, ended=ended)


def _reply(answer: Answer, *, strict: bool) -> Reply:
    failed = answer.failed_accounts
    if failed and strict:
        return Reply(503, answer.kind, "strict", f"these accounts failed: {', '.join(failed)}\n".encode())
    reason = "mint" if failed else answer.decision.reason
    return Reply(200, answer.kind, reason, answer.body, (_JSON,))


async def _read(receive: Receive, length: int) -> bytes:
    """Return the body. The parser promises ``length`` bytes of it, and the protocol that they come in time."""
    message = await receive()
    pieces: list[bytes] = [message.get("body", b"")]
    while message["type"] != "http.disconnect" and message.get("more_body", False):
        message = await receive()
        pieces.append(message.get("body", b""))
    body = b"".join(pieces)  # once: to add each piece to a large body costs seconds, before anybody has signed it
    if message["type"] == "http.disconnect" or len(body) != length:
        raise _Disconnected
    return body


def _request_id(seen: Seen) -> tuple[bytes, bytes]:
    return b"x-request-id", seen.request_id.encode()


async def _send(send: Send, reply: Reply, seen: Seen) -> None:
    if reply is _DISCONNECTED:
        return
    headers = [
        *reply.headers,
        _NO_STORE,
        (b"content-length", str(len(reply.body)).encode()),
        _request_id(seen),
    ]
    if reply.status >= HTTPStatus.BAD_REQUEST:  # the rest of a refused request must not be waited for
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
