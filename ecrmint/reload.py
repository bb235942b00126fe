"""Puts a changed configuration to work: at once on SIGHUP, within seconds of a change to it or to a file that it names.

A configuration that is refused changes nothing: the one in force stays, the log says every problem once, and it is
tried again until what is on disk is in force. Files are looked at, not subscribed to: a ConfigMap's and a Secret's
mount change by the swap of a symlink, which tells a subscriber of the file nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ecrmint import settings
from ecrmint.errors import ConfigError
from ecrmint.settings import Config

_log = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0  # between two looks at the files; design section 6 allows 5 from a change to its effect

State = tuple[tuple[int, int, int] | None, ...]
"""Of each watched file: its inode, its time in nanoseconds and its size; None where there is none."""


class ReloadObserver(Protocol):
    """Is told what became of each try."""

    def reloaded(self, config: Config) -> None:
        """This one is in force."""

    def reload_refused(self) -> None:
        """What is on disk is not in force."""


@dataclass(slots=True)
class Reloader:
    """Watches for one process. ``apply`` puts a configuration to work; ConfigError: only a restart could do that."""

    config: Config
    environ: Mapping[str, str]
    apply: Callable[[Config], None]
    observer: ReloadObserver
    poll_seconds: float = POLL_SECONDS
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _refused: str = ""  # the problems of the last try; empty: what is on disk is in force

    def ask(self) -> None:
        """Reload at once, whether anything changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        seen: State = ()  # what changed since it was loaded, before we looked, is found by loading it again
        while True:
            asked = await self._wait()
            state = await asyncio.to_thread(_state, self.config)
            if asked or state != seen or self._refused:
                await self._reload(asked=asked)
            # From before it was loaded: what changed meanwhile is seen next time.
            seen = state

    async def _wait(self) -> bool:
        try:
            await asyncio.wait_for(self._asked.wait(), self.poll_seconds)
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _reload(self, *, asked: bool) -> None:
        try:
            # In a thread: ten thousand rules take half a second, in which requests are to be answered.
            config = await asyncio.to_thread(settings.load, self.config.source, environ=self.environ)
            if asked or self._refused or not _same(config, self.config):
                self.apply(config)
                self._done(config)
        except ConfigError as error:
            self._refuse(error)

    def _done(self, config: Config) -> None:
        self.config, self._refused = config, ""
        _log.info("the configuration %s is in force", config.sha256[:12])
        self.observer.reloaded(config)

    def _refuse(self, error: ConfigError) -> None:
        self.observer.reload_refused()
        if str(error) == self._refused:
            return  # it has been said, and is tried again every few seconds
        self._refused = str(error)
        for line in error.lines():
            _log.error("%s", line)
        _log.error("%s is refused; the configuration %s stays in force", error.source, self.config.sha256[:12])


def _same(one: Config, other: Config) -> bool:
    """Return whether nothing changed that was read; certificates are not read but named, so they always may have."""
    read = [(each.sha256, each.shared_secrets, each.secrets) for each in (one, other)]
    return read[0] == read[1] and one.settings.tls is None


def _state(config: Config) -> State:
    return tuple(map(_stat, _files(config)))


def _files(config: Config) -> Iterator[str]:
    """Yield the file of a configuration and those that it names."""
    yield config.source
    sources = [*config.settings.secrets, *config.secrets]
    yield from (source.file for source in sources if source.file is not None)
    if config.settings.tls is not None:
        yield from (config.settings.tls.cert_file, config.settings.tls.key_file)


def _stat(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()  # follows symlinks: a mount's swap is seen by its new inode
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
