"""``ecrmint request`` against an extension on loopback: what it sends, what it shows, how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support import runner
from support.extension import Extension, listening
from support.process import free_ports
from support.runner import ACCEPT, NOW, SECRET
from support.serve import Serve

from ecrmint import client
from ecrmint.commands.request import command
from ecrmint.errors import NoAnswerError
from ecrmint.signature import encrypt
from ecrmint.tokens import Secret
from ecrmint.wire import RegistryRequest, decode

HUB = {"address": "docker.io", "username": "octocat", "password": "correct-horse"}
ECR = {"address": "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "username": "AWS", "password": "eyJwYXlsb2Fk"}
VARIABLES = ("ECRMINT_SECRET_FILE", "ECRMINT_SECRET", "DRONE_REGISTRY_PLUGIN_TOKEN", "DRONE_SECRET")


@pytest.fixture
def extension() -> Iterator[Extension]:
    with listening(Extension(body=json.dumps([HUB, ECR]).encode())) as extension:
        yield extension


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def request(
    extension: Extension, *arguments: str, env: dict[str, str] | None = None, repo: str = "team-a/app"
) -> Result:
    env = {"ECRMINT_SECRET": SECRET} if env is None else env
    return CliRunner().invoke(command, ["--endpoint", extension.url, "--repo", repo, *arguments], env=env)


def is_signed_with(secret: str, extension: Extension) -> bool:
    (asked,) = extension.asked
    return asked.headers["Signature"] == runner.signature(asked.headers, secret=secret)


# What is sent


def test_a_request_is_signed_as_a_runners(extension: Extension) -> None:
    request(extension)
    (asked,) = extension.asked
    assert asked.headers["Signature"] == runner.signature(asked.headers, secret=SECRET)
    assert asked.headers["Digest"] == runner.sign(asked.body).headers["Digest"]
    assert [asked.headers[name] for name in ("Accept", "Accept-Encoding", "Content-Type")] == [
        ACCEPT,
        "identity",
        "application/json",
    ]


def test_a_request_without_more_options_is_a_push_to_main(extension: Extension) -> None:
    request(extension)
    assert decode(extension.asked[0].body) == RegistryRequest(
        slug="team-a/app", event="push", ref="refs/heads/main", timeout=60, build=1
    )


def test_every_option_of_a_build_is_sent(extension: Extension) -> None:
    options = {
        "--event": "promote",
        "--ref": "refs/heads/größe-🚀",
        "--source-repo": "stranger/app",
        "--uid": "42",
        "--deploy-to": "production",
        "--timeout": "90",
        "--build": "7",
    }
    request(extension, "--trusted", "--private", *(word for option in options.items() for word in option))
    assert decode(extension.asked[0].body) == RegistryRequest(
        slug="team-a/app",
        uid="42",
        event="promote",
        ref="refs/heads/größe-🚀",
        source_repo="stranger/app",
        deploy_to="production",
        trusted=True,
        private=True,
        timeout=90,
        build=7,
    )


# The secret


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=ascii)
def test_the_line_end_of_a_secret_file_is_dropped(extension: Extension, tmp_path: Path, end: str) -> None:
    (tmp_path / "secret").write_bytes(f"from-a-file{end}".encode())
    request(extension, "--secret-file", str(tmp_path / "secret"))
    assert is_signed_with("from-a-file", extension)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_first_variable_that_is_set_has_the_secret(extension: Extension, tmp_path: Path, count: int) -> None:
    (tmp_path / "secret").write_text("ECRMINT_SECRET_FILE")
    values = {name: name for name in VARIABLES} | {"ECRMINT_SECRET_FILE": str(tmp_path / "secret")}
    request(extension, env={name: values[name] for name in VARIABLES[-count:]})
    assert is_signed_with(VARIABLES[-count], extension)


def test_a_variable_that_is_empty_is_not_set(extension: Extension) -> None:
    request(extension, env={"ECRMINT_SECRET_FILE": "", "ECRMINT_SECRET": "", "DRONE_SECRET": "second"})
    assert is_signed_with("second", extension)


def test_without_a_secret_nothing_is_sent(extension: Extension) -> None:
    done = request(extension, env={})
    assert [done.exit_code, extension.asked] == [2, []]
    assert "--secret-file" in done.stderr


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"], ids=["missing", "empty", "not text"])
def test_a_secret_file_that_can_not_be_used_is_named(
    extension: Extension, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    done = request(extension, "--secret-file", str(tmp_path / "secret"))
    assert [done.exit_code, extension.asked] == [2, []]
    assert str(tmp_path / "secret") in done.stderr


# What is shown


def test_logins_are_shown_without_their_passwords(extension: Extension) -> None:
    done = request(extension)
    assert done.stdout.splitlines() == [
        "ADDRESS                                       USERNAME  FINGERPRINT   PASSWORD",
        "docker.io                                     octocat   9dca666eb547  ***",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com  AWS       dc486c26d90d  ***",
    ]
    assert [done.exit_code, done.stderr] == [0, ""]


def test_passwords_are_shown_where_that_is_asked(extension: Extension) -> None:
    shown = request(extension, "--show-passwords").stdout
    assert [word in shown for word in ("correct-horse", "eyJwYXlsb2Fk", "***")] == [True, True, False]


def test_json_is_the_list_without_its_passwords(extension: Extension) -> None:
    done = request(extension, "--json")
    assert json.loads(done.stdout) == [{**HUB, "password": "***"}, {**ECR, "password": "***"}]
    assert done.exit_code == 0


def test_json_with_passwords_is_the_list_itself(extension: Extension) -> None:
    assert json.loads(request(extension, "--json", "--show-passwords").stdout) == [HUB, ECR]


def test_an_encrypted_answer_is_decrypted(extension: Extension) -> None:
    extension.headers = {"Content-Encoding": "aesgcm"}
    extension.body = encrypt(Secret(SECRET), extension.body, b"n" * 12)
    assert json.loads(request(extension, "--json", "--show-passwords").stdout) == [HUB, ECR]


def test_nothing_that_a_server_sends_moves_the_cursor(extension: Extension) -> None:
    extension.body = json.dumps([{**HUB, "address": "\x1b[2Jdocker.io", "username": "a\nb\u202e"}]).encode()
    shown = request(extension).stdout
    assert [character in shown for character in ("\x1b", "\u202e")] == [False, False]
    assert len(shown.splitlines()) == 2


# How it ends


@pytest.mark.parametrize(("status", "body"), [(200, b"[]"), (200, b"null"), (200, b"[]\n"), (204, b"")])
@pytest.mark.parametrize(("allow", "code"), [([], 1), (["--allow-empty"], 0)], ids=["by default", "allowed"])
def test_an_empty_list_is_a_failure_unless_it_is_allowed(
    extension: Extension, status: int, body: bytes, allow: list[str], code: int
) -> None:
    extension.status, extension.body = status, body
    done = request(extension, *allow)
    assert [done.exit_code, done.stdout] == [code, "no logins\n"]
    expected = "ecrmint explain --config ecrmint.yaml --repo team-a/app --event push --ref refs/heads/main"
    assert done.stderr.splitlines()[-1].strip() == expected


def test_an_empty_list_is_explained_for_the_build_that_was_asked_for(extension: Extension) -> None:
    extension.body = b"[]"
    options = ["--event", "pull_request", "--ref", "refs/pull/7/head", "--source-repo", "a b/app", "--private"]
    assert request(extension, *options).stderr.splitlines()[-1].strip() == (
        "ecrmint explain --config ecrmint.yaml --repo team-a/app --event pull_request --ref refs/pull/7/head"
        " --source-repo 'a b/app' --private"
    )


def test_an_empty_list_is_json_too(extension: Extension) -> None:
    extension.body = b"[]"
    done = request(extension, "--json")
    assert [done.exit_code, json.loads(done.stdout)] == [1, []]


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (307, "Runners follow no redirect"),
        (401, "The secret is not the server's"),
        (404, "`path:`"),
        (406, "another kind of extension"),
        (503, "Ask again"),
    ],
)
def test_a_refusal_is_shown_with_what_to_do(extension: Extension, status: int, hint: str) -> None:
    extension.status, extension.body = status, b"the server's own words\nand more"
    done = request(extension)
    assert [done.exit_code, done.stdout] == [1, ""]
    first, *hints = done.stderr.splitlines()
    assert first == f"Error: {status}: the server's own words"
    assert [hint in line for line in hints] == [True]


def test_a_refusal_names_its_line_in_the_servers_log(extension: Extension) -> None:
    extension.status, extension.headers = 400, {"X-Request-Id": "5e4d-7"}
    assert request(extension).stderr.endswith("The server's log has it as request 5e4d-7.\n")


def test_a_refusal_without_words_is_still_one(extension: Extension) -> None:
    extension.status, extension.body = 500, b""
    done = request(extension)
    assert [done.exit_code, done.stderr] == [1, "Error: 500: no reason was given\n"]


def test_a_clock_that_is_far_away_is_named_where_a_signature_is_refused(extension: Extension) -> None:
    extension.status, extension.headers = 401, {"Date": "Tue, 15 Nov 2022 08:12:31 GMT"}
    assert "s behind ours." in request(extension).stderr


UNUSABLE = {
    "empty": b"",
    "an object": b"{}",
    "HTML": b"<html>",
    "a byte order mark": b"\xef\xbb\xbf[]",
    "junk after it": b"[]x",
    "a list of nothing": b"[null]",
    "a list of lists": b"[[]]",
    "no password": b'[{"address":"docker.io","username":"u"}]',
    "a number": b'[{"address":"docker.io","username":"u","password":1}]',
    "no address": b'[{"address":"","username":"u","password":"secret-word"}]',
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_answer_that_a_runner_could_not_use_is_a_failure(extension: Extension, body: bytes) -> None:
    extension.body = body
    done = request(extension)
    assert [done.exit_code, done.stdout] == [1, ""]
    assert done.stderr.startswith("Error: 200: a runner could not use this answer: ")
    assert "secret-word" not in done.stderr


@pytest.mark.parametrize("encoding", ["aesgcm", "AESGCM", "gzip"])
def test_an_answer_that_only_claims_an_encoding_is_a_failure(extension: Extension, encoding: str) -> None:
    extension.headers = {"Content-Encoding": encoding}
    extension.body = b"\0" * 40 if encoding == "aesgcm" else encrypt(Secret(SECRET), b"[]", b"n" * 12)
    assert request(extension).exit_code == 1


def test_an_answer_encrypted_with_another_secret_is_a_failure(extension: Extension) -> None:
    extension.headers = {"Content-Encoding": "aesgcm"}
    extension.body = encrypt(Secret("0" * 32), b"[]", b"n" * 12)
    assert "it was not encrypted with this secret" in request(extension).stderr


def test_nobody_listening_is_no_connection() -> None:
    nobody = Extension(url=f"http://user:word@127.0.0.1:{free_ports(1)[0]}/?query")
    done = request(nobody)
    assert [done.exit_code, done.stdout] == [2, ""]
    assert done.stderr.startswith("Error: no answer from http://127.0.0.1:")
    assert "word" not in done.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://example.com", "http://", "http://[::1", "nonsense"])
def test_an_endpoint_that_is_no_url_is_wrong_usage(url: str) -> None:
    done = request(Extension(url=url))
    assert done.exit_code == 2
    assert "the endpoint is not a URL such as http://127.0.0.1:3000" in done.stderr


def test_a_redirect_is_not_followed(extension: Extension) -> None:
    extension.status, extension.headers = 307, {"Location": extension.url}
    request(extension)
    assert len(extension.asked) == 1


# Clocks and proxies


@pytest.mark.parametrize(("date", "ahead"), [("Tue, 15 Nov 2022 08:22:31 GMT", 600.0), ("", None), ("nonsense", None)])
def test_an_answer_says_how_far_ahead_the_servers_clock_is(
    extension: Extension, date: str, ahead: float | None
) -> None:
    extension.headers = {"Date": date}
    answer = client.ask(extension.url, Secret(SECRET), RegistryRequest(slug="a/b"), clock=lambda: NOW)
    assert answer.clock_ahead == ahead


def test_a_request_bears_the_time_of_our_clock(extension: Extension) -> None:
    client.ask(extension.url, Secret(SECRET), RegistryRequest(slug="a/b"), clock=lambda: NOW)
    assert extension.asked[0].headers["Date"] == "Tue, 15 Nov 2022 08:12:31 GMT"


def test_this_machine_is_asked_without_a_proxy(extension: Extension, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(Extension()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert request(extension).exit_code == 0
    assert [len(proxy.asked), len(extension.asked)] == [0, 1]


def test_others_are_asked_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(Extension(body=json.dumps([HUB]).encode())) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert request(Extension(url="http://ecrmint.example:3000")).exit_code == 0
    assert [asked.headers["Host"] for asked in proxy.asked] == ["ecrmint.example:3000"]


def test_a_proxy_that_can_not_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(NoAnswerError, match="SOCKS proxy"):
        client.ask("http://ecrmint.example", Secret(SECRET), RegistryRequest(slug="a/b"))


# Against our own server

CONFIG = f"""
secrets: [{{name: main, value: {SECRET}}}]
accounts:
  hub: {{type: static, registries: [docker.io], username: octocat, password: {{value: correct-horse}}}}
rules:
  - {{name: team-a, repos: ["team-a/*"], accounts: [hub]}}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extension]:
    with Serve.start(CONFIG, tmp_path_factory.mktemp("serve")) as serve:
        yield Extension(url=serve.url)


def test_our_server_answers_logins(served: Extension) -> None:
    done = request(served, "--json", "--show-passwords")
    assert [done.exit_code, json.loads(done.stdout)] == [0, [HUB]]


def test_our_server_answers_an_empty_list_to_a_stranger(served: Extension) -> None:
    done = request(served, repo="team-b/app")
    assert [done.exit_code, done.stdout] == [1, "no logins\n"]


@pytest.mark.parametrize(
    ("repo", "secret", "path", "status"),
    [("team-a/app", "f" * 32, "", 401), ("team-a", SECRET, "", 400), ("team-a/app", SECRET, "/other", 404)],
    ids=["another secret", "no slug", "another path"],
)
def test_our_server_refuses(served: Extension, repo: str, secret: str, path: str, status: int) -> None:
    done = request(Extension(url=served.url + path), repo=repo, env={"ECRMINT_SECRET": secret})
    assert [done.exit_code, done.stdout] == [1, ""]
    assert done.stderr.startswith(f"Error: {status}: ")
    assert "The server's log has it as request " in done.stderr
