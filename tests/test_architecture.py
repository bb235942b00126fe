"""The shape of the package: imports point one way, what decides is pure, and providers know nothing of each other."""

from collections.abc import Iterator
from typing import Final

import pytest
from support.imports import called, imported, modules, ours, unit

# Each imports from earlier lines only, whatever the module; a sub-package counts as one.
LAYERS: Final = (
    ("__init__", "addresses", "errors", "globs", "onewrite", "table"),
    ("remedies", "tokens", "yamlfile"),
    ("fields", "signature", "standin", "wire"),
    ("client", "complaints", "frontdoor", "policy", "secretfile"),
    ("crosschecks", "minters"),
    ("registry", "schema"),
    ("reading",),
    ("cache", "settings"),
    ("broker", "lint", "live"),
    ("audit",),
    ("telemetry",),
    ("app",),
    ("admin", "protocol", "reload"),
    ("server",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
LEVEL: Final = {name: level for level, names in enumerate(LAYERS) for name in names}

PURE: Final = ("errors", "fields", "globs", "policy", "remedies", "signature", "tokens", "wire")
# Nothing here does I/O, or reads a clock or the environment, by itself; the calls below are what slips through.
PURE_IMPORTS: Final = frozenset(
    {"abc", "base64", "collections", "dataclasses", "datetime", "email", "enum", "functools", "hashlib", "hmac"}
    | {"itertools", "json", "math", "re", "types", "typing"}
    | {"cryptography", "ecrmint", "pydantic", "pydantic_core"}
)
IMPURE_CALLS: Final = frozenset({"open", "print", "input", "now", "utcnow", "today", "localtime"})

MODULES: Final = modules()


def upward_imports(name: str, text: str) -> Iterator[str]:
    mine = unit(name)
    yield from (other for other in ours(text) if unit(other) != mine and LEVEL[unit(other)] >= LEVEL[mine])


def impurities(text: str) -> Iterator[str]:
    yield from (name for name in imported(text) if unit(name) not in PURE_IMPORTS)
    yield from (name for name in ours(text) if unit(name) not in PURE)
    yield from (name for name in called(text) if name in IMPURE_CALLS)


def siblings(name: str, text: str) -> Iterator[str]:
    """Give the imported modules of the same sub-package that are not shared ones (their names start with ``_``)."""
    package = unit(name)
    inside = (other.split(".")[1] for other in ours(text) if unit(other) == package and "." in other)
    yield from (other for other in inside if not other.startswith("_") and f"{package}.{other}" != name)


def test_every_module_has_its_place_in_the_layers() -> None:
    assert {unit(name) for name in MODULES} == set(LEVEL)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    assert list(upward_imports(name, MODULES[name])) == []


@pytest.mark.parametrize("name", PURE)
def test_what_decides_is_pure(name: str) -> None:
    assert list(impurities(MODULES[name])) == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(("minters.", "commands."))])
def test_providers_and_commands_know_nothing_of_each_other(name: str) -> None:
    assert list(siblings(name, MODULES[name])) == []


def test_only_the_demo_uses_the_stand_in_cloud() -> None:
    users = {name for name, text in MODULES.items() if "standin" in map(unit, ours(text)) and unit(name) != "standin"}
    assert users <= {"commands.demo"}


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("cache", "from ecrmint.broker import Broker", ["broker.Broker"]),
        ("cache", "from ecrmint import app, errors", ["app"]),
        ("cache", "def late():\n    import ecrmint.settings", ["settings"]),
        ("cache", "from ecrmint import __version__", []),
        ("minters.ecr", "from ecrmint.minters import _base", []),
    ],
    ids=["from a module", "from the package", "in a function, same layer", "the version", "inside a sub-package"],
)
def test_an_upward_import_is_seen(name: str, text: str, found: list[str]) -> None:
    assert list(upward_imports(name, text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os", ["os"]),
        ("from pathlib import Path", ["pathlib.Path"]),
        ("from ecrmint.cache import LoginCache", ["cache.LoginCache"]),
        ("from datetime import datetime\ndatetime.now()", ["now"]),
        ("from ecrmint.errors import MintError", []),
    ],
    ids=["os", "pathlib", "one of ours", "clock", "pure"],
)
def test_an_impurity_is_seen(text: str, found: list[str]) -> None:
    assert list(impurities(text)) == found


def test_a_provider_that_imports_another_is_seen() -> None:
    assert list(siblings("minters.ecr", "from ecrmint.minters.google import GoogleMinter")) == ["google"]
