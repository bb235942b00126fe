"""Credentials files: what is refused before anything is asked, by the field that is wrong and without its value."""

import json
from collections.abc import Mapping

import pytest
from support.accounts import account, complaint, minter
from support.chain import told
from support.google import CI, FILE, PROVIDER, PULL, STS_URL, external, iam_url, with_file

from ecrmint.errors import NoIdentityError
from ecrmint.minters import Endpoints
from ecrmint.tokens import Secret

FIELDS: Mapping[str, object] = {"type": "google", "registries": ("gcr.io",), "credentials_file": FILE.file}
CANARY = "c4n4ry"
KEY = {"type": "service_account", "client_email": CI, "private_key_id": "1", "private_key": CANARY}
ACTING = {
    "type": "impersonated_service_account",
    "service_account_impersonation_url": iam_url(PULL),
    "source_credentials": KEY,
}
IMDS = "http://169.254.169.254/token"
AWS = {"environment_id": "aws1"}


def check(content: object, endpoints: Endpoints | None = None, **keys: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    account(**FIELDS, **keys).check_secret("credentials_file", Secret(text), endpoints or Endpoints())


def refused(content: object, endpoints: Endpoints | None = None, **keys: object) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        check(content, endpoints, **keys)
    assert CANARY not in told(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        {**KEY, "token_uri": "https://oauth2.googleapis.com/token", "universe_domain": "googleapis.com"},
        external(),
        external(token_url=None, token_info_url=None),
        external(
            audience="//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a.svc.id.goog/providers/b"
        ),
        external(audience="identitynamespace:acme.svc.id.goog:https://container.googleapis.com/v1/projects/acme"),
        external(token_url="https://sts.mtls.googleapis.com/v1/token"),
        external(service_account_impersonation_url=iam_url(PULL)),
        external(credential_source={"url": IMDS, "headers": {"Metadata-Flavor": "Google"}}),
        external(credential_source={"url": "http://[fd20:ce::254]/token"}),
        external(credential_source={"url": "http://metadata.google.internal/token?x=y"}),
        external(credential_source=AWS),
        external(credential_source={**AWS, "url": IMDS, "region_url": IMDS, "imdsv2_session_token_url": IMDS}),
        ACTING,
        {**ACTING, "delegates": []},
        {**ACTING, "delegates": None},
        {**ACTING, "delegates": [CI, f"projects/-/serviceAccounts/{CI}"]},
        {**ACTING, "source_credentials": external()},
        {**ACTING, "source_credentials": external(universe_domain=None)},
    ],
    ids=lambda content: json.dumps(content)[-50:],
)
def test_a_good_file_is_accepted(content: object) -> None:
    check(content)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[" * 100_000, "expected the JSON file that Google gives"),
        (external(audience=CANARY), "audience: expected the full name of a workload identity pool's provider"),
        (external(audience=PROVIDER.replace("//", "https://")), "audience: expected the full name of a workload"),
        (external(audience="//iam.googleapis.com/locations/global/workforcePools/p/providers/x"), "audience: expected"),
        (external(audience=None), "has no usable audience, which is a text"),
        (external(subject_token_type=CANARY), "subject_token_type: expected a URN"),
        (external(client_secret=CANARY), "client_secret: the credentials of people (workforce pools) are not"),
        (external(workforce_pool_user_project="1"), "workforce_pool_user_project: the credentials of people"),
        (external(token_url=f"https://{CANARY}.example/v1/token"), "token_url is not Google's (googleapis.com), nor"),
        (external(token_url=7), "has no usable token_url, which is a text"),
        (external(token_url="x" * 20_000), "has no usable token_url, which is a text"),
        (external(universe_domain="s3nsapis.fr"), "is of another universe than googleapis.com: set `universe_domain`"),
        (external(service_account_impersonation_url=CANARY), "service_account_impersonation_url is not Google's"),
        (
            external(
                service_account_impersonation_url="https://iamcredentials.googleapis.com/v1/x:generateAccessToken"
            ),
            "service_account_impersonation_url: expected https://.../v1/projects/-/serviceAccounts/EMAIL:generate",
        ),
        (
            external(service_account_impersonation_url=iam_url(PULL, "iamcredentials.googleapis.com@evil.example")),
            "service_account_impersonation_url is not Google's",
        ),
        (external(credential_source=None), "has no usable credential_source, which is an object"),
        (external(credential_source={}), "credential_source: expected exactly one of file, url, environment_id"),
        (external(credential_source={"file": "a", "url": IMDS}), "credential_source: expected exactly one of file"),
        (external(credential_source={"file": ""}), "has no usable file, which is a text"),
        (
            external(credential_source={"executable": {"command": CANARY}}),
            "credential_source.executable: no program is run",
        ),
        (
            external(credential_source={"file": "a", "executable": {}}),
            "credential_source.executable: no program is run",
        ),
        (external(credential_source={"certificate": {}}), "credential_source: expected exactly one of file, url"),
        (external(credential_source={"environment_id": "aws2"}), "credential_source.environment_id: expected aws1"),
        (
            external(credential_source={"file": "a", "format": {"type": CANARY}}),
            "credential_source.format.type: expected",
        ),
        (external(credential_source={"file": "a", "format": "json"}), "has no usable format, which is an object"),
        (
            external(credential_source={"file": "a", "format": {"type": "json"}}),
            "has no usable subject_token_field_name, which is a text",
        ),
        (
            external(credential_source={"file": "a", "format": {"type": "json", "subject_token_field_name": "a b"}}),
            "subject_token_field_name: expected the name of a field",
        ),
        (external(credential_source={"url": IMDS, "headers": [CANARY]}), "has no usable headers, which is an object"),
        (external(credential_source={"url": IMDS, "headers": {"a": 1}}), "credential_source.headers: expected names"),
        (
            external(credential_source={"url": IMDS, "headers": {"a b": "c"}}),
            "credential_source.headers: expected names",
        ),
        (external(credential_source={"url": IMDS, "headers": {"a": "b\r\nc"}}), "credential_source.headers: expected"),
        (
            {**ACTING, "source_credentials": {**KEY, "universe_domain": "s3nsapis.fr"}},
            "is of another universe than googleapis.com",
        ),
        ({**ACTING, "source_credentials": None}, "has no usable source_credentials, which is an object"),
        ({**ACTING, "source_credentials": ACTING}, "credentials of this type are not supported, expected the type"),
        ({**ACTING, "source_credentials": {"type": "authorized_user"}}, "credentials of authorized_user are not"),
        ({**ACTING, "delegates": CI}, "delegates: expected a list of service accounts' emails"),
        ({**ACTING, "delegates": [7]}, "delegates: expected a list of service accounts' emails"),
        ({**ACTING, "delegates": ["octocat@gmail.com"]}, "expected a service account's email: NAME@PROJECT"),
    ],
    ids=lambda value: json.dumps(value)[-60:],
)
def test_a_bad_file_is_refused(content: object, text: str) -> None:
    assert refused(content).startswith(text)


@pytest.mark.parametrize("seconds", [599, 43201, "3600", None, 3600.0])
def test_a_files_lifetime_is_one_that_google_gives(seconds: object) -> None:
    options = {"service_account_impersonation": {"token_lifetime_seconds": seconds}}
    text = refused(external(service_account_impersonation_url=iam_url(PULL), **options))
    assert text == "service_account_impersonation.token_lifetime_seconds: expected 600 to 43200"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/token",
        "http://127.0.0.1/token",
        "http://169.254.169.254.evil.example/token",
        "http://169.254.169.254:8080/token",
        "http://x@169.254.169.254/token",
        "http://169.254.169.254@evil.example/token",
        "http://169.254.169.254\\@evil.example/token",
        "http://evil.example/169.254.169.254",
        "http://169.254.169.254/token\n",
        "http://[fd20:ce::254].evil.example/token",
        "file:///etc/passwd",
        "169.254.169.254",
    ],
)
@pytest.mark.parametrize("name", ["url", "region_url", "imdsv2_session_token_url"])
def test_nobody_is_asked_for_a_subjects_token_whom_the_configuration_does_not_name(url: str, name: str) -> None:
    source = {name: url} if name == "url" else {**AWS, name: url}
    text = refused(external(credential_source=source))
    assert text == f"credential_source.{name} is no metadata server's, nor one of `subject_token_urls`"


def test_an_address_that_the_account_names_is_compared_as_a_whole() -> None:
    url = "https://ci.acme.example/token?audience=gcp"
    check(external(credential_source={"url": url}), subject_token_urls=(url,))
    for other in (f"{url}x", url.partition("?")[0], url.replace("https", "http"), f"{url}#"):
        assert "subject_token_urls" in refused(external(credential_source={"url": other}), subject_token_urls=(url,))


@pytest.mark.parametrize("name", ["google_token", "google_sts", "iamcredentials"])
def test_the_origin_of_any_configured_endpoint_is_trusted(name: str) -> None:
    endpoints = Endpoints.model_validate({name: "http://127.0.0.1:8080/x"})
    check(external(token_url="http://127.0.0.1:8080/v1/token"), endpoints)
    for other in ("http://127.0.0.1:8081/v1/token", "https://127.0.0.1:8080/v1/token", "http://127.0.0.1:x/v1/token"):
        assert refused(external(token_url=other), endpoints).startswith("token_url is not Google's")


def test_a_sovereign_universe_trusts_its_own_addresses_and_not_googles() -> None:
    urls = {"token_url": "https://sts.s3nsapis.fr/v1/token", "universe_domain": "s3nsapis.fr"}
    keys: Mapping[str, object] = {**FIELDS, "registries": ("docker.s3nsregistry.fr",), "universe_domain": "s3nsapis.fr"}
    model = account(**keys)
    model.check_secret("credentials_file", Secret(json.dumps(external(**urls))), Endpoints())
    for change in ({"token_url": STS_URL}, {"universe_domain": "googleapis.com"}, {"universe_domain": None}):
        with pytest.raises(ValueError, match=r"s3nsapis\.fr"):
            model.check_secret("credentials_file", Secret(json.dumps(external(**{**urls, **change}))), Endpoints())


@pytest.mark.parametrize(
    ("keys", "content", "text"),
    [
        ({"self_signed": True}, external(), "self_signed: without the key of a service account"),
        (
            {"subject_token_urls": ("https://a.example/t",)},
            KEY,
            "subject_token_urls: with the key of a service account",
        ),
        (
            {"subject_token_urls": ("https://a.example/t",)},
            {**ACTING, "source_credentials": KEY},
            "subject_token_urls: with the key of a service account",
        ),
        *(
            ({"subject_token_urls": ("https://a.example/t",)}, external(credential_source=source), "none of them")
            for source in ({"file": "/token"}, {"url": IMDS}, AWS)
        ),
    ],
    ids=["self_signed", "key", "key within", "file", "metadata", "aws"],
)
def test_a_key_of_the_configuration_that_the_file_makes_pointless_is_refused(
    keys: dict[str, object], content: object, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        account(**{**FIELDS, **keys}).check_secret("credentials_file", Secret(json.dumps(content)), Endpoints())


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"self_signed": True}, ": self_signed: without credentials_file this has no effect"),
        (
            {"subject_token_urls": ("https://a.b/c",)},
            ": subject_token_urls: without credentials_file this has no effect",
        ),
        ({"delegates": (CI,)}, ": delegates: without service_account this has no effect"),
        (
            {"delegates": (CI,), "lifetime": "1h"},
            ": lifetime: without service_account this has no effect; delegates: without service_account this has no"
            " effect",
        ),
    ],
    ids=["self_signed", "subject_token_urls", "delegates", "two"],
)
def test_a_key_without_the_one_it_needs_has_no_effect(keys: dict[str, object], text: str) -> None:
    assert complaint(type="google", registries=("gcr.io",), **keys) == text


@pytest.mark.parametrize(
    "url",
    ["http://ci.acme.example/t", "https://u:p@a.example/t", "https://a.example/t?x#y", "t", "https://a.example/t?\n"],
)
def test_an_address_for_subject_tokens_is_a_safe_one(url: str) -> None:
    assert complaint(**FIELDS, subject_token_urls=(url,)).startswith("subject_token_urls.0: ")


def test_a_file_that_became_bad_is_no_identity() -> None:
    with pytest.raises(NoIdentityError, match=r"the credentials file can't be used: credential_source.executable"):
        minter(FIELDS, with_file(external(credential_source={"executable": {}}))).mint()
