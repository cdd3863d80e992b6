"""The documents, and the fenced blocks in them: what is code, what it prints, what is typed into a terminal."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from tests import source

DOCUMENTS = [
    source.name(path) for path in (*sorted(source.ROOT.glob("*.md")), *sorted((source.ROOT / "docs").rglob("*.md")))
]
_FENCE = re.compile(r"^(?P<indent>[ >]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")


class Block(NamedTuple):
    """A fenced block of a document."""

    document: str
    language: str
    text: str
    line: int
    """Of its first line, from 1."""
    follows: bool
    """Nothing stands between it and the block before it."""

    @property
    def name(self) -> str:
        """Its first line, by which a table names it."""
        return self.text.partition("\n")[0].strip()

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


class Command(NamedTuple):
    """A line that is typed into a terminal, and what is shown of its answer."""

    line: str
    printed: str

    @property
    def words(self) -> list[str]:
        """As a shell reads them, without the remark at the end."""
        return shlex.split(self.line, comments=True)

    @property
    def name(self) -> str:
        """Without the remark."""
        return self.line.partition("  #")[0].strip()


class BadFence(Exception):
    """A fence that no reader sees as one; the message says where."""


def text_of(document: str) -> str:
    return (source.ROOT / document).read_text(encoding="utf-8")


def blocks_in(text: str, document: str = "") -> list[Block]:
    """All fenced blocks, in order.

    Raises:
        BadFence: it is not closed, or not at the beginning of its line, where these tests and GitHub's readers look for it.
    """
    found: list[Block] = []
    opened: tuple[str, str, int] | None = None
    inside: list[str] = []
    is_next = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is not None:
            if fence and fence["fence"].startswith(opened[0]) and not fence["info"].strip():
                found.append(
                    Block(document, opened[1], "".join(part + "\n" for part in inside), opened[2] + 1, is_next)
                )
                opened, inside, is_next = None, [], True
            else:
                inside.append(line)
        elif fence:
            if fence["indent"]:
                raise BadFence(f"{document}:{number}: a fence within something else: begin it in the first column")
            opened = (fence["fence"], fence["info"].strip(), number)
        elif line.strip():
            is_next = False
    if opened is not None:
        raise BadFence(f"{document}:{opened[2]}: this fence is not closed")
    return found


def blocks() -> list[Block]:
    """Those of all documents."""
    return [block for document in DOCUMENTS for block in blocks_in(text_of(document), document)]


def commands_in(block: Block) -> list[Command]:
    """What is typed in a block, line by line; empty: nothing is."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [Command(line, printed) for line, _, printed in (part.partition("\n") for part in parts)]


def inline_commands(document: str) -> list[str]:
    """`watchcache …`, `make …` and `python -m …` in running text and tables."""
    text = text_of(document)
    for block in blocks_in(text, document):
        text = text.replace(block.text, "\n" * block.text.count("\n"), 1)
    return re.findall(r"(?<!`)`((?:watchcache|make|python3? -m) [^`\n]+)`(?!`)", text)
