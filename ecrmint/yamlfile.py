"""Strict YAML: one document, one mapping, every key once, and a place for each value.

Built on PyYAML's events instead of its loaders: those let a repeated key win silently, expand an alias bomb, and read
``no`` as false and ``012`` as ten (YAML 1.1). Here a plain word is null, true, false, a whole number, or text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import yaml

from ecrmint.errors import ConfigError, Problem

Path = tuple[str | int, ...]
"""Where a value is: keys and list indexes from the root."""

MAX_NODES: Final = 1_000_000  # values once every alias is expanded; 10,000 rules have about 150,000
MAX_DEPTH: Final = 32

_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml's is 8 times as fast, where PyYAML has it
_MERGE: Final = "<<"
_TEXT_TAGS: Final = (None, "!", "tag:yaml.org,2002:str")
_WORDS: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# A number with leading zeros stays text: an AWS account's are part of its name.
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORD: Final = r"(?:[A-Za-z]?[a-z]{0,19}[0-9]{0,3}|[A-Z]{2,20}[0-9]{0,3}|[0-9]{1,12})"
_WORDY: Final = re.compile(rf"{_WORD}(?:[-_.:/@]{_WORD})*", re.ASCII)
_NAMELESS: Final = 15  # characters; one less than the shortest shared secret


@dataclass(frozen=True, slots=True)
class YamlFile:
    """``data`` is made of dict, tuple, str, int, bool and None; ``places`` are line and column from 1, by path."""

    data: dict[str, object]
    places: Mapping[Path, tuple[int, int]]

    def place(self, path: Path) -> tuple[int, int]:
        """Return line and column of the value, or of the nearest thing around it: an alias is one place."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]


def parse(content: bytes, *, source: str) -> YamlFile:
    """Return the content of a YAML file. Raises: ConfigError with every problem; a broken syntax hides what follows."""
    composer = _Composer(_decode(content, source))
    try:
        data = composer.document()
    except yaml.MarkedYAMLError as error:
        composer.problems.append(composer.syntax(error))
    except _TooMuchError:
        pass  # its problem has been noted
    else:
        if not composer.problems:
            return YamlFile(data, composer.places)
    raise ConfigError(composer.problems, source=source)


def dotted(path: Path) -> str:
    """Return ``accounts.prod.via.0``, with each key as ``show_name`` shows it."""
    return ".".join(show_name(part) if isinstance(part, str) else str(part) for part in path) or "yaml"


def show_name(name: str) -> str:
    """Return a name for a message: one that may be a misplaced secret is not shown, and escapes are written out."""
    if looks_random(name):
        return "***"
    return name if name.isprintable() else ascii(name)[1:-1]


def looks_random(text: str) -> bool:
    """Return whether a text may be a key or hold a password: 16 characters that are no words, names or hosts."""
    return (len(text) > _NAMELESS and _WORDY.fullmatch(text) is None) or ("://" in text and "@" in text)


def _decode(content: bytes, source: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem("yaml", "not UTF-8 text", line, 1)], source=source) from None
    found = _UNPRINTABLE.search(text)
    if found is None:
        return text
    line, start = text.count("\n", 0, found.start()) + 1, text.rfind("\n", 0, found.start())
    message = f"control character U+{ord(found[0]):04X}: only an escape in double quotes can write it"
    raise ConfigError([Problem("yaml", message, line, found.start() - start)], source=source)


class _TooMuchError(Exception):
    """The rest is not worth reading: too deep, or too many values."""


class _Events(Protocol):
    """The part of PyYAML's parsers that is used here; the one in C and the one in Python have no base in common."""

    def get_event(self) -> yaml.Event: ...


class _Composer:
    """Makes plain data of events, and goes on after a problem wherever the rest can still be read."""

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self.places: dict[Path, tuple[int, int]] = {}
        self._text = text
        parser: _Events = _LOADER(text)
        self._next = parser.get_event
        self._anchors: dict[str, tuple[object, int]] = {}  # the value, and how many values it is made of
        self._count = 0

    def document(self) -> dict[str, object]:
        """Return the mapping. Raises: yaml.MarkedYAMLError, _TooMuchError."""
        self._next()  # the stream's start
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            self._problem((), "the file is empty, expected a mapping with the keys accounts, rules ...", start)
            return {}
        root = self._next()
        self.places[()] = _place(root)
        data = self._value(root, ())
        self._next()  # the document's end
        if isinstance(after := self._next(), yaml.DocumentStartEvent):
            self._problem((), "a second YAML document starts here, expected one", after)
        if isinstance(data, dict):
            return data
        self._problem((), f"found {kind(data)}, expected a mapping with the keys accounts, rules ...", root)
        return {}

    def syntax(self, error: yaml.MarkedYAMLError) -> Problem:
        """Return the problem of a text that is not YAML."""
        line, column = _position(error.problem_mark)
        return Problem("yaml", self._explain(error, line, column), line, column)

    def _explain(self, error: yaml.MarkedYAMLError, line: int, column: int) -> str:
        here = "".join(self._text.splitlines()[line - 1 : line])  # none where the mark is behind the last line
        if here[column - 1 : column] == "\t":
            return "a tab, which YAML does not take as indentation: use spaces"
        # An unknown tag is the only text of the file that PyYAML quotes, and may be a secret that lost its own quotes.
        problem = (error.problem or "not YAML").split(" '!")[0]
        return f"{problem} ({error.context})" if error.context else problem

    def _value(self, event: yaml.Event, path: Path) -> object:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        before = self._count
        self._add(1, event, path)
        if isinstance(event, yaml.ScalarEvent):
            value: object = self._scalar(event, path)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(event, path)
        else:
            value = self._sequence(event, path)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (value, self._count - before)
        return value

    def _alias(self, event: yaml.AliasEvent, path: Path) -> object:
        if event.anchor not in self._anchors:
            self._problem(path, "an alias (*) whose anchor (&) is not above it; quote a text that starts with *", event)
            return None
        value, size = self._anchors[event.anchor]
        self._add(size, event, path)
        return value

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> object:
        text: str = event.value
        if not event.implicit[0]:
            self._check_tag(event, path)
            return text
        if text in _WORDS:
            return _WORDS[text]
        return int(text) if _INTEGER.fullmatch(text) else text

    def _sequence(self, event: yaml.Event, path: Path) -> tuple[object, ...]:
        self._check_tag(event, path)
        items: list[object] = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            here = (*path, len(items))
            self.places[here] = _place(item)
            items.append(self._value(item, here))
        return tuple(items)

    def _mapping(self, event: yaml.Event, path: Path) -> dict[str, object]:
        self._check_tag(event, path)
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        while not isinstance(start := self._next(), yaml.MappingEndEvent):
            key = self._key(start, path)
            value = self._value(self._next(), (*path, key))
            if key == _MERGE:
                merged = self._merge(value, start, path)
            else:
                own[key] = value
        return {**merged, **own}

    def _key(self, event: yaml.Event, path: Path) -> str:
        key = self._value(event, path)
        if not isinstance(key, str):
            self._problem(path, f"found {kind(key)} as a key, expected text: put quotes around it", event)
            return "?"
        here = (*path, key)
        if here in self.places:
            self._problem(here, f"this key is here twice: first in line {self.places[here][0]}", event)
        else:
            self.places[here] = _place(event)
        return key

    def _merge(self, value: object, event: yaml.Event, path: Path) -> dict[str, object]:
        merged: dict[str, object] = {}
        for part in reversed(value if isinstance(value, tuple) else (value,)):  # the first one wins
            if isinstance(part, dict):
                merged.update(part)
            else:
                self._problem((*path, _MERGE), f"found {kind(part)}, expected the alias of a mapping", event)
        return merged

    def _check_tag(self, event: yaml.Event, path: Path) -> None:
        if getattr(event, "tag", None) not in _TEXT_TAGS:
            self._problem(path, "a YAML tag (!), which nothing here needs; quote a text that starts with !", event)

    def _add(self, count: int, event: yaml.Event, path: Path) -> None:
        self._count += count
        if self._count > MAX_NODES:
            self._problem(path, f"more than {MAX_NODES:,} values once the aliases are expanded", event)
            raise _TooMuchError
        if len(path) > MAX_DEPTH:
            self._problem(path[:3], f"nested more than {MAX_DEPTH} deep", event)
            raise _TooMuchError

    def _problem(self, path: Path, message: str, event: yaml.Event) -> None:
        self.problems.append(Problem(dotted(path), message, *_place(event)))


def kind(value: object) -> str:
    """Return what a value is, in words, and not its text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == ():
        return "an empty list"
    return {type(None): "nothing", int: "a whole number", str: "text", tuple: "a list"}.get(type(value), "a mapping")


def _place(event: yaml.Event) -> tuple[int, int]:
    return _position(event.start_mark)


def _position(mark: "yaml.error.Mark | yaml._yaml.Mark | None") -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
