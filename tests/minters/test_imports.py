"""A process imports a cloud's SDK when it mints with it, not before: most configurations have one cloud."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.google import external

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer
from ecrmint.standin.workload_identity import AWS_REQUEST, OidcPoolProvider

SDKS = ("boto3", "botocore", "cryptography", "google", "httpx2", "requests", "urllib3")
SCRIPT = f"""
import json, sys
from pydantic import TypeAdapter
from ecrmint.minters import Account, Endpoints, Resources
from ecrmint.tokens import Secret

given = json.loads(sys.stdin.read(), object_hook=lambda each: {{
    key: tuple(value) if isinstance(value, list) else value for key, value in each.items()
}})
account = TypeAdapter(Account).validate_python(given["fields"])
secrets = {{source: Secret(given.get("secret", "x")) for source in account.secret_sources().values()}}
endpoints = Endpoints.model_validate(given.get("endpoints", {{}}))
minters = account.minters("prod", Resources(endpoints=endpoints, secrets=secrets))
if "endpoints" in given:
    next(iter(minters.values())).mint()
print(json.dumps(sorted(sys.modules.keys() & {set(SDKS)!r})))
"""
GOOGLE: Mapping[str, object] = {"type": "google", "registries": ["gcr.io"]}
PULL, CI = "pull@acme.iam.gserviceaccount.com", "ci@acme.iam.gserviceaccount.com"
FILED: Mapping[str, object] = {**GOOGLE, "credentials_file": "gcp.json"}
ECR: Mapping[str, object] = {"type": "ecr", "registries": ["123456789012.dkr.ecr.eu-west-1.amazonaws.com"]}
POOL = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/acme-ci/providers/"
USER = "arn:aws:iam::123456789012:user/ci"


def imported(given: Mapping[str, object], **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(given),
        env={**{name: value for name, value in os.environ.items() if not name.startswith("AWS_")}, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {**ECR, "role_arn": "arn:aws:iam::123456789012:role/pull"},
        {**GOOGLE, "service_account": PULL},
        FILED,
        {"type": "static", "registries": ["docker.io"], "username": "a", "password": {"env": "B"}},
    ],
    ids=["ecr", "google", "google with a file", "static"],
)
def test_accounts_and_their_minters_are_made_without_any_sdk(fields: Mapping[str, object]) -> None:
    assert imported({"fields": fields}) == []


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud()
    cloud.add_service_account(CI)
    cloud.add_service_account(PULL)
    cloud.allow_impersonation(CI, PULL)
    cloud.set_metadata_identity(CI)
    cloud.add_oidc_pool_provider(f"{POOL}jobs", "https://ci.acme.example")
    cloud.add_aws_pool_provider(f"{POOL}acme-aws", "123456789012")
    with StandinServer(cloud) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "sdks"),
    [
        ("metadata", ["httpx2"]),
        ("key", ["cryptography", "google", "httpx2"]),
        ("self-signed", ["cryptography", "google"]),
        ("federated", ["httpx2"]),
        ("from AWS", ["boto3", "botocore", "httpx2", "urllib3"]),
        ("ecr", ["boto3", "botocore", "urllib3"]),
    ],
)
def test_a_mint_imports_what_it_uses_and_nothing_of_the_other_cloud(
    server: StandinServer, tmp_path: Path, name: str, sdks: list[str]
) -> None:
    key = server.cloud.add_key(USER)
    given = {**ways(server, tmp_path)[name], "endpoints": addresses(server.url)}
    environment = {"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret.reveal()}
    assert imported(given, **environment) == sdks


def addresses(url: str) -> Mapping[str, str]:
    google = {"google_token": f"{url}/token", "google_sts": f"{url}/v1/token", "iamcredentials": url, "metadata": url}
    return {**google, "sts": url, "ecr": url}


def ways(server: StandinServer, folder: Path) -> Mapping[str, Mapping[str, object]]:
    """Return accounts, with their files, for each way to a login."""
    jobs = server.cloud.pool_providers[f"{POOL}jobs"]
    assert isinstance(jobs, OidcPoolProvider)
    (folder / "token").write_text(jobs.token(sub="a"))
    projected = external(audience=jobs.name, credential_source={"file": str(folder / "token")})
    aws = external(
        audience=f"{POOL}acme-aws", subject_token_type=AWS_REQUEST, credential_source={"environment_id": "aws1"}
    )
    key = json.dumps(server.cloud.create_key(CI))
    return {
        "metadata": {"fields": {**GOOGLE, "service_account": PULL}},
        "key": {"fields": {**FILED, "service_account": PULL}, "secret": key},
        "self-signed": {"fields": {**FILED, "self_signed": True}, "secret": key},
        "federated": {"fields": FILED, "secret": json.dumps(projected)},
        "from AWS": {"fields": FILED, "secret": json.dumps(aws)},
        "ecr": {"fields": ECR},
    }
