"""docs/aws.md: every policy, command and snippet of it is well-formed, and they fit each other and the program."""

import importlib
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

import botocore.session
import click
import pytest
import yaml
from botocore import xform_name
from support import hcl
from support.document import Block, anchors, blocks
from support.repository import ROOT

from ecrmint.cli import COMMANDS
from ecrmint.errors import EcrmintError, LoginRefusedError, MintError, TrustDeniedError
from ecrmint.minters._aws.session_policy import PUBLIC_ACTIONS, Access, session_policy
from ecrmint.telemetry import Metrics

PAGE: Final = ROOT / "docs" / "aws.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
POLICIES: Final = {block.name: block for block in blocks(PAGE, "json")}
OWN: Final = "arn:aws:iam::111122223333:role/ecrmint"
PROD: Final = "123456789012"
PLACEHOLDERS: Final = {"111122223333", "123456789012", "210987654321", "444455556666"}
ROLES: Final = {"ecrmint", "drone-pull", "ci-entrance", "OrganizationAccountAccessRole"}

REPOSITORY: Final = r"arn:aws:ecr:(\*|[a-z0-9-]+):[0-9]{12}:repository/[a-z0-9*/-]+"
ROLE: Final = r"arn:aws:iam::([0-9]{12}|\*):role/[\w-]+"
# Which resources an action takes. Source: Service Authorization Reference; None: it stands in trust policies alone.
ACTIONS: Final[Mapping[str, str | None]] = {
    "*": r"\*",
    "ecr-public:GetAuthorizationToken": r"\*",
    "ecr:BatchCheckLayerAvailability": REPOSITORY,
    "ecr:BatchGetImage": REPOSITORY,
    "ecr:BatchImportUpstreamImage": REPOSITORY,
    "ecr:CreateRepository": REPOSITORY,
    "ecr:GetAuthorizationToken": r"\*",
    "ecr:GetDownloadUrlForLayer": REPOSITORY,
    "sts:AssumeRole": ROLE,
    "sts:AssumeRoleWithWebIdentity": None,
    "sts:GetServiceBearerToken": r"\*",
    "sts:SetSourceIdentity": ROLE,
    "sts:TagSession": ROLE,
}
CONDITIONS: Final = {
    ("ArnLike", "aws:SourceArn"): r"arn:aws:ecs:[a-z0-9-]+:[0-9]{12}:\*",
    ("DateLessThan", "aws:TokenIssueTime"): r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    ("StringEquals", "aws:SourceAccount"): r"[0-9]{12}",
    ("StringEquals", "sts:ExternalId"): r"drone",
    ("StringEquals", "ISSUER:aud"): r"sts\.amazonaws\.com",
    ("StringEquals", "ISSUER:sub"): r"system:serviceaccount:drone:ecrmint",
}
PRINCIPALS: Final = {
    "AWS": ROLE,
    "Federated": r"arn:aws:iam::[0-9]{12}:oidc-provider/[\w./-]+",
    "Service": r"(pods\.eks|ec2|ecs-tasks)\.amazonaws\.com",
}
OTHER_COMMANDS: Final = {"date", "docker", "kubectl"}
GLOBAL_OPTIONS: Final = {"--output", "--profile", "--query", "--region"}  # of the AWS CLI


def policy(name: str) -> Any:
    return json.loads(POLICIES[name].text)


def statements() -> list[Any]:
    found = [(name, statement) for name in POLICIES for statement in policy(name)["Statement"]]
    return [pytest.param(statement, id=f"{name}-{statement['Sid']}") for name, statement in found]


def several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions(document: Any) -> set[str]:
    return {action for statement in document["Statement"] for action in several(statement["Action"])}


def yamls() -> list[Any]:
    return [yaml.safe_load(block.text) for block in blocks(PAGE, "yaml")]


def accounts() -> list[Any]:
    return [account for document in yamls() for account in document.get("accounts", {}).values()]


def commands(block: Block) -> list[list[str]]:
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def option(member: str) -> str:
    return f"--{xform_name(member, '-')}"


def of_program(name: str) -> list[Any]:
    found = [words for block in blocks(PAGE, "sh") for words in commands(block) if words[0] == name]
    return [pytest.param(words, id=" ".join(words[:4])) for words in found]


def test_every_policy_has_a_file_name_of_its_own() -> None:
    names = [block.name for block in blocks(PAGE, "json")]
    assert sorted(names) == sorted(set(names) - {""})


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_one_of_the_current_language_with_distinct_statements(name: str) -> None:
    document = policy(name)
    assert document.keys() == {"Version", "Statement"}
    assert document["Version"] == "2012-10-17"
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert [re.fullmatch("[A-Za-z0-9]+", sid) is not None for sid in sids] == [True] * len(set(sids))


@pytest.mark.parametrize("statement", statements())
def test_a_statement_trusts_somebody_or_permits_something(statement: Any) -> None:
    one_of = {"Principal", "Resource"} & statement.keys()
    assert len(one_of) == 1
    assert statement.keys() - {"Condition"} == {"Sid", "Effect", "Action"} | one_of
    assert statement["Effect"] in {"Allow", "Deny"}


@pytest.mark.parametrize("statement", statements())
def test_an_action_exists_and_takes_the_resources_beside_it(statement: Any) -> None:
    for action in several(statement["Action"]):
        pattern = ACTIONS[action]
        if "Resource" in statement:
            assert pattern is not None
            assert [text for text in several(statement["Resource"]) if not re.fullmatch(pattern, text)] == []


@pytest.mark.parametrize("statement", statements())
def test_nothing_but_a_deny_names_every_action(statement: Any) -> None:
    assert ("*" in several(statement["Action"])) == (statement["Effect"] == "Deny")


@pytest.mark.parametrize("statement", statements())
def test_a_principal_and_its_conditions_are_well_formed(statement: Any) -> None:
    principal = statement.get("Principal", {})
    for kind, who in principal.items():
        assert re.fullmatch(PRINCIPALS[kind], who)
    issuer = principal.get("Federated", "").partition("oidc-provider/")[2]
    for operator, pairs in statement.get("Condition", {}).items():
        for key, value in pairs.items():
            known = key.replace(issuer, "ISSUER") if issuer else key
            assert re.fullmatch(CONDITIONS[operator, known], value)


@pytest.mark.parametrize("name", [name for name in POLICIES if re.search("trust-(irsa|gke)", name)])
def test_a_web_identity_is_bound_to_a_service_account_and_an_audience(name: str) -> None:
    (statement,) = policy(name)["Statement"]
    keys = {key.rpartition(":")[2] for key in statement["Condition"]["StringEquals"]}
    assert keys == {"aud", "sub"}


def test_accounts_and_roles_are_the_ones_that_the_page_introduces() -> None:
    assert set(re.findall(r"(?<![\da-f])\d{12}(?!\d)", TEXT)) == PLACEHOLDERS
    assert set(re.findall(r"arn:aws[a-z-]*:iam::[^:]*:role/([\w-]+)", TEXT)) - {"NAME"} == ROLES


def test_the_caller_may_assume_the_roles_of_the_configurations() -> None:
    (statement,) = policy("ecrmint-permissions.json")["Statement"]
    (marked,) = policy("ecrmint-permissions-marked.json")["Statement"]
    hosts = [host for account in accounts() if account.get("role") for host in account["registries"]]
    named = {account["role_arn"] for account in accounts() if "arn:aws:" in account.get("role_arn", "")}
    named |= {f"arn:aws:iam::{host.partition('.')[0]}:role/drone-pull" for host in hosts}
    assert set(statement["Resource"]) == named
    assert marked["Resource"] == statement["Resource"]


def test_configurations_send_the_external_id_that_the_trust_policy_asks_for() -> None:
    (trust,) = policy("drone-pull-trust.json")["Statement"]
    asked = trust["Condition"]["StringEquals"]["sts:ExternalId"]
    assert trust["Principal"] == {"AWS": OWN}
    ours = [account for account in accounts() if account.get("role") or "arn:aws:" in account.get("role_arn", "")]
    assert {account["external_id"] for account in ours} == {asked}


@pytest.mark.parametrize(
    ("access", "name"),
    [("pull", "drone-pull-permissions.json"), ("pull-through", "drone-pull-permissions-pull-through.json")],
)
def test_a_narrowed_login_may_do_what_the_role_may(access: Access, name: str) -> None:
    narrowed = session_policy(partition="aws", region="eu-west-1", accounts=[PROD], repositories=["*"], access=access)
    assert actions(json.loads(narrowed)) == actions(policy(name))


def test_a_public_login_needs_what_the_page_permits() -> None:
    (statement,) = policy("ecr-public-permissions.json")["Statement"]
    assert sorted(statement["Action"]) == sorted(PUBLIC_ACTIONS)


def test_marks_are_permitted_on_both_sides() -> None:
    trusted, caller = policy("drone-pull-trust-marked.json")["Statement"][1], policy("ecrmint-permissions-marked.json")
    assert set(trusted["Action"]) | {"sts:AssumeRole"} == set(caller["Statement"][0]["Action"])


def test_kubernetes_objects_are_the_service_account_that_aws_trusts() -> None:
    objects = [document for document in yamls() if "kind" in document]
    assert [(thing["apiVersion"], thing["kind"]) for thing in objects] == [("v1", "ServiceAccount"), ("v1", "Pod")]
    service_account, pod = objects
    assert service_account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": OWN}
    subject = re.compile(CONDITIONS["StringEquals", "ISSUER:sub"])
    assert subject.fullmatch("system:serviceaccount:{namespace}:{name}".format(**service_account["metadata"]))
    assert pod["metadata"]["namespace"] == service_account["metadata"]["namespace"]
    assert pod["spec"]["serviceAccountName"] == service_account["metadata"]["name"]


def test_the_projected_token_is_the_file_and_for_the_audience_that_the_other_sides_name() -> None:
    (pod,) = [document for document in yamls() if document.get("kind") == "Pod"]
    (container,), (volume,) = pod["spec"]["containers"], pod["spec"]["volumes"]
    (mount,), (source,) = container["volumeMounts"], volume["projected"]["sources"]
    token = source["serviceAccountToken"]
    files = {account["web_identity_token_file"] for account in accounts() if "web_identity_token_file" in account}
    assert files == {f"{mount['mountPath']}/{token['path']}"}
    assert mount["name"] == volume["name"]
    assert re.fullmatch(CONDITIONS["StringEquals", "ISSUER:aud"], token["audience"])


def test_commands_are_of_known_programs_and_name_files_of_the_page() -> None:
    words = [words for block in blocks(PAGE, "sh") for words in commands(block)]
    assert {line[0] for line in words} == OTHER_COMMANDS | {"aws", "ecrmint"}
    named = {word.removeprefix("file://") for line in words for word in line if word.startswith("file://")}
    assert named - POLICIES.keys() == set()


@pytest.mark.parametrize("words", of_program("ecrmint"))
def test_an_ecrmint_command_has_the_options_of_the_page(words: list[str]) -> None:
    assert words[1] in COMMANDS
    command = importlib.import_module(f"ecrmint.commands.{words[1]}").command
    known = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    assert {word for word in words if word.startswith("--")} - known == set()


@pytest.mark.parametrize("words", of_program("aws"))
def test_an_aws_command_is_an_operation_with_the_parameters_it_needs(words: list[str]) -> None:
    model = botocore.session.get_session().get_service_model(words[1])
    names = {xform_name(name, "-"): name for name in model.operation_names}
    shape = model.operation_model(names[words[2]]).input_shape
    assert shape is not None
    given = {word for word in words if word.startswith("--")} - GLOBAL_OPTIONS
    assert given - {option(name) for name in shape.members} == set()
    assert {option(name) for name in shape.required_members} - given == set()


def test_hcl_is_balanced_and_uses_nothing_but_what_it_declares() -> None:
    for block in blocks(PAGE, "hcl"):
        assert hcl.is_balanced(block.text)
        assert set(re.findall(r"\bvar\.(\w+)", block.text)) == set(re.findall(r'^variable "(\w+)"', block.text, re.M))
    module, root = blocks(PAGE, "hcl")
    assert (module.name, root.name) == ("modules/drone-pull/main.tf", "main.tf")
    call = root.text.partition('module "drone_pull"')[2].partition("\n}")[0]
    arguments = set(re.findall(r"^  (\w+) +=", call, re.M)) - {"source", "for_each", "providers"}
    assert arguments == set(re.findall(r'^variable "(\w+)"', module.text, re.M))


def test_the_module_makes_the_documented_role() -> None:
    module, _ = blocks(PAGE, "hcl")
    values = {
        "var.caller": OWN,
        "var.external_id": "drone",
        "data.aws_partition.here.partition": "aws",
        "data.aws_caller_identity.here.account_id": PROD,
    }
    assert hcl.policies(module.text, values) == [policy("drone-pull-trust.json"), policy("drone-pull-permissions.json")]


def test_the_root_gives_the_caller_the_documented_permissions() -> None:
    _, root = blocks(PAGE, "hcl")
    documented = policy("ecrmint-permissions.json")
    resources = documented["Statement"][0]["Resource"]
    loop = '[for account in var.accounts : "arn:aws:iam::${account}:role/drone-pull"]'
    assert root.text.count(loop) == 1
    assert hcl.policies(root.text.replace(loop, json.dumps(resources)), {}) == [documented]


def test_links_of_the_page_have_headings() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) - anchors(TEXT) == set()


def test_every_error_of_a_mint_has_its_row() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| [^|]+ \|$", TEXT, re.M)
    kinds: list[type[EcrmintError]] = [
        LoginRefusedError,
        *MintError.__subclasses__(),
        *TrustDeniedError.__subclasses__(),
    ]
    assert sorted(rows) == sorted(kind.code for kind in kinds)


def test_metrics_of_the_page_exist() -> None:
    names = {family.name for family in Metrics().registry.collect()}
    assert {name.removesuffix("_total") for name in re.findall(r"ecrmint_\w+", TEXT)} - names == set()


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md"])
def test_the_page_is_linked(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = {(ROOT / page).parent / target for target in re.findall(r"\]\(([\w./]+)(?:#[\w-]+)?\)", text)}
    assert PAGE in targets
