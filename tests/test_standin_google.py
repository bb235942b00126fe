"""The stand-in's Google endpoints, asked by google-auth itself, and their tokens, checked by a registry."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
import pytest
import urllib3
from google.auth import crypt, jwt
from google.auth.exceptions import RefreshError
from google.auth.impersonated_credentials import Credentials as Impersonated
from google.auth.transport.urllib3 import Request
from google.oauth2.service_account import Credentials as KeyCredentials
from support.standin import HTTP, OffsetClock, cleaned

from ecrmint.standin.cloud import METADATA_CACHE, UNIVERSE, Cloud
from ecrmint.standin.faults import Call, Failure
from ecrmint.standin.iamcredentials import service_disabled
from ecrmint.standin.metadata import NOT_BOUND
from ecrmint.standin.oauth import GRANT
from ecrmint.standin.server import StandinServer

CI = "ci@acme.iam.gserviceaccount.com"
MIDDLE = "middle@acme.iam.gserviceaccount.com"
PULL = "pull@acme.iam.gserviceaccount.com"
LONG = "long@acme.iam.gserviceaccount.com"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
READ_ONLY = f"{CLOUD_PLATFORM}.read-only"
HOST = "europe-docker.pkg.dev"
HEADER = {"Metadata-Flavor": "Google"}
Key = Mapping[str, str]


@dataclass(frozen=True)
class Minted:
    """What google-auth got: a token, and the seconds that it has left."""

    token: str
    left: float


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    for email in (CI, MIDDLE, PULL):
        cloud.add_service_account(email)
    cloud.add_service_account(LONG, max_lifetime=43200)
    cloud.allow_impersonation(CI, LONG)
    cloud.allow_impersonation(CI, MIDDLE)
    cloud.allow_impersonation(MIDDLE, PULL)
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture(scope="module")
def key(server: StandinServer) -> Key:
    return server.cloud.create_key(CI, token_uri=f"{server.url}/token")


@pytest.fixture
def cloud(server: StandinServer) -> Iterator[Cloud]:
    with cleaned(server.cloud) as cloud:
        cloud.set_metadata_identity(CI)
        yield cloud


@pytest.fixture
def source(key: Key, cloud: Cloud) -> KeyCredentials:
    return credentials(key, "https://www.googleapis.com/auth/iam")


def credentials(key: Key, *scopes: str) -> KeyCredentials:
    made: KeyCredentials = KeyCredentials.from_service_account_info(key, scopes=scopes)
    return made


def mint(made: KeyCredentials | Impersonated) -> Minted:
    with urllib3.PoolManager(retries=False) as pool:
        made.refresh(Request(pool))  # type: ignore[no-untyped-call]
    assert made.token is not None
    assert made.expiry is not None
    return Minted(made.token, made.expiry.replace(tzinfo=UTC).timestamp() - time.time())


def impersonated(
    server: StandinServer,
    source: KeyCredentials,
    email: str,
    *,
    delegates: list[str] | None = None,
    lifetime: int = 3600,
) -> Impersonated:
    return Impersonated(
        source,
        email,
        [READ_ONLY],
        delegates=delegates,
        lifetime=lifetime,
        iam_endpoint_override=f"{server.url}/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
    )


def seconds_until(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() - time.time()


def ping(server: StandinServer, token: str, *, host: str = HOST, username: str = "oauth2accesstoken") -> int:
    return HTTP.get(f"{server.url}/v2/", headers={"Host": host}, auth=(username, token)).status_code


def metadata(server: StandinServer, path: str, *, headers: Mapping[str, str] = HEADER) -> httpx2.Response:
    return HTTP.get(f"{server.url}/computeMetadata/v1/{path}", headers=headers)


def generate(server: StandinServer, token: str, body: object, *, email: str = MIDDLE) -> httpx2.Response:
    url = f"{server.url}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    return HTTP.post(url, json=body, headers={"Authorization": f"Bearer {token}"})


def machine_token(server: StandinServer) -> str:
    return str(metadata(server, "instance/service-accounts/default/token").json()["access_token"])


def test_a_key_gets_an_hours_token_that_opens_the_registry(server: StandinServer, cloud: Cloud, key: Key) -> None:
    made = mint(credentials(key, READ_ONLY))
    assert 3590 < made.left <= 3600
    assert ping(server, made.token) == 200
    assert cloud.calls == [Call("google.token", CI, ""), Call("registry.v2", "oauth2accesstoken", HOST)]


@pytest.mark.parametrize(
    "host", ["gcr.io", "eu.gcr.io", "europe-west1-docker.pkg.dev", "docker.europe-west1.rep.pkg.dev"]
)
def test_a_token_opens_every_google_registry(server: StandinServer, cloud: Cloud, host: str) -> None:
    assert ping(server, machine_token(server), host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["mirror.gcr.io", "evil.example", "gcr.io.evil.example", "xgcr.io", "111111111111.dkr.ecr.eu-west-1.amazonaws.com"],
)
def test_a_token_opens_nothing_else(server: StandinServer, cloud: Cloud, host: str) -> None:
    assert ping(server, machine_token(server), host=host) == 401


def test_a_token_needs_its_user_name_its_scope_and_its_time(server: StandinServer, cloud: Cloud, key: Key) -> None:
    made = mint(credentials(key, "https://www.googleapis.com/auth/devstorage.read_only"))
    assert ping(server, made.token) == 401
    made = mint(credentials(key, READ_ONLY))
    assert ping(server, made.token, username="AWS") == 401
    assert ping(server, made.token[:-1]) == 401
    cloud.clock = OffsetClock(3601)
    assert ping(server, made.token) == 401


def assertion(key: Key, **changes: object) -> str:
    now = int(time.time())
    claims = {
        "iss": CI,
        "aud": "https://oauth2.googleapis.com/token",
        "scope": READ_ONLY,
        "iat": now,
        "exp": now + 3600,
        **changes,
    }
    signer = crypt.RSASigner.from_service_account_info(key)
    made: bytes = jwt.encode(signer, claims)
    return made.decode()


def grant(server: StandinServer, text: str, *, grant_type: str = GRANT) -> tuple[int, str]:
    answer = HTTP.post(f"{server.url}/token", data={"grant_type": grant_type, "assertion": text})
    return answer.status_code, answer.json().get("error", "")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, ""),
        ({"iss": "stranger@acme.iam.gserviceaccount.com"}, "invalid_grant"),
        ({"iss": PULL}, "invalid_grant"),
        ({"aud": "https://oauth2.googleapis.com/other"}, "invalid_grant"),
        ({"exp": 1}, "invalid_grant"),
        ({"exp": int(time.time()) + 7200}, "invalid_grant"),
        ({"iat": int(time.time()) + 1000}, "invalid_grant"),
        ({"iat": None}, "invalid_grant"),
        ({"scope": ""}, "invalid_scope"),
    ],
    ids=["good", "unknown", "another's", "audience", "expired", "too long", "from the future", "no start", "no scope"],
)
def test_an_assertion_is_checked(
    server: StandinServer, cloud: Cloud, key: Key, changes: dict[str, object], error: str
) -> None:
    assert grant(server, assertion(key, **changes)) == (400 if error else 200, error)


def test_an_assertion_with_a_signature_that_does_not_hold_is_refused(
    server: StandinServer, cloud: Cloud, key: Key
) -> None:
    header, claims, signature = assertion(key).split(".")
    _, other_claims, _ = assertion(key, scope=CLOUD_PLATFORM).split(".")
    assert grant(server, f"{header}.{other_claims}.{signature}") == (400, "invalid_grant")
    assert grant(server, f"{header}.{claims}.") == (400, "invalid_grant")
    assert grant(server, "nonsense") == (400, "invalid_grant")
    assert grant(server, "WzFd.WzFd.WzFd") == (400, "invalid_grant")


def self_signed(key: Key) -> str:
    made = credentials(key, READ_ONLY, "https://www.googleapis.com/auth/iam")
    made = made.with_always_use_jwt_access(True)
    made._create_self_signed_jwt(None)
    made.refresh(None)
    return str(made.token)


def signed(key: Key, **changes: object) -> str:
    now = int(time.time())
    claims = {"iss": CI, "sub": CI, "scope": READ_ONLY, "iat": now, "exp": now + 3600, **changes}
    signer = crypt.RSASigner.from_service_account_info(key)
    made: bytes = jwt.encode(signer, claims)
    return made.decode()


def test_a_key_signs_a_login_of_its_own(server: StandinServer, cloud: Cloud, key: Key) -> None:
    token = self_signed(key)
    assert ping(server, token) == 200
    assert generate(server, token, {"scope": [READ_ONLY]}).status_code == 200
    cloud.clock = OffsetClock(3601)
    assert ping(server, token) == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"iss": "stranger@acme.iam.gserviceaccount.com"}, 401),
        ({"iss": PULL}, 401),
        ({"aud": "https://artifactregistry.googleapis.com/"}, 401),
        ({"scope": "openid"}, 401),
        ({"exp": int(time.time()) + 7200}, 401),
        ({"exp": "never"}, 401),
    ],
)
def test_what_a_key_signed_for_itself_is_checked(
    server: StandinServer, cloud: Cloud, key: Key, changes: dict[str, object], status: int
) -> None:
    assert ping(server, signed(key, **changes)) == status


def test_another_grant_is_refused(server: StandinServer, cloud: Cloud, key: Key) -> None:
    assert grant(server, assertion(key), grant_type="refresh_token") == (400, "unsupported_grant_type")


def test_a_key_that_was_made_for_another_cloud_is_refused(server: StandinServer, cloud: Cloud) -> None:
    other = Cloud()
    other.add_service_account(CI)
    made = credentials(other.create_key(CI, token_uri=f"{server.url}/token"), READ_ONLY)
    with pytest.raises(RefreshError, match="invalid_grant: Invalid JWT Signature"):
        mint(made)


def test_a_permitted_caller_impersonates(server: StandinServer, cloud: Cloud, source: KeyCredentials) -> None:
    made = mint(impersonated(server, source, MIDDLE))
    assert 3590 < made.left <= 3600
    assert ping(server, made.token) == 200
    assert cloud.calls_to("google.generateAccessToken") == [Call("google.generateAccessToken", CI, MIDDLE)]


def test_a_chain_of_delegates_is_followed_link_by_link(
    server: StandinServer, cloud: Cloud, source: KeyCredentials
) -> None:
    made = mint(impersonated(server, source, PULL, delegates=[f"projects/-/serviceAccounts/{MIDDLE}"]))
    assert ping(server, made.token) == 200


@pytest.mark.parametrize(
    ("email", "delegate", "status"),
    [
        (PULL, None, "PERMISSION_DENIED"),
        (PULL, f"projects/-/serviceAccounts/{LONG}", "PERMISSION_DENIED"),
        (PULL, f"projects/acme/serviceAccounts/{MIDDLE}", "PERMISSION_DENIED"),
        (PULL, "projects/-/serviceAccounts/none@acme.iam.gserviceaccount.com", "PERMISSION_DENIED"),
        ("none@acme.iam.gserviceaccount.com", None, "NOT_FOUND"),
    ],
    ids=["not permitted", "broken chain", "form of a delegate", "unknown delegate", "unknown target"],
)
def test_who_is_not_permitted_is_refused(
    server: StandinServer, source: KeyCredentials, email: str, delegate: str | None, status: str
) -> None:
    made = impersonated(server, source, email, delegates=[delegate] if delegate else None)
    with pytest.raises(RefreshError, match=status):
        mint(made)


def test_acting_as_oneself_must_be_permitted_too(server: StandinServer, cloud: Cloud) -> None:
    asked = {"scope": [READ_ONLY]}
    assert generate(server, machine_token(server), asked, email=CI).status_code == 403
    cloud.allow_impersonation(CI, CI)
    answer = generate(server, machine_token(server), asked, email=CI)
    cloud.service_accounts[CI].impersonators.discard(CI)
    assert answer.status_code == 200
    assert ping(server, answer.json()["accessToken"]) == 200


def test_a_refusal_names_the_missing_permission_as_google_does(server: StandinServer, cloud: Cloud) -> None:
    answer = generate(server, machine_token(server), {"scope": [READ_ONLY]}, email=PULL)
    assert (answer.status_code, answer.json()) == (
        403,
        {
            "error": {
                "code": 403,
                "message": "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
                "status": "PERMISSION_DENIED",
                "details": [
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "IAM_PERMISSION_DENIED",
                        "domain": "iam.googleapis.com",
                        "metadata": {"permission": "iam.serviceAccounts.getAccessToken"},
                    }
                ],
            }
        },
    )


def test_an_api_that_is_off_says_so(server: StandinServer, cloud: Cloud) -> None:
    cloud.faults["google.generateAccessToken"].error = service_disabled(123456789012)
    answer = generate(server, machine_token(server), {"scope": [READ_ONLY]})
    detail = answer.json()["error"]["details"][0]
    assert (answer.status_code, detail["reason"]) == (403, "SERVICE_DISABLED")
    assert detail["metadata"] == {"service": "iamcredentials.googleapis.com", "consumer": "projects/123456789012"}


def test_twelve_hours_are_given_where_the_account_is_listed(
    server: StandinServer, cloud: Cloud, source: KeyCredentials
) -> None:
    made = mint(impersonated(server, source, LONG, lifetime=43200))
    assert 43190 < made.left <= 43200
    with pytest.raises(RefreshError, match="INVALID_ARGUMENT"):
        mint(impersonated(server, source, MIDDLE, lifetime=3601))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": [READ_ONLY]}, 200),
        ({"scope": [READ_ONLY], "lifetime": "300s", "delegates": []}, 200),
        ({"scope": []}, 400),
        ({"scope": READ_ONLY}, 400),
        ({"scope": [1]}, 400),
        ({"scope": [READ_ONLY], "lifetime": "1h"}, 400),
        ({"scope": [READ_ONLY], "lifetime": "0s"}, 400),
        ({"scope": [READ_ONLY], "lifetime": 3600}, 400),
        ({"scope": [READ_ONLY], "more": 1}, 400),
        ([], 400),
    ],
)
def test_a_wish_is_checked(server: StandinServer, cloud: Cloud, body: object, status: int) -> None:
    assert generate(server, machine_token(server), body).status_code == status


def test_a_wish_that_is_not_json_is_refused(server: StandinServer, cloud: Cloud) -> None:
    url = f"{server.url}/v1/projects/-/serviceAccounts/{MIDDLE}:generateAccessToken"
    headers = {"Authorization": f"Bearer {machine_token(server)}"}
    assert HTTP.post(url, content="scope=all", headers=headers).status_code == 400


def test_the_expiry_has_whole_seconds(server: StandinServer, cloud: Cloud) -> None:
    answer = generate(server, machine_token(server), {"scope": [READ_ONLY], "lifetime": "300s"}).json()
    assert abs(seconds_until(answer["expireTime"]) - 299.5) < 5


def test_only_a_live_token_with_the_right_scope_may_impersonate(server: StandinServer, cloud: Cloud, key: Key) -> None:
    assert generate(server, "ya29.none", {"scope": [READ_ONLY]}).status_code == 401
    narrow = mint(credentials(key, READ_ONLY))
    answer = generate(server, narrow.token, {"scope": [READ_ONLY]})
    assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    old = machine_token(server)
    cloud.clock = OffsetClock(3601)
    answer = generate(server, old, {"scope": [READ_ONLY]})
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("name", ["default", CI])
def test_the_metadata_server_says_who_the_machine_is(server: StandinServer, cloud: Cloud, name: str) -> None:
    account = f"instance/service-accounts/{name}"
    info = metadata(server, f"{account}/?recursive=true")
    assert info.json() == {"aliases": ["default"], "email": CI, "scopes": [CLOUD_PLATFORM]}
    assert metadata(server, f"{account}/email").text == CI
    assert metadata(server, "universe/universe-domain").text == "googleapis.com"
    assert metadata(server, "project/project-id").text == "acme"
    assert info.headers["metadata-flavor"] == "Google"
    assert HTTP.get(server.url, headers=HEADER).headers["metadata-flavor"] == "Google"


def test_the_metadata_servers_token_is_the_same_until_its_last_minutes(server: StandinServer, cloud: Cloud) -> None:
    first = metadata(server, "instance/service-accounts/default/token").json()
    cloud.clock = OffsetClock(3200)
    second = metadata(server, f"instance/service-accounts/{CI}/token?scopes={READ_ONLY}").json()
    cloud.clock = OffsetClock(3350)
    third = metadata(server, "instance/service-accounts/default/token").json()
    assert first["access_token"] == second["access_token"] != third["access_token"]
    assert first["token_type"] == "Bearer"
    assert (second["expires_in"] < 410, 3590 < third["expires_in"] <= 3600) == (True, True)
    assert ping(server, third["access_token"]) == 200


def test_a_metadata_token_may_be_near_its_end(server: StandinServer, cloud: Cloud) -> None:
    cloud.metadata_cache = 0
    cloud.faults["google.metadata"].life = 200
    first, second = (metadata(server, "instance/service-accounts/default/token").json() for _ in range(2))
    cloud.metadata_cache = METADATA_CACHE
    third = metadata(server, "instance/service-accounts/default/token").json()
    assert first["access_token"] == second["access_token"] != third["access_token"]
    assert 190 < second["expires_in"] <= 200


def test_a_pod_without_a_service_account_of_googles_is_a_principal(server: StandinServer, cloud: Cloud) -> None:
    principal = cloud.set_gke_identity("acme", number=123456789012, namespace="drone", name="ecrmint")
    pool = "iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/acme.svc.id.goog"
    assert principal == f"principal://{pool}/subject/ns/drone/sa/ecrmint"
    assert metadata(server, "instance/service-accounts/default/email").text == "acme.svc.id.goog"
    assert metadata(server, "project/project-id").text == "acme"
    assert ping(server, machine_token(server)) == 200
    assert generate(server, machine_token(server), {"scope": [READ_ONLY]}).status_code == 403
    cloud.allow_impersonation(principal, MIDDLE)
    assert generate(server, machine_token(server), {"scope": [READ_ONLY]}).status_code == 200
    assert cloud.calls_to("google.generateAccessToken")[-1].caller == principal


def test_gkes_server_says_that_nobody_bound_the_pod(server: StandinServer, cloud: Cloud) -> None:
    cloud.faults["google.metadata"].error = NOT_BOUND
    answer = metadata(server, "instance/service-accounts/default/token")
    assert (answer.status_code, "iam.serviceAccounts.getAccessToken" in answer.text) == (403, True)


def test_another_universe_has_registries_of_its_own(server: StandinServer, cloud: Cloud) -> None:
    cloud.universe_domain = "s3nsapis.fr"
    cloud.add_google_host("docker.s3nsregistry.fr")
    told = metadata(server, "universe/universe-domain").text
    statuses = [ping(server, machine_token(server), host=host) for host in ("docker.s3nsregistry.fr", HOST)]
    cloud.universe_domain = UNIVERSE
    cloud.google_hosts.clear()
    assert (told, statuses) == ("s3nsapis.fr", [200, 401])


def test_a_host_of_ones_own_takes_tokens_where_it_was_added(server: StandinServer, cloud: Cloud) -> None:
    before = ping(server, machine_token(server), host="docker.acme.example")
    cloud.add_google_host("docker.acme.example")
    after = ping(server, machine_token(server), host="docker.acme.example")
    cloud.google_hosts.clear()
    assert (before, after) == (401, 200)


@pytest.mark.parametrize("headers", [{}, {"Metadata-Flavor": "AWS"}], ids=["none", "other"])
def test_without_its_header_the_metadata_server_tells_nothing(
    server: StandinServer, cloud: Cloud, headers: dict[str, str]
) -> None:
    answer = metadata(server, "instance/service-accounts/default/token", headers=headers)
    assert answer.status_code == 403
    assert "ya29" not in answer.text


def test_a_machine_without_an_identity_has_no_token(server: StandinServer, cloud: Cloud) -> None:
    cloud.set_metadata_identity("")
    assert metadata(server, "instance/service-accounts/default/token").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["instance/service-accounts/", "instance/service-accounts/default/identity", "instance/service-accounts/default/"],
)
def test_other_metadata_is_501(server: StandinServer, cloud: Cloud, path: str) -> None:
    assert metadata(server, path).status_code == 501


def test_a_call_that_nobody_should_make_is_501_and_recorded(server: StandinServer, cloud: Cloud) -> None:
    path = f"/v1/projects/-/serviceAccounts/{CI}:signBlob"
    assert HTTP.post(f"{server.url}{path}").status_code == 501
    assert cloud.calls == [Call("unknown", "", f"POST {path}")]


@pytest.mark.parametrize(
    "resource", [f"-/serviceAccounts/{CI}", "123456789012/locations/global/workloadIdentityPools/acme-aws"]
)
def test_there_is_no_regional_boundary_to_look_up(server: StandinServer, cloud: Cloud, resource: str) -> None:
    headers = {"Authorization": f"Bearer {machine_token(server)}"}
    answer = HTTP.get(f"{server.url}/v1/projects/{resource}/allowedLocations", headers=headers)
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert cloud.calls_to("google.allowedLocations") == [Call("google.allowedLocations", CI, resource)]


def test_faults_come_in_googles_shapes(server: StandinServer, cloud: Cloud, key: Key) -> None:
    token = machine_token(server)
    cloud.faults["google.metadata"].error = Failure(503, "UNAVAILABLE", "starting")
    cloud.faults["google.token"].throttles = 1
    cloud.faults["google.generateAccessToken"].throttles = 1
    assert metadata(server, "universe/universe-domain").text == "starting"
    assert grant(server, assertion(key)) == (429, "rate_limit_exceeded")
    answer = generate(server, token, {"scope": [READ_ONLY]})
    assert answer.json() == {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
    assert generate(server, token, {"scope": [READ_ONLY]}).status_code == 200


def test_lifetimes_can_be_cut(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["google.token"].life = 30
    cloud.faults["google.generateAccessToken"].life = 30
    granted = HTTP.post(f"{server.url}/token", data={"grant_type": GRANT, "assertion": assertion(key)}).json()
    answer = generate(server, machine_token(server), {"scope": [READ_ONLY]}).json()
    assert granted["expires_in"] == 30
    assert seconds_until(answer["expireTime"]) <= 30
    cloud.clock = OffsetClock(31)
    assert [ping(server, text) for text in (granted["access_token"], answer["accessToken"])] == [401, 401]
