"""The stand-in's OpenID Connect provider and AssumeRoleWithWebIdentity, asked by boto3."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError
from support.boto import Key, assume, code, sts
from support.identity import forget_identity
from support.standin import OffsetClock

from ecrmint.standin import jwt
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Call, Failure
from ecrmint.standin.oidc import OidcProvider
from ecrmint.standin.server import StandinServer
from ecrmint.standin.web_identity import IDP_UNREACHABLE, NO_VERIFICATION_KEY

if TYPE_CHECKING:
    from mypy_boto3_sts.type_defs import AssumeRoleWithWebIdentityResponseTypeDef

ACCOUNT = "222222222222"
ISSUER = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABCDEF"
SUBJECT = "system:serviceaccount:ci:ecrmint"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/web"
NEXT = f"arn:aws:iam::{ACCOUNT}:role/next"
ELSEWHERE = "arn:aws:iam::333333333333:role/web"
NOBODY = Key("AKIAAAAAAAAAAAAAAAAA", "unused")


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    provider = cloud.add_oidc_provider(ISSUER, ACCOUNT, audiences=["sts.amazonaws.com", "other"])
    trusted = provider.trusted(sub="system:serviceaccount:*:ecrmint", aud="sts.amazonaws.com")
    cloud.add_role(ROLE, web_trust=[trusted], max_session=43200)
    cloud.add_role(NEXT, trust=[ROLE], max_session=43200)
    cloud.add_role(ELSEWHERE, web_trust=[trusted])
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture
def provider(cloud: Cloud) -> OidcProvider:
    return cloud.oidc_providers[ACCOUNT, ISSUER]


def identify(
    server: StandinServer, token: str, role: str = ROLE, **more: object
) -> "AssumeRoleWithWebIdentityResponseTypeDef":
    call: Callable[..., AssumeRoleWithWebIdentityResponseTypeDef] = sts(
        server.url, NOBODY
    ).assume_role_with_web_identity
    return call(**{"RoleArn": role, "RoleSessionName": "ecrmint", "WebIdentityToken": token, **more})


def refusal(server: StandinServer, token: str, role: str = ROLE, **more: object) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as error:
        identify(server, token, role, **more)
    return *code(error), error.value.response["Error"]["Message"]


def test_a_trusted_token_gets_a_session_without_any_key(
    server: StandinServer, cloud: Cloud, provider: OidcProvider
) -> None:
    answer = identify(server, provider.token(sub=SUBJECT))
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/web/ecrmint"
    assert answer["SubjectFromWebIdentityToken"] == SUBJECT
    assert (answer["Provider"], answer["Audience"]) == (ISSUER, "sts.amazonaws.com")
    assert cloud.calls == [Call("sts.AssumeRoleWithWebIdentity", SUBJECT, ROLE)]


def test_the_session_lasts_and_is_narrowed_as_asked(
    server: StandinServer, cloud: Cloud, provider: OidcProvider
) -> None:
    policy = '{"Version": "2012-10-17", "Statement": []}'
    answer = identify(server, provider.token(sub=SUBJECT), DurationSeconds=43200, Policy=policy)
    context = cloud.sessions_of(ROLE)[-1].context
    assert 43190 < answer["Credentials"]["Expiration"].timestamp() - cloud.now() <= 43200
    assert (context.policy is not None and context.policy.text, answer["PackedPolicySize"]) == (policy, 2)


def test_the_session_assumes_the_next_role_for_an_hour_at_most(server: StandinServer, provider: OidcProvider) -> None:
    issued = identify(server, provider.token(sub=SUBJECT))["Credentials"]
    first = Key(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])
    assert assume(server.url, first, NEXT).token
    with pytest.raises(ClientError, match="role chaining"):
        assume(server.url, first, NEXT, DurationSeconds=3601)


@pytest.mark.parametrize(
    "mint",
    [
        lambda provider: provider.token(sub="system:serviceaccount:ci:other"),
        lambda provider: provider.token(sub=f"{SUBJECT}-2"),
        lambda provider: provider.token(sub=SUBJECT, aud="other"),
    ],
    ids=["another subject", "a longer subject", "another audience"],
)
def test_a_token_that_the_role_does_not_trust_is_denied(
    server: StandinServer, provider: OidcProvider, mint: Callable[[OidcProvider], str]
) -> None:
    text = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    assert refusal(server, mint(provider)) == (403, "AccessDenied", text)


def test_a_role_that_is_not_there_is_denied_alike(server: StandinServer, provider: OidcProvider) -> None:
    text = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    missing = f"arn:aws:iam::{ACCOUNT}:role/none"
    assert refusal(server, provider.token(sub=SUBJECT), role=missing) == (403, "AccessDenied", text)


def test_a_role_trusts_one_issuer(server: StandinServer, cloud: Cloud) -> None:
    stranger = cloud.add_oidc_provider("https://oidc.example/other", ACCOUNT)
    assert refusal(server, stranger.token(sub=SUBJECT))[:2] == (403, "AccessDenied")


def forged(provider: OidcProvider) -> str:
    stranger = Cloud().add_oidc_provider(provider.issuer, provider.account)
    return stranger.token(sub=SUBJECT)


@pytest.mark.parametrize(
    ("mint", "text"),
    [
        (lambda _: "not-a-token", "not a valid JWT"),
        (lambda provider: f"{provider.token(sub=SUBJECT)}\n", "not a valid JWT"),
        (lambda provider: provider.token(sub=SUBJECT).replace(".", ".AA", 1), "not a valid JWT"),
        (lambda provider: provider.token(sub=SUBJECT, aud="stranger"), "Incorrect token audience"),
        (forged, "signature is not valid"),
        (lambda provider: jwt.sign({"iss": ISSUER, "aud": "other"}, provider.key), "required claim: exp"),
        (lambda provider: jwt.sign({"iss": "https://else.example"}, provider.key), "No OpenIDConnect provider found"),
    ],
    ids=["text", "newline", "broken", "audience", "signature", "no end", "issuer"],
)
def test_a_token_that_does_not_hold_is_invalid(
    server: StandinServer, provider: OidcProvider, mint: Callable[[OidcProvider], str], text: str
) -> None:
    status, error_code, message = refusal(server, mint(provider))
    assert (status, error_code) == (400, "InvalidIdentityToken")
    assert text in message


def test_an_expired_token_has_its_own_code(server: StandinServer, provider: OidcProvider) -> None:
    status, error_code, message = refusal(server, provider.token(sub=SUBJECT, seconds=-1))
    assert (status, error_code) == (400, "ExpiredTokenException")
    assert message.startswith("Token expired: current date/time")


def test_an_account_that_does_not_know_the_issuer_takes_no_token(
    server: StandinServer, cloud: Cloud, provider: OidcProvider
) -> None:
    token = provider.token(sub=SUBJECT)
    assert refusal(server, token, role=ELSEWHERE)[1] == "InvalidIdentityToken"
    cloud.add_oidc_provider(ISSUER, "333333333333")
    assert identify(server, token, role=ELSEWHERE)["Provider"] == ISSUER
    del cloud.oidc_providers["333333333333", ISSUER]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"DurationSeconds": 43201}, (400, "ValidationError")),
        ({"Policy": "{"}, (400, "MalformedPolicyDocument")),
        ({"ProviderId": "www.amazon.com"}, (501, "NotImplemented")),
        ({"WebIdentityToken": "abc"}, (400, "ValidationError")),
    ],
    ids=["length", "policy", "provider id", "short token"],
)
def test_other_parameters_are_checked_as_by_assume_role(
    server: StandinServer, provider: OidcProvider, more: dict[str, object], expected: tuple[int, str]
) -> None:
    assert refusal(server, provider.token(sub=SUBJECT), ROLE, **more)[:2] == expected


@pytest.mark.parametrize("failure", [IDP_UNREACHABLE, NO_VERIFICATION_KEY], ids=lambda failure: failure.code)
def test_a_transient_failure_passes(
    server: StandinServer, cloud: Cloud, provider: OidcProvider, failure: Failure
) -> None:
    cloud.faults["sts.AssumeRoleWithWebIdentity"].next_errors = [failure]
    token = provider.token(sub=SUBJECT)
    assert refusal(server, token) == (failure.status, failure.code, failure.message)
    assert identify(server, token)["Provider"] == ISSUER


def test_a_pods_environment_is_all_that_botocore_needs(
    server: StandinServer, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget_identity(monkeypatch)
    token = tmp_path / "token"
    token.write_text(provider.token(sub=SUBJECT))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "pod")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    identity = boto3.Session(region_name="eu-west-1").client("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/web/pod"
