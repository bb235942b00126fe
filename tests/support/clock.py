"""A clock that stands still until a test moves it."""

from dataclasses import dataclass

from ecrmint.tokens import Instant


@dataclass
class SettableClock:
    """Both clocks of an ``Instant``, in seconds."""

    wall: float = 1_800_000_000.0
    boot: float = 1_000.0

    def __call__(self) -> Instant:
        return Instant(wall=self.wall, boot=self.boot)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.boot += seconds

    def set_wall(self, seconds: float) -> None:
        """Move the wall clock alone, as an administrator or NTP does."""
        self.wall += seconds
