"""The audit line: one JSON object for each request, on every way out (design section 7).

It is made of the fields named here and nothing else, so no login, secret, signature or body can slip into it.
"""

import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

from ecrmint.broker import Answer
from ecrmint.cache import Outcome
from ecrmint.minters import Minter
from ecrmint.tokens import Instant
from ecrmint.wire import RegistryRequest

RequestOutcome = Literal["granted", "empty", "partial", "failed", "refused", "invalid", "overloaded", "disconnected"]
VERSION: Final = 1
STANDARD_OUTPUT: Final = "-"
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))  # dumps() would make a new one for each line


@dataclass(slots=True)
class Seen:
    """What has become known of a request so far."""

    request_id: str
    secret: str | None = None  # the name of the one that signed
    request: RegistryRequest | None = None
    answer: Answer | None = None


def record(
    seen: Seen, *, outcome: RequestOutcome, reason: str, status: int, started: Instant, ended: Instant
) -> dict[str, object]:
    """Return the audit line of a request as a JSON object. What was never learnt of it is null."""
    request, answer = seen.request, seen.answer
    return {
        "kind": "audit",
        "v": VERSION,
        "time": timestamp(started.wall),
        "request_id": seen.request_id,
        "outcome": outcome,
        "reason": reason,
        "status": status,
        "secret": seen.secret,
        "repo": request and request.slug,
        "uid": request and request.uid,
        "event": request and request.event,
        "ref": request and request.ref,
        "source_repo": request and request.source_repo,
        "fork": answer and answer.decision.fork,
        "trusted": request and request.trusted,
        "private": request and request.private,
        "deploy_to": request and request.deploy_to,
        "timeout": request and request.timeout,
        "build": request and request.build,
        "rules": answer.decision.rules if answer else (),
        "granted": answer.decision.accounts if answer else (),
        "accounts": _accounts(answer.outcomes, ended) if answer else {},
        "duration_ms": round((ended.boot - started.boot) * 1000, 3),
    }


def _accounts(outcomes: Iterable[tuple[Minter, Outcome]], now: Instant) -> dict[str, dict[str, object]]:
    accounts: dict[str, dict[str, object]] = {}
    for minter, outcome in outcomes:
        entry = _account(outcome, now)
        known = accounts.setdefault(minter.account, entry)
        # An account with a login for each region has one entry: its worst.
        if _severity(entry) > _severity(known):
            accounts[minter.account] = entry
    return accounts


def _severity(entry: Mapping[str, object]) -> tuple[bool, float]:
    remaining = entry["remaining_seconds"]
    return entry["fingerprint"] is None, -remaining if isinstance(remaining, int) else float("-inf")


def _account(outcome: Outcome, now: Instant) -> dict[str, object]:
    if outcome.held is None:
        code = outcome.error.code if outcome.error else outcome.kind
        return {"outcome": code, "remaining_seconds": None, "fingerprint": None}
    remaining = outcome.held.remaining(now)
    return {
        "outcome": outcome.kind,
        "remaining_seconds": None if remaining == float("inf") else int(remaining),
        "fingerprint": outcome.held.login.password.fingerprint(),
    }


def timestamp(wall: float) -> str:
    """Return a time (epoch seconds) as RFC 3339 in UTC with milliseconds."""
    seconds, fraction = divmod(wall, 1)
    return f"{_to_the_second(seconds)}.{int(fraction * 1000):03d}Z"


@lru_cache(maxsize=2)
def _to_the_second(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat().removesuffix("+00:00")


class AuditLog:
    """Writes records, one line each, to standard output or to a file that it appends to."""

    def __init__(self, path: str = STANDARD_OUTPUT) -> None:
        """Raises: OSError where the file can't be opened, or where there is no standard output."""
        self._fd = _standard_output() if path == STANDARD_OUTPUT else _open(path)
        self._torn = False  # the last line went out in part

    def write(self, line: Mapping[str, object]) -> bool:
        """Write one record and return whether all of it went out."""
        text = _ENCODER.encode(line).encode() + b"\n"
        if self._torn:  # a disk that was full: what is left of that line must not spoil this one
            text = b"\n" + text
        try:
            self._torn = os.write(self._fd, text) < len(text)
        except OSError:
            return False
        return not self._torn


def _standard_output() -> int:
    if sys.stdout is None:  # how Python says that it was closed; the next file opened has its number
        raise OSError(errno.EBADF, "it was closed")
    return sys.stdout.fileno()


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode=0o600)
