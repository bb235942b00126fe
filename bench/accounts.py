"""How much memory ``ecrmint serve`` holds with 1, 10, 100 and 400 AWS accounts, each with a role and a login.

``PYTHONPATH=tests python -m bench.accounts``; how to read what it prints: bench/README.md.
"""

import tempfile
from pathlib import Path
from typing import Final

from support.many_accounts import memory_mib

COUNTS: Final = (1, 10, 100, 400)


def main() -> None:
    """Measure and print, as the lines of a Markdown table."""
    print("| accounts | resident memory | more than one |", "|---|---|---|", sep="\n")
    first = 0.0
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            mib = memory_mib(count, Path(folder))
        first = first or mib
        print(f"| {count} | {mib:.0f} MiB | {mib - first:.0f} MiB |")


if __name__ == "__main__":
    main()
