"""ECR Public's logins, minted by boto3 over loopback from the stand-in cloud."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from time import time

import pytest
from support.accounts import account, complaint, minter, minters
from support.canned import Canned, canned_server
from support.chain import told
from support.identity import forget_identity
from support.standin import USER, OffsetClock

from ecrmint.errors import MalformedAnswerError, MintError, NoIdentityError, RegistryDeniedError, TrustDeniedError
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Call, Failure
from ecrmint.standin.server import StandinServer
from ecrmint.tokens import Login, Secret

PULL = "arn:aws:iam::222222222222:role/public-pull"
OWN: Mapping[str, object] = {"type": "ecr-public"}
ROLE: Mapping[str, object] = {**OWN, "role_arn": PULL, "external_id": "drone"}
BOTH = ("public.ecr.aws", "ecr-public.aws.com")
CANARY = "c4n4ryc4n4ryc4n4ry"


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(PULL, trust=[USER], external_id="drone")
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture
def resources(server: StandinServer) -> Resources:
    return at(server.url)


def at(url: str) -> Resources:
    return Resources(endpoints=Endpoints(sts=Regional(url), ecr_public=Regional(url)))


def failure(fields: Mapping[str, object], resources: Resources) -> MintError:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    assert CANARY not in told(caught.value)
    assert caught.value.hint
    return caught.value


def test_the_own_identity_gets_a_login_with_one_call(cloud: Cloud, resources: Resources) -> None:
    login = minter(OWN, resources).mint()
    assert login.username == "AWS"
    assert login.expires_at is not None
    assert 43100 < login.expires_at - time() <= 43200
    assert cloud.calls == [Call("ecr-public.GetAuthorizationToken", USER, "us-east-1")]


def test_a_role_gets_one_too(cloud: Cloud, resources: Resources) -> None:
    minter(ROLE, resources).mint()
    assert [(call.api, call.target) for call in cloud.calls] == [
        ("sts.AssumeRole", PULL),
        ("ecr-public.GetAuthorizationToken", "us-east-1"),
    ]


def test_each_step_of_a_walk_is_told(cloud: Cloud, resources: Resources) -> None:
    steps: list[str] = []
    minter(ROLE, resources).walk(lambda step, _: steps.append(step))
    assert steps == ["identity", "role"]
    assert len(cloud.calls_to("ecr-public.GetAuthorizationToken")) == 1


def test_what_the_environment_says_of_regions_changes_nothing(
    cloud: Cloud, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    minter(OWN, resources).mint()
    assert [call.target for call in cloud.calls] == ["us-east-1"]


# Whom it is for


def test_the_public_registry_needs_no_naming() -> None:
    assert account(**OWN).registries == ("public.ecr.aws",)


def test_the_host_for_ipv6_is_asked_by_its_own_form() -> None:
    assert len(set(minters({**OWN, "registries": BOTH}).values())) == 2


@pytest.mark.parametrize(("key", "value"), [("external_id", "other"), ("role_arn", f"{PULL}2"), ("duration", "15m")])
def test_every_input_of_a_mint_is_part_of_its_key(key: str, value: str) -> None:
    assert minter(ROLE) == minter(ROLE)
    assert minter(ROLE) != minter({**ROLE, key: value})


def test_the_provider_is_the_type() -> None:
    assert (minter(OWN).account, minter(OWN).provider, minter(OWN).per_build) == ("prod", "ecr-public", False)


def test_a_login_may_be_a_builds_own() -> None:
    assert minter({**ROLE, "session_tags": ("repo",)}).per_build


# What goes wrong


def test_an_identity_that_may_not_ask_is_told_both_actions(cloud: Cloud, resources: Resources) -> None:
    cloud.faults["ecr-public.GetAuthorizationToken"].error = Failure(400, "AccessDeniedException", CANARY)
    error = failure(OWN, resources)
    assert (type(error), error.definite) == (RegistryDeniedError, True)
    assert error.hint == "allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken on the resource *"


@pytest.mark.usefixtures("cloud")
def test_a_role_that_is_not_given_is_trust_denied(resources: Resources) -> None:
    assert type(failure({**ROLE, "external_id": "wrong"}, resources)) is TrustDeniedError


@pytest.mark.usefixtures("cloud")
def test_no_credentials_at_all_are_no_identity(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_identity(monkeypatch)
    assert type(failure(OWN, resources)) is NoIdentityError


DATA = {"authorizationToken": b64encode(f"AWS:{CANARY}".encode()).decode(), "expiresAt": 4_000_000_000}


@pytest.mark.usefixtures("cloud")
def test_the_answer_is_one_object() -> None:
    with canned_server({"": Canned(json.dumps({"authorizationData": DATA}).encode())}) as url:
        assert minter(OWN, at(url)).mint() == Login("AWS", Secret(CANARY), 4_000_000_000.0)


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"authorizationData": [DATA]},
        {"authorizationData": {}},
        {"authorizationData": CANARY},
        {"authorizationData": {**DATA, "expiresAt": None}},
        {"authorizationData": {**DATA, "expiresAt": "2030-01-01T00:00:00"}},
        {"authorizationData": {**DATA, "authorizationToken": CANARY}},
    ],
    ids=["empty", "list", "as of ECR", "nothing", "text", "no end", "no zone", "no login"],
)
def test_an_answer_without_a_usable_login_is_malformed(content: object) -> None:
    with canned_server({"": Canned(json.dumps(content).encode())}) as url:
        assert type(failure(OWN, at(url))) is MalformedAnswerError


# The configuration


@pytest.mark.parametrize(
    "host",
    [
        "public.ecr.aws.evil.example",
        "evil.example.public.ecr.aws",
        "xpublic.ecr.aws",
        "public.ecr.aws:443",
        "public-ecr.aws",
        "ecr-public.aws.com.evil.example",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "docker.io",
    ],
)
def test_what_only_looks_like_the_public_registry_is_refused(host: str) -> None:
    found = complaint(**OWN, registries=(host,))
    assert found == "registries.0: expected public.ecr.aws, or ecr-public.aws.com where IPv6 is needed"


def test_a_host_of_it_is_no_private_registry() -> None:
    for host in BOTH:
        assert complaint(type="ecr", registries=(host,)).startswith("registries.0: expected a private ECR registry")


def test_a_role_of_another_partition_can_never_work() -> None:
    found = complaint(**OWN, role_arn="arn:aws-cn:iam::222222222222:role/pull")
    assert found == ": role_arn: a role for public.ecr.aws is of the partition aws: arn:aws:iam::..."


@pytest.mark.parametrize(("key", "value"), [("external_id", "drone"), ("duration", "1h"), ("session_tags", ("repo",))])
def test_a_key_that_has_no_effect_is_refused(key: str, value: object) -> None:
    assert complaint(**OWN, **{key: value}) == f": {key}: without role_arn this has no effect"


@pytest.mark.parametrize(("key", "value"), [("repositories", ("a/*",)), ("access", "pull"), ("role", "pull")])
def test_a_key_that_only_private_registries_have_is_refused(key: str, value: object) -> None:
    assert complaint(**ROLE, **{key: value}) == f"{key}: Extra inputs are not permitted"
