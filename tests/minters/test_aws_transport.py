"""How the requests to AWS travel: bounded in size and time, by the proxies and certificates that the machine has."""

import json
import threading
import tracemalloc
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time

import pytest
from support.accounts import minter
from support.certificate import write_certificate
from support.identity import become
from support.raw import Raw, raw_server

from ecrmint.errors import MalformedAnswerError, MintError, MintTimeoutError, UnreachableError
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._aws import clients
from ecrmint.minters._http import Http
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import AccessKey
from ecrmint.tokens import Secret

HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
OWN: Mapping[str, object] = {"type": "ecr", "registries": (HOST,)}
ROLE: Mapping[str, object] = {**OWN, "role_arn": "arn:aws:iam::222222222222:role/pull"}
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, AccessKey("AKIAXXXXXXXXXXXXXXXX", Secret("x" * 40), "arn:aws:iam::1:user/a", ""))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def raw() -> Iterator[Raw]:
    with raw_server() as raw:
        yield raw


def at(url: str) -> Resources:
    return Resources(endpoints=Endpoints(sts=Regional(url), ecr=Regional(url)))


def failure(fields: Mapping[str, object], resources: Resources) -> MintError:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    assert caught.value.hint
    return caught.value


def login(password: str = "p") -> bytes:
    data = {
        "authorizationToken": b64encode(f"AWS:{password}".encode()).decode(),
        "expiresAt": int(time()) + 3600,
        "proxyEndpoint": f"https://{HOST}",
    }
    return json.dumps({"authorizationData": [data]}).encode()


@dataclass
class Drops:
    """A body of one byte now and then."""

    over: threading.Event

    def __iter__(self) -> Iterator[bytes]:
        while not self.over.wait(0.05):
            yield b" "


def answer(raw: Raw, body: bytes) -> None:
    """Answer every call with that body."""
    raw.head, raw.pieces = {"Content-Length": str(len(body))}, (body,)


def ask(cloud: str, url: str) -> None:
    if cloud == "aws":
        minter(OWN, at(url)).mint()
    else:
        Http().within(5).post(url, headers={}, content=b"", what="Google", call="token")


both_clouds = pytest.mark.parametrize("cloud", ["aws", "google"])


# Size and time


@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["ecr", "sts"])
@pytest.mark.parametrize("status", [200, 400, 503])
def test_an_answer_without_end_is_refused_and_not_kept(raw: Raw, fields: Mapping[str, object], status: int) -> None:
    raw.status, raw.head, raw.pieces = status, {"Content-Length": str(50 * MIB)}, (b"x" * (64 << 10),) * 800
    resources = at(raw.url)
    resources.aws.unsigned_sts(clients.Place("eu-west-1"))  # a first client reads botocore's own data
    tracemalloc.start()
    try:
        error = failure(fields, resources)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (type(error), str(error)) == (MalformedAnswerError, "AWS answers with more than 256 KiB")
    assert most < 4 * MIB
    assert raw.sent < 25 * MIB  # what the network's own buffers hold


def test_a_large_login_is_one(raw: Raw) -> None:
    answer(raw, login("p" * (100 << 10)))
    assert len(minter(OWN, at(raw.url)).mint().password.reveal()) == 100 << 10


def test_a_body_in_chunks_is_read(raw: Raw) -> None:
    body = login()
    raw.head = {"Transfer-Encoding": "chunked"}
    raw.pieces = (b"5\r\n" + body[:5] + b"\r\n", b"%x\r\n" % len(body[5:]) + body[5:] + b"\r\n", b"0\r\n\r\n")
    assert minter(OWN, at(raw.url)).mint().password == Secret("p")


def test_a_byte_now_and_then_is_no_answer_in_time(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(clients, "_READ_SECONDS", 0.3)
    over = threading.Event()
    raw.head, raw.pieces = {"Content-Length": "1000000"}, Drops(over)
    started = monotonic()
    try:
        assert type(failure(OWN, at(raw.url))) is MintTimeoutError
    finally:
        over.set()
    assert monotonic() - started < 10


def test_a_connection_that_ends_in_the_middle_is_no_login(raw: Raw) -> None:
    raw.head = {"Transfer-Encoding": "chunked", "Connection": "close"}
    raw.pieces = (b"500\r\nabc",)
    assert type(failure(OWN, at(raw.url))) is UnreachableError


def test_the_roles_of_a_region_share_a_connection(raw: Raw) -> None:
    resources = at(raw.url)
    for _ in range(3):
        answer(raw, login())
        minter(OWN, resources).mint()
        key = clients.SessionKey("arn:aws:sts::1:assumed-role/a/b", "ASIA", Secret("x"), Secret("y"))
        answer(raw, login())
        with resources.aws.ecr(clients.Place("eu-west-1", raw.url), key) as client:
            client.get_authorization_token()
    assert (len(raw.asked), raw.connections) == (6, 1)


# Proxies


@both_clouds
def test_both_clouds_are_asked_through_the_machines_proxy(
    raw: Raw, cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.status, raw.head = 403, {"Content-Length": "0"}
    monkeypatch.setenv("HTTPS_PROXY", raw.url)
    with pytest.raises(UnreachableError):
        ask(cloud, "https://vpce.example")
    assert set(raw.asked) == {"CONNECT vpce.example:443"}


def test_what_is_near_is_asked_past_the_machines_proxy(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        answer(raw, login())
        assert minter(OWN, at(raw.url)).mint().username == "AWS"
        assert proxy.asked == []


# Certificates


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Raw]:
    with raw_server(write_certificate(tmp_path)) as raw:
        answer(raw, login())
        yield raw


@both_clouds
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE"])
def test_both_clouds_are_trusted_by_either_variable(
    secure: Raw, cloud: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "cert.pem"))
    ask(cloud, secure.url)
    assert secure.asked == ["POST /"]


@both_clouds
def test_nobody_else_is_trusted(secure: Raw, cloud: str) -> None:
    with pytest.raises(UnreachableError):
        ask(cloud, secure.url)
    assert secure.asked == []


@pytest.mark.parametrize(("cloud", "variable"), [("aws", "AWS_CA_BUNDLE"), ("google", "SSL_CERT_FILE")])
def test_each_clouds_own_variable_wins(
    secure: Raw, cloud: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other, _ = write_certificate(tmp_path / "other")
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "cert.pem" if name == variable else other))
    ask(cloud, secure.url)
    assert secure.asked == ["POST /"]


@both_clouds
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE"])
def test_a_file_of_certificates_that_is_none_is_unreachable(
    secure: Raw, cloud: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    with pytest.raises(UnreachableError) as caught:
        ask(cloud, secure.url)
    assert "certificates" in str(caught.value) + caught.value.hint
