"""The stand-in's workload identity federation, asked by google-auth with tokens of files, URLs and AWS."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import urllib3
from google.auth import aws, exceptions, identity_pool
from google.auth.transport.urllib3 import Request
from support.standin import HTTP, OffsetClock, cleaned, ping

from ecrmint.standin import jwt, malformed
from ecrmint.standin.cloud import AccessKey, Cloud
from ecrmint.standin.faults import Call, Failure
from ecrmint.standin.malformed import Alteration
from ecrmint.standin.server import StandinServer
from ecrmint.standin.token_exchange import ACCESS_TOKEN, GRANT
from ecrmint.standin.workload_identity import AWS_REQUEST, ID_TOKEN, JWT, OidcPoolProvider

POOL = "iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/acme-ci"
OIDC = f"//{POOL}/providers/jobs"
AWS = f"//{POOL}/providers/acme-aws"
ISSUER = "https://ci.acme.example"
ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ecrmint"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/ecrmint/pod"
PULL = "pull@acme.iam.gserviceaccount.com"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
READ_ONLY = f"{CLOUD_PLATFORM}.read-only"
HOST = "europe-docker.pkg.dev"
Credentials = identity_pool.Credentials | aws.Credentials
Form = Mapping[str, str | None]


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_service_account(PULL)
    cloud.add_role(ROLE, trust=[])
    cloud.add_oidc_pool_provider(OIDC, ISSUER)
    cloud.add_aws_pool_provider(AWS, ACCOUNT, subjects="arn:aws:sts::*:assumed-role/*")
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture
def cloud(server: StandinServer) -> Iterator[Cloud]:
    with cleaned(server.cloud) as cloud:
        yield cloud
        cloud.service_accounts[PULL].impersonators.clear()
        cloud.subject_token = None


@pytest.fixture
def provider(cloud: Cloud) -> OidcPoolProvider:
    found = cloud.pool_providers[OIDC]
    assert isinstance(found, OidcPoolProvider)
    return found


@pytest.fixture
def session(cloud: Cloud) -> AccessKey:
    return cloud.issue_session(cloud.roles[ROLE], name="pod", seconds=900)


class Supplier(aws.AwsSecurityCredentialsSupplier):
    """Gives one key."""

    def __init__(self, key: AccessKey) -> None:
        self.key = key

    def get_aws_security_credentials(self, context: object, request: object) -> aws.AwsSecurityCredentials:
        token = self.key.session_token.reveal() or None
        return aws.AwsSecurityCredentials(self.key.id, self.key.secret.reveal(), token)

    def get_aws_region(self, context: object, request: object) -> str:
        return "eu-west-1"


def mint(made: Credentials) -> tuple[str, float]:
    """Return google-auth's token, and the seconds that it has left."""
    with urllib3.PoolManager(retries=False) as pool:
        made.refresh(Request(pool))  # type: ignore[no-untyped-call]
    assert made.token is not None
    assert made.expiry is not None
    return made.token, made.expiry.replace(tzinfo=UTC).timestamp() - time.time()


def external(
    server: StandinServer, source: object, *, kind: str = JWT, impersonated: bool = False
) -> identity_pool.Credentials:
    url = f"{server.url}/v1/projects/-/serviceAccounts/{PULL}:generateAccessToken"
    info = {
        "audience": OIDC,
        "subject_token_type": kind,
        "token_url": f"{server.url}/v1/token",
        "credential_source": source,
        **({"service_account_impersonation_url": url} if impersonated else {}),
    }
    made: identity_pool.Credentials = identity_pool.Credentials.from_info(info, scopes=[CLOUD_PLATFORM])
    return made


def from_aws(server: StandinServer, key: AccessKey, audience: str = AWS) -> aws.Credentials:
    return aws.Credentials(
        audience,
        AWS_REQUEST,
        f"{server.url}/v1/token",
        aws_security_credentials_supplier=Supplier(key),
        scopes=[CLOUD_PLATFORM],
    )


def signed_call(key: AccessKey, audience: str = AWS) -> dict[str, object]:
    """Return the call that google-auth signs, decoded."""
    text = aws.Credentials(
        audience, AWS_REQUEST, aws_security_credentials_supplier=Supplier(key)
    ).retrieve_subject_token(None)
    decoded: dict[str, object] = json.loads(unquote(text))
    return decoded


def exchange(server: StandinServer, token: str, **changes: str | None) -> tuple[int, str]:
    """Return status and error code of an exchange; None leaves a parameter out."""
    form: Form = {
        "grant_type": GRANT,
        "audience": OIDC,
        "scope": CLOUD_PLATFORM,
        "requested_token_type": ACCESS_TOKEN,
        "subject_token_type": JWT,
        "subject_token": token,
        **changes,
    }
    answer = HTTP.post(f"{server.url}/v1/token", data={name: value for name, value in form.items() if value})
    return answer.status_code, answer.json().get("error", "")


def exchange_aws(server: StandinServer, call: object) -> tuple[int, str]:
    return exchange(server, quote(json.dumps(call)), audience=AWS, subject_token_type=AWS_REQUEST)


@pytest.mark.parametrize("kind", [JWT, ID_TOKEN], ids=["jwt", "id_token"])
def test_a_token_in_a_file_becomes_a_login(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "token"
    file.write_text(provider.token(sub="job-7"))
    token, left = mint(external(server, {"file": str(file)}, kind=kind))
    assert 3590 < left <= 3600
    assert ping(server.url, HOST, ("oauth2accesstoken", token)) == 200
    assert cloud.calls_to("google.sts") == [Call("google.sts", "job-7", OIDC)]


@pytest.mark.parametrize(
    "source",
    [
        {"url": "/subject-token"},
        {"url": "/subject-token.json", "format": {"type": "json", "subject_token_field_name": "value"}},
    ],
    ids=["text", "JSON"],
)
def test_a_token_from_a_url_becomes_a_login(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider, source: dict[str, object]
) -> None:
    cloud.subject_token = lambda: provider.token(sub="job-7")
    token, _ = mint(external(server, {**source, "url": f"{server.url}{source['url']}"}))
    assert ping(server.url, HOST, ("oauth2accesstoken", token)) == 200
    assert [call.api for call in cloud.calls] == ["oidc.token", "google.sts", "registry.v2"]


def test_where_no_workload_is_known_its_url_has_no_token(server: StandinServer, cloud: Cloud) -> None:
    assert HTTP.get(f"{server.url}/subject-token").status_code == 404


def test_a_federated_token_ends_with_the_token_that_it_was_made_of(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider
) -> None:
    cloud.subject_token = lambda: provider.token(sub="job-7", seconds=300)
    _, left = mint(external(server, {"url": f"{server.url}/subject-token"}))
    assert 290 < left <= 300


@pytest.mark.parametrize("caller", [f"principal://{POOL}/subject/job-7", f"principalSet://{POOL}/*"])
def test_a_federated_identity_impersonates_where_a_policy_names_it(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider, caller: str
) -> None:
    cloud.subject_token = lambda: provider.token(sub="job-7", seconds=300)
    made = external(server, {"url": f"{server.url}/subject-token"}, impersonated=True)
    with pytest.raises(exceptions.RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        mint(made)
    cloud.allow_impersonation(caller, PULL)
    _, left = mint(made)
    assert 3590 < left <= 3600
    last = Call("google.generateAccessToken", f"principal://{POOL}/subject/job-7", PULL)
    assert cloud.calls_to("google.generateAccessToken")[-1] == last


def test_an_aws_session_becomes_a_login(server: StandinServer, cloud: Cloud, session: AccessKey) -> None:
    token, left = mint(from_aws(server, session))
    assert 3590 < left <= 3600
    assert ping(server.url, HOST, ("oauth2accesstoken", token)) == 200
    assert cloud.calls_to("google.sts") == [Call("google.sts", SESSION, AWS)]


def test_an_aws_role_is_an_attribute(server: StandinServer, cloud: Cloud, session: AccessKey) -> None:
    token, _ = mint(from_aws(server, session))
    role = f"arn:aws:sts::{ACCOUNT}:assumed-role/ecrmint"
    cloud.allow_impersonation(f"principalSet://{POOL}/attribute.aws_role/{role}", PULL)
    url = f"{server.url}/v1/projects/-/serviceAccounts/{PULL}:generateAccessToken"
    answer = HTTP.post(url, json={"scope": [READ_ONLY]}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


def test_the_long_lived_key_of_a_user_counts_too(server: StandinServer, cloud: Cloud) -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/ci"
    name = f"//{POOL}/providers/users"
    cloud.add_aws_pool_provider(name, ACCOUNT)
    token, _ = mint(from_aws(server, cloud.add_key(user), name))
    cloud.allow_impersonation(f"principalSet://{POOL}/attribute.aws_role/{user}", PULL)
    url = f"{server.url}/v1/projects/-/serviceAccounts/{PULL}:generateAccessToken"
    assert HTTP.post(url, json={"scope": ["x"]}, headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, ""),
        ({"grant_type": None}, "invalid_request"),
        ({"scope": None}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "unsupported_grant_type"),
        ({"requested_token_type": JWT}, "invalid_request"),
        ({"audience": "projects/p/locations/global/workloadIdentityPools/acme-ci/providers/jobs"}, "invalid_request"),
        ({"audience": f"//{POOL}/providers/gone"}, "invalid_target"),
        ({"subject_token_type": AWS_REQUEST}, "invalid_request"),
        ({"subject_token": "nonsense"}, "invalid_grant"),
    ],
)
def test_an_exchange_is_checked(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider, changes: Form, error: str
) -> None:
    expected = (400 if error else 200, error)
    assert exchange(server, provider.token(sub="job-7"), **changes) == expected


def test_an_option_that_is_not_known_is_501(server: StandinServer, cloud: Cloud, provider: OidcPoolProvider) -> None:
    assert exchange(server, provider.token(sub="job-7"), options="{}") == (501, "NotImplemented")


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"aud": f"https:{OIDC}"}, ""),
        ({"aud": ["other", OIDC]}, ""),
        ({"aud": "sts.amazonaws.com"}, "invalid_grant"),
        ({"iss": "https://evil.example"}, "invalid_grant"),
        ({"exp": 1}, "invalid_grant"),
        ({"exp": None}, "invalid_grant"),
        ({"exp": int(time.time()) + 200_000}, "invalid_grant"),
        ({"iat": None}, "invalid_grant"),
        ({"iat": int(time.time()) + 1000}, "invalid_grant"),
        ({"sub": ""}, "invalid_grant"),
        ({"sub": "x" * 128}, "invalid_request"),
    ],
)
def test_a_subject_token_is_checked(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider, claims: dict[str, object], error: str
) -> None:
    token = jwt.sign({**jwt.parse(provider.token(sub="job-7")).claims, **claims}, provider.key)
    assert exchange(server, token) == (400 if error else 200, error)


def test_a_token_that_another_issuer_signed_is_refused(server: StandinServer, cloud: Cloud) -> None:
    other = Cloud().add_oidc_pool_provider(OIDC, ISSUER)
    assert exchange(server, other.token(sub="job-7")) == (400, "invalid_grant")


def test_an_attribute_condition_decides(server: StandinServer, cloud: Cloud) -> None:
    name = f"//{POOL}/providers/main-only"
    provider = cloud.add_oidc_pool_provider(name, ISSUER, subjects="*:main")
    tokens = provider.token(sub="acme:main"), provider.token(sub="acme:other")
    answers = [exchange(server, token, audience=name) for token in tokens]
    assert answers == [(200, ""), (400, "unauthorized_client")]


def test_a_provider_may_be_for_other_audiences(server: StandinServer, cloud: Cloud) -> None:
    name = f"//{POOL}/providers/kubernetes"
    provider = cloud.add_oidc_pool_provider(name, ISSUER, audiences=["ecrmint"])
    assert exchange(server, provider.token(sub="pod"), audience=name) == (200, "")
    assert exchange(server, provider.token(sub="pod", aud=name), audience=name) == (400, "invalid_grant")


def header(call: dict[str, object], name: str, value: str | None) -> dict[str, object]:
    """Return the call with another value of that header, or without it."""
    headers = call["headers"]
    assert isinstance(headers, list)
    kept = [each for each in headers if each["key"] != name]
    return {**call, "headers": [*kept, *([{"key": name, "value": value}] if value else [])]}


ASKED = "Action=GetCallerIdentity&Version=2011-06-15"
TAMPERED: Mapping[str, Callable[[dict[str, object]], object]] = {
    "no JSON object": lambda _: [],
    "another method": lambda call: {**call, "method": "GET"},
    "a body": lambda call: {**call, "data": ASKED},
    "plain http": lambda call: {**call, "url": f"http://sts.eu-west-1.amazonaws.com?{ASKED}"},
    "another host": lambda call: {**call, "url": f"https://sts.evil.example?{ASKED}"},
    "two hosts": lambda call: header(call, "host", "sts.amazonaws.com"),
    "another action": lambda call: {
        **call,
        "url": "https://sts.eu-west-1.amazonaws.com?Action=GetSessionToken&Version=2011-06-15",
    },
    "another path": lambda call: {**call, "url": f"https://sts.eu-west-1.amazonaws.com/x?{ASKED}"},
    "no target": lambda call: header(call, "x-goog-cloud-target-resource", None),
    "another target": lambda call: header(call, "x-goog-cloud-target-resource", OIDC),
    "no session token": lambda call: header(call, "x-amz-security-token", None),
    "another date": lambda call: header(call, "x-amz-date", "20200101T000000Z"),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_signed_call_is_checked(
    server: StandinServer, cloud: Cloud, session: AccessKey, tamper: Callable[[dict[str, object]], object]
) -> None:
    call = signed_call(session)
    assert exchange_aws(server, call) == (200, "")
    assert exchange_aws(server, tamper(call)) == (400, "invalid_grant")


def test_what_aws_refuses_is_told(server: StandinServer, cloud: Cloud, session: AccessKey) -> None:
    call = signed_call(session)
    cloud.clock = OffsetClock(901)
    with pytest.raises(exceptions.OAuthError, match="AWS response of type ExpiredToken"):
        mint(from_aws(server, session))
    cloud.clock = OffsetClock()
    assert exchange_aws(server, call) == (200, "")


def test_only_the_accounts_own_callers_are_taken_and_only_roles(server: StandinServer, cloud: Cloud) -> None:
    other = "arn:aws:iam::999999999999:role/ecrmint"
    cloud.add_role(other, trust=[])
    stranger = cloud.issue_session(cloud.roles[other], name="pod", seconds=900)
    user = cloud.add_key(f"arn:aws:iam::{ACCOUNT}:user/ci")
    answers = [exchange_aws(server, signed_call(key)) for key in (stranger, user)]
    assert answers == [(400, "invalid_grant"), (400, "unauthorized_client")]


def test_throttling_and_outages_come_in_the_shape_of_oauth(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider
) -> None:
    cloud.faults["google.sts"].throttles = 1
    cloud.faults["google.sts"].next_errors = [Failure(503, "temporarily_unavailable", "try again")]
    answers = [exchange(server, provider.token(sub="job-7")) for _ in range(3)]
    assert answers == [(429, "rate_limit_exceeded"), (503, "temporarily_unavailable"), (200, "")]


@pytest.mark.parametrize(
    ("alter", "error"),
    [
        (malformed.without("expires_in"), TypeError),
        (malformed.fields(expires_in="soon"), ValueError),
        (malformed.page(503), exceptions.OAuthError),
        (malformed.body(b"{"), ValueError),
    ],
    ids=["no expires_in", "expires_in no number", "a page", "half a body"],
)
def test_an_exchanges_answer_can_be_spoiled(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider, alter: Alteration, error: type[Exception]
) -> None:
    cloud.subject_token = lambda: provider.token(sub="job-7")
    cloud.faults["google.sts"].alter = alter
    with pytest.raises(error):
        mint(external(server, {"url": f"{server.url}/subject-token"}))


def test_google_auth_takes_an_exchange_without_a_token_for_a_success(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider
) -> None:
    cloud.subject_token = lambda: provider.token(sub="job-7")
    cloud.faults["google.sts"].alter = malformed.fields(access_token=None)
    made = external(server, {"url": f"{server.url}/subject-token"})
    with urllib3.PoolManager(retries=False) as pool:
        made.refresh(Request(pool))
    assert made.token is None
    assert made.expiry is not None


def test_google_auth_puts_a_token_that_it_can_not_read_into_its_exception(
    server: StandinServer, cloud: Cloud, provider: OidcPoolProvider
) -> None:
    cloud.subject_token = lambda: provider.token(sub="job-7")
    cloud.allow_impersonation(f"principalSet://{POOL}/*", PULL)
    cloud.faults["google.generateAccessToken"].alter = malformed.fields(expireTime="2030-01-01T00:00:00.123456789Z")
    with pytest.raises(exceptions.RefreshError) as caught:
        mint(external(server, {"url": f"{server.url}/subject-token"}, impersonated=True))
    assert "ya29" in str(caught.value.args)
