"""Calls of any AWS service, to an emulator that takes an account's number for the key of its root."""

from dataclasses import dataclass

import boto3
from botocore.config import Config

from ecrmint.standin.cloud import AccessKey
from ecrmint.tokens import Secret

_SESSION = boto3.Session()  # one for all: each more costs 80 ms and 9 MB


@dataclass(frozen=True)
class Emulator:
    """The emulator while it runs, and the key of whoever it is for."""

    url: str
    key: AccessKey

    def call(self, service: str, operation: str, key: AccessKey, **parameters: object) -> dict[str, object]:
        """Make one call of any service, its parameters unchecked."""
        client = _SESSION.client(
            service,  # type: ignore[call-overload]
            region_name="eu-west-1",
            endpoint_url=self.url,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret.reveal(),
            aws_session_token=key.session_token.reveal() or None,
            config=Config(parameter_validation=False),
        )
        answer: dict[str, object] = getattr(client, operation)(**parameters)
        return answer


def root(account: str) -> AccessKey:
    """Return the key of an account's root."""
    return AccessKey(account, Secret("root"), f"arn:aws:iam::{account}:root", "")
