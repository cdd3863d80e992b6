"""The command at a terminal, as a person sees it: the bytes of its screen, Ctrl-C, and the exit codes as documented."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.cacher.simulation.busy_trace import write_busy_trace

ROOT = Path(__file__).parents[2]
ANSWER_S = 60.0
CTRL_C = b"\x03"
CONTROLLED = (
    "import os, signal, sys; os.close(os.open(os.ttyname(0), os.O_RDWR));"
    "signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
)
"""The terminal becomes the one that Ctrl-C at it goes by; whoever runs the tests in the background has it ignored."""
pytestmark = pytest.mark.slow


class Session(msgspec.Struct):
    """What was seen, and how it ended."""

    code: int
    screen: str

    @property
    def text(self) -> str:
        """Without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", self.screen)


def at_terminal(directory: Path, *words: str, until: str = "", **variables: str) -> Session:
    """The command's session in a terminal of 120 columns; Ctrl-C is typed as soon as `until` is seen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **variables}
    command = [sys.executable, "-c", CONTROLLED, sys.executable, "-m", "cacher", *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=directory, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        screen = _read(ours, lambda seen: os.write(ours, CTRL_C) if until and until in seen else 0)
        return Session(process.wait(ANSWER_S), screen)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int, answer: Callable[[str], int]) -> str:
    """All that is shown, until nobody has the terminal open any more."""
    seen, has_answered = b"", False
    while select.select([terminal], [], [], ANSWER_S)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux says so where the other side is closed
            break
        if not data:
            break
        seen += data
        if not has_answered:
            has_answered = bool(answer(seen.decode(errors="replace")))
    return seen.decode(errors="replace")


def test_run_tells_the_story_in_colours(tmp_path):
    session = at_terminal(tmp_path, "run", "missed-edge")
    assert session.code == 0
    assert "missed-edge, fixed, seed 1: held" in session.text
    assert "\x1b[1;31m" in session.screen
    assert "\x1b[32m" in session.screen


def test_run_live_shows_the_world_and_gives_the_cursor_back(tmp_path):
    session = at_terminal(tmp_path, "run", "missed-edge", "--variant", "fixed", "--live")
    assert session.code == 0
    for shown in ("store revision", "deliveries/s", "block-events", "guarantees", "watchers of"):
        assert shown in session.text
    assert session.screen.rindex("\x1b[?25h") > session.screen.rindex("\x1b[?25l")


def test_a_broken_guarantee_ends_with_1_and_no_color_is_honoured(tmp_path):
    session = at_terminal(tmp_path, "run", "missed-edge", "--variant", "buggy", "-q", NO_COLOR="1")
    assert session.code == 1
    assert "\x1b[" not in session.screen


def test_hunt_shows_how_far_it_is_and_keeps_a_tape(tmp_path):
    session = at_terminal(
        tmp_path, "hunt", "missed-edge", "--variant", "fixed", "--seeds", "12", "--jobs", "1", "--live"
    )
    assert session.code == 0
    assert "hunting missed-edge, fixed" in session.text
    assert re.search(r"\d+/12 seeds", session.text)
    assert "seeds/s" in session.text
    assert "of virtual time" in session.text
    assert "clean: 12 seeds" in session.text


def test_replaying_and_shrinking_show_how_far_they_are(tmp_path):
    assert at_terminal(tmp_path, "hunt", "missed-edge", "--seeds", "100", "--jobs", "1", "-q").code == 1
    (tape,) = (tmp_path / ".watchcache").glob("*.json")
    tape.rename(tmp_path / "it.json")
    replayed = at_terminal(tmp_path, "replay", "it.json")
    shrunk = at_terminal(tmp_path, "shrink", "it.json")

    assert replayed.code == 1
    assert "playing it.json …" in replayed.text
    assert shrunk.code == 1
    assert re.search(r"shrinking it\.json: \d+ runs · \d+ operations and faults became \d+", shrunk.text)
    assert shrunk.screen.rindex("\x1b[?25h") > shrunk.screen.rindex("\x1b[?25l")


def test_ctrl_c_in_a_hunt_ends_it_with_130_and_no_traceback(tmp_path):
    words = ("hunt", "missed-edge", "--variant", "fixed", "--seeds", "100000", "--jobs", "2")
    session = at_terminal(tmp_path, *words, until="seeds/s")
    assert session.code == 130
    assert "interrupted" in session.text
    assert "Traceback" not in session.text
    assert session.screen.rindex("\x1b[?25h") > session.screen.rindex("\x1b[?25l")


@pytest.mark.parametrize("flags", [(), ("--live",)], ids=["plain", "live"])
def test_ctrl_c_in_a_trace_ends_it_with_130_and_the_report_so_far(tmp_path, flags):
    trace = str(write_busy_trace(tmp_path))
    session = at_terminal(tmp_path, "trace", trace, "--clients", "5", "--pace", "real", *flags, until="playing")
    assert session.code == 130
    assert "INTERRUPTED at" in session.text
    assert "Traceback" not in session.text


def test_a_trace_is_played_and_reported(tmp_path):
    session = at_terminal(tmp_path, "trace", str(write_busy_trace(tmp_path)), "--clients", "12", "--live")
    assert session.code == 0
    assert "OK: 9 guarantees" in session.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hnt", "missed-edge"), "did you mean hunt?"),
        (("run", "missed-edg"), "did you mean missed-edge?"),
        (("trace", "rolout"), "did you mean rollout?"),
        (("replay", "nothing.json"), "No such file"),
        (("get", "pods", "--data-dir", "nowhere"), "there is no such directory"),
    ],
)
def test_wrong_usage_ends_with_64_and_one_clear_line(tmp_path, words, said):
    session = at_terminal(tmp_path, *words)
    assert session.code == 64
    assert said in session.text
    assert "Traceback" not in session.text
