"""The current objects, and any past state of them, against a naive list of all versions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher._snapshot import Snapshot, underlying_event
from watch import Event, EventType, Object

ADDED, MODIFIED, DELETED = EventType.ADDED, EventType.MODIFIED, EventType.DELETED


def obj(key: str, revision: int) -> Object:
    return Object(key, revision, f"{key}@{revision}".encode(), name=key)


def put(key: str, revision: int, *, kind: EventType = MODIFIED) -> Event:
    return Event(kind, obj(key, revision), revision)


def gone(key: str, revision: int) -> Event:
    return Event(DELETED, Object(key, revision, b"whatever upstream sends"), revision)


def apply(snapshot: Snapshot, change: Event) -> Event | None:
    """As the watch cache does."""
    event = underlying_event(change, snapshot.get(change.key))
    if event is not None:
        if event.type is DELETED:
            snapshot.remove(event.key)
        else:
            snapshot.put(event.object)
    return event


KEYS = ["/p/a/1", "/p/a/2", "/p/aa/1", "/p/b/1", "/p/b/\U0001f600", "/q/1"]
PREFIXES = ["", "/", "/p/", "/p/a/", "/p/a", "/p/b/", "/q/", "/nothing/"]
REVISIONS = st.lists(
    st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=4, unique_by=lambda pair: pair[0]),
    max_size=15,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(first=st.sets(st.sampled_from(KEYS)), history=REVISIONS)
def test_every_past_state_is_found_by_undoing_what_came_after_it(first, history):
    """States are kept whole beside it; then each is asked for, under each prefix, from each later present."""
    snapshot = Snapshot()
    snapshot.replace([obj(key, 1) for key in sorted(first)])
    states = {1: {key: obj(key, 1) for key in first}}
    events: list[Event] = []
    for revision, changes in enumerate(history, start=2):
        state = dict(states[revision - 1])
        for key, is_gone in changes:
            event = apply(snapshot, gone(key, revision) if is_gone else put(key, revision))
            events += [event] if event is not None else []
            if is_gone:
                state.pop(key, None)
            else:
                state[key] = obj(key, revision)
        states[revision] = state
        snapshot._check()
        for prefix in PREFIXES:
            for past, held in states.items():
                newer = [event for event in events if event.revision > past]
                expected = [held[key] for key in sorted(held) if key.startswith(prefix)]
                assert snapshot.objects_at(newer, prefix) == expected
                if past == revision:
                    assert snapshot.objects(prefix) == expected
        assert len(snapshot) == len(state)


def test_undoing_changes_nothing_of_the_present():
    snapshot = Snapshot()
    snapshot.replace([obj("a", 1), obj("b", 1)])
    newer = [event for event in (apply(snapshot, gone("a", 2)), apply(snapshot, put("c", 3))) if event]
    assert [each.key for each in snapshot.objects_at(newer)] == ["a", "b"]
    assert [each.key for each in snapshot.objects()] == ["b", "c"]
    snapshot._check()


def test_a_replacement_holds_exactly_what_it_brings():
    snapshot = Snapshot()
    snapshot.replace([obj("a", 1), obj("b", 1)])
    snapshot.replace([obj("c", 5), obj("b", 4)])
    snapshot._check()
    assert snapshot.objects() == [obj("b", 4), obj("c", 5)]
    assert snapshot.get("a") is None


def test_putting_and_removing_say_what_was_there():
    snapshot = Snapshot()
    assert snapshot.put(obj("a", 1)) is None
    assert snapshot.put(obj("a", 2)) == obj("a", 1)
    assert snapshot.remove("a") == obj("a", 2)
    assert snapshot.remove("a") is None
    snapshot._check()


# ---- what upstream says, and what this history tells -----------------------------------------------------------------


@pytest.mark.parametrize("said", [ADDED, MODIFIED])
def test_a_put_is_judged_by_what_was_there_and_not_by_its_name(said):
    assert underlying_event(put("a", 2, kind=said), None) == Event(ADDED, obj("a", 2), 2, None)
    assert underlying_event(put("a", 2, kind=said), obj("a", 1)) == Event(MODIFIED, obj("a", 2), 2, obj("a", 1))


def test_a_deletion_tells_the_last_version_known_here_at_the_revision_of_the_deletion():
    event = underlying_event(gone("a", 7), obj("a", 3))
    assert event is not None
    assert (event.type, event.revision, event.previous) == (DELETED, 7, obj("a", 3))
    assert (event.object.raw, event.object.revision) == (b"a@3", 7)


def test_a_deletion_of_what_was_never_there_is_not_told():
    assert underlying_event(gone("a", 7), None) is None


def test_the_self_check_finds_a_key_out_of_place():
    snapshot = Snapshot()
    snapshot.put(obj("a", 1))
    snapshot._objects["b"] = obj("a", 1)
    with pytest.raises(AssertionError, match="each key once"):
        snapshot._check()
