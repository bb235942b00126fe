"""Answers of STS and ECR that no honest cloud gives: none becomes a login, and none gets into an error."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from time import time

import pytest
from support.accounts import minter
from support.canned import Canned, canned_server
from support.chain import told
from support.identity import become

from ecrmint.errors import (
    CloudError,
    MalformedAnswerError,
    MintError,
    NoIdentityError,
    ThrottledError,
    WrongIdentityError,
)
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import AccessKey
from ecrmint.tokens import Login, Secret

CANARY = "c4n4ryc4n4ryc4n4ry"
HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
OWN: Mapping[str, object] = {"type": "ecr", "registries": (HOST,)}
ROLE: Mapping[str, object] = {**OWN, "role_arn": "arn:aws:iam::222222222222:role/pull"}
EXPIRES = int(time()) + 3600


def token(text: str = f"AWS:{CANARY}") -> str:
    return b64encode(text.encode()).decode()


def ecr(**changes: object) -> Canned:
    data = {"authorizationToken": token(), "expiresAt": EXPIRES, "proxyEndpoint": f"https://{HOST}", **changes}
    return Canned(json.dumps({"authorizationData": [{k: v for k, v in data.items() if v is not None}]}).encode())


def sts(
    *,
    partition: str = "aws",
    account: str = "222222222222",
    role: str = "pull",
    session: str = "ecrmint-prod",
    secret: str = CANARY,
    session_token: str = CANARY,
) -> Canned:
    credentials = (
        f"<AccessKeyId>ASIAXXXXXXXXXXXXXXXX</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
        f"<SessionToken>{session_token}</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration>"
    )
    arn = f"arn:{partition}:sts::{account}:assumed-role/{role}/{session}"
    user = f"<Arn>{arn}</Arn><AssumedRoleId>A:{session}</AssumedRoleId>"
    result = f"<Credentials>{credentials}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"
    return Canned(
        f'<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>{result}'
        "</AssumeRoleResult></AssumeRoleResponse>".encode(),
        headers={"Content-Type": "text/xml"},
    )


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, AccessKey("AKIAXXXXXXXXXXXXXXXX", Secret("x" * 40), "arn:aws:iam::1:user/a", ""))


@pytest.fixture
def answers() -> dict[str, Canned]:
    return {"sts": sts(), "ecr": ecr()}


@pytest.fixture
def resources(answers: dict[str, Canned]) -> Iterator[Resources]:
    with canned_server(answers) as url:
        yield Resources(endpoints=Endpoints(sts=Regional(f"{url}/sts"), ecr=Regional(f"{url}/ecr")))


def failure(fields: Mapping[str, object], resources: Resources) -> MintError:
    with pytest.raises(MintError) as caught:
        minter(fields, resources).mint()
    assert CANARY not in told(caught.value)
    assert token() not in told(caught.value)
    assert caught.value.hint
    return caught.value


def test_an_honest_answer_is_a_login(resources: Resources) -> None:
    assert minter(ROLE, resources).mint() == Login("AWS", Secret(CANARY), float(EXPIRES))


def test_a_colon_in_the_password_belongs_to_it(answers: dict[str, Canned], resources: Resources) -> None:
    answers["ecr"] = ecr(authorizationToken=token("AWS:a:b:"))
    assert minter(OWN, resources).mint().password == Secret("a:b:")


@pytest.mark.parametrize(
    "host",
    [
        "222222222222.dkr.ecr.eu-west-2.amazonaws.com",
        "333333333333.dkr.ecr.eu-west-1.amazonaws.com",
        "222222222222.dkr.ecr.cn-north-1.amazonaws.com.cn",
    ],
    ids=["region", "account", "partition"],
)
def test_a_login_for_elsewhere_is_the_wrong_identity(
    answers: dict[str, Canned], resources: Resources, host: str
) -> None:
    answers["ecr"] = ecr(proxyEndpoint=f"https://{host}")
    error = failure(ROLE, resources)
    assert (type(error), error.definite) == (WrongIdentityError, True)


def test_the_own_account_may_be_any_where_the_credentials_do_not_say_it(
    answers: dict[str, Canned], resources: Resources
) -> None:
    # A repository policy of the registry's account decides, and no configuration says which account we are in.
    answers["ecr"] = ecr(proxyEndpoint=f"https://{HOST.replace('2222', '3333')}")
    assert minter(OWN, resources).mint().username == "AWS"


def test_a_login_of_another_account_than_that_of_the_credentials_is_the_wrong_identity(
    answers: dict[str, Canned], resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCOUNT_ID", "333333333333")
    assert isinstance(failure(OWN, resources), WrongIdentityError)
    answers["ecr"] = ecr(proxyEndpoint=f"https://{HOST.replace('2222', '3333')}")
    assert minter(OWN, resources).mint().username == "AWS"


@pytest.mark.parametrize(
    "answer",
    [
        sts(account="333333333333"),
        sts(role="other"),
        sts(role="pull2"),
        sts(role="path/pull"),
        sts(partition="aws-cn"),
        sts(session="other"),
        sts(session=f"ecrmint-prod {CANARY}"),
    ],
    ids=["account", "name", "longer name", "path", "partition", "session", "longer session"],
)
def test_another_session_than_the_one_that_was_asked_for_is_the_wrong_identity(
    answers: dict[str, Canned], resources: Resources, answer: Canned
) -> None:
    answers["sts"] = answer
    error = failure(ROLE, resources)
    assert (type(error), error.definite) == (WrongIdentityError, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"proxyEndpoint": None},
        {"proxyEndpoint": 7},
        {"proxyEndpoint": "https://evil.example"},
        {"expiresAt": None},
        {"expiresAt": "2030-01-01T00:00:00"},
        {"expiresAt": CANARY},
        {"authorizationToken": None},
        {"authorizationToken": 7},
        {"authorizationToken": CANARY},
        {"authorizationToken": f"é{CANARY}"},
        {"authorizationToken": token(f"root:{CANARY}")},
        {"authorizationToken": token("AWS:")},
        {"authorizationToken": token(f"AWS{CANARY}")},
        {"authorizationToken": token(f"AWS:{CANARY}é")},
    ],
    ids=lambda changes: "-".join(f"{key}-{value}"[:40] for key, value in changes.items()),
)
def test_an_answer_without_a_usable_login_is_malformed(
    answers: dict[str, Canned], resources: Resources, changes: dict[str, object]
) -> None:
    answers["ecr"] = ecr(**changes)
    assert type(failure(OWN, resources)) is MalformedAnswerError


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"authorizationData": []}',
        b'{"authorizationData": [{}, {}]}',
        b'{"authorizationData": "%s"}' % CANARY.encode(),
        b'{"authorizationData": ["%s"]}' % CANARY.encode(),
        b"<html>%s</html>" % CANARY.encode(),
    ],
    ids=["object", "list", "none", "two", "text", "texts", "html"],
)
def test_what_is_no_answer_at_all_is_malformed(answers: dict[str, Canned], resources: Resources, body: bytes) -> None:
    answers["ecr"] = Canned(body)
    assert type(failure(OWN, resources)) is MalformedAnswerError


@pytest.mark.parametrize(
    "answer",
    [
        Canned(b""),
        Canned(b"<a>" + CANARY.encode()),
        Canned(b"<a/>"),
        Canned(b"<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>"),
        sts(secret=""),
        sts(session_token=""),
    ],
    ids=["empty", "half", "another thing", "nothing in it", "no secret", "no token"],
)
def test_sts_without_credentials_is_malformed(answers: dict[str, Canned], resources: Resources, answer: Canned) -> None:
    answers["sts"] = answer
    assert type(failure(ROLE, resources)) is MalformedAnswerError


@pytest.mark.parametrize("service", ["sts", "ecr"])
def test_a_proxys_error_page_is_a_cloud_error_without_its_text(
    answers: dict[str, Canned], resources: Resources, service: str
) -> None:
    answers[service] = Canned(f"<html>{CANARY}</html>".encode(), status=502, headers={"Content-Type": "text/html"})
    error = failure(ROLE, resources)
    assert (type(error), error.definite) == (CloudError, False)


def test_a_proxy_s_page_that_says_too_many_calls_is_throttled(answers: dict[str, Canned], resources: Resources) -> None:
    answers["ecr"] = Canned(b"<html/>", status=429, headers={"Content-Type": "text/html"})
    assert type(failure(OWN, resources)) is ThrottledError


@pytest.mark.parametrize(
    "arn",
    [CANARY, f"arn:aws:iam::222222222222:user/{CANARY} {CANARY}", "arn:aws:iam::222222222222:user/" + "x" * 700, ""],
    ids=["no ARN", "two words", "endless", "empty"],
)
def test_who_we_are_is_told_by_an_arn_alone(answers: dict[str, Canned], resources: Resources, arn: str) -> None:
    answers["sts"] = caller(arn)
    assert steps(resources) == [("identity", "STS does not say")]


def test_who_we_are_is_told(answers: dict[str, Canned], resources: Resources) -> None:
    answers["sts"] = caller("arn:aws:sts::222222222222:assumed-role/node/i-0123456789abcdef0")
    assert steps(resources) == [("identity", "arn:aws:sts::222222222222:assumed-role/node/i-0123456789abcdef0")]


def steps(resources: Resources) -> list[tuple[str, str]]:
    told_of: list[tuple[str, str]] = []
    minter(OWN, resources).walk(lambda name, detail: told_of.append((name, detail)))
    return told_of


def caller(arn: str) -> Canned:
    return Canned(
        f'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>{arn}</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>".encode(),
        headers={"Content-Type": "text/xml"},
    )


def test_a_region_that_is_not_enabled_looks_like_a_bad_key_and_is_in_the_hint(
    answers: dict[str, Canned], resources: Resources
) -> None:
    answers["ecr"] = Canned(b'{"__type": "UnrecognizedClientException"}', status=400)
    error = failure(ROLE, resources)
    assert (type(error), "region" in error.hint) == (NoIdentityError, True)


def test_a_code_that_is_none_is_not_repeated(answers: dict[str, Canned], resources: Resources) -> None:
    body = json.dumps({"__type": f"<{CANARY}>", "message": CANARY}).encode()
    answers["ecr"] = Canned(body, status=400)
    assert "no code" in str(failure(OWN, resources))
