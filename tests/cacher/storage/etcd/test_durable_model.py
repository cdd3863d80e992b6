"""The store with a file under it and restarts in between, against the same model of all states as without."""

from __future__ import annotations

import shutil

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from cacher.storage.etcd import KeyValue
from cacher.storage.etcd._data_dir import FILE_NAME
from cacher.storage.etcd._group_commit import batch_of
from cacher.storage.etcd._lease import Lessor
from cacher.storage.etcd._mvcc import Mvcc, Snapshot
from cacher.storage.etcd._sqlite_file import SqliteFile
from cacher.storage.etcd._version_log import Recall, Record, rows_of_snapshot, superfluous
from cacher.storage.etcd._watchable import WatchableStore
from tests.cacher.storage.etcd.disks import quick_directory
from tests.cacher.storage.etcd.test_model import PENDING_MAX, SLICE_MAX, EtcdAgainstModel, Model


class DurableAgainstModel(EtcdAgainstModel):
    """Everything that the machine without a disk does; records are committed some at a time, and opened again.

    Watches are resumed after a restart from where they were, as a client would, and must notice nothing.
    """

    @initialize(restored=st.booleans())
    def open(self, restored: bool) -> None:
        self.directory = quick_directory()
        self.records: list[Record] = []
        self.superfluous: list[tuple[int, int, bytes]] = []
        self.file = SqliteFile(self.directory / FILE_NAME)
        self.lessor, mvcc, self.model = Lessor(draw_id=lambda: 99), Mvcc(), Model()
        kvs: tuple[KeyValue, ...] = ()
        if restored:
            kvs = (KeyValue(b"a", b"x", 3, 5, 2), KeyValue(b"c", b"y", 4, 4, 1, 1))
            mvcc.restore(Snapshot(7, kvs))
            self.model = Model(7, kvs)
        self.file.create(rows_of_snapshot(kvs), mvcc.compact_revision, mvcc.history_floor)
        self.serve(mvcc)

    def serve(self, mvcc: Mvcc) -> None:
        self.lessor = Lessor(draw_id=lambda: 99)
        self.lessor.restore(mvcc.kvs())
        mvcc._leases = self.lessor
        self.store = WatchableStore(
            mvcc, self.lessor, pending_events_max=PENDING_MAX, slice_revisions_max=SLICE_MAX, log=self.take_record
        )

    def take_record(self, record: Record) -> None:
        if record.compacted:
            mvcc = self.store.mvcc
            self.superfluous += superfluous(mvcc.history(mvcc.history_floor, record.compacted), record.compacted)
        self.records.append(record)
        self.store.publish(record)

    @precondition(lambda self: self.records)
    @rule(swept=st.integers(0, 3))
    def commit(self, swept: int) -> None:
        self.file.commit(batch_of(self.records, self.superfluous[:swept]))
        self.records = []
        del self.superfluous[:swept]

    @rule(step=st.integers(1, 3))
    def restart(self, step: int) -> None:
        if self.records:
            self.commit(0)
        self.file.close()
        self.file = SqliteFile(self.directory / FILE_NAME)
        header = self.file.header()
        recall, after = Recall(header.compact_revision, header.history_floor), -1
        while rows := self.file.read(after, step):
            recall.add(rows)
            after = rows[-1][0]
        self.superfluous = list(recall.superfluous)
        mvcc = Mvcc()
        mvcc.adopt(recall.finish())
        self.serve(mvcc)
        for lease, ttl_s in header.leases.items():
            self.lessor.grant(ttl_s, now_s=self.now, lease=lease)
        self.model.leases = {lease: (self.now + ttl_s, ttl_s) for lease, (_, ttl_s) in self.model.leases.items()}
        assert header.leases == {lease: ttl_s for lease, (_, ttl_s) in self.model.leases.items()}
        self.resume()

    def resume(self) -> None:
        for reader in self.readers:
            start = max(reader.request.start_revision, reader.done + 1)
            reader.request = msgspec.structs.replace(reader.request, start_revision=start)
            reader.watcher = self.store.watch(reader.request, lambda: None)
            reader.lagged = True

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.restart(9)
            super().teardown()
            self.file.close()
            shutil.rmtree(self.directory)


DurableAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDurableAgainstModel = DurableAgainstModel.TestCase
