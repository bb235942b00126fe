"""docs/google.md: every command, file and snippet of it is well-formed, and they fit each other and the program."""

import importlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml
from support.document import Block, anchors, blocks
from support.repository import ROOT

from ecrmint.cli import COMMANDS
from ecrmint.errors import (
    EcrmintError,
    LoginRefusedError,
    MintError,
    PolicyTooLargeError,
    RegionDisabledError,
    RegistryDeniedError,
    WrongIdentityError,
)
from ecrmint.minters._base import Endpoints
from ecrmint.minters._google.hosts import universe_of
from ecrmint.minters.google import GoogleAccount
from ecrmint.telemetry import Metrics
from ecrmint.tokens import Secret

PAGE: Final = ROOT / "docs" / "google.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
FILES: Final = {block.name: block for block in blocks(PAGE, "json")}
POOLS: Final = "iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools"
SUBJECT: Final = "system:serviceaccount:drone:ecrmint"
ROLES: Final = {
    "roles/artifactregistry.reader",
    "roles/iam.serviceAccountTokenCreator",
    "roles/iam.workloadIdentityUser",
}
EMAIL: Final = r"(ecrmint|ci-entrance|drone-pull(-team-[ab])?)@acme(\.s3ns)?\.iam\.gserviceaccount\.com"
# How IAM calls who is given a role. Source: Google IAM docs, "Principal identifiers".
MEMBERS: Final = (
    rf"serviceAccount:{EMAIL}",
    r"serviceAccount:acme\.svc\.id\.goog\[drone/ecrmint\]",
    rf"principal://{re.escape(POOLS)}/acme\.svc\.id\.goog/subject/ns/drone/sa/ecrmint",
    rf"principal://{re.escape(POOLS)}/acme-ci/subject/{SUBJECT}",
    rf"principalSet://{re.escape(POOLS)}/acme-ci/attribute\.aws_role/arn:aws:sts::111122223333:assumed-role/ecrmint",
)
PROVIDERS: Final = "iam workload-identity-pools providers"
OTHER_COMMANDS: Final = {"docker", "kubectl"}
GLOBAL_OPTIONS: Final = {"--project", "--format"}  # of gcloud
AWS_ONLY: Final[set[type[EcrmintError]]] = {
    PolicyTooLargeError,
    RegionDisabledError,
    RegistryDeniedError,
    WrongIdentityError,
}


@dataclass(frozen=True)
class Gcloud:
    """A command of gcloud as its reference has it: how many words follow it, and the options that it takes."""

    words: int
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


def gcloud(words: int, required: str = "", optional: str = "") -> Gcloud:
    def options(text: str) -> frozenset[str]:
        return frozenset(f"--{name}" for name in text.split())

    return Gcloud(words, options(required), options(optional))


_SOURCE = "aws output-file credential-source-file credential-source-url credential-source-headers"
GCLOUD: Final[Mapping[str, Gcloud]] = {
    "artifacts repositories add-iam-policy-binding": gcloud(1, "member role", "location condition"),
    "compute instances set-service-account": gcloud(1, "", "zone scopes service-account"),
    "container clusters update": gcloud(1, "", "location workload-pool"),
    "iam service-accounts add-iam-policy-binding": gcloud(1, "member role", "condition"),
    "iam service-accounts create": gcloud(1, "", "display-name description"),
    "iam service-accounts disable": gcloud(1),
    "iam service-accounts enable": gcloud(1),
    "iam service-accounts keys create": gcloud(1, "iam-account"),
    "iam service-accounts keys delete": gcloud(1, "iam-account"),
    "iam service-accounts keys list": gcloud(0, "iam-account"),
    "iam workload-identity-pools create": gcloud(1, "location", "display-name"),
    "iam workload-identity-pools create-cred-config": gcloud(
        1, "output-file", f"{_SOURCE} credential-source-type credential-source-field-name"
    ),
    "iam workload-identity-pools providers create-aws": gcloud(
        1, "location workload-identity-pool account-id", "attribute-condition attribute-mapping"
    ),
    "iam workload-identity-pools providers create-oidc": gcloud(
        1, "location workload-identity-pool issuer-uri attribute-mapping", "attribute-condition allowed-audiences"
    ),
    "iam workload-identity-pools update": gcloud(1, "location", "disabled"),
    "logging read": gcloud(1, "", "limit"),
    "org-policies set-policy": gcloud(1),
    "services enable": gcloud(2),
}


def commands(block: Block) -> list[list[str]]:
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def of_program(name: str) -> list[Any]:
    found = [words for block in blocks(PAGE, "sh") for words in commands(block) if words[0] == name]
    return [pytest.param(words, id=f"{number} {' '.join(words[1:5])}") for number, words in enumerate(found)]


def lines(prefix: str) -> list[tuple[list[str], dict[str, str]]]:
    """Return the words and options of each gcloud command that starts so."""
    found = [param.values[0] for param in of_program("gcloud")]
    return [split(words, prefix) for words in found if " ".join(words[1:]).startswith(f"{prefix} ")]


def split(words: list[str], prefix: str) -> tuple[list[str], dict[str, str]]:
    rest = words[1 + len(prefix.split()) :]
    options = dict(word.partition("=")[::2] for word in rest if word.startswith("--"))
    return [word for word in rest if not word.startswith("--")], options


def known(words: list[str]) -> str:
    text = " ".join(words[1:])
    return max((name for name in GCLOUD if f"{text} ".startswith(f"{name} ")), key=len)


def content(name: str) -> Any:
    return json.loads(FILES[name].text)


def yamls() -> list[Any]:
    return [yaml.safe_load(block.text) for block in blocks(PAGE, "yaml")]


def accounts() -> list[Any]:
    found = [account for document in yamls() for account in document.get("accounts", {}).values()]
    return [account for account in found if account["type"] == "google"]


def credentials() -> list[str]:
    return [name for name in FILES if content(name).get("type") == "external_account"]


@pytest.mark.parametrize("words", of_program("gcloud"))
def test_a_gcloud_command_is_one_of_the_reference(words: list[str]) -> None:
    command = GCLOUD[name := known(words)]
    positional, options = split(words, name)
    assert len(positional) == command.words
    assert command.required - options.keys() == set()
    assert options.keys() - command.required - command.optional - GLOBAL_OPTIONS == set()


@pytest.mark.parametrize("words", of_program("gcloud"))
def test_a_binding_gives_a_known_role_to_a_known_form_of_member(words: list[str]) -> None:
    _, options = split(words, known(words))
    if "--role" in options:
        assert options["--role"] in ROLES
        assert [form for form in MEMBERS if re.fullmatch(form, options["--member"])] != []


def test_roles_permissions_and_constraints_are_the_ones_that_exist() -> None:
    assert set(re.findall(r"roles/[\w.]+", TEXT)) == ROLES
    constraints = {"constraints/iam.allowServiceAccountCredentialLifetimeExtension"}
    assert set(re.findall(r"constraints/[\w.]+", TEXT)) == constraints


def test_reader_is_given_on_repositories_alone_and_token_creator_on_accounts() -> None:
    readers = [options["--role"] for _, options in lines("artifacts repositories add-iam-policy-binding")]
    impersonators = [options["--role"] for _, options in lines("iam service-accounts add-iam-policy-binding")]
    assert set(readers) == {"roles/artifactregistry.reader"}
    assert set(impersonators) == ROLES - set(readers)
    assert "gcloud projects" not in TEXT


def test_projects_accounts_and_pools_are_the_ones_that_the_page_introduces() -> None:
    assert set(re.findall(r"(?<![\da-f])\d{12}(?!\d)", TEXT)) == {"123456789012", "111122223333"}
    emails = re.findall(r"[\w-]+@[\w.-]+gserviceaccount\.com", TEXT)
    assert [email for email in emails if not re.fullmatch(EMAIL, email)] == []
    assert set(re.findall(r"workloadIdentityPools/([\w.-]+)", TEXT)) == {"acme-ci", "acme.svc.id.goog"}
    made = {positional[0] for kind in ("aws", "oidc") for positional, _ in lines(f"{PROVIDERS} create-{kind}")}
    assert made | {"jobs"} == set(re.findall(r"/providers/([\w-]+)", TEXT))


def test_every_file_has_a_name_of_its_own() -> None:
    names = [block.name for block in blocks(PAGE, "json")]
    assert sorted(names) == sorted(set(names) - {""})


def test_every_account_that_pulls_has_somebody_who_may_act_as_it() -> None:
    pulled = {account["service_account"] for account in accounts() if "service_account" in account}
    given = {positional[0] for positional, _ in lines("iam service-accounts add-iam-policy-binding")}
    others = {email for email in pulled if "team" in email or "s3ns" in email}  # the page says how, once
    assert pulled - others - given == set()


@pytest.mark.parametrize("name", credentials())
def test_a_credentials_file_has_googles_form(name: str) -> None:
    file = content(name)
    assert file.keys() == {"type", "audience", "subject_token_type", "token_url", "credential_source"}
    assert re.fullmatch(rf"//{re.escape(POOLS)}/acme-ci/providers/[a-z-]{{4,32}}", file["audience"])
    assert file["token_url"] == "https://sts.googleapis.com/v1/token"
    kind = "aws:token-type:aws4_request" if "environment_id" in file["credential_source"] else "oauth:token-type:jwt"
    assert file["subject_token_type"] == f"urn:ietf:params:{kind}"
    assert len({"file", "url", "environment_id"} & file["credential_source"].keys()) == 1


@pytest.mark.parametrize("name", credentials())
def test_a_credentials_file_is_what_its_command_writes(name: str) -> None:
    file = content(name)
    found = lines("iam workload-identity-pools create-cred-config")
    ((resource,), options) = next(line for line in found if line[1]["--output-file"] == name)
    assert file["audience"] == f"//iam.googleapis.com/{resource}"
    source = file["credential_source"]
    assert options.get("--credential-source-file") == source.get("file")
    assert options.get("--credential-source-url") == source.get("url")
    assert ("--aws" in options) == ("environment_id" in source)
    headers = ",".join(f"{key}={value}" for key, value in source.get("headers", {}).items())
    assert options.get("--credential-source-headers", "") == headers
    kind = source.get("format", {"type": "text"})
    assert options.get("--credential-source-type", "text") == kind["type"]
    assert options.get("--credential-source-field-name") == kind.get("subject_token_field_name")


@pytest.mark.parametrize("name", credentials())
def test_a_credentials_file_is_taken_with_the_configuration_beside_it(name: str) -> None:
    settings = next(account for account in accounts() if account.get("credentials_file", "").endswith(f"/{name}"))
    account = GoogleAccount.model_validate_json(json.dumps(settings))
    account.check_secret("credentials_file", Secret(FILES[name].text), Endpoints())


def test_configurations_name_the_files_of_the_page_and_allow_their_urls() -> None:
    named = {Path(account["credentials_file"]).name: account for account in accounts() if "credentials_file" in account}
    keys = {positional[0] for positional, _ in lines("iam service-accounts keys create")}
    assert named.keys() == {*credentials(), *keys}
    for name in credentials():
        url = content(name)["credential_source"].get("url")
        assert named[name].get("subject_token_urls", []) == ([url] if url else [])


def test_the_pods_token_is_the_file_and_for_the_audience_that_the_other_sides_name() -> None:
    (pod,) = [document for document in yamls() if document.get("kind") == "Pod"]
    (container,), (volume,) = pod["spec"]["containers"], pod["spec"]["volumes"]
    (mount,), (source,) = container["volumeMounts"], volume["projected"]["sources"]
    token, file = source["serviceAccountToken"], content("cluster.json")
    assert file["credential_source"]["file"] == f"{mount['mountPath']}/{token['path']}"
    assert mount["name"] == volume["name"]
    assert token["audience"] == f"https:{file['audience']}"
    metadata = pod["metadata"]
    assert f"system:serviceaccount:{metadata['namespace']}:{pod['spec']['serviceAccountName']}" == SUBJECT
    (_, options) = lines(f"{PROVIDERS} create-oidc")[0]
    assert options["--attribute-condition"] == f"assertion.sub == '{SUBJECT}'"


def test_the_annotation_is_the_account_that_knows_the_pod() -> None:
    (thing,) = [document for document in yamls() if document.get("kind") == "ServiceAccount"]
    email = thing["metadata"]["annotations"]["iam.gke.io/gcp-service-account"]
    member = "serviceAccount:acme.svc.id.goog[{namespace}/{name}]".format(**thing["metadata"])
    bindings = [
        (words[0], options["--member"]) for words, options in lines("iam service-accounts add-iam-policy-binding")
    ]
    assert (email, member) in bindings


def test_the_longer_life_is_allowed_to_an_account_whose_configuration_asks_for_it() -> None:
    policy = content("lifetime-policy.json")
    (rule,) = policy["spec"]["rules"]
    assert policy["name"].startswith("projects/acme/policies/")
    assert f"constraints/{policy['name'].rpartition('/')[2]}" in TEXT
    longer = {account["service_account"] for account in accounts() if "lifetime" in account}
    assert rule == {"values": {"allowedValues": sorted(longer)}}
    assert lines("org-policies set-policy")[0][0] == ["lifetime-policy.json"]


def test_each_delegate_is_bound_to_the_next_account() -> None:
    (account,) = [account for account in accounts() if "delegates" in account]
    chain = [*account["delegates"], account["service_account"]]
    bindings = [
        (words[0], options["--member"]) for words, options in lines("iam service-accounts add-iam-policy-binding")
    ]
    members = [f"serviceAccount:{email}" for email in ("ecrmint@acme.iam.gserviceaccount.com", *chain)]
    assert [pair for pair in zip(chain, members, strict=False) if pair not in bindings] == []


def test_hosts_of_the_table_are_googles_and_the_mirror_is_none() -> None:
    section = TEXT.partition("\n## Hosts\n")[2].partition("\n### ")[0]
    hosts = [host for row in re.findall(r"^\| (`.+`) \|", section, re.M) for host in re.findall(r"`([^`]+)`", row)]
    assert [host for host in hosts if universe_of(host) is None] == []
    assert universe_of("mirror.gcr.io") is None


def test_commands_are_of_known_programs() -> None:
    words = [words for block in blocks(PAGE, "sh") for words in commands(block)]
    assert {line[0] for line in words} == OTHER_COMMANDS | {"ecrmint", "gcloud"}


@pytest.mark.parametrize("words", of_program("ecrmint"))
def test_an_ecrmint_command_has_the_options_of_the_page(words: list[str]) -> None:
    assert words[1] in COMMANDS
    command = importlib.import_module(f"ecrmint.commands.{words[1]}").command
    options = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    assert {word for word in words if word.startswith("--")} - options == set()


def test_links_of_the_page_have_headings() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) - anchors(TEXT) == set()
    other = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(aws\.md#([^)]+)\)", TEXT)) - anchors(other) == set()


def test_every_error_that_google_can_cause_has_its_row() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| [^|]+ \|$", TEXT, re.M)
    kinds: list[type[EcrmintError]] = [LoginRefusedError, *MintError.__subclasses__()]
    assert sorted(rows) == sorted(kind.code for kind in kinds if kind not in AWS_ONLY)


def test_metrics_of_the_page_exist() -> None:
    names = {family.name for family in Metrics().registry.collect()}
    assert {name.removesuffix("_total") for name in re.findall(r"ecrmint_\w+", TEXT)} - names == set()


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md"])
def test_the_page_is_linked(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = {(ROOT / page).parent / target for target in re.findall(r"\]\(([\w./]+)(?:#[\w-]+)?\)", text)}
    assert PAGE in targets
