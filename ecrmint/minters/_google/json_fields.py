"""The fields of a credentials file's JSON, checked one by one: its texts may be secrets, so none is shown."""

import re
from collections.abc import Mapping
from typing import Final

_LONGEST: Final = 16 << 10  # characters


def text_of(content: Mapping[str, object], name: str) -> str:
    """Return a field that is a text, and not an empty one. Raises: ValueError."""
    value = content.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        raise ValueError(f"has no usable {name}, which is a text")
    return value


def matched(content: Mapping[str, object], name: str, pattern: re.Pattern[str], *, form: str) -> str:
    """Return a field that a pattern matches as a whole; ``form`` says which. Raises: ValueError."""
    text = text_of(content, name)
    if pattern.fullmatch(text) is None:
        raise ValueError(f"{name}: expected {form}")
    return text


def object_of(content: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return a field that is an object. Raises: ValueError."""
    value = content.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"has no usable {name}, which is an object")  # noqa: TRY004 - the file is wrong, not a type
    return value
