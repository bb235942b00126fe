"""The configuration: every problem at once, each with its place, what was found and what is allowed, and no secret."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ecrmint import settings
from ecrmint.addresses import Address
from ecrmint.errors import ConfigError
from ecrmint.settings import Config

SECRET = "Zq7RtY2kLm9Pw4XsVb8Nc3Df6Gh1Jk5Q"
BASE = {
    "secrets": f"[{{name: main, value: {SECRET}}}]",
    "accounts": "{hub: {type: static, registries: [docker.io], username: octocat, password: {value: hunter2}}}",
    "rules": '[{name: everyone, repos: ["**"], accounts: [hub]}]',
}


def text(**changes: str | None) -> str:
    """A valid configuration, one key a line in the order of BASE, with other or more keys; None: without that key."""
    lines = {**BASE, **changes}
    return "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)


def parse(environ: Mapping[str, str] | None = None, /, **changes: str | None) -> Config:
    return settings.parse(text(**changes), source="f", environ=environ or {})


def problems(environ: Mapping[str, str] | None = None, /, **changes: str | None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(environ, **changes)
    return caught.value.lines()


def test_a_small_configuration_has_every_default() -> None:
    config = parse()
    assert [secret.name for secret in config.shared_secrets] == ["main"]
    assert config.shared_secrets[0].key.reveal() == SECRET
    assert [secret.reveal() for secret in config.secrets.values()] == ["hunter2"]
    assert config.sha256 == hashlib.sha256(text().encode()).hexdigest()
    assert (config.source, config.warnings, config.debug) == ("f", (), False)
    settings = config.settings
    assert (settings.listen, settings.admin) == (Address("127.0.0.1", 3000), Address("127.0.0.1", 9090))
    assert settings.model_dump(exclude={"listen", "admin", "secrets", "accounts", "rules", "endpoints"}) == {
        "allow_plaintext": False,
        "tls": None,
        "tests": (),
        "deadline": 10.0,
        "on_failure": "partial",
        "max_body": 1 << 20,
        "freshness": 300.0,
        "path": "/",
        "encrypt": False,
        "drain": {"delay": 5.0, "grace": 20.0},
        "audit": {"file": "-", "required": False},
        "max_connections": 2048,
        "max_in_flight": 256,
    }


def test_a_file_is_loaded_as_its_text_is(tmp_path: Path) -> None:
    path = tmp_path / "ecrmint.yaml"
    path.write_text(text())
    config = settings.load(path, environ={})
    assert (config.source, config.sha256) == (str(path), parse().sha256)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ecrmint.yaml"
    with pytest.raises(ConfigError) as caught:
        settings.load(path, environ={})
    assert caught.value.lines() == [f"{path}: file: can't be read: No such file or directory"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("deadlin", "5s", "f:4:1: deadlin: unknown key; did you mean deadline? allowed here: listen, admin, "),
        ("deadline", "10", "f:4:1: deadline: found 10, expected a duration such as 90s, 10m or 1h"),
        ("deadline", "60s", "f:4:1: deadline: found '60s', expected 1s to 59s: a runner gives up after 60s"),
        ("deadline", "0s", "f:4:1: deadline: found '0s', expected 1s to 59s"),
        ("freshness", "2h", "f:4:1: freshness: found '2h', expected 1s to 1h"),
        ("max_body", "1GB", "f:4:1: max_body: found '1GB', expected a size such as 64KiB or 1MiB"),
        ("on_failure", "fail", "f:4:1: on_failure: found 'fail', expected 'partial' or 'strict'"),
        ("encrypt", "yes", "f:4:1: encrypt: found 'yes', expected true or false"),
        ("max_in_flight", "0", "f:4:1: max_in_flight: found 0, expected 1 or more"),
        ("path", "drone", "f:4:1: path: found 'drone', expected a path that starts with /"),
        ("drain", "5s", "f:4:1: drain: found '5s', expected a mapping with keys such as delay, grace"),
        ("drain", "{delay: 5}", "f:4:9: drain.delay: found 5, expected a duration such as 90s, 10m or 1h"),
        ("audit", "{file: 1}", "f:4:9: audit.file: found 1, expected text: put quotes around it"),
        ("audit", "{file: ''}", "f:4:9: audit.file: found '': string should have at least 1 character"),
        ("listen", "3000", 'f:4:1: listen: found 3000, expected ":PORT" (every address), "host:PORT" or "[IPv6]:PORT"'),
        ("listen", "::1:3000", "f:4:1: listen: found '::1:3000', expected "),
        ("listen", '"[127.0.0.1.1]:1"', "f:4:1: listen: found '[127.0.0.1.1]:1', expected "),
        ("listen", "localhost:70000", "f:4:1: listen: found 'localhost:70000', expected "),
        ("tests", "a", "f:4:1: tests: found 'a', expected a list"),
        ("tests", "[{repo: a/b}]", "f:4:9: tests.0.grants: is missing, and required"),
        ("tests", "[{repo: a, grants: []}]", "f:4:9: tests.0: repo.slug is not two or more segments of "),
        ("tests", "[{repo: a/b, event: pusch, grants: []}]", "f:4:21: tests.0.event: found 'pusch', expected 'push', "),
        ("tests", "[{repo: a/b, grants: [hubb]}]", "f:4:30: tests.0.grants.0: found 'hubb'; did you mean hub? "),
        ("tls", "", "f:4:1: tls: found nothing, expected a value, or no such key"),
        ("tls", "{cert_file: /nonexistent, key_file: /}", "f:4:7: tls.cert_file: can't read the file: No such file"),
        ("rules", "[{name: a, repos: [a/b], accounts: [hubb]}]", "f:3:44: rules.0.accounts.0: found 'hubb'; did you "),
        ("rules", "[{repos: [a/b], accounts: [hub], secrets: [x]}]", "f:3:51: rules.0.secrets.0: found 'x'; allowed "),
        ("rules", "[{name: a, repo: [a/b]}]", "f:3:19: rules.0.repo: unknown key; did you mean repos? allowed here: "),
        ("rules", "[{name: a, repos: [ab], accounts: [hub]}]", "f:3:"),
        ("rules", None, "f:1:1: rules: is missing, and required"),
        ("accounts", "{p: {type: ecrr}}", "f:2:16: accounts.p.type: found 'ecrr'; did you mean ecr? allowed here: "),
        ("accounts", "{p: {registries: [x]}}", "f:2:12: accounts.p.type: is missing, and required; allowed here: "),
        ("accounts", "{p: }", "f:2:12: accounts.p: found nothing, expected a mapping with a type: ecr, "),
        ("accounts", '{"p q": {type: ecr}}', "f:2:12: accounts.p q: found 'p q', expected a name: 1 to 63 of "),
        ("secrets", "[]", "f:1:1: secrets: no shared secret: list one here, or set ECRMINT_SECRET_FILE, "),
        ("secrets", "[{name: main}]", "f:1:11: secrets.0: expected exactly one of file, env, value"),
        ("secrets", "[{name: main, value: ''}]", "f:1:11: secrets.0: the value is empty, expected a secret"),
        ("secrets", "[{name: main, value: fifteen-bytes..}]", "f:1:11: secrets.0: the secret is shorter than 16 bytes"),
        ("secrets", "[{name: main, file: /nonexistent}]", "f:1:11: secrets.0: can't read the file /nonexistent: "),
        ("secrets", "[{name: main, env: UNSET}]", "f:1:11: secrets.0: the environment variable UNSET is not set"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place_and_what_is_allowed(key: str, value: str | None, expected: str) -> None:
    found = problems(**{key: value})
    assert [line for line in found if line.startswith(expected)] != [], found


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        secrets="[{name: main, file: /nonexistent}, {name: main, value: short}]",
        accounts="{hub: {type: static, registries: docker.io, username: 1}, x: {type: nosuch}}",
        rules="[{name: a, repos: [a/b], accounts: [y]}, {name: a, repos: [a/b], accounts: [hub], trusted: maybe}]",
        listen='":3000"',
        admin="0.0.0.0:3000",
        unknown="1",
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["f:1:11", "secrets.0"],
        ["f:1:45", "secrets.1"],
        ["f:1:46", "secrets.1.name"],
        ["f:2:12", "accounts.hub.password"],
        ["f:2:32", "accounts.hub.registries"],
        ["f:2:55", "accounts.hub.username"],
        ["f:2:73", "accounts.x.type"],
        ["f:3:44", "rules.0.accounts.0"],
        ["f:3:50", "rules.1.name"],
        ["f:3:90", "rules.1.trusted"],
        ["f:4:1", "listen"],
        ["f:5:1", "admin"],
        ["f:6:1", "unknown"],
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"secrets": SECRET}, "secrets: found text, expected a list", id="secrets"),
        pytest.param({"secrets": f"[{SECRET}]"}, "secrets.0: found text, expected a mapping", id="secret"),
        pytest.param({"secrets": f"{{main: {SECRET}}}"}, "secrets: found a mapping, expected a list", id="mapping"),
        pytest.param({"secrets": f"[{{name: a, {SECRET}: x}}]"}, "secrets.0: unknown key", id="key"),
        pytest.param({"secrets": f"[{{name: a, valeu: {SECRET}}}]"}, "secrets.0: unknown key; did you mean", id="typo"),
        pytest.param({"secrets": f"[{{name: a, env: {SECRET}}}]"}, "secrets.0: `env` takes the name of", id="env"),
        pytest.param({"secrets": f"[{{name: a, file: {SECRET}}}]"}, "secrets.0: can't read the file (not", id="file"),
        pytest.param({"secrets": f"[{{name: a, file: x, value: {SECRET}}}]"}, "secrets.0: expected exactly", id="both"),
        pytest.param({"secrets": f"[{{name: {SECRET}.., value: a}}, {{name: 1}}]"}, "secrets.1.name", id="secret-name"),
        pytest.param({"accounts": f"{{h: {SECRET}}}"}, "accounts.h: found text, expected a mapping", id="account"),
        pytest.param({"accounts": f"{{h: {{type: {SECRET}}}}}"}, "accounts.h.type: found text", id="type"),
        pytest.param(
            {"accounts": f"{{h: {{type: static, registries: [docker.io], username: a, password: {SECRET}}}}}"},
            "accounts.h.password: found text, expected a mapping",
            id="password",
        ),
        pytest.param(
            {"accounts": f"{{h: {{type: static, registries: [docker.io], username: a, password: {{{SECRET}: 1}}}}}}"},
            "accounts.h.password: unknown key",
            id="password-key",
        ),
        pytest.param({"allow_plaintext": SECRET}, "allow_plaintext: found text, expected true", id="flag"),
        pytest.param({"on_failure": SECRET}, "on_failure: found text, expected 'partial'", id="choice"),
        pytest.param({"deadline": SECRET}, "deadline: found text, expected a duration", id="duration"),
        pytest.param({"listen": SECRET}, "listen: found text, expected ", id="listen"),
        pytest.param({"path": SECRET}, "path: found text, expected ", id="path"),
        pytest.param({SECRET: "1"}, "***: unknown key", id="root-key"),
        pytest.param({"rules": f"[{SECRET}]"}, "rules.0: found text, expected ", id="rule"),
        pytest.param({"rules": f"[{{repos: [a/b], accounts: [{SECRET}]}}]"}, "rules.0.accounts.0: found", id="grant"),
        pytest.param({"accounts": f"{{{SECRET}: 1}}"}, "rules.0.accounts.0: found 'hub'; allowed", id="names"),
        pytest.param({"tests": f"[{{repo: {SECRET}, grants: []}}]"}, "tests.0: repo.slug is not", id="test"),
    ],
)  # fmt: skip
def test_no_message_holds_what_may_be_a_secret(changes: dict[str, str], message: str) -> None:
    found = problems(**changes)
    assert [line for line in found if f": {message}" in line] != [], found
    assert SECRET not in "".join(found)


def test_a_configuration_shows_no_secret() -> None:
    assert SECRET not in repr(parse())


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET.encode())
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%s", SECRET),
        (b"%s\n", SECRET),
        (b"%s\r\n", SECRET),
        (b"%s\n\n", f"{SECRET}\n"),
        (b"%s\r", f"{SECRET}\r"),
        (b" %s ", f" {SECRET} "),
    ],
)
def test_one_line_end_of_a_secret_file_is_dropped(secret_file: Path, content: bytes, expected: str) -> None:
    secret_file.write_bytes(content % SECRET.encode())
    config = parse(secrets=f"[{{name: main, file: {secret_file}}}]")
    assert config.shared_secrets[0].key.reveal() == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty, expected a secret"),
        (b"\r\n", "is empty, expected a secret"),
        (b"\xff" * 32, "is not UTF-8 text, expected a secret"),
        (b"x" * 65537, "is larger than 64 KiB, expected a secret"),
    ],
    ids=["empty", "line-end", "bytes", "large"],
)
def test_a_file_that_holds_no_secret_is_refused(secret_file: Path, content: bytes, expected: str) -> None:
    secret_file.write_bytes(content)
    assert problems(secrets=f"[{{name: main, file: {secret_file}}}]") == [
        f"f:1:11: secrets.0: the file {secret_file} {expected}"
    ]


def test_a_folder_and_an_unreadable_file_are_refused(secret_file: Path) -> None:
    found = problems(secrets=f"[{{name: a, file: {secret_file.parent}}}, {{name: b, file: {secret_file}/x}}]")
    assert found == [
        f"f:1:11: secrets.0: can't read the file {secret_file.parent}: Is a directory",
        f"f:1:{25 + len(str(secret_file.parent)) + 5}: secrets.1: can't read the file {secret_file}/x: Not a directory",
    ]


def test_an_accounts_secret_is_read_and_may_be_short(secret_file: Path) -> None:
    secret_file.write_text("pw\n")
    account = "{type: static, registries: [docker.io], username: o, password: {%s}}"
    config = parse(
        {"HUB_PASSWORD": "pw2"},
        accounts=f"{{hub: {account % f'file: {secret_file}'}, b: {account % 'env: HUB_PASSWORD'}}}",
    )
    hub, b = (account.secret_sources()["password"] for account in config.settings.accounts.values())
    assert (config.secrets[hub].reveal(), config.secrets[b].reveal()) == ("pw", "pw2")


def test_an_accounts_secret_that_is_missing_is_told_at_its_field() -> None:
    accounts = "{hub: {type: static, registries: [docker.io], username: o, password: {file: /nonexistent}}}"
    assert problems(accounts=accounts) == [
        "f:2:70: accounts.hub.password: can't read the file /nonexistent: No such file or directory"
    ]


def test_a_secret_is_read_even_where_its_account_is_wrong_elsewhere() -> None:
    accounts = "{hub: {type: static, registries: [docker.io], user: o, password: {file: /nonexistent}}}"
    assert [line.split(": ")[1] for line in problems(accounts=accounts)] == [
        "accounts.hub.username",
        "accounts.hub.user",
        "accounts.hub.password",
    ]


def test_what_an_account_says_about_its_secret_is_told(secret_file: Path) -> None:
    accounts = f"{{hub: {{type: google, registries: [eu.gcr.io], credentials_file: {secret_file}}}}}"
    assert [line.rpartition(":")[0] for line in problems(accounts=accounts)] == [
        "f:2:57: accounts.hub.credentials_file"
    ]


def test_a_short_shared_secret_warns_and_is_refused_where_answers_must_be_encrypted() -> None:
    secrets = f"[{{name: main, value: {SECRET[:31]}}}]"
    assert parse(secrets=secrets).warnings == (
        "f:1:11: secrets.0: the secret is shorter than 32 bytes: answers can't be encrypted with it",
    )
    assert problems(secrets=secrets, encrypt="true") == [
        "f:1:11: secrets.0: the secret is shorter than 32 bytes, which `encrypt: true` needs"
    ]
    assert parse(encrypt="true").warnings == ()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"ECRMINT_SECRET_FILE": "FILE", "ECRMINT_SECRET": "x", "DRONE_SECRET": "x"}, SECRET),
        ({"ECRMINT_SECRET": "from-ecrmint-secret", "DRONE_SECRET": "x"}, "from-ecrmint-secret"),
        ({"ECRMINT_SECRET": "", "DRONE_SECRET": "from-drone-secret"}, "from-drone-secret"),
    ],
    ids=["file", "ecrmint", "drone"],
)
def test_without_secrets_the_environment_has_one(secret_file: Path, environ: dict[str, str], expected: str) -> None:
    environ = {name: value.replace("FILE", str(secret_file)) for name, value in environ.items()}
    (shared,) = parse(environ, secrets=None).shared_secrets
    assert (shared.name, shared.key.reveal()) == ("env", expected)


def test_the_environments_secret_is_not_used_where_the_configuration_has_one() -> None:
    config = parse({"ECRMINT_SECRET": "another-secret-of-some-length"})
    assert [secret.key.reveal() for secret in config.shared_secrets] == [SECRET]


def test_what_is_wrong_in_the_environment_is_told_by_the_variables_name() -> None:
    environ = {"ECRMINT_SECRET": "short", "DRONE_BIND": "x", "ECRMINT_ALLOW_PLAINTEXT": "ja", "ECRMINT_ADMIN": ":x"}
    form = 'expected ":PORT" (every address), "host:PORT" or "[IPv6]:PORT"'
    assert problems(environ, secrets=None) == [
        f"f: DRONE_BIND: found 'x', {form}",
        f"f: ECRMINT_ADMIN: found ':x', {form}",
        "f: ECRMINT_ALLOW_PLAINTEXT: found 'ja', expected true or false",
        "f: ECRMINT_SECRET: the secret is shorter than 16 bytes: `openssl rand -hex 16` makes a good one",
    ]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"ECRMINT_LISTEN": "127.0.0.1:1", "DRONE_BIND": ":2", "DRONE_ADDRESS": ":3"}, "127.0.0.1:1"),
        ({"DRONE_BIND": "127.0.0.1:2", "DRONE_ADDRESS": ":3"}, "127.0.0.1:2"),
        ({"DRONE_ADDRESS": "127.0.0.1:3"}, "127.0.0.1:3"),
        ({"ECRMINT_LISTEN": ":4", "ECRMINT_ALLOW_PLAINTEXT": "true"}, ":4"),
    ],
    ids=["ecrmint", "bind", "address", "plaintext"],
)
def test_a_silent_configuration_listens_where_the_environment_says(environ: dict[str, str], expected: str) -> None:
    assert str(parse(environ).settings.listen) == expected
    assert str(parse(environ, listen="127.0.0.1:5").settings.listen) == "127.0.0.1:5"


class WatchedEnvironment(Mapping[str, str]):
    """An environment that notes which of its variables are asked for; nobody may list it."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values_, self.asked = values, set[str]()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the environment was listed")

    def __len__(self) -> int:
        return len(self.values_)


def test_only_the_promised_variables_are_read() -> None:
    environ = WatchedEnvironment({"ECRMINT_SECRET": SECRET, "ECRMINT_PORT": "tcp://10.0.0.1:3000"})
    parse(environ, secrets=None)
    assert environ.asked == {
        "ECRMINT_LISTEN",
        "DRONE_BIND",
        "DRONE_ADDRESS",
        "ECRMINT_ADMIN",
        "ECRMINT_ALLOW_PLAINTEXT",
        "ECRMINT_SECRET_FILE",
        "ECRMINT_SECRET",
        "DRONE_DEBUG",
    }


def test_without_secrets_nothing_but_the_file_is_read() -> None:
    environ = WatchedEnvironment({"ECRMINT_SECRET": SECRET})
    changes = {
        "secrets": "[{name: main, file: /nonexistent}]",
        "accounts": "{hub: {type: static, registries: [docker.io], username: o, password: {env: UNSET}}}",
        "tls": "{cert_file: /nonexistent, key_file: /nonexistent}",
    }
    config = settings.parse(text(**changes), environ=environ, with_secrets=False)
    assert (config.shared_secrets, config.secrets, environ.asked) == ((), {}, set())


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_drone_debug_asks_for_a_debug_log(value: str, expected: bool) -> None:
    assert parse({"DRONE_DEBUG": value}).debug is expected


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        (":3000", Address(None, 3000)),
        ("0.0.0.0:3000", Address("0.0.0.0", 3000)),  # noqa: S104
        ("[::]:3000", Address("::", 3000)),
        ("[::1]:0", Address("::1", 0)),
        ("localhost:80", Address("localhost", 80)),
        ("10.1.2.3:80", Address("10.1.2.3", 80)),
    ],
)
def test_an_address_is_read_and_written_alike(listen: str, expected: Address) -> None:
    address = parse(listen=f'"{listen}"', allow_plaintext="true").settings.listen
    assert (address, str(address)) == (expected, listen)


PLAINTEXT = (
    "f:4:1: listen: is reachable from outside this machine and has no TLS: set `tls`, or `allow_plaintext: true`"
)


@pytest.mark.parametrize(
    ("listen", "refused"),
    [
        (":3000", True),
        ("0.0.0.0:3000", True),
        ("[::]:3000", True),
        ("ecrmint.example:3000", True),
        ("10.1.2.3:3000", True),
        ("127.0.0.1:3000", False),
        ("127.9.9.9:3000", False),
        ("[::1]:3000", False),
        ("localhost:3000", False),
    ],
)
def test_plain_text_leaves_the_machine_only_where_that_is_allowed(tmp_path: Path, listen: str, refused: bool) -> None:
    (tmp_path / "pem").touch()
    tls = f"{{cert_file: {tmp_path}/pem, key_file: {tmp_path}/pem}}"
    found = problems(listen=f'"{listen}"') if refused else []
    assert [line.startswith(PLAINTEXT) for line in found] == [True] * refused
    for allowed in ({"allow_plaintext": "true"}, {"tls": tls}):
        assert str(parse(listen=f'"{listen}"', **allowed).settings.listen) == listen


@pytest.mark.parametrize(
    ("listen", "admin", "refused"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        (":1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "0.0.0.0:1", True),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_runners_and_probes_have_a_port_each(listen: str, admin: str, refused: bool) -> None:
    changes = {"listen": f'"{listen}"', "admin": f'"{admin}"', "allow_plaintext": "true"}
    if not refused:
        assert str(parse(**changes).settings.admin) == admin
        return
    assert problems(**changes) == [f"f:5:1: admin: the same address as `listen` ({listen}), expected one of its own"]


def test_the_configurations_own_tests_are_run() -> None:
    tests = "[{repo: a/b, grants: [hub]}, {repo: a/b, grants: []}, {repo: a/b, source_repo: x/b, grants: [hub]}]"
    assert problems(tests=tests) == [
        "f:4:49: tests.1.grants: expected [], the rules give [hub]; decided by the rules everyone",
        "f:4:92: tests.2.grants: expected [hub], the rules give []; no rule counts;"
        " a fork build, which needs a rule with forks: allow",
    ]
    assert settings.parse(text(tests=tests), with_tests=False).settings.tests[1].grants == ()


def test_a_test_names_the_secret_that_signed_and_every_property_of_a_build() -> None:
    config = parse(
        secrets=f"[{{name: main, value: {SECRET}}}, {{name: other, value: {SECRET}}}]",
        rules="[{name: a, repos: [a/b], accounts: [hub], secrets: [other], uids: ['7'], trusted: true, private: true,"
        " deploy_to: [prod], refs: [refs/tags/*], events: [promote]}]",
        tests="[{repo: A/b, secret: other, uid: 7, trusted: true, private: true, deploy_to: prod, ref: refs/tags/v1,"
        " event: promote, grants: [hub]}, {repo: a/b, uid: 7, trusted: true, private: true, deploy_to: prod,"
        " ref: refs/tags/v1, event: promote, grants: []}]",
    )
    assert len(config.settings.tests) == 2


def test_anchors_and_merges_work_in_a_configuration() -> None:
    accounts = """
  a: &static {type: static, registries: [docker.io], username: octocat, password: {value: hunter2}}
  b: {<<: *static, username: other}"""
    config = parse(accounts=accounts, rules='[{name: everyone, repos: ["**"], accounts: [a, b]}]')
    assert [account.type for account in config.settings.accounts.values()] == ["static", "static"]


def test_a_fault_in_the_yaml_hides_the_others() -> None:
    found = settings.parse
    with pytest.raises(ConfigError) as caught:
        found(text(listen="1") + "listen: 2\n", source="f")
    assert caught.value.lines() == ["f:5:1: listen: this key is here twice: first in line 4"]
