"""pydantic's errors in an operator's words: where, what was found, what is allowed; never a text that may be secret."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import NoneType, UnionType
from typing import Annotated, Final, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ecrmint.errors import Problem
from ecrmint.fields import SecretSource
from ecrmint.tokens import Secret
from ecrmint.yamlfile import Path, YamlFile, dotted, kind, looks_random, show_name

_LONGEST_SHOWN: Final = 60  # characters of a value in a message
_LARGEST_SHOWN: Final = 100_000  # a port or a count; a larger number may be a password
_MOST_LISTED: Final = 30
_FEW: Final = 4
_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "text: put quotes around it",
    "is_instance_of": "text: put quotes around it",  # a Secret, which only text becomes
    "bool_type": "true or false",
    "int_type": "a whole number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "literal_error": "{expected}",
    "greater_than_equal": "{ge:g}{unit} or more",
    "less_than_equal": "{le:g}{unit} or less",
    "too_short": "at least {min_length} in it",
}


@dataclass(frozen=True, slots=True)
class Complaints:
    """Collects problems and gives each its place. ``origins``: the variable that a value is from, if not the file."""

    file: YamlFile
    origins: Mapping[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def add(self, path: Path, message: str, *, at: Path | None = None) -> None:
        """Note a problem; ``at`` is its place where that is not the path's."""
        self.problems.append(self._problem(path, message, at or path))

    def warn(self, path: Path, message: str) -> None:
        """Note what is allowed, and probably not meant."""
        self.warnings.append(self._problem(path, message, path))

    def _problem(self, path: Path, message: str, at: Path) -> Problem:
        for origin, variable in self.origins.items():
            if path[: len(origin)] == origin:
                return Problem(variable, message)
        line, column = self.file.place(at)
        return Problem(dotted(path), message, line, column)

    def add_invalid(self, error: ValidationError, *, model: type[BaseModel], data: object) -> None:
        """Note everything that pydantic found while it made the ``model`` of the data."""
        for detail in error.errors(include_url=False, include_input=False):
            spot = parent = _Spot((), model)
            for part in detail["loc"]:
                parent, spot = spot, spot.step(part)
            if detail["type"] == "extra_forbidden":
                # A key in a secret's place may be the secret itself.
                self.add(parent.path if parent.secret else spot.path, _unknown(spot, parent), at=spot.path)
            elif detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
                tag = (*spot.path, "type")
                self.add(tag, not_among(_value(data, tag), spot.allowed()))
            else:
                value = spot.path[-1] if detail["loc"][-1:] == ("[key]",) else _value(data, spot.path)
                self.add(spot.path, _message(detail, spot, value))


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place in the configuration and the type that belongs there. ``secret``: nothing in it may be shown."""

    path: Path
    annotation: object
    secret: bool = False

    def step(self, part: str | int) -> "_Spot":
        """Go one part of pydantic's location further; a union's part names a type, and is not in the file."""
        if part == "[key]":
            return self
        members = _members(self.annotation)
        if len(members) > 1:
            return replace(self, annotation=next((each for each in members if part in _tags(each)), None))
        inner = _inner(_bare(self.annotation), part)
        return _Spot((*self.path, part), inner, self.secret or _holds_secret(inner))

    def allowed(self) -> list[str]:
        """Return the keys that a mapping may have here, or the types where there are several."""
        members = _members(self.annotation)
        if len(members) > 1:
            return [tag for each in members for tag in _tags(each)]
        bare = _bare(self.annotation)
        return list(bare.model_fields) if _is_model(bare) else []


def describe(value: object) -> str:
    """Return a short harmless value as it is, else only what kind of thing it is."""
    if isinstance(value, str) and len(value) <= _LONGEST_SHOWN and not looks_random(value):
        return repr(value)
    if isinstance(value, int) and abs(value) < _LARGEST_SHOWN:
        return str(value).lower()
    return kind(value)


def known(name: str, names: Sequence[str]) -> str:
    """Return the end of a message about a name that is not one of ``names``: the nearest of them, and all."""
    shown = [show_name(each) for each in names]
    near = difflib.get_close_matches(name, shown, 1)
    guess = f"did you mean {near[0]}? " if near else ""
    listed = [*shown[:_MOST_LISTED], "..."] if len(shown) > _MOST_LISTED else shown
    return f"{guess}allowed here: {', '.join(listed) or 'none'}"


def not_among(value: object, names: Sequence[str]) -> str:
    """Return the message about a value that should be one of ``names``."""
    if value is None:
        return f"is missing, and required; {known('', names)}"
    return f"found {describe(value)}; {known(str(value), names)}"


def _unknown(spot: _Spot, parent: _Spot) -> str:
    return f"unknown key; {known(str(spot.path[-1]), parent.allowed())}"


def _message(detail: ErrorDetails, spot: _Spot, value: object) -> str:
    context = detail.get("ctx", {})
    found = kind(value) if spot.secret else describe(value)
    match detail["type"]:
        case "missing":
            return "is missing, and required"
        case "value_error":
            text = str(context["error"])
            return f"found {found}, {text}" if text.startswith("expected ") and not isinstance(value, dict) else text
        case "model_type" | "model_attributes_type":
            what = "a type:" if len(_members(spot.annotation)) > 1 else "keys such as"
            return f"found {found}, expected a mapping with {what} {', '.join(spot.allowed()[:_FEW])}"
        case name if name in _EXPECTED:
            unit = " seconds" if isinstance(value, str) else ""  # what a duration is once it is read
            return f"found {found}, expected {_EXPECTED[name].format(**context, unit=unit)}"
    return f"found {found}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _value(data: object, path: Path) -> object:
    for part in path:
        if isinstance(data, tuple) and isinstance(part, int):
            data = data[part]
        else:
            data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _members(annotation: object) -> list[object]:
    """Return the types of a union, without None; a single type is a list of one."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for member in get_args(annotation) if member is not NoneType]
    return [annotation]


def _bare(annotation: object) -> object:
    members = _members(annotation)
    return annotation if members in ([], [annotation]) else _bare(members[0])


def _inner(annotation: object, part: str | int) -> object:
    if _is_model(annotation):
        found = annotation.model_fields.get(str(part))
        return found.annotation if found is not None else None
    arguments = get_args(annotation)
    return arguments[-1 if get_origin(annotation) is dict else 0] if arguments else None


def _tags(member: object) -> tuple[str, ...]:
    bare = _bare(member)
    if not _is_model(bare) or "type" not in bare.model_fields:
        return ()
    annotation = bare.model_fields["type"].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _holds_secret(annotation: object) -> bool:
    bare = _bare(annotation)
    if get_origin(bare) is tuple:
        return _holds_secret(get_args(bare)[0])
    return isinstance(bare, type) and issubclass(bare, SecretSource | Secret)
