"""``ecrmint check --live``: what it finds, what it says to do, and that it shows no login."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.command import Command, Ended
from support.process import free_ports
from support.standin import USER, OffsetClock
from support.token_registry import TokenRegistry, serving

from ecrmint.standin.cloud import AccessKey, Cloud
from ecrmint.standin.faults import Failure
from ecrmint.standin.server import StandinServer

PULL = "arn:aws:iam::222222222222:role/drone-pull"
CLOSED = "arn:aws:iam::222222222222:role/closed"
HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
OTHER_HOST = "333333333333.dkr.ecr.eu-west-1.amazonaws.com"
GAR = "europe-docker.pkg.dev"
NODE = "node@acme.iam.gserviceaccount.com"
PULLER = "pull@acme.iam.gserviceaccount.com"
STRANGER = "stranger@other.iam.gserviceaccount.com"
SHARED_SECRET = "Zq7RtY2kLm9Pw4XsVb8Nc3Df6Gh1Jk5Q"
PASSWORD = "correct-horse-battery-staple"

PROD = f"{{type: ecr, registries: [{HOST}], role_arn: '{PULL}', external_id: drone}}"
REFUSED = f"{{type: ecr, registries: [{HOST}], role_arn: '{CLOSED}', external_id: drone}}"
OWN = f"{{type: ecr, registries: [{HOST}]}}"
IMPERSONATED = f"{{type: google, registries: [{GAR}], service_account: {PULLER}}}"
IMPOSSIBLE = f"{{type: google, registries: [{GAR}], service_account: {STRANGER}}}"
HUB = f"{{type: static, registries: [docker.io], username: octocat, password: {{value: {PASSWORD}}}}}"
WRONG = "{type: static, registries: [docker.io], username: octocat, password: {value: a-wrong-password}}"


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(PULL, trust=[USER], external_id="drone")
    cloud.add_role(CLOSED, trust=["arn:aws:iam::222222222222:user/other"])
    for email in (NODE, PULLER, STRANGER):
        cloud.add_service_account(email)
    cloud.allow_impersonation(NODE, PULLER)
    cloud.set_metadata_identity(NODE)
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture(scope="module")
def key(server: StandinServer) -> AccessKey:
    return server.cloud.add_key(USER)


@pytest.fixture(scope="module")
def hub() -> Iterator[TokenRegistry]:
    with serving(TokenRegistry("octocat", PASSWORD)) as running:
        yield running


class Check:
    """``check --live`` of some accounts, with every address on loopback."""

    def __init__(self, ecrmint: Command, path: Path, key: AccessKey, *, cloud_url: str, hub_url: str) -> None:
        self.ecrmint, self.path, self.key = ecrmint, path, key
        self.addresses = {HOST: cloud_url, OTHER_HOST: cloud_url, GAR: cloud_url, "docker.io": hub_url}
        self.cloud_url, self.tests = cloud_url, "[]"
        self.granted: list[str] | None = None

    def __call__(self, *options: str, accounts: Mapping[str, str], env: Mapping[str, str] | None = None) -> Ended:
        lines = [f"  {name}: {account}" for name, account in accounts.items()]
        endpoints = {**dict.fromkeys(("sts", "ecr", "iamcredentials", "metadata"), self.cloud_url)}
        self.path.write_text(
            "secrets: [{name: main, env: TOKEN}]\naccounts:\n"
            + "\n".join(lines)
            + f"\nrules: [{{name: all, repos: ['**'], accounts: [{', '.join(self.granted or accounts)}]}}]\n"
            + f"tests: {self.tests}\n"
            + f"endpoints: {json.dumps({**endpoints, 'registries': self.addresses})}\n"
        )
        ours = {"AWS_ACCESS_KEY_ID": self.key.id, "AWS_SECRET_ACCESS_KEY": self.key.secret.reveal()}
        quiet = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), "/dev/null")
        environ = {**quiet, "TOKEN": SHARED_SECRET, **(ours if env is None else env)}
        return self.ecrmint("check", "--config", str(self.path), "--live", *options, **environ)

    def json(self, **accounts: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code, and what ``--json`` says of each account."""
        ended = self("--json", accounts=accounts)
        return ended.code, json.loads(ended.out)["accounts"]


@pytest.fixture
def ecrmint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def check(  # noqa: PLR0917 - pytest's own way
    ecrmint: Command, tmp_path: Path, cloud: Cloud, server: StandinServer, hub: TokenRegistry, key: AccessKey
) -> Check:
    hub.asked.clear()
    hub.cookies.clear()
    return Check(ecrmint, tmp_path / "ecrmint.yaml", key, cloud_url=server.url, hub_url=hub.url)


def table(ended: Ended) -> list[list[str]]:
    """Return the words of each line of the table."""
    lines = ended.out.partition("is valid\n\n")[2].partition("\n\n")[0].splitlines()
    return [line.split() for line in lines]


def error_of(check: Check, account: str) -> dict[str, Any]:
    """Return the error of an account that is alone in its configuration."""
    code, accounts = check.json(prod=account)
    assert code == 1
    error: dict[str, Any] = accounts["prod"]["error"]
    return error


# What is found


def test_good_accounts_are_walked_step_by_step(check: Check) -> None:
    ended = check(accounts={"prod": PROD, "gar": IMPERSONATED, "hub": HUB})
    assert (ended.code, ended.err) == (0, "")
    assert [row[:3] for row in table(ended)[1:]] == [
        ["prod", "identity", "ok"],
        ["prod", "role", "ok"],
        ["prod", "login", "ok"],
        ["prod", HOST, "ok"],
        ["gar", "identity", "ok"],
        ["gar", "service", "account"],
        ["gar", "login", "ok"],
        ["gar", GAR, "ok"],
        ["hub", "login", "ok"],
        ["hub", "docker.io", "ok"],
    ]


def test_the_json_says_who_we_are_what_we_became_and_how_long_the_login_lives(check: Check) -> None:
    code, accounts = check.json(prod=PROD, gar=IMPERSONATED)
    assert code == 0
    assert accounts["prod"] == {
        "ok": True,
        "steps": [
            {"step": "identity", "ok": True, "detail": USER},
            {
                "step": "role",
                "ok": True,
                "detail": "arn:aws:sts::222222222222:assumed-role/drone-pull/ecrmint-prod",
            },
            {"step": "login", "ok": True, "detail": accounts["prod"]["steps"][2]["detail"]},
        ],
        "error": None,
        "hosts": {HOST: {"ok": True, "error": None}},
    }
    assert accounts["prod"]["steps"][2]["detail"] in ("AWS, ends in 12 h 0 min", "AWS, ends in 11 h 59 min")
    assert [step["detail"] for step in accounts["gar"]["steps"][:2]] == [NODE, PULLER]


def test_a_broken_account_costs_the_others_nothing(check: Check) -> None:
    code, accounts = check.json(refused=REFUSED, prod=PROD, impossible=IMPOSSIBLE, wrong=WRONG)
    assert code == 1
    assert {name: account["ok"] for name, account in accounts.items()} == {
        "refused": False,
        "prod": True,
        "impossible": False,
        "wrong": False,
    }
    assert [*accounts] == ["refused", "prod", "impossible", "wrong"]
    assert [accounts[name]["error"]["code"] for name in ("refused", "impossible", "wrong")] == [
        "trust_denied",
        "trust_denied",
        "login_refused",
    ]
    assert accounts["refused"]["steps"][-1] == {
        "step": "trust",
        "ok": False,
        "detail": f"AWS does not let us assume {CLOSED} (AccessDenied)",
    }


def test_hosts_that_share_a_login_share_the_walk_and_each_is_asked(check: Check, cloud: Cloud) -> None:
    both = PROD.replace(f"[{HOST}]", f"[{HOST}, {OTHER_HOST}]")
    code, accounts = check.json(prod=both)
    assert [call.api for call in cloud.calls].count("sts.AssumeRole") == 1
    assert [call.target for call in cloud.calls_to("registry.v2")] == [HOST, OTHER_HOST]
    # The stand-in's login is for the role's own account alone.
    assert (code, {host: answer["ok"] for host, answer in accounts["prod"]["hosts"].items()}) == (
        1,
        {HOST: True, OTHER_HOST: False},
    )


def test_nobody_to_be_is_said_with_what_to_do(check: Check) -> None:
    ended = check(accounts={"prod": PROD}, env={"AWS_EC2_METADATA_DISABLED": "true"})
    assert ended.code == 1
    assert [row[:3] for row in table(ended)[1:]] == [["prod", "identity", "FAILED"]]
    assert "prod: no AWS credentials were found [no_identity]\n  give the process a role" in ended.out


def test_no_registry_s_cookie_of_one_login_is_sent_with_another(check: Check, hub: TokenRegistry) -> None:
    check(accounts={"hub": HUB, "wrong": WRONG})
    # The token service gets the cookie that the registry gave for the same login.
    firsts = [cookie for asked, cookie in zip(hub.asked, hub.cookies, strict=True) if asked == "docker.io /v2/"]
    assert firsts == [None, None]


def test_a_clock_that_differs_is_noted(check: Check, cloud: Cloud) -> None:
    assert isinstance(cloud.clock, OffsetClock)
    cloud.clock.seconds = 90.0
    ended = check(accounts={"prod": PROD})
    assert ended.code == 0
    assert "\nclock: that of the accounts of type ecr is" in ended.out
    assert "s ahead of ours; set ours\n" in ended.out


def test_a_login_of_builds_own_is_that_of_a_build_that_the_tests_name(check: Check, cloud: Cloud) -> None:
    tagged = "arn:aws:iam::222222222222:role/tagged"
    cloud.add_role(tagged, trust=[USER], tag_session=True)
    check.tests = "[{repo: team-a/app, event: push, grants: [prod]}]"
    code, accounts = check.json(prod=f"{{type: ecr, registries: [{HOST}], role_arn: '{tagged}', session_tags: [repo]}}")
    assert code == 0
    assert "team-a" in accounts["prod"]["steps"][1]["detail"]


def test_a_registry_that_is_not_there_is_told_beside_its_login(check: Check) -> None:
    (port,) = free_ports(1)
    check.addresses["docker.io"] = f"http://127.0.0.1:{port}"
    code, accounts = check.json(hub=HUB)
    assert (code, accounts["hub"]["hosts"]["docker.io"]["error"]["code"]) == (1, "unreachable")
    assert [step["ok"] for step in accounts["hub"]["steps"]] == [True]


# What to do


def test_a_refused_role_is_answered_with_both_statements_that_it_needs(check: Check) -> None:
    error = error_of(check, REFUSED)
    assert error["remedies"] == [
        {
            "for": f"the trust policy of {CLOSED}",
            "statement": {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"AWS": USER},
                "Condition": {"StringEquals": {"sts:ExternalId": "drone"}},
            },
        },
        {
            "for": f"a policy of {USER}",
            "statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": CLOSED},
        },
    ]


def test_a_person_reads_the_same_statements_each_on_a_line(check: Check) -> None:
    error = error_of(check, REFUSED)
    ended = check(accounts={"prod": REFUSED})
    assert ended.out.partition("\n\nprod: ")[2].splitlines() == [
        f"{error['text']} [trust_denied]",
        f"  {error['hint']}",
        f"  for {error['remedies'][0]['for']}:",
        f"    {json.dumps(error['remedies'][0]['statement'])}",
        f"  for {error['remedies'][1]['for']}:",
        f"    {json.dumps(error['remedies'][1]['statement'])}",
    ]


@pytest.mark.parametrize(
    ("account", "who"), [(OWN, USER), (PROD, PULL)], ids=["the process itself", "the last role, not its session"]
)
def test_ecr_s_refusal_names_the_one_statement_for_who_asked(
    check: Check, cloud: Cloud, account: str, who: str
) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].error = Failure(400, "AccessDeniedException", "no")
    error = error_of(check, account)
    assert error["code"] == "registry_denied"
    assert error["remedies"] == [
        {
            "for": f"a policy of {who}",
            "statement": {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        }
    ]


def test_refused_tags_name_the_action_for_both_sides(check: Check, cloud: Cloud) -> None:
    tagged = "arn:aws:iam::222222222222:role/tagless"
    cloud.add_role(tagged, trust=[USER], tag_session=False)
    error = error_of(check, f"{{type: ecr, registries: [{HOST}], role_arn: '{tagged}', session_tags: [repo]}}")
    assert error["code"] == "tag_session_denied"
    assert [remedy["statement"]["Action"] for remedy in error["remedies"]] == ["sts:TagSession", "sts:TagSession"]


def test_a_refused_web_identity_is_answered_with_the_trust_in_its_own_token(
    check: Check, cloud: Cloud, tmp_path: Path
) -> None:
    role, issuer, file = "arn:aws:iam::222222222222:role/web", "oidc.example/id/ABC", tmp_path / "token"
    provider = cloud.add_oidc_provider(f"https://{issuer}", "222222222222")
    cloud.add_role(role, web_trust=[provider.trusted(sub="system:serviceaccount:ci:another")])
    file.write_text(provider.token(sub="system:serviceaccount:ci:ecrmint"))
    account = f"{{type: ecr, registries: [{HOST}], role_arn: '{role}', web_identity_token_file: {file}}}"
    (remedy,) = error_of(check, account)["remedies"]
    assert remedy["statement"] == {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::222222222222:oidc-provider/{issuer}"},
        "Condition": {
            "StringEquals": {
                f"{issuer}:sub": "system:serviceaccount:ci:ecrmint",
                f"{issuer}:aud": "sts.amazonaws.com",
            }
        },
    }


def test_google_s_refusal_names_the_command(check: Check) -> None:
    (remedy,) = error_of(check, IMPOSSIBLE)["remedies"]
    assert remedy["command"] == (
        f"gcloud iam service-accounts add-iam-policy-binding {STRANGER} --project=other"
        f" --member=serviceAccount:{NODE} --role=roles/iam.serviceAccountTokenCreator"
    )


def test_a_registry_of_google_s_that_refuses_names_the_reader_s_role(check: Check, cloud: Cloud) -> None:
    cloud.faults["registry.v2"].error = Failure(403, "DENIED", "no")
    (remedy,) = error_of(check, IMPERSONATED)["remedies"]
    assert remedy["command"].endswith(f"--member=serviceAccount:{PULLER} --role=roles/artifactregistry.reader")


# What is never shown


def issued(cloud: Cloud) -> list[str]:
    """Return every secret that the cloud knows, and logins as they go over the wire."""
    keys = [secret.reveal() for key in cloud.keys.values() for secret in (key.secret, key.session_token)]
    ecr = [password.reveal() for password in cloud.ecr_logins]
    google = [token.reveal() for token in cloud.google_tokens]
    pairs = [f"AWS:{each}" for each in ecr] + [f"oauth2accesstoken:{each}" for each in google]
    pairs += [f"octocat:{PASSWORD}", "octocat:a-wrong-password"]
    return [each for each in [*keys, *ecr, *google, PASSWORD, "a-wrong-password", SHARED_SECRET] if each] + [
        b64encode(pair.encode()).decode() for pair in pairs
    ]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
def test_no_secret_is_shown_whatever_fails(check: Check, cloud: Cloud, options: tuple[str, ...]) -> None:
    accounts = {"prod": PROD, "refused": REFUSED, "gar": IMPERSONATED, "impossible": IMPOSSIBLE}
    ended = check(*options, accounts={**accounts, "hub": HUB, "wrong": WRONG, "own": OWN})
    shown = ended.out + ended.err
    secrets = issued(cloud)
    assert ended.code == 1
    assert len(secrets) > 12
    assert [secret for secret in secrets if secret in shown] == []


# How it is asked for


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--live", "--without-secrets"), "--live needs the secrets: it can't go with --without-secrets"),
        (("--json",), "--json shows what --live finds: give that too"),
    ],
    ids=["without secrets", "json of nothing"],
)
def test_options_that_make_no_sense_together_are_a_usage_error(
    check: Check, cloud: Cloud, options: tuple[str, ...], text: str
) -> None:
    ended = check.ecrmint("check", "--config", str(check.path), *options)
    assert (ended.code, ended.out, cloud.calls) == (2, "", [])
    assert ended.err.splitlines()[-1] == f"Error: {text}"


def test_a_refused_configuration_asks_no_cloud(check: Check, cloud: Cloud) -> None:
    ended = check(accounts={"prod": PROD.replace("role_arn", "role_arm")})
    assert (ended.code, ended.out, cloud.calls) == (2, "", [])


def test_with_json_a_warning_goes_elsewhere_and_still_fails_a_strict_check(check: Check) -> None:
    check.granted = ["prod"]
    ended = check("--json", "--strict", accounts={"hub": HUB, "prod": PROD})
    assert ended.code == 1
    assert ended.err == f"warning    {check.path}: accounts.hub: no rule grants it\n"
    assert all(account["ok"] for account in json.loads(ended.out)["accounts"].values())


def test_progress_is_for_a_terminal_alone(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(accounts={"hub": HUB}).err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert check(accounts={"hub": HUB, "prod": PROD}).err == (
        "\r\x1b[K0 of 2 logins tried\r\x1b[K1 of 2 logins tried\r\x1b[K"
    )
