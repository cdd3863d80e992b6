"""Watchers at their edges: the bound of pending, slices, compaction, progress, one offer a revision."""

from __future__ import annotations

import pytest

from cacher.storage.etcd import (
    CompactedError,
    DeleteRange,
    InvalidRequestError,
    KeyValue,
    Put,
    Snapshot,
    Txn,
    WatchFilter,
    WatchResponse,
)
from cacher.storage.etcd._lease import Lessor
from cacher.storage.etcd._mvcc import Mvcc
from cacher.storage.etcd._watchable import WatchableStore, Watcher, WatchRequest, _RangeMap


@pytest.fixture
def store():
    return make_store()


def make_store(*, pending: int = 4, piece: int = 3) -> WatchableStore:
    lessor = Lessor(draw_id=lambda: 1)
    return WatchableStore(Mvcc(leases=lessor), lessor, pending_events_max=pending, slice_revisions_max=piece)


def watch(store: WatchableStore, key: bytes = b"\0", end: bytes | None = b"\0", *, start: int = 0, **more) -> Watcher:
    return store.watch(WatchRequest(key, end, start, **more), lambda: None)


def write(store: WatchableStore, count: int, key: bytes = b"a") -> None:
    for _ in range(count):
        store.put(key, b"")


def take(watcher: Watcher) -> WatchResponse:
    response = watcher.take()
    assert response is not None
    return response


def revisions(response: WatchResponse) -> list[int]:
    return [event.kv.mod_revision for event in response.events]


def drain(watcher: Watcher) -> list[list[int]]:
    responses = []
    while True:
        response = watcher.take()
        if response is not None:
            responses.append(revisions(response))
        elif watcher.is_synced:
            return responses


def test_what_was_written_since_the_last_take_comes_as_one_response(store):
    watcher = watch(store)
    assert watcher.take() is None
    write(store, 3)
    response = take(watcher)
    assert (revisions(response), response.revision) == ([2, 3, 4], 4)
    assert watcher.take() is None


def test_a_watcher_is_woken_by_events_of_its_range_alone(store):
    rung: list[bytes] = []
    for key in (b"a", b"b"):
        store.watch(WatchRequest(key), lambda key=key: rung.append(key))
    write(store, 2, b"b")
    write(store, 1, b"c")
    assert rung == [b"b", b"b"]


def test_a_full_watcher_becomes_unsynced_and_catches_up_from_history(store):
    """The last that fits and the first that does not: nothing is lost, nothing comes twice, slices stay small."""
    watcher = watch(store)
    write(store, 4)
    assert watcher.is_synced
    write(store, 6)
    assert not watcher.is_synced
    assert drain(watcher) == [[2, 3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert watcher.is_synced
    write(store, 1)
    assert drain(watcher) == [[12]]


def test_a_revision_is_kept_whole_where_it_alone_is_over_the_bound(store):
    watcher = watch(store)
    many = Txn(success=tuple(Put(bytes([97 + number]), b"") for number in range(6)))
    store.txn(many)
    assert watcher.is_synced
    write(store, 2)
    assert not watcher.is_synced
    store.txn(many)
    assert drain(watcher) == [[2] * 6, [3, 4], [5] * 6]


def test_a_revision_is_not_split_where_it_reaches_over_the_bound(store):
    watcher = watch(store)
    write(store, 3)
    store.txn(Txn(success=(Put(b"a", b""), Put(b"b", b""))))
    assert not watcher.is_synced
    assert drain(watcher) == [[2, 3, 4], [5, 5]]


def test_a_watch_from_the_past_is_unsynced_until_it_has_read_it(store):
    write(store, 5, b"b")
    watcher = watch(store, b"a", None, start=2)
    assert not watcher.is_synced
    assert watcher.take() is None, "a slice with nothing for it"
    assert not watcher.is_synced
    assert drain(watcher) == []
    assert watcher.is_synced


@pytest.mark.parametrize("start", [3, 4, 5])
def test_a_watch_from_a_revision_begins_there(store, start):
    """The last of the past, the next, the first of the future."""
    write(store, 2)
    watcher = watch(store, start=start)
    assert watcher.is_synced == (start > 3)
    write(store, 3)
    assert [number for numbers in drain(watcher) for number in numbers] == list(range(start, 7))


# --- compaction -----------------------------------------------------------------------------------------------------


def test_compaction_does_not_touch_what_a_synced_watcher_has_pending(store):
    watcher = watch(store, prev_kv=True)
    write(store, 4)
    store.mvcc.compact(5)
    response = take(watcher)
    assert revisions(response) == [2, 3, 4, 5]
    assert [event.prev_kv for event in response.events] == [None] * 4, "but versions before were compacted"
    write(store, 1)
    assert take(watcher).events[0].prev_kv is not None


def test_an_unsynced_watcher_gets_what_it_had_and_then_learns_of_the_compaction(store):
    watcher = watch(store)
    write(store, 7)  # 2 … 8; pending 2 … 5, then history from 6
    store.mvcc.compact(7)
    assert revisions(take(watcher)) == [2, 3, 4, 5]
    for _ in range(2):
        with pytest.raises(CompactedError) as caught:
            watcher.take()
        assert caught.value.compact_revision == 7


@pytest.mark.parametrize(("start", "is_lost"), [(4, True), (5, False)])
def test_a_watch_may_start_at_the_compact_revision_and_not_below(store, start, is_lost):
    write(store, 3)
    store.delete(b"a")  # 5
    write(store, 1)
    store.mvcc.compact(5)
    watcher = watch(store, start=start)
    if is_lost:
        with pytest.raises(CompactedError):
            watcher.take()
    else:
        assert [(event.kind.value, event.kv.mod_revision) for event in take(watcher).events] == [
            ("DELETE", 5),
            ("PUT", 6),
        ]


@pytest.mark.parametrize(("start", "is_lost"), [(10, True), (11, False)])
def test_a_watch_starts_after_a_snapshot_and_not_at_it(start, is_lost):
    store = make_store()
    store.mvcc.restore(Snapshot(10, [KeyValue(b"a", b"", 2, 10, 3)]))
    write(store, 1)
    watcher = watch(store, start=start, prev_kv=True)
    if is_lost:
        with pytest.raises(CompactedError) as caught:
            watcher.take()
        assert caught.value.compact_revision == 11, "from there a watch would be served"
    else:
        (event,) = take(watcher).events
        assert event.prev_kv is not None
        assert event.prev_kv.mod_revision == 10


# --- progress -------------------------------------------------------------------------------------------------------


def test_progress_is_told_by_a_synced_watcher_that_has_nothing_pending(store):
    watcher = watch(store, b"a", None)
    write(store, 3, b"b")
    watcher.request_progress()
    assert watcher.take() == WatchResponse((), 4)
    assert watcher.take() is None, "once"


def test_progress_comes_after_the_events_before_it(store):
    """etcd #15220: an answer that overtook an event told a falsehood."""
    watcher = watch(store)
    write(store, 1)
    watcher.request_progress()
    write(store, 1)
    assert revisions(take(watcher)) == [2, 3]
    assert watcher.take() == WatchResponse((), 3)


def test_progress_of_an_unsynced_watcher_is_forgotten_not_put_off(store):
    watcher = watch(store)
    watcher.request_progress()
    write(store, 5)
    assert not watcher.is_synced
    watcher.request_progress()
    assert drain(watcher) == [[2, 3, 4, 5], [6]]
    watcher.request_progress()
    assert watcher.take() == WatchResponse((), 6)


def test_a_new_watch_of_a_quiet_key_tells_progress_once_it_has_read_the_past(store):
    """etcd #17557: it never did, as it waited for an event to bring it up to date."""
    write(store, 8, b"b")
    watcher = watch(store, b"a", None, start=2)
    drain(watcher)
    watcher.request_progress()
    assert watcher.take() == WatchResponse((), 9)


def test_a_watch_of_the_future_tells_no_progress_before_its_start(store):
    """etcd #20221: whoever watches from 4 must not hear of 3."""
    watcher = watch(store, b"a", None, start=4)
    for revision in (2, 3, 4):
        write(store, 1, b"b")
        watcher.request_progress()
        if revision < 4:
            assert watcher.take() is None
    assert take(watcher) == WatchResponse((), 4)


def test_periodic_progress_is_left_out_where_events_have_spoken(store):
    watcher = watch(store, progress_notify=True)
    watcher.notify_progress()
    assert watcher.take() == WatchResponse((), 1)
    write(store, 1)
    watcher.take()
    watcher.notify_progress()
    assert watcher.take() is None
    watcher.notify_progress()
    assert watcher.take() == WatchResponse((), 2)


def test_periodic_progress_is_for_those_who_asked(store):
    watcher = watch(store)
    watcher.notify_progress()
    assert watcher.take() is None


# --- filters, ranges, leases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, 2])
def test_filters_hold_for_new_events_and_for_history(store, start):
    early = {name: watch(store, filters=(name,)) for name in WatchFilter}
    write(store, 1)
    store.txn(Txn(success=(DeleteRange(b"a"), Put(b"b", b""))))
    watchers = early if start == 0 else {name: watch(store, start=2, filters=(name,)) for name in WatchFilter}
    seen = {name: [(e.kind.value, e.kv.mod_revision) for e in take(w).events] for name, w in watchers.items()}
    assert seen == {WatchFilter.NO_PUT: [("DELETE", 3)], WatchFilter.NO_DELETE: [("PUT", 2), ("PUT", 3)]}


def test_a_watcher_that_was_forgotten_is_offered_nothing(store):
    watcher = watch(store)
    store.unwatch(watcher)
    store.unwatch(watcher)
    write(store, 1)
    assert watcher.take() is None


@pytest.mark.parametrize("request_", [WatchRequest(b"b", b"a"), WatchRequest(b"a", b"a"), WatchRequest(b"a", None, -1)])
def test_a_watch_that_makes_no_sense_is_refused_and_not_registered(store, request_):
    with pytest.raises(InvalidRequestError):
        store.watch(request_, lambda: None)
    assert store.watchers() == []


def test_a_revoked_lease_takes_its_keys_in_order_as_one_revision(store):
    watcher = watch(store)
    store.lessor.grant(10, now_s=0, lease=5)
    for key in (b"c", b"a", b"b"):
        store.put(key, b"", lease=5)
    watcher.take()
    result = store.lease_revoke(5)
    assert (result.revision, result.deleted) == (5, 3)
    assert [(event.kv.key, event.kv.mod_revision) for event in take(watcher).events] == [
        (b"a", 5),
        (b"b", 5),
        (b"c", 5),
    ]


def test_a_revoked_lease_without_keys_makes_no_revision(store):
    store.lessor.grant(10, now_s=0, lease=5)
    assert store.lease_revoke(5).revision == 1


def test_the_range_map_finds_what_a_look_at_every_range_finds(store):
    spans = [(b"b", b"d"), (b"b", None), (b"a", b"\0"), (b"c", b"c\1"), (b"b", b"d"), (b"d", b"\xff")]
    watchers = [watch(store, *span) for span in spans]
    found = _RangeMap(watchers)
    for key in (b"", b"a", b"ab", b"b", b"b\0", b"bz", b"c", b"c\0", b"c\1", b"d", b"zz", b"\xff", b"\xff\xff"):
        expected = [w for w in watchers if w.key <= key and (w.end is None or key < w.end)]
        assert sorted(map(id, found.watchers_of(key))) == sorted(map(id, expected)), key
