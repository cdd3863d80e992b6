"""The documentation is true: its Python runs and prints what it says, its links lead somewhere, its commands exist."""

from __future__ import annotations

import contextlib
import io
import itertools
import re

import pytest

from cacher.simulation.judges import WORLD_JUDGES
from tests import source
from tests.docs.documents import DOCUMENTS, Block, blocks_in, text_of
from tests.docs.elsewhere import BLOCKS
from tests.docs.test_blocks import row


def examples() -> list[tuple[str, Block, str | None]]:
    """Each Python block that is run by itself, with the `text` block that follows at once: what it prints."""
    found = []
    for document in DOCUMENTS:
        all_blocks = blocks_in(text_of(document), document)
        for block, following in itertools.zip_longest(all_blocks, all_blocks[1:]):
            if block.language == "python" and not row(BLOCKS, block):
                is_shown = following is not None and following.language == "text" and following.follows
                printed = following.text if is_shown else None
                found.append((document, block, printed))
    return found


@pytest.mark.parametrize(
    ("document", "block", "printed"), examples(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_example_runs_and_prints_what_it_says(document, block, printed):
    code = compile(
        "\n" * (block.line - 1) + block.text, document, "exec"
    )  # so that a traceback names the document's line
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, {"__name__": "__main__"})
    assert printed is None or output.getvalue() == printed


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_link_leads_to_a_file_that_is_there(document):
    text = (source.ROOT / document).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert not [link for link in links if not (source.ROOT / document).parent.joinpath(link).exists()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_command_that_is_shown_exists(document):
    """Every `make TARGET` in the documents is a target."""
    targets = set(re.findall(r"^([a-z]+):", (source.ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    shown = set(re.findall(r"[`$] ?make ([a-z]+)", (source.ROOT / document).read_text(encoding="utf-8")))
    assert shown <= targets


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ("README.md", 3),
        ("docs/concepts.md", 2),
        ("docs/connect.md", 1),
        ("docs/controllers.md", 2),
        ("docs/quick-start.md", 2),
        ("docs/registry.md", 2),
        ("docs/simulator.md", 1),
    ],
)
def test_a_page_for_those_who_write_programs_has_examples_that_print(document, count):
    assert [where for where, _, printed in examples() if printed].count(document) == count


def test_the_design_has_a_place_for_every_file_and_names_none_that_is_not_there():
    told = set(re.findall(r"`(_\w+\.py)`", (source.ROOT / "docs/design.md").read_text(encoding="utf-8")))
    there = {file.split("/")[-1] for file in source.python_files(*source.PACKAGES)} - {"__init__.py", "__main__.py"}
    assert told == there


def test_the_guarantees_are_told_in_the_words_of_their_judges():
    told = (source.ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]\w+) \| (.+) \|$", told, flags=re.MULTILINE)
    assert rows == [(judge.name, judge.sentence) for judge in WORLD_JUDGES]
