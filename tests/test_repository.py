"""The repository's own promises: locks that hold everything by hash, and no address that belongs to one machine."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from support.repository import ROOT, files

# In pieces, so that this file does not hold what it forbids.
HOSTS: Final = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("maven", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
    ]
]
FOLDERS: Final = ["work", "root", "home", "Users"]
PLACES: Final = re.compile(
    "|".join([*map(re.escape, HOSTS), rf"(?<![\w.}}-])/(?:{'|'.join(FOLDERS)})(?:/|\b(?![\w-]))"])
)
LOCKS: Final = [path for path in files() if path.match("requirements*.txt")]
PINNED: Final = re.compile(r"[a-z0-9-]+==[\w.]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def places(text: str) -> list[str]:
    return [match[0] for match in PLACES.finditer(text)]


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", read(name), re.MULTILINE))


def required(group: list[object]) -> set[str]:
    names = (re.match(r"[\w-]+", text) for text in group if isinstance(text, str))
    return {name[0] for name in names if name}


def test_no_file_names_a_package_registry_or_a_folder_of_one_machine() -> None:
    found = {str(path.relative_to(ROOT)): places(path.read_text(encoding="utf-8")) for path in files()}
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"https://{HOSTS[0]}/simple", [HOSTS[0]]),
        (f"GOPROXY={HOSTS[2]}", [HOSTS[2]]),
        (f"see /{FOLDERS[0]}/main", [f"/{FOLDERS[0]}/"]),
        (f"in /{FOLDERS[1]}.", [f"/{FOLDERS[1]}"]),
        ("https://git.example/home/app, a/root/b, /rooted, /work-load", []),
    ],
    ids=["host", "host in a setting", "folder", "folder alone", "neither"],
)
def test_such_a_name_is_seen(text: str, found: list[str]) -> None:
    assert places(text) == found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_a_lock_pins_everything_by_hash_and_holds_nothing_else(lock: Path) -> None:
    assert re.sub(PINNED, "", lock.read_text(encoding="utf-8")) == ""


def test_locks_hold_what_pyproject_asks_for() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    runtime, groups = required(project["project"]["dependencies"]), project["dependency-groups"]
    assert runtime <= locked("requirements.txt").keys()
    assert required(groups["build"]) <= locked("requirements-build.txt").keys()
    assert runtime | required(groups["dev"]) <= locked("requirements-dev.txt").keys()


def test_tests_run_with_the_very_releases_that_users_install() -> None:
    users = locked("requirements.txt") | locked("requirements-build.txt")
    assert users.items() <= locked("requirements-dev.txt").items()
