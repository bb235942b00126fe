"""A minter for tests: scripted results, a gate that holds its thread, a count of its calls."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ecrmint.errors import MintError
from ecrmint.minters import Minter
from ecrmint.minters._base import SharedByBuilds
from ecrmint.tokens import HeldLogin, Login, Secret


@dataclass(eq=False)
class FakeMinter(SharedByBuilds):
    """Mints what ``results`` say, the last one again and again. Two of them are never equal."""

    account: str = "prod"
    provider: str = "ecr"
    results: list[Callable[[], Login]] = field(default_factory=list)
    calls: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.gate.set()

    def mint(self) -> Login:
        """Wait for the gate, then give the next result."""
        self.calls += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        self.entered.release()
        assert self.gate.wait(timeout=30)
        return result()

    def then_login(self, password: str = "p", *, expires_at: float | None = None) -> "FakeMinter":
        """Give a login next."""
        self.results.append(lambda: Login("AWS", Secret(password), expires_at))
        return self

    def then_error(self, error: Exception) -> "FakeMinter":
        """Fail next."""

        def fail() -> Login:
            raise error

        self.results.append(fail)
        return self


@dataclass
class Recorder:
    """A mint observer that keeps what it is told."""

    started: list[str] = field(default_factory=list)
    ended: list[HeldLogin | MintError] = field(default_factory=list)

    def mint_started(self, minter: Minter) -> None:
        """Keep the account's name."""
        self.started.append(minter.account)

    def mint_ended(self, minter: Minter, *, seconds: float, result: HeldLogin | MintError) -> None:
        """Keep the result."""
        self.ended.append(result)


async def settled() -> None:
    """Wait until no mint is under way."""
    flights = [task for task in asyncio.all_tasks() if task.get_name().startswith("mint ")]
    if flights:
        await asyncio.wait(flights)
