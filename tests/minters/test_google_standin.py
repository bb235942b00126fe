"""Google's logins over real sockets, against the stand-in cloud."""

import json
from collections.abc import Iterator, Mapping
from time import time

import pytest
from support.accounts import minter
from support.process import free_ports
from support.standin import HTTP, OffsetClock, cleaned

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
from ecrmint.fields import SecretSource
from ecrmint.minters import Endpoints, Resources, _http, _retry
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Api
from ecrmint.standin.server import StandinServer
from ecrmint.tokens import Secret

CI = "ci@acme.iam.gserviceaccount.com"
PULL = "pull@acme.iam.gserviceaccount.com"
FILE = SecretSource(file="/etc/ecrmint/gcp.json")
HOST = "europe-docker.pkg.dev"
OWN: Mapping[str, object] = {"type": "google", "registries": (HOST,)}
KEY: Mapping[str, object] = {**OWN, "credentials_file": FILE.file}
TARGET: Mapping[str, object] = {**KEY, "service_account": PULL}


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_service_account(CI)
    cloud.add_service_account(PULL)
    cloud.allow_impersonation(CI, PULL)
    cloud.set_metadata_identity(CI)
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture(scope="module")
def key(server: StandinServer) -> str:
    return json.dumps(server.cloud.create_key(CI))


@pytest.fixture
def cloud(server: StandinServer) -> Iterator[Cloud]:
    with cleaned(server.cloud) as cloud:
        yield cloud


@pytest.fixture
def resources(server: StandinServer, key: str) -> Resources:
    return at(server.url, key)


def at(url: str, key: str) -> Resources:
    endpoints = Endpoints(google_token=f"{url}/token", iamcredentials=url, metadata=url)
    return Resources(endpoints=endpoints, secrets={FILE: Secret(key)})


def failure(fields: Mapping[str, object], resources: Resources) -> type[MintError]:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    return type(caught.value)


def asked(cloud: Cloud) -> list[str]:
    return [call.api for call in cloud.calls]


@pytest.mark.parametrize(
    ("fields", "apis"),
    [
        (OWN, ["google.metadata"]),
        (KEY, ["google.token"]),
        ({**OWN, "service_account": PULL}, ["google.metadata", "google.generateAccessToken"]),
        (TARGET, ["google.token", "google.generateAccessToken"]),
    ],
    ids=["metadata", "key", "metadata and impersonation", "key and impersonation"],
)
def test_a_login_opens_the_registry(
    cloud: Cloud, server: StandinServer, resources: Resources, fields: Mapping[str, object], apis: list[Api]
) -> None:
    login = minter(fields, resources).mint()
    assert asked(cloud) == apis
    answer = HTTP.get(f"{server.url}/v2/", headers={"Host": HOST}, auth=(login.username, login.password.reveal()))
    assert answer.status_code == 200
    assert login.expires_at is not None
    assert 3500 < login.expires_at - time() <= 3600


def test_a_metadata_token_keeps_its_own_end(cloud: Cloud, resources: Resources) -> None:
    first, second = (minter(OWN, resources).mint() for _ in range(2))
    assert (first.username, first.password) == (second.username, second.password)
    assert first.expires_at is not None
    assert second.expires_at is not None
    assert abs(first.expires_at - second.expires_at) < 2
    assert len(cloud.calls) == 2


def test_a_stranger_may_not_impersonate(cloud: Cloud, resources: Resources) -> None:
    cloud.service_accounts[PULL].impersonators.remove(CI)
    assert failure(TARGET, resources) is TrustDeniedError
    cloud.allow_impersonation(CI, PULL)


@pytest.mark.usefixtures("cloud")
def test_a_service_account_that_does_not_exist_is_trust_denied(resources: Resources) -> None:
    assert failure({**KEY, "service_account": f"no-{PULL}"}, resources) is TrustDeniedError


@pytest.mark.usefixtures("cloud")
def test_a_lifetime_that_is_not_allowed_is_a_cloud_error(resources: Resources) -> None:
    assert failure({**TARGET, "lifetime": "2h"}, resources) is CloudError


def test_a_deleted_key_is_no_identity(cloud: Cloud, server: StandinServer) -> None:
    deleted = cloud.create_key(CI)
    del cloud.service_accounts[CI].keys[deleted["private_key_id"]]
    assert failure(KEY, at(server.url, json.dumps(deleted))) is NoIdentityError


def test_a_machine_without_a_service_account_is_no_identity(cloud: Cloud, resources: Resources) -> None:
    cloud.set_metadata_identity("")
    assert failure(OWN, resources) is NoIdentityError
    cloud.set_metadata_identity(CI)


def test_a_wrong_clock_is_told_from_a_wrong_key(cloud: Cloud, resources: Resources) -> None:
    assert isinstance(cloud.clock, OffsetClock)
    cloud.clock.seconds = -1000
    assert failure(KEY, resources) is ClockSkewError


@pytest.mark.parametrize("api", ["google.metadata", "google.token", "google.generateAccessToken"])
def test_every_api_may_throttle_or_stall(
    cloud: Cloud, server: StandinServer, key: str, monkeypatch: pytest.MonkeyPatch, api: Api
) -> None:
    fields = OWN if api == "google.metadata" else TARGET
    monkeypatch.setattr(_retry, "sleep", lambda seconds: None)
    cloud.faults[api].throttles = 2
    assert minter(fields, at(server.url, key)).mint().username == "oauth2accesstoken"
    assert len(cloud.calls_to(api)) == 3
    cloud.faults[api].throttles = 3
    assert failure(fields, at(server.url, key)) is ThrottledError
    monkeypatch.setattr(_http, "_READ_SECONDS", 0.05)
    cloud.faults[api].latency = 30
    assert failure(fields, at(server.url, key)) is MintTimeoutError


@pytest.mark.parametrize("api", ["google.token", "google.generateAccessToken"])
def test_half_an_answer_is_malformed(cloud: Cloud, resources: Resources, api: Api) -> None:
    cloud.faults[api].truncated = True
    assert failure(TARGET, resources) is MalformedAnswerError


def test_a_closed_port_is_unreachable(key: str) -> None:
    (port,) = free_ports(1)
    nowhere = at(f"http://127.0.0.1:{port}", key)
    assert failure(KEY, nowhere) is UnreachableError
    assert failure(OWN, nowhere) is NoIdentityError


def test_what_is_near_is_asked_past_every_proxy(
    cloud: Cloud, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    minter(OWN, resources).mint()
    minter(KEY, resources).mint()
    assert asked(cloud) == ["google.metadata", "google.token"]
