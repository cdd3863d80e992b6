"""The current objects, and any past state of them, against a naive list of all versions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher._snapshot import Past, Snapshot, range_end, underlying_event
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


def objects_at(snapshot: Snapshot, newer: list[Event], prefix: str = "") -> list[Object]:
    """What was under `prefix` before the events `newer`."""
    end = range_end(prefix)
    return snapshot.section(prefix, end, past=past_of(newer, prefix, end)).objects


def past_of(newer: list[Event], start: str, end: str) -> Past:
    """Taken back in two goes, as readings do that are overtaken."""
    past = Past(start, end)
    past.undo(newer[: len(newer) // 2])
    past.keys(start, end)
    past.undo(newer[len(newer) // 2 :])
    return past


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
                assert objects_at(snapshot, newer, prefix) == expected
                if past == revision:
                    assert snapshot.objects(prefix) == expected
        assert len(snapshot) == len(state)


def test_undoing_changes_nothing_of_the_present():
    snapshot = Snapshot()
    snapshot.replace([obj("a", 1), obj("b", 1)])
    newer = [event for event in (apply(snapshot, gone("a", 2)), apply(snapshot, put("c", 3))) if event]
    assert [each.key for each in objects_at(snapshot, newer)] == ["a", "b"]
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
    """[9.3 TestStoreSingleKey] Also after a replacement; removing what is not there changes nothing."""
    snapshot = Snapshot()

    def holds(*objects: Object) -> bool:
        snapshot._check()
        return snapshot.objects() == [*objects] and snapshot.get("a") == (objects[0] if objects else None)

    assert holds()
    assert snapshot.put(obj("a", 1)) is None
    assert holds(obj("a", 1))
    assert snapshot.put(obj("a", 2)) == obj("a", 1)
    assert holds(obj("a", 2))
    snapshot.replace([obj("a", 4)])
    assert holds(obj("a", 4))
    assert snapshot.remove("a") == obj("a", 4)
    assert holds()
    assert snapshot.remove("a") is None
    snapshot.replace([])
    assert holds()


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


# ---- sections: pages, steps, indexes ---------------------------------------------------------------------------------


def on(node: str, key: str, revision: int) -> Object:
    return Object(key, revision, f"{key}@{revision}".encode(), name=key, fields={"node": node} if node else {})


def is_on(node: str):
    return lambda each: each.field("node") == node


def sift_on(node: str):
    return lambda objects: [each for each in objects if is_on(node)(each)]


NODE_CHANGES = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["n1", "n2", "", "gone"])), min_size=1, max_size=25
)


@pytest.mark.slow
@settings(max_examples=150)
@given(
    history=NODE_CHANGES, back=st.integers(0, 10), prefix=st.sampled_from(PREFIXES), limit=st.integers(0, 3),
    keys_max=st.integers(0, 3), wanted=st.sampled_from([None, "n1", ""]), by_index=st.booleans(),
)  # fmt: skip
def test_sections_add_up_to_what_there_was_by_whatever_index_and_in_whatever_steps(
    history, back, prefix, limit, keys_max, wanted, by_index
):
    """[9.3 TestStoreListOrdered] [9.3 TestStoreListPrefix] Every page, and what follows it."""
    snapshot = Snapshot(["node"])
    events: list[Event] = []
    states: list[dict[str, Object]] = [{}]
    for revision, (key, node) in enumerate(history, start=1):
        event = apply(
            snapshot, gone(key, revision) if node == "gone" else Event(MODIFIED, on(node, key, revision), revision)
        )
        events += [event] if event is not None else []
        state = dict(states[-1])
        state.pop(key, None)
        states.append(state if node == "gone" else state | {key: on(node, key, revision)})
        snapshot._check()
    past_revision = max(0, len(history) - back)
    then = states[past_revision]
    in_range = [then[key] for key in sorted(then) if key.startswith(prefix)]
    expected = [each for each in in_range if wanted is None or is_on(wanted)(each)]
    end = range_end(prefix)
    past = past_of([event for event in events if event.revision > past_revision], prefix, end)
    index = ("node", wanted) if by_index and wanted is not None else None
    found: list[Object] = []
    position, is_done = prefix, False
    while not is_done:
        section = snapshot.section(
            position, end, sift=None if wanted is None else sift_on(wanted), limit=limit, keys_max=keys_max,
            past=past, index=index,
        )  # fmt: skip
        assert len(section.objects) <= (limit or len(expected))
        assert section.position > position or not section.position
        found += section.objects
        position, is_done = section.position, not section.position
        if position:
            following = snapshot.count(position, end, past=past, index=index)
            candidates = in_range if index is None else expected
            assert following == len([each for each in candidates if each.key >= position])
    assert found == expected


def test_a_page_looks_at_no_more_than_it_needs():
    snapshot = Snapshot(["node"])
    snapshot.replace([on("n1" if turn % 10 == 0 else "n2", f"/p/{turn:03}", 1) for turn in range(100)])
    page = snapshot.section("/p/", "/p0", limit=5)
    assert ([each.key for each in page.objects], page.position) == ([f"/p/00{turn}" for turn in range(5)], "/p/004\0")
    assert page.looked_at == 5
    assert snapshot.section("/p/", "/p0", index=("node", "n1"), sift=sift_on("n1")).looked_at == 10
    assert snapshot.section("/p/", "/p0", index=("node", "n3"), sift=sift_on("n3")).looked_at == 0
    assert snapshot.section("/p/", "/p0", sift=sift_on("n1"), keys_max=15).position == "/p/015"


def test_an_object_moves_in_the_index_with_its_value():
    """[9.3 TestStoreIndexerSingleKey] With each change, also by a replacement; a deletion takes it out."""
    snapshot = Snapshot(["node"])

    def by_node(node: str) -> list[Object]:
        found = snapshot.section("/p/", "/p0", index=("node", node)).objects
        assert len(found) == snapshot.count("/p/", "/p0", index=("node", node))
        return found

    for step, node in enumerate(("", "n1", "n2", "n2", "n1")):
        if step == 4:
            snapshot.replace([on(node, "/p/a", step)])
        else:
            snapshot.put(on(node, "/p/a", step))
        snapshot._check()
        for value in ("", "n1", "n2"):
            assert by_node(value) == ([on(node, "/p/a", step)] if value == node else [])
    for _ in range(2):
        snapshot.remove("/p/a")
        snapshot._check()
        assert by_node("n1") == by_node("n2") == []


def test_the_self_check_finds_an_index_that_was_forgotten():
    snapshot = Snapshot(["node"])
    snapshot.put(on("n1", "/p/a", 1))
    snapshot._objects["/p/a"] = on("n2", "/p/a", 2)
    with pytest.raises(AssertionError, match="by its own node"):
        snapshot._check()
