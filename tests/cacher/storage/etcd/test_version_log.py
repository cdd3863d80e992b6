"""The log of versions: a store put together from its rows is the store that wrote them; rows that were changed are refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.storage.etcd import DeleteRange, EtcdEvent, KeyValue, Operation, Put, Range, Txn
from cacher.storage.etcd._lease import Lessor
from cacher.storage.etcd._mvcc import Mvcc
from cacher.storage.etcd._version_log import (
    PLACE_BITS,
    DamagedError,
    Recall,
    Record,
    Row,
    rows_of,
    rows_of_snapshot,
    superfluous,
)
from cacher.storage.etcd._watchable import WatchableStore


class Disk:
    """A store, and the rows that its log leaves."""

    def __init__(self, mvcc: Mvcc | None = None, rows: list[Row] | None = None) -> None:
        self.mvcc = Mvcc() if mvcc is None else mvcc
        self.rows = list(rows or ())
        self.superfluous: list[tuple[int, int, bytes]] = []
        self.store = WatchableStore(self.mvcc, Lessor(draw_id=lambda: 1), log=self.take)

    def take(self, record: Record) -> None:
        self.rows += rows_of(record)
        if record.compacted:
            groups = self.mvcc.history(self.mvcc.history_floor, record.compacted)
            self.superfluous += superfluous(groups, record.compacted)
        self.store.publish(record)

    def sweep(self, count: int = 10_000) -> None:
        """Take away the first superfluous rows."""
        for first, last, key in self.superfluous[:count]:
            self.rows = [row for row in self.rows if not (first <= row[0] <= last and row[1] == key)]
        del self.superfluous[:count]

    def recall(self) -> tuple[Mvcc, Recall]:
        recall = Recall(self.mvcc.compact_revision, self.mvcc.history_floor)
        recall.add(self.rows[:3])
        recall.add(self.rows[3:])
        mvcc = Mvcc()
        mvcc.adopt(recall.finish())
        mvcc._check()
        return mvcc, recall


def visible(mvcc: Mvcc) -> tuple[object, ...]:
    """All that reads and watches can tell of a store."""
    reads = [
        mvcc.range(Range(b"\0", b"\0", revision)).kvs for revision in range(mvcc.compact_revision, mvcc.revision + 1)
    ]
    compacted = mvcc.compact_revision
    history = [
        EtcdEvent(event.kind, event.kv, event.prev_kv if event.kv.mod_revision > compacted else None)
        for group in mvcc.history(mvcc.history_floor, mvcc.revision)
        for event in group
    ]
    return mvcc.revision, compacted, mvcc.history_floor, len(mvcc), reads, history


KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
PUTS = st.builds(Put, KEYS, st.sampled_from([b"", b"x", b"y" * 9]))
DELETES = st.builds(DeleteRange, KEYS, st.sampled_from([None, b"c", b"\0"]))
FLAT = st.lists(st.one_of(PUTS, DELETES), min_size=1, max_size=4)
STEPS = st.lists(st.one_of(PUTS, DELETES, FLAT, st.integers(0, 5)), max_size=30)


def play(disk: Disk, steps: list) -> None:
    """Puts, deletes, lists of them as nested transactions (which may write a key several times), and compactions."""
    for step in steps:
        if isinstance(step, int):
            revision = disk.mvcc.revision - step
            if revision > disk.mvcc.compact_revision:
                disk.store.compact(revision)
        elif isinstance(step, list):
            # Each in a transaction of its own, puts first: etcd lets a later delete meet an earlier put only so.
            nested: list[Operation] = [Txn((), (operation,)) for operation in sorted(step, key=type_name)]
            if len({put.key for put in step if isinstance(put, Put)}) == sum(isinstance(put, Put) for put in step):
                disk.store.txn(Txn((), tuple(nested)))
        elif isinstance(step, Put):
            disk.store.put(step.key, step.value)
        else:
            disk.store.delete(step.key, step.range_end)


def type_name(operation: Operation) -> str:
    return "" if isinstance(operation, Put) else "delete"


@settings(max_examples=300)
@given(steps=STEPS, more=STEPS, swept=st.integers(0, 40), restored=st.booleans())
def test_a_store_put_together_from_its_rows_is_the_one_that_wrote_them(steps, more, swept, restored):
    """Also where the sweep of what is superfluous was interrupted; and what it then writes can be put together again."""
    disk = Disk()
    if restored:
        kvs = (KeyValue(b"b", b"1", 3, 5, 2), KeyValue(b"a", b"1", 5, 5, 1))
        disk = Disk(Mvcc.from_snapshot(7, kvs), rows_of_snapshot(kvs))
    play(disk, steps)
    disk.sweep(swept)
    again, recall = disk.recall()
    assert visible(again) == visible(disk.mvcc)

    resumed = Disk(again, disk.rows)
    resumed.superfluous = list(recall.superfluous)
    play(disk, more)
    play(resumed, more)
    resumed.sweep()
    assert visible(resumed.recall()[0]) == visible(disk.mvcc)


@settings(max_examples=200)
@given(steps=STEPS)
def test_no_row_is_left_that_nobody_can_see(steps):
    disk = Disk()
    play(disk, steps)
    disk.sweep()
    mvcc = disk.mvcc
    history = {
        (event.kv.mod_revision, event.kv.key)
        for group in mvcc.history(mvcc.history_floor, mvcc.revision)
        for event in group
    }
    live = {(kv.mod_revision, kv.key) for kv in mvcc.range(Range(b"\0", b"\0", mvcc.compact_revision)).kvs}
    assert {(row[0] >> PLACE_BITS, row[1]) for row in disk.rows} == history | live
    assert disk.recall()[1].superfluous == []


def test_a_row_is_found_to_be_superfluous_at_opening_where_the_sweep_did_not_come_to_it():
    disk = Disk()
    play(disk, [Put(b"a", b"1"), Put(b"a", b"2"), DeleteRange(b"a"), Put(b"b", b""), Put(b"b", b"x"), 0])
    assert [(a >> PLACE_BITS, key) for a, b, key in disk.recall()[1].superfluous] == [
        (2, b"a"),
        (3, b"a"),
        (4, b"a"),
        (5, b"b"),
    ]


# --- damage -----------------------------------------------------------------------------------------------------------


def example() -> Disk:
    disk = Disk()
    play(
        disk, [Put(b"z", b""), Put(b"a", b"1"), 0, Put(b"a", b"2"), [Put(b"b", b""), Put(b"c", b"")], DeleteRange(b"a")]
    )
    disk.sweep()
    return disk


@pytest.mark.parametrize("field", range(7))
def test_a_row_that_was_changed_is_refused(field):
    for number in range(len(example().rows)):
        disk = example()
        row = list(disk.rows[number])
        row[field] = row[field] + b"x" if isinstance(row[field], bytes) else row[field] + 1
        disk.rows[number] = tuple(row)  # type: ignore[assignment]
        with pytest.raises(DamagedError):
            disk.recall()


def test_a_revision_or_an_event_that_is_missing_is_noticed():
    """All but the last ones, of which nobody knows; and but what the compact revision still shows of older ones."""
    rows = example().rows
    assert [(row[0] >> PLACE_BITS, row[1]) for row in rows] == [
        (2, b"z"),
        (3, b"a"),
        (4, b"a"),
        (5, b"b"),
        (5, b"c"),
        (6, b"a"),
    ]
    for number, reason in ((1, "where 1 is next"), (2, "revision 4 is missing"), (3, "lacks its event 0")):
        disk = example()
        del disk.rows[number]
        with pytest.raises(DamagedError, match=reason):
            disk.recall()


def rewritten(row: Row, **changes: int) -> Row:
    """A row with another content and the checksum that fits it."""
    seq, key, value, create, version, lease, _ = row
    kv = msgspec.structs.replace(KeyValue(key, value, create, seq >> PLACE_BITS, version, lease), **changes)
    (good,) = rows_of(Record(seq >> PLACE_BITS, (EtcdEvent(None, kv),)))  # type: ignore[arg-type]
    return good


@pytest.mark.parametrize("changes", [{"version": 3}, {"create_revision": 2}, {"version": 1}])
def test_versions_that_do_not_follow_each_other_are_refused(changes):
    disk = example()
    disk.rows[2] = rewritten(disk.rows[2], **changes)
    with pytest.raises(DamagedError, match="where 2 is next"):
        disk.recall()


def test_a_deletion_of_what_is_not_there_is_refused():
    disk = example()
    disk.rows[4:] = [rewritten(disk.rows[3], version=0, mod_revision=5)]
    del disk.rows[3]
    disk.rows[3:] = [rewritten((5 << PLACE_BITS, b"nobody", b"", 0, 0, 0, 0))]
    with pytest.raises(DamagedError, match="which is not there"):
        disk.recall()
