"""A changed configuration: when it is put to work, and what becomes of one that is refused."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ecrmint import settings
from ecrmint.errors import ConfigError, Problem
from ecrmint.reload import Reloader
from ecrmint.settings import Config

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = """
secrets: [{{name: main, file: {folder}/secret}}]
accounts: {{hub: {{type: static, registries: [docker.io], username: octocat, password: {{file: {folder}/password}}}}}}
rules: [{{name: {rule}, repos: ["**"], accounts: [hub]}}]
"""


@dataclass
class World:
    """A folder with a configuration, and what the reloader made of it so far."""

    folder: Path
    applied: list[Config] = field(default_factory=list)
    refusals: int = 0
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    needs_restart: bool = False

    @property
    def file(self) -> Path:
        return self.folder / "ecrmint.yaml"

    def write(self, rule: str) -> None:
        self.file.write_text(CONFIG.format(folder=self.folder, rule=rule))

    def load(self) -> Config:
        return settings.load(self.file, environ={})

    def apply(self, config: Config) -> None:
        if self.needs_restart:
            raise ConfigError([Problem("listen", "a reload can't change it")], source=config.source)
        self.applied.append(config)

    def reloaded(self, config: Config) -> None:
        self.happened.set()

    def reload_refused(self) -> None:
        self.refusals += 1
        self.happened.set()

    async def next(self) -> None:
        """Wait for the next try to end."""
        await asyncio.wait_for(self.happened.wait(), 20)
        self.happened.clear()

    def rules(self) -> list[str]:
        return [config.settings.rules[0].name for config in self.applied]


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "password").write_text("hub-password")
    made = World(tmp_path)
    made.write("first")
    return made


@asynccontextmanager
async def watching(world: World, *, poll_seconds: float = 0.005) -> AsyncIterator[Reloader]:
    reloader = Reloader(world.load(), {}, world.apply, world, poll_seconds=poll_seconds)
    task = asyncio.create_task(reloader.run())
    await asyncio.sleep(0)
    yield reloader
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_changed_file_is_put_to_work(world: World) -> None:
    async with watching(world):
        world.write("second")
        await world.next()
    assert world.rules() == ["second"]


@pytest.mark.parametrize("name", ["secret", "password"])
async def test_a_changed_file_that_the_configuration_names_is_put_to_work(world: World, name: str) -> None:
    async with watching(world):
        (world.folder / name).write_text("another-0123456789abcdef-another")
        await world.next()
    secrets = [world.applied[0].shared_secrets[0].key, *world.applied[0].secrets.values()]
    assert "another-0123456789abcdef-another" in [secret.reveal() for secret in secrets]


def _as_a_mount(world: World) -> Callable[[str], None]:
    """Make the configuration a file of a ConfigMap's mount, and return what swaps its content as kubelet does."""

    def swap(version: str) -> None:
        (world.folder / version).mkdir()
        world.file.unlink(missing_ok=True)
        (world.folder / version / "ecrmint.yaml").write_text(CONFIG.format(folder=world.folder, rule=version))
        (world.folder / "..data_tmp").symlink_to(version)
        (world.folder / "..data_tmp").rename(world.folder / "..data")
        if not world.file.is_symlink():
            world.file.symlink_to("..data/ecrmint.yaml")

    return swap


async def test_the_swap_of_a_mount_s_symlink_is_seen(world: World) -> None:
    swap = _as_a_mount(world)
    swap("v1")
    async with watching(world):
        (world.folder / "v2").mkdir()
        (world.folder / "v2" / "ecrmint.yaml").write_text(CONFIG.format(folder=world.folder, rule="v2"))
        (world.folder / "..data_tmp").symlink_to("v2")
        (world.folder / "..data_tmp").rename(world.folder / "..data")
        await world.next()
    assert world.rules() == ["v2"]


async def test_asking_reloads_though_nothing_changed(world: World) -> None:
    async with watching(world, poll_seconds=60) as reloader:
        reloader.ask()
        await world.next()
    assert world.rules() == ["first"]


async def test_a_bad_configuration_is_refused_said_once_and_tried_until_it_is_good(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(world):
        world.file.write_text("rulez: []\n")
        await world.next()
        await world.next()
        assert world.refusals >= 2
        assert world.applied == []
        assert sum("rulez" in record.getMessage() for record in caplog.records) == 1
        assert "stays in force" in caplog.text
        world.write("second")
        while not world.applied:
            await world.next()
    assert world.rules() == ["second"]


async def test_a_file_that_only_the_refused_configuration_names_is_waited_for(world: World) -> None:
    async with watching(world):
        world.file.write_text(CONFIG.format(folder=world.folder, rule="second").replace("/secret", "/later"))
        await world.next()
        (world.folder / "later").write_text(SECRET)
        while not world.applied:
            await world.next()
    assert world.rules() == ["second"]


async def test_what_only_a_restart_can_change_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.needs_restart = True
    async with watching(world):
        world.write("second")
        await world.next()
    assert "a reload can't change it" in caplog.text
    assert (world.applied, world.refusals >= 1) == ([], True)


async def test_what_did_not_change_is_not_put_to_work_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, load = threading.Semaphore(0), settings.load

    def counted(*args: Any, **options: Any) -> Config:
        config = load(*args, **options)
        loaded.release()
        return config

    async with watching(world):
        monkeypatch.setattr(settings, "load", counted)
        for content in ("hub-password\n", "hub-password"):  # the same secret, in another file
            (world.folder / "password").write_text(content)
            await asyncio.to_thread(loaded.acquire)
    assert world.applied == []


async def test_a_configuration_that_is_gone_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with watching(world):
        world.file.unlink()
        await world.next()
    assert "can't be read" in caplog.text
