"""The first ten minutes go as they say: the files of the page, its commands, and what these print."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests import source
from tests.docs.documents import Command, blocks_in, commands_in, text_of

PAGE = "docs/first-ten-minutes.md"
pytestmark = pytest.mark.slow


def test_a_bug_in_a_controller_of_ones_own_is_found_made_small_understood_and_mended(tmp_path):
    blocks = blocks_in(text_of(PAGE), PAGE)
    for block in (one for one in blocks if one.language == "python"):
        (tmp_path / block.name.removeprefix("# ")).write_text(block.text, encoding="utf-8")
    found, page, again, more = [command for block in blocks[1:] for command in commands_in(block)]
    story, mended, held, clean = [block.text for block in blocks if block.language == "text"]

    assert told(typed(found, tmp_path)) == story.splitlines()
    typed(page, tmp_path)
    assert "pause-cache api-2" in (tmp_path / "report.html").read_text(encoding="utf-8")
    mend(tmp_path / "mirror.py", mended.strip())
    assert held.strip() in typed(again, tmp_path)
    more_seeds = Command(more.line.replace("2000", "150"), "")
    assert clean.strip().replace("2000", "150") in typed(more_seeds, tmp_path)


def typed(command: Command, cwd) -> str:
    """What a command prints to whoever has the project installed."""
    words = command.words
    program = {"watchcache": ["-m", "cacher"], "python": []}[words[0]]
    done = subprocess.run(
        [sys.executable, *program, *words[1:]],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(source.ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def told(printed: str) -> list[str]:
    """The story in what pytest prints."""
    lines = printed.partition("Broken: ")[2].splitlines()
    return [
        line.removeprefix("    ") for line in lines[: next(i for i, one in enumerate(lines) if "as a page" in one) + 1]
    ]


def mend(file, line: str) -> None:
    """Put the line of the page where its beginning stands."""
    text = file.read_text(encoding="utf-8")
    begins = line.partition(", namespace")[0]
    assert text.count(begins) == 1
    file.write_text(re.sub(re.escape(begins) + ".*", line, text), encoding="utf-8")
