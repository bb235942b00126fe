"""Sessions of roles as an emulator that nobody here wrote enforces them: their policies, their tags, their chains."""

import json
from collections.abc import Iterator, Mapping

import pytest
from botocore.exceptions import ClientError
from support import parts
from support.accounts import minter
from support.emulator import Emulator, root
from support.identity import become
from support.ministack import ministack

from ecrmint.errors import MintError, TagSessionDeniedError, TrustDeniedError
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._aws.roles import silent
from ecrmint.minters._urls import Regional
from ecrmint.minters.ecr import EcrMinter
from ecrmint.standin.cloud import AccessKey
from ecrmint.tokens import Secret
from ecrmint.wire import RegistryRequest

OURS, THEIRS = "111111111111", "222222222222"
USER = f"arn:aws:iam::{OURS}:user/ci"
HUB = f"arn:aws:iam::{OURS}:role/hub"
HOST = f"{THEIRS}.dkr.ecr.eu-west-1.amazonaws.com"
ECR: Mapping[str, object] = {"type": "ecr", "registries": (HOST,)}
ASSUME: Mapping[str, object] = {"Action": "sts:AssumeRole"}
BOTH: Mapping[str, object] = {"Action": ["sts:AssumeRole", "sts:TagSession"]}
TEAM_A: Mapping[str, object] = {"Condition": {"StringLike": {"aws:RequestTag/repo": "team-a/*"}}}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    parts.require()
    with ministack(tmp_path_factory.mktemp("ministack")) as url:
        emulator = Emulator(url, _add_user(Emulator(url, root(OURS))))
        _add_role(emulator, OURS, "hub", may="sts:AssumeRole", trust={**ASSUME, "Principal": {"AWS": USER}})
        _add_role(emulator, THEIRS, "wide", trust={**ASSUME, "Principal": {"AWS": USER}})
        _add_role(emulator, THEIRS, "spoke", trust={**ASSUME, "Principal": {"AWS": HUB}})
        _add_role(emulator, THEIRS, "team-a", trust={**BOTH, **TEAM_A, "Principal": {"AWS": USER}})
        yield emulator


@pytest.fixture
def resources(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Resources:
    become(monkeypatch, emulator.key)
    return Resources(endpoints=Endpoints(sts=Regional(emulator.url), ecr=Regional(emulator.url)))


def _add_user(emulator: Emulator) -> AccessKey:
    emulator.call("iam", "create_user", emulator.key, UserName="ci")
    document = _policy({**BOTH, "Resource": "*"})
    emulator.call("iam", "put_user_policy", emulator.key, UserName="ci", PolicyName="ci", PolicyDocument=document)
    made = emulator.call("iam", "create_access_key", emulator.key, UserName="ci")["AccessKey"]
    assert isinstance(made, dict)
    return AccessKey(made["AccessKeyId"], Secret(made["SecretAccessKey"]), USER, USER)


def _add_role(emulator: Emulator, account: str, name: str, *, trust: Mapping[str, object], may: str = "ecr:*") -> None:
    owner = root(account)
    emulator.call("iam", "create_role", owner, RoleName=name, AssumeRolePolicyDocument=_policy(trust))
    document = _policy({"Action": may, "Resource": "*"})
    emulator.call("iam", "put_role_policy", owner, RoleName=name, PolicyName=name, PolicyDocument=document)


def _policy(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def ecr_minter(resources: Resources, role: str, **more: object) -> EcrMinter:
    made = minter({**ECR, "role_arn": f"arn:aws:iam::{THEIRS}:role/{role}", **more}, resources)
    assert isinstance(made, EcrMinter)
    return made


def allowed(emulator: Emulator, made: EcrMinter, operation: str, repository: str) -> bool:
    """Return whether the session behind a login may do that: anything but a denial, as the emulator has no images."""
    key = made.chain.assume(silent)
    assert key is not None
    session = AccessKey(key.id, key.secret, key.arn, key.arn, key.token)
    more = {} if operation == "create_repository" else {"imageIds": [{"imageTag": "latest"}]}
    try:
        emulator.call("ecr", operation, session, repositoryName=repository, **more)
    except ClientError as error:
        return error.response["Error"]["Code"] != "AccessDeniedException"
    return True


@pytest.mark.parametrize(
    ("operation", "repository", "expected"),
    [
        ("batch_get_image", "team-a/app", True),
        ("batch_get_image", "team-a/sub/app", True),
        ("batch_get_image", "team-b/app", False),
        ("batch_delete_image", "team-a/app", False),
        ("create_repository", "team-a/app", False),
    ],
)
def test_a_login_of_a_role_that_may_do_all_pulls_from_its_repositories_and_does_nothing_else(
    emulator: Emulator, resources: Resources, operation: str, repository: str, expected: bool
) -> None:
    made = ecr_minter(resources, "wide", repositories=("team-a/*",))
    assert made.mint().username == "AWS"
    assert allowed(emulator, made, operation, repository) is expected


@pytest.mark.parametrize(("repository", "expected"), [("hub/nginx", True), ("nginx", False)])
def test_a_login_for_a_pull_through_cache_may_make_its_repositories(
    emulator: Emulator, resources: Resources, repository: str, expected: bool
) -> None:
    made = ecr_minter(resources, "wide", repositories=("hub/*",), access="pull-through")
    assert allowed(emulator, made, "create_repository", repository) is expected


def test_a_role_may_be_assumed_by_way_of_another_alone(resources: Resources) -> None:
    assert ecr_minter(resources, "spoke", via=({"role_arn": HUB},)).mint().username == "AWS"
    assert failure(ecr_minter(resources, "spoke")) is TrustDeniedError


def test_a_trust_policy_can_ask_for_a_builds_tags(resources: Resources) -> None:
    made = ecr_minter(resources, "team-a", session_tags=("repo", "event"))
    assert made.for_build(RegistryRequest("team-a/app", event="push")).mint().username == "AWS"
    assert failure(made.for_build(RegistryRequest("team-b/app", event="push"))) is TrustDeniedError


def test_a_role_that_takes_no_tags_says_so(resources: Resources) -> None:
    assert failure(ecr_minter(resources, "wide", session_tags=("repo",))) is TagSessionDeniedError


def test_tags_of_any_slug_and_event_are_taken(resources: Resources) -> None:
    made = ecr_minter(resources, "team-a", session_tags=("repo", "namespace", "event", "build", "trusted"))
    for slug in (f"team-a/{'x' * 500}", "team-a/~user"):
        assert made.for_build(RegistryRequest(slug, event="é<&>", build=7)).mint().username == "AWS"


def failure(made: EcrMinter) -> type[MintError]:
    with pytest.raises(MintError) as caught:
        made.mint()
    return type(caught.value)
