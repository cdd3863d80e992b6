"""cacher.reports._timeline, _lanes, _versions and _plots: a history as lanes, arrows, bands and curves."""

from __future__ import annotations

from itertools import accumulate

import pytest

from cacher.reports import timeline_of
from cacher.simulation import (
    At,
    Crash,
    Ended,
    EndReason,
    Fault,
    Listed,
    Opened,
    PauseCache,
    Received,
    draw,
    load_scenario,
    play,
    run_seed,
)
from cacher.simulation.judges import Verdict, Violation
from tests.cacher.reports import runs


@pytest.fixture(scope="module")
def zombie():
    return run_seed(load_scenario("zombie-delete"), 1, "buggy", hunting=False, keep=True)


@pytest.fixture(scope="module")
def seen(zombie):
    return timeline_of(zombie.history, zombie.verdicts, zombie.chronicle)


def lane(timeline, name):
    return next(one for one in timeline.lanes if one.name == name)


def test_every_part_of_a_world_has_its_lane_and_a_watch_stands_below_its_process(seen):
    timeline, _ = seen
    assert [(one.name, one.kind) for one in timeline.lanes] == [
        ("workload", "workload"),
        ("store", "store"),
        ("api-1", "cache"),
        ("api-2", "cache"),
        ("operator", "process"),
        ("operator · statefulsets everything", "watch"),
        ("operator · rabbits everything", "watch"),
    ]
    assert timeline.lanes[6].under == 4


def test_every_step_of_every_client_is_a_mark_at_its_time(zombie, seen):
    timeline, _ = seen
    events = [
        (round(step.at_s * 1e6), event.revision)
        for client in zombie.history.clients
        for step in client.steps
        if isinstance(step, Received)
        for event in step.batch
        if event.type != "BOOKMARK"
    ]
    revisions = list(accumulate(timeline.versions.revision))
    marks = [
        (at_us, revisions[ref]) for one in timeline.lanes for at_us, kind, ref in one.marks() if kind in ("a", "m", "d")
    ]
    assert sorted(marks) == sorted(events)


def test_the_marks_of_a_lane_are_in_the_order_of_time(seen):
    for one in seen[0].lanes:
        times = [at_us for at_us, *_ in one.marks()]
        assert times == sorted(times)


def test_a_request_knows_what_was_written_for_it_and_what_it_was_decided_on(seen):
    timeline, _ = seen
    delete = next(one for one in timeline.requests if one.text.startswith("delete") and one.server == "api-2")
    revisions = list(accumulate(timeline.versions.revision))
    assert [revisions[number] for number in delete.versions] == [13]
    assert [(revisions[number], server) for number, server, _ in delete.beliefs] == [(8, "api-2"), (12, "api-2")]
    assert timeline.versions.request[delete.versions[0]] == 4


def test_the_first_violation_stands_on_the_lane_of_who_broke_it(seen):
    timeline, (breach, *rest) = seen
    assert not rest
    assert (timeline.lanes[breach.lane].name, breach.guarantee) == ("operator", "NoStaleDestruction")
    assert breach.at_us == pytest.approx(14_156_457, abs=1)


def test_a_fault_is_a_band_on_the_lanes_that_it_was_aimed_at_until_it_was_mended(seen):
    timeline, _ = seen
    pause, crash, down, calm = timeline.bands
    assert (pause.kind, pause.text) == ("fault", "pause-cache api-2 example.com/v1/rabbits")
    assert [timeline.lanes[number].name for number in pause.lanes] == ["api-2"]
    assert pause.to_us - pause.from_us == pytest.approx(40e6, abs=100_000), "the script says 40 s"
    assert (crash.from_us, crash.text) == (down.from_us, "crash operator 1 api-2")
    assert (down.kind, down.to_us - down.from_us) == ("down", 1_000_000)
    assert (calm.kind, calm.to_us) == ("phase", timeline.end_us)


def test_a_fault_that_is_mended_by_the_end_of_all_faults_ends_there():
    scenario = load_scenario("zombie-delete")
    tape = draw(scenario, 1, "fixed", hunting=False)
    for_ever = Fault(At(0.5), PauseCache("api-1"))
    result = play(
        scenario, type(tape)(**{**_members(tape), "faults": (for_ever, Fault(At(1), Crash("operator")))}), keep=True
    )
    assert result.history is not None
    struck = result.history.acts.struck
    assert [(one.targets, one.is_lasting, one.mended_s) for one in struck] == [
        (("api-1",), True, result.history.acts.phases.faults_end_s),
        (("operator",), False, None),
    ]


def _members(tape):
    return {name: getattr(tape, name) for name in type(tape).__struct_fields__}


def test_a_run_on_the_real_clock_is_told_from_its_own_beginning():
    late = runs.watching()
    late.published_at_s = {revision: 9e5 + at_s for revision, at_s in late.published_at_s.items()}
    late.clients[0].steps = [Listed(9e5 + 0.3, 2, (runs.pod(2),))]
    timeline, _ = timeline_of(late)
    assert timeline.origin_s == 9e5 + 0.2
    assert list(lane(timeline, "client-7").marks()) == [(100_000, "l", 0)]


def test_batches_and_lists_that_are_shared_are_the_same_for_everybody():
    batch = (runs.event("ADDED", 2),)
    shared = runs.history(
        runs.store((2, runs.POD, "uid-1")),
        *(runs.client(Listed(0, 1, ()), Opened(0.1, 1), Received(0.3, batch), name=f"client-{n}") for n in range(3)),
    )
    timeline, _ = timeline_of(shared)
    assert len(timeline.listings) == 1
    marks = {tuple(one.marks()) for one in timeline.lanes if one.kind == "client"}
    assert marks == {((0, "l", 0), (100_000, "o", 1), (300_000, "a", 0))}


# ---- curves --------------------------------------------------------------------------------------------------------------


def plot(timeline, title):
    return next(one for one in timeline.plots if one.title == title)


def test_the_figures_count_what_everybody_was_told(zombie, seen):
    deliveries = plot(seen[0], "deliveries").lines[0].values
    told = [len(step.batch) for client in zombie.history.clients for step in client.steps if isinstance(step, Received)]
    bookmarks = [
        event
        for client in zombie.history.clients
        for step in client.steps
        if isinstance(step, Received)
        for event in step.batch
        if event.type == "BOOKMARK"
    ]
    assert sum(deliveries) == sum(told) - len(bookmarks)


def test_lag_is_from_the_write_to_the_receipt_and_not_of_what_was_there_before_the_watch():
    timeline, _ = timeline_of(runs.watching())
    assert max(plot(timeline, "lag of deliveries").lines[0].values) == pytest.approx(0.15), "revision 3: 0.30 to 0.45 s"
    late = runs.history(
        runs.store((2, runs.POD, "uid-1")), runs.client(Opened(5.0, 1), Received(5.1, (runs.event("ADDED", 2),)))
    )
    assert "lag of deliveries" not in [one.title for one in timeline_of(late)[0].plots]


def test_who_is_slow_on_purpose_has_a_curve_of_his_own():
    slow = runs.watching()
    slow.clients[0].slow = True
    titles = [one.title for one in timeline_of(slow)[0].plots]
    assert "lag of deliveries to clients that are slow on purpose" in titles
    assert "lag of deliveries" not in titles


def test_open_watches_are_counted_and_a_relist_is_none_of_the_first_lists():
    timeline, _ = timeline_of(
        runs.history(
            runs.store((2, runs.POD, "u")),
            runs.client(
                *(
                    Listed(0.1, 1, ()),
                    Opened(0.2, 1),
                    Ended(0.3, EndReason.EXPIRED),
                    Listed(0.5, 2, ()),
                    Opened(0.6, 2),
                ),
                Received(0.9, (runs.event("MODIFIED", 2),)),
            ),
        )
    )
    assert plot(timeline, "watchers").lines[0].values == [1, 0, 1, 0]
    first, again = plot(timeline, "lists and relists").lines
    assert (first.label, sum(first.values), again.label, sum(again.values)) == ("first", 1, "again", 1)


def test_a_violation_of_a_client_is_on_its_lane():
    broken = Verdict("Ordered", "…", 1, 1, (Violation("client-7", 3, 0.45, "broke Ordered"),))
    timeline, breaches = timeline_of(runs.watching(), (broken,))
    assert timeline.lanes[breaches[0].lane].name == "client-7"
