"""cacher.reports._compare: how two runs differ, from what was given to what came of it."""

from __future__ import annotations

import re

import msgspec
import pytest

from cacher.reports import compare, comparison_lines, report_of_run
from cacher.simulation import draw, load_scenario, play, run_seed


@pytest.fixture(scope="module")
def buggy():
    return report_of_run(run_seed(load_scenario("zombie-delete"), 1, "buggy", hunting=False, keep=True))


@pytest.fixture(scope="module")
def fixed():
    return report_of_run(run_seed(load_scenario("zombie-delete"), 1, "fixed", hunting=False, keep=True))


def test_a_run_and_itself_are_the_same(buggy):
    again = report_of_run(run_seed(load_scenario("zombie-delete"), 1, "buggy", hunting=False, keep=True))
    comparison = compare(buggy, again)
    assert comparison.differences == []
    assert comparison_lines(comparison) == [
        "the same: facts, script, verdict, guarantees, what happened, the store's last revision, objects in the end, peaks"
    ]


def test_two_variants_differ_from_the_first_write_on_that_only_one_of_them_makes(buggy, fixed):
    found = {one.what: (one.a, one.b) for one in compare(buggy, fixed).differences}
    broken, held = found["verdict"]
    assert broken == "broken: NoStaleDestruction"
    assert re.fullmatch(r"held: \d+ guarantees, \d+ checks", held)
    assert found["broken: NoStaleDestruction"] == ("1 times", "held")
    first = found["the first of what happened that is not the same, number 46"]
    assert first[0].startswith("14.166731 store 13 deleted /registry/statefulsets/default/r for 4")
    assert "Conflict" in first[1]
    assert found["the store's last revision"] == ("14", "12")


def test_a_fault_that_only_one_has_is_told():
    scenario = load_scenario("zombie-delete")
    tape = draw(scenario, 1, "fixed", hunting=False)
    calm = msgspec.structs.replace(tape, faults=tape.faults[:1])
    a, b = (report_of_run(play(scenario, one, keep=True)) for one in (tape, calm))
    found = {one.what: (one.a, one.b) for one in compare(a, b).differences}
    told = found["lines of the script that only one of them has"]
    assert "crash operator 1 api-2" in told[0]
    assert told[1] == "–"


def test_objects_that_only_one_has_in_the_end_are_named(buggy):
    other = msgspec.convert(msgspec.to_builtins(buggy), type(buggy))
    versions = other.timeline.versions
    last = max(
        number for number, key in enumerate(versions.key) if versions.keys[key].startswith("/registry/statefulsets/")
    )
    flipped = "m" if versions.change[last] == "d" else "d"
    versions.change = versions.change[:last] + flipped + versions.change[last + 1 :]
    (difference,) = compare(buggy, other).differences
    assert difference.what == "objects that only one of them has in the end"
    assert "/registry/statefulsets/default/r" in (difference.a + difference.b)
