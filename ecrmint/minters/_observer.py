"""Who is told what minting sees of the clouds, beyond whether a login came of it."""

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
