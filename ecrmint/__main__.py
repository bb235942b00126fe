"""``python -m ecrmint`` is the ``ecrmint`` command."""

from ecrmint.cli import main

main()
