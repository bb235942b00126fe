"""The keys of a role in an account's configuration: what can't work is refused, by the name of the key."""

from collections.abc import Mapping

import pytest
from support.accounts import account, complaint, minters

from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._aws.roles import Chain
from ecrmint.minters._urls import Regional
from ecrmint.minters.ecr import EcrMinter

HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
CHINA = "222222222222.dkr.ecr.cn-north-1.amazonaws.com.cn"
PULL = "arn:aws:iam::222222222222:role/drone-pull"
HUB = "arn:aws:iam::111111111111:role/hub"
OWN: Mapping[str, object] = {"type": "ecr", "registries": (HOST,)}
ROLE: Mapping[str, object] = {**OWN, "role_arn": PULL}
NAMED: Mapping[str, object] = {**OWN, "role": "drone-pull"}
FILE = "/var/run/secrets/aws/token"


def via(**more: object) -> tuple[Mapping[str, object], ...]:
    return ({"role_arn": HUB, **more},)


def chains(**fields: object) -> list[Chain]:
    made = minters(fields)
    assert all(isinstance(minter, EcrMinter) for minter in made.values())
    return [minter.chain for minter in made.values() if isinstance(minter, EcrMinter)]


# The role of each host


def test_a_role_by_name_is_that_of_each_hosts_account() -> None:
    hosts = (HOST, HOST.replace("2222", "3333"), CHINA)
    found = [chain.last.arn for chain in chains(**{**NAMED, "registries": hosts, "role": "team/pull"}) if chain.last]
    assert found == [
        "arn:aws:iam::222222222222:role/team/pull",
        "arn:aws:iam::333333333333:role/team/pull",
        "arn:aws-cn:iam::222222222222:role/team/pull",
    ]


def test_hosts_of_one_account_and_region_share_a_login_and_others_do_not() -> None:
    hosts = [f"{account}.dkr.ecr.{region}.amazonaws.com" for account in ("2" * 12, "3" * 12) for region in REGIONS]
    forms = (*hosts, HOST.replace(".dkr.ecr.", ".dkr.ecr-fips."))
    assert len({*minters({**NAMED, "registries": forms}).values()}) == 5
    assert len({*minters({**ROLE, "registries": forms}).values()}) == 3


REGIONS = ("eu-west-1", "us-east-1")


# The keys of a login


@pytest.mark.parametrize(
    "change",
    [
        {"via": via()},
        {"web_identity_token_file": FILE},
        {"repositories": ("team-a/*",)},
        {"access": "pull-through"},
        {"session_tags": ("repo",)},
        {"source_identity": "drone"},
    ],
    ids="-".join,
)
def test_every_key_is_part_of_what_tells_two_logins_apart(change: Mapping[str, object]) -> None:
    assert chains(**ROLE) == chains(**ROLE)
    assert chains(**ROLE) != chains(**{**ROLE, **change})


@pytest.mark.parametrize(
    "change", [{"external_id": "other"}, {"region": "eu-west-1"}, {"role_arn": f"{HUB}-2"}], ids="-".join
)
def test_every_key_of_a_hop_is_too(change: Mapping[str, object]) -> None:
    base = {"external_id": "drone", "region": "us-east-1"}
    assert chains(**ROLE, via=via(**base)) != chains(**ROLE, via=via(**{**base, **change}))


def test_each_hop_asks_the_sts_of_its_region_or_the_registrys() -> None:
    sts = Regional(regions={"eu-central-1": "https://vpce.example"})
    hops = (*via(region="eu-central-1"), *via())
    made = minters({**ROLE, "via": hops}, Resources(endpoints=Endpoints(sts=sts)))[HOST]
    assert isinstance(made, EcrMinter)
    assert [(hop.sts.region, hop.sts.url) for hop in made.chain.hops] == [
        ("eu-central-1", "https://vpce.example"),
        ("eu-west-1", None),
        ("eu-west-1", None),
    ]


# What is refused


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("external_id", "drone"),
        ("via", via()),
        ("web_identity_token_file", FILE),
        ("repositories", ("team-a/*",)),
        ("access", "pull"),
        ("session_tags", ("repo",)),
        ("source_identity", "drone"),
        ("role_session_name", "drone"),
        ("duration", "1h"),
    ],
)
def test_a_key_without_a_role_is_refused(key: str, value: object) -> None:
    assert complaint(**OWN, **{key: value}) == f": {key}: without role_arn or role this has no effect"


def test_all_keys_without_a_role_are_named() -> None:
    found = complaint(**OWN, access="pull", external_id="drone")
    assert found == ": external_id, access: without role_arn or role this has no effect"


def test_a_role_has_one_name() -> None:
    assert complaint(**ROLE, role="pull") == ": role_arn, role: expected one of them, not both"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("role", PULL, "role: expected a role's name"),
        ("role", "", "role: expected a role's name"),
        ("role", "/team/pull", "role: expected a role's name"),
        ("role", "team/", "role: expected a role's name"),
        ("role", "a b", "role: expected a role's name"),
        ("role", "x" * 65, "role: expected a role's name"),
        ("role", "pull\n", "role: expected a role's name"),
        ("via", (), "via: expected 1 to 4 roles"),
        ("via", via() * 5, "via: expected 1 to 4 roles"),
        ("via", ({},), "via.0.role_arn: Field required"),
        ("via", via(role_arn="hub"), "via.0.role_arn: expected a role's ARN"),
        ("via", via(role_arn=HUB.replace("1111", "11111")), "via.0.role_arn: expected a role's ARN"),
        ("via", via(external_id="x"), "via.0.external_id: an external id has 2 to 1224 of"),
        ("via", via(region="Ireland"), "via.0.region: expected a region such as eu-west-1"),
        ("via", via(region="us_east_1"), "via.0.region: expected a region such as eu-west-1"),
        ("via", via(region="eu-west-1\n"), "via.0.region: expected a region such as eu-west-1"),
        ("via", via(duration="1h"), "via.0.duration: Extra inputs are not permitted"),
        ("via", via(region="cn-north-1"), ": via.0.region: cn-north-1 is in another partition than the role"),
        ("via", via(role_arn=HUB.replace("aws", "aws-cn")), f": via.0.role_arn: a role for {HOST} is of the partition"),
        ("web_identity_token_file", "", "web_identity_token_file: String should have at least 1 character"),
        ("repositories", (), "repositories: expected at least one entry"),
        ("repositories", ("a", "a"), "repositories: named twice: a"),
        ("access", "push", "access: Input should be 'pull' or 'pull-through'"),
        ("session_tags", (), "session_tags: expected at least one entry"),
        ("session_tags", ("repo", "repo"), "session_tags: named twice: repo"),
        ("session_tags", ("branch",), "session_tags.0: Input should be 'repo', 'namespace', 'event', 'build'"),
        ("source_identity", "x", "source_identity: expected 2 to 64 of"),
        ("source_identity", "aws:drone", "source_identity: expected 2 to 64 of"),
        ("source_identity", "a b", "source_identity: expected 2 to 64 of"),
    ],
)
def test_a_value_that_can_not_be_meant_is_refused(key: str, value: object, text: str) -> None:
    role = OWN if key == "role" else ROLE
    assert complaint(**{**role, key: value}).startswith(text)


@pytest.mark.parametrize(
    "key", ["role_arn", "role", "external_id", "web_identity_token_file", "source_identity", "role_session_name"]
)
def test_a_key_whose_value_was_forgotten_does_not_fall_back_to_the_process_itself(key: str) -> None:
    role = OWN if key in ("role_arn", "role") else ROLE
    assert complaint(**{**role, "repositories": ("team-a/*",), key: None}) == f"{key}: expected a value, or no such key"


@pytest.mark.parametrize("key", ["external_id", "region"])
def test_a_key_of_a_hop_whose_value_was_forgotten_is_refused(key: str) -> None:
    assert complaint(**ROLE, via=via(**{key: None})) == f"via.0.{key}: expected a value, or no such key"


def test_a_chain_lasts_one_hour_at_most_and_the_text_says_why() -> None:
    assert complaint(**ROLE, via=via(), duration="61m") == (
        ": duration: expected 1h at most: the role is assumed by another role's session (`via`), and AWS limits such a"
        " chain to one hour"
    )
    account(**ROLE, via=via(), duration="1h")
    account(**ROLE, duration="12h")
    account(**ROLE, web_identity_token_file=FILE, duration="12h")


@pytest.mark.parametrize(
    ("key", "value"), [("external_id", "drone"), ("session_tags", ("repo",)), ("source_identity", "drone")]
)
def test_what_a_web_identity_can_not_pass_on_is_refused(key: str, value: object) -> None:
    text = f": {key}: AssumeRoleWithWebIdentity, which assumes this role, has no such parameter"
    assert complaint(**ROLE, web_identity_token_file=FILE, **{key: value}) == text
    account(**ROLE, web_identity_token_file=FILE, via=via(), **{key: value})


def test_an_external_id_of_the_first_hop_is_refused_with_a_web_identity() -> None:
    found = complaint(**ROLE, web_identity_token_file=FILE, via=via(external_id="drone"))
    assert found == ": via.0.external_id: AssumeRoleWithWebIdentity, which assumes this role, has no such parameter"
    account(**ROLE, web_identity_token_file=FILE, via=(*via(), *via(external_id="drone")))


def test_everything_that_is_wrong_with_a_role_is_said_at_once() -> None:
    found = complaint(**ROLE, via=via(region="cn-north-1"), duration="2h")
    assert [part.partition(":")[0] for part in found.removeprefix(": ").split("; ")] == ["via.0.region", "duration"]
