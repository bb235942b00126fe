"""What a login may do in the stand-in's registries: by session policy, and by the policies of other accounts."""

import json
from collections.abc import Iterator

import httpx2
import pytest
from botocore.exceptions import ClientError
from support.boto import Key, assume, code, ecr, ecr_public, login, split
from support.standin import HTTP, USER, OffsetClock, ping

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Call
from ecrmint.standin.server import StandinServer

ROLE = "arn:aws:iam::111111111111:role/pull"
NEXT = "arn:aws:iam::111111111111:role/next"
SESSION = "arn:aws:sts::111111111111:assumed-role/pull/ecrmint"
HOST = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"
OTHER = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
ARN = "arn:aws:ecr:eu-west-1:111111111111:repository"
PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
IMPORT = ("ecr:CreateRepository", "ecr:BatchImportUpstreamImage")
TOKEN = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
GOOGLE = "ci@acme.iam.gserviceaccount.com"
Auth = tuple[str, str]


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(ROLE, trust=[USER], tag_session=True, set_source_identity=True)
    cloud.add_role(NEXT, trust=[ROLE], tag_session=True, set_source_identity=True)
    for name in ("team-a/app", "team-b/app"):
        cloud.add_repository(HOST, name)
        cloud.add_repository(OTHER, name)
    cloud.share_repository(OTHER, "team-a/app", "111111111111")
    cloud.add_pull_through(HOST, "hub")
    cloud.add_repository("public.ecr.aws", "team-a/app")
    cloud.add_repository("europe-docker.pkg.dev", "acme/team-a/app")
    cloud.add_service_account(GOOGLE)
    cloud.set_metadata_identity(GOOGLE)
    with StandinServer(cloud) as running:
        yield running


def policy(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [TOKEN, *statements]})


def allow(*actions: str, on: str) -> dict[str, object]:
    return {"Effect": "Allow", "Action": actions, "Resource": on}


def narrowed(server: StandinServer, key: Key, *statements: dict[str, object]) -> Auth:
    return login(server.url, assume(server.url, key, ROLE, Policy=policy(*statements)))


def ask(
    server: StandinServer, path: str, auth: Auth | None, *, method: str = "GET", host: str = HOST
) -> httpx2.Response:
    return HTTP.request(method, f"{server.url}/v2/{path}", headers={"Host": host}, auth=auth)


def pull(server: StandinServer, name: str, auth: Auth, *, host: str = HOST) -> tuple[int, str]:
    answer = ask(server, f"{name}/manifests/latest", auth, host=host)
    return answer.status_code, answer.json()["errors"][0]["code"] if answer.is_error else ""


def push(server: StandinServer, name: str, auth: Auth, *, host: str = HOST) -> httpx2.Response:
    return ask(server, f"{name}/blobs/uploads/", auth, method="POST", host=host)


def test_a_login_without_a_policy_pulls_and_pushes(server: StandinServer, key: Key) -> None:
    auth = login(server.url, key)
    assert pull(server, "team-a/app", auth) == (200, "")
    assert ask(server, "team-a/app/manifests/latest", auth, method="HEAD").status_code == 200
    assert ask(server, "team-a/app/blobs/sha256:00", auth).status_code == 200
    started = push(server, "team-a/app", auth)
    assert (started.status_code, started.headers["location"].rpartition("/")[0]) == (
        202,
        "/v2/team-a/app/blobs/uploads",
    )


def test_what_is_not_there_is_not_known(server: StandinServer, key: Key) -> None:
    assert pull(server, "team-a/none", login(server.url, key)) == (404, "NAME_UNKNOWN")


def test_whoever_has_no_login_is_challenged(server: StandinServer, key: Key) -> None:
    assert ask(server, "team-a/app/manifests/latest", None).status_code == 401
    assert pull(server, "team-a/app", ("AWS", "made-up")) == (401, "UNAUTHORIZED")


def test_a_session_policy_narrows_the_login_that_was_minted_under_it(server: StandinServer, key: Key) -> None:
    auth = narrowed(server, key, allow(*PULL, on=f"{ARN}/team-a/*"))
    assert pull(server, "team-a/app", auth) == (200, "")
    assert pull(server, "team-b/app", auth) == (403, "DENIED")
    assert ask(server, "team-b/app/blobs/sha256:00", auth).status_code == 403
    assert push(server, "team-a/app", auth).status_code == 403
    assert ping(server.url, HOST, auth) == 200


def test_a_refusal_says_who_may_not_do_what(server: StandinServer, key: Key) -> None:
    answer = push(server, "team-a/app", narrowed(server, key, allow(*PULL, on=f"{ARN}/*")))
    assert answer.json()["errors"][0]["message"] == (
        f"User: {SESSION} is not authorized to perform: ecr:InitiateLayerUpload on resource: {ARN}/team-a/app"
        " because no session policy allows the ecr:InitiateLayerUpload action"
    )


@pytest.mark.parametrize(
    ("statements", "status"),
    [
        ([allow("ecr:*", on=f"{ARN}/team-a/app")], 200),
        ([allow("ECR:batchgetimage", on=f"{ARN}/team-?/*")], 200),
        ([allow("*", on="*")], 200),
        ([allow(*PULL, on="arn:aws:ecr:*:111111111111:repository/*"), {"Sid": "Alone", **TOKEN}], 200),
        ([allow(*PULL, on=f"{ARN}/TEAM-A/*")], 403),
        ([allow(*PULL, on="arn:aws:ecr:eu-west-2:111111111111:repository/*")], 403),
        ([allow(*PULL, on=f"{ARN}/team-a/app"), {"Effect": "Deny", "Action": "ecr:Batch*", "Resource": "*"}], 403),
        ([], 403),
    ],
    ids=["action", "letters", "all", "region", "case", "elsewhere", "denied", "nothing"],
)
def test_policies_are_read_as_iam_reads_them(
    server: StandinServer, key: Key, statements: list[dict[str, object]], status: int
) -> None:
    assert pull(server, "team-a/app", narrowed(server, key, *statements))[0] == status


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", (400, "MalformedPolicyDocument")),
        ('{"Version": "2012-10-17"}', (400, "MalformedPolicyDocument")),
        ('{"Version": "2012-10-18", "Statement": []}', (400, "MalformedPolicyDocument")),
        ('{"Statement": {"Effect": "allow", "Action": "*", "Resource": "*"}}', (400, "MalformedPolicyDocument")),
        ('{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}', None),
        ('{"Statement": {"Effect": "Allow", "NotAction": "*", "Resource": "*"}}', (501, "NotImplemented")),
        (
            '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}}',
            (501, "NotImplemented"),
        ),
    ],
    ids=["list", "no statement", "version", "effect", "good", "NotAction", "Condition"],
)
def test_a_policy_that_can_not_be_read_is_refused(
    server: StandinServer, key: Key, text: str, expected: tuple[int, str] | None
) -> None:
    if expected is None:
        assert assume(server.url, key, ROLE, Policy=text).token
        return
    with pytest.raises(ClientError) as error:
        assume(server.url, key, ROLE, Policy=text)
    assert code(error) == expected


def test_a_policy_must_leave_room_for_the_login_itself(server: StandinServer, key: Key) -> None:
    session = assume(server.url, key, ROLE, Policy='{"Statement": []}')
    with pytest.raises(ClientError, match="ecr:GetAuthorizationToken on resource: \\* because no session") as error:
        ecr(server.url, session).get_authorization_token()
    assert code(error) == (400, "AccessDeniedException")


@pytest.mark.parametrize("missing", ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"])
def test_a_policy_must_leave_room_for_a_public_login(server: StandinServer, key: Key, missing: str) -> None:
    needed = {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}
    enough = assume(server.url, key, ROLE, Policy=policy(allow(*needed, on="*")))
    assert ecr_public(server.url, enough).get_authorization_token()
    session = assume(server.url, key, ROLE, Policy=policy(allow(*needed - {missing}, on="*")))
    with pytest.raises(ClientError, match=missing):
        ecr_public(server.url, session).get_authorization_token()


@pytest.mark.parametrize(
    ("more", "missing"),
    [
        ({}, "sts:AssumeRole"),
        ({"Tags": [{"Key": "repo", "Value": "a/b"}]}, "sts:TagSession"),
        ({"SourceIdentity": "drone"}, "sts:SetSourceIdentity"),
    ],
    ids=["role", "tags", "source identity"],
)
def test_a_policy_must_leave_room_for_the_next_role(
    server: StandinServer, key: Key, more: dict[str, object], missing: str
) -> None:
    needed = {"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}
    enough = assume(server.url, key, ROLE, Policy=policy(allow(*needed, on=NEXT)))
    assert assume(server.url, enough, NEXT, **more).token
    session = assume(server.url, key, ROLE, Policy=policy(allow(*needed - {missing}, on=NEXT)))
    with pytest.raises(ClientError, match=f"{missing} on resource: {NEXT}"):
        assume(server.url, session, NEXT, **more)


def test_another_accounts_repository_must_be_shared(server: StandinServer, key: Key) -> None:
    auth = login(server.url, key)
    assert ping(server.url, OTHER, auth) == 200
    assert pull(server, "team-a/app", auth, host=OTHER) == (200, "")
    assert pull(server, "team-b/app", auth, host=OTHER) == (403, "DENIED")
    assert pull(server, "team-b/none", auth, host=OTHER) == (403, "DENIED")
    denied = push(server, "team-a/app", auth, host=OTHER)
    assert (denied.status_code, "no resource-based policy" in denied.text) == (403, True)


def test_a_session_policy_narrows_what_others_share_too(server: StandinServer, key: Key) -> None:
    own_alone = narrowed(server, key, allow(*PULL, on=f"{ARN}/*"))
    assert pull(server, "team-a/app", own_alone, host=OTHER) == (403, "DENIED")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (OTHER, "eu-west-2"),
        ("333333333333.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("222222222222.dkr.ecr.eu-west-1.amazonaws.com.cn", "eu-west-1"),
    ],
    ids=["another region's login", "an account that shares nothing", "no such host"],
)
def test_sharing_opens_nothing_else(server: StandinServer, key: Key, host: str, region: str) -> None:
    assert ping(server.url, host, login(server.url, key, region=region)) == 401


@pytest.mark.parametrize(
    "host", ["111111111111.dkr.ecr-fips.eu-west-1.amazonaws.com", "111111111111.dkr-ecr.eu-west-1.on.aws"]
)
def test_a_repository_is_there_under_every_name_of_its_registry(server: StandinServer, key: Key, host: str) -> None:
    auth = narrowed(server, key, allow(*PULL, on=f"{ARN}/team-a/*"))
    assert pull(server, "team-a/app", auth, host=host) == (200, "")
    assert pull(server, "team-b/app", auth, host=host) == (403, "DENIED")


@pytest.mark.parametrize("missing", IMPORT)
def test_a_pull_through_caches_first_pull_needs_more(
    server: StandinServer, cloud: Cloud, key: Key, missing: str
) -> None:
    name = f"hub/{missing[4:].lower()}"
    some = narrowed(server, key, allow(*{*PULL, *IMPORT} - {missing}, on=f"{ARN}/*"))
    assert pull(server, name, some) == (403, "DENIED")
    all_of_it = narrowed(server, key, allow(*PULL, *IMPORT, on=f"{ARN}/*"))
    assert pull(server, name, all_of_it) == (200, "")
    assert pull(server, name, narrowed(server, key, allow(*PULL, on=f"{ARN}/*"))) == (200, "")


def test_public_and_google_logins_pull_and_never_push(server: StandinServer, cloud: Cloud, key: Key) -> None:
    data = ecr_public(server.url, key).get_authorization_token()["authorizationData"]
    assert isinstance(data, dict)
    public = split(data["authorizationToken"])
    token, _ = cloud.metadata_token()
    google, garage = ("oauth2accesstoken", token.reveal()), "europe-docker.pkg.dev"
    assert pull(server, "team-a/app", public, host="public.ecr.aws") == (200, "")
    assert pull(server, "acme/team-a/app", google, host=garage) == (200, "")
    assert pull(server, "acme/team-a/none", google, host=garage) == (404, "NAME_UNKNOWN")
    assert push(server, "team-a/app", public, host="public.ecr.aws").json()["errors"][0]["code"] == "DENIED"
    assert push(server, "acme/team-a/app", google, host=garage).status_code == 403


def test_pulls_and_pushes_are_recorded(server: StandinServer, cloud: Cloud, key: Key) -> None:
    auth = login(server.url, key)
    cloud.calls.clear()
    pull(server, "team-a/app", auth)
    push(server, "team-a/app", auth)
    assert cloud.calls == [
        Call("registry.pull", "AWS", f"{HOST}/team-a/app"),
        Call("registry.push", "AWS", f"{HOST}/team-a/app"),
    ]
