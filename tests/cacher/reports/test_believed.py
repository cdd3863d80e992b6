"""cacher.reports._believed: what a client believed at a time, beside what the store had."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cacher.reports import belief_at, timeline_of
from cacher.simulation import Ended, EndReason, Listed, Opened, Received
from tests.cacher.reports import runs
from watch import bookmark


def told(history, at_s, lane=1):
    """(object, revision believed, revision stored, standing, since) of each row; 0 for none."""
    timeline, _ = timeline_of(history)
    revisions = [0]
    for step in timeline.versions.revision:
        revisions.append(revisions[-1] + step)
    rows = belief_at(timeline, lane, round(at_s * 1e6))
    return [
        (
            row.key.rpartition("/")[2],
            revisions[row.believed + 1],
            revisions[row.stored + 1],
            row.standing,
            row.since_us / 1e6,
        )
        for row in rows
    ]


def test_nothing_is_believed_before_anything_was_told():
    assert told(runs.watching(), 0.1) == []


def test_what_the_store_has_and_a_client_that_sees_all_lacks_is_not_known():
    assert told(runs.watching(), 0.21) == [("web", 0, 2, "not known", 0.2)]


def test_what_was_told_and_is_still_so_is_the_same():
    assert told(runs.watching(), 0.26) == [("web", 2, 2, "same", 0)]


def test_an_object_that_was_changed_since_is_behind_since_the_first_change():
    assert told(runs.watching(), 0.35) == [("web", 2, 3, "behind", 0.3)]


def test_an_object_that_was_deleted_since_is_gone_since_the_first_change():
    assert told(runs.watching(), 0.44) == [("web", 2, 0, "gone", 0.3)]


def test_another_object_of_the_name_is_told_as_such():
    late = runs.history(
        runs.store((2, runs.POD, "uid-1"), (4, runs.POD, None), (5, runs.POD, "uid-2")),
        runs.client(Listed(0.3, 2, (runs.pod(2),))),
    )
    assert told(late, 0.6) == [("web", 2, 5, "another object", 0.4)]


def test_a_version_that_the_store_never_had_is_told_as_such():
    invented = runs.history(runs.store((2, runs.POD, "uid-1")), runs.client(Listed(0.3, 9, (runs.pod(9),))))
    assert told(invented, 0.6) == [("web", 9, 2, "unknown to the store", 0)]


def test_a_streamed_state_counts_when_it_is_complete_and_replaces_what_was_there():
    streaming = runs.history(
        runs.store((2, runs.POD, "u"), (3, runs.OTHER, "v"), (4, runs.POD, None)),
        runs.client(
            Listed(0.25, 2, (runs.pod(2, uid="u"),)),
            Ended(0.5, EndReason.EXPIRED),
            Opened(0.5, 0, initial=True),
            Received(0.6, (runs.event("ADDED", 3, runs.OTHER, "v"),)),
            Received(0.7, (bookmark(4, initial_events_end=True),)),
        ),
    )
    assert told(streaming, 0.65) == [("db", 0, 3, "not known", 0.3), ("web", 2, 0, "gone", 0.4)]
    assert told(streaming, 0.7) == [("db", 3, 3, "same", 0)]


def test_another_life_of_a_process_begins_with_nothing():
    lives = runs.history(
        runs.store((2, runs.POD, "u")),
        runs.client(Listed(0.3, 2, (runs.pod(2),)), name="op#1 pods", process="op", incarnation=1),
        runs.client(Opened(1.0, 0, initial=True), name="op#2 pods", process="op", incarnation=2),
    )
    timeline, _ = timeline_of(lives)
    assert [lane.name for lane in timeline.lanes] == ["store", "op", "op · pods"]
    assert told(lives, 0.9, lane=2) == [("web", 2, 2, "same", 0)]
    assert told(lives, 1.1, lane=2) == [("web", 0, 2, "not known", 0.2)]


def test_of_a_watch_with_a_selector_nothing_is_said_to_be_missing():
    chosen = runs.history(runs.store((2, runs.POD, "u")), runs.client(Listed(0.3, 2, ()), selector="app=db"))
    assert told(chosen, 0.5) == []


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans()), max_size=12), st.integers(0, 20))
def test_who_is_told_of_everything_at_once_believes_what_the_store_has(writes, tenths):
    present: dict[str, int] = {}
    changes: list[tuple[int, str, str | None]] = []
    batches: list[Received] = []
    for number, (name, is_deletion) in enumerate(writes):
        key, revision = runs.PREFIX + name, number + 2
        if is_deletion and key not in present:
            continue
        kind = "DELETED" if is_deletion else "MODIFIED" if key in present else "ADDED"
        changes.append((revision, key, None if is_deletion else "u"))
        batches.append(Received(revision / 10, (runs.event(kind, revision, key, "u"),)))
        present.pop(key, None) if is_deletion else present.update({key: revision})
    history = runs.history(runs.store(*changes), runs.client(Opened(0.0, 1), *batches))
    rows = told(history, tenths / 10)
    assert all(standing == "same" for *_, standing, _ in rows)
    if tenths / 10 >= (len(writes) + 1) / 10:
        assert {name: revision for name, revision, *_ in rows} == {
            key.rpartition("/")[2]: revision for key, revision in present.items()
        }
