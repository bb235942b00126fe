"""What a source file imports and calls, read from its text."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "ecrmint"
UNITS = frozenset(path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())


def modules() -> dict[str, str]:
    """Return each module's name below the package (``minters.ecr``, ``minters`` for its ``__init__``) and its text."""
    paths = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
    named = {".".join(parts).removesuffix(".__init__"): path for parts, path in paths.items()}
    return {name: path.read_text(encoding="utf-8") for name, path in named.items()}


def imported(text: str) -> Iterator[str]:
    """Give the dotted name of everything that is imported, inside functions too. All our imports are absolute."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(text: str) -> Iterator[str]:
    """Give what is imported of the package, named below it: ``minters.ecr.EcrAccount``, ``__init__`` for itself."""
    for name in imported(text):
        if name == "ecrmint" or name.startswith("ecrmint."):
            below = name.removeprefix("ecrmint").removeprefix(".")
            yield below if unit(below) in UNITS else "__init__"


def unit(name: str) -> str:
    """Return the module or sub-package right below the package that a name belongs to."""
    return name.partition(".")[0]


def called(text: str) -> Iterator[str]:
    """Give the last part of each called name: ``now`` of ``datetime.now(UTC)``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.func.id if isinstance(node.func, ast.Name) else node.func.attr
