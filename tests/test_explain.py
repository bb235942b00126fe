"""``ecrmint explain``: which rules match, and why the others don't."""

import json
from pathlib import Path

import pytest
from support.command import Command

CONFIG = """
secrets:
  - {name: main, env: UNSET}
  - {name: other, env: UNSET}
accounts:
  hub: {type: static, registries: [docker.io, quay.io], username: octocat, password: {env: UNSET}}
  team: {type: static, registries: [docker.io], username: team-a, password: {env: UNSET}}
rules:
  - {name: team-a, repos: ["team-a/*"], events: [push], accounts: [team]}
  - {name: everyone, repos: ["**"], accounts: [hub]}
  - {name: signed, repos: ["**"], secrets: [other], accounts: [hub]}
tests:
  - {repo: team-a/app, grants: [team]}
"""


@pytest.fixture
def ecrmint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "ecrmint.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_every_rule_says_why_and_each_host_has_one_account(ecrmint: Command, config: str) -> None:
    ended = ecrmint("explain", "--config", config, "--repo", "Team-A/app")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "build    Team-A/app, event push, ref refs/heads/main, signed with main\n"
        "fork     no\n"
        "rules\n"
        "  +  team-a    grants team\n"
        "  +  everyone  grants hub\n"
        "  -  signed    secrets: found main, allowed other\n"
        "granted  team, hub\n"
        "  docker.io  by team\n"
        "  quay.io    by hub\n"
    )


@pytest.mark.parametrize(
    ("options", "fork", "granted"),
    [
        (
            ("--event", "pull_request", "--source-repo", "stranger/app"),
            "yes: source_repo stranger/app is another repository",
            "nothing: a fork build, and no rule with forks: allow matches",
        ),
        (
            ("--event", "pull_request"),
            "yes: a pull request that does not say where it comes from",
            "nothing: a fork build, and no rule with forks: allow matches",
        ),
        (("--event", "pull_request", "--source-repo", "TEAM-A/app"), "no", "hub"),
        (("--event", "tag", "--secret", "other"), "no", "hub"),
    ],
    ids=["fork", "silent", "own", "other secret"],
)
def test_a_fork_is_explained(ecrmint: Command, config: str, options: tuple[str, ...], fork: str, granted: str) -> None:
    lines = ecrmint("explain", "--config", config, "--repo", "team-a/app", *options).out.splitlines()
    assert (lines[1], lines[6]) == (f"fork     {fork}", f"granted  {granted}")


def test_json_has_all_of_it(ecrmint: Command, config: str) -> None:
    ended = ecrmint("explain", "--config", config, "--repo", "x/y", "--uid", "7", "--private", "--json")
    answer = json.loads(ended.out)
    assert answer.pop("build") == {
        "slug": "x/y",
        "uid": "7",
        "event": "push",
        "ref": "refs/heads/main",
        "source_repo": "",
        "deploy_to": "",
        "trusted": False,
        "private": True,
        "timeout": 0,
        "build": 0,
    }
    rules = answer.pop("rules")
    assert [(rule["rule"], rule["matched"], rule["failed"]) for rule in rules] == [
        ("team-a", False, "repos"),
        ("everyone", True, None),
        ("signed", False, "secrets"),
    ]
    assert answer == {
        "secret": "main",
        "fork": False,
        "reason": "granted",
        "granted": ["hub"],
        "hosts": {"docker.io": "hub", "quay.io": "hub"},
    }


def test_a_recorded_request_can_be_explained(ecrmint: Command, config: str, tmp_path: Path) -> None:
    body = {
        "repo": {"slug": "team-a/app", "secret": "not-shown"},
        "build": {"event": "push", "ref": "refs/heads/\u202e"},
    }
    path = tmp_path / "request.json"
    path.write_text(json.dumps(body))
    ended = ecrmint("explain", "--config", config, "--request", str(path))
    assert ended.out.startswith("build    team-a/app, event push, ref 'refs/heads/\\u202e', signed with main\n")
    assert "not-shown" not in ended.out


def test_rules_for_other_repositories_are_only_counted_where_there_are_many(ecrmint: Command, config: str) -> None:
    many = "".join(f"  - {{name: r{index}, repos: [other/r{index}], accounts: [hub]}}\n" for index in range(40))
    Path(config).write_text(CONFIG.replace("tests:", f"{many}tests:"))
    lines = ecrmint("explain", "--config", config, "--repo", "team-a/app").out.splitlines()
    assert lines[2:8] == [
        "rules",
        "  +  team-a    grants team",
        "  +  everyone  grants hub",
        "  -  signed    secrets: found main, allowed other",
        "  -  40 rules for other repositories",
        "granted  team, hub",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "repo.slug is missing or empty: name a repository, as in --repo octocat/hello-world"),
        (("--repo", "a"), "repo.slug is not two or more segments of A-Z a-z 0-9 . _ ~ -, joined by /"),
        (("--repo", "a/b", "--secret", "x"), "--secret x: the configuration has main, other"),
        (("--request", "/nonexistent"), "--request /nonexistent: No such file or directory"),
    ],
    ids=["nothing", "slug", "secret", "file"],
)
def test_wrong_use_is_one_plain_line(ecrmint: Command, config: str, options: tuple[str, ...], message: str) -> None:
    ended = ecrmint("explain", "--config", config, *options)
    assert (ended.code, ended.out, ended.err) == (2, "", f"Error: {message}\n")
