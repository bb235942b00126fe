"""A machine's own login: the metadata server's token, or a whole hour's where that one is short and it is allowed."""

import json
from collections.abc import Iterator
from time import monotonic, time

import httpx
import httpx2
import pytest
import respx
from support.accounts import complaint, minter
from support.google import (
    CI,
    FLAVOR,
    IAM,
    LOGIN,
    METADATA,
    OWN,
    PULL,
    READ_ONLY,
    asked,
    granted,
    hosts,
    iam_url,
    impersonated,
    requests,
    willing,
)

from ecrmint.minters import Resources, _retry
from ecrmint.minters._google import self_impersonation
from ecrmint.minters._google.shared import Google
from ecrmint.tokens import Login, Secret

MACHINE: dict[str, object] = {"type": "google", "registries": ("gcr.io",)}
TOKEN, EMAIL = f"{METADATA}/token", f"{METADATA}/email"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[respx.Router]:
    monkeypatch.setattr(_retry, "sleep", lambda seconds: None)
    with willing() as router:
        router["metadata"].respond(json=granted(expires_in=600), headers=FLAVOR)
        yield router


@pytest.fixture
def resources() -> Resources:
    return Resources()


def left(login: Login) -> float:
    assert login.expires_at is not None
    return login.expires_at - time()


def test_a_token_with_most_of_its_hour_left_is_the_login(cloud: respx.Router, resources: Resources) -> None:
    cloud["metadata"].respond(json=granted(expires_in=2701), headers=FLAVOR)
    assert minter(MACHINE, resources).mint().password == Secret(OWN)
    assert asked(cloud) == [TOKEN]


def test_a_short_one_is_exchanged_for_the_accounts_own_fresh_one(cloud: respx.Router, resources: Resources) -> None:
    login = minter(MACHINE, resources).mint()
    assert login.password == Secret(LOGIN)
    assert 3590 < left(login) <= 3600
    assert asked(cloud) == [TOKEN, EMAIL, TOKEN, iam_url(CI)]
    short, _, source, impersonation = requests(cloud)
    assert (short.url.params["scopes"], source.url.params["scopes"]) == (READ_ONLY, IAM)
    assert json.loads(impersonation.content) == {"scope": [READ_ONLY], "lifetime": "3600s"}
    assert impersonation.headers["authorization"] == f"Bearer {OWN}"
    assert hosts(cloud) == {"169.254.169.254", "iamcredentials.googleapis.com"}


def test_never_is_never(cloud: respx.Router, resources: Resources) -> None:
    login = minter({**MACHINE, "self_impersonate": "never"}, resources).mint()
    assert (login.password, asked(cloud)) == (Secret(OWN), [TOKEN])
    assert 590 < left(login) <= 600


@pytest.mark.parametrize("status", [403, 404])
def test_where_it_is_refused_the_short_one_is_the_login_and_it_is_not_tried_again_for_an_hour(
    cloud: respx.Router, resources: Resources, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    cloud[CI].respond(status)
    for _ in range(3):
        assert minter(MACHINE, resources).mint().password == Secret(OWN)
    assert cloud[CI].call_count == 1
    now = monotonic()
    for passed, calls in ((3590, 1), (3610, 2)):
        monkeypatch.setattr(self_impersonation, "monotonic", lambda passed=passed: now + passed)
        minter(MACHINE, resources).mint()
        assert cloud[CI].call_count == calls


@pytest.mark.parametrize(
    "fault",
    [httpx2.ConnectTimeout("x"), httpx2.ReadTimeout("x"), respx.MockResponse(503), respx.MockResponse(json={})],
    ids=["unreachable", "timeout", "fault", "malformed"],
)
def test_what_may_pass_is_tried_again_after_ten_minutes(
    cloud: respx.Router, resources: Resources, monkeypatch: pytest.MonkeyPatch, fault: Exception | httpx.Response
) -> None:
    cloud[CI].side_effect = [fault] * 3
    assert minter(MACHINE, resources).mint().password == Secret(OWN)
    cloud[CI].side_effect = None
    cloud[CI].respond(json=impersonated())
    now = monotonic()
    for passed, password in ((590, OWN), (610, LOGIN)):
        monkeypatch.setattr(self_impersonation, "monotonic", lambda passed=passed: now + passed)
        assert minter(MACHINE, resources).mint().password == Secret(password)


def test_a_pod_that_goes_by_its_pools_name_has_nobody_to_act_as(cloud: respx.Router, resources: Resources) -> None:
    cloud["email"].respond(text="acme.svc.id.goog", headers=FLAVOR)
    for _ in range(2):
        assert minter(MACHINE, resources).mint().password == Secret(OWN)
    assert asked(cloud) == [TOKEN, EMAIL, TOKEN]


def test_a_reload_that_keeps_the_resources_keeps_the_memory(cloud: respx.Router) -> None:
    cloud[CI].respond(403)
    google = Google()
    for _ in range(2):
        minter(MACHINE, Resources(google=google)).mint()
    assert cloud[CI].call_count == 1


def test_whether_it_is_tried_is_part_of_the_logins_key(resources: Resources) -> None:
    assert minter(MACHINE, resources) == minter(MACHINE, Resources())
    assert minter(MACHINE, resources) != minter({**MACHINE, "self_impersonate": "never"}, resources)


def test_the_walk_says_who_the_machine_is(cloud: respx.Router, resources: Resources) -> None:
    steps: dict[str, str] = {}
    minter(MACHINE, resources).walk(steps.__setitem__)
    assert steps == {"identity": CI}


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"service_account": PULL}, ": self_impersonate: with service_account this has no effect"),
        ({"credentials_file": "f"}, ": self_impersonate: with credentials_file this has no effect"),
    ],
    ids=["service_account", "credentials_file"],
)
def test_it_is_for_the_machines_own_login_alone(keys: dict[str, object], text: str) -> None:
    assert complaint(**MACHINE, **keys, self_impersonate="auto") == text
