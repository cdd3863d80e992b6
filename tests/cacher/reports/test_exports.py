"""cacher.reports._perfetto and _shiviz: a timeline for other viewers."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from cacher.reports import Report, report_of_run, timeline_of, to_perfetto, to_shiviz
from cacher.reports import _perfetto as perfetto
from cacher.reports import _shiviz as shiviz
from cacher.simulation import load_scenario, run_seed
from tests.cacher.reports.test_levels import long_run

PHASES = {"M", "X", "i", "s", "f", "C"}


@pytest.fixture(scope="module")
def report():
    return report_of_run(run_seed(load_scenario("zombie-delete"), 1, "buggy", hunting=False, keep=True), replay="again")


def events(*reports):
    return json.loads(to_perfetto(reports))["traceEvents"]


def test_every_event_of_the_trace_has_what_the_format_asks_of_its_phase(report):
    for event in events(report):
        assert event["ph"] in PHASES
        assert {"pid", "tid", "name"} <= set(event)
        if event["ph"] == "M":
            continue
        assert isinstance(event["ts"], int)
        assert event["ph"] != "X" or event["dur"] >= 0
        assert event["ph"] != "i" or event["s"] in ("t", "g")


def test_every_arrow_begins_and_ends_inside_a_slice(report):
    found = events(report)
    slices = Counter((event["tid"], event["ts"]) for event in found if event["ph"] == "X")
    begins = {event["id"]: event for event in found if event["ph"] == "s"}
    ends = {event["id"]: event for event in found if event["ph"] == "f"}
    assert begins.keys() == ends.keys() != set()
    for number, begin in begins.items():
        assert begin["ts"] <= ends[number]["ts"]
        assert slices[begin["tid"], begin["ts"]]
        assert slices[ends[number]["tid"], ends[number]["ts"]]


def test_lanes_are_named_and_the_violation_is_there_for_all_to_see(report):
    found = events(report)
    names = [event["args"]["name"] for event in found if event["name"] == "thread_name"]
    assert names == ["faults and violations", *(lane.name for lane in report.timeline.lanes)]
    (violation,) = [event for event in found if event.get("cat") == "violation"]
    assert (violation["name"], violation["s"]) == ("NoStaleDestruction", "g")


def test_two_runs_are_two_processes(report):
    assert {event["pid"] for event in events(report, report)} == {1, 2}


def test_of_too_many_clients_the_one_with_the_violation_is_shown(monkeypatch):
    monkeypatch.setattr(perfetto, "MARKS_MAX", 300)
    history, verdicts = long_run(100, 20, broken="client-13")
    timeline, breaches = timeline_of(history, verdicts)
    found = events(Report("long", "run", "broken", False, "", breaches=breaches, timeline=timeline))
    names = [event["args"]["name"] for event in found if event["name"] == "thread_name"]
    assert "client-13" in names
    assert len(names) == 4, "faults, the store, and two clients of a hundred marks"


def test_a_report_of_figures_alone_is_an_empty_trace():
    assert {event["ph"] for event in events(Report("figures", "benchmark", "", True, ""))} == {"M"}
    assert to_shiviz(Report("figures", "benchmark", "", True, "")) == ""


# ---- ShiViz --------------------------------------------------------------------------------------------------------------

LINE = re.compile(r"(?P<host>\S*) (?P<clock>{.*})\n(?P<event>.*)\n")


def log(report):
    text = to_shiviz(report)
    found = [(match["host"], json.loads(match["clock"]), match["event"]) for match in LINE.finditer(text)]
    assert "".join(match[0] for match in LINE.finditer(text)) == text, "nothing but what the pattern takes"
    return found


def test_the_clocks_of_a_log_are_those_of_its_messages(report):
    found = log(report)
    counts: Counter[str] = Counter()
    seen: dict[str, dict[str, int]] = {}
    for host, clock, _ in found:
        counts[host] += 1
        assert clock[host] == counts[host], "a host counts its own events one by one"
        before = seen.get(host, {})
        assert all(clock.get(other, 0) >= count for other, count in before.items()), "and forgets nothing"
        for other, count in clock.items():
            assert count <= counts[other], "nobody knows of what has not happened"
        seen[host] = clock


def test_a_write_knows_its_request_and_an_event_its_write(report):
    found = log(report)
    write = next(clock for host, clock, event in found if event.startswith("revision 7:"))
    request = next(clock for host, clock, event in found if event.startswith("create apps/v1/statefulsets"))
    told = next(clock for host, clock, event in found if event.startswith("is told of revision 7:"))
    assert write["operator"] == request["operator"]
    assert told["store"] == write["store"]


def test_of_a_long_run_there_is_what_led_to_the_violation(monkeypatch):
    monkeypatch.setattr(shiviz, "EVENTS_MAX", 100)
    history, verdicts = long_run(1000, 2, broken="client-1")
    timeline, breaches = timeline_of(history, verdicts)
    found = log(Report("long", "run", "broken", False, "", breaches=breaches, timeline=timeline))
    assert len(found) == 100
    assert [event for *_, event in found if event.startswith("revision 500:")]
