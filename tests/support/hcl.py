"""The little of HCL that the documents use: blocks in balance, and the policies inside of ``jsonencode``."""

import json
import re

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PAIRS = {")": "(", "]": "[", "}": "{"}


def is_balanced(text: str) -> bool:
    """Return whether every bracket outside of strings has its twin."""
    opened: list[str] = []
    for bracket in re.findall(r"[()\[\]{}]", _STRING.sub("", text)):
        if bracket not in _PAIRS:
            opened.append(bracket)
        elif not opened or opened.pop() != _PAIRS[bracket]:
            return False
    return not opened


def policies(text: str, values: dict[str, str]) -> list[object]:
    """Return what each ``jsonencode`` gives where expressions have these values. Raises: ValueError."""
    return [_decoded(_inside(text, match.end()), values) for match in re.finditer(r"jsonencode\(", text)]


def _inside(text: str, start: int) -> str:
    ends = (end for end in range(start, len(text)) if text[end] == ")" and is_balanced(text[start:end]))
    return text[start : next(ends)]


def _decoded(text: str, values: dict[str, str]) -> object:
    for expression, value in values.items():
        text = text.replace("${" + expression + "}", value)
        text = re.sub(rf"= {re.escape(expression)}(?=\s)", f'= "{value}"', text)
    text = re.sub(r'"?([\w:]+)"?\s+= ', r'"\1": ', text)
    # A new line ends an element as a comma does.
    text = re.sub(r'(?<=["\]}])(?=\n\s*["{\[])', ",", text)
    decoded: object = json.loads(text)
    return decoded
