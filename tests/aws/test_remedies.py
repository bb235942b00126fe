"""What ``check --live`` says to do, done: an emulator that nobody here wrote gives the login after it."""

import json
from collections.abc import Iterator

import pytest
from support import parts
from support.emulator import Emulator, root
from support.identity import become
from support.ministack import ministack

from ecrmint import live, settings
from ecrmint.live import Report
from ecrmint.remedies import Remedy, remedies
from ecrmint.standin.cloud import AccessKey
from ecrmint.tokens import Secret

OURS, THEIRS = "111111111111", "222222222222"
USER = f"arn:aws:iam::{OURS}:user/bare"
ROLE = f"arn:aws:iam::{THEIRS}:role/fresh"
HOST = f"{THEIRS}.dkr.ecr.eu-west-1.amazonaws.com"
CONFIG = """
secrets: [{{name: main, value: 0123456789abcdef0123456789abcdef}}]
accounts:
  prod: {{type: ecr, registries: [{host}], role_arn: "{role}", external_id: drone, session_tags: [repo]}}
rules: [{{name: all, repos: ["**"], accounts: [prod]}}]
endpoints: {{sts: "{url}", ecr: "{url}", registries: {{{host}: "{url}"}}}}
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Yield an account of ours with a user that may do nothing, and one of theirs with a role that trusts nobody."""
    parts.require()
    with ministack(tmp_path_factory.mktemp("ministack")) as url:
        theirs = Emulator(url, root(THEIRS))
        trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": THEIRS}})
        theirs.call("iam", "create_role", theirs.key, RoleName="fresh", AssumeRolePolicyDocument=trust)
        ours = Emulator(url, root(OURS))
        ours.call("iam", "create_user", ours.key, UserName="bare")
        made = ours.call("iam", "create_access_key", ours.key, UserName="bare")["AccessKey"]
        assert isinstance(made, dict)
        yield Emulator(url, AccessKey(made["AccessKeyId"], Secret(made["SecretAccessKey"]), USER, USER))


class Iam:
    """Both accounts' policies; each grows by what it is told to add."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._statements: dict[str, list[object]] = {}

    def add(self, remedy: Remedy) -> None:
        """Add a statement where the remedy says that it goes."""
        statements = self._statements.setdefault(remedy.place, [])
        statements.append(remedy.content)
        text, call = document(*statements), self._emulator.call
        match remedy.place.rpartition(" ")[::2]:
            case ("the trust policy of", arn) if arn == ROLE:
                call("iam", "update_assume_role_policy", root(THEIRS), RoleName="fresh", PolicyDocument=text)
            case ("a policy of", arn) if arn == ROLE:
                call("iam", "put_role_policy", root(THEIRS), RoleName="fresh", PolicyName="p", PolicyDocument=text)
            case ("a policy of", arn) if arn == USER:
                call("iam", "put_user_policy", root(OURS), UserName="bare", PolicyName="p", PolicyDocument=text)
            case place:
                raise AssertionError(place)


def document(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def walk(url: str) -> Report:
    config = settings.parse(CONFIG.format(host=HOST, role=ROLE, url=url))
    (report,) = live.follow([*live.walks(config, live.Clocks())])
    return report


def test_each_refusal_is_answered_by_what_ends_it(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, emulator.key)
    iam, met, report = Iam(emulator), list[str](), walk(emulator.url)
    while report.error is not None and report.error.code not in met:
        met.append(report.error.code)
        for remedy in remedies(report.error, provider="ecr", caller=report.caller):
            iam.add(remedy)
        report = walk(emulator.url)
    assert (report.error, met) == (None, ["trust_denied", "tag_session_denied", "registry_denied"])
