"""What Google's refusals become: which permission, of whom, and nothing else of what was answered."""

import copy
import json
import logging
import pickle
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import httpx2
import pytest
import respx
from support.accounts import minter
from support.chain import told
from support.google import (
    CI,
    FILE,
    FLAVOR,
    PULL,
    asked,
    external,
    granted,
    hosts,
    impersonated,
    willing,
    with_file,
)

from ecrmint.errors import CloudError, MalformedAnswerError, MintError, ThrottledError, TrustDeniedError
from ecrmint.minters import Resources, _retry, google
from ecrmint.remedies import remedies
from ecrmint.standin.service_account import ServiceAccount

OWN: Mapping[str, object] = {"type": "google", "registries": ("gcr.io",)}
TARGET: Mapping[str, object] = {**OWN, "service_account": PULL}
FILED: Mapping[str, object] = {**OWN, "credentials_file": FILE.file}
PERMISSION = "iam.serviceAccounts.getAccessToken"
CANARY = "ya29.c4n4ryc4n4ryc4n4ry"
URL = "https://ci.acme.example/token"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[respx.Router]:
    monkeypatch.setattr(_retry, "sleep", lambda seconds: None)
    with willing() as router:
        router.get(URL, name="subject").respond(text="a.subject.token")
        yield router


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    return ServiceAccount(CI, 3600).create_key("https://oauth2.googleapis.com/token")


HELP = {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "x", "url": "https://x.example"}]}


def error_body(reason: str = "", message: str = "", **metadata: str) -> dict[str, object]:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}
    return {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": message, "details": [HELP, info]}}


def failure(fields: Mapping[str, object], resources: Resources | None = None) -> MintError:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    return caught.value


DENIED = f"Google does not let us act as {PULL} (403)"


@pytest.mark.parametrize(
    ("body", "text", "hint"),
    [
        (
            error_body("IAM_PERMISSION_DENIED", permission=PERMISSION),
            f"{DENIED}: {PERMISSION} is missing",
            "it does not exist, or our identity lacks the role Service Account Token Creator on it",
        ),
        (
            {"error": {"message": f"Permission '{PERMISSION}' denied on resource (or it may not exist)."}},
            f"{DENIED}: {PERMISSION} is missing",
            "it does not exist, or our identity lacks",
        ),
        (error_body("SERVICE_DISABLED", "API has not been used in project 1"), DENIED, "switch the API on: gcloud"),
        (error_body("ACCESS_TOKEN_SCOPE_INSUFFICIENT"), DENIED, "the machine's access scopes are too narrow: give it"),
        (error_body(CANARY, f"{CANARY} {PERMISSION}x", permission=CANARY), DENIED, "one of: it does not exist;"),
        (error_body("IAM_PERMISSION_DENIED", permission="storage.objects.get"), DENIED, "one of: it does not exist;"),
        ({"error": CANARY}, DENIED, "one of: it does not exist;"),
        ({"error": {"details": CANARY}}, DENIED, "one of: it does not exist;"),
        ({"error": {"details": [CANARY]}}, DENIED, "one of: it does not exist;"),
        ([CANARY], DENIED, "one of: it does not exist;"),
        (CANARY, DENIED, "one of: it does not exist;"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_a_denial_names_what_is_missing_where_google_does(
    cloud: respx.Router, body: object, text: str, hint: str
) -> None:
    cloud[PULL].respond(403, json=body)
    error = failure(TARGET)
    assert (type(error), str(error)) == (TrustDeniedError, text)
    assert error.hint.startswith(hint)
    assert CANARY not in told(error)


@pytest.mark.parametrize("reason", ["SERVICE_DISABLED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"])
def test_no_role_is_proposed_where_none_would_help(cloud: respx.Router, reason: str) -> None:
    cloud[PULL].respond(403, json=error_body(reason))
    assert remedies(failure(TARGET), provider="google", caller=CI) == []


def test_a_denial_names_the_first_delegate_as_who_is_to_let_us_in(cloud: respx.Router) -> None:
    cloud[PULL].respond(
        403, json=error_body("IAM_PERMISSION_DENIED", permission="iam.serviceAccounts.implicitDelegation")
    )
    error = failure({**TARGET, "delegates": (CI, "hop@acme.iam.gserviceaccount.com")})
    assert str(error) == (
        f"Google does not let us act as {PULL}, by way of {CI}, hop@acme.iam.gserviceaccount.com (403):"
        " iam.serviceAccounts.implicitDelegation is missing"
    )
    assert error.hint.endswith("on the first delegate, and each delegate on the one after it")
    (remedy,) = remedies(error, provider="google", caller="me@acme.iam.gserviceaccount.com")
    assert f"add-iam-policy-binding {CI} " in str(remedy.content)


def test_a_lifetime_that_the_organisation_does_not_allow_is_said_with_its_constraint(cloud: respx.Router) -> None:
    cloud[PULL].respond(400, json={"error": {"message": CANARY}})
    error = failure({**TARGET, "lifetime": "12h"})
    assert (type(error), PULL in str(error)) == (CloudError, True)
    assert "iam.allowServiceAccountCredentialLifetimeExtension" in error.hint


# Tries, and the time they take


def test_no_try_is_made_that_the_deadline_would_cut_off(cloud: respx.Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google, "_MINT_SECONDS", 0.2)
    cloud[PULL].respond(429)
    assert type(failure(TARGET)) is ThrottledError
    assert cloud[PULL].call_count == 1


def test_a_metadata_server_that_does_not_listen_yet_is_asked_again(cloud: respx.Router) -> None:
    cloud["metadata"].side_effect = [
        httpx2.ConnectError("x"),
        httpx2.ConnectError("x"),
        respx.MockResponse(json=granted(CANARY), headers=FLAVOR),
    ]
    assert minter(OWN).mint().password.reveal() == CANARY
    assert cloud["metadata"].call_count == 3


@pytest.mark.parametrize("name", ["", "two words", "x" * 400, "\u00e9", CANARY + "<"])
def test_a_metadata_server_that_does_not_say_who_we_are_is_malformed(cloud: respx.Router, name: str) -> None:
    cloud["email"].respond(text=name, headers=FLAVOR)
    with pytest.raises(MalformedAnswerError) as caught:
        minter(OWN).walk(lambda name, detail: None)
    assert CANARY not in told(caught.value)


def test_an_api_that_can_not_be_reached_is_not_asked_again(cloud: respx.Router) -> None:
    cloud[PULL].side_effect = httpx2.ConnectError("x")
    failure(TARGET)
    assert cloud[PULL].call_count == 1


# Whom each flow talks to


@pytest.mark.parametrize("target", [{}, {"service_account": PULL}], ids=["itself", "a service account"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("metadata", {"169.254.169.254"}),
        ("key", {"oauth2.googleapis.com"}),
        ("self-signed key", set()),
        ("file", {"sts.googleapis.com"}),
        ("url", {"ci.acme.example", "sts.googleapis.com"}),
        ("impersonated", {"oauth2.googleapis.com", "iamcredentials.googleapis.com"}),
    ],
)
def test_nobody_else_is_asked(
    request: pytest.FixtureRequest, target: dict[str, object], name: str, expected: set[str]
) -> None:
    cloud: respx.Router = request.getfixturevalue("cloud")
    fields, resources = flow(name, request.getfixturevalue("key"), request.getfixturevalue("tmp_path"))
    minter({**fields, **target}, resources).mint()
    assert hosts(cloud) == expected | ({"iamcredentials.googleapis.com"} if target else set())
    assert not [url for url in asked(cloud) if "allowedLocations" in url or "cloudresourcemanager" in url]


def flow(name: str, key: dict[str, str], tmp_path: Path) -> tuple[dict[str, object], Resources]:
    """Return the keys of an account and the resources of one way to an identity."""
    (tmp_path / "token").write_text("a.subject.token")
    acting = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{CI}:generateAccessToken",
        "source_credentials": key,
    }
    match name:
        case "metadata":
            return {**OWN}, Resources()
        case "key":
            return {**FILED}, with_file(key)
        case "self-signed key":
            return {**FILED, "self_signed": True}, with_file(key)
        case "file":
            return {**FILED}, with_file(external(credential_source={"file": str(tmp_path / "token")}))
        case "url" | "json url":
            shape = {"type": "json", "subject_token_field_name": "value"} if name == "json url" else {"type": "text"}
            source = external(credential_source={"url": URL, "format": shape})
            return {**FILED, "subject_token_urls": (URL,)}, with_file(source)
    return {**FILED}, with_file(acting)


# Nothing of any answer gets out

ANSWERS: Mapping[str, tuple[str, object]] = {
    "metadata": ("metadata", granted(CANARY, token_type=CANARY, error=CANARY)),
    "token": ("token", granted(CANARY, id_token=CANARY, error=CANARY, error_description=CANARY)),
    "sts": ("sts", granted(CANARY, issued_token_type=CANARY, error=CANARY, error_description=CANARY)),
    "iam": (PULL, impersonated(CANARY, error={"message": CANARY, "status": CANARY, "details": [{"reason": CANARY}]})),
    "subject": ("subject", {"value": CANARY}),
}
FLOWS = {"metadata": "metadata", "token": "key", "sts": "file", "iam": "metadata", "subject": "json url"}
SPOILT: Mapping[str, object] = {
    "half": lambda body: body[: len(body) // 2],
    "no JSON": lambda body: CANARY.encode(),
    "a list": lambda body: json.dumps([CANARY]).encode(),
    "nulls": lambda body: json.dumps(dict.fromkeys(json.loads(body), None) | {CANARY: CANARY}).encode(),
    "bad token": lambda body: body.replace(CANARY.encode(), f"{CANARY}\\n{CANARY}".encode()),
    "bad expiry": lambda body: json.dumps(
        json.loads(body) | {"expires_in": CANARY, "expireTime": f"{CANARY}T00:00:00.5Z", "value": f"{CANARY} {CANARY}"}
    ).encode(),
}


@pytest.mark.parametrize(
    ("api", "status", "spoil"),
    [
        *product(ANSWERS, [200], SPOILT),
        *product(ANSWERS, [302, 400, 401, 403, 404, 418, 429, 500, 503], ["no JSON", "bad token"]),
    ],
)
def test_no_part_of_an_answer_is_told_anywhere(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, api: str, status: int, spoil: str
) -> None:
    caplog.set_level(logging.DEBUG)
    cloud: respx.Router = request.getfixturevalue("cloud")
    fields, resources = flow(FLOWS[api], request.getfixturevalue("key"), request.getfixturevalue("tmp_path"))
    route, answer = ANSWERS[api]
    cloud[route].respond(status, content=spoilt(spoil, answer), headers={**FLAVOR, "www-authenticate": CANARY})
    subject = minter({**fields, **({"service_account": PULL} if api == "iam" else {})}, resources)
    with pytest.raises(MintError) as caught:
        subject.mint()
    everything = "\n".join((told(caught.value), told(copy.copy(caught.value)), repr(subject), repr(resources)))
    assert "c4n4ry" not in everything + caplog.text
    assert "c4n4ry" not in repr(pickle.dumps(caught.value))


def spoilt(how: str, answer: object) -> bytes:
    spoil = SPOILT[how]
    assert callable(spoil)
    body = spoil(json.dumps(answer).encode())
    assert isinstance(body, bytes)
    return body
