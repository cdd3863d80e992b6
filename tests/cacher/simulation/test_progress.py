"""The live display: drawn from the run's own calls on a terminal, two plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from cacher.simulation._progress import ProgressDisplay
from cacher.simulation._trace import load_trace
from cacher.simulation._trace_run import RunOptions, TraceRun
from tests.cacher.simulation.busy_trace import write_busy_trace
from tests.terminal import Terminal, set_terminal


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function: what is written to `file` while a small trace plays."""
    set_terminal(monkeypatch, columns=120)
    trace = load_trace(write_busy_trace(tmp_path))

    def play(file: io.StringIO) -> str:
        with ProgressDisplay(file) as display:
            run = TraceRun(trace, RunOptions(clients=10), display=display)
            run.execute()
            run.report()
        return file.getvalue()

    return play


def test_a_terminal_is_shown_how_far_the_run_is(written):
    text = written(Terminal())
    for shown in (
        "filling the caches",
        "opening 10 clients",
        "playing",
        "judging",
        "deliveries",
        "lag p50",
        "pods: ring",
    ):
        assert shown in text


def test_the_terminal_gets_its_cursor_back(written):
    text = written(Terminal())
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_log_file_gets_a_line_at_the_start_and_one_at_the_end(written):
    lines = written(io.StringIO()).splitlines()
    assert len(lines) == 2
    assert lines[0] == "watchcache: playing …"
    assert lines[1].startswith("watchcache: 50 events played, ")
