"""What is tested is what users install."""

import os
from importlib.metadata import version
from pathlib import Path

import pytest

import ecrmint


@pytest.mark.skipif("ECRMINT_TEST_WHEEL" not in os.environ, reason="the working tree is tested, not a wheel")
def test_the_wheel_is_tested_not_the_working_tree() -> None:
    assert Path(ecrmint.__file__).parents[1].name == "site-packages"


def test_the_version_is_the_packages() -> None:
    assert version("ecrmint") == ecrmint.__version__
