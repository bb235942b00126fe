"""Parts of the test run that need outside tools: left out with a reason where those are missing, a failure in CI.

``ECRMINT_TEST_PARTS=none`` leaves them all out: one Python is enough for them.
"""

import os
import shutil

import pytest


def require(*commands: str) -> None:
    """Leave the calling test out where one of the commands is not on the PATH; fail it in CI."""
    _leave_out_where_not_asked_for()
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        _leave_out(f"needs {', '.join(missing)}")


def require_root() -> None:
    """Leave the calling test out where it does not run as root; fail it in CI."""
    _leave_out_where_not_asked_for()
    if os.geteuid() != 0:
        _leave_out("needs root")


def _leave_out_where_not_asked_for() -> None:
    if os.environ.get("ECRMINT_TEST_PARTS") == "none":
        pytest.skip("needs more than Python")


def _leave_out(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"left out, which CI does not allow: {reason}")
    pytest.skip(reason)
