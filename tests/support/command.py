"""The ``ecrmint`` command inside the test's own process, with an environment of its own."""

import os
from dataclasses import dataclass

import pytest

from ecrmint import cli


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Command:
    """Runs ``ecrmint``; a fixture makes one for each test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str, **environ: str) -> Ended:
        """Run it with these arguments, and with these variables alone."""
        self._monkeypatch.setattr(os, "environ", environ)
        self._monkeypatch.setattr("sys.argv", ["ecrmint", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self._capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)
