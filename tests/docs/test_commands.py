"""Commands that the documents show, in blocks and in running text, are commands: the real parsers read them."""

from __future__ import annotations

import importlib.util
import re
import shlex
from typing import Any

import pytest

from benchmarks import __main__ as benchmarks
from cacher import _cli
from cacher._cli_parser import read
from tests.docs.documents import DOCUMENTS, blocks, commands_in, inline_commands

TYPED = sorted({command.name for block in blocks() for command in commands_in(block)})
OURS = [name for name in TYPED if name.startswith("watchcache ")]
MODULES = [name for name in TYPED if re.match(r"python3? -m ", name)]


def words_of(line: str) -> list[str]:
    return [word for word in shlex.split(line, comments=True) if word != "&"]


@pytest.mark.parametrize("line", OURS)
def test_a_command_that_is_typed_is_read_by_the_parser(line):
    read(_cli._parser(), words_of(line)[1:])  # leaves with 64 where it is wrong


@pytest.mark.parametrize(
    "line", ["watchcache trase rollout", "watchcache run x --sede 3", "watchcache hunt x --seeds many"]
)
def test_a_command_that_is_none_is_found(line, capsys):
    with pytest.raises(SystemExit):
        read(_cli._parser(), words_of(line)[1:])


def commands() -> dict[str, Any]:
    found: dict[str, Any] = next(action for action in _cli._parser()._actions if action.choices).choices  # type: ignore[assignment]
    return found


def wrong_mentions(lines: list[str]) -> list[str]:
    """Commands in running text that do not exist, or have no such flag. They need not be whole."""
    wrong = []
    for line in lines:
        program, *words = line.split()
        if program == "watchcache" and words[0].islower():
            known = commands().get(words[0])
            flags = {word.partition("=")[0] for word in words if word.startswith("--")}
            if known is None or not flags <= {*known._option_string_actions}:
                wrong.append(line)
        elif program.startswith("python") and importlib.util.find_spec(words[1]) is None:
            wrong.append(line)
    return wrong


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_command_in_running_text_exists_with_its_flags(document):
    assert wrong_mentions(inline_commands(document)) == []


def test_a_mention_that_is_wrong_is_found():
    right = ["watchcache trace --watch-cache false", "python -m tests.museum_table NAME", "watchcache COMMAND --help"]
    wrong = ["watchcache trace --watchcache", "watchcache repeat x", "python -m tests.museum_picture"]
    assert wrong_mentions([*right, *wrong]) == wrong


@pytest.mark.parametrize("line", [line for line in MODULES if " benchmarks" in line])
def test_a_command_of_the_benchmarks_is_one(line, monkeypatch):
    monkeypatch.setattr("sys.argv", words_of(line)[2:])
    benchmarks._options()
