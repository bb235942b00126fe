"""``ecrmint check``: what it says and how it ends."""

import json
import re
from pathlib import Path

import pytest
from support.command import Command

from ecrmint.lint import patterns_meet

SECRET = "Zq7RtY2kLm9Pw4XsVb8Nc3Df6Gh1Jk5Q"
CONFIG = """
listen: ":3000"
allow_plaintext: true
secrets:
  - {name: main, env: TOKEN}
accounts:
  hub: {type: static, registries: [docker.io, quay.io], username: octocat, password: {value: hunter2}}
  team: {type: static, registries: [docker.io], username: team-a, password: {value: hunter2}}
rules:
  - {name: team-a, repos: ["team-a/*"], accounts: [team]}
  - {name: everyone, repos: ["**"], accounts: [hub]}
  - {name: frozen, repos: ["team-a/legacy"], effect: deny}
tests:
  - {repo: team-a/app, event: push, grants: [hub, team]}
"""


@pytest.fixture
def ecrmint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ecrmint.yaml"
    path.write_text(CONFIG)
    return path


def test_a_valid_configuration_is_summed_up(ecrmint: Command, config: Path) -> None:
    ended = ecrmint("check", "--config", str(config), TOKEN=SECRET)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "listen     :3000 for runners (plain http), 127.0.0.1:9090 for probes and metrics\n"
        "secrets    main\n"
        "accounts   hub   static  docker.io, quay.io\n"
        "           team  static  docker.io\n"
        "rules      3, of which 1 deny\n"
        "tests      1, all passed\n"
        "same host  docker.io: team answers and hub does not, where a build is granted both\n"
        f"{config} is valid\n"
    )


def test_the_configuration_may_be_named_by_the_environment(ecrmint: Command, config: Path) -> None:
    assert ecrmint("check", TOKEN=SECRET, ECRMINT_CONFIG=str(config)).code == 0


def test_no_configuration_is_one_plain_line(ecrmint: Command) -> None:
    ended = ecrmint("check")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "Error: no configuration: name the file with --config FILE, or in ECRMINT_CONFIG\n"


def test_a_refused_configuration_is_told_with_all_problems(ecrmint: Command, config: Path) -> None:
    config.write_text(CONFIG.replace("allow_plaintext: true", "deadline: 1").replace("effect: deny", "effect: no"))
    ended = ecrmint("check", "--config", str(config))
    assert (ended.code, ended.out) == (2, "")
    assert [line.split(": ")[:2] for line in ended.err.splitlines()[:-1]] == [
        [f"{config}:2:1", "listen"],
        [f"{config}:3:1", "deadline"],
        [f"{config}:5:5", "secrets.0"],
        [f"{config}:12:46", "rules.2.effect"],
    ]
    assert ended.err.splitlines()[-1] == f"{config} is refused: 4 problem(s)"


def test_a_failing_test_refuses_the_configuration(ecrmint: Command, config: Path) -> None:
    config.write_text(CONFIG.replace("grants: [hub, team]", "grants: [hub]"))
    ended = ecrmint("check", "--config", str(config), TOKEN=SECRET)
    assert ended.code == 2
    assert ended.err.splitlines()[0] == (
        f"{config}:14:37: tests.0.grants: expected [hub], the rules give [team, hub];"
        " decided by the rules team-a, everyone"
    )


def test_without_secrets_nothing_else_is_read(ecrmint: Command, config: Path) -> None:
    assert ecrmint("check", "--config", str(config), "--without-secrets").code == 0
    assert ecrmint("check", "--config", str(config)).code == 2


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_a_warning_fails_a_strict_check_alone(
    ecrmint: Command, config: Path, options: tuple[str, ...], code: int
) -> None:
    config.write_text(CONFIG.replace("accounts: [hub]}", "accounts: [team]}").replace("[hub, team]", "[team]"))
    ended = ecrmint("check", "--config", str(config), *options, TOKEN=SECRET[:20])
    assert ended.code == code
    assert [line for line in ended.out.splitlines() if "ecrmint.yaml:" in line] == [
        f"warning    {config}:5:5: secrets.0: the secret is shorter than 32 bytes: answers can't be encrypted with it",
        f"           {config}: accounts.hub: no rule grants it",
    ]


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("**", "a/b", True),
        ("a/*", "a/b", True),
        ("A/b", "a/B", True),
        ("a/*", "a/b/c", False),
        ("a/**", "a/b/c", True),
        ("*/x", "a/*", True),
        ("a*/x", "b*/x", False),
        ("a*b/*", "ac*/y", True),
        ("**/x", "a/**", True),
        ("a/b*", "a/*c", True),
        ("a/**/z", "a/z", False),
        ("*/*", "**/x/**", False),
        ("*/*/*", "**/x/**", True),
        ("a/*", "b/*", False),
    ],
)
def test_patterns_meet_where_one_slug_matches_both(one: str, other: str, meet: bool) -> None:
    assert (patterns_meet(one, other), patterns_meet(other, one)) == (meet, meet)


PULL = "pull@acme.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("account", "minutes"),
    [
        ({}, 60),
        ({"service_account": PULL}, 60),
        ({"service_account": PULL, "lifetime": "10m"}, 10),
        ({"service_account": PULL, "lifetime": "64m"}, 64),
        ({"service_account": PULL, "lifetime": "65m"}, None),
        ({"service_account": PULL, "lifetime": "12h"}, None),
        ({"credentials_file": "{key}"}, 60),
    ],
    ids=str,
)
def test_a_login_that_ends_before_a_long_build_does_is_warned_about(
    ecrmint: Command, config: Path, account: dict[str, str], minutes: int | None
) -> None:
    key = config.with_name("key.json")
    names = ("client_email", "private_key_id", "private_key")
    key.write_text(json.dumps({"type": "service_account", **dict.fromkeys(names, "x")}))
    keys = {name: value.format(key=key) for name, value in {"type": "google", **account}.items()}
    entry = json.dumps({**keys, "registries": ["gcr.io"]})
    config.write_text(CONFIG.replace("rules:\n", f"  gar: {entry}\nrules:\n").replace("[hub]}", "[hub, gar]}", 1))
    config.write_text(config.read_text().replace("grants: [hub, team]", "grants: [hub, gar, team]"))
    told = ecrmint("check", "--config", str(config), TOKEN=SECRET).out
    warned = re.findall(r"accounts\.gar: a login lives ([0-9]+) min at most, and a build may take 60 min", told)
    assert warned == ([] if minutes is None else [str(minutes)])


def test_an_account_whose_file_is_not_read_is_not_judged(ecrmint: Command, config: Path) -> None:
    entry = json.dumps({"type": "google", "registries": ["gcr.io"], "credentials_file": "/nowhere"})
    config.write_text(CONFIG.replace("rules:\n", f"  gar: {entry}\nrules:\n"))
    assert "a login lives" not in ecrmint("check", "--without-secrets", "--config", str(config)).out
