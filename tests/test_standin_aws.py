"""The stand-in's STS, ECR and registry, asked by the real clients: boto3 over loopback, HTTP Basic for the registry."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from support.boto import Key, assume, code, ecr, login, sts, used
from support.standin import HTTP, USER, OffsetClock, ping

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer

STRANGER = "arn:aws:iam::333333333333:user/stranger"
OPEN_ROLE = "arn:aws:iam::111111111111:role/open"
GUARDED_ROLE = "arn:aws:iam::222222222222:role/team/guarded"
CHAINED_ROLE = "arn:aws:iam::444444444444:role/chained"
ROLE_OF_ROOT = "arn:aws:iam::555555555555:role/whole-account"
LONG_ROLE = "arn:aws:iam::111111111111:role/long"
HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(OPEN_ROLE, trust=[USER])
    cloud.add_role(GUARDED_ROLE, trust=[USER], external_id="drone")
    cloud.add_role(CHAINED_ROLE, trust=[OPEN_ROLE], max_session=43200)
    cloud.add_role(ROLE_OF_ROOT, trust=["arn:aws:iam::111111111111:root"])
    cloud.add_role(LONG_ROLE, trust=[USER], max_session=43200)
    with StandinServer(cloud) as running:
        yield running


def test_a_key_learns_who_it_is(server: StandinServer, key: Key) -> None:
    answer = sts(server.url, key).get_caller_identity()
    assert (answer["Arn"], answer["Account"]) == (USER, "111111111111")


def test_a_trusted_caller_gets_a_session_that_is_the_roles(server: StandinServer, key: Key) -> None:
    session = assume(server.url, key, OPEN_ROLE)
    assert (
        sts(server.url, session).get_caller_identity()["Arn"] == "arn:aws:sts::111111111111:assumed-role/open/ecrmint"
    )


def test_the_answer_names_the_role_and_lasts_as_long_as_asked(server: StandinServer, key: Key) -> None:
    answer = sts(server.url, key).assume_role(
        RoleArn=GUARDED_ROLE, RoleSessionName="ecrmint", ExternalId="drone", DurationSeconds=900
    )
    left = answer["Credentials"]["Expiration"].timestamp() - datetime.now(UTC).timestamp()
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::222222222222:assumed-role/guarded/ecrmint"
    assert 890 < left <= 900


@pytest.mark.parametrize(
    ("role", "more"),
    [
        (GUARDED_ROLE, {}),
        (GUARDED_ROLE, {"ExternalId": "other"}),
        (CHAINED_ROLE, {}),
        ("arn:aws:iam::222222222222:role/none", {}),
    ],
    ids=["no external id", "other external id", "not trusted", "no such role"],
)
def test_every_refused_role_gets_the_same_answer(
    server: StandinServer, key: Key, role: str, more: dict[str, str]
) -> None:
    with pytest.raises(ClientError) as error:
        assume(server.url, key, role, **more)
    assert code(error) == (403, "AccessDenied")
    assert error.value.response["Error"]["Message"] == (
        f"User: {USER} is not authorized to perform: sts:AssumeRole on resource: {role}"
    )


def test_an_external_id_that_nobody_asked_for_does_no_harm(server: StandinServer, key: Key) -> None:
    assert assume(server.url, key, OPEN_ROLE, ExternalId="drone").token


def test_a_role_may_trust_a_whole_account_and_no_other(server: StandinServer, key: Key) -> None:
    assert assume(server.url, key, ROLE_OF_ROOT).token
    stranger = used(server.cloud.add_key(STRANGER))
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(server.url, stranger, ROLE_OF_ROOT)


def test_a_removed_role_is_refused(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.add_role("arn:aws:iam::111111111111:role/brief", trust=[USER])
    cloud.remove_role("arn:aws:iam::111111111111:role/brief")
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(server.url, key, "arn:aws:iam::111111111111:role/brief")


def test_a_role_assumes_the_next_for_an_hour_at_most(server: StandinServer, key: Key) -> None:
    session = assume(server.url, key, OPEN_ROLE)
    assert assume(server.url, session, CHAINED_ROLE, DurationSeconds=3600).token
    with pytest.raises(ClientError, match="role chaining") as error:
        assume(server.url, session, CHAINED_ROLE, DurationSeconds=3601)
    assert code(error) == (400, "ValidationError")


@pytest.mark.parametrize(
    ("role", "more"),
    [
        (OPEN_ROLE, {"DurationSeconds": 899}),
        (OPEN_ROLE, {"DurationSeconds": 3601}),
        (LONG_ROLE, {"DurationSeconds": 43201}),
        (OPEN_ROLE, {"RoleSessionName": "org/repo"}),
        (OPEN_ROLE, {"RoleSessionName": "x" * 65}),
        (OPEN_ROLE, {"ExternalId": "white space"}),
        ("arn:aws:iam::111111111111:user/not-a-role", {}),
        (OPEN_ROLE, {"Policy": " " * 2049}),
    ],
    ids=["short", "over role's", "over 12 h", "slash in name", "long name", "external id", "not a role", "long policy"],
)
def test_aws_limits_are_kept(server: StandinServer, key: Key, role: str, more: dict[str, str | int]) -> None:
    with pytest.raises(ClientError) as error:
        assume(server.url, key, role, **more)
    assert code(error) == (400, "ValidationError")


def test_twelve_hours_are_given_where_the_role_allows_them(server: StandinServer, key: Key) -> None:
    assert assume(server.url, key, LONG_ROLE, DurationSeconds=43200).token


def test_a_role_and_a_name_must_be_said(server: StandinServer, key: Key) -> None:
    call: Callable[..., object] = sts(server.url, key).assume_role
    with pytest.raises(ClientError, match="roleSessionName") as error:
        call(RoleArn=OPEN_ROLE)
    assert code(error) == (400, "ValidationError")


def test_a_session_policy_must_be_json(server: StandinServer, key: Key) -> None:
    assert assume(server.url, key, OPEN_ROLE, Policy='{"Version": "2012-10-17", "Statement": []}').token
    with pytest.raises(ClientError) as error:
        assume(server.url, key, OPEN_ROLE, Policy="{")
    assert code(error) == (400, "MalformedPolicyDocument")


def test_a_parameter_that_is_not_known_is_501(server: StandinServer, key: Key) -> None:
    with pytest.raises(ClientError, match="PolicyArns") as error:
        assume(server.url, key, OPEN_ROLE, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}])
    assert code(error) == (501, "NotImplemented")
    with pytest.raises(ClientError) as error:
        ecr(server.url, key).get_authorization_token(registryIds=["111111111111"])
    assert code(error) == (501, "NotImplemented")


@pytest.mark.parametrize(
    ("spoil", "from_sts", "from_ecr"),
    [
        (
            lambda key: Key("AKIAAAAAAAAAAAAAAAAA", key.secret),
            (403, "InvalidClientTokenId"),
            (400, "UnrecognizedClientException"),
        ),
        (lambda key: Key(key.id, "wrong"), (403, "SignatureDoesNotMatch"), (400, "InvalidSignatureException")),
        (
            lambda key: Key(key.id, key.secret, "token"),
            (403, "InvalidClientTokenId"),
            (400, "UnrecognizedClientException"),
        ),
    ],
    ids=["unknown key", "wrong secret", "a token that is not the key's"],
)
def test_a_bad_key_is_refused_as_each_service_does(
    server: StandinServer, key: Key, spoil: object, from_sts: tuple[int, str], from_ecr: tuple[int, str]
) -> None:
    assert callable(spoil)
    bad = spoil(key)
    with pytest.raises(ClientError) as error:
        sts(server.url, bad).get_caller_identity()
    assert code(error) == from_sts
    with pytest.raises(ClientError) as error:
        ecr(server.url, bad).get_authorization_token()
    assert code(error) == from_ecr


def test_a_session_key_without_its_token_is_refused(server: StandinServer, key: Key) -> None:
    session = assume(server.url, key, OPEN_ROLE)
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        ecr(server.url, Key(session.id, session.secret)).get_authorization_token()


def test_an_expired_session_is_refused(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["sts.AssumeRole"].life = 60
    session = assume(server.url, key, OPEN_ROLE)
    assert login(server.url, session)
    cloud.clock = OffsetClock(61)
    with pytest.raises(ClientError) as error:
        ecr(server.url, session).get_authorization_token()
    assert code(error) == (400, "ExpiredTokenException")
    with pytest.raises(ClientError) as error:
        sts(server.url, session).get_caller_identity()
    assert code(error) == (403, "ExpiredToken")


@pytest.mark.parametrize(
    ("offset", "text"), [(1000, "Signature expired"), (-1000, "Signature not yet current")], ids=["late", "early"]
)
def test_a_date_that_is_too_far_off_is_refused_and_the_answer_tells_the_clouds_time(
    server: StandinServer, cloud: Cloud, key: Key, offset: float, text: str
) -> None:
    cloud.clock = OffsetClock(offset)
    with pytest.raises(ClientError, match=text) as error:
        sts(server.url, key).get_caller_identity()
    date = parsedate_to_datetime(error.value.response["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert code(error) == (403, "SignatureDoesNotMatch")
    assert abs((date - datetime.now(UTC)).total_seconds() - offset) < 5


def test_an_unsigned_call_is_refused(server: StandinServer, cloud: Cloud) -> None:
    by_form = HTTP.post(server.url, data={"Action": "GetCallerIdentity", "Version": "2011-06-15"})
    target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    by_json = HTTP.post(server.url, content=b"{}", headers={"X-Amz-Target": target})
    assert (by_form.status_code, "MissingAuthenticationToken" in by_form.text) == (403, True)
    assert (by_json.status_code, by_json.json()["__type"]) == (400, "MissingAuthenticationTokenException")
    assert [call.caller for call in cloud.calls] == ["", ""]


def signed(key: Key, url: str, *, service: str, date: str) -> dict[str, str]:
    """Return the headers of a GetCallerIdentity that botocore's client would not sign so."""
    request = AWSRequest("POST", url, data="Action=GetCallerIdentity")
    signer = SigV4Auth(Credentials(key.id, key.secret), service, "eu-west-1")
    request.context["timestamp"] = request.headers["X-Amz-Date"] = date
    request.headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders=host;x-amz-date, "
        f"Signature={signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)}"
    )
    return {**request.headers}


@pytest.mark.parametrize(
    ("service", "date", "text"),
    [("ecr", "20261124T120000Z", "correct service: &#x27;sts&#x27;"), ("sts", "20261124", "ISO-8601")],
    ids=["another service's scope", "date without time"],
)
def test_a_call_that_is_signed_in_another_way_is_refused(
    server: StandinServer, key: Key, service: str, date: str, text: str
) -> None:
    answer = HTTP.post(
        server.url,
        content="Action=GetCallerIdentity",
        headers=signed(key, server.url, service=service, date=date),
    )
    assert (answer.status_code, "SignatureDoesNotMatch" in answer.text) == (403, True)
    assert text in answer.text


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("eu-west-1", "https://111111111111.dkr.ecr.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "https://111111111111.dkr.ecr.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "https://111111111111.dkr.ecr.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_a_login_is_for_the_callers_account_and_the_asked_region(
    server: StandinServer, key: Key, region: str, endpoint: str
) -> None:
    (data,) = ecr(server.url, key, region=region).get_authorization_token()["authorizationData"]
    left = data["expiresAt"].timestamp() - datetime.now(UTC).timestamp()
    assert data["proxyEndpoint"] == endpoint
    assert 43190 < left <= 43200


def test_passwords_are_as_long_as_the_real_ones_and_never_the_same(server: StandinServer, key: Key) -> None:
    passwords = {login(server.url, key)[1] for _ in range(3)}
    assert len(passwords) == 3
    assert {1800 <= len(password) <= 2048 for password in passwords} == {True}


@pytest.mark.parametrize(
    "host",
    [
        HOST,
        "222222222222.dkr.ecr-fips.eu-west-1.amazonaws.com",
        "222222222222.dkr-ecr.eu-west-1.on.aws",
        "222222222222.dkr-ecr-fips.eu-west-1.on.aws",
    ],
)
def test_a_minted_login_opens_its_registry(server: StandinServer, key: Key, host: str) -> None:
    session = assume(server.url, key, GUARDED_ROLE, ExternalId="drone")
    assert ping(server.url, host, login(server.url, session)) == 200


@pytest.mark.parametrize(
    "host",
    [
        "111111111111.dkr.ecr.eu-west-1.amazonaws.com",
        "222222222222.dkr.ecr.eu-west-2.amazonaws.com",
        f"{HOST}.cn",
        f"{HOST}.evil.example",
        "europe-docker.pkg.dev",
        "127.0.0.1",
    ],
)
def test_a_minted_login_opens_no_other_registry(server: StandinServer, key: Key, host: str) -> None:
    session = assume(server.url, key, GUARDED_ROLE, ExternalId="drone")
    assert ping(server.url, host, login(server.url, session)) == 401


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: None,
        lambda login: ("aws", login[1]),
        lambda login: ("oauth2accesstoken", login[1]),
        lambda login: ("AWS", login[1][:-1]),
        lambda _: ("AWS", ""),
    ],
    ids=["none", "user in lower case", "Google's user", "cut password", "empty password"],
)
def test_a_login_that_was_not_issued_is_challenged(server: StandinServer, key: Key, spoil: object) -> None:
    assert callable(spoil)
    host = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"
    answer = HTTP.get(f"{server.url}/v2/", headers={"Host": host}, auth=spoil(login(server.url, key)))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == f'Basic realm="https://{host}/"'
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("header", ["Bearer QVdTOng=", "Basic !", "Basic /w==", "Basic", "QVdTOng="])
def test_what_is_not_basic_is_challenged(server: StandinServer, cloud: Cloud, header: str) -> None:
    assert HTTP.get(f"{server.url}/v2/", headers={"Host": HOST, "Authorization": header}).status_code == 401


def test_a_login_ends_when_it_said_so(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].life = 100
    auth = login(server.url, key)
    host = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"
    cloud.clock = OffsetClock(95)
    assert ping(server.url, host, auth) == 200
    cloud.clock = OffsetClock(101)
    assert ping(server.url, host, auth) == 401
