"""What all of the stand-in has in common: faults, a record of calls, 501 for the unknown, an end that comes at once."""

from collections.abc import Iterator

import httpx2
import pytest
from botocore.exceptions import ClientError
from support.boto import Key, assume, code, ecr, login, sts
from support.standin import HTTP, USER, OffsetClock

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Call, Failure, Faults
from ecrmint.standin.server import StandinServer
from ecrmint.tokens import Secret

ROLE = "arn:aws:iam::222222222222:role/team/pull"
HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(ROLE, trust=[USER])
    with StandinServer(cloud) as running:
        yield running


def test_throttling_lasts_as_many_calls_as_asked(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["sts.GetCallerIdentity"].throttles = 1
    cloud.faults["ecr.GetAuthorizationToken"].throttles = 1
    with pytest.raises(ClientError) as error:
        sts(server.url, key).get_caller_identity()
    assert code(error) == (400, "Throttling")
    with pytest.raises(ClientError) as error:
        ecr(server.url, key).get_authorization_token()
    assert code(error) == (400, "ThrottlingException")
    assert sts(server.url, key).get_caller_identity()["Arn"] == USER
    assert login(server.url, key)


def test_a_set_error_is_answered_until_it_is_taken_away(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].error = Failure(500, "ServerException", "on purpose")
    for _ in range(2):
        with pytest.raises(ClientError, match="on purpose") as error:
            ecr(server.url, key).get_authorization_token()
        assert code(error) == (500, "ServerException")
    cloud.faults["ecr.GetAuthorizationToken"].error = None
    assert login(server.url, key)


def test_errors_of_the_next_calls_are_answered_once_each(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].next_errors = [Failure(500, "ServerException"), Failure(400, "Other")]
    for expected in [(500, "ServerException"), (400, "Other")]:
        with pytest.raises(ClientError) as error:
            ecr(server.url, key).get_authorization_token()
        assert code(error) == expected
    assert login(server.url, key)


def test_a_truncated_answer_has_no_login_in_it(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].truncated = True
    assert "authorizationData" not in ecr(server.url, key).get_authorization_token()


def test_a_truncated_answer_keeps_its_headers(server: StandinServer, cloud: Cloud) -> None:
    whole = HTTP.get(f"{server.url}/v2/", headers={"Host": HOST})
    cloud.faults["registry.v2"].truncated = True
    half = HTTP.get(f"{server.url}/v2/", headers={"Host": HOST})
    assert (half.status_code, half.content) == (whole.status_code, whole.content[: len(whole.content) // 2])
    assert half.headers["www-authenticate"] == whole.headers["www-authenticate"]
    assert half.headers.keys() == whole.headers.keys()


def test_latency_is_waited_for(server: StandinServer, cloud: Cloud) -> None:
    cloud.faults["registry.v2"] = Faults(latency=60)
    with pytest.raises(httpx2.ReadTimeout):
        HTTP.get(f"{server.url}/v2/", timeout=0.05)


def test_calls_are_recorded_without_any_secret(server: StandinServer, cloud: Cloud, key: Key) -> None:
    login(server.url, assume(server.url, key, ROLE))
    HTTP.get(f"{server.url}/v2/", headers={"Host": HOST}, auth=("AWS", "secret"))
    caller = "arn:aws:sts::222222222222:assumed-role/pull/ecrmint"
    assert cloud.calls == [
        Call("sts.AssumeRole", USER, ROLE),
        Call("ecr.GetAuthorizationToken", caller, "eu-west-1"),
        Call("registry.v2", "AWS", HOST),
    ]
    assert cloud.calls_to("registry.v2") == [Call("registry.v2", "AWS", HOST)]


def test_what_is_not_known_is_501_and_recorded(server: StandinServer, cloud: Cloud, key: Key) -> None:
    with pytest.raises(ClientError) as error:
        ecr(server.url, key).describe_repositories()
    assert code(error)[0] == 501
    with pytest.raises(ClientError) as error:
        sts(server.url, key).get_session_token()
    assert code(error)[0] == 501
    assert HTTP.get(f"{server.url}/v2/app/tags/list").status_code == 501
    assert HTTP.post(f"{server.url}/v2/app/manifests/latest").status_code == 501
    assert HTTP.put(f"{server.url}/v2/").status_code == 501
    assert HTTP.get(f"{server.url}/v2").status_code == 501
    assert [call.target for call in cloud.calls_to("unknown")] == [
        "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
        "GetSessionToken",
        "GET /v2/app/tags/list",
        "POST /v2/app/manifests/latest",
        "PUT /v2/",
        "GET /v2",
    ]


def test_the_state_shows_no_secret(server: StandinServer, cloud: Cloud, key: Key) -> None:
    session = assume(server.url, key, ROLE)
    _, password = login(server.url, session)
    shown = repr(cloud)
    assert Secret(password) in cloud.ecr_logins
    assert [text in shown for text in (key.secret, session.secret, session.token or "", password)] == [False] * 4


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104  # refused is what we want
def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(ValueError, match="loopback alone"):
        StandinServer(Cloud(), host=host)


def test_a_taken_port_is_the_callers_to_know(server: StandinServer) -> None:
    with pytest.raises(OSError, match="in use"):
        StandinServer(Cloud(), port=int(server.url.rsplit(":", 1)[1])).start()


def test_a_stopped_server_is_gone_at_once_even_while_it_is_asked() -> None:
    cloud = Cloud()
    cloud.faults["registry.v2"].latency = 60
    with StandinServer(cloud, host="::1") as server, pytest.raises(httpx2.ReadTimeout):
        HTTP.get(f"{server.url}/v2/", timeout=0.05)
    with pytest.raises(httpx2.ConnectError):
        HTTP.get(f"{server.url}/v2/")
