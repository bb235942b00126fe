"""The policies of docs/aws.md, as they stand there, put into an emulator that nobody here wrote: they really work.

Not proven here, since the emulator has none of it: Pod Identity's, EC2's and ECS's own credentials, ECR Public, and
what a registry does with a login that it gave before a deny.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from support import parts
from support.document import blocks
from support.emulator import Emulator, root
from support.identity import forget_identity
from support.ministack import ministack
from support.repository import ROOT

from ecrmint import settings
from ecrmint.errors import MintError, NoIdentityError, TagSessionDeniedError, TrustDeniedError
from ecrmint.minters import Endpoints, Minter, Resources
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import AccessKey
from ecrmint.tokens import Secret
from ecrmint.wire import RegistryRequest

PAGE = ROOT / "docs" / "aws.md"
POLICIES = {block.name: block.text for block in blocks(PAGE, "json")}
OURS, PROD, CACHE = "111122223333", "123456789012", "210987654321"
OWN, PULL = f"arn:aws:iam::{OURS}:role/ecrmint", f"arn:aws:iam::{PROD}:role/drone-pull"
EKS, GKE = "ecrmint-trust-irsa.json", "ecrmint-trust-gke.json"
SUBJECT = "system:serviceaccount:drone:ecrmint"
BUILD = RegistryRequest("team-a/app", event="push")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    parts.require()
    with ministack(tmp_path_factory.mktemp("ministack")) as url:
        emulator = Emulator(url, root(OURS))
        for name in (EKS, GKE):
            issuer = f"https://{provider(name).partition('oidc-provider/')[2]}"
            emulator.call(
                "iam", "create_open_id_connect_provider", emulator.key, Url=issuer, ClientIDList=["sts.amazonaws.com"]
            )
        for account, name in [(OURS, "ecrmint"), (PROD, "drone-pull"), (CACHE, "drone-pull")]:
            document = POLICIES["drone-pull-trust.json"]
            emulator.call("iam", "create_role", root(account), RoleName=name, AssumeRolePolicyDocument=document)
        yield emulator


@pytest.fixture
def roles(emulator: Emulator) -> "Roles":
    """The roles as the page has them, whatever the test before has made of them."""
    roles = Roles(emulator)
    roles.trust(OURS, "ecrmint", EKS)
    roles.permit(OURS, "ecrmint", "ecrmint-permissions.json")
    for account, permissions in [
        (PROD, "drone-pull-permissions.json"),
        (CACHE, "drone-pull-permissions-pull-through.json"),
    ]:
        roles.trust(account, "drone-pull", "drone-pull-trust.json")
        roles.permit(account, "drone-pull", permissions)
    return roles


@pytest.fixture
def resources(roles: "Roles", monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Resources:
    """What a pod has whose service account is annotated with the role."""
    url = roles.emulator.url
    forget_identity(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)  # IRSA's own call has no other way to the emulator
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ROLE_ARN", OWN)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(write_token(tmp_path, EKS, SUBJECT)))
    return Resources(endpoints=Endpoints(sts=Regional(url), ecr=Regional(url)))


class Roles:
    """Gives roles their policies, and plays them."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def trust(self, account: str, role: str, policy: str) -> None:
        document = POLICIES[policy]
        self.emulator.call("iam", "update_assume_role_policy", root(account), RoleName=role, PolicyDocument=document)

    def permit(self, account: str, role: str, policy: str, *, named: str = "pull", **changes: str) -> None:
        document = POLICIES[policy]
        for old, new in changes.items():
            document = document.replace(old, new)
        self.emulator.call(
            "iam", "put_role_policy", root(account), RoleName=role, PolicyName=named, PolicyDocument=document
        )

    def session(self, account: str) -> AccessKey:
        """Return the session of an account's pull role, as ecrmint's own role gets it."""
        token = jwt(EKS, SUBJECT)
        own = self.emulator.call(
            "sts",
            "assume_role_with_web_identity",
            root(OURS),
            RoleArn=OWN,
            RoleSessionName="own",
            WebIdentityToken=token,
        )
        role = f"arn:aws:iam::{account}:role/drone-pull"
        return key_of(
            self.emulator.call(
                "sts", "assume_role", key_of(own), RoleArn=role, RoleSessionName="pull", ExternalId="drone"
            )
        )

    def may(self, session: AccessKey, operation: str, **parameters: object) -> bool:
        """Return whether ECR's answer is anything but a denial: the emulator has no images."""
        try:
            self.emulator.call("ecr", operation, session, **parameters)
        except ClientError as error:
            return error.response["Error"]["Code"] != "AccessDeniedException"
        return True


def key_of(answer: Mapping[str, object]) -> AccessKey:
    made = answer["Credentials"]
    assert isinstance(made, dict)
    token = Secret(made["SessionToken"])
    return AccessKey(made["AccessKeyId"], Secret(made["SecretAccessKey"]), PULL, PULL, token)


def provider(name: str) -> str:
    found: str = json.loads(POLICIES[name])["Statement"][0]["Principal"]["Federated"]
    return found


def jwt(trust: str, subject: str, audience: str = "sts.amazonaws.com") -> str:
    # The emulator doesn't look at the signature, but at the claims.
    issuer = f"https://{provider(trust).partition('oidc-provider/')[2]}"
    claims = {"iss": issuer, "sub": subject, "aud": audience, "iat": 1, "exp": 4102444800}
    pieces = [json.dumps(piece).encode() for piece in ({"alg": "RS256", "kid": "k"}, claims)]
    return ".".join(urlsafe_b64encode(piece).decode().rstrip("=") for piece in [*pieces, b"signature"])


def write_token(folder: Path, trust: str, subject: str) -> Path:
    file = folder / "token"
    file.write_text(jwt(trust, subject))
    return file


def configured(
    having: str, account: str, resources: Resources, changes: Mapping[str, str] | None = None
) -> list[Minter]:
    """Return the minters of an account in the page's first configuration that holds this text."""
    text = next(block.text for block in blocks(PAGE, "yaml") if having in block.text)
    for old, new in (changes or {}).items():
        text = text.replace(old, new)
    rest = "secrets: [{name: main, value: 0123456789abcdef0123456789abcdef}]\nrules: []\n"
    config = settings.parse(text + rest, with_secrets=False)
    minters = config.settings.accounts[account].minters(account, resources)
    return [minter.for_build(BUILD) for minter in minters.values()]


def simple(resources: Resources, changes: Mapping[str, str] | None = None) -> Minter:
    (minter,) = configured("role_arn:", "prod", resources, changes)
    return minter


def failure(minter: Minter) -> type[MintError]:
    with pytest.raises(MintError) as caught:
        minter.mint()
    return type(caught.value)


def test_the_roles_of_the_page_give_a_pod_with_irsa_a_login(resources: Resources) -> None:
    assert simple(resources).mint().username == "AWS"


def test_another_service_account_is_nobody(resources: Resources, tmp_path: Path) -> None:
    write_token(tmp_path, EKS, "system:serviceaccount:drone:runner")
    assert failure(simple(resources)) is NoIdentityError


def test_the_role_is_not_given_without_its_external_id(resources: Resources) -> None:
    assert failure(simple(resources, {"external_id: drone": "external_id: other"})) is TrustDeniedError


@pytest.mark.parametrize("missing", ["trust", "permission"])
def test_both_sides_must_allow(roles: Roles, resources: Resources, missing: str) -> None:
    if missing == "trust":
        roles.trust(PROD, "drone-pull", EKS)
    else:
        roles.permit(OURS, "ecrmint", "ecrmint-permissions.json", **{PROD: CACHE})
    assert failure(simple(resources)) is TrustDeniedError


def test_one_entry_gives_a_login_for_each_account_and_region(resources: Resources) -> None:
    minters = configured("role: drone-pull\n", "company", resources)
    assert [minter.mint().username for minter in minters] == ["AWS"] * 3
    assert len(set(minters)) == 3


@pytest.mark.parametrize(("having", "account"), [("repositories:", "team-a"), ("access:", "cache")])
def test_a_narrower_login_is_minted(resources: Resources, having: str, account: str) -> None:
    (minter,) = configured(having, account, resources)
    assert minter.mint().username == "AWS"


def test_a_token_of_gke_is_enough(
    roles: Roles, resources: Resources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(variable)
    roles.trust(OURS, "ecrmint", GKE)
    file = write_token(tmp_path, GKE, SUBJECT)
    changes = {"/var/run/secrets/aws/token": str(file)}
    (minter,) = configured("web_identity_token_file", "prod", resources, changes)
    assert minter.mint().username == "AWS"


def test_marks_need_the_marked_policies(roles: Roles, resources: Resources) -> None:
    (minter,) = configured("session_tags", "prod", resources)
    assert failure(minter) is TagSessionDeniedError
    roles.trust(PROD, "drone-pull", "drone-pull-trust-marked.json")
    roles.permit(OURS, "ecrmint", "ecrmint-permissions-marked.json")
    assert minter.mint().username == "AWS"


@pytest.mark.parametrize(
    ("permissions", "account", "repository", "allowed"),
    [
        ("drone-pull-permissions.json", PROD, "team-b/app", True),
        ("drone-pull-permissions-narrow.json", PROD, "team-a/sub/app", True),
        ("drone-pull-permissions-narrow.json", PROD, "team-b/app", False),
    ],
    ids=["all", "in", "out"],
)
def test_the_permissions_open_what_they_name(
    roles: Roles, permissions: str, account: str, repository: str, allowed: bool
) -> None:
    roles.permit(account, "drone-pull", permissions)
    session = roles.session(account)
    image = {"repositoryName": repository, "imageIds": [{"imageTag": "latest"}]}
    assert roles.may(session, "get_authorization_token")
    assert roles.may(session, "batch_get_image", **image) is allowed
    assert not roles.may(session, "create_repository", repositoryName=repository)


def test_a_pull_through_cache_may_make_the_repository(roles: Roles) -> None:
    assert roles.may(roles.session(CACHE), "create_repository", repositoryName="docker-hub/library/busybox")


@pytest.mark.parametrize(
    ("issued_before", "alive"),
    [("2000-01-01T00:00:00Z", True), ("2999-01-01T00:00:00Z", False)],
    ids=["later", "earlier"],
)
def test_the_deny_by_issue_time_ends_sessions_of_before_and_no_others(
    roles: Roles, issued_before: str, alive: bool
) -> None:
    session = roles.session(PROD)
    name = "end-older-sessions"
    roles.permit(PROD, "drone-pull", f"{name}.json", named=name, **{"2026-01-31T12:00:00Z": issued_before})
    assert roles.may(session, "get_authorization_token") is alive
    roles.emulator.call("iam", "delete_role_policy", root(PROD), RoleName="drone-pull", PolicyName=name)
