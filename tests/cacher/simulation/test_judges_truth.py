"""The judges' own reading of selectors and states, against the plainest ones there are."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.simulation._history import StoreChange, StoreHistory
from cacher.simulation.judges._truth import SelectorTruth, StoreTruth, field_of, holds
from watch import FieldRequirement, FieldSelector, LabelRequirement, LabelSelector, ObjectReader, Operator, Selector

PREFIX = "/registry/pods/"
PATHS = ("spec.nodeName", "spec.replicas", "status.phase")
KEYS = ("app", "rank")
VALUES = ("", "web", "db", "5", "-5", "05", "+5", "5.0", "9223372036854775807", "9223372036854775808")
# What no API server would store, and a raw write may: digits that only Python takes for a number.
ODD_VALUES = (*VALUES, "1_0", " 5", "٣")

reader = ObjectReader(PATHS)
scalars = st.sampled_from([None, "", "web", "n1", 5, -1, 2.5, True, False])
raws = st.builds(
    lambda name, namespace, labels, node, replicas, phase: msgspec.json.encode(
        {
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": node, "replicas": replicas},
            **({"status": {"phase": phase}} if phase is not None else {}),
        }
    ),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["", "a", "b"]),
    st.none() | st.dictionaries(st.sampled_from(KEYS), st.sampled_from(ODD_VALUES)),
    scalars,
    scalars,
    scalars,
)
existence = st.builds(
    LabelRequirement, st.sampled_from(KEYS), st.sampled_from([Operator.EXISTS, Operator.NOT_EXISTS]), st.just(())
)
comparison = st.builds(
    lambda key, operator, value: LabelRequirement(key, operator, (value,)),
    st.sampled_from(KEYS),
    st.sampled_from([Operator.EQUALS, Operator.NOT_EQUALS, Operator.GREATER_THAN, Operator.LESS_THAN]),
    st.sampled_from(VALUES),
)
membership = st.builds(
    lambda key, operator, values: LabelRequirement(key, operator, tuple(sorted(values))),
    st.sampled_from(KEYS),
    st.sampled_from([Operator.IN, Operator.NOT_IN]),
    st.sets(st.sampled_from(VALUES), min_size=1),
)
field_requirements = st.builds(
    FieldRequirement,
    st.sampled_from([*PATHS, "metadata.name", "metadata.namespace"]),
    st.sampled_from([Operator.EQUALS, Operator.NOT_EQUALS]),
    st.sampled_from(["", "web", "n1", "5", "2.5", "true", "False", "one", "a"]),
)
selectors = st.builds(
    lambda namespace, labels, fields: Selector(namespace, LabelSelector(tuple(labels)), FieldSelector(tuple(fields))),
    st.sampled_from(["", "a"]),
    st.lists(existence | comparison | membership, max_size=2),
    st.lists(field_requirements, max_size=2),
)
writes = st.lists(st.tuples(st.integers(0, 3), st.none() | raws), max_size=12)


def play(start: list[bytes], changes: list[tuple[int, bytes | None]]) -> StoreHistory:
    """A store with one change a revision; deletions of what is not there are left out."""
    there = {f"{PREFIX}{number}": reader.read(f"{PREFIX}{number}", raw, 1) for number, raw in enumerate(start)}
    store, keys = StoreHistory(PREFIX, 1, dict(there), []), set(there)
    for number, raw in changes:
        key, revision = f"{PREFIX}{number}", 2 + 2 * len(store.changes)
        if raw is None and key not in keys:
            continue
        store.changes.append(StoreChange(revision, key, None if raw is None else reader.read(key, raw, revision)))
        keys = keys - {key} if raw is None else keys | {key}
    return store


@given(st.lists(raws, min_size=1, max_size=6), selectors)
@settings(max_examples=200)
def test_a_selector_read_from_the_json_lets_through_what_it_matches(start, selector):
    """The system's own matching is on trial here as much as the judges': two readings, written apart, agree."""
    truth = StoreTruth(play(start, []))
    assert truth.matching(selector) == [number for number, obj in enumerate(truth.objects) if selector.matches(obj)]


@given(st.lists(raws, max_size=3), writes, selectors)
@settings(max_examples=150)
def test_every_state_is_what_a_replay_of_the_changes_leaves(start, changes, selector):
    store = play(start, changes)
    store_truth = StoreTruth(store)
    truth = SelectorTruth(store_truth, selector)
    now = dict(store.start)
    for revision in range(1, store_truth.last_revision + 2):
        for change in store.changes:
            if change.revision == revision and change.object is not None:
                now[change.key] = change.object
            elif change.revision == revision:
                del now[change.key]
        expected = [now[key] for key in sorted(now) if selector.matches(now[key])]
        assert [store_truth.objects[number] for number in truth.state(revision)] == expected


@given(st.lists(raws, max_size=3), writes, selectors)
@settings(max_examples=150)
def test_expected_events_lead_from_each_state_to_the_next(start, changes, selector):
    """A client that applies them to the first state has every later one."""
    store_truth = StoreTruth(play(start, changes))
    truth = SelectorTruth(store_truth, selector)
    held = {store_truth.objects[number].key: number for number in truth.state(1)}
    for expected, (revision, key) in zip(truth.expected, truth.pairs, strict=True):
        match expected.type:
            case "ADDED":
                assert key not in held
                held[key] = expected.version
            case "MODIFIED":
                assert held[key] == expected.previous
                held[key] = expected.version
            case "DELETED":
                assert held.pop(key) == expected.version == expected.previous
        assert sorted(held.values()) == sorted(truth.state(revision))


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "answer"),
    [
        ("=", ("",), "", True), ("=", ("",), None, False), ("!=", ("a",), None, True), ("!=", ("a",), "a", False),
        ("in", ("a", "b"), "b", True), ("in", ("a", "b"), None, False),
        ("notin", ("a", "b"), "b", False), ("notin", ("a", "b"), None, True),
        ("exists", (), "", True), ("exists", (), None, False), ("!", (), "", False), ("!", (), None, True),
        (">", ("5",), "6", True), (">", ("5",), "5", False), (">", ("5",), None, False), (">", ("5",), "x", False),
        ("<", ("5",), "4", True), ("<", ("5",), "5", False), ("<", ("5",), "-9223372036854775808", True),
        ("<", ("5",), "-9223372036854775809", False), (">", ("5",), "1_0", False), (">", ("5",), "٦", False),
    ],
)  # fmt: skip
def test_a_requirement_by_hand(operator, wanted, value, answer):
    assert holds(operator, wanted, value) is answer


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", "1"), ("b", "true"), ("c", "x"), ("d.e", "2.5"), ("d.f", ""), ("d", ""), ("g", ""), ("g.h", ""), ("c.x", ""),
        ("l", ""),
    ],
)  # fmt: skip
def test_a_field_is_the_scalar_at_its_path_and_empty_where_there_is_none(path, value):
    assert field_of({"a": 1, "b": True, "c": "x", "d": {"e": 2.5, "f": None}, "l": [1]}, path) == value
