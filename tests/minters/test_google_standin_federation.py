"""Federated and delegated identities over real sockets, up to the registry that takes the login."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import time
from urllib.parse import unquote, urlsplit

import pytest
from google.auth import aws as reference
from pydantic import BaseModel
from support.accounts import minter
from support.chain import told
from support.google import external
from support.identity import become, forget_identity
from support.standin import OffsetClock, cleaned, ping

from ecrmint.errors import MintError, NoIdentityError, TrustDeniedError
from ecrmint.fields import SecretSource
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._google.aws_subject import AwsSubject
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import UNIVERSE, Cloud
from ecrmint.standin.faults import Failure
from ecrmint.standin.server import StandinServer
from ecrmint.standin.workload_identity import OidcPoolProvider
from ecrmint.tokens import Login, Secret

FILE = SecretSource(file="/etc/ecrmint/gcp.json")
HOST = "europe-docker.pkg.dev"
OWN: Mapping[str, object] = {"type": "google", "registries": (HOST,)}
FEDERATED: Mapping[str, object] = {**OWN, "credentials_file": FILE.file}
CI, HOP, PULL = (f"{name}@acme.iam.gserviceaccount.com" for name in ("ci", "hop", "pull"))
POOL = "iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/acme-ci"
JOBS, ACME_AWS = f"//{POOL}/providers/jobs", f"//{POOL}/providers/acme-aws"
ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ecrmint"
SUBJECT = "system:serviceaccount:drone:ecrmint"
EKS = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABCDEF"


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_service_account(CI)
    cloud.add_service_account(HOP)
    cloud.add_service_account(PULL, max_lifetime=43200)
    cloud.allow_impersonation(HOP, PULL)
    cloud.add_oidc_pool_provider(JOBS, "https://ci.acme.example")
    cloud.add_aws_pool_provider(ACME_AWS, ACCOUNT)
    eks = cloud.add_oidc_provider(EKS, ACCOUNT)
    cloud.add_role(ROLE, web_trust=[eks.trusted(sub=SUBJECT, aud="sts.amazonaws.com")])
    cloud.allow_impersonation(f"principalSet://{POOL}/*", HOP)
    cloud.allow_impersonation(f"principalSet://{POOL}/attribute.aws_role/{_assumed(ROLE)}", PULL)
    cloud.set_metadata_identity(CI)
    with StandinServer(cloud) as running:
        yield running


def _assumed(role: str) -> str:
    return role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")


@pytest.fixture
def cloud(server: StandinServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    forget_identity(monkeypatch)
    with cleaned(server.cloud) as cloud:
        yield cloud
        cloud.subject_token = None


@pytest.fixture
def provider(cloud: Cloud) -> OidcPoolProvider:
    found = cloud.pool_providers[JOBS]
    assert isinstance(found, OidcPoolProvider)
    return found


@pytest.fixture
def resources(server: StandinServer) -> Callable[[object], Resources]:
    """Return the resources of a credentials file, at the stand-in's addresses."""
    endpoints = Endpoints(
        google_token=f"{server.url}/token",
        google_sts=f"{server.url}/v1/token",
        iamcredentials=server.url,
        metadata=server.url,
        sts=Regional(server.url),
    )
    return lambda content: Resources(endpoints=endpoints, secrets={FILE: Secret(json.dumps(content))})


With = Callable[[object], Resources]


def opens(server: StandinServer, login: Login) -> bool:
    return ping(server.url, HOST, (login.username, login.password.reveal())) == 200


def failure(fields: Mapping[str, object], resources: Resources) -> type[MintError]:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    return type(caught.value)


def left(login: Login) -> float:
    assert login.expires_at is not None
    return login.expires_at - time()


def file_of(provider: OidcPoolProvider, tmp_path: Path, *, seconds: float = 3600) -> dict[str, object]:
    (tmp_path / "token").write_text(provider.token(sub=SUBJECT, seconds=seconds))
    return external(audience=JOBS, credential_source={"file": str(tmp_path / "token")})


def test_a_projected_token_opens_the_registry(
    cloud: Cloud, server: StandinServer, resources: With, provider: OidcPoolProvider, tmp_path: Path
) -> None:
    login = minter(FEDERATED, resources(file_of(provider, tmp_path, seconds=900))).mint()
    assert opens(server, login)
    assert 880 < left(login) <= 900
    assert [call.api for call in cloud.calls] == ["google.sts", "registry.v2"]


@pytest.mark.parametrize("field", [None, "value"], ids=["text", "json"])
def test_a_fetched_token_opens_the_registry(
    cloud: Cloud, server: StandinServer, resources: With, provider: OidcPoolProvider, field: str | None
) -> None:
    cloud.subject_token = lambda: provider.token(sub=SUBJECT)
    url = f"{server.url}/subject-token{'' if field is None else '.json'}"
    shape = {"type": "text"} if field is None else {"type": "json", "subject_token_field_name": field}
    content = external(audience=JOBS, credential_source={"url": url, "format": shape})
    assert opens(server, minter({**FEDERATED, "subject_token_urls": (url,)}, resources(content)).mint())
    assert [call.api for call in cloud.calls] == ["oidc.token", "google.sts", "registry.v2"]


def test_delegates_lead_to_the_service_account(
    cloud: Cloud, server: StandinServer, resources: With, provider: OidcPoolProvider, tmp_path: Path
) -> None:
    content = file_of(provider, tmp_path)
    fields = {**FEDERATED, "service_account": PULL, "lifetime": "12h"}
    assert failure(fields, resources(content)) is TrustDeniedError
    for delegate in (HOP, f"projects/-/serviceAccounts/{HOP}"):
        login = minter({**fields, "delegates": (delegate,)}, resources(content)).mint()
        assert opens(server, login)
        assert 43100 < left(login) <= 43200


def test_a_file_may_act_as_a_service_account_itself(
    cloud: Cloud, server: StandinServer, resources: With, tmp_path: Path
) -> None:
    content = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": f"{server.url}/v1/projects/-/serviceAccounts/{PULL}:generateAccessToken",
        "delegates": [f"projects/-/serviceAccounts/{HOP}"],
        "source_credentials": cloud.create_key(CI),
    }
    assert failure(FEDERATED, resources(content)) is TrustDeniedError
    cloud.allow_impersonation(CI, HOP)
    assert opens(server, minter(FEDERATED, resources(content)).mint())
    cloud.service_accounts[HOP].impersonators.remove(CI)


def test_a_self_signed_key_asks_nobody(cloud: Cloud, server: StandinServer, resources: With) -> None:
    login = minter({**FEDERATED, "self_signed": True}, resources(cloud.create_key(CI))).mint()
    assert cloud.calls == []
    assert 3590 < left(login) <= 3600
    assert opens(server, login)


def test_a_self_signed_key_may_act_as_a_service_account(cloud: Cloud, server: StandinServer, resources: With) -> None:
    cloud.allow_impersonation(CI, PULL)
    fields = {**FEDERATED, "self_signed": True, "service_account": PULL}
    assert opens(server, minter(fields, resources(cloud.create_key(CI))).mint())
    assert [call.api for call in cloud.calls] == ["google.generateAccessToken", "registry.v2"]
    cloud.service_accounts[PULL].impersonators.remove(CI)


@pytest.fixture
def sovereign(cloud: Cloud) -> Iterator[str]:
    """Be in another universe; the host of its registry."""
    cloud.universe_domain, host = "s3nsapis.fr", "docker.s3nsregistry.fr"
    cloud.add_google_host(host)
    yield host
    cloud.universe_domain = UNIVERSE
    cloud.google_hosts.clear()


@pytest.mark.parametrize("token_uri", ["https://oauth2.googleapis.com/token", "https://oauth2.s3nsapis.fr/token"])
def test_a_sovereign_universes_key_opens_its_registry_without_a_token_endpoint(
    cloud: Cloud, server: StandinServer, resources: With, sovereign: str, token_uri: str
) -> None:
    fields = {**FEDERATED, "registries": (sovereign,), "universe_domain": cloud.universe_domain}
    key = {**cloud.create_key(CI), "universe_domain": cloud.universe_domain, "token_uri": token_uri}
    login = minter(fields, resources(key)).mint()
    statuses = [ping(server.url, host, (login.username, login.password.reveal())) for host in (sovereign, HOST)]
    assert (statuses, [call.api for call in cloud.calls]) == ([200, 401], ["registry.v2", "registry.v2"])


def test_a_gke_pod_without_a_service_account_acts_as_one(cloud: Cloud, server: StandinServer, resources: With) -> None:
    pod = cloud.set_gke_identity("acme", number=123456789012, namespace="drone", name="ecrmint")
    cloud.allow_impersonation(pod, PULL)
    assert opens(server, minter({**OWN, "service_account": PULL}, resources({})).mint())
    cloud.faults["google.metadata"].life = 600
    cloud.set_gke_identity("acme", number=123456789012, namespace="drone", name="ecrmint")
    assert left(minter(OWN, resources({})).mint()) <= 600  # there is no service account that it could be
    assert "google.generateAccessToken" not in [call.api for call in cloud.calls[-2:]]
    cloud.set_metadata_identity(CI)


def test_a_machine_gets_the_whole_hour_where_it_may_act_as_itself(
    cloud: Cloud, server: StandinServer, resources: With
) -> None:
    cloud.faults["google.metadata"].life = 1200
    cloud.set_metadata_identity(CI)
    shared = resources({})
    assert left(minter(OWN, shared).mint()) <= 1200
    cloud.allow_impersonation(CI, CI)
    assert left(minter(OWN, shared).mint()) <= 1200  # it was refused a moment ago
    assert len(cloud.calls_to("google.generateAccessToken")) == 1
    login = minter(OWN, resources({})).mint()
    assert 3590 < left(login) <= 3600
    assert opens(server, login)
    assert left(minter({**OWN, "self_impersonate": "never"}, resources({})).mint()) <= 1200
    cloud.faults.clear()
    cloud.service_accounts[CI].impersonators.remove(CI)
    cloud.set_metadata_identity(CI)


# From AWS

AWS: Mapping[str, object] = external(
    audience=ACME_AWS,
    subject_token_type="urn:ietf:params:aws:token-type:aws4_request",
    credential_source={
        "environment_id": "aws1",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
        "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
        "imdsv2_session_token_url": "http://169.254.169.254/latest/api/token",
    },
)


@pytest.fixture(params=["IRSA", "Pod Identity", "environment"])
def aws_role(
    request: pytest.FixtureRequest,
    cloud: Cloud,
    server: StandinServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """Be that role of AWS's, in one of the ways that a process can be."""
    token = tmp_path / "aws-token"
    match request.param:
        case "IRSA":
            token.write_text(cloud.oidc_providers[ACCOUNT, EKS].token(sub=SUBJECT))
            monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
            monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        case "Pod Identity":
            token.write_text(cloud.machines.add_pod(ROLE))
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/v1/credentials")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        case _:
            become(monkeypatch, cloud.issue_session(cloud.roles[ROLE], name="pod", seconds=900))
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    return _assumed(ROLE)


def test_an_aws_role_opens_googles_registry(
    cloud: Cloud, server: StandinServer, resources: With, aws_role: str
) -> None:
    login = minter(FEDERATED, resources(AWS)).mint()
    assert opens(server, login)
    exchange = cloud.calls_to("google.sts")
    assert len(exchange) == 1
    assert exchange[0].caller.startswith(aws_role)
    assert [call.api for call in cloud.calls if call.api.startswith(("google", "registry"))] == [
        "google.sts",
        "registry.v2",
    ]


@pytest.mark.usefixtures("aws_role")
def test_an_aws_role_may_act_as_a_service_account(cloud: Cloud, server: StandinServer, resources: With) -> None:
    steps: dict[str, str] = {}
    login = minter({**FEDERATED, "service_account": PULL}, resources(AWS)).walk(steps.__setitem__)
    assert opens(server, login)
    assert steps["identity"].startswith(f"{_assumed(ROLE)}/")
    assert steps["identity"].endswith(f", by {ACME_AWS}")
    assert steps["service account"] == PULL


def test_an_aws_account_that_google_does_not_trust_is_no_identity(
    cloud: Cloud, resources: With, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(monkeypatch, cloud.add_key("arn:aws:iam::999999999999:user/stranger"))
    assert failure(FEDERATED, resources(AWS)) is NoIdentityError


@pytest.mark.usefixtures("cloud")
def test_a_process_without_an_aws_identity_is_no_identity(resources: With) -> None:
    assert failure(FEDERATED, resources(AWS)) is NoIdentityError


def test_an_aws_identity_that_can_not_be_told_ends_the_walk(
    cloud: Cloud, resources: With, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(monkeypatch, cloud.issue_session(cloud.roles[ROLE], name="pod", seconds=900))
    cloud.faults["sts.GetCallerIdentity"].error = Failure(403, "AccessDenied", "c4n4ry")
    with pytest.raises(TrustDeniedError, match="AWS does not say who the process is") as caught:
        minter(FEDERATED, resources(AWS)).walk(lambda name, detail: None)
    assert "c4n4ry" not in told(caught.value)


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({}, "us-east-1"),
    ],
    ids=["AWS_REGION", "AWS_DEFAULT_REGION", "none"],
)
def test_the_signed_call_is_what_google_auth_would_send_and_names_its_reader_under_the_signature(
    cloud: Cloud,
    resources: With,
    monkeypatch: pytest.MonkeyPatch,
    variables: Mapping[str, str],
    region: str,
) -> None:
    key = cloud.issue_session(cloud.roles[ROLE], name="pod", seconds=900)
    become(monkeypatch, key)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = resources(AWS)
    token = AwsSubject(ACME_AWS, None, made.aws).token(made.http.within(5))
    ours, theirs = _SignedCall.model_validate_json(unquote(token.reveal())), _signed_by_google_auth(region)
    assert (ours.url, ours.method) == (theirs.url, theirs.method)
    assert ours.named.keys() == theirs.named.keys()
    for name in ("host", "x-amz-security-token", "x-goog-cloud-target-resource"):
        assert ours.named[name] == theirs.named[name]
    assert urlsplit(ours.url).netloc == ours.named["host"] == f"sts.{region}.amazonaws.com"
    assert "x-goog-cloud-target-resource" in ours.named["authorization"]


class _SignedCall(BaseModel):
    url: str
    method: str
    headers: list[dict[str, str]]

    @property
    def named(self) -> dict[str, str]:
        return {each["key"].lower(): each["value"] for each in self.headers}


class _Environment(reference.AwsSecurityCredentialsSupplier):
    def __init__(self, region: str) -> None:
        self.region = region

    def get_aws_security_credentials(self, context: object, request: object) -> reference.AwsSecurityCredentials:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        return reference.AwsSecurityCredentials(*(os.environ[name] for name in names))

    def get_aws_region(self, context: object, request: object) -> str:
        return self.region


def _signed_by_google_auth(region: str) -> _SignedCall:
    credentials = reference.Credentials(
        ACME_AWS, AWS["subject_token_type"], aws_security_credentials_supplier=_Environment(region)
    )
    token = credentials.retrieve_subject_token(None)
    return _SignedCall.model_validate_json(unquote(token))
