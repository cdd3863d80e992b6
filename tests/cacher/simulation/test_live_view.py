"""The live view: what it shows of a trace and of a world, that it changes neither, and what is said where there is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cacher.simulation import LiveView, RunOptions, TraceRun, Verdict, load_scenario, load_trace, run_seed
from cacher.simulation._live import CacheLine, Frame
from cacher.simulation._live_view import drawn
from cacher.simulation._render import Glyphs
from tests.cacher.simulation.busy_trace import write_busy_trace
from tests.terminal import Terminal, set_terminal


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    set_terminal(monkeypatch, columns=160)
    monkeypatch.setenv("LINES", "60")
    monkeypatch.setattr("cacher.simulation._live_view.STAYS_S", 0.0)
    monkeypatch.setattr("cacher.simulation._live_view.DRAWINGS_A_SECOND", 1e9)


def played(tmp_path, file: io.StringIO, *, is_quiet: bool = False) -> str:
    with LiveView(file, is_quiet=is_quiet) as view:
        run = TraceRun(load_trace(write_busy_trace(tmp_path)), RunOptions(clients=10), display=view)
        run.execute()
        return run.report().digest


def test_a_trace_shows_caches_watchers_deliveries_and_guarantees_and_is_the_same(tmp_path):
    file = Terminal()
    calm = TraceRun(load_trace(write_busy_trace(tmp_path)), RunOptions(clients=10))
    calm.execute()
    assert played(tmp_path, file) == calm.report().digest
    text = file.getvalue()
    for shown in ("playing", "store revision 1", "deliveries/s", "behind", "watchers of", "everything", "guarantees"):
        assert shown in text
    assert "Ordered" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_world_shows_faults_as_they_strike_and_is_the_same():
    scenario = load_scenario("missed-edge")
    file = Terminal()
    with LiveView(file) as view:
        seen = run_seed(scenario, 3, "buggy", hunting=False, watcher=view.looked)
    assert seen.digest == run_seed(scenario, 3, "buggy", hunting=False).digest
    text = file.getvalue()
    for shown in ("missed-edge, buggy, seed 3", "block-events", "api-1 pods", "guarantees", "Ordered"):
        assert shown in text


def test_without_a_terminal_one_line_says_so_and_progress_is_plain(tmp_path):
    file = io.StringIO()
    played(tmp_path, file)
    lines = file.getvalue().splitlines()
    assert lines[0] == "watchcache: a live view needs a terminal – plain progress instead"
    assert lines[1].startswith("watchcache: playing")
    assert lines[2].startswith("watchcache: 50 events played, ")
    assert len(lines) == 3


def test_who_wants_quiet_has_it(tmp_path):
    file = Terminal()
    played(tmp_path, file, is_quiet=True)
    assert file.getvalue() == ""


def test_a_frame_says_what_is_broken_and_leaves_out_what_is_too_much():
    caches = tuple(CacheLine(f"cache-{number}", 5, 2, 3, 100, 1, 1, number) for number in range(20))
    frame = Frame(
        "story",
        12.5,
        7,
        1234,
        (1, 2, 3),
        caches,
        (("pods", "labels(app=web)", 1000),),
        faults=("1.0 s: crash x",),
        faults_left_out=4,
        guarantees=(Verdict("Ordered", "", 10, 2, ()), Verdict("Unique", "", 0, 0, ())),
    )
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as captured:
        console.print(drawn(frame, Glyphs(ascii_only=True)))
    text = captured.get()
    for shown in (
        "1,234 deliveries",
        "cache-19",
        "and 8 more",
        "labels(app=web)",
        "and 4 before",
        "Ordered 10 broken 2",
    ):
        assert shown in text
    assert "cache-3 " not in text
    assert "Unique" not in text
