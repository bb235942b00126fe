"""Google's logins: exactly the requests that are made, and what each answer comes to."""

import json
from collections.abc import Iterator, Mapping
from time import time
from urllib.parse import parse_qs, parse_qsl

import httpx2
import pytest
import respx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth import jwt
from support.accounts import account, complaint, minter, minters
from support.chain import told
from support.google import (
    FILE,
    FLAVOR,
    IAM,
    METADATA,
    PULL,
    READ_ONLY,
    TOKEN_URL,
    granted,
    iam_url,
    impersonated,
    requests,
    with_file,
)

from ecrmint.errors import (
    ClockSkewError,
    CloudError,
    MalformedAnswerError,
    MintError,
    MintTimeoutError,
    NoIdentityError,
    ThrottledError,
    TrustDeniedError,
    UnreachableError,
)
from ecrmint.minters import Endpoints, Resources, _http, _retry, google
from ecrmint.standin.service_account import ServiceAccount
from ecrmint.tokens import Login, Secret

CANARY = "ya29.c4n4ryc4n4ryc4n4ry"
SOURCE_CANARY = "ya29.s0urces0urces0urce"
METADATA_URL = f"{METADATA}/token"
IAM_URL = iam_url(PULL)

OWN: Mapping[str, object] = {"type": "google", "registries": ("europe-docker.pkg.dev", "eu.gcr.io")}
KEY: Mapping[str, object] = {**OWN, "credentials_file": FILE.file}
TARGET: Mapping[str, object] = {**OWN, "service_account": PULL}
KINDS = "service_account, external_account, impersonated_service_account"


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    return ServiceAccount("ci@acme.iam.gserviceaccount.com", 3600).create_key(TOKEN_URL)


@pytest.fixture
def resources(key: dict[str, str]) -> Resources:
    return with_file(json.dumps(key))


@pytest.fixture
def cloud() -> Iterator[respx.Router]:
    """Google's three APIs, all of them willing. A request to any other address fails the test."""
    with respx.mock(using="httpcore2", assert_all_called=False) as router:  # pytest-httpx2 brings that name
        router.get(METADATA_URL, name="metadata").respond(json=granted(SOURCE_CANARY), headers=FLAVOR)
        router.post(TOKEN_URL, name="token").respond(json=granted(SOURCE_CANARY))
        router.post(IAM_URL, name="iam").respond(json=impersonated(CANARY))
        yield router


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between two tries, which nobody waits for here."""
    slept: list[float] = []
    monkeypatch.setattr(_retry, "sleep", slept.append)
    return slept


ED25519 = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def asked(cloud: respx.Router) -> list[str]:
    return [f"{request.method} {str(request.url).partition('?')[0]}" for request in requests(cloud)]


def answer(cloud: respx.Router, name: str, body: object, *, status: int = 200) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    cloud[name].respond(status, content=content, headers=FLAVOR)


def failure(fields: Mapping[str, object], resources: Resources) -> MintError:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    text = told(caught.value)
    for secret in (CANARY, SOURCE_CANARY, "PRIVATE KEY"):
        assert secret not in text
    return caught.value


# The exact requests


def test_the_metadata_servers_token_is_the_login(cloud: respx.Router, resources: Resources) -> None:
    before = time()
    login = minter(OWN, resources).mint()
    assert (login.username, login.password) == ("oauth2accesstoken", Secret(SOURCE_CANARY))
    assert login.expires_at is not None
    assert before + 3599 <= login.expires_at <= time() + 3599
    assert asked(cloud) == [f"GET {METADATA_URL}"]
    (request,) = requests(cloud)
    assert (request.headers["metadata-flavor"], parse_qs(request.url.query)) == (
        "Google",
        {b"scopes": [READ_ONLY.encode()]},
    )
    assert "authorization" not in request.headers


def test_a_key_is_exchanged_for_a_token(cloud: respx.Router, resources: Resources, key: dict[str, str]) -> None:
    login = minter(KEY, resources).mint()
    assert login.password == Secret(SOURCE_CANARY)
    assert login.expires_at is not None
    assert abs(login.expires_at - (time() + 3599)) < 5
    assert asked(cloud) == [f"POST {TOKEN_URL}"]
    (request,) = requests(cloud)
    form = dict(parse_qsl(request.content.decode()))
    assert form.pop("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(form.pop("assertion"), verify=False)
    assert form == {}
    assert claims["exp"] - claims.pop("iat") == 3600
    assert abs(claims.pop("exp") - 3600 - time()) < 5
    assert claims == {"iss": key["client_email"], "aud": TOKEN_URL, "scope": READ_ONLY}


@pytest.mark.parametrize(
    ("fields", "first"), [(OWN, f"GET {METADATA_URL}"), (KEY, f"POST {TOKEN_URL}")], ids=["metadata", "key"]
)
def test_impersonation_is_one_call_more(
    cloud: respx.Router, resources: Resources, fields: Mapping[str, object], first: str
) -> None:
    login = minter({**fields, "service_account": PULL}, resources).mint()
    assert login.password == Secret(CANARY)
    assert login.expires_at is not None
    assert abs(login.expires_at - (time() + 3600)) < 5
    assert asked(cloud) == [first, f"POST {IAM_URL}"]
    request = requests(cloud)[1]
    assert json.loads(request.content) == {"scope": [READ_ONLY], "lifetime": "3600s"}
    assert request.headers["authorization"] == f"Bearer {SOURCE_CANARY}"
    assert request.headers["content-type"] == "application/json"


def test_a_source_token_is_only_good_for_impersonation(cloud: respx.Router, resources: Resources) -> None:
    minter(TARGET, resources).mint()
    minter({**KEY, "service_account": PULL}, resources).mint()
    metadata, _, token, _ = requests(cloud)
    assert parse_qs(metadata.url.query) == {b"scopes": [IAM.encode()]}
    assertion = dict(parse_qsl(token.content.decode()))["assertion"]
    assert jwt.decode(assertion, verify=False)["scope"] == IAM


def test_scopes_and_lifetime_are_those_of_the_configuration(cloud: respx.Router, resources: Resources) -> None:
    scopes = (READ_ONLY, "https://www.googleapis.com/auth/devstorage.read_only")
    minter({**TARGET, "scopes": scopes, "lifetime": "12h"}, resources).mint()
    assert json.loads(requests(cloud)[1].content) == {"scope": list(scopes), "lifetime": "43200s"}


def test_every_address_may_be_another(httpx2_mock: respx.Router, key: dict[str, str]) -> None:
    endpoints = Endpoints(
        google_token="https://token.example/t", iamcredentials="https://iam.example", metadata="http://127.0.0.1:1"
    )
    resources = with_file(json.dumps(key), endpoints)
    httpx2_mock.post("https://token.example/t").respond(json=granted(CANARY))
    httpx2_mock.post(f"https://iam.example/v1/projects/-/serviceAccounts/{PULL}:generateAccessToken").respond(
        json=impersonated(CANARY)
    )
    metadata = "http://127.0.0.1:1/computeMetadata/v1/instance/service-accounts/default/token"
    httpx2_mock.get(metadata).respond(json=granted(CANARY), headers=FLAVOR)
    minter({**KEY, "service_account": PULL}, resources).mint()
    minter(OWN, resources).mint()
    assert len(httpx2_mock.calls) == 3


def test_a_fraction_of_a_second_in_an_expiry_is_understood(cloud: respx.Router, resources: Resources) -> None:
    answer(cloud, "iam", impersonated(CANARY, expireTime="2030-01-01T00:00:00.123456789Z"))
    assert minter(TARGET, resources).mint() == Login("oauth2accesstoken", Secret(CANARY), 1893456000.123456)


@pytest.mark.usefixtures("cloud")
def test_the_walk_says_whose_key_it_is_and_as_whom_we_act(resources: Resources) -> None:
    steps: list[tuple[str, str]] = []
    minter({**KEY, "service_account": PULL}, resources).walk(lambda *step: steps.append(step))
    assert steps == [("identity", "ci@acme.iam.gserviceaccount.com"), ("service account", PULL)]


# Whom it is for


def test_all_hosts_share_one_minter(resources: Resources) -> None:
    made = minters(KEY, resources)
    assert (list(made), len(set(made.values()))) == (["europe-docker.pkg.dev", "eu.gcr.io"], 1)


@pytest.mark.parametrize(
    "change",
    [
        {"service_account": f"other-{PULL}"},
        {"lifetime": "30m"},
        {"scopes": ("https://www.googleapis.com/auth/cloud-platform",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_input_of_a_mint_is_part_of_its_key(resources: Resources, change: dict[str, object]) -> None:
    fields = {**KEY, "service_account": PULL}
    assert minter(fields, resources) == minter(fields, resources)
    assert minter(fields, resources) != minter({**fields, **change}, resources)


def test_a_credentials_file_is_part_of_its_key(resources: Resources) -> None:
    assert minter({**KEY, "service_account": PULL}, resources) != minter({**OWN, "service_account": PULL}, resources)


def test_another_key_in_the_same_file_is_another_minter() -> None:
    assert minter(KEY, with_file("one")) != minter(KEY, with_file("two"))


def test_where_the_calls_go_is_part_of_the_key() -> None:
    elsewhere = Resources(endpoints=Endpoints(metadata="http://127.0.0.1:1"))
    assert minter(OWN) != minter(OWN, elsewhere)
    assert minter(TARGET) != minter(TARGET, Resources(endpoints=Endpoints(iamcredentials="https://iam.example")))


def test_the_provider_is_the_type() -> None:
    assert (minter(OWN).account, minter(OWN).provider) == ("prod", "google")


def test_a_minter_does_not_show_its_key(resources: Resources) -> None:
    assert "PRIVATE KEY" not in repr(minter(KEY, resources))


# What goes wrong


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NoIdentityError), (403, TrustDeniedError), (429, ThrottledError), (503, CloudError), (302, CloudError)],
)
def test_a_refusal_of_the_metadata_server(
    cloud: respx.Router, resources: Resources, status: int, kind: type[MintError]
) -> None:
    answer(cloud, "metadata", CANARY.encode(), status=status)
    assert type(failure(OWN, resources)) is kind
    assert len(cloud.calls) == (3 if status in (429, 503) else 1)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, "invalid_grant: Invalid JWT Signature.", NoIdentityError),
        (400, "invalid_grant: Invalid grant: account not found", NoIdentityError),
        (401, "unauthorized_client: x", NoIdentityError),
        (400, "invalid_grant: Invalid JWT: ... and in a reasonable timeframe. Check your iat", ClockSkewError),
        (400, "invalid_scope: x", CloudError),
        (400, f"{CANARY}: {CANARY}", CloudError),
        (429, "rate_limit_exceeded: x", ThrottledError),
        (500, "internal_failure: x", CloudError),
        (503, "server_error: x", CloudError),
    ],
)
def test_a_refusal_of_the_token_endpoint(
    cloud: respx.Router, resources: Resources, status: int, error: str, kind: type[MintError]
) -> None:
    code, _, description = error.partition(": ")
    answer(cloud, "token", {"error": code, "error_description": description}, status=status)
    assert type(failure(KEY, resources)) is kind
    assert len(cloud.calls) == (3 if status in (429, 500, 503) else 1)


@pytest.mark.parametrize(
    ("status", "kind", "definite"),
    [
        (403, TrustDeniedError, True),
        (404, TrustDeniedError, True),
        (401, NoIdentityError, False),
        (400, CloudError, False),
        (429, ThrottledError, False),
        (500, CloudError, False),
        (503, CloudError, False),
    ],
)
def test_a_refusal_of_impersonation(
    cloud: respx.Router, resources: Resources, status: int, kind: type[MintError], definite: bool
) -> None:
    answer(cloud, "iam", {"error": {"message": CANARY, "status": CANARY}}, status=status)
    error = failure(TARGET, resources)
    assert (type(error), error.definite) == (kind, definite)
    assert len(cloud.calls) == (4 if status in (429, 500, 503) else 2)


def test_the_account_and_the_missing_role_are_named(cloud: respx.Router, resources: Resources) -> None:
    answer(cloud, "iam", {}, status=403)
    error = failure(TARGET, resources)
    assert PULL in str(error)
    assert "Service Account Token Creator" in error.hint


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        granted(None),
        granted(7),
        granted(""),
        granted(f"{CANARY}\n"),
        granted(f"{CANARY}é"),
        granted(CANARY, expires_in=None),
        granted(CANARY, expires_in=[CANARY]),
        granted(CANARY, expires_in=CANARY),
        CANARY.encode(),
        b"",
        b"\xff" + CANARY.encode(),
        json.dumps(granted(CANARY)).encode()[:-5],
    ],
    ids=lambda body: repr(body)[:60],
)
@pytest.mark.parametrize(("fields", "api"), [(OWN, "metadata"), (KEY, "token")], ids=["metadata", "key"])
def test_an_answer_without_a_usable_token_is_malformed(
    cloud: respx.Router, resources: Resources, fields: Mapping[str, object], api: str, body: object
) -> None:
    answer(cloud, api, body)
    assert type(failure(fields, resources)) is MalformedAnswerError
    assert len(cloud.calls) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        impersonated(CANARY, accessToken=None),
        impersonated(CANARY, expireTime=None),
        impersonated(CANARY, expireTime=CANARY),
        impersonated(CANARY, expireTime="2030-01-01T00:00:00"),
        CANARY.encode(),
        json.dumps(impersonated(CANARY)).encode()[:-5],
    ],
    ids=["nothing", "no token", "no expiry", "no date", "no zone", "no json", "half"],
)
def test_an_impersonation_without_a_usable_token_is_malformed(
    cloud: respx.Router, resources: Resources, body: object
) -> None:
    answer(cloud, "iam", body)
    assert type(failure(TARGET, resources)) is MalformedAnswerError


def test_an_answer_without_end_is_cut_off(cloud: respx.Router, resources: Resources) -> None:
    answer(cloud, "iam", b"x" * (65 << 10))
    error = failure(TARGET, resources)
    assert (type(error), "64 KiB" in str(error)) == (MalformedAnswerError, True)


def test_another_server_in_the_metadata_servers_place_is_not_believed(
    cloud: respx.Router, resources: Resources
) -> None:
    cloud["metadata"].respond(json=granted(CANARY))
    assert type(failure(OWN, resources)) is NoIdentityError


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (httpx2.ConnectError(CANARY), UnreachableError),
        (httpx2.ConnectTimeout(CANARY), UnreachableError),
        (httpx2.ProxyError(CANARY), UnreachableError),
        (httpx2.RemoteProtocolError(CANARY), UnreachableError),
        (httpx2.ReadTimeout(CANARY), MintTimeoutError),
        (httpx2.PoolTimeout(CANARY), MintTimeoutError),
        (httpx2.DecodingError(CANARY), MalformedAnswerError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_network_that_fails(cloud: respx.Router, resources: Resources, fault: Exception, kind: object) -> None:
    for fields, api in ((KEY, "token"), (TARGET, "iam")):
        cloud[api].side_effect = fault
        assert type(failure(fields, resources)) is kind


def test_a_metadata_server_that_can_not_be_reached_is_no_identity(cloud: respx.Router, resources: Resources) -> None:
    cloud["metadata"].side_effect = httpx2.ConnectTimeout("x")
    assert type(failure(OWN, resources)) is NoIdentityError


def test_all_calls_of_a_mint_share_one_deadline(
    cloud: respx.Router, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(_http, "monotonic", lambda: now[0])

    def slow(_: object) -> respx.MockResponse:
        now[0] += google._MINT_SECONDS
        return respx.MockResponse(200, json=granted(SOURCE_CANARY))

    cloud["token"].side_effect = slow
    assert type(failure({**KEY, "service_account": PULL}, resources)) is MintTimeoutError
    assert asked(cloud) == [f"POST {TOKEN_URL}"]


# The configuration and the credentials file


def test_the_account_says_which_file_it_reads() -> None:
    assert account(**KEY).secret_sources() == {"credentials_file": FILE}
    assert account(**OWN).secret_sources() == {}


def refused(text: str, endpoints: Endpoints | None = None) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        account(**KEY).check_secret("credentials_file", Secret(text), endpoints or Endpoints())
    assert "PRIVATE KEY" not in told(caught.value)
    return str(caught.value)


def test_a_good_key_is_accepted(key: dict[str, str]) -> None:
    account(**KEY).check_secret("credentials_file", Secret(json.dumps(key)), Endpoints())


@pytest.mark.parametrize("text", ["", "PRIVATE KEY", "[]", '"PRIVATE KEY"', "null", '{"PRIVATE KEY'])
def test_a_file_that_is_no_json_object_is_refused(text: str) -> None:
    assert refused(text) == f"expected the JSON file that Google gives, of the type {KINDS}"


@pytest.mark.parametrize("kind", ["authorized_user", "external_account_authorized_user", "gdch_service_account"])
def test_credentials_of_another_kind_are_said_to_be_unsupported(key: dict[str, str], kind: str) -> None:
    text = refused(json.dumps({**key, "type": kind}))
    assert text == f"credentials of {kind} are not supported, expected the type {KINDS}"


@pytest.mark.parametrize("kind", ["PRIVATE KEY", 7, None, ["external_account"]], ids=repr)
def test_a_kind_that_does_not_exist_is_not_repeated(key: dict[str, str], kind: object) -> None:
    assert refused(json.dumps({**key, "type": kind})).startswith("credentials of this type are not supported")


@pytest.mark.parametrize("name", ["client_email", "private_key_id", "private_key"])
@pytest.mark.parametrize("value", [None, "", 7])
def test_a_key_with_a_part_missing_is_refused(key: dict[str, str], name: str, value: object) -> None:
    assert refused(json.dumps({**key, name: value})) == f"has no usable {name}, which is a text"


def test_a_key_of_another_universe_than_the_accounts_is_refused(key: dict[str, str]) -> None:
    text = refused(json.dumps({**key, "universe_domain": "s3nsapis.fr"}))
    assert text == "is of another universe than googleapis.com: set `universe_domain` to the file's"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/token",
        "https://evil.example/oauth2.googleapis.com",
        "https://googleapis.com.evil.example/token",
        "https://evilgoogleapis.com/token",
        "https://oauth2.googleapis.com:8443/token",
        "https://oauth2.googleapis.com:x/token",
        "http://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com@evil.example/token",
        "https://evil.example\\.googleapis.com/token",
        "https://evil.example/.googleapis.com/token",
        "https://oauth2.googleapis.com/token\n",
        "token",
    ],
)
def test_an_assertion_is_sent_to_no_stranger(key: dict[str, str], url: str) -> None:
    text = refused(json.dumps({**key, "token_uri": url}))
    assert text == "token_uri is not Google's (googleapis.com), nor of the origin of one of `endpoints`"
    assert type(failure(KEY, with_file(json.dumps({**key, "token_uri": url})))) is NoIdentityError


@pytest.mark.parametrize("url", [TOKEN_URL, "https://accounts.google.com/o/oauth2/token"])
def test_googles_own_addresses_are_trusted(key: dict[str, str], url: str) -> None:
    account(**KEY).check_secret("credentials_file", Secret(json.dumps({**key, "token_uri": url})), Endpoints())


def test_a_key_of_a_sovereign_universe_signs_its_own_token(cloud: respx.Router, key: dict[str, str]) -> None:
    resources = with_file(
        json.dumps({**key, "universe_domain": "s3nsapis.fr", "token_uri": "https://oauth2.s3nsapis.fr/t"})
    )
    fields = {**KEY, "registries": ("u-france-east1-docker.s3nsregistry.fr",), "universe_domain": "s3nsapis.fr"}
    login = minter(fields, resources).mint()
    claims = jwt.decode(login.password.reveal(), verify=False)
    assert (claims["iss"], claims["sub"], claims["scope"]) == (key["client_email"], key["client_email"], READ_ONLY)
    assert login.expires_at == claims["exp"] == claims["iat"] + 3600
    assert asked(cloud) == []


def test_a_key_of_a_sovereign_universe_names_no_stranger_either(key: dict[str, str]) -> None:
    universe = "s3nsapis.fr"
    fields = {**KEY, "registries": ("docker.s3nsregistry.fr",), "universe_domain": universe}
    text = json.dumps({**key, "universe_domain": universe, "token_uri": "https://oauth2.googleapis.com.evil.example/"})
    with pytest.raises(ValueError, match=r"token_uri is not Google's \(s3nsapis\.fr\)"):
        account(**fields).check_secret("credentials_file", Secret(text), Endpoints())


def test_the_origin_of_the_configured_endpoint_is_trusted(key: dict[str, str]) -> None:
    text = json.dumps({**key, "token_uri": "http://127.0.0.1:8080/token"})
    endpoints = Endpoints(google_token="http://127.0.0.1:8080/other")
    account(**KEY).check_secret("credentials_file", Secret(text), endpoints)
    for other in ("http://127.0.0.1:8081/token", "https://127.0.0.1:8080/token"):
        assert "token_uri" in refused(text, Endpoints(google_token=other))
    assert "token_uri" in refused(json.dumps({**key, "token_uri": "http://127.0.0.1:x/token"}), endpoints)


@pytest.mark.parametrize("pem", ["x", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", ED25519])
def test_a_private_key_that_is_none_is_no_identity(key: dict[str, str], pem: str) -> None:
    assert type(failure(KEY, with_file(json.dumps({**key, "private_key": pem})))) is NoIdentityError


@pytest.mark.parametrize(
    "email",
    [
        PULL,
        "123456789-compute@developer.gserviceaccount.com",
        "acme@appspot.gserviceaccount.com",
        "ci@acme.example.com.iam.gserviceaccount.com",
    ],
)
def test_a_service_accounts_email_is_accepted(email: str) -> None:
    assert minter({**OWN, "service_account": email}).account == "prod"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"service_account": "octocat@gmail.com"}, "service_account: expected a service account's email"),
        ({"service_account": "a@b.iam.gserviceaccount.com:signJwt?x"}, "service_account: expected a service account's"),
        ({"service_account": "a/b@c.iam.gserviceaccount.com"}, "service_account: expected a service account's email"),
        ({"scopes": "cloud-platform"}, "scopes: Input should be a valid tuple"),
        ({"scopes": ("cloud-platform",)}, "scopes.0: expected an OAuth scope in full"),
        ({"scopes": ()}, "scopes: expected at least one entry"),
        ({"scopes": (READ_ONLY, READ_ONLY)}, "scopes: named twice"),
        ({"lifetime": "9m"}, "lifetime: Input should be greater than or equal to 600"),
        ({"lifetime": "13h"}, "lifetime: Input should be less than or equal to 43200"),
        ({"delegates": ()}, "delegates: expected at least one entry"),
        ({"delegates": ("octocat@gmail.com",)}, "delegates.0: expected a service account's email"),
        ({"delegates": (f"projects/acme/serviceAccounts/{PULL}",)}, "delegates.0: expected a service account's email"),
        ({"credentials_file": ""}, "credentials_file: String should have at least 1 character"),
    ],
)
def test_a_value_that_google_would_refuse_is_refused_here(change: dict[str, object], place: str) -> None:
    assert complaint(**{**TARGET, **change}).startswith(place)


@pytest.mark.parametrize("key", ["service_account", "credentials_file"])
def test_a_key_whose_value_was_forgotten_does_not_fall_back_to_the_machine_itself(key: str) -> None:
    assert complaint(**OWN, **{key: None}).startswith(f"{key}: expected a value, or no such key")


def test_a_lifetime_without_impersonation_has_no_effect() -> None:
    assert complaint(**OWN, lifetime="1h") == ": lifetime: without service_account this has no effect"
