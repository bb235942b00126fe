"""ECR logins, minted by boto3 over loopback from the stand-in cloud."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time

import pytest
from support.accounts import complaint, minter, minters
from support.identity import become, forget_identity
from support.process import free_ports
from support.standin import HTTP, USER, OffsetClock, cleaned

from ecrmint.errors import (
    ClockSkewError,
    CloudError,
    MalformedAnswerError,
    MintError,
    MintTimeoutError,
    NoIdentityError,
    RegionDisabledError,
    RegistryDeniedError,
    ThrottledError,
    TrustDeniedError,
    UnreachableError,
)
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._aws import clients
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Call, Failure
from ecrmint.standin.server import StandinServer
from ecrmint.tokens import Instant, hold

PULL = "arn:aws:iam::222222222222:role/team/drone-pull"
SESSION = "arn:aws:sts::222222222222:assumed-role/drone-pull/ecrmint-prod"
OWN_HOST = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"
HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
OWN: Mapping[str, object] = {"type": "ecr", "registries": (OWN_HOST,)}
ROLE: Mapping[str, object] = {"type": "ecr", "registries": (HOST,), "role_arn": PULL, "external_id": "drone"}


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(PULL, trust=[USER], external_id="drone", max_session=7200)
    with StandinServer(cloud) as running:
        yield running


def at(url: str) -> Endpoints:
    return Endpoints(sts=Regional(url), ecr=Regional(url))


def failure(fields: Mapping[str, object], resources: Resources) -> MintError:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    assert caught.value.hint
    return caught.value


# What is minted


def test_the_own_identity_gets_a_login_that_opens_its_registry(
    cloud: Cloud, server: StandinServer, resources: Resources
) -> None:
    login = minter(OWN, resources).mint()
    answer = HTTP.get(f"{server.url}/v2/", headers={"Host": OWN_HOST}, auth=(login.username, login.password.reveal()))
    assert answer.status_code == 200
    assert cloud.calls_to("ecr.GetAuthorizationToken") == [Call("ecr.GetAuthorizationToken", USER, "eu-west-1")]


def test_a_role_is_assumed_once_and_asks_ecr_once(cloud: Cloud, resources: Resources) -> None:
    login = minter(ROLE, resources).mint()
    assert (login.username, len(login.password.reveal()) > 1000) == ("AWS", True)
    assert cloud.calls == [
        Call("sts.AssumeRole", USER, PULL),
        Call("ecr.GetAuthorizationToken", SESSION, "eu-west-1"),
    ]


@pytest.mark.usefixtures("cloud")
def test_a_login_ends_when_ecr_says(resources: Resources) -> None:
    expires_at = minter(OWN, resources).mint().expires_at
    assert expires_at is not None
    assert 43100 < expires_at - time() <= 43200


def test_each_registry_is_asked_in_its_own_region(cloud: Cloud, resources: Resources) -> None:
    hosts = tuple(f"222222222222.dkr.ecr.{region}.amazonaws.com" for region in ("us-east-1", "ap-south-2"))
    for each in minters({**ROLE, "registries": hosts}, resources).values():
        each.mint()
    assert [call.target for call in cloud.calls_to("ecr.GetAuthorizationToken")] == ["us-east-1", "ap-south-2"]


def test_a_region_of_another_partition_is_asked_there(
    server: StandinServer, monkeypatch: pytest.MonkeyPatch, resources: Resources
) -> None:
    become(monkeypatch, server.cloud.add_key("arn:aws-cn:iam::111111111111:user/ci"))
    host = "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn"
    with cleaned(server.cloud) as cloud:
        minter({**OWN, "registries": (host,)}, resources).mint()
        assert [call.target for call in cloud.calls] == ["cn-north-1"]


def test_the_session_is_named_and_as_long_as_the_configuration_says(cloud: Cloud, resources: Resources) -> None:
    minter({**ROLE, "role_session_name": "drone@ci", "duration": "2h"}, resources).mint()
    (call,) = cloud.calls_to("ecr.GetAuthorizationToken")
    assert call.caller.endswith("/drone@ci")
    assert 7100 < max(each.expires_at for each in cloud.keys.values() if each.is_session) - time() <= 7200


def test_sixteen_cold_mints_at_once_cost_two_calls_each(cloud: Cloud, resources: Resources) -> None:
    regions = [f"eu-west-{number}" for number in range(1, 17)]
    hosts = tuple(f"222222222222.dkr.ecr.{region}.amazonaws.com" for region in regions)
    together = threading.Barrier(len(hosts))
    made = [*minters({**ROLE, "registries": hosts}, resources).values()]

    def mint(index: int) -> str:
        together.wait(10)
        return made[index].mint().username

    with ThreadPoolExecutor(len(hosts)) as pool:
        assert [*pool.map(mint, range(len(hosts)))] == ["AWS"] * len(hosts)
    assert len(cloud.calls) == 2 * len(hosts)
    assert sorted(call.target for call in cloud.calls_to("ecr.GetAuthorizationToken")) == sorted(regions)


@pytest.mark.usefixtures("cloud")
def test_a_second_mint_makes_no_second_client(resources: Resources) -> None:
    made = minter(ROLE, resources)
    made.mint()
    place = clients.Place("eu-west-1", resources.endpoints.sts.everywhere)
    client = resources.aws.sts(place)
    made.mint()
    assert resources.aws.sts(place) is client


# Whom it is for


def test_hosts_of_one_region_share_a_login_whatever_their_account() -> None:
    hosts = tuple(f"{digit * 12}.dkr.ecr.eu-west-1.amazonaws.com" for digit in "23")
    assert len(set(minters({**ROLE, "registries": hosts}).values())) == 1


@pytest.mark.parametrize(
    "host",
    [
        "222222222222.dkr.ecr.eu-west-2.amazonaws.com",
        "222222222222.dkr.ecr-fips.eu-west-1.amazonaws.com",
        "222222222222.dkr-ecr.eu-west-1.on.aws",
    ],
    ids=["region", "fips", "dual-stack"],
)
def test_a_host_of_another_region_or_form_has_a_login_of_its_own(host: str) -> None:
    assert len(set(minters({**ROLE, "registries": (HOST, host)}).values())) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("role_arn", "arn:aws:iam::222222222222:role/other"),
        ("external_id", "other"),
        ("role_session_name", "other"),
        ("duration", "15m"),
    ],
)
def test_every_input_of_a_mint_is_part_of_its_key(key: str, value: str) -> None:
    assert minter(ROLE) == minter(ROLE)
    assert minter(ROLE) != minter({**ROLE, key: value})


def test_where_the_calls_go_is_part_of_the_key() -> None:
    elsewhere = Endpoints(ecr=Regional(regions={"eu-west-1": "https://vpce.example"}))
    assert minter(ROLE) != minter(ROLE, Resources(endpoints=elsewhere))


def test_an_address_for_another_region_changes_nothing() -> None:
    elsewhere = Endpoints(sts=Regional(regions={"us-east-1": "https://vpce.example"}))
    assert minter(ROLE) == minter(ROLE, Resources(endpoints=elsewhere))


def test_the_provider_is_the_type() -> None:
    assert (minter(OWN).account, minter(OWN).provider) == ("prod", "ecr")


# What goes wrong


@pytest.mark.parametrize(
    "change",
    [{"external_id": "wrong"}, {"role_arn": "arn:aws:iam::222222222222:role/missing"}],
    ids=["wrong external id", "missing role"],
)
def test_a_role_that_is_not_given_is_trust_denied(cloud: Cloud, resources: Resources, change: dict[str, str]) -> None:
    error = failure({**ROLE, **change}, resources)
    assert (type(error), error.definite) == (TrustDeniedError, True)
    assert "external id" in error.hint
    assert len(cloud.calls) == 1


def test_a_role_without_its_external_id_is_trust_denied(cloud: Cloud, resources: Resources) -> None:
    fields = {key: value for key, value in ROLE.items() if key != "external_id"}
    assert type(failure(fields, resources)) is TrustDeniedError
    assert len(cloud.calls) == 1


def test_no_credentials_at_all_are_no_identity(
    cloud: Cloud, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_identity(monkeypatch)
    for fields in (OWN, ROLE):
        assert type(failure(fields, resources)) is NoIdentityError
    assert cloud.calls == []


@pytest.mark.usefixtures("cloud")
def test_an_unreadable_token_file_is_no_identity(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_identity(monkeypatch)
    monkeypatch.setenv("AWS_ROLE_ARN", PULL)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")
    assert type(failure(OWN, resources)) is NoIdentityError


@pytest.mark.usefixtures("cloud")
def test_a_profile_that_does_not_exist_is_no_identity(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_identity(monkeypatch)
    monkeypatch.setenv("AWS_PROFILE", "missing")
    assert type(failure(OWN, resources)) is NoIdentityError


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["ecr", "sts"])
@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_is_no_identity(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, object], variable: str
) -> None:
    monkeypatch.setenv(variable, "AKIAWRONGWRONGWRONG1")
    assert type(failure(fields, resources)) is NoIdentityError


@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["ecr", "sts"])
def test_a_session_that_is_over_is_no_identity(
    cloud: Cloud, resources: Resources, monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, object]
) -> None:
    become(monkeypatch, cloud.issue_session(cloud.roles[PULL], name="old", seconds=-60))
    error = failure(fields, resources)
    assert (type(error), error.definite) == (NoIdentityError, False)


@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["own identity", "role"])
def test_an_identity_that_ecr_refuses_is_registry_denied(
    cloud: Cloud, resources: Resources, fields: Mapping[str, object]
) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].error = Failure(400, "AccessDeniedException", "User: x is not authorized")
    error = failure(fields, resources)
    assert (type(error), error.definite) == (RegistryDeniedError, True)
    assert "ecr:GetAuthorizationToken" in error.hint


@pytest.mark.parametrize("api", ["sts.AssumeRole", "ecr.GetAuthorizationToken"])
def test_a_throttled_call_is_tried_once_more(cloud: Cloud, resources: Resources, api: str) -> None:
    faults = cloud.faults["sts.AssumeRole" if api == "sts.AssumeRole" else "ecr.GetAuthorizationToken"]
    faults.throttles = 1
    minter(ROLE, resources).mint()
    faults.throttles = 2
    assert type(failure(ROLE, resources)) is ThrottledError
    assert faults.throttles == 0


@pytest.mark.parametrize("seconds", [1000, -1000], ids=["the cloud is ahead", "the cloud is behind"])
@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["ecr", "sts"])
def test_a_wrong_clock_is_told_from_a_wrong_key(
    cloud: Cloud, resources: Resources, fields: Mapping[str, object], seconds: float
) -> None:
    assert isinstance(cloud.clock, OffsetClock)
    cloud.clock.seconds = seconds
    assert type(failure(fields, resources)) is ClockSkewError


def test_a_failing_cloud_is_a_cloud_error(cloud: Cloud, resources: Resources) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].error = Failure(503, "ServiceUnavailable")
    error = failure(OWN, resources)
    assert (type(error), error.definite) == (CloudError, False)
    assert len(cloud.calls) == 2


def test_a_refusal_that_is_not_known_is_a_cloud_error(cloud: Cloud, resources: Resources) -> None:
    error = failure({**ROLE, "duration": "12h"}, resources)
    assert (type(error), str(error)) == (CloudError, "STS's AssumeRole: AWS refuses the call (ValidationError)")
    assert len(cloud.calls) == 1


def test_a_region_without_sts_is_said(cloud: Cloud, resources: Resources) -> None:
    cloud.faults["sts.AssumeRole"].error = Failure(403, "RegionDisabledException")
    error = failure(ROLE, resources)
    assert (type(error), "activate STS" in error.hint) == (RegionDisabledError, True)


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["ecr", "sts"])
def test_a_closed_port_is_unreachable(fields: Mapping[str, object]) -> None:
    (port,) = free_ports(1)
    assert type(failure(fields, Resources(endpoints=at(f"http://127.0.0.1:{port}")))) is UnreachableError


def test_an_answer_that_does_not_come_is_a_timeout(
    cloud: Cloud, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_READ_SECONDS", 0.05)
    cloud.faults["ecr.GetAuthorizationToken"].latency = 30
    assert type(failure(OWN, resources)) is MintTimeoutError


@pytest.mark.usefixtures("cloud")
def test_an_endpoint_that_aws_does_not_have_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")  # this partition has none
    host = "222222222222.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk"
    role = {"role_arn": "arn:aws-iso-e:iam::222222222222:role/pull"}
    for fields in ({}, role):
        error = failure({**OWN, "registries": (host,), **fields}, Resources())
        assert (type(error), "EndpointVariantError" in str(error)) == (UnreachableError, True)


@pytest.mark.usefixtures("cloud")
def test_a_configuration_file_that_is_none_is_no_identity(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text("no section = at all", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    for fields in (OWN, ROLE):
        assert type(failure(fields, resources)) is NoIdentityError


@pytest.fixture
def _pod(cloud: Cloud, server: StandinServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be a pod with a web identity, whatever its worth."""
    token = tmp_path / "token"
    token.write_text("a.b.c", encoding="utf-8")
    forget_identity(monkeypatch)
    monkeypatch.setenv("AWS_ROLE_ARN", PULL)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)


@pytest.mark.usefixtures("_pod")
@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["own identity", "role"])
def test_a_web_identity_that_is_refused_is_no_identity(
    cloud: Cloud, resources: Resources, fields: Mapping[str, object]
) -> None:
    cloud.faults["sts.AssumeRoleWithWebIdentity"].error = Failure(403, "AccessDenied", "Not authorized to perform it")
    assert type(failure(fields, resources)) is NoIdentityError
    assert [call.api for call in cloud.calls] == ["sts.AssumeRoleWithWebIdentity"]


@pytest.mark.usefixtures("_pod")
def test_the_timeouts_reach_the_sts_client_inside_of_a_web_identity(
    cloud: Cloud, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_READ_SECONDS", 0.05)
    cloud.faults["sts.AssumeRoleWithWebIdentity"].latency = 30
    assert type(failure(OWN, resources)) is MintTimeoutError
    assert [call.api for call in cloud.calls] == ["sts.AssumeRoleWithWebIdentity"] * 2


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
        ({"AWS_DEFAULT_REGION": "us-east-2", "AWS_REGION": "ap-south-1"}, "ap-south-1"),
    ],
    ids=["the first registry's", "botocore's variable", "the variable of all other SDKs"],
)
def test_the_own_identity_is_asked_for_in_the_process_own_region(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], region: str
) -> None:
    forget_identity(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert clients._open_session("eu-west-1").session.region_name == region


def test_half_an_answer_is_malformed(cloud: Cloud, resources: Resources) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].truncated = True
    assert type(failure(OWN, resources)) is MalformedAnswerError


def test_half_an_answer_of_sts_is_malformed(cloud: Cloud, resources: Resources) -> None:
    cloud.faults["sts.AssumeRole"].truncated = True
    assert type(failure(ROLE, resources)) is MalformedAnswerError


def test_a_login_that_is_over_is_never_held(cloud: Cloud, resources: Resources) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].life = -1
    login = minter(OWN, resources).mint()
    with pytest.raises(MalformedAnswerError, match="already expired"):
        hold(login, issued=Instant(time(), 0), roll=0)


# The configuration


@pytest.mark.parametrize(
    "arn",
    [
        "drone-pull",
        "arn:aws:iam::22222:role/x",
        "arn:aws:iam::2222222222223:role/x",
        "arn:aws:iam::222222222222:user/x",
        "arn:aws:iam:eu-west-1:222222222222:role/x",
        "arn:aws:sts::222222222222:assumed-role/x/y",
        "arn:aws:iam::222222222222:role/",
        "arn:aws:iam::222222222222:role/x y",
        "arn:aws:iam::222222222222:role/x\n",
        f"arn:aws:iam::222222222222:role/{'x' * 65}",
    ],
)
def test_what_is_not_a_roles_arn_is_refused(arn: str) -> None:
    assert complaint(**{**ROLE, "role_arn": arn}).startswith("role_arn: expected a role's ARN")


def test_a_role_of_another_partition_can_never_work() -> None:
    found = complaint(**{**ROLE, "role_arn": "arn:aws-cn:iam::222222222222:role/pull"})
    assert found == f": role_arn: a role for {HOST} is of the partition aws: arn:aws:iam::..."


@pytest.mark.parametrize(
    ("key", "value"), [("external_id", "drone"), ("role_session_name", "drone"), ("duration", "1h")]
)
def test_a_key_that_has_no_effect_is_refused(key: str, value: str) -> None:
    assert complaint(**OWN, **{key: value}) == f": {key}: without role_arn or role this has no effect"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("external_id", "x", "an external id has 2 to 1224 of"),
        ("external_id", "a b", "an external id has 2 to 1224 of"),
        ("role_session_name", "org/repo", "expected 2 to 64 of"),
        ("role_session_name", "x" * 65, "expected 2 to 64 of"),
        ("duration", "14m", "Input should be greater than or equal to 900"),
        ("duration", "13h", "Input should be less than or equal to 43200"),
        ("duration", "1d", "expected a duration such as"),
    ],
)
def test_a_value_that_aws_would_refuse_is_refused_here(key: str, value: object, text: str) -> None:
    assert complaint(**{**ROLE, key: value}).startswith(f"{key}: {text}")
