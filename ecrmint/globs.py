"""Globs by segment, for slugs and refs: ``*`` stays inside one, ``**`` is a whole one that stands for one or more.

Pure, and no regular expressions: a match costs at most the pattern's length times the text's, and no pattern can be
half anchored. Compares exactly; ``fold`` first where case does not count. Source of the rules: design section 2.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

MAX_PATTERN: Final = 512  # characters; no slug is longer
EVERYTHING: Final = "**"

_FOREIGN: Final = frozenset("?[]{}\\")  # what other globs give a meaning to
_LOWER: Final = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

Segment = tuple[str, ...]
"""One segment of a pattern: the literal pieces around its stars."""

Run = tuple[Segment, ...]
"""The segments between two ``**``."""


def fold(text: str) -> str:
    """Return the text with A to Z in lower case and all else untouched: str.lower maps U+212A, a Kelvin sign, to k."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def check(pattern: str) -> str:
    """Return the pattern where it is one. Raises: ValueError."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"expected a pattern of at most {MAX_PATTERN} characters, not {len(pattern)}")
    wrong = next((char for char in pattern if char in _FOREIGN or char == " " or not char.isprintable()), None)
    if wrong is not None:
        raise ValueError(f"expected a pattern of visible characters without ? [ ] {{ }} \\, not {wrong!a} in it")
    segments = pattern.split("/")
    if "" in segments:
        raise ValueError("expected a pattern without empty segments: no / at its start or end, no //")
    if any("**" in segment and segment != "**" for segment in segments):
        raise ValueError("expected ** as a whole segment, as in a/**; inside a segment one * matches all that it can")
    return pattern


class Glob:
    """One pattern, ready to match."""

    __slots__ = ("_gaps", "_head", "_inner", "_tail")

    def __init__(self, pattern: str) -> None:
        """``pattern`` has passed ``check``."""
        runs: list[list[Segment]] = [[]]
        for segment in pattern.split("/"):
            if segment == "**":
                runs.append([])
            else:
                runs[-1].append(tuple(segment.split("*")))
        self._head, *self._inner = (tuple(run) for run in runs)
        self._gaps = len(self._inner)
        self._tail = self._inner.pop() if self._inner else ()

    def matches(self, segments: Sequence[str]) -> bool:
        """Return whether this matches the whole of a text, given as its segments, none of them empty."""
        start, end = len(self._head), len(segments) - len(self._tail)
        if not self._gaps:
            return start == end and _fits(self._head, segments, 0)
        if end <= start or not (_fits(self._head, segments, 0) and _fits(self._tail, segments, end)):
            return False
        for run in self._inner:
            # The leftmost place leaves the most for the rest, so there is never a reason to come back.
            places = range(start + 1, end - len(run))
            start = next((place + len(run) for place in places if _fits(run, segments, place)), end)
        return start < end


def _fits(run: Run, segments: Sequence[str], place: int) -> bool:
    return all(map(_segment_fits, run, segments[place : place + len(run)]))


def _segment_fits(pieces: Segment, text: str) -> bool:
    if len(pieces) == 1:
        return pieces[0] == text
    first, last = pieces[0], pieces[-1]
    start, end = len(first), len(text) - len(last)
    if end < start or not (text.startswith(first) and text.endswith(last)):
        return False
    for piece in pieces[1:-1]:
        found = text.find(piece, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True


_ANY: Final = "*"
_Entry = tuple[Callable[[Sequence[str]], bool], int]


class GlobIndex:
    """Many patterns, each with a set of bits. Whole literals and literal first segments are looked up, others tried."""

    __slots__ = ("_buckets", "_whole")

    def __init__(self, bits: Mapping[str, int]) -> None:
        """``bits`` is pattern -> set; each pattern has passed ``check``."""
        self._whole = {pattern: each for pattern, each in bits.items() if _is_looked_up(pattern)}
        self._buckets: dict[str, _Bucket] = {}  # by first segment, _ANY where that is no literal
        globs = [pattern for pattern in bits if pattern not in self._whole]
        uses = Counter(piece for pattern in globs for piece in pattern.split("*"))
        for pattern in globs:
            first = pattern.partition("/")[0]
            bucket = self._buckets.setdefault(_ANY if "*" in first else first, _Bucket())
            # What few patterns contain tells them apart best: 10,000 of `*/app-17*-service` differ in `/app-17`.
            rarest = min(filter(None, pattern.split("*")), key=lambda piece: (uses[piece], -len(piece)), default="")
            bucket.add(rarest, (Glob(pattern).matches, bits[pattern]))

    def match(self, text: str) -> int:
        """Return the union of the sets of all patterns that match. What has an empty segment is matched by none."""
        segments = text.split("/")
        if "" in segments:
            return 0
        found = self._look_up(text, segments)
        for first in (segments[0], _ANY):
            if first in self._buckets:
                for matches, bits in self._buckets[first].candidates(text):
                    found |= bits if matches(segments) else 0
        return found

    def _look_up(self, text: str, segments: Sequence[str]) -> int:
        get = self._whole.get
        found = get(EVERYTHING, 0) | get(text, 0)
        below = len(segments) - 1
        if below:
            found |= get(f"{segments[0]}/**", 0)
        if below == 1:
            found |= get(f"{segments[0]}/*", 0)
        return found


def _is_looked_up(pattern: str) -> bool:
    """Return whether it is a literal, or like ``octocat/*``: the keys that GlobIndex makes of a text."""
    first, _, rest = pattern.partition("/")
    return "*" not in pattern or pattern == EVERYTHING or ("*" not in first and rest in ("*", "**"))


class _Bucket:
    """Patterns, each under one literal piece that a text must contain to be matched by it."""

    __slots__ = ("_by_piece", "_lengths")

    def __init__(self) -> None:
        self._by_piece: dict[str, list[_Entry]] = {}
        self._lengths: set[int] = set()

    def add(self, piece: str, entry: _Entry) -> None:
        self._by_piece.setdefault(piece, []).append(entry)
        self._lengths.add(len(piece))

    def candidates(self, text: str) -> Iterator[_Entry]:
        """Yield the entries of all pieces in the text, by whichever is less work: by its parts or by the pieces."""
        if len(self._by_piece) > len(self._lengths) * len(text):
            parts = {text[start : start + length] for length in self._lengths for start in range(len(text))}
            found = [self._by_piece[part] for part in parts if part in self._by_piece]
        else:
            found = [entries for piece, entries in self._by_piece.items() if piece in text]
        return chain.from_iterable(found)
