"""Who is told what minting sees of the clouds, beyond whether a login came of it."""

from email.utils import parsedate_to_datetime
from time import time
from typing import Final, Protocol


class CloudObserver(Protocol):
    """Is told from any thread; ``provider`` is an account's type. Must not raise, nor take long."""

    def call_ended(self, provider: str, call: str, seconds: float) -> None:
        """A call to a cloud's API is over, its retries included; ``call`` is the API's operation."""

    def tags_dropped(self, account: str, tag: str) -> None:
        """An account's session got none of this tag, as policy and tags were too large together."""

    def clock_skew(self, provider: str, seconds: float) -> None:
        """The cloud's clock is ahead of ours by that much, give or take a second."""


class SilentObserver:
    """Tells nobody."""

    __slots__ = ()

    def call_ended(self, provider: str, call: str, seconds: float) -> None:
        """Ignore it."""

    def tags_dropped(self, account: str, tag: str) -> None:
        """Ignore it."""

    def clock_skew(self, provider: str, seconds: float) -> None:
        """Ignore it."""


SILENT: Final = SilentObserver()


def seconds_ahead(date: object) -> float | None:
    """Return how far the clock of an answer's ``Date`` (RFC 9110, 6.6.1) is ahead of ours, None where it has none."""
    try:
        return parsedate_to_datetime(date).timestamp() - time() if isinstance(date, str) else None
    except (ValueError, OverflowError):
        return None
