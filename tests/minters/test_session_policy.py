"""What a session policy lets its bearer do, and which patterns of repositories may stand in it."""

import json
from collections.abc import Mapping

import pytest
from support.accounts import account, complaint, minter, minters

from ecrmint.minters._aws.session_policy import Access, session_policy
from ecrmint.minters.ecr import EcrMinter

PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
ROLE: Mapping[str, object] = {"type": "ecr", "registries": (HOST,), "role_arn": "arn:aws:iam::111111111111:role/pull"}


def policy(*repositories: str, access: Access = "pull", partition: str = "aws") -> dict[str, object]:
    text = session_policy(
        partition=partition,
        region="eu-west-1",
        accounts=("222222222222", "333333333333"),
        repositories=repositories,
        access=access,
    )
    document: dict[str, object] = json.loads(text)
    return document


def policies(**changes: object) -> dict[str, list[str]]:
    """Return the repositories' ARNs of each host's policy."""
    found = {}
    for host, made in minters({**ROLE, **changes}).items():
        assert isinstance(made, EcrMinter)
        assert made.chain.last is not None
        found[host] = json.loads(made.chain.last.policy or "")["Statement"][1]["Resource"]
    return found


def test_it_allows_a_login_and_pulls_from_the_repositories_of_each_account() -> None:
    arns = [f"arn:aws:ecr:eu-west-1:{digit * 12}:repository/{name}" for digit in "23" for name in ("team-a/*", "base")]
    assert policy("team-a/*", "base") == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": ["*"]},
            {"Effect": "Allow", "Action": PULL, "Resource": arns},
        ],
    }


def test_a_pull_through_cache_may_also_import_and_make_a_repository() -> None:
    statements = policy("hub/*", access="pull-through")["Statement"]
    assert isinstance(statements, list)
    assert statements[1]["Action"] == [*PULL, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]


def test_its_arns_are_of_the_registrys_partition() -> None:
    assert "arn:aws-cn:ecr:eu-west-1:222222222222:repository/*" in str(policy("*", partition="aws-cn"))


def test_a_role_always_has_one_even_where_nothing_narrows_it() -> None:
    assert policies() == {HOST: ["arn:aws:ecr:eu-west-1:222222222222:repository/*"]}


def test_it_names_the_accounts_of_the_registries_and_not_the_roles() -> None:
    hosts = (HOST, HOST.replace("2222", "3333"), HOST.replace("eu-west-1", "us-east-1"))
    both = [f"arn:aws:ecr:eu-west-1:{account}:repository/a" for account in ("222222222222", "333333333333")]
    assert policies(registries=hosts, repositories=("a",)) == {
        hosts[0]: both,
        hosts[1]: both,
        hosts[2]: ["arn:aws:ecr:us-east-1:222222222222:repository/a"],
    }


def test_the_process_itself_has_none() -> None:
    made = minter({"type": "ecr", "registries": (HOST,)})
    assert isinstance(made, EcrMinter)
    assert made.chain.hops == ()


@pytest.mark.parametrize("pattern", ["*", "team-a/*", "*-base", "a", "a.b_c-d/e*f/g", "7/8"])
def test_a_name_with_or_without_stars_is_a_pattern(pattern: str) -> None:
    account(**ROLE, repositories=(pattern,))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("**", "`**` is not one of IAM's patterns: write one `*`, which crosses / as well"),
        ("team-a/**", "`**` is not one of IAM's patterns"),
        ("team-?", "expected a repository's name, or a pattern such as team-a/*"),
        ("a:b", "expected a repository's name"),
        ("${aws:PrincipalTag/repo}", "expected a repository's name"),
        ("Team-A/*", "expected a repository's name"),
        ("/team-a", "expected a repository's name"),
        ("", "expected a repository's name"),
        ("a b", "expected a repository's name"),
        ("a\n", "expected a repository's name"),
        ('a"', "expected a repository's name"),
        ("é", "expected a repository's name"),
        ("a" * 257, "expected a repository's name"),
    ],
)
def test_any_other_pattern_is_refused(pattern: str, text: str) -> None:
    assert complaint(**ROLE, repositories=(pattern,)).startswith(f"repositories.0: {text}")


def test_a_policy_that_is_too_long_for_sts_is_refused_with_its_length() -> None:
    names = tuple(f"{'x' * 200}-{number}" for number in range(9))
    assert complaint(**ROLE, repositories=names) == (
        ": repositories: with the registries in eu-west-1 they make a session policy of 2,498 characters, of which AWS"
        " takes 2,048: name fewer, or split the account"
    )


def test_a_policy_of_2048_characters_fits_and_of_one_more_does_not() -> None:
    names = [letter * 256 for letter in "abcde"]
    last = "f" * (2048 - length(*names, "f") + 1)
    assert length(*names, last) == 2048
    assert "policy of 2,049 characters" in complaint(**ROLE, repositories=(*names, f"{last}f"))


def length(*repositories: str) -> int:
    made = minter({**ROLE, "repositories": repositories})
    assert isinstance(made, EcrMinter)
    assert made.chain.last is not None
    return len(made.chain.last.policy or "")
