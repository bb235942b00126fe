"""ECR logins from an AWS emulator that nobody here wrote: it checks signatures, trust, external ids, permissions."""

import json
from collections.abc import Iterator, Mapping
from time import time

import pytest
from support import parts
from support.accounts import minter
from support.emulator import Emulator, root
from support.identity import become
from support.ministack import ministack

from ecrmint.errors import MintError, NoIdentityError, RegistryDeniedError, TrustDeniedError
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import AccessKey
from ecrmint.tokens import Login, Secret

OURS, THEIRS = "111111111111", "222222222222"
USER = f"arn:aws:iam::{OURS}:user/ci"
HOST = f"{THEIRS}.dkr.ecr.eu-west-1.amazonaws.com"
PULL = f"arn:aws:iam::{THEIRS}:role/pull"
IDLE = f"arn:aws:iam::{THEIRS}:role/idle"
ROLE: Mapping[str, object] = {"type": "ecr", "registries": (HOST,), "role_arn": PULL, "external_id": "drone"}
OWN: Mapping[str, object] = {"type": "ecr", "registries": (HOST.replace(THEIRS, OURS),)}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    parts.require()
    with ministack(tmp_path_factory.mktemp("ministack")) as url:
        emulator = Emulator(url, _add_user(Emulator(url, root(OURS))))
        _add_role(emulator, "pull", allowed="ecr:GetAuthorizationToken")
        _add_role(emulator, "idle", allowed="ecr:DescribeRepositories")
        yield emulator


@pytest.fixture
def resources(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Resources:
    become(monkeypatch, emulator.key)
    return Resources(endpoints=Endpoints(sts=Regional(emulator.url), ecr=Regional(emulator.url)))


def _add_user(emulator: Emulator) -> AccessKey:
    emulator.call("iam", "create_user", emulator.key, UserName="ci")
    policy = _policy(Action="sts:AssumeRole", Resource="*")
    emulator.call("iam", "put_user_policy", emulator.key, UserName="ci", PolicyName="ci", PolicyDocument=policy)
    made = emulator.call("iam", "create_access_key", emulator.key, UserName="ci")["AccessKey"]
    assert isinstance(made, dict)
    return AccessKey(made["AccessKeyId"], Secret(made["SecretAccessKey"]), USER, USER)


def _add_role(emulator: Emulator, name: str, *, allowed: str) -> None:
    trust = _policy(
        Principal={"AWS": USER}, Action="sts:AssumeRole", Condition={"StringEquals": {"sts:ExternalId": "drone"}}
    )
    owner = root(THEIRS)
    emulator.call("iam", "create_role", owner, RoleName=name, AssumeRolePolicyDocument=trust)
    document = _policy(Action=allowed, Resource="*")
    emulator.call("iam", "put_role_policy", owner, RoleName=name, PolicyName=name, PolicyDocument=document)


def _policy(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def failure(fields: Mapping[str, object], resources: Resources) -> type[MintError]:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    return type(caught.value)


def test_a_role_of_another_account_with_its_external_id_gives_a_login(resources: Resources) -> None:
    login = minter(ROLE, resources).mint()
    assert login == Login("AWS", Secret("ministack-auth-token"), login.expires_at)
    assert login.expires_at is not None
    assert 43000 < login.expires_at - time() <= 43200 + 5


@pytest.mark.parametrize(
    "change",
    [{"external_id": "wrong"}, {"role_arn": f"arn:aws:iam::{THEIRS}:role/missing"}],
    ids=["wrong external id", "missing role"],
)
def test_a_role_that_is_not_given_is_trust_denied(resources: Resources, change: Mapping[str, object]) -> None:
    assert failure({**ROLE, **change}, resources) is TrustDeniedError


def test_a_role_without_its_external_id_is_trust_denied(resources: Resources) -> None:
    assert failure({key: value for key, value in ROLE.items() if key != "external_id"}, resources) is TrustDeniedError


@pytest.mark.parametrize("fields", [OWN, {**ROLE, "role_arn": IDLE}], ids=["own identity", "role"])
def test_an_identity_that_may_not_ask_ecr_is_registry_denied(
    resources: Resources, fields: Mapping[str, object]
) -> None:
    assert failure(fields, resources) is RegistryDeniedError


@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["ecr", "sts"])
@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_bad_key_is_no_identity(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, object], variable: str
) -> None:
    monkeypatch.setenv(variable, "AKIAWRONGWRONGWRONG1")
    assert failure(fields, resources) is NoIdentityError


@pytest.mark.parametrize("fields", [OWN, ROLE], ids=["ecr", "sts"])
def test_an_expired_session_is_no_identity(
    emulator: Emulator, resources: Resources, monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, object]
) -> None:
    role = {"RoleArn": PULL, "RoleSessionName": "old", "ExternalId": "drone"}
    # The emulator does not know AWS's shortest session, so one may be over before it begins.
    answer = emulator.call("sts", "assume_role", emulator.key, **role, DurationSeconds=-60)
    session = answer["Credentials"]
    assert isinstance(session, dict)
    token = Secret(session["SessionToken"])
    key = AccessKey(session["AccessKeyId"], Secret(session["SecretAccessKey"]), PULL, PULL, token, expires_at=0)
    become(monkeypatch, key)
    assert failure(fields, resources) is NoIdentityError
