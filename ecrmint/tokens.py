"""Logins: how long they live, when they are fresh enough, and how they stay unprinted.

Pure: the time is an argument. The rules are those of design section 4; cache.py is what applies them.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Final, NoReturn, SupportsIndex

from ecrmint.errors import MalformedAnswerError

MAX_LIFE: Final = 12 * 3600.0  # seconds; ECR's and the longest Google login, whatever an answer claims
MARGIN: Final = 300.0  # seconds that a login should outlive its build by
DEFAULT_TIMEOUT: Final = 60  # minutes; Drone's default for a repository
MAX_TIMEOUT: Final = 720  # minutes


class Secret:
    """A text that no log, repr, format or pickle shows. Only ``reveal`` gives it, at the last line before its use."""

    __slots__ = ("_fingerprint", "_value")

    def __init__(self, value: str) -> None:
        self._value, self._fingerprint = value, ""

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def fingerprint(self) -> str:
        """Return 12 hex digits of its SHA-256: enough to match two log lines, useless to log in."""
        if not self._fingerprint:  # asked for with every answer that holds it
            self._fingerprint = hashlib.sha256(self._value.encode()).hexdigest()[:12]
        return self._fingerprint

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a secret can't be pickled or copied")


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on two clocks, in seconds: wall time since the epoch, and time since boot, suspend included.

    The wall clock jumps and the boot clock doesn't know the cloud's time: both are asked, the pessimistic one wins.
    """

    wall: float
    boot: float


@dataclass(frozen=True, slots=True)
class Login:
    """What a minter brings: a docker login and when the cloud says that it ends (epoch seconds; None: never)."""

    username: str
    password: Secret
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class HeldLogin:
    """A login in the cache. ``life`` is its length at issue and ``refresh_age`` its age for a refresh, in seconds."""

    login: Login
    issued: Instant
    life: float
    refresh_age: float
    settled: bool = False  # a refresh brought the same expiry: nobody waits for a fresher one until its last minutes

    def remaining(self, now: Instant) -> float:
        """Return the seconds that are left, by the clock that leaves fewer; 0 or less: expired."""
        by_boot = self.life - (now.boot - self.issued.boot)
        if self._set_back(now):
            return by_boot
        return min(by_boot, self.life - (now.wall - self.issued.wall))

    def due(self, now: Instant) -> bool:
        """Return whether it is time for a refresh in the background."""
        if self.settled:
            return self.remaining(now) <= MARGIN
        return self._set_back(now) or self.life - self.remaining(now) >= self.refresh_age

    def outlives(self, timeout_minutes: int, now: Instant) -> bool:
        """Return whether it outlives a build, so that nobody needs to wait for a fresher one."""
        if self.settled:
            return self.remaining(now) > MARGIN
        return self.remaining(now) >= wanted_remaining(timeout_minutes, self.life)

    def usable(self, now: Instant) -> bool:
        """Return whether it may still be handed out in an outage: short, but not about to end."""
        return self.remaining(now) >= min(MARGIN, self.life / 10)

    def _set_back(self, now: Instant) -> bool:
        return now.wall < self.issued.wall


def wanted_remaining(timeout_minutes: int, life: float) -> float:
    """Return the seconds that a login should have left at hand-out: the build's timeout and a margin, or half its life.

    A timeout below 1 is Drone's "not said" (drone-cli sends 0); one above 12 h is more than any login lives.
    """
    minutes = DEFAULT_TIMEOUT if timeout_minutes < 1 else min(timeout_minutes, MAX_TIMEOUT)
    return min(minutes * 60 + MARGIN, life / 2)


def hold(login: Login, *, issued: Instant, roll: float, previous: HeldLogin | None = None) -> HeldLogin:
    """Return the login as the cache keeps it.

    ``issued`` is when the mint was started (before the cloud's own moment, so that life is never overrated), ``roll`` a
    random number in [0, 1) that fixes the refresh between 40 and 50 % of the life, ``previous`` the login that this
    one replaces. Raises: MalformedAnswerError for one that is over already.
    """
    if login.expires_at is None:
        return HeldLogin(login, issued, life=float("inf"), refresh_age=float("inf"))
    life = min(login.expires_at - issued.wall, MAX_LIFE)
    if life <= 0:
        raise MalformedAnswerError(
            "the cloud's answer holds a login that has already expired",
            hint="compare this machine's clock with the cloud's; if they agree, something else may have answered",
        )
    if previous is not None and previous.login == login:
        # A metadata server gives the same token until its last minutes: what is held keeps its own life and issue.
        return replace(previous, settled=True)
    return HeldLogin(login, issued, life=life, refresh_age=life * (0.4 + 0.1 * roll))
