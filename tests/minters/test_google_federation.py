"""Workload identity federation: exactly the requests that are made, to whom, and what each answer comes to."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import time

import httpx2
import pytest
import respx
from support.accounts import minter
from support.chain import told
from support.google import (
    FILE,
    IAM,
    LOGIN,
    OWN,
    PROVIDER,
    PULL,
    READ_ONLY,
    STS_URL,
    asked,
    external,
    form,
    granted,
    hosts,
    iam_url,
    requests,
    willing,
    with_file,
)

from ecrmint.errors import (
    CloudError,
    MalformedAnswerError,
    MintError,
    NoIdentityError,
    ThrottledError,
    TrustDeniedError,
)
from ecrmint.minters import Endpoints, _retry
from ecrmint.minters._http import Http
from ecrmint.tokens import Secret

SUBJECT = "eyJhbGciOiJSUzI1NiJ9.c4n4ry.c4n4ry"
URL = "https://ci.acme.example/token?audience=gcp"
IMDS = "http://169.254.169.254/metadata/identity/oauth2/token?resource=api%3A%2F%2Fgcp"
FEDERATED: Mapping[str, object] = {
    "type": "google",
    "registries": ("europe-docker.pkg.dev",),
    "credentials_file": FILE.file,
}
ACTING = {"service_account_impersonation_url": iam_url(PULL)}


@pytest.fixture
def cloud() -> Iterator[respx.Router]:
    with willing() as router:
        router.get(URL, name="url").respond(text=SUBJECT)
        router.get(IMDS, name="imds").respond(json={"access_token": SUBJECT})
        yield router


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(_retry, "sleep", slept.append)
    return slept


@pytest.fixture
def source(tmp_path: Path) -> dict[str, object]:
    path = tmp_path / "token"
    path.write_text(f"{SUBJECT}\n")
    return {"file": str(path)}


def failure(fields: Mapping[str, object], content: object) -> MintError:
    with pytest.raises(MintError) as caught:
        minter(fields, with_file(content)).mint()
    assert "c4n4ry" not in told(caught.value)
    return caught.value


# The exact requests


def test_a_files_token_is_exchanged_for_googles(cloud: respx.Router, source: dict[str, object]) -> None:
    before = time()
    login = minter(FEDERATED, with_file(external(credential_source=source))).mint()
    assert (login.username, login.password) == ("oauth2accesstoken", Secret(OWN))
    assert login.expires_at is not None
    assert before + 3599 <= login.expires_at <= time() + 3599
    assert asked(cloud) == [STS_URL]
    (request,) = requests(cloud)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in request.headers
    assert form(request) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": PROVIDER,
        "scope": READ_ONLY,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": SUBJECT,
    }


def test_a_token_that_ends_early_ends_early(cloud: respx.Router, source: dict[str, object]) -> None:
    cloud["sts"].respond(json=granted(expires_in=298))
    login = minter(FEDERATED, with_file(external(credential_source=source))).mint()
    assert login.expires_at is not None
    assert 290 < login.expires_at - time() <= 298


@pytest.mark.parametrize("own", [{"service_account": PULL}, {}], ids=["by the account", "by the file"])
def test_impersonation_is_one_call_more(
    cloud: respx.Router, source: dict[str, object], own: Mapping[str, object]
) -> None:
    content = external(credential_source=source, **({} if own else ACTING))
    login = minter({**FEDERATED, **own}, with_file(content)).mint()
    assert login.password == Secret(LOGIN)
    assert asked(cloud) == [STS_URL, iam_url(PULL)]
    exchange, impersonation = requests(cloud)
    assert form(exchange)["scope"] == IAM
    assert impersonation.headers["authorization"] == f"Bearer {OWN}"
    assert json.loads(impersonation.content) == {"scope": [READ_ONLY], "lifetime": "3600s"}


def test_a_file_says_how_long_its_service_accounts_token_lives(cloud: respx.Router, source: dict[str, object]) -> None:
    options = {"service_account_impersonation": {"token_lifetime_seconds": 43200}}
    minter(FEDERATED, with_file(external(credential_source=source, **ACTING, **options))).mint()
    assert json.loads(requests(cloud)[1].content)["lifetime"] == "43200s"


def test_a_field_of_json_may_be_the_token(cloud: respx.Router, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.write_text(json.dumps({"id_token": SUBJECT, "other": 1}))
    shape = {"type": "json", "subject_token_field_name": "id_token"}
    minter(FEDERATED, with_file(external(credential_source={"file": str(path), "format": shape}))).mint()
    assert form(requests(cloud)[0])["subject_token"] == SUBJECT


def test_a_projected_token_is_read_at_each_mint(cloud: respx.Router, source: dict[str, object], tmp_path: Path) -> None:
    resources = with_file(external(credential_source=source))
    minter(FEDERATED, resources).mint()
    (tmp_path / "token").write_text("another")
    minter(FEDERATED, resources).mint()
    assert [form(request)["subject_token"] for request in requests(cloud)] == [SUBJECT, "another"]


def test_an_address_that_the_account_allows_gives_the_token(cloud: respx.Router) -> None:
    source = {"url": URL, "headers": {"Authorization": "Bearer c4n4ry"}}
    fields = {**FEDERATED, "subject_token_urls": (URL,)}
    minter(fields, with_file(external(credential_source=source))).mint()
    assert hosts(cloud) == {"ci.acme.example", "sts.googleapis.com"}
    question, exchange = requests(cloud)
    assert (str(question.url), question.headers["authorization"]) == (URL, "Bearer c4n4ry")
    assert form(exchange)["subject_token"] == SUBJECT


def test_a_metadata_server_of_another_cloud_gives_the_token_past_every_proxy(
    cloud: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, bool] = {}
    client = Http.client

    def noted(http: Http, url: str, *, proxied: bool = True) -> httpx2.Client:
        asked[url] = proxied
        return client(http, url, proxied=proxied)

    monkeypatch.setattr(Http, "client", noted)
    shape = {"type": "json", "subject_token_field_name": "access_token"}
    source = {"url": IMDS, "headers": {"Metadata": "True"}, "format": shape}
    minter(FEDERATED, with_file(external(credential_source=source))).mint()
    assert hosts(cloud) == {"169.254.169.254", "sts.googleapis.com"}
    assert requests(cloud)[0].headers["metadata"] == "True"
    assert asked == {IMDS: False, STS_URL: True}  # whether it goes by the variables for proxies


def test_every_address_may_be_another(httpx2_mock: respx.Router, source: dict[str, object]) -> None:
    endpoints = Endpoints(google_sts="https://sts.example/t", iamcredentials="https://iam.example/p")
    httpx2_mock.post("https://sts.example/t").respond(json=granted())
    target = f"https://iam.example/p/v1/projects/-/serviceAccounts/{PULL}:generateAccessToken"
    httpx2_mock.post(target).respond(json={"accessToken": LOGIN, "expireTime": "2030-01-01T00:00:00Z"})
    content = external(credential_source=source, **ACTING)
    minter(FEDERATED, with_file(content, endpoints)).mint()
    assert asked(httpx2_mock) == ["https://sts.example/t", target]


def test_an_address_without_a_path_has_googles_path(httpx2_mock: respx.Router, source: dict[str, object]) -> None:
    httpx2_mock.post("https://sts.example/v1/token").respond(json=granted())
    content = external(credential_source=source)
    minter(FEDERATED, with_file(content, Endpoints(google_sts="https://sts.example"))).mint()
    assert asked(httpx2_mock) == ["https://sts.example/v1/token"]


def test_a_files_own_addresses_are_asked(httpx2_mock: respx.Router, source: dict[str, object]) -> None:
    httpx2_mock.post("https://sts.europe-west1.rep.googleapis.com/v1/token").respond(json=granted())
    target = iam_url(PULL, "iamcredentials.europe-west1.rep.googleapis.com")
    httpx2_mock.post(target).respond(json={"accessToken": LOGIN, "expireTime": "2030-01-01T00:00:00Z"})
    urls = {
        "token_url": "https://sts.europe-west1.rep.googleapis.com/v1/token",
        "service_account_impersonation_url": target,
    }
    minter(FEDERATED, with_file(external(credential_source=source, **urls))).mint()
    assert asked(httpx2_mock) == [urls["token_url"], target]


def test_a_sovereign_universe_has_addresses_of_its_own(httpx2_mock: respx.Router, source: dict[str, object]) -> None:
    httpx2_mock.post("https://sts.s3nsapis.fr/v1/token").respond(json=granted())
    target = iam_url(PULL, "iamcredentials.s3nsapis.fr")
    httpx2_mock.post(target).respond(json={"accessToken": LOGIN, "expireTime": "2030-01-01T00:00:00Z"})
    fields = {
        **FEDERATED,
        "registries": ("docker.s3nsregistry.fr",),
        "universe_domain": "s3nsapis.fr",
        "service_account": PULL,
    }
    content = external(credential_source=source, universe_domain="s3nsapis.fr", token_url=None)
    minter(fields, with_file(content)).mint()
    assert hosts(httpx2_mock) == {"sts.s3nsapis.fr", "iamcredentials.s3nsapis.fr"}


# What goes wrong


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, "invalid_grant", NoIdentityError),
        (400, "invalid_target", NoIdentityError),
        (400, "unauthorized_client", TrustDeniedError),
        (403, "unauthorized_client", TrustDeniedError),
        (400, "invalid_request", CloudError),
        (400, "invalid_scope", CloudError),
        (400, "c4n4ry", CloudError),
        (400, None, CloudError),
        (302, "invalid_grant", CloudError),
        (429, "rate_limit_exceeded", ThrottledError),
        (500, "internal_failure", CloudError),
        (503, "invalid_grant", CloudError),
    ],
)
def test_a_refusal_of_the_exchange(
    cloud: respx.Router, source: dict[str, object], status: int, error: str | None, kind: type[MintError]
) -> None:
    cloud["sts"].respond(status, json={"error": error, "error_description": f"c4n4ry {SUBJECT}"})
    assert type(failure(FEDERATED, external(credential_source=source))) is kind
    assert len(cloud.calls) == (3 if status in (429, 500, 503) else 1)


def test_a_fault_that_passes_costs_a_pause(cloud: respx.Router, source: dict[str, object], pauses: list[float]) -> None:
    cloud["sts"].side_effect = [respx.MockResponse(503), respx.MockResponse(429), respx.MockResponse(json=granted())]
    assert minter(FEDERATED, with_file(external(credential_source=source))).mint().password == Secret(OWN)
    assert len(pauses) == 2
    assert 0.125 <= pauses[0] <= 0.375
    assert 0.5 <= pauses[1] <= 1.5


@pytest.mark.parametrize(
    "body",
    [
        {},
        granted(None),
        granted(expires_in=None),
        granted(expires_in="3599"),
        granted(expires_in=True),
        granted(expires_in=0),
        granted(expires_in=10**400),
        "c4n4ry",
        "[" * 60_000,
        "",
    ],
    ids=lambda body: repr(body)[:60],
)
def test_an_exchange_without_a_usable_token_is_malformed(
    cloud: respx.Router, source: dict[str, object], body: object
) -> None:
    cloud["sts"].respond(content=body.encode() if isinstance(body, str) else json.dumps(body).encode())
    assert type(failure(FEDERATED, external(credential_source=source))) is MalformedAnswerError


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "holds no token"),
        (b"\n", "holds no token"),
        (b"two c4n4ry", "holds no token"),
        ("c4n4ry\u00e9".encode(), "holds no token"),
        (b"\xffc4n4ry", "holds no token"),
        (b"c4n4ry" * 20_000, "larger than 64 KiB"),
        (None, "can't be read: No such file or directory"),
    ],
    ids=["empty", "blank", "two words", "no ascii", "bytes", "too long", "no file"],
)
def test_a_file_without_a_token_is_no_identity(
    cloud: respx.Router, tmp_path: Path, content: bytes | None, text: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    error = failure(FEDERATED, external(credential_source={"file": str(tmp_path / "token")}))
    assert (type(error), text in str(error)) == (NoIdentityError, True)
    assert asked(cloud) == []


@pytest.mark.parametrize("content", ["c4n4ry", "[]", "{}", '{"t": 7}', '{"t": ""}', "[" * 60_000])
def test_a_json_file_without_the_field_is_no_identity(cloud: respx.Router, tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    shape = {"type": "json", "subject_token_field_name": "t"}
    error = failure(FEDERATED, external(credential_source={"file": str(tmp_path / "token"), "format": shape}))
    assert type(error) is NoIdentityError


def test_a_files_name_that_may_be_the_token_is_not_shown(cloud: respx.Router) -> None:
    for name in ("\0", SUBJECT.replace(".", "")):
        error = failure(FEDERATED, external(credential_source={"file": name}))
        assert type(error) is NoIdentityError


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, NoIdentityError), (404, NoIdentityError), (429, ThrottledError), (500, CloudError), (302, CloudError)],
)
def test_a_refusal_where_the_token_is_fetched(cloud: respx.Router, status: int, kind: type[MintError]) -> None:
    cloud["url"].respond(status, text="c4n4ry")
    fields = {**FEDERATED, "subject_token_urls": (URL,)}
    error = failure(fields, external(credential_source={"url": URL}))
    assert type(error) is kind
    assert "ci.acme.example" in str(error)
    assert "audience=gcp" not in told(error)


# Who we are


def test_the_walk_says_whose_token_it_is_and_by_which_provider(cloud: respx.Router, source: dict[str, object]) -> None:
    steps: list[tuple[str, str]] = []
    content = external(credential_source=source, **ACTING)
    minter(FEDERATED, with_file(content)).walk(lambda name, detail: steps.append((name, detail)))
    assert steps == [("identity", f"{PULL}, by the token file {source['file']}, by {PROVIDER}")]
    fields = {
        **FEDERATED,
        "subject_token_urls": (URL,),
        "service_account": PULL,
        "delegates": ("a@b.gserviceaccount.com",),
    }
    steps.clear()
    minter(fields, with_file(external(credential_source={"url": URL}))).walk(lambda *step: steps.append(step))
    assert steps == [
        ("identity", f"the token service at ci.acme.example, by {PROVIDER}"),
        ("service account", f"{PULL}, by way of a@b.gserviceaccount.com"),
    ]
