"""The files of this repository, as they are committed."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = frozenset({".ci", ".github"})
MADE = frozenset({".git", "__pycache__", "build", "dist", "uv.lock"})


def files() -> Iterator[Path]:
    """Give them all, but what .gitignore names: hidden folders other than ours, and what is made."""
    for folder, names, leaves in os.walk(ROOT):
        names[:] = [name for name in names if name in OURS or not (name.startswith(".") or name in MADE)]
        yield from (Path(folder, leaf) for leaf in leaves if leaf not in MADE and not leaf.startswith(".coverage"))
