"""Answers of the stand-in that no honest cloud gives, as boto3 reads them."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from support.boto import Key, assumed, ecr, ecr_public, login, split
from support.standin import USER, OffsetClock, ping

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Expires
from ecrmint.standin.server import StandinServer

ROLE = "arn:aws:iam::111111111111:role/pull"
HOST = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(ROLE, trust=[USER])
    with StandinServer(cloud) as running:
        yield running


def ends(server: StandinServer, key: Key) -> list[object]:
    """Return the ends that STS, ECR and ECR Public tell; None where one tells nothing."""
    (private,) = ecr(server.url, key).get_authorization_token()["authorizationData"]
    public = ecr_public(server.url, key).get_authorization_token()["authorizationData"]
    assert isinstance(public, dict)
    session = assumed(server.url, key, ROLE)["Credentials"]
    return [session.get("Expiration"), private.get("expiresAt"), public.get("expiresAt")]


def say(cloud: Cloud, expires: Expires | None) -> None:
    cloud.faults["sts.AssumeRole"].expires = expires
    cloud.faults["ecr.GetAuthorizationToken"].expires = expires
    cloud.faults["ecr-public.GetAuthorizationToken"].expires = expires


@pytest.mark.parametrize(
    ("expires", "expected"),
    [("expired", [-60.0] * 3), ("year_9999", None), (None, [3600.0, 43200.0, 43200.0])],
    ids=["expired", "year 9999", "honest"],
)
def test_an_end_may_be_anywhere(
    server: StandinServer, cloud: Cloud, key: Key, expires: Expires | None, expected: list[float] | None
) -> None:
    say(cloud, expires)
    now = datetime.now(UTC).timestamp()
    moments = [end.timestamp() for end in ends(server, key) if isinstance(end, datetime)]
    assert moments == ([253402300799.0] * 3 if expected is None else pytest.approx([now + s for s in expected], abs=5))


def test_an_end_may_have_no_zone(server: StandinServer, cloud: Cloud, key: Key) -> None:
    say(cloud, "no_zone")
    assert [isinstance(end, datetime) and end.tzinfo for end in ends(server, key)] == [None, None, None]


def test_an_end_may_be_missing(server: StandinServer, cloud: Cloud, key: Key) -> None:
    say(cloud, "missing")
    assert ends(server, key) == [None, None, None]


def test_what_is_said_of_the_end_changes_nothing_about_it(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].expires = "expired"
    assert ping(server.url, HOST, login(server.url, key)) == 200


@pytest.mark.parametrize("count", [0, 2])
def test_ecr_may_give_none_or_several_logins(server: StandinServer, cloud: Cloud, key: Key, count: int) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].logins = count
    data = ecr(server.url, key).get_authorization_token()["authorizationData"]
    logins = {split(entry["authorizationToken"]) for entry in data}
    assert [ping(server.url, HOST, one) for one in logins] == [200] * count


def test_ecr_may_name_another_accounts_registry(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].proxy_account = "333333333333"
    (data,) = ecr(server.url, key).get_authorization_token()["authorizationData"]
    assert data["proxyEndpoint"] == "https://333333333333.dkr.ecr.eu-west-1.amazonaws.com"
