"""benchmarks/beside/_run.py: a run of all jobs, cut and gone on with."""

import subprocess

import pytest

from benchmarks.beside._line import Job, Line, Sample, Unit
from benchmarks.beside._machine import Machine
from benchmarks.beside._run import Unfinished, load, missing, run_all

LINE = Line("group", "line", Unit.EVENTS)


class Cut(Exception):
    """Somebody ended the run."""


class Work:
    """A job that says what it has done, and fails where it is told to."""

    def __init__(self, *fails):
        self.runs = []
        self._fails = list(fails)

    def run(self, number):
        self.runs.append(number)
        error = self._fails.pop(0) if self._fails else None
        if error is not None:
            raise error
        return {LINE: {"ours": Sample(float(number))}}


def nothing_yet():
    return Unfinished(Machine("2026-01-01 00:00 UTC", "", 2, "", "", {}, {}, 0.0), False, [], [])


def test_a_run_that_was_cut_goes_on_after_its_last_job(tmp_path):
    kept = tmp_path / "unfinished.json"
    first, second = Work(), Work(None, Cut())
    jobs = [Job("first", first.run), Job("second", second.run)]
    with pytest.raises(Cut):
        run_all(jobs, 2, nothing_yet(), tell=lambda name: None, keep=kept)
    so_far = load(kept)
    assert so_far is not None
    assert so_far.done == [("first", 0), ("second", 0), ("first", 1)]
    found = run_all(jobs, 2, so_far, tell=lambda name: None, keep=kept)
    assert first.runs == [0, 1]
    assert second.runs == [0, 1, 1]
    assert [one.value for one in found[LINE]["ours"]] == [0.0, 0.0, 1.0, 1.0]


def test_a_job_whose_process_fails_is_told_of_left_out_and_tried_again():
    failing, other = Work(subprocess.CalledProcessError(1, "it")), Work()
    jobs = [Job("failing", failing.run), Job("other", other.run)]
    said: list[str] = []
    so_far = nothing_yet()
    found = run_all(jobs, 1, so_far, tell=said.append)
    assert [one for one in said if one.startswith("FAILED") and "failing" in one]
    assert missing(jobs, so_far) == ["failing"]
    assert len(found[LINE]["ours"]) == 1
    run_all(jobs, 1, so_far, tell=said.append)
    assert missing(jobs, so_far) == []
    assert (failing.runs, other.runs) == ([0, 0], [0])


def test_work_that_takes_long_runs_no_more_often_than_is_enough():
    work = Work()
    run_all([Job("long", work.run, runs_max=1)], 3, nothing_yet(), tell=lambda name: None)
    assert work.runs == [0]
