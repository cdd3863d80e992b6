"""The report: every fact is in it, it is plain where it is piped, and never wider than the page."""

from __future__ import annotations

import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.simulation._meter import LagSummary
from cacher.simulation._render import PIPE_WIDTH, Glyphs, console_for, duration, gauge, render, sparkline
from cacher.simulation._report import (
    CacherFacts,
    ClientTotals,
    KindFacts,
    RunReport,
    VerifyFacts,
    replay_command,
)
from cacher.simulation.judges import Verdict, Violation

PODS = CacherFacts(
    resource="pods",
    prefix="/registry/pods/",
    revision=300,
    events=3159,
    objects=40,
    clients=600,
    deliveries=732_255,
    watches_peak=598,
    views_peak=210,
    ring_length=800,
    ring_capacity=1600,
    ring_resizes=4,
    ring_evictions=77,
    relists=1,
    resumes=2,
    bookmarks=1189,
    expired=3,
)
LONG = msgspec.structs.replace(
    PODS, resource="prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", prefix="/registry/plc/", deliveries=0
)
REPORT = RunReport(
    trace="rollout",
    versions={"watchcache": "0.1.0", "python": "3.11.7"},
    clients=1000,
    pace="max",
    seed=7,
    replay="watchcache trace rollout --clients 1000 --seed 7",
    start_revision=100,
    end_revision=300,
    events_played=12_942,
    events=12_942,
    revisions_played=200,
    revisions=200,
    trace_s=161.0,
    play_wall_s=17.75,
    deliveries=1_033_006,
    deliveries_per_s=58_117.2,
    deliveries_by_second=(0, 10, 20, 40),
    lag=LagSummary(1_004_704, 0.000909, 0.00931, 0.224),
    totals=ClientTotals(
        lists=976,
        relists=3,
        resumes=125,
        expired=4,
        bookmarks=1939,
        retries=5,
        slow=20,
        restless=21,
        streaming=27,
        late=50,
    ),
    caches=(PODS, LONG),
    kinds=(KindFacts("label in", 55, 67_673), KindFacts("one object", 84, 1464)),
    memory_peak_bytes=239 * 2**20,
    verify=None,
    guarantees=(
        Verdict("Ordered", "revisions never fall within a watch", 1_034_918, 0, ()),
        Verdict("Isolated", "a slow watcher costs the others nothing", 0, 0, ()),
    ),
    digest="0123abcd",
    interrupted=False,
    lagging=(),
)
VIOLATION = Violation("client-3", 205, 12.5, "broke Ordered - revisions never fall within a watch: 204 after 205")
BROKEN = msgspec.structs.replace(
    REPORT, guarantees=(Verdict("Ordered", "revisions never fall within a watch", 10, 9, (VIOLATION,) * 9),)
)


def text_of(report: RunReport, *, width: int = PIPE_WIDTH, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    console = console_for(file)
    console.width = width
    render(report, console)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    "fact",
    [
        "trace rollout",
        "watchcache 0.1.0",
        "12,942 events played in 200 revisions (101 to 300), every one equal to the recorded",
        "1,000 clients",
        "161.0 s of a cluster in 17.8 s",
        "seed 7",
        "1,033,006 · 58,117 deliveries/s",
        "p50 909 us · p99 9.31 ms · max 224 ms",
        "976 lists · 3 relists after 4 expired watches · 125 resumes · 1,939 bookmarks · 5 retries",
        "2 relists · 4 resumes · 8 ring resizes · 154 events dropped from rings",
        "239 MiB",
        "████░░░░",
        "800/1,600",
        "3,159",
        "598",
        "210",
        "prioritylevelconfigurations",
        "label in",
        "67,673",
        "1,230",
        "1,034,918",
        "revisions never fall within a watch",
        "digest: 0123abcd",
        "OK: 2 guarantees, 1,034,918 checks, 0 broken",
    ],
)
def test_the_report_says(fact):
    assert fact in text_of(REPORT)


def test_a_guarantee_that_had_nothing_to_check_says_so():
    line = next(line for line in text_of(REPORT).splitlines() if "Isolated" in line)
    assert "none" in line


def test_the_last_lines_are_the_digest_and_the_verdict():
    assert text_of(REPORT).splitlines()[-2:] == ["digest: 0123abcd", "OK: 2 guarantees, 1,034,918 checks, 0 broken"]


def test_a_pipe_gets_no_colours():
    assert "\x1b" not in text_of(BROKEN)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_table_is_wider_than_the_page(width):
    tables = text_of(REPORT, width=width).partition("Caches")[2].partition("digest")[0]
    assert max(len(line.rstrip()) for line in tables.splitlines()) <= width


def test_a_narrow_page_keeps_the_columns_that_matter():
    text = text_of(REPORT, width=80)
    assert "800/1,600" in text
    assert "732,255" in text
    assert "…" not in text


def test_where_unicode_cannot_be_shown_the_report_is_ascii():
    text = text_of(REPORT, encoding="ascii")
    assert "####...." in text
    assert "1,033,006 - 58,117 deliveries/s" in text


def test_a_failing_run_says_first_how_to_repeat_it_and_what_was_broken_first():
    lines = text_of(BROKEN).splitlines()
    assert lines[0] == "replay: watchcache trace rollout --clients 1000 --seed 7"
    assert lines[1].startswith("  client-3, revision 205, at 12.500 s: broke Ordered - revisions never fall")
    assert "4 more" in lines[6]
    assert lines[-1] == "BROKEN: 1 guarantees, 10 checks, 9 broken"


def test_the_comparison_with_recorded_watches_is_told_line_by_line():
    lines = ("pods-node: 87 of 87 events equal", "1 streams, 87 events, 0 differences")
    assert "\n".join(f"  {line}" for line in lines) in text_of(
        msgspec.structs.replace(REPORT, verify=VerifyFacts(lines, 0))
    )


@pytest.mark.parametrize(
    ("changes", "code", "verdict"),
    [
        ({}, 0, "OK: "),
        ({"guarantees": BROKEN.guarantees}, 1, "BROKEN: "),
        ({"verify": VerifyFacts(("…",), 2)}, 1, "DIFFERENT: 2 differences"),
        ({"lagging": ("/registry/pods/",)}, 2, "NOT CONVERGED: /registry/pods/ did not reach revision 300"),
        ({"interrupted": True, "events_played": 5}, 130, "INTERRUPTED at 5 of 12,942 events"),
        ({"interrupted": True, "guarantees": BROKEN.guarantees}, 1, "BROKEN: "),
        ({"guarantees": BROKEN.guarantees, "lagging": ("/registry/pods/",)}, 1, "BROKEN: "),
    ],
)
def test_the_exit_code_and_the_verdict_tell_the_worst(changes, code, verdict):
    report = msgspec.structs.replace(REPORT, **changes)
    assert report.exit_code == code
    assert report.verdict.startswith(verdict)


def test_a_stopped_run_says_how_far_it_came():
    report = msgspec.structs.replace(REPORT, interrupted=True, events_played=5, revisions_played=4)
    assert "5 of 12,942 events played in 4 of 200 revisions" in text_of(report)


def test_a_run_that_never_began_has_a_report_too():
    empty = msgspec.structs.replace(
        REPORT, deliveries=0, deliveries_by_second=(), caches=(), kinds=(), guarantees=(), lag=LagSummary(0, 0, 0, 0)
    )
    assert "INTERRUPTED" in text_of(msgspec.structs.replace(empty, interrupted=True))


def test_the_json_says_the_same():
    document = json.loads(BROKEN.to_json())
    assert document["exit_code"] == 1
    assert document["verdict"] == BROKEN.verdict
    assert document["caches"][0]["ring_capacity"] == 1600
    assert document["guarantees"][0]["violations"][0]["message"] == VIOLATION.message
    assert set(document) > {"deliveries_per_s", "lag", "totals", "memory_peak_bytes", "digest", "replay"}


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ({}, "watchcache trace rollout --clients 5 --seed 1"),
        ({"pace": "2.5"}, "watchcache trace rollout --clients 5 --seed 1 --pace 2.5"),
        ({"verify": True}, "watchcache trace rollout --clients 5 --seed 1 --verify"),
        (
            {"store_words": ("--etcd", "http://127.0.0.1:1", "--etcd-prefix", "/x y")},
            "watchcache trace rollout --clients 5 --seed 1 --etcd http://127.0.0.1:1 --etcd-prefix '/x y'",
        ),
        ({"watch_cache": False}, "watchcache trace rollout --clients 5 --seed 1 --watch-cache false"),
        (
            {"watch_cache_sizes": (("events", 0), ("pods", 9))},
            "watchcache trace rollout --clients 5 --seed 1 --watch-cache-sizes events=0,pods=9",
        ),
    ],
)
def test_the_replay_command_repeats_every_choice(arguments, command):
    assert (
        replay_command("rollout", **({"clients": 5, "pace": "max", "seed": 1, "verify": False} | arguments)) == command
    )


def test_the_replay_command_can_be_pasted_where_the_path_has_spaces():
    assert "'my traces/rollout'" in replay_command("my traces/rollout", clients=1, pace="max", seed=0, verify=False)


# ---- small pictures --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(1, 80), st.booleans())
def test_a_sparkline_fits_its_width_and_shows_every_delivery(values, width, ascii_only):
    levels = Glyphs(ascii_only=ascii_only).spark
    line = sparkline(values, width, levels)
    assert len(line) == min(width, len(values))
    assert set(line) <= set(levels)
    assert (line.strip() == "") == (sum(values) == 0)
    if sum(values):
        assert levels[-1] in line


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_a_gauge_is_empty_only_at_0_and_full_only_at_the_limit(value, limit):
    bar = gauge(min(value, limit), limit, Glyphs(ascii_only=True))
    assert len(bar) == 8
    assert ("#" in bar) == (value > 0)
    assert ("." in bar) == (value < limit)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0000021, "2.1 us"), (0.00099, "990 us"), (0.001, "1 ms"), (0.9994, "999 ms"), (12.5, "12.5 s")],
)
def test_a_duration_has_three_digits_and_the_unit_that_suits_it(seconds, text):
    assert duration(seconds) == text
