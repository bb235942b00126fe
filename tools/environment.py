"""Makes a virtual environment: exactly the packages of a lock, and the project as the wheel that users get.

``tools/python tools/environment.py FOLDER LOCK``. What is right already is left alone, so a second run is quick.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

WHEELS: Final = Path(".cache/wheel")
BUILD: Final = Path(".venv-build"), Path("requirements-build.txt")
PLACE: Final = f"{Path(__file__).resolve()} {sys.base_prefix} {sys.version}"  # environments can't be moved


def say(step: str) -> None:
    """Tell what happens now, in one line."""
    print(f"ecrmint: {step}", flush=True)


def run(*command: str | Path) -> None:
    """Run it, and end it and what it started at Ctrl-C. Raises: SystemExit where it fails."""
    with subprocess.Popen(command, start_new_session=True) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGTERM)
            raise
    if code:
        sys.exit(f"ecrmint: failed with {code}: {' '.join(map(str, command))}")


def pip(folder: Path, verb: str, *arguments: str | Path) -> None:
    """Run that environment's pip, which is silent while all goes well."""
    run(folder / "bin/python", "-m", "pip", verb, "--quiet", "--disable-pip-version-check", *arguments)


def digest(files: Iterable[Path], *more: str) -> str:
    """Return one digest of the files' names and contents, and of the texts."""
    parts = [*more, *(f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_current(stamp: Path, state: str) -> bool:
    """Tell whether the stamp was written for that very state."""
    return stamp.exists() and stamp.read_text(encoding="ascii") == state


def make(folder: Path, lock: Path) -> None:
    """Make the folder an environment of this Python with the locked packages, from nothing, unless it is one."""
    stamp, state = folder / "made-of", digest([lock], PLACE)
    if is_current(stamp, state):
        return
    say(f"creating {folder} with Python {sys.version.split()[0]}")
    run(sys.executable, "-m", "venv", "--clear", folder)
    count = sum(line[0].isalpha() for line in lock.read_text(encoding="ascii").splitlines())
    say(f"installing {count} locked packages (up to a minute, the first time)")
    # Wheels alone: building a package from source would run code that no hash of ours covers, and need a compiler.
    pip(folder, "install", "--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", lock)
    stamp.write_text(state, encoding="ascii")


def wheel() -> Path:
    """Build the wheel with the locked backend, unless the sources are those of the last one. Return its path."""
    sources = [Path("pyproject.toml"), Path("README.md"), Path("LICENSE"), BUILD[1]]
    sources += sorted(path for path in Path("ecrmint").rglob("*") if path.is_file() and path.suffix != ".pyc")
    stamp, state = WHEELS / "made-of", digest(sources)
    if not is_current(stamp, state):
        make(*BUILD)
        say("building the wheel")
        shutil.rmtree(WHEELS, ignore_errors=True)
        pip(BUILD[0], "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", WHEELS, ".")
        stamp.write_text(state, encoding="ascii")
    (built,) = WHEELS.glob("*.whl")
    return built


def main(folder: Path, lock: Path) -> None:
    """Make the environment, and have the current wheel in it."""
    built = wheel()
    make(folder, lock)
    stamp, state = folder / "wheel-of", digest([built])
    if not is_current(stamp, state):
        say(f"installing the wheel into {folder}")
        pip(folder, "install", "--no-deps", "--no-index", "--force-reinstall", built)
        stamp.write_text(state, encoding="ascii")


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    try:
        main(*map(Path, sys.argv[1:]))
    except KeyboardInterrupt:
        say("stopped; what is half done will be done again")
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)  # so that make, too, sees an interrupt and not a failure
