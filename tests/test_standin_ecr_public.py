"""The stand-in's ECR Public, asked by boto3, and its registry."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from support.boto import Key, code, ecr_public, login, split
from support.standin import HTTP, USER, OffsetClock, ping

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Call
from ecrmint.standin.server import StandinServer

PRIVATE = "111111111111.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    with StandinServer(Cloud(clock=OffsetClock())) as running:
        yield running


def public_login(server: StandinServer, key: Key) -> tuple[str, str]:
    data = ecr_public(server.url, key).get_authorization_token()["authorizationData"]
    assert isinstance(data, dict)
    return split(data["authorizationToken"])


def test_the_answer_is_one_object_without_an_endpoint(server: StandinServer, key: Key) -> None:
    data = ecr_public(server.url, key).get_authorization_token()["authorizationData"]
    assert isinstance(data, dict)
    assert data.keys() == {"authorizationToken", "expiresAt"}
    assert 43190 < data["expiresAt"].timestamp() - datetime.now(UTC).timestamp() <= 43200


@pytest.mark.parametrize(
    ("host", "status"),
    [("public.ecr.aws", 200), ("ecr-public.aws.com", 200), (PRIVATE, 401), ("public.ecr.aws.evil.example", 401)],
)
def test_a_public_login_opens_the_public_registry_alone(
    server: StandinServer, key: Key, host: str, status: int
) -> None:
    assert ping(server.url, host, public_login(server, key)) == status


def test_the_public_registry_takes_no_other_login(server: StandinServer, key: Key) -> None:
    assert ping(server.url, "public.ecr.aws", login(server.url, key, region="us-east-1")) == 401
    assert ping(server.url, "public.ecr.aws", None) == 401


def test_calls_are_recorded_as_ecr_publics(server: StandinServer, cloud: Cloud, key: Key) -> None:
    public_login(server, key)
    assert cloud.calls == [Call("ecr-public.GetAuthorizationToken", USER, "us-east-1")]


def test_logins_are_given_in_one_region_alone(server: StandinServer, key: Key) -> None:
    with pytest.raises(ClientError, match="valid region") as error:
        ecr_public(server.url, key, region="eu-west-1").get_authorization_token()
    assert code(error) == (400, "InvalidSignatureException")


def test_a_caller_must_be_known(server: StandinServer, key: Key) -> None:
    with pytest.raises(ClientError) as error:
        ecr_public(server.url, Key(key.id, "wrong")).get_authorization_token()
    assert code(error) == (400, "InvalidSignatureException")
    unsigned = HTTP.post(
        server.url, content=b"{}", headers={"X-Amz-Target": "SpencerFrontendService.GetAuthorizationToken"}
    )
    assert (unsigned.status_code, unsigned.json()["__type"]) == (400, "MissingAuthenticationTokenException")


def test_throttling_is_ecr_publics_own(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["ecr-public.GetAuthorizationToken"].throttles = 1
    with pytest.raises(ClientError) as error:
        ecr_public(server.url, key).get_authorization_token()
    assert code(error) == (400, "ThrottlingException")
    assert public_login(server, key)
