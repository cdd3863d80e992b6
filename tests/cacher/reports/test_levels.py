"""cacher.reports._levels: what is left out of a run that is too long, so that what is kept is whole and violations stay."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cacher.reports import belief_at, timeline_of
from cacher.reports._levels import choose, fair_share
from cacher.simulation import Listed, Opened, Received
from cacher.simulation.judges import Verdict, Violation
from tests.cacher.reports import runs

SIZES = st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=40)


@given(SIZES, st.integers(0, 1000))
def test_those_with_a_violation_are_kept_and_the_others_fit(sizes, marks_max):
    clients = [(f"client-{number}", size, is_broken) for number, (size, is_broken) in enumerate(sizes)]
    chosen = choose(clients, marks_max)
    assert sorted((*chosen.kept, *chosen.left_out)) == sorted(name for name, *_ in clients)
    broken = [(name, size) for name, size, is_broken in clients if is_broken]
    assert {name for name, _ in broken} <= set(chosen.kept)
    others = sum(size for name, size, is_broken in clients if name in chosen.kept and not is_broken)
    assert others <= max(0, marks_max - sum(size for _, size in broken)) or not chosen.left_out


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(0, 500))
def test_the_short_lanes_are_whole_and_the_long_ones_share_what_is_left(lengths, marks_max):
    share = fair_share(lengths, marks_max)
    if sum(lengths) <= marks_max:
        assert share >= max(lengths)
    else:
        assert sum(min(length, share) for length in lengths) <= marks_max
        assert sum(min(length, share + 1) for length in lengths) > marks_max, "a little more for each would be too much"


def test_all_are_kept_where_all_fit():
    assert choose([("a", 5, False), ("b", 5, True)], 10).left_out == ()


def test_the_choice_is_spread_over_all_of_them():
    chosen = choose([(str(number), 1, False) for number in range(1000)], 100)
    places = [int(name) for name in chosen.kept]
    assert len(places) == 100
    assert max(after - before for before, after in pairwise(places)) <= 16


def long_run(events: int, clients: int, *, broken: str = ""):
    """A pod that changes `events` times, every 0.1 s, and clients who are told at once."""
    revisions = range(2, events + 2)
    history = runs.history(
        runs.store(*((revision, runs.POD, "uid-1") for revision in revisions)),
        *(
            runs.client(
                Listed(0.0, 1, ()),
                Opened(0.01, 1),
                *(Received(revision / 10 + 0.01, (runs.event("MODIFIED", revision),)) for revision in revisions),
                name=f"client-{number}",
            )
            for number in range(clients)
        ),
    )
    at_s = (events // 2) / 10
    violation = Violation(broken, events // 2, at_s, "broke Ordered")
    verdicts = (Verdict("Ordered", "…", 1, 1, (violation,)),) if broken else ()
    return history, verdicts


def test_whole_clients_are_left_out_and_named_and_the_one_with_the_violation_stays():
    history, verdicts = long_run(100, 20, broken="client-13")
    timeline, breaches = timeline_of(history, verdicts, marks_max=500)
    kept = [lane.name for lane in timeline.lanes if lane.kind == "client"]
    assert "client-13" in kept
    assert timeline.lanes[breaches[0].lane].name == "client-13"
    assert timeline.lanes_left_out_count == 20 - len(kept)
    assert timeline.lanes_left_out[0] == "client-1"
    assert sum(len(lane.at_us) for lane in timeline.lanes) <= 500
    assert timeline.marks_seen == 100 + 20 * 102
    assert {len(lane.at_us) for lane in timeline.lanes if lane.kind == "client"} == {102}, "each of them whole"


def test_a_client_that_is_too_long_by_itself_keeps_what_is_near_its_violation():
    history, verdicts = long_run(4000, 1, broken="client-0")
    timeline, breaches = timeline_of(history, verdicts, marks_max=1000)
    lane = timeline.lanes[breaches[0].lane]
    assert sum(len(one.at_us) for one in timeline.lanes) < 1100
    marks = list(lane.marks())
    near = [at_us for at_us, *_ in marks if abs(at_us - breaches[0].at_us) < 5_000_000]
    assert len(near) >= 90, "every mark of the five seconds before and after"
    assert marks[0][:2] == (0, "l")
    assert marks[-1][0] == 400_110_000
    assert lane.left_out == 4002 - len([kind for _, kind, _ in marks if kind != "g"]) + 2, (
        "and two lists that stand for gaps"
    )


def test_where_no_client_fits_one_is_kept_in_parts():
    history, _ = long_run(4000, 3)
    timeline, _ = timeline_of(history, marks_max=1000)
    store, client = timeline.lanes
    assert (client.name, timeline.lanes_left_out) == ("client-0", ["client-1", "client-2"])
    assert len(store.at_us) + len(client.at_us) <= 1004, "and two gaps with the state behind each"
    assert client.left_out > 3000


def test_behind_a_gap_the_beliefs_are_those_of_the_whole_run():
    history, verdicts = long_run(4000, 1, broken="client-0")
    whole, breaches = timeline_of(history, verdicts)
    short, _ = timeline_of(history, verdicts, marks_max=1000)
    for at_us in (breaches[0].at_us, breaches[0].at_us + 2_000_000, whole.end_us):
        (row,) = belief_at(whole, 1, at_us)
        (thinned,) = belief_at(short, 1, at_us)
        assert thinned == row


def test_the_figures_count_those_too_who_have_no_lane():
    history, verdicts = long_run(100, 20)
    timeline, _ = timeline_of(history, verdicts, marks_max=500)
    deliveries = next(plot for plot in timeline.plots if plot.title == "deliveries")
    assert sum(deliveries.lines[0].values) == 2000
