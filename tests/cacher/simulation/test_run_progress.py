"""How far a replay or a shrinking is: drawn anew on a terminal, told now and then elsewhere, and without a hand in the run."""

from __future__ import annotations

import io
import itertools
import re

import pytest

from cacher.simulation import PlayDisplay, ShrinkDisplay, load_scenario, run_seed, shrink
from cacher.simulation._shrink import size
from tests.terminal import Terminal, set_terminal

SECOND = 1.0


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    set_terminal(monkeypatch, columns=200)


def clock(step_s: float):
    """A wall clock that is so much later at each look."""
    return itertools.count(0.0, step_s).__next__


@pytest.fixture(scope="module")
def missed_edge():
    return load_scenario("missed-edge")


def played(scenario, display):
    with display:
        return run_seed(scenario, 1, "buggy", hunting=False, watcher=display.looked)


def shrunk(scenario, display_of):
    tape = run_seed(scenario, 1, "buggy", hunting=False).tape
    with display_of(tape) as display:
        return tape, shrink(scenario, tape, plays_max=40, on_play=display.played)


def test_a_terminal_shows_the_time_in_the_world_its_store_and_its_faults(missed_edge):
    file = Terminal()
    played(missed_edge, PlayDisplay("playing it", file=file, wall=clock(SECOND)))

    text = file.getvalue()
    assert "playing it …" in text
    assert re.search(r"playing it: [\d.,]+ s of virtual time · store revision \d+ · \d+ faults · [\d.,]+ s", text)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the terminal has its cursor back"


def test_a_log_file_gets_nothing_from_a_run_that_is_over_soon(missed_edge):
    file = io.StringIO()
    played(missed_edge, PlayDisplay("playing it", file=file, wall=clock(0.0)))

    assert file.getvalue() == ""


def test_a_log_file_gets_a_line_every_ten_seconds_of_a_long_one(missed_edge):
    file = io.StringIO()
    played(missed_edge, PlayDisplay("playing it", file=file, wall=clock(SECOND)))

    took = [
        float(line.rsplit(" · ", 1)[1].removesuffix(" s").replace(",", "")) for line in file.getvalue().splitlines()
    ]
    assert len(took) >= 2
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise([0.0, *took]))


@pytest.mark.parametrize("file", [io.StringIO(), Terminal()], ids=["log file", "terminal"])
def test_quiet_is_quiet(missed_edge, file):
    played(missed_edge, PlayDisplay("playing it", file=file, is_quiet=True, wall=clock(SECOND)))
    shrunk(missed_edge, lambda tape: ShrinkDisplay("shrinking it", tape, file=file, is_quiet=True, wall=clock(SECOND)))

    assert file.getvalue() == ""


def test_who_looks_changes_nothing(missed_edge):
    unwatched = run_seed(missed_edge, 1, "buggy", hunting=False)
    watched = played(missed_edge, PlayDisplay("playing it", file=Terminal(), wall=clock(SECOND)))

    assert watched.digest == unwatched.digest


def test_a_terminal_sees_a_tape_become_smaller(missed_edge):
    file = Terminal()
    tape, found = shrunk(missed_edge, lambda tape: ShrinkDisplay("shrinking it", tape, file=file, wall=clock(SECOND)))

    told = re.findall(r"shrinking it: (\d+) runs · (\d+) operations and faults became (\d+)", file.getvalue())
    runs, before, left = zip(*(map(int, one) for one in told), strict=True)
    assert sorted(set(runs)) == list(range(1, found.plays + 1)), "the last is drawn twice: at its time, and at the end"
    assert set(before) == {size(tape)}
    assert list(left) == sorted(left, reverse=True)
    assert left[0] == size(tape)
    assert found.after <= left[-1] < left[0]
