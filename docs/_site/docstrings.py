"""Docstrings as Sphinx reads them: ours are plain text with a few words that begin a section; Sphinx wants reStructuredText.

Pure. What is code stays code and nothing else has a meaning: a star, a bar or an underscore is itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SECTIONS = {"Args", "Raises", "Returns", "Attributes", "Cost", "Source", "Differs", "Limit", "Pure", "Memory", "Cases"}
_SECTION = re.compile(rf"^(?P<name>{'|'.join(sorted(SECTIONS))}):(?:\s+(?P<text>\S.*))?$")
_MEMBERS = {"Args", "Raises"}
"""Sections of which each line is about one name."""
_MEMBER = re.compile(r"^(?P<name>[\w*, .]+): +(?P<text>\S.*)$")
_CODE = re.compile(r"(`+)(.+?)\1")


def restructured(lines: Sequence[str]) -> list[str]:
    """The lines of a docstring, dedented, as reStructuredText: sections as fields, drawings and programs as they stand.

    >>> restructured(["Events since `revision`.", "", "Cost: O(log n)"])
    ['Events since ``revision``.', '', ':Cost: O(log n)', '']
    """
    found: list[str] = []
    block: list[str] = []
    for line in [*lines, ""]:
        is_over = not line.strip() or _SECTION.match(line) or (_is_members(block) and not line.startswith(" "))
        if block and is_over:
            found += _block(block)
            block = []
        if line.strip():
            block.append(line.rstrip())
    return found


def _is_members(block: Sequence[str]) -> bool:
    """Whether it is a section whose lines are about one name each: they are indented, and what is not comes after it."""
    section = _SECTION.match(block[0]) if block else None
    return section is not None and section["name"] in _MEMBERS


def _block(block: Sequence[str]) -> list[str]:
    """One paragraph, list, drawing, doctest or section."""
    section = _SECTION.match(block[0])
    if section and _is_members(block):
        return [*_members(section["name"], [section["text"] or "", *block[1:]]), ""]
    if section:
        text = " ".join(part.strip() for part in (section["text"] or "", *block[1:]) if part.strip())
        return [f":{section['name']}: {_prose(text)}", ""]
    if block[0].lstrip().startswith(">>>"):
        return [*block, ""]
    if block[0].startswith((" ", "\t")) or any(_is_drawn(line) for line in block):
        return ["::", "", *("    " + line for line in block), ""]
    return [*_paragraphs(block), ""]


def _is_drawn(line: str) -> bool:
    """A line whose columns have a meaning: a row of a table or a drawing."""
    return re.search(r"\S   +\S", line) is not None or line.count("→") > 1


def _members(section: str, lines: Iterable[str]) -> list[str]:
    """`name: text`, and its further lines, as a list. Names are no links: several packages have an error of that name."""
    found: list[tuple[str, list[str]]] = []
    indent = 0
    for line in filter(str.strip, lines):
        depth = len(line) - len(line.lstrip())
        member = _MEMBER.match(line.strip())
        if member and (not found or depth <= indent):
            indent = depth
            found.append((member["name"], [member["text"]]))
        elif found:
            found[-1][1].append(line.strip())
        else:
            found.append(("", [line.strip()]))
    told = [(name, _prose(" ".join(text))) for name, text in found]
    return [f":{section}:", *(f"    - ``{name}``: {text}" if name else f"    - {text}" for name, text in told)]


def _paragraphs(block: Sequence[str]) -> list[str]:
    """Running text, and lists; what is indented below text is a drawing."""
    found: list[str] = []
    drawn: list[str] = []
    is_list = block[0].startswith("- ")
    for line in block:
        if line.startswith("- ") and found and not is_list:
            found.append("")
            is_list = True
        if line.startswith("    ") and not is_list:
            drawn.append(line)
            continue
        if drawn:
            found += ["", "::", "", *drawn, ""]
            drawn = []
        found.append(_prose(line) if not line.startswith(" ") else "  " + _prose(line.strip()))
    return found + (["", "::", "", *drawn] if drawn else [])


def _prose(text: str) -> str:
    """Text in which only `code` means something."""
    found, at = "", 0
    for code in _CODE.finditer(text):
        found += _escaped(text[at : code.start()]) + f"``{code[2].strip()}``"
        at = code.end()
        if text[at : at + 1].isalnum():
            found += "\\ "  # reStructuredText wants a boundary after code
    return found + _escaped(text[at:])


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|`]|_(?!\w))", r"\\\1", text)
