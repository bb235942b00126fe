"""Where pods, tasks and instances ask the stand-in for their role's credentials: by botocore's own providers."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import boto3
import httpx2
import pytest
from botocore.credentials import ContainerProvider, Credentials
from botocore.exceptions import ClientError, CredentialRetrievalError
from botocore.utils import ContainerMetadataFetcher
from support.boto import Key, assume, sts
from support.identity import forget_identity
from support.standin import HTTP, OffsetClock, cleaned

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Call
from ecrmint.standin.server import StandinServer

ROLE = "arn:aws:iam::111111111111:role/team/machine"
PLAIN = "arn:aws:iam::222222222222:role/plain"
TAGGED = "arn:aws:iam::222222222222:role/tagged"
TAGS = {"eks-cluster-name": "ci", "kubernetes-namespace": "drone"}
ROLES = "/latest/meta-data/iam/security-credentials/"


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(ROLE)
    cloud.add_role(PLAIN, trust=[ROLE])
    cloud.add_role(TAGGED, trust=[ROLE], tag_session=True)
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture
def cloud(server: StandinServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    forget_identity(monkeypatch)
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)  # between its attempts
    with cleaned(server.cloud) as cloud:
        cloud.machines.instance_role = ROLE
        yield cloud


@pytest.fixture
def pod(server: StandinServer, cloud: Cloud, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a pod with an association."""
    token = tmp_path / "eks-pod-identity-token"
    token.write_text(cloud.machines.add_pod(ROLE, tags=TAGS))
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
    }


def provided(environment: Mapping[str, str]) -> Key:
    """Return what botocore's container provider gets."""
    return frozen(ContainerProvider(dict(environment)).load())


def frozen(credentials: Credentials | None) -> Key:
    assert credentials is not None
    found = credentials.get_frozen_credentials()
    assert found.access_key is not None
    assert found.secret_key is not None
    return Key(found.access_key, found.secret_key, found.token)


def account(server: StandinServer, key: Key) -> str:
    identity = sts(server.url, key).get_caller_identity()
    assert identity["Arn"].startswith("arn:aws:sts::111111111111:assumed-role/machine/machine-")
    return identity["Account"]


def left(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() - datetime.now(UTC).timestamp()


def instance_token(server: StandinServer, seconds: str = "60") -> httpx2.Response:
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": seconds}
    return HTTP.put(f"{server.url}/latest/api/token", headers=headers)


def instance_role(server: StandinServer, name: str, token: str) -> httpx2.Response:
    return HTTP.get(f"{server.url}{ROLES}{name}", headers={"X-aws-ec2-metadata-token": token})


def test_a_pod_that_shows_its_token_gets_its_roles_credentials(
    server: StandinServer, cloud: Cloud, pod: dict[str, str]
) -> None:
    key = provided(pod)
    assert cloud.calls == [Call("eks.credentials", "", "")]
    assert account(server, key) == "111111111111"


def test_a_pods_tags_go_on_to_every_role_after_it(server: StandinServer, cloud: Cloud, pod: dict[str, str]) -> None:
    key = provided(pod)
    assert cloud.keys[assume(server.url, key, TAGGED).id].context.tags == TAGS
    with pytest.raises(ClientError, match="sts:TagSession"):
        assume(server.url, key, PLAIN)


def test_a_pod_without_tags_may_go_on_to_any_role(
    server: StandinServer, cloud: Cloud, pod: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "eks-pod-identity-token").write_text(cloud.machines.add_pod(ROLE))
    assert assume(server.url, provided(pod), PLAIN).token


@pytest.mark.parametrize("spoil", [lambda token: token[:-1], lambda _: ""], ids=["cut", "none"])
def test_a_pod_with_another_token_gets_nothing(
    cloud: Cloud, pod: dict[str, str], tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    token = tmp_path / "eks-pod-identity-token"
    token.write_text(spoil(token.read_text()))
    with pytest.raises(CredentialRetrievalError, match="401"):
        provided(pod)
    assert len(cloud.calls_to("eks.credentials")) == 3


def test_a_newline_after_the_token_keeps_botocore_from_asking(
    cloud: Cloud, pod: dict[str, str], tmp_path: Path
) -> None:
    with (tmp_path / "eks-pod-identity-token").open("a") as token:
        token.write("\n")
    with pytest.raises(ValueError, match="not a legal header value"):
        provided(pod)
    assert cloud.calls == []


def test_the_pods_answer_is_of_the_form_that_clients_read(
    server: StandinServer, cloud: Cloud, pod: dict[str, str]
) -> None:
    token = Path(pod["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read_text()
    answer = HTTP.get(pod["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": token}).json()
    assert answer.keys() == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration", "AccountId"}
    assert answer["AccountId"] == "111111111111"
    assert 21580 < left(answer["Expiration"]) <= 21600


def test_a_task_asks_at_its_own_path(server: StandinServer, cloud: Cloud) -> None:
    path = cloud.machines.add_task(ROLE)
    key = provided({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}{path}"})
    assert account(server, key) == "111111111111"
    assert HTTP.get(f"{server.url}{path}").json()["RoleArn"] == ROLE
    assert HTTP.get(f"{server.url}{path}0").status_code == 404


@pytest.mark.parametrize("missing", [None, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], ids=["pod", "instance"])
def test_botocores_own_chain_finds_the_machines_role(
    server: StandinServer, cloud: Cloud, pod: dict[str, str], monkeypatch: pytest.MonkeyPatch, missing: str | None
) -> None:
    instance = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url, "AWS_EC2_METADATA_DISABLED": "false"}
    for name, value in (instance if missing else pod).items():
        monkeypatch.setenv(name, value)
    key = frozen(boto3.Session(region_name="eu-west-1").get_credentials())
    assert account(server, key) == "111111111111"
    apis = [call.api for call in cloud.calls if call.api != "sts.GetCallerIdentity"]
    assert apis == (["imds.token", "imds.credentials", "imds.credentials"] if missing else ["eks.credentials"])


def test_an_instance_names_its_role_and_gives_its_credentials(server: StandinServer, cloud: Cloud) -> None:
    token = instance_token(server).text
    assert instance_role(server, "", token).text == "machine"
    answer = instance_role(server, "machine", token).json()
    assert (answer["Code"], answer["Type"]) == ("Success", "AWS-HMAC")
    assert 21580 < left(answer["Expiration"]) <= 21600


def test_an_instance_tells_nothing_without_a_token_that_is_still_good(server: StandinServer, cloud: Cloud) -> None:
    token = instance_token(server).text
    assert HTTP.get(f"{server.url}{ROLES}").status_code == 401
    assert instance_role(server, "", f"{token}0").status_code == 401
    cloud.clock = OffsetClock(61)
    assert instance_role(server, "machine", token).status_code == 401


@pytest.mark.parametrize("seconds", ["", "0", "21601", "60s"])
def test_an_instances_token_says_how_long_it_lives(server: StandinServer, cloud: Cloud, seconds: str) -> None:
    assert instance_token(server, seconds).status_code == 400
    assert instance_token(server, "21600").headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"


def test_an_instance_has_one_role_or_none(server: StandinServer, cloud: Cloud) -> None:
    token = instance_token(server).text
    assert instance_role(server, "other", token).status_code == 404
    cloud.machines.instance_role = ""
    assert instance_role(server, "", token).status_code == 404


def test_a_role_that_is_gone_gives_nothing(server: StandinServer, cloud: Cloud) -> None:
    cloud.machines.instance_role = "arn:aws:iam::111111111111:role/gone"
    assert instance_role(server, "gone", instance_token(server).text).status_code == 500


def test_credentials_may_end_early_or_say_so_wrongly(server: StandinServer, cloud: Cloud) -> None:
    cloud.faults["imds.credentials"].life = 100
    token = instance_token(server).text
    assert 90 < left(instance_role(server, "machine", token).json()["Expiration"]) <= 100
    cloud.faults["imds.credentials"].expires = "missing"
    assert "Expiration" not in instance_role(server, "machine", token).json()


def test_nothing_else_is_told(server: StandinServer, cloud: Cloud) -> None:
    assert HTTP.get(f"{server.url}/latest/meta-data/iam/info").status_code == 501
    assert HTTP.get(f"{server.url}/latest/api/token").status_code == 501
    assert HTTP.post(f"{server.url}/v1/credentials").status_code == 501
