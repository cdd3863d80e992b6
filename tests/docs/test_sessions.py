"""What the documents type into a terminal goes as they say: each console block in a directory of its own, from top to bottom."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests import source
from tests.docs.documents import Block, Command, blocks, commands_in
from tests.docs.elsewhere import BLOCKS, COMMANDS
from tests.docs.test_blocks import row

FINDS = {"hunt", "shrink", "replay", "explain", "diff"}
"""They end with 1 where there is something to tell of, as there is in the documents."""


def is_run(command: Command) -> bool:
    return not any(command.name.startswith(begins) for begins in COMMANDS)


def sessions() -> list[Block]:
    """The console blocks of which something is run."""
    found = [block for block in blocks() if block.language == "console" and not row(BLOCKS, block)]
    return [block for block in found if any(map(is_run, commands_in(block)))]


def typed(command: Command, cwd: str) -> subprocess.CompletedProcess[str]:
    """Run it as a reader would who has the project installed."""
    words = command.words
    program = {"watchcache": ["-m", "cacher"], "python": []}[words[0]]
    path = os.pathsep.join(filter(None, (str(source.ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *program, *words[1:]],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def is_printed(shown: str, said: str) -> bool:
    """Whether a command said what is shown of it; … stands for anything."""
    pattern = ".*?".join(map(re.escape, shown.rstrip("\n").split("…")))
    return re.fullmatch(pattern, said.rstrip("\n"), flags=re.DOTALL) is not None


@pytest.mark.slow
@pytest.mark.parametrize("block", sessions(), ids=str)
def test_a_session_goes_as_it_is_shown(block, tmp_path):
    (tmp_path / "examples").symlink_to(source.ROOT / "examples")
    for command in filter(is_run, commands_in(block)):
        done = typed(command, str(tmp_path))
        codes = {0, 1} if FINDS.intersection(command.words) else {0}
        assert done.returncode in codes, f"{command.name} ended with {done.returncode}: {done.stderr}"
        if command.printed.strip():
            assert is_printed(command.printed, done.stdout), f"{command.name} printed\n{done.stdout}"


@pytest.mark.parametrize(
    ("shown", "said", "is_right"),
    [("a … c", "a b c\n", True), ("a\n…\nd", "a\nb\nc\nd\n", True), ("a", "a\nb\n", False), ("a … c", "a b d", False)],
)
def test_what_is_shown_is_compared_with_what_is_said(shown, said, is_right):
    assert is_printed(shown, said) == is_right


@pytest.mark.slow
def test_a_command_that_fails_is_seen(tmp_path):
    assert typed(Command("watchcache replay .watchcache/none.json", ""), str(tmp_path)).returncode == 64
