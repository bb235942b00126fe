"""What the sessions of the stand-in's roles carry: tags, a source identity, a packed size. Asked by boto3."""

from collections.abc import Iterator, Mapping

import pytest
from botocore.exceptions import ClientError
from support.boto import Key, assume, assumed, code, login, sts
from support.standin import USER, OffsetClock

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer

PLAIN = "arn:aws:iam::111111111111:role/plain"
TAGGED = "arn:aws:iam::111111111111:role/tagged"
NEXT = "arn:aws:iam::222222222222:role/next"
NEXT_PLAIN = "arn:aws:iam::222222222222:role/next-plain"
POLICY = '{"Version": "2012-10-17", "Statement": []}'
Tags = list[dict[str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(PLAIN, trust=[USER])
    cloud.add_role(TAGGED, trust=[USER], tag_session=True, set_source_identity=True)
    cloud.add_role(NEXT, trust=[TAGGED], tag_session=True, set_source_identity=True)
    cloud.add_role(NEXT_PLAIN, trust=[TAGGED])
    with StandinServer(cloud) as running:
        yield running


def tags(**pairs: str) -> Tags:
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def denied(caller: str, action: str, role: str) -> str:
    return f"User: {caller} is not authorized to perform: sts:{action} on resource: {role}"


def message(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Message"]


def test_a_session_has_the_tags_that_it_was_given(server: StandinServer, cloud: Cloud, key: Key) -> None:
    assume(server.url, key, TAGGED, Tags=tags(repo="team-a/app", trusted=""))
    assert cloud.sessions_of(TAGGED)[-1].context.tags == {"repo": "team-a/app", "trusted": ""}


@pytest.mark.parametrize(
    ("more", "action"),
    [({"Tags": tags(repo="a/b")}, "TagSession"), ({"SourceIdentity": "drone"}, "SetSourceIdentity")],
    ids=["tags", "source identity"],
)
def test_a_role_must_allow_what_is_passed_to_its_session(
    server: StandinServer, key: Key, more: dict[str, object], action: str
) -> None:
    with pytest.raises(ClientError) as error:
        assume(server.url, key, PLAIN, **more)
    assert code(error) == (403, "AccessDenied")
    assert message(error) == denied(USER, action, PLAIN)


@pytest.mark.parametrize(
    "sent",
    [
        tags(**{f"key{number}": "value" for number in range(51)}),
        tags(**{"k" * 129: "value"}),
        tags(key="v" * 257),
        tags(**{"": "value"}),
        tags(**{"aws:key": "value"}),
        tags(**{"key*": "value"}),
        tags(key="value*"),
    ],
    ids=["51", "long key", "long value", "no key", "reserved", "key's letters", "value's letters"],
)
def test_aws_limits_of_tags_are_kept(server: StandinServer, key: Key, sent: Tags) -> None:
    with pytest.raises(ClientError) as error:
        assume(server.url, key, TAGGED, Tags=sent)
    assert code(error) == (400, "ValidationError")


def test_tags_up_to_the_limits_are_taken(server: StandinServer, cloud: Cloud, key: Key) -> None:
    sent = {**{f"key {number}": "_.:/=+-@" for number in range(48)}, "é" * 128: "v" * 256, "empty": ""}
    assume(server.url, key, TAGGED, Tags=tags(**sent))
    assert cloud.sessions_of(TAGGED)[-1].context.tags == sent


@pytest.mark.parametrize(
    ("sent", "transitive"),
    [(tags(repo="a/b", Repo="a/b"), []), (tags(repo="a/b"), ["event"])],
    ids=["the same key in another case", "a transitive key without a tag"],
)
def test_tags_that_do_not_fit_together_are_refused(
    server: StandinServer, key: Key, sent: Tags, transitive: list[str]
) -> None:
    with pytest.raises(ClientError) as error:
        assume(server.url, key, TAGGED, Tags=sent, TransitiveTagKeys=transitive)
    assert code(error) == (400, "InvalidParameterValue")


def test_transitive_tags_alone_go_on_to_the_next_role(server: StandinServer, cloud: Cloud, key: Key) -> None:
    first = assume(server.url, key, TAGGED, Tags=tags(Repo="a/b", event="push"), TransitiveTagKeys=["repo"])
    second = assume(server.url, first, NEXT, Tags=tags(build="7"))
    assert cloud.keys[second.id].context.tags == {"Repo": "a/b", "build": "7"}
    assert cloud.keys[second.id].context.inherited == {"Repo": "a/b"}


def test_an_inherited_tag_can_not_be_given_again(server: StandinServer, key: Key) -> None:
    first = assume(server.url, key, TAGGED, Tags=tags(repo="a/b"), TransitiveTagKeys=["repo"])
    with pytest.raises(ClientError, match="transitive one of the calling session") as error:
        assume(server.url, first, NEXT, Tags=tags(REPO="a/b"))
    assert code(error) == (400, "InvalidParameterValue")


@pytest.mark.parametrize(
    ("more", "action"),
    [
        ({"Tags": tags(repo="a/b"), "TransitiveTagKeys": ["repo"]}, "TagSession"),
        ({"SourceIdentity": "drone"}, "SetSourceIdentity"),
    ],
    ids=["tags", "source identity"],
)
def test_the_next_role_must_allow_what_is_inherited(
    server: StandinServer, key: Key, more: dict[str, object], action: str
) -> None:
    first = assume(server.url, key, TAGGED, **more)
    with pytest.raises(ClientError) as error:
        assume(server.url, first, NEXT_PLAIN)
    assert message(error) == denied("arn:aws:sts::111111111111:assumed-role/tagged/ecrmint", action, NEXT_PLAIN)


def test_a_source_identity_stays_and_is_answered(server: StandinServer, cloud: Cloud, key: Key) -> None:
    first = assume(server.url, key, TAGGED, SourceIdentity="drone")
    second = assumed(server.url, first, NEXT)
    assert second["SourceIdentity"] == "drone"
    assert cloud.sessions_of(NEXT)[-1].context.source_identity == "drone"
    assert assumed(server.url, first, NEXT, SourceIdentity="drone")["SourceIdentity"] == "drone"
    with pytest.raises(ClientError, match="SetSourceIdentity"):
        assume(server.url, first, NEXT, SourceIdentity="another")


@pytest.mark.parametrize("name", ["a", "x" * 65, "org/repo", "aws:drone"])
def test_aws_limits_of_a_source_identity_are_kept(server: StandinServer, key: Key, name: str) -> None:
    with pytest.raises(ClientError) as error:
        assume(server.url, key, TAGGED, SourceIdentity=name)
    assert code(error) == (400, "ValidationError")


@pytest.mark.parametrize(
    ("more", "percent"),
    [
        ({"Tags": tags(repo="a" * 96)}, 50),
        ({"Policy": POLICY.ljust(100)}, 50),
        ({"Policy": POLICY.ljust(100), "Tags": tags(repo="a" * 96)}, 100),
        ({}, None),
    ],
    ids=["tags", "policy", "both", "neither"],
)
def test_the_packed_size_is_answered(
    server: StandinServer, cloud: Cloud, key: Key, more: Mapping[str, object], percent: int | None
) -> None:
    cloud.packed_budget = 200
    assert assumed(server.url, key, TAGGED, **more).get("PackedPolicySize") == percent


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"Tags": tags(repo="a" * 200)}, "Packed size of session tags"),
        ({"Policy": POLICY.ljust(204)}, "Packed policy"),
    ],
    ids=["tags", "policy"],
)
def test_too_large_a_packed_size_is_refused(
    server: StandinServer, cloud: Cloud, key: Key, more: Mapping[str, object], what: str
) -> None:
    cloud.packed_budget = 200
    with pytest.raises(ClientError, match=f"{what} consumes 102% of allotted space") as error:
        assumed(server.url, key, TAGGED, **more)
    assert code(error) == (400, "PackedPolicyTooLarge")


def test_inherited_tags_count_too(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.packed_budget = 200
    first = assume(server.url, key, TAGGED, Tags=tags(repo="a" * 96), TransitiveTagKeys=["repo"])
    assert assumed(server.url, first, NEXT)["PackedPolicySize"] == 50


def test_a_region_may_be_switched_off_for_sts_alone(server: StandinServer, cloud: Cloud, key: Key) -> None:
    cloud.disabled_regions.add("eu-west-1")
    with pytest.raises(ClientError, match="not activated in this region for account:111111111111") as error:
        assume(server.url, key, PLAIN)
    assert code(error) == (403, "RegionDisabledException")
    assert sts(server.url, key, region="eu-west-2").get_caller_identity()["Arn"] == USER
    assert login(server.url, key)
