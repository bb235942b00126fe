"""Logins kept until they are no longer fresh enough, and minted once however many builds ask.

The only file that starts threads or tasks for minting. It belongs to one event loop and holds no lock: every method
runs on that loop, and no decision spans an await. A minter is its own key, so the flight's key is the cache's key.
Failures are values, not exceptions: one that a thousand waiters re-raise would grow by a traceback with each of them.

When a login is fresh enough, due or over is decided in tokens.py (design section 4); here is what happens then.
"""

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, Protocol, TypeVar

from cachetools import LRUCache

from ecrmint.errors import CloudError, MintError, MintTimeoutError
from ecrmint.minters import Minter
from ecrmint.tokens import HeldLogin, Instant, Login, hold

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

Kind = Literal["hit", "minted", "short", "failed"]
"""How a request was served: at once, after a mint, by an old login because the mint failed, or not at all."""

DENIAL_SECONDS: Final = 60.0  # how long a definite refusal is remembered, at most
FIRST_BACKOFF: Final = 1.0  # seconds after the first doubtful failure
MAX_BACKOFF: Final = 300.0  # seconds
MAX_LOGINS: Final = 1024  # of one account: more than one each only where builds have logins of their own
MAX_THREADS: Final = 64
MAX_THREADS_PER_ACCOUNT: Final = 2
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux alone has the former
MINT_SECONDS: Final = 60.0  # a thread can't be cancelled: after this long nobody listens to it any more


def system_clock() -> Instant:
    """Return now. Boot time goes on while the machine is suspended (clock_gettime(2)); monotonic time would not."""
    return Instant(wall=time.time(), boot=time.clock_gettime(_BOOT_CLOCK))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request for one login comes to: a login unless ``kind`` is failed, an error where a mint failed."""

    kind: Kind
    held: HeldLogin | None = None
    error: MintError | None = None


class MintObserver(Protocol):
    """Is told of each mint: when it starts, and after how many seconds it ended, with its error or its login."""

    def mint_started(self, minter: Minter) -> None:
        """One more call is under way."""

    def mint_ended(self, minter: Minter, *, seconds: float, result: HeldLogin | MintError) -> None:
        """One call less is under way."""


@dataclass(frozen=True, slots=True)
class _Failure:
    error: MintError
    until: float  # boot seconds: no call before
    backoff: float  # seconds that the next doubtful failure starts from


@dataclass(slots=True)
class _Shelf:
    """One account's part of the cache: its many logins push out nobody else's."""

    held: LRUCache[Minter, HeldLogin] = field(default_factory=lambda: LRUCache(MAX_LOGINS))
    failures: LRUCache[Minter, _Failure] = field(default_factory=lambda: LRUCache(MAX_LOGINS))
    last: HeldLogin | MintError | None = None


@dataclass(slots=True)
class _Threads:
    """Runs blocking calls: a few threads for each account and a bound over all, so one that hangs holds its own."""

    total: asyncio.Semaphore
    per_account: int
    _accounts: dict[str, asyncio.Semaphore] = field(init=False)

    def __post_init__(self) -> None:
        self._accounts = defaultdict(lambda: asyncio.Semaphore(self.per_account))

    async def run(self, account: str, call: Callable[[], _T]) -> _T:
        # The account's own place first: whoever waits for it must not hold one of the places that all share.
        places = (self._accounts[account], self.total)
        async with contextlib.AsyncExitStack() as unused:
            for place in places:
                await unused.enter_async_context(place)
            done = _in_thread(call)  # fails where the system has no thread left
            unused.pop_all()
        # A thread goes on after its waiter left: its places are free when it ends, not before.
        for place in places:
            done.add_done_callback(partial(_release, place))
        return await asyncio.shield(done)


def _release(place: asyncio.Semaphore, _: "asyncio.Future[_T]") -> None:
    place.release()


def _in_thread(call: Callable[[], _T]) -> "asyncio.Future[_T]":
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def work() -> None:
        try:
            result = call()
        except Exception as error:
            _hand_over(loop, done.set_exception, error)
        else:
            _hand_over(loop, done.set_result, result)

    # Daemon threads: a pool's threads are joined at exit, and one that hangs would hold the process.
    threading.Thread(target=work, name="mint", daemon=True).start()
    return done


def _hand_over(loop: asyncio.AbstractEventLoop, give: Callable[[_T], None], value: _T) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed while the thread still ran: nobody is left to tell
        loop.call_soon_threadsafe(give, value)


class LoginCache:
    """Holds the logins of one process.

    ``clock`` gives the time, ``roll`` a random number in [0, 1) for every jitter.
    """

    def __init__(
        self,
        observer: MintObserver,
        *,
        clock: Callable[[], Instant] = system_clock,
        roll: Callable[[], float] = random.random,
        max_threads: int = MAX_THREADS,
        mint_seconds: float = MINT_SECONDS,
    ) -> None:
        self._observer, self._clock, self._roll = observer, clock, roll
        self._threads = _Threads(asyncio.Semaphore(max_threads), MAX_THREADS_PER_ACCOUNT)
        self._mint_seconds = mint_seconds
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)
        self._flights: dict[Minter, asyncio.Task[HeldLogin | MintError]] = {}

    def ready(self, minter: Minter, *, timeout_minutes: int) -> Outcome | None:
        """Return the answer that needs no waiting, or None. One that is due is refreshed behind the caller's back."""
        now = self._clock()
        held = self._valid(minter, now)
        if held is None or not held.outlives(timeout_minutes, now):
            return None
        if held.due(now) and not self._backing_off(minter, now):
            self._flight(minter)
        return Outcome("hit", held)

    async def get(self, minter: Minter, *, timeout_minutes: int, wait_seconds: float) -> Outcome:
        """Return a login that outlives the build, waiting for a mint where none is held; an older one if that fails.

        Cancelling the caller cancels no mint: others may wait for it, and the next build will ask for it.
        """
        ready = self.ready(minter, timeout_minutes=timeout_minutes)
        if ready is not None:
            return ready
        return self._settle(minter, await self._minted(minter, wait_seconds))

    def failure(self, minter: Minter) -> MintError | None:
        """Return the error of the last mint, until one succeeds."""
        failure = self._shelves[minter.account].failures.get(minter)
        return failure.error if failure else None

    def last(self, account: str) -> HeldLogin | MintError | None:
        """Return what the account's last mint came to, None before the first."""
        return self._shelves[account].last

    def still(self, outcome: Outcome) -> Outcome:
        """Return the outcome, or a failure where its login has ended meanwhile."""
        if outcome.held is None or outcome.held.remaining(self._clock()) > 0:
            return outcome
        return Outcome("failed", error=MintTimeoutError("the login ended while others were waited for"))

    def retain(self, kept: Mapping[str, Collection[Minter] | None]) -> None:
        """Drop every login that a new configuration has no use for; ``kept`` says by account which stay (None: all).

        A mint under way for a dropped one goes on, since no thread can be cancelled, and its login is thrown away.
        """
        minters = [minter for shelf in self._shelves.values() for minter in (*shelf.held, *shelf.failures)]
        for minter in [*minters, *self._flights]:
            staying = kept.get(minter.account, ())
            if staying is not None and minter not in staying:
                self._drop(minter)
        for account in self._shelves.keys() - kept.keys():  # last: to drop a flight looks its account up
            del self._shelves[account]

    def _drop(self, minter: Minter) -> None:
        shelf = self._shelves[minter.account]
        shelf.held.pop(minter, None)
        shelf.failures.pop(minter, None)
        self._flights.pop(minter, None)

    async def close(self) -> None:
        """Stop listening to the mints under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _minted(self, minter: Minter, wait_seconds: float) -> HeldLogin | MintError:
        flight = self._flights.get(minter)
        failure = self._shelves[minter.account].failures.get(minter)
        if flight is None and failure is not None and self._clock().boot < failure.until:
            return failure.error
        # wait(), not wait_for(): it neither cancels the flight at the deadline nor when this waiter is cancelled.
        done, _ = await asyncio.wait({flight or self._flight(minter)}, timeout=wait_seconds)
        if not done:
            return MintTimeoutError(f"no login within {wait_seconds:.0f} s", hint="the mint goes on; ask again")
        return done.pop().result()

    def _settle(self, minter: Minter, result: HeldLogin | MintError) -> Outcome:
        now = self._clock()  # time has passed since the result was made
        if isinstance(result, HeldLogin) and result.remaining(now) > 0:
            return Outcome("minted", result)
        error = result if isinstance(result, MintError) else MintTimeoutError("the login ended while it was waited for")
        held = self._valid(minter, now)
        if held is not None and held.usable(now):
            return Outcome("short", held, error)
        return Outcome("failed", error=error)

    def _valid(self, minter: Minter, now: Instant) -> HeldLogin | None:
        try:
            held = self._shelves[minter.account].held[minter]  # get() looks twice, and to hash a minter takes a while
        except KeyError:
            return None
        return held if held.remaining(now) > 0 else None

    def _backing_off(self, minter: Minter, now: Instant) -> bool:
        failure = self._shelves[minter.account].failures.get(minter)
        return failure is not None and now.boot < failure.until

    def _flight(self, minter: Minter) -> "asyncio.Task[HeldLogin | MintError]":
        flight = self._flights.get(minter)
        if flight is None:
            flight = self._flights[minter] = asyncio.create_task(self._fly(minter), name=f"mint {minter.account}")
            flight.add_done_callback(partial(self._landed, minter))
        return flight

    def _landed(self, minter: Minter, flight: "asyncio.Task[HeldLogin | MintError]") -> None:
        if self._flights.get(minter) is flight:
            del self._flights[minter]

    async def _fly(self, minter: Minter) -> HeldLogin | MintError:
        started = self._clock()
        self._observer.mint_started(minter)
        result = await self._attempt(minter, started)
        if self._flights.get(minter) is asyncio.current_task():  # else nobody has a use for it since a reload
            self._keep(minter, result)
        self._observer.mint_ended(minter, seconds=self._clock().boot - started.boot, result=result)
        return result

    def _keep(self, minter: Minter, result: HeldLogin | MintError) -> None:
        shelf = self._shelves[minter.account]
        shelf.last = result
        if isinstance(result, HeldLogin):
            shelf.held[minter] = result
            shelf.failures.pop(minter, None)
        else:
            self._remember(minter, result)

    async def _attempt(self, minter: Minter, started: Instant) -> HeldLogin | MintError:
        try:
            async with asyncio.timeout(self._mint_seconds):
                login: Login = await self._threads.run(minter.account, minter.mint)
            return hold(login, issued=started, roll=self._roll(), previous=self._valid(minter, self._clock()))
        except MintError as error:
            return error.with_traceback(None)  # its frames hold the cloud's answer
        except TimeoutError:
            return MintTimeoutError(f"the mint did not end within {self._mint_seconds:.0f} s")
        except Exception as error:
            _log.error("account %s: the minter failed with %s", minter.account, type(error).__name__)
            return CloudError(f"the minter failed with {type(error).__name__}", hint="this is a fault of ecrmint's")

    def _remember(self, minter: Minter, error: MintError) -> None:
        # Runners hide every failure: this line is where its cause and its cure can be read.
        hint = error.hint and f"; {error.hint}"
        _log.warning("account %s: no login (%s): %s%s", minter.account, error.code, error, hint)
        shelf = self._shelves[minter.account]
        previous = shelf.failures.get(minter)
        if error.definite:
            shelf.held.pop(minter, None)  # the cloud took it back: what is held may still work, and must not
            wait, backoff = DENIAL_SECONDS * (0.5 + 0.5 * self._roll()), FIRST_BACKOFF
        else:
            backoff = previous.backoff if previous else FIRST_BACKOFF
            wait, backoff = backoff * (0.5 + 0.5 * self._roll()), min(2 * backoff, MAX_BACKOFF)
        shelf.failures[minter] = _Failure(error, self._clock().boot + wait, backoff)
