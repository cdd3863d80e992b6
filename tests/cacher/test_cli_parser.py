"""cacher._cli_parser and _completion: what was meant, how much is said, what a shell is told, the exit codes as documented."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from cacher import _cli
from cacher._cli_parser import colour_for, meant
from cacher.simulation import EXIT_BROKEN, EXIT_INTERRUPTED, EXIT_USAGE
from tests import source
from tests.terminal import Terminal


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as leaving:
        _cli.main(arguments)
    assert leaving.value.code == 64
    return str(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tarce"], "did you mean trace?"),
        (["hunts"], "did you mean hunt?"),
        (["run", "missed-edge", "--sed", "3"], "watchcache run: unrecognized arguments: --sed 3: did you mean --seed?"),
        (["get", "pods", "--namespce", "y"], "did you mean --namespace?"),
        (["completion", "bsh"], "did you mean bash?"),
        (["run", "missed-edge", "-q", "-v"], "not allowed with"),
    ],
)
def test_what_was_meant_is_said(capsys, words, said):
    assert said in refused(capsys, *words)


def test_nothing_near_is_nothing_said():
    assert meant("unrecognized arguments: --xyzzy", "--seed --clients") == ""
    assert meant("invalid choice: 'xyzzy' (choose from a, b)", "") == ""
    assert meant("something else", "") == ""


def test_colours_are_for_terminals_that_want_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert colour_for(Terminal())("ok", "32") == "\x1b[32mok\x1b[0m"
    assert colour_for(io.StringIO())("ok", "32") == "ok"
    monkeypatch.setenv("NO_COLOR", "1")
    assert colour_for(Terminal())("ok", "32") == "ok"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert colour_for(Terminal())("ok", "32") == "ok"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(capsys, shell):
    assert _cli.main(["completion", shell]) == 0
    assert "watchcache" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "among"),
    [("watchcache hu", "hunt"), ("watchcache run missed-", "missed-edge"), ("watchcache trace rol", "rollout")],
)
def test_a_shell_that_asks_is_answered(tmp_path, line, among):
    out = tmp_path / "out"
    environment = {
        **os.environ,
        "PYTHONPATH": str(source.ROOT),
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    subprocess.run([sys.executable, "-m", "cacher"], env=environment, timeout=60, check=False)
    assert among in [word.strip() for word in out.read_text(encoding="utf-8").splitlines()]


def test_the_benchmarks_are_told_to_be_elsewhere_where_they_are(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("cacher._cli_upkeep.ROOT", tmp_path)
    assert _cli.main(["bench", "--quick"]) == 64
    assert "in the source checkout" in capsys.readouterr().err


def test_the_benchmarks_are_run_with_their_own_words(monkeypatch):
    seen = []

    def run(command, **how):
        seen.append(command[1:])
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr("cacher._cli_upkeep.subprocess.run", run)
    assert _cli.main(["bench", "--quick", "--only", "x"]) == 3
    assert seen == [["-m", "benchmarks", "--quick", "--only", "x"]]


# ---- docs/command-line.md --------------------------------------------------------------------------------------------

PAGE = (source.ROOT / "docs/command-line.md").read_text(encoding="utf-8")


def commands() -> dict[str, str]:
    """The help of each command, by name."""
    choices: Any = next(action for action in _cli._parser()._actions if action.choices).choices
    return {name: choices[name].format_help() for name in choices}


def test_the_page_has_a_section_for_each_command_and_no_other():
    assert re.findall(r"^### (\w+)", PAGE, flags=re.MULTILINE) == list(commands())


@pytest.mark.parametrize("name", commands())
def test_the_page_names_all_flags_of_a_command_and_no_others(name):
    section = PAGE.partition(f"\n### {name}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    told = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", section))
    common = {"--help", "--quiet", "--verbose"}
    there = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", commands()[name])) - common
    if "the store](#the-store" in section:
        told |= {flag for flag, *_ in _cli._STORE_FLAGS}
    assert told == there


def test_the_exit_codes_of_the_page_are_those_of_the_help_and_of_the_program(capsys):
    rows = dict(re.findall(r"^\| (\d+) \| ([^|]+) \|", PAGE, flags=re.MULTILINE))
    with pytest.raises(SystemExit):
        _cli.main(["--help"])
    said = " ".join(capsys.readouterr().out.partition("exit codes: ")[2].split())
    assert dict(re.findall(r"(\d+) ([^,]+(?:, or [^,]+)?)", said)) == {
        code: text.strip() for code, text in rows.items()
    }
    assert {str(code) for code in (0, EXIT_BROKEN, 2, 3, EXIT_USAGE, EXIT_INTERRUPTED)} == set(rows)
