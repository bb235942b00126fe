"""Roles by way of others, web identities, session policies and tags: the calls that they come to, at the stand-in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import pytest
from support.accounts import minter, minters
from support.chain import told
from support.identity import forget_identity
from support.standin import HTTP, USER, OffsetClock

from ecrmint.errors import (
    MintError,
    NoIdentityError,
    PolicyTooLargeError,
    RegionDisabledError,
    TagSessionDeniedError,
    TrustDeniedError,
)
from ecrmint.minters import Endpoints, Minter, Resources
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import AccessKey, Cloud
from ecrmint.standin.faults import Call, Failure
from ecrmint.standin.oidc import OidcProvider
from ecrmint.standin.server import StandinServer
from ecrmint.tokens import Login
from ecrmint.wire import RegistryRequest

HUB = "arn:aws:iam::111111111111:role/hub"
SPOKE = "arn:aws:iam::333333333333:role/spoke"
PULL = "arn:aws:iam::222222222222:role/team/drone-pull"
UNTAGGED = "arn:aws:iam::222222222222:role/untagged"
WEB = "arn:aws:iam::222222222222:role/web"
HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
ISSUER = "https://oidc.example/pool"
SUBJECT = "system:serviceaccount:ci:ecrmint"
ROLE: Mapping[str, object] = {"type": "ecr", "registries": (HOST,), "role_arn": PULL, "external_id": "drone"}
CHAIN: Mapping[str, object] = {
    **ROLE,
    "via": ({"role_arn": HUB}, {"role_arn": SPOKE, "external_id": "spoke", "region": "us-east-1"}),
}
ALL_TAGS = ("repo", "namespace", "event", "build", "trusted")
BUILD = RegistryRequest("team-a/app", event="push", build=7)


@dataclass
class Dropped:
    """A cloud observer that keeps the tags that were dropped."""

    tags: list[tuple[str, str]] = field(default_factory=list)

    def call_ended(self, provider: str, call: str, seconds: float) -> None:
        """Ignore it."""

    def tags_dropped(self, account: str, tag: str) -> None:
        """Keep it."""
        self.tags.append((account, tag))

    def clock_skew(self, provider: str, seconds: float) -> None:
        """Ignore it."""


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    trusted = cloud.add_oidc_provider(ISSUER, "222222222222").trusted(sub=SUBJECT, aud="sts.amazonaws.com")
    cloud.add_role(HUB, trust=[USER])
    cloud.add_role(SPOKE, trust=[HUB], external_id="spoke")
    cloud.add_role(PULL, trust=[USER, SPOKE, WEB], external_id="drone", tag_session=True, set_source_identity=True)
    cloud.add_role(UNTAGGED, trust=[USER])
    cloud.add_role(WEB, web_trust=[trusted], max_session=43200)
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture
def observer() -> Dropped:
    return Dropped()


@pytest.fixture
def resources(server: StandinServer, observer: Dropped) -> Resources:
    return Resources(endpoints=Endpoints(sts=Regional(server.url), ecr=Regional(server.url)), observer=observer)


@pytest.fixture
def token_file(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Be nobody, with a web identity's token in a file."""
    forget_identity(monkeypatch)
    file = tmp_path / "token"
    file.write_text(provider(cloud).token(sub=SUBJECT), encoding="utf-8")
    return file


def provider(cloud: Cloud) -> OidcProvider:
    return cloud.oidc_providers["222222222222", ISSUER]


def session_of(cloud: Cloud, role: str) -> AccessKey:
    return cloud.sessions_of(role)[-1]


def failure(made: Minter) -> MintError:
    with pytest.raises(MintError) as caught:
        made.mint()
    assert caught.value.hint
    return caught.value


def apis(cloud: Cloud) -> list[str]:
    return [call.api for call in cloud.calls]


# Chains


def test_each_role_is_assumed_by_the_one_before_with_one_call(cloud: Cloud, resources: Resources) -> None:
    minter(CHAIN, resources).mint()
    sessions = [session_of(cloud, role).arn for role in (HUB, SPOKE, PULL)]
    assert cloud.calls == [
        Call("sts.AssumeRole", USER, HUB),
        Call("sts.AssumeRole", sessions[0], SPOKE),
        Call("sts.AssumeRole", sessions[1], PULL),
        Call("ecr.GetAuthorizationToken", sessions[2], "eu-west-1"),
    ]


def test_the_sessions_on_the_way_are_short_and_only_the_last_one_has_a_policy(
    cloud: Cloud, resources: Resources
) -> None:
    minter({**CHAIN, "duration": "30m", "source_identity": "drone"}, resources).mint()
    sessions = [session_of(cloud, role) for role in (HUB, SPOKE, PULL)]
    assert [round((session.expires_at - time()) / 60) for session in sessions] == [15, 15, 30]
    assert [session.context.policy is not None for session in sessions] == [False, False, True]
    assert [session.context.source_identity for session in sessions] == ["", "", "drone"]


def test_every_session_is_named_after_the_account(cloud: Cloud, resources: Resources) -> None:
    minter(CHAIN, resources).mint()
    assert {session_of(cloud, role).arn.rpartition("/")[2] for role in (HUB, SPOKE, PULL)} == {"ecrmint-prod"}


def test_a_hop_that_is_refused_is_named(cloud: Cloud, resources: Resources) -> None:
    wrong = ({"role_arn": HUB}, {"role_arn": SPOKE, "external_id": "wrong"})
    error = failure(minter({**CHAIN, "via": wrong}, resources))
    assert isinstance(error, TrustDeniedError)
    assert (error.target, error.external_id, SPOKE in str(error)) == (SPOKE, "wrong", True)
    assert len(cloud.calls) == 2


def test_a_hop_asks_the_sts_of_its_own_region(cloud: Cloud, resources: Resources) -> None:
    cloud.disabled_regions.add("us-east-1")
    assert type(failure(minter(CHAIN, resources))) is RegionDisabledError
    assert [call.target for call in cloud.calls] == [HUB, SPOKE]


def test_one_entry_serves_the_same_role_of_many_accounts(cloud: Cloud, resources: Resources) -> None:
    accounts = [str(number) * 12 for number in range(4, 8)]
    for account in accounts:
        cloud.add_role(f"arn:aws:iam::{account}:role/many", trust=[USER])
    hosts = tuple(f"{account}.dkr.ecr.eu-west-1.amazonaws.com" for account in accounts)
    for host, made in minters({"type": "ecr", "registries": hosts, "role": "many"}, resources).items():
        login = made.mint()
        assert (host, opens(resources, login, host)) == (host, True)
    assert [call.target.split(":")[4] for call in cloud.calls_to("sts.AssumeRole")] == accounts


def opens(resources: Resources, login: Login, host: str) -> bool:
    auth = (login.username, login.password.reveal())
    return HTTP.get(f"{resources.endpoints.sts.everywhere}/v2/", headers={"Host": host}, auth=auth).status_code == 200


# Session policies


def test_a_login_is_narrowed_to_its_repositories(cloud: Cloud, resources: Resources) -> None:
    minter({**ROLE, "repositories": ("team-a/*",)}, resources).mint()
    session = session_of(cloud, PULL)
    arn = "arn:aws:ecr:eu-west-1:222222222222:repository"
    assert session.may("ecr:BatchGetImage", f"{arn}/team-a/app")
    assert not session.may("ecr:BatchGetImage", f"{arn}/team-b/app")
    assert not session.may("ecr:PutImage", f"{arn}/team-a/app")
    assert not session.may("ecr:CreateRepository", f"{arn}/team-a/app")


def test_a_login_for_a_pull_through_cache_may_make_its_repository(cloud: Cloud, resources: Resources) -> None:
    minter({**ROLE, "access": "pull-through", "repositories": ("hub/*",)}, resources).mint()
    arn = "arn:aws:ecr:eu-west-1:222222222222:repository"
    assert session_of(cloud, PULL).may("ecr:CreateRepository", f"{arn}/hub/nginx")
    assert not session_of(cloud, PULL).may("ecr:CreateRepository", f"{arn}/nginx")


def test_a_policy_that_is_too_large_even_without_tags_is_said_to_be(
    cloud: Cloud, resources: Resources, observer: Dropped
) -> None:
    cloud.packed_budget = 10
    error = failure(minter(ROLE, resources))
    assert (type(error), error.definite, "repositories" in error.hint) == (PolicyTooLargeError, False, True)
    assert (len(cloud.calls), observer.tags) == (1, [])


# Session tags


def tagged(resources: Resources, *keys: str, **more: object) -> Minter:
    return minter({**ROLE, "session_tags": keys, **more}, resources)


def test_a_build_has_a_login_of_its_own_with_its_tags(cloud: Cloud, resources: Resources) -> None:
    made = tagged(resources, *ALL_TAGS)
    assert made.per_build
    made.for_build(BUILD).mint()
    session = session_of(cloud, PULL)
    assert session.context.tags == {
        "repo": "team-a/app",
        "namespace": "team-a",
        "event": "push",
        "build": "7",
        "trusted": "false",
    }
    assert session.arn.rpartition("/")[2] == "ecrmint-team-a+app"
    assert apis(cloud) == ["sts.AssumeRole", "ecr.GetAuthorizationToken"]


def test_builds_share_a_login_where_nothing_that_is_said_of_them_differs(resources: Resources) -> None:
    made = tagged(resources, "namespace", "event")
    other = RegistryRequest("team-a/other", event="push", build=8, trusted=True)
    assert made.for_build(BUILD) == made.for_build(other)
    assert made.for_build(BUILD) != made.for_build(RegistryRequest("team-b/app", event="push"))
    assert made.for_build(BUILD) != made.for_build(RegistryRequest("team-a/app", event="tag"))


def test_a_build_that_came_after_another_has_none_of_its_tags(resources: Resources) -> None:
    made = tagged(resources, *ALL_TAGS)
    assert made.for_build(RegistryRequest("team-b/app", build=8)).for_build(BUILD) == made.for_build(BUILD)


def test_a_name_from_the_configuration_stays(cloud: Cloud, resources: Resources) -> None:
    tagged(resources, "repo", role_session_name="drone").for_build(BUILD).mint()
    assert session_of(cloud, PULL).arn.endswith("/drone")


def test_without_tags_all_builds_share_one_minter(resources: Resources) -> None:
    made = minter(ROLE, resources)
    assert (made.per_build, made.for_build(BUILD) == made) == (False, True)


def test_without_a_build_the_tags_say_so(cloud: Cloud, resources: Resources) -> None:
    tagged(resources, "repo", "trusted").mint()
    assert session_of(cloud, PULL).context.tags == {"repo": "ecrmint/check", "trusted": "false"}


def test_only_the_last_role_of_a_chain_gets_tags(cloud: Cloud, resources: Resources) -> None:
    minter({**CHAIN, "session_tags": ("repo",)}, resources).for_build(BUILD).mint()
    assert [dict(session_of(cloud, role).context.tags) for role in (HUB, SPOKE, PULL)] == [
        {},
        {},
        {"repo": "team-a/app"},
    ]


@pytest.mark.parametrize(
    ("spare", "dropped"),
    [(0, []), (-1, ["build"]), (-10, ["build", "event"]), (-20, ["build", "event", "trusted"])],
)
def test_tags_that_are_too_large_are_dropped_one_by_one_and_counted(
    cloud: Cloud, resources: Resources, observer: Dropped, spare: int, dropped: list[str]
) -> None:
    made = tagged(resources, *ALL_TAGS).for_build(BUILD)
    made.mint()
    cloud.packed_budget = session_of(cloud, PULL).context.size + spare
    cloud.calls.clear()
    made.mint()
    assert observer.tags == [("prod", tag) for tag in dropped]
    assert [*session_of(cloud, PULL).context.tags] == [key for key in ALL_TAGS if key not in dropped]
    assert apis(cloud) == ["sts.AssumeRole"] * (len(dropped) + 1) + ["ecr.GetAuthorizationToken"]


def test_repo_and_namespace_are_never_dropped(cloud: Cloud, resources: Resources, observer: Dropped) -> None:
    cloud.packed_budget = 10
    assert type(failure(tagged(resources, *ALL_TAGS).for_build(BUILD))) is PolicyTooLargeError
    assert [tag for _, tag in observer.tags] == ["build", "event", "trusted"]
    assert len(cloud.calls) == 4


def test_a_role_that_takes_no_tags_is_told_from_one_that_is_not_given(cloud: Cloud, resources: Resources) -> None:
    fields = {"type": "ecr", "registries": (HOST,), "role_arn": UNTAGGED}
    error = failure(minter({**fields, "session_tags": ("repo",)}, resources))
    assert isinstance(error, TagSessionDeniedError)
    assert (error.definite, error.target, error.code) == (True, UNTAGGED, "tag_session_denied")
    assert "sts:TagSession" in error.hint
    minter(fields, resources).mint()


def test_a_role_that_takes_no_source_identity_is_too(resources: Resources, cloud: Cloud) -> None:
    fields = {"type": "ecr", "registries": (HOST,), "role_arn": UNTAGGED, "source_identity": "drone"}
    error = failure(minter(fields, resources))
    assert (type(error), "sts:SetSourceIdentity" in error.hint) == (TrustDeniedError, True)
    assert len(cloud.calls) == 1


# Web identities


def web(file: Path, **more: object) -> Mapping[str, object]:
    return {"type": "ecr", "registries": (HOST,), "role_arn": WEB, "web_identity_token_file": str(file), **more}


def test_a_web_identity_needs_no_aws_key(cloud: Cloud, resources: Resources, token_file: Path) -> None:
    minter(web(token_file, duration="12h"), resources).mint()
    assert cloud.calls == [
        Call("sts.AssumeRoleWithWebIdentity", SUBJECT, WEB),
        Call("ecr.GetAuthorizationToken", session_of(cloud, WEB).arn, "eu-west-1"),
    ]
    assert session_of(cloud, WEB).context.policy is not None
    assert session_of(cloud, WEB).expires_at - time() > 43000


def test_the_roles_after_a_web_identity_are_assumed_as_ever(
    cloud: Cloud, resources: Resources, token_file: Path
) -> None:
    fields = {**ROLE, "via": ({"role_arn": WEB},), "web_identity_token_file": str(token_file)}
    minter({**fields, "session_tags": ("repo",)}, resources).for_build(BUILD).mint()
    assert apis(cloud) == ["sts.AssumeRoleWithWebIdentity", "sts.AssumeRole", "ecr.GetAuthorizationToken"]
    assert session_of(cloud, WEB).context.policy is None
    assert dict(session_of(cloud, PULL).context.tags) == {"repo": "team-a/app"}


def test_the_token_is_read_anew_for_each_mint_and_is_no_part_of_the_key(
    cloud: Cloud, resources: Resources, token_file: Path
) -> None:
    made = minter(web(token_file), resources)
    token_file.write_text(provider(cloud).token(sub="somebody:else"), encoding="utf-8")
    assert type(failure(made)) is TrustDeniedError
    token_file.write_text(provider(cloud).token(sub=SUBJECT), encoding="utf-8")
    assert made == minter(web(token_file), resources)
    made.mint()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_end_after_the_token_is_not_part_of_it(
    cloud: Cloud, resources: Resources, token_file: Path, end: str
) -> None:
    token_file.write_bytes(token_file.read_bytes() + end.encode())
    minter(web(token_file), resources).mint()
    assert len(cloud.calls) == 2


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "can't be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x" * 20_001, "is larger than 20000 bytes"),
        (b"a b", "holds no token"),
        (b"a\nb", "holds no token"),
        ("é".encode(), "holds no token"),
        (b"\x00", "holds no token"),
    ],
    ids=["missing", "empty", "a line end", "huge", "space", "two lines", "not ASCII", "control"],
)
def test_a_file_without_a_token_is_no_identity(
    cloud: Cloud, resources: Resources, token_file: Path, content: bytes | None, text: str
) -> None:
    token_file.unlink() if content is None else token_file.write_bytes(content)
    error = failure(minter(web(token_file), resources))
    assert (type(error), str(error)) == (NoIdentityError, f"the web identity's token file {token_file} {text}")
    assert cloud.calls == []


def test_an_endless_file_is_not_read_to_its_end(resources: Resources, cloud: Cloud) -> None:
    assert "larger than 20000 bytes" in str(failure(minter(web(Path("/dev/zero")), resources)))
    assert cloud.calls == []


def test_a_token_in_the_place_of_the_files_name_is_not_told(resources: Resources, cloud: Cloud) -> None:
    token = provider(cloud).token(sub=SUBJECT)
    error = failure(minter(web(Path(token)), resources))
    assert (type(error), token in told(error)) == (NoIdentityError, False)


def test_a_token_that_the_role_does_not_trust_is_trust_denied_and_says_what_to_look_at(
    cloud: Cloud, resources: Resources, token_file: Path
) -> None:
    token = provider(cloud).token(sub="system:serviceaccount:other:ecrmint")
    token_file.write_text(token, encoding="utf-8")
    error = failure(minter(web(token_file), resources))
    assert isinstance(error, TrustDeniedError)
    assert (error.target, "audience" in error.hint, token in told(error)) == (WEB, True, False)


@pytest.mark.parametrize("code", ["InvalidIdentityToken", "IDPRejectedClaim"])
def test_a_token_that_the_roles_account_does_not_know_hints_at_its_provider(
    cloud: Cloud, resources: Resources, token_file: Path, code: str
) -> None:
    cloud.faults["sts.AssumeRoleWithWebIdentity"].error = Failure(400, code, "No OpenIDConnect provider found")
    error = failure(minter(web(token_file), resources))
    assert (type(error), "provider" in error.hint, "audience" in error.hint) == (NoIdentityError, True, True)


# The walk


def steps(made: Minter) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    made.walk(lambda step, detail: found.append((step, detail)))
    return found


def test_a_walk_tells_who_we_are_and_each_session(cloud: Cloud, resources: Resources) -> None:
    assert steps(minter(CHAIN, resources)) == [
        ("identity", USER),
        *(("role", session_of(cloud, role).arn) for role in (HUB, SPOKE, PULL)),
    ]


def test_a_walk_without_a_role_tells_who_we_are(cloud: Cloud, resources: Resources) -> None:
    assert steps(minter({"type": "ecr", "registries": (HOST,)}, resources)) == [("identity", USER)]
    assert apis(cloud) == ["sts.GetCallerIdentity", "ecr.GetAuthorizationToken"]


def test_a_walk_with_a_web_identity_asks_nobody_who_the_process_is(
    cloud: Cloud, resources: Resources, token_file: Path
) -> None:
    assert steps(minter(web(token_file), resources)) == [("role", session_of(cloud, WEB).arn)]
    assert apis(cloud) == ["sts.AssumeRoleWithWebIdentity", "ecr.GetAuthorizationToken"]
