"""Parts of the test run that need outside tools: left out with a reason where those are missing, a failure in CI."""

import os
import shutil
from typing import Final

import pytest

LEFT_OUT: Final = "left out: "  # how tests/conftest.py knows these skips again


def require(*commands: str) -> None:
    """Leave the calling test out where one of the commands is not on the PATH; fail it in CI."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        _leave_out(f"needs {', '.join(missing)}")


def require_root() -> None:
    """Leave the calling test out where it does not run as root; fail it in CI."""
    if os.geteuid() != 0:
        _leave_out("needs root")


def _leave_out(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"left out, which CI does not allow: {reason}")
    pytest.skip(f"{LEFT_OUT}{reason}")
