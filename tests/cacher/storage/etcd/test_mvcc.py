"""The pure key store, at its edges. What holds of any history is in test_model.py, what etcd promises in etcd_contract.py."""

from __future__ import annotations

import pytest

from cacher.storage.etcd import (
    CompactedError,
    Compare,
    CompareTarget,
    DeleteRange,
    DuplicateKeyError,
    EventKind,
    FutureRevisionError,
    InvalidRequestError,
    KeyValue,
    LeaseNotFoundError,
    Put,
    Range,
    RequestTooLargeError,
    TooManyOperationsError,
    Txn,
)
from cacher.storage.etcd._mvcc import Mvcc


@pytest.fixture
def store():
    return Mvcc()


def value_at(store: Mvcc, key: bytes, revision: int) -> bytes | None:
    kvs = store.range(Range(key, revision=revision)).kvs
    return kvs[0].value if kvs else None


def log_of(store: Mvcc, first: int) -> list[tuple[int, str, bytes]]:
    groups = store.history(first, store.revision)
    return [(event.kv.mod_revision, event.kind.value, event.kv.key) for group in groups for event in group]


def test_an_empty_store_is_at_revision_1_and_its_first_write_makes_2(store):
    assert store.revision == 1
    assert store.range(Range(b"a")).revision == 1
    assert store.put(b"a", b"1").revision == 2


def test_values_and_keys_are_the_very_objects_that_came_in(store):
    key, first, second = bytes([107]) * 3, b"x" * 100, b"y" * 100
    store.put(key, first)
    store.put(bytes([107]) * 3, second, prev_kv=True)
    new = store.range(Range(key)).kvs[0]
    old = store.range(Range(key, revision=2)).kvs[0]
    assert new.value is second
    assert old.value is first
    assert new.key is key, "an update shares the key of the version before"


def test_a_key_made_again_starts_over(store):
    store.put(b"a", b"1")
    store.put(b"a", b"2")
    store.delete(b"a")
    store.put(b"a", b"3")
    assert store.range(Range(b"a")).kvs == (KeyValue(b"a", b"3", 5, 5, 1),)
    assert [value_at(store, b"a", revision) for revision in (1, 2, 3, 4, 5)] == [None, b"1", b"2", None, b"3"]
    store._check()


def test_every_event_in_the_history_knows_the_version_before(store):
    store.put(b"a", b"1")
    store.put(b"a", b"2")
    store.delete(b"a")
    events = [group[0] for group in store.history(2, 4)]
    assert [event.kind for event in events] == [EventKind.PUT, EventKind.PUT, EventKind.DELETE]
    assert [event.prev_kv and event.prev_kv.value for event in events] == [None, b"1", b"2"]
    assert [event.is_create for event in events] == [True, False, False]
    assert events[2].kv == KeyValue(b"a", b"", 0, 4, 0)


# --- compaction -----------------------------------------------------------------------------------------------------


def test_compaction_keeps_what_was_live_at_its_revision_and_nothing_older(store):
    for value in (b"1", b"2", b"3"):
        store.put(b"a", value)  # 2, 3, 4
    store.put(b"b", b"1")  # 5
    store.compact(3)
    assert value_at(store, b"a", 3) == b"2"
    assert store.history_length == 3, "the events of the compact revision itself stay"
    with pytest.raises(CompactedError) as caught:
        value_at(store, b"a", 2)
    assert caught.value.compact_revision == 3
    store._check()


def test_a_delete_at_the_compact_revision_is_kept_for_a_watch_from_there(store):
    """etcd #18089 and #19179: the tombstone was compacted away, and the watch began with the next event."""
    for value in (b"1", b"2", b"3"):
        store.put(b"a", value)  # 2, 3, 4
    store.delete(b"a")  # 5
    store.put(b"a", b"4")  # 6
    store.compact(5)
    assert log_of(store, 5) == [(5, "DELETE", b"a"), (6, "PUT", b"a")]
    assert value_at(store, b"a", 5) is None
    store._check()


def test_a_compacted_tombstone_leaves_nothing_behind(store):
    store.put(b"a", b"1")
    store.delete(b"a")
    store.put(b"b", b"1")
    assert len(store._dead) == 1
    store.compact(3)
    assert not store._past
    assert not len(store._dead)
    store._check()


@pytest.mark.parametrize(
    ("revision", "error"), [(1, CompactedError), (2, CompactedError), (3, None), (4, None), (5, FutureRevisionError)]
)
def test_compaction_takes_revisions_after_the_last_one_up_to_now(store, revision, error):
    for _ in range(3):
        store.put(b"a", b"")
    store.compact(2)
    if error is None:
        store.compact(revision)
        assert store.compact_revision == revision
    else:
        with pytest.raises(error):
            store.compact(revision)
        assert store.compact_revision == 2


# --- snapshots ------------------------------------------------------------------------------------------------------


def test_a_store_from_a_snapshot_goes_on_where_it_ended():
    store = Mvcc.from_snapshot(10, [KeyValue(b"b", b"2", 7, 10, 4, 99), KeyValue(b"a", b"1", 3, 3, 1)])
    assert [kv.key for kv in store.range(Range(b"\0", b"\0", revision=10)).kvs] == [b"a", b"b"]
    assert store.put(b"b", b"3").revision == 11
    assert store.range(Range(b"b")).kvs == (KeyValue(b"b", b"3", 7, 11, 5),)
    assert value_at(store, b"b", 10) == b"2"
    with pytest.raises(CompactedError):
        value_at(store, b"b", 9)
    assert (store.compact_revision, store.history_floor) == (10, 11)
    with pytest.raises(CompactedError):
        store.compact(10)
    store.compact(11)
    store._check()


@pytest.mark.parametrize(
    "kvs",
    [
        [KeyValue(b"a", b"", 2, 11, 1)],
        [KeyValue(b"a", b"", 5, 4, 1)],
        [KeyValue(b"a", b"", 0, 4, 1)],
        [KeyValue(b"a", b"", 4, 4, 0)],
        [KeyValue(b"", b"", 4, 4, 1)],
        [KeyValue(b"a", b"", 4, 4, 1), KeyValue(b"a", b"", 5, 5, 1)],
    ],
    ids=["newer than it", "modified before made", "never made", "no version", "no key", "twice"],
)
def test_a_snapshot_that_no_store_can_hold_is_refused(kvs):
    with pytest.raises(InvalidRequestError, match="mend"):
        Mvcc.from_snapshot(10, kvs)


# --- transactions ---------------------------------------------------------------------------------------------------


def test_a_read_in_a_transaction_sees_the_writes_before_it_and_none_after(store):
    store.put(b"a", b"0")
    result = store.txn(
        Txn(
            success=(Range(b"a"), Put(b"a", b"1"), Range(b"a"), Range(b"a", revision=2), DeleteRange(b"b"), Range(b"c"))
        )
    )
    reads = [result.responses[index] for index in (0, 2, 3)]
    assert [read.kvs[0].value for read in reads] == [b"0", b"1", b"0"]
    assert [response.revision for response in result.responses] == [2, 3, 3, 3, 3, 3]
    assert result.revision == store.revision == 3


def test_nested_compares_are_decided_before_any_write(store):
    """Source: etcd server/etcdserver/txn, compareToPath."""
    is_new = Compare(b"a", CompareTarget.CREATE, "=", 0)
    inner = Txn((is_new,), (Put(b"b", b"was new"),), (Put(b"b", b"was old"),))
    result = store.txn(Txn(success=(Put(b"a", b"1"), inner)))
    assert result.responses[1].succeeded
    assert value_at(store, b"b", store.revision) == b"was new"
    assert len(store.last_events) == 2


def test_what_would_fail_in_a_transaction_leaves_nothing_done(store):
    store.put(b"a", b"0")
    store.compact(2)
    for bad, error in (
        (Put(b"b", b"", lease=7), LeaseNotFoundError),
        (Range(b"a", revision=1), CompactedError),
        (Range(b"a", revision=3), FutureRevisionError),
        (Txn(success=(Put(b"b", b"", lease=7),)), LeaseNotFoundError),
    ):
        with pytest.raises(error):
            store.txn(Txn(success=(Put(b"a", b"1"), bad)))
        store.txn(Txn(success=(), failure=(bad,)))  # the branch not taken is not checked against the store
    assert store.revision == 2
    assert value_at(store, b"a", 2) == b"0"


def put(key: bytes) -> Put:
    return Put(key, b"")


@pytest.mark.parametrize(
    ("branch", "duplicate"),
    [
        ((put(b"a"), put(b"a")), b"a"),
        ((put(b"a"), DeleteRange(b"a")), b"a"),
        ((DeleteRange(b"a", b"c"), put(b"b")), b"b"),
        ((DeleteRange(b"a", b"c"), put(b"c")), None),
        ((DeleteRange(b"b", b"\0"), put(b"z")), b"z"),
        ((DeleteRange(b"b", b"\0"), put(b"a")), None),
        ((DeleteRange(b"a"), DeleteRange(b"a", b"c")), None),
        ((Range(b"a"), put(b"a"), Range(b"a")), None),
        ((put(b"a"), Txn(success=(put(b"a"),))), b"a"),
        ((put(b"a"), Txn(failure=(put(b"a"),))), b"a"),
        ((DeleteRange(b"a"), Txn(success=(put(b"a"),))), b"a"),
        ((Txn(success=(DeleteRange(b"a"),)), put(b"a")), b"a"),
        ((Txn(success=(put(b"a"),), failure=(put(b"a"),)),), None),
        ((Txn(success=(put(b"a"),)), Txn(failure=(put(b"a"),))), b"a"),
        ((Txn(success=(DeleteRange(b"a"),)), Txn(success=(put(b"a"),))), b"a"),
        ((Txn(success=(put(b"a"),)), Txn(success=(DeleteRange(b"a"),))), None),
    ],
)
def test_no_branch_may_put_a_key_that_it_writes_elsewhere(store, branch, duplicate):
    """Source: etcd server/etcdserver/api/v3rpc/key_test.go, TestCheckRequestOp and its neighbours."""
    for txn in (Txn(success=branch), Txn(failure=branch)):
        if duplicate is None:
            store.txn(txn)
        else:
            with pytest.raises(DuplicateKeyError) as caught:
                store.txn(txn)
            assert caught.value.key == duplicate
    store._check()


def test_a_key_put_and_deleted_by_two_nested_transactions_is_two_events_of_one_revision(store):
    """The one way to write a key twice; both events have what was there before the transaction as their previous version."""
    store.put(b"a", b"0")
    store.txn(Txn(success=(Txn(success=(put(b"a"), put(b"n"))), Txn(success=(DeleteRange(b"a", b"z"),)))))
    events = [(event.kind.value, event.kv.key, event.prev_kv and event.prev_kv.value) for event in store.last_events]
    assert events == [("PUT", b"a", b"0"), ("PUT", b"n", None), ("DELETE", b"a", b"0"), ("DELETE", b"n", None)]
    assert store.range(Range(b"a", b"z", revision=3)).kvs == ()
    assert value_at(store, b"a", 2) == b"0"
    store._check()
    store.compact(3)
    store._check()


def test_the_limit_on_operations_shrinks_with_depth():
    store = Mvcc(txn_operations_max=4)
    store.txn(Txn(success=(put(b"a"), put(b"b"), put(b"c"), put(b"d"))))
    with pytest.raises(TooManyOperationsError, match="too many operations"):
        store.txn(Txn(failure=tuple(put(bytes([number])) for number in range(5))))
    inside = Txn(success=(put(b"e"), put(b"f"), put(b"g")))
    store.txn(Txn(success=(inside,)))
    with pytest.raises(TooManyOperationsError, match="too many operations"):
        store.txn(Txn(success=(put(b"a"), inside)))


def test_the_limit_on_bytes_counts_keys_and_values_of_a_whole_request():
    store = Mvcc(request_bytes_max=10)
    store.put(b"a", b"123456789")
    with pytest.raises(RequestTooLargeError, match="too large"):
        store.put(b"ab", b"123456789")
    with pytest.raises(RequestTooLargeError, match="too large"):
        store.txn(Txn(success=(Put(b"a", b"1234"),), failure=(Put(b"b", b"12345"),)))
    assert store.revision == 2


@pytest.mark.parametrize(
    "compare",
    [
        Compare(b"a", CompareTarget.MOD, "==", 1),
        Compare(b"a", CompareTarget.MOD, "=", b"1"),
        Compare(b"a", CompareTarget.VALUE, "=", 1),
        Compare(b"", CompareTarget.MOD, "=", 1),
    ],
)
def test_a_compare_that_makes_no_sense_is_refused(store, compare):
    with pytest.raises(InvalidRequestError):
        store.txn(Txn((compare,)))
    with pytest.raises(InvalidRequestError):
        store.txn(Txn(success=(Txn((compare,)),)))
