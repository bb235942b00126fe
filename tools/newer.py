"""Runs the tests that need nothing but Python once more, on every newer Python that this machine has."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NEWER: Final = [minor for minor in (12, 13, 14) if minor > sys.version_info.minor]  # those that the lock has wheels for
USABLE: Final = "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, {minor}))"


def candidates(minor: int) -> Iterator[Path]:
    """Give where that Python may be: on the PATH, or among pyenv's versions, which its shims hide."""
    folders = [*map(Path, os.get_exec_path()), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin")]
    yield from (path for folder in folders if (path := folder / f"python3.{minor}").exists())


def is_usable(python: Path, minor: int) -> bool:
    """Tell whether it runs, is that version, and can make environments."""
    return not subprocess.run([python, "-c", USABLE.format(minor=minor)], capture_output=True, check=False).returncode


def run(*command: str | Path, **more: str) -> None:
    """Run it, with more in its environment. Raises: SystemExit where it fails."""
    if code := subprocess.run(command, env=os.environ | more, check=False).returncode:
        sys.exit(code)


def test(python: Path, folder: str) -> None:
    """Make that Python's environment, and run the tests in it but for those that need other programs."""
    run(python, "tools/environment.py", folder, "requirements-dev.txt")
    run(f"{folder}/bin/pytest", "--quiet", ECRMINT_TEST_PARTS="none")


def main() -> None:
    """Run them, Python by Python."""
    found = {minor: next((p for p in candidates(minor) if is_usable(p, minor)), None) for minor in NEWER}
    names = [f"3.{minor}" for minor, python in found.items() if python]
    print(f"ecrmint: newer Pythons here: {', '.join(names) or 'none'}", flush=True)
    for minor, python in found.items():
        if python:
            print(f"ecrmint: the tests that need Python alone, on Python 3.{minor}", flush=True)
            test(python, f".venv-dev-3.{minor}")


if __name__ == "__main__":
    main()
