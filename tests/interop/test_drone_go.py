"""ecrmint against Drone's own Go library: its client asks our server, and our ``request`` asks its handler."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.golang import Answer, Extension, ask, build, extension
from support.parts import require
from support.serve import ECRMINT, Serve

MAIN, SECOND, WRONG = "main-" + 27 * "m", "second-" + 25 * "s", "wrong-" + 26 * "w"
HUB = {"address": "docker.io", "username": "octocat", "password": "hub-password-é"}
CORP = {"address": "registry.corp.example:5000", "username": "ci", "password": "corp-password"}
EVENTS = ("push", "pull_request", "tag", "promote", "rollback", "cron", "custom")
ODD_REF = "refs/heads/größe-🚀-<b>&amp;'\"\u2028"


def event_login(event: str) -> dict[str, str]:
    return {"address": f"{event.replace('_', '-')}.example", "username": event, "password": f"password of {event}"}


def account(login: dict[str, str]) -> dict[str, object]:
    return {
        "type": "static",
        "registries": [login["address"]],
        "username": login["username"],
        "password": {"value": login["password"]},
    }


def config(**more: object) -> str:
    rules: list[object] = [
        {"name": "everyone", "repos": ["acme/*"], "accounts": ["hub"]},
        {"name": "branch", "repos": ["acme/odd"], "refs": ["refs/heads/*-<b>&amp;'\"*"], "accounts": ["corp"]},
        *({"name": event, "repos": ["events/*"], "events": [event], "accounts": [event]} for event in EVENTS),
    ]
    accounts = {"hub": account(HUB), "corp": account(CORP)} | {event: account(event_login(event)) for event in EVENTS}
    secrets = [{"name": "main", "value": MAIN}, {"name": "second", "value": SECOND}]
    document = {"secrets": secrets, "accounts": accounts, "rules": rules} | more
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


def repo(slug: str, **more: object) -> dict[str, object]:
    namespace, name = slug.split("/")
    return {"id": 7, "uid": "1296269", "namespace": namespace, "name": name, "slug": slug, "timeout": 60} | more


@pytest.fixture(scope="module")
def programs() -> Path:
    require("go")
    return build()


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Serve]:
    with Serve.start(config(), tmp_path_factory.mktemp("serve")) as serve:
        yield serve


@pytest.fixture
def handler(tmp_path: Path, programs: Path) -> Iterator[Extension]:
    with extension(programs, tmp_path, secret=MAIN, logins={"acme/web": [HUB, CORP]}) as handler:
        yield handler


def test_an_allowed_repository_gets_its_logins(programs: Path, serve: Serve) -> None:
    answer = ask(programs, serve.url, secret=MAIN, repo=repo("acme/web"), build={"event": "push"})
    assert answer == Answer(registries=[HUB], error="", encoding="")


def test_an_unknown_repository_gets_an_empty_list_and_no_error(programs: Path, serve: Serve) -> None:
    answer = ask(programs, serve.url, secret=MAIN, repo=repo("stranger/web"), build={"event": "push"})
    assert answer == Answer(registries=[], error="", encoding="")


def test_the_second_named_secret_is_as_good_as_the_first(programs: Path, serve: Serve) -> None:
    answer = ask(programs, serve.url, secret=SECOND, repo=repo("acme/web"), build={"event": "push"})
    assert answer.registries == [HUB]


@pytest.mark.parametrize("secret", [WRONG, MAIN + "\n", ""], ids=["another", "with a newline", "empty"])
def test_a_wrong_secret_is_an_error_that_says_nothing(programs: Path, serve: Serve, secret: str) -> None:
    answer = ask(programs, serve.url, secret=secret, repo=repo("acme/web"), build={"event": "push"})
    assert answer.registries == []
    assert answer.error != ""
    assert "secret" not in answer.error


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_gets_the_account_of_its_rule(programs: Path, serve: Serve, event: str) -> None:
    build = {"event": event, "source_repo": "events/app", "deploy_to": "production", "cron": "nightly"}
    answer = ask(programs, serve.url, secret=MAIN, repo=repo("events/app"), build=build)
    assert answer.registries == [event_login(event)]


@pytest.mark.parametrize("event", ["pull_request", "promote"])
def test_a_build_of_a_fork_gets_nothing(programs: Path, serve: Serve, event: str) -> None:
    build = {"event": event, "source_repo": "stranger/app", "ref": "refs/pull/7/head"}
    answer = ask(programs, serve.url, secret=MAIN, repo=repo("events/app"), build=build)
    assert answer == Answer(registries=[], error="", encoding="")


def test_text_outside_ascii_and_go_escapes_arrives_as_it_was(programs: Path, serve: Serve) -> None:
    text = 'größe 🚀 <script>&amp;</script> \u2028 \u0000 \\ "'
    build = {
        "event": "push",
        "ref": ODD_REF,
        "title": text,
        "message": text,
        "author_name": text,
        "params": {text: text},
    }
    answer = ask(programs, serve.url, secret=MAIN, repo=repo("acme/odd", default_branch=text), build=build)
    refs = [line["ref"] for line in serve.audit_lines(1) if line["repo"] == "acme/odd"]
    assert [answer.registries, refs] == [[HUB, CORP], [ODD_REF]]


def test_a_body_of_100_kib_is_answered(programs: Path, serve: Serve) -> None:
    step = {"name": "test", "image": "docker.io/acme/tools:1", "status": "pending", "depends_on": ["clone"]}
    stages = [{"number": n, "name": f"stage {n}", "labels": {"size": "big"}, "steps": 4 * [step]} for n in range(40)]
    build = {"event": "push", "message": 45_000 * "m", "params": {"long": 45_000 * "p"}, "stages": stages}
    assert len(json.dumps(build)) > 100 * 1024
    answer = ask(programs, serve.url, secret=MAIN, repo=repo("acme/web"), build=build)
    assert answer.registries == [HUB]


def test_an_encrypted_answer_is_decrypted_by_the_client(programs: Path, tmp_path: Path) -> None:
    with Serve.start(config(encrypt=True), tmp_path) as serve:
        answers = [
            ask(programs, serve.url, secret=MAIN, repo=repo(slug), build={"event": "push"})
            for slug in ("acme/web", "stranger/web")
        ]
    assert answers == [Answer([HUB], error="", encoding="aesgcm"), Answer([], error="", encoding="aesgcm")]


def test_no_output_of_the_server_holds_a_login_a_secret_or_a_body(programs: Path, tmp_path: Path) -> None:
    private = {"secret": "repository-key", "build": {"message": "private-message"}}
    build = {"event": "push", "message": "private-message", "params": {"PRIVATE": "private-parameter"}}
    with Serve.start(config(), tmp_path) as serve:
        for secret in (MAIN, WRONG):
            ask(programs, serve.url, secret=secret, repo=repo("acme/web", **private), build=build)
        outcomes = [line["outcome"] for line in serve.audit_lines(2)]
    written = serve.process.stdout.read_text() + serve.process.stderr.read_text()
    assert outcomes == ["granted", "refused"]
    hidden = (MAIN, SECOND, WRONG, HUB["password"], "repository-key", "private-message", "private-parameter")
    assert [word for word in hidden if word in written] == []


def request(handler: Extension, *arguments: str, secret: str = MAIN) -> subprocess.CompletedProcess[str]:
    """Run the installed ``ecrmint request`` against Drone's handler."""
    return subprocess.run(
        [str(ECRMINT), "request", "--endpoint", handler.url, "--json", *arguments],
        env={"ECRMINT_SECRET": secret},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_our_request_is_accepted_by_drones_handler(handler: Extension) -> None:
    done = request(handler, "--repo", "acme/web", "--event", "push", "--show-passwords")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [HUB, CORP]


def test_our_request_masks_passwords(handler: Extension) -> None:
    done = request(handler, "--repo", "acme/web", "--event", "push")
    assert done.returncode == 0, done.stderr
    assert [HUB["password"] in done.stdout, CORP["password"] in done.stdout] == [False, False]


def test_our_request_says_what_a_runner_would(handler: Extension) -> None:
    ref = "refs/heads/größe-🚀-<b>&"
    request(handler, "--repo", "acme/web", "--event", "pull_request", "--ref", ref, "--source-repo", "stranger/web")
    (accepted,) = handler.accepted()
    said = {key: accepted["repo"][key] for key in ("slug", "namespace", "name")}
    said |= {key: accepted["build"][key] for key in ("event", "ref", "source_repo")}
    assert said == {
        "slug": "acme/web",
        "namespace": "acme",
        "name": "web",
        "event": "pull_request",
        "ref": ref,
        "source_repo": "stranger/web",
    }


def test_our_request_with_a_wrong_secret_is_refused(handler: Extension) -> None:
    done = request(handler, "--repo", "acme/web", secret=WRONG)
    assert [done.returncode, handler.accepted()] == [1, []]


def test_our_request_takes_a_null_list_for_an_empty_one(handler: Extension) -> None:
    done = [request(handler, "--repo", "acme/other", *more).returncode for more in ([], ["--allow-empty"])]
    assert done == [1, 0]
