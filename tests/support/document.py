"""What a Markdown document holds: its code blocks with their captions, and its headings' anchors."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_CAPTION = re.compile(r"`([\w./-]+\.(?:json|tf))`[^`]*\Z")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. ``name`` is the file that the paragraph above names last, if any; ``line`` counts from 1."""

    language: str
    text: str
    name: str
    line: int


def blocks(path: Path, language: str) -> Iterator[Block]:
    """Yield the blocks of a language, those inside lists too."""
    text = path.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        if match[2] == language:
            above = text[: match.start()].rstrip().rpartition("\n\n")[2]
            caption = _CAPTION.search(above)
            line = text.count("\n", 0, match.start()) + 1
            yield Block(language, textwrap.dedent(match[3]), caption[1] if caption else "", line)


def anchors(text: str) -> set[str]:
    """Return what links inside a document may point at, as GitHub makes it of headings."""
    prose = _BLOCK.sub("", text)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose)}
