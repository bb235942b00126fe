"""The tags and the name of a build's session: what AWS takes, and never the same for two repositories."""

import re

import pytest

from ecrmint.minters._aws.session_tags import (
    TagKey,
    account_session_name,
    build_session_name,
    session_tags,
    smaller,
)
from ecrmint.wire import RegistryRequest

ALL: tuple[TagKey, ...] = ("repo", "namespace", "event", "build", "trusted")
BUILD = RegistryRequest("team-a/sub/app", event="push", build=7, trusted=True)


def repo_tag(slug: str) -> str:
    ((_, value),) = session_tags(RegistryRequest(slug), ("repo",))
    return value


def name(slug: str, *keys: TagKey, account: str = "prod") -> str:
    return build_session_name(RegistryRequest(slug), keys or ("repo",), account=account)


def test_each_tag_says_what_the_build_is() -> None:
    assert dict(session_tags(BUILD, ALL)) == {
        "repo": "team-a/sub/app",
        "namespace": "team-a/sub",
        "event": "push",
        "build": "7",
        "trusted": "true",
    }


def test_only_what_the_configuration_names_is_said() -> None:
    assert session_tags(RegistryRequest("a/b"), ("trusted", "event")) == (("trusted", "false"), ("event", ""))


@pytest.mark.parametrize("slug", ["~user/app", "a/" + "x" * 300], ids=["odd", "long"])
def test_a_value_that_aws_does_not_take_is_made_fit_and_marked(slug: str) -> None:
    value = repo_tag(slug)
    assert re.fullmatch(r"[A-Za-z0-9 _.:/=+@-]{1,256}", value)
    assert re.search("=[0-9a-f]{16}$", value)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/b~c", "a/b_c"), ("a/b~~c", "a/b~_c"), ("a/" + "x" * 300, "a/" + "x" * 301)],
    ids=["odd", "odd alike", "cut"],
)
def test_two_repositories_never_have_one_tag(one: str, other: str) -> None:
    assert repo_tag(one) != repo_tag(other)


def test_a_value_of_256_characters_is_left_as_it_is() -> None:
    slug = "a/" + "x" * 254
    assert repo_tag(slug) == slug


def test_build_event_and_trusted_are_dropped_in_this_order_and_nothing_else_ever() -> None:
    left, dropped = session_tags(BUILD, ("trusted", "event", "repo", "build", "namespace")), []
    while (less := smaller(left)) is not None:
        dropped.append(less[0])
        left = less[1]
    assert dropped == ["build", "event", "trusted"]
    assert left == (("repo", "team-a/sub/app"), ("namespace", "team-a/sub"))


def test_a_shared_session_is_named_after_the_account() -> None:
    assert account_session_name("prod") == "ecrmint-prod"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("repo",), "ecrmint-team-a+sub+app"),
        (("namespace", "repo"), "ecrmint-team-a+sub+app"),
        (("namespace",), "ecrmint-team-a+sub"),
        (("event", "build"), "ecrmint-prod"),
    ],
)
def test_a_builds_session_is_named_after_what_its_tags_say(keys: tuple[TagKey, ...], expected: str) -> None:
    assert name("team-a/sub/app", *keys) == expected


@pytest.mark.parametrize("slug", ["~user/app", "team/" + "x" * 90], ids=["odd", "long"])
def test_a_name_that_aws_does_not_take_is_made_fit_and_marked(slug: str) -> None:
    assert re.fullmatch(r"ecrmint-[\w.+-]{1,40}=[0-9a-f]{16}", name(slug))
    assert name(slug) != name(slug + "x")


def test_two_repositories_never_have_one_session_name() -> None:
    # CloudTrail shows a pull by the session's name alone.
    slugs = ("a-b/c", "a/b-c", "a/b/c", "a.b/c", "a/b.c", "a_b/c", "a/b_c")
    assert len({name(slug) for slug in slugs}) == len(slugs)


def test_the_longest_name_of_an_account_fits() -> None:
    assert re.fullmatch(r"ecrmint-a{39}=[0-9a-f]{16}", account_session_name("a" * 63))
