"""The process's own AWS identity in a test: what the environment says, and nothing of the machine's."""

import os
from pathlib import Path

import pytest

from ecrmint.standin.cloud import AccessKey


def forget_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away every AWS identity and setting that the machine or the environment has."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(Path(os.devnull)))


def become(monkeypatch: pytest.MonkeyPatch, key: AccessKey) -> None:
    """Be the bearer of that key, and nobody else."""
    forget_identity(monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret.reveal())
    if key.is_session:
        monkeypatch.setenv("AWS_SESSION_TOKEN", key.session_token.reveal())
