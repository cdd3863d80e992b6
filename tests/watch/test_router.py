"""Routing: each view gets exactly what its selector says, whatever term it hangs under, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.watch.naive import World, Write, everything, gone, put, run, selects, told
from watch import Event, Object, Router, Selector, Watch
from watch import _router as router_module

# ---- selectors as plain terms, and what they mean -------------------------------------------------------------------

KEYS, VALUES = ["app", "tier"], ["a", "b", "7"]
LABEL_TERMS: st.SearchStrategy[tuple[str, str, list[str]]] = st.one_of(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["=", "!="]), st.lists(st.sampled_from(VALUES), min_size=1, max_size=1)),
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["in", "notin"]), st.lists(st.sampled_from(VALUES), min_size=1, max_size=3)),
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["exists", "!"]), st.just([])),
    st.tuples(st.sampled_from(KEYS), st.sampled_from([">", "<"]), st.sampled_from([["5"], ["7"]])),
)  # fmt: skip
PATHS = ["spec.nodeName", "status.phase", "metadata.name", "metadata.namespace"]
FIELD_TERMS = st.tuples(
    st.sampled_from(PATHS), st.sampled_from(["=", "!="]), st.sampled_from(["", "x", "y", "k1", "k2", "n1"])
)
TERMS = st.tuples(
    st.sampled_from(["", "", "n1", "n2"]), st.lists(LABEL_TERMS, max_size=2), st.lists(FIELD_TERMS, max_size=2)
)


def meets_label(labels: Mapping[str, str], key: str, operator: str, values: list[str]) -> bool:
    value = labels.get(key)
    if operator in ("=", "in"):
        return value in values
    if operator in ("!=", "notin"):
        return value not in values
    if operator in ("exists", "!"):
        return (value is not None) == (operator == "exists")
    if value is None or not value.isdigit():
        return False
    return int(value) > int(values[0]) if operator == ">" else int(value) < int(values[0])


def meets_field(obj: Object, path: str, operator: str, value: str) -> bool:
    here = {"metadata.name": obj.name, "metadata.namespace": obj.namespace}.get(path, obj.fields.get(path, ""))
    return (here == value) == (operator == "=")


def label_text(key: str, operator: str, values: list[str]) -> str:
    match operator:
        case "exists":
            return key
        case "!":
            return f"!{key}"
        case "in" | "notin":
            return f"{key} {operator} ({','.join(values)})"
    return f"{key}{operator}{values[0]}"


class Wanted:
    """One drawn selector, as the router sees it and as it is meant."""

    def __init__(self, terms: tuple[str, list[Any], list[Any]]) -> None:
        self.namespace, self.labels, self.fields = terms
        self.selector = Selector.of(
            self.namespace,
            labels=",".join(label_text(*term) for term in self.labels),
            fields=",".join("".join(term) for term in self.fields),
        )

    def matches(self, obj: Object) -> bool:
        return (
            (not self.namespace or obj.namespace == self.namespace)
            and all(meets_label(obj.labels, *term) for term in self.labels)
            and all(meets_field(obj, *term) for term in self.fields)
        )


WRITES = st.builds(
    Write,
    key=st.sampled_from(["k1", "k2", "k3"]),
    namespace=st.sampled_from(["n1", "n2"]),
    labels=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES)),
    fields=st.dictionaries(st.sampled_from(PATHS[:2]), st.sampled_from(["x", "y"])),
    gone=st.sampled_from([False, False, False, True]),
)
HISTORIES = st.lists(
    st.lists(WRITES, min_size=1, max_size=3, unique_by=lambda write: write.key), min_size=1, max_size=8
)


def index_of(router: Router) -> list[object]:
    """Everything that the router keeps about views and watches."""
    return [
        router._views, router._fields, router._labels, router._namespaces.anywhere, router._namespaces.within,
        router._everything, router._label_only, router._others, router._memo, router._lagging,
    ]  # fmt: skip


def publish(router: Router, world: World, *writes: Write) -> list[Event]:
    events = world.commit(*writes)
    router.publish(events, revision=world.revision, oldest_revision=world.oldest_kept)
    return events


def taken(watch: Watch) -> Iterator[Event]:
    while True:
        try:
            yield from watch.receive_batch_nowait()
        except trio.WouldBlock:
            return


@pytest.mark.slow
@settings(max_examples=200)
@given(terms=st.lists(TERMS, min_size=1, max_size=12), history=HISTORIES, data=st.data())
def test_each_view_gets_exactly_what_the_naive_filter_gives(terms, history, data):
    """Objects change their labels, fields and even namespaces; watches come and go between the revisions."""
    world = World()
    router = Router(revision=world.revision)
    wanted = [Wanted(each) for each in terms]
    watches: dict[int, tuple[Watch, int]] = {}
    for writes in history:
        for which in data.draw(st.sets(st.integers(0, len(wanted) - 1)), "come or go"):
            if which in watches:
                watch, start = watches.pop(which)
                assert list(taken(watch)) == world.told(wanted[which].matches, after=start)
                watch.close()
            else:
                watches[which] = router.watch(wanted[which].selector, after=world.revision), world.revision
        publish(router, world, *writes)
    for which, (watch, start) in watches.items():
        assert list(taken(watch)) == world.told(wanted[which].matches, after=start), str(wanted[which].selector)
        watch.close()
    assert not any(index_of(router)), "something outlived the last watch"
    assert router.watches() == 0


@pytest.mark.slow
@settings(max_examples=50)
@given(history=HISTORIES, overflow=st.integers(1, 3))
def test_the_memory_of_label_sets_may_overflow_at_any_time(history, overflow):
    world = World()
    router = Router(revision=world.revision)
    is_set, is_not_b = Wanted(("", [("app", "exists", [])], [])), Wanted(("", [("tier", "!=", ["b"])], []))
    first, second = router.watch(is_set.selector, after=10), router.watch(is_not_b.selector, after=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(router_module, "MEMO_LABEL_SETS_MAX", overflow)
        for writes in history:
            publish(router, world, *writes)
            assert len(router._memo) <= overflow
    assert list(taken(first)) == world.told(is_set.matches, after=10)
    assert list(taken(second)) == world.told(is_not_b.matches, after=10)


def test_a_label_set_is_asked_once_and_asked_again_when_a_selector_comes():
    world = World()
    router = Router(revision=world.revision)
    router.watch(Selector.of(labels="app"), after=10)
    for _ in range(3):
        publish(router, world, put("k1", app="a"), put("k2", app="a"))
    assert len(router._memo) == 1
    late = router.watch(Selector.of(labels="!tier"), after=world.revision)
    events = publish(router, world, put("k1", app="a"))
    assert list(taken(late)) == events
    late.close()
    assert router._memo == {}


@pytest.mark.parametrize(
    ("selector", "place"),
    [
        (Selector(), "_everything"),
        (Selector.of(name="k1", fields="spec.nodeName=x", labels="app=a"), "_fields"),
        (Selector.of("n1", fields="spec.nodeName=x"), "_fields"),
        (Selector.of("n1", labels="app in (a,b)"), "_labels"),
        (Selector.of("n1", labels="app"), "_namespaces"),
        (Selector.of(labels="app"), "_label_only"),
        (Selector.of(fields="status.phase!=x"), "_others"),
    ],
    ids=str,
)
def test_a_view_hangs_under_its_most_selective_term_and_is_taken_down_with_its_last_watch(selector, place):
    router = Router()
    first, second = router.watch(selector, after=0), router.watch(selector, after=0)
    held = getattr(router, place)
    assert held.anywhere if place == "_namespaces" else held
    assert len(router.views()) == 1
    first.close()
    first.close()
    assert len(router.views()) == 1
    second.close()
    assert not any(index_of(router))


def test_selectors_that_are_written_differently_and_mean_the_same_share_a_view():
    router = Router()
    for text in ("app in (b,a)", "app in (a, b)", "app in (a,b,a)"):
        router.watch(Selector.of(labels=text), after=0)
    assert len(router.views()) == 1
    assert router.watches() == 3


def test_all_who_see_an_event_alike_share_it_and_its_two_other_faces_are_made_once():
    world = World()
    router = Router(revision=world.revision)
    publish(router, world, put("k1", app="a"))
    stay = [router.watch(selector, after=11) for selector in (Selector(), Selector.of("n1"), Selector.of(name="k1"))]
    leave = [router.watch(Selector.of(name, labels="app=a"), after=11) for name in (None, "n1")]
    enter = [router.watch(Selector.of(name, labels="app=b"), after=11) for name in (None, "n1")]
    (event,) = publish(router, world, put("k1", app="b"))
    for watches in (stay, leave, enter):
        delivered = [watch.receive_nowait() for watch in watches]
        assert all(each is delivered[0] for each in delivered)
    assert stay[0].revision == leave[0].revision == 12
    assert event.previous is not None


def test_what_one_publish_brings_is_one_batch():
    world = World()
    router = Router(revision=world.revision)
    watch = router.watch(Selector(), after=10)
    events = world.commit(put("a"), put("b")) + world.commit(put("c")) + world.commit(gone("a"))
    router.publish(events, revision=world.revision, oldest_revision=0)
    assert watch.receive_batch_nowait() == tuple(events)


def test_ending_all_watches_ends_them_in_whichever_way_they_are_read():
    router = Router()
    watches = [router.watch(Selector(), after=0) for _ in range(2)]
    watches[1].pipe_to(lambda batch: None)
    router.end_all()
    assert all(watch.is_ended for watch in watches)
    assert not any(index_of(router))
    router.end_all()


def test_watches_that_come_and_go_while_the_ring_stands_still_leave_nothing_behind():
    """A quiet resource: the ring drops nothing for days, while watches resume from its past by the thousand."""
    world = World()
    router = Router(revision=world.revision)
    keeps = router.watch(Selector(), after=10)
    publish(router, world, put("a"))
    history = tuple(world.told(everything, after=10))
    for _ in range(1000):
        router.watch(Selector(), after=10, history=history).close()
    assert len(router._lag_heap) < 200
    world.capacity = 1
    publish(router, world, put("a"))
    assert len(router._lag_heap) == 1, "the view that keeps the newest event for the one that never read"
    assert not keeps.is_ended


def test_a_watch_that_lags_again_after_the_heap_was_made_anew_is_still_trimmed():
    world = World(capacity=3)
    router = Router(revision=world.revision)
    lags = router.watch(Selector(), after=10)
    publish(router, world, put("a"))
    history = tuple(world.told(everything, after=10))
    held = router.watch(Selector.of(labels="app"), after=10, history=history)
    for _ in range(200):
        router.watch(Selector(), after=10, history=history).close()
    for _ in range(5):
        publish(router, world, put("a"))
    assert router.views()[0].log_events() == 3
    assert held.error is not None
    assert lags.error is None  # it finds out at its next receive


def test_watches_are_counted_in_whichever_way_they_are_read():
    async def main() -> None:
        router = Router()
        watches = [router.watch(selector, after=0) for selector in (Selector(), selects(labels={"app": "a"})[0]) * 2]
        watches[0].pipe_to(lambda batch: None)
        assert router.watches() == 4
        watches[0].close()
        assert router.watches() == 3

    run(main)


def test_told_has_a_line_for_each_transition():
    """The naive model itself, on the table of the four cases."""
    world = World()
    _, is_a = selects(labels={"app": "a"})
    world.commit(put("k", app="a"), put("other"))
    world.commit(put("k", app="a"))
    world.commit(put("k", app="b"))
    world.commit(put("k", app="a"))
    world.commit(gone("k"), gone("never there"))
    told_a = [told(change, is_a) for change in world.changes]
    assert [event.type if event else None for event in told_a] == [
        "ADDED", None, "MODIFIED", "DELETED", "ADDED", "DELETED"
    ]  # fmt: skip
    deleted = told_a[3]
    assert deleted is not None
    assert (deleted.object.raw, deleted.object.revision, deleted.revision) == (b"k@12", 13, 13)
