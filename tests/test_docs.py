"""The documents' YAML is a configuration that ecrmint takes, and no key of an account is left out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from ecrmint import settings
from ecrmint.minters import Account, AccountModel

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a block may leave out, because it is about something else.
REST = {
    "secrets": "[{name: main, value: 0123456789abcdef0123456789abcdef}]",
    "accounts": """
  hub: &static {type: static, registries: [docker.io], username: octocat, password: {value: hunter2}}
  prod: *static
  gar: *static""",
    "rules": "[]",
}


def blocks() -> Iterator[object]:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text()
        for match in BLOCK.finditer(text):
            if re.search("^kind:", match[1], re.MULTILINE):
                continue  # Drone's or Kubernetes' own
            line = text.count("\n", 0, match.start()) + 1
            yield pytest.param(match[1], id=f"{path.name}:{line}")


@pytest.mark.parametrize("block", [*blocks()])
def test_a_yaml_block_is_a_valid_configuration(block: str) -> None:
    rest = "".join(f"{key}: {value}\n" for key, value in REST.items() if f"\n{key}:" not in f"\n{block}")
    assert settings.parse(block + rest, with_secrets=False).source == "config"


@pytest.mark.parametrize("model", get_args(get_args(Account)[0]), ids=lambda model: model.__name__)
def test_every_key_of_an_account_is_described(model: type[AccountModel]) -> None:
    (kind,) = get_args(model.model_fields["type"].annotation)
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = re.split(r"^##", text.partition(f"### `type: {kind}`\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    assert [key for key in model.model_fields if key != "type" and not re.search(rf"\b{key}\b", section)] == []
