"""The process's own AWS identity: found wherever botocore finds one, searched for once, and missed in plain words."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from support.accounts import minter
from support.chain import told
from support.identity import forget_identity
from support.metadata import Metadata, metadata_server
from support.process import free_ports
from support.standin import USER, OffsetClock, cleaned

from ecrmint.errors import MintError, NoIdentityError, UnreachableError
from ecrmint.minters import Resources
from ecrmint.minters._aws import identity, retries
from ecrmint.standin.cloud import AccessKey, Cloud
from ecrmint.standin.faults import Failure
from ecrmint.standin.server import StandinServer

PULL = "arn:aws:iam::222222222222:role/pull"
OWN: Mapping[str, object] = {"type": "ecr", "registries": ("111111111111.dkr.ecr.eu-west-1.amazonaws.com",)}
WEB: Final = "sts.AssumeRoleWithWebIdentity"
NO_KEY_YET = Failure(
    400,
    "InvalidIdentityToken",
    "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity"
    " documentation for requirements",
)
NO_ISSUER_YET = Failure(400, "IDPCommunicationError", "Error communicating with the identity provider")
THREADS = 16


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(PULL, trust=[USER])
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture(scope="module")
def key(server: StandinServer) -> AccessKey:
    return server.cloud.issue_session(server.cloud.roles[PULL], name="machine", seconds=3600)


@pytest.fixture
def cloud(server: StandinServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    forget_identity(monkeypatch)
    with cleaned(server.cloud) as cloud:
        yield cloud


@pytest.fixture
def metadata(cloud: Cloud) -> Iterator[Metadata]:
    with metadata_server() as metadata:
        yield metadata


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("a.b.c", encoding="utf-8")
    return file


@pytest.fixture
def _pod(cloud: Cloud, server: StandinServer, token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a pod with a web identity."""
    monkeypatch.setenv("AWS_ROLE_ARN", PULL)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token_file))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    monkeypatch.setattr(retries, "_FIRST_SECONDS", 0.0)


@pytest.fixture
def _closed_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")


def failure(resources: Resources, fields: Mapping[str, object] = OWN) -> MintError:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    assert "c4n4ry" not in told(caught.value)
    return caught.value


def failures_at_once(resources: Resources) -> set[type[MintError]]:
    """Mint for as many accounts as there are threads, all at the same time."""
    together = threading.Barrier(THREADS)

    def mint(number: int) -> type[MintError]:
        fields = {**OWN, "registries": (f"111111111111.dkr.ecr.eu-west-{number + 1}.amazonaws.com",)}
        together.wait(10)
        return type(failure(resources, fields))

    with ThreadPoolExecutor(THREADS) as pool:
        return {*pool.map(mint, range(THREADS))}


# Metadata servers


@pytest.mark.usefixtures("_closed_proxy")
def test_a_machine_has_the_identity_of_its_metadata_past_every_proxy(
    cloud: Cloud, resources: Resources, metadata: Metadata, key: AccessKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.key = key
    metadata.be_ec2(monkeypatch)
    assert minter(OWN, resources).mint().username == "AWS"
    assert metadata.asked[0] == "PUT /latest/api/token"
    assert [call.caller for call in cloud.calls] == [key.arn]


@pytest.mark.usefixtures("_closed_proxy")
def test_a_pod_has_the_identity_of_its_agent_past_every_proxy(
    resources: Resources, metadata: Metadata, key: AccessKey, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.key, metadata.token = key, "a.b.c"
    metadata.be_agent(monkeypatch, token_file)
    assert minter(OWN, resources).mint().username == "AWS"
    assert metadata.asked == ["GET /agent"]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_line_end_in_the_agents_token_is_what_the_error_says(
    resources: Resources, metadata: Metadata, token_file: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    token_file.write_text(f"c4n4ry{end}", encoding="utf-8", newline="")
    metadata.be_agent(monkeypatch, token_file)
    error = failure(resources)
    assert type(error) is NoIdentityError
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" in str(error)
    assert "line end" in str(error)
    assert metadata.asked == []


def test_an_agent_that_refuses_the_token_is_what_the_error_says(
    resources: Resources, metadata: Metadata, key: AccessKey, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_PAUSE_SECONDS", 0.0)
    metadata.key, metadata.token = key, "another"
    metadata.be_agent(monkeypatch, token_file)
    error = failure(resources)
    assert (type(error), str(error)) == (NoIdentityError, "the container's agent gives no AWS credentials")
    assert "Pod Identity" in error.hint


@pytest.mark.usefixtures("cloud")
def test_an_agent_elsewhere_is_not_asked(
    resources: Resources, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://agent.example/")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token_file))
    assert type(failure(resources)) is NoIdentityError


@pytest.mark.usefixtures("cloud")
def test_metadata_is_asked_by_plain_http_nowhere_but_near(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://metadata.example/")
    error = failure(resources)
    assert (type(error), "plain http" in str(error)) == (UnreachableError, True)


@pytest.mark.usefixtures("cloud")
def test_no_identity_anywhere_hints_at_a_containers_hop_limit(resources: Resources) -> None:
    error = failure(resources)
    assert type(error) is NoIdentityError
    assert "hop limit" in error.hint
    assert "AWS_EC2_METADATA_DISABLED" in error.hint


# One search for all


def test_a_search_that_fails_is_shared_by_all_who_wait(
    resources: Resources, metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.be_ec2(monkeypatch)
    assert failures_at_once(resources) == {NoIdentityError}
    assert metadata.asked.count("PUT /latest/api/token") == 1


@pytest.mark.usefixtures("_pod")
def test_a_renewal_that_fails_is_shared_by_all_who_wait(cloud: Cloud, resources: Resources) -> None:
    cloud.faults[WEB].error = Failure(403, "AccessDenied", "Not authorized")
    assert failures_at_once(resources) == {NoIdentityError}
    assert len(cloud.calls) == 1


def test_a_failed_search_is_not_remembered_for_long(
    resources: Resources, metadata: Metadata, key: AccessKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_REMEMBERED_SECONDS", 0.0)
    metadata.be_ec2(monkeypatch)
    failure(resources)
    metadata.key = key
    assert minter(OWN, resources).mint().username == "AWS"


def test_an_identity_that_was_found_is_not_searched_again(
    resources: Resources, metadata: Metadata, key: AccessKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.key = key
    metadata.be_ec2(monkeypatch)
    for _ in range(3):
        minter(OWN, resources).mint()
    assert metadata.asked.count("PUT /latest/api/token") == 1


# Web identities whose issuer could not be asked


@pytest.mark.usefixtures("_pod")
@pytest.mark.parametrize("passing", [NO_KEY_YET, NO_ISSUER_YET], ids=lambda each: each.code)
@pytest.mark.parametrize("times", [1, 3])
def test_a_web_identity_that_could_not_be_checked_is_tried_again(
    cloud: Cloud, resources: Resources, passing: Failure, times: int
) -> None:
    refused = Failure(403, "AccessDenied", "Not authorized")
    cloud.faults[WEB].next_errors = [passing] * times + [refused]
    failure(resources)
    assert len(cloud.calls) == times + 1


@pytest.mark.usefixtures("_pod")
@pytest.mark.parametrize("passing", [NO_KEY_YET, NO_ISSUER_YET], ids=lambda each: each.code)
def test_it_is_not_tried_for_ever(cloud: Cloud, resources: Resources, passing: Failure) -> None:
    cloud.faults[WEB].error = passing
    error = failure(resources)
    assert len(cloud.calls) == 4
    assert "issuer" in str(error)
    assert error.definite is False


@pytest.mark.usefixtures("_pod")
@pytest.mark.parametrize(
    "refused",
    [
        Failure(400, "InvalidIdentityToken", "Incorrect token audience"),
        Failure(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://x"),
        Failure(400, "ExpiredTokenException", "Token expired"),
        Failure(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    ],
    ids=["audience", "provider", "expired", "denied"],
)
def test_a_web_identity_that_is_refused_is_not_tried_again(
    cloud: Cloud, resources: Resources, refused: Failure
) -> None:
    cloud.faults[WEB].error = refused
    assert type(failure(resources)) is NoIdentityError
    assert len(cloud.calls) == 1


def test_a_role_by_web_identity_is_tried_again_too(
    cloud: Cloud, resources: Resources, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_FIRST_SECONDS", 0.0)
    cloud.faults[WEB].next_errors = [NO_KEY_YET, NO_ISSUER_YET, Failure(403, "AccessDenied", "Not authorized")]
    failure(resources, {**OWN, "role_arn": PULL, "web_identity_token_file": str(token_file)})
    assert len(cloud.calls) == 3
