"""A process imports a cloud's SDK when it mints with it, not before: most configurations have one cloud."""

import json
import subprocess
import sys

import pytest

SDKS = ("boto3", "botocore", "cryptography", "google", "httpx2", "requests", "urllib3")
SCRIPT = f"""
import json, sys
from pydantic import TypeAdapter
from ecrmint.minters import Account, Resources
from ecrmint.tokens import Secret

fields = json.loads(sys.stdin.read(), object_hook=lambda each: {{
    key: tuple(value) if isinstance(value, list) else value for key, value in each.items()
}})
account = TypeAdapter(Account).validate_python(fields)
secrets = {{source: Secret("x") for source in account.secret_sources().values()}}
account.minters("prod", Resources(secrets=secrets))
print(json.dumps(sorted(sys.modules.keys() & {set(SDKS)!r})))
"""
ECR = {"type": "ecr", "registries": ["123456789012.dkr.ecr.eu-west-1.amazonaws.com"]}


@pytest.mark.parametrize(
    "fields",
    [
        ECR | {"role_arn": "arn:aws:iam::123456789012:role/pull"},
        {"type": "google", "registries": ["gcr.io"], "credentials_file": "key.json"},
        {"type": "static", "registries": ["docker.io"], "username": "a", "password": {"env": "B"}},
    ],
    ids=lambda fields: fields["type"],
)
def test_accounts_and_their_minters_are_made_without_any_sdk(fields: dict[str, object]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(fields), capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == []
