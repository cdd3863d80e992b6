"""The pure store against a model of a page: a list of all states, one a revision. Everything else follows from it.

The model shares no idea with the implementation: it keeps no history and no versions, it compares whole states. What a
watcher must see is the difference of neighbouring states; what a read at a revision must see is the state.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cacher.storage.etcd import (
    CompactedError,
    Compare,
    CompareTarget,
    DeleteRange,
    EtcdEvent,
    EventKind,
    FutureRevisionError,
    KeyValue,
    LeaseExistsError,
    LeaseNotFoundError,
    Operation,
    Put,
    Range,
    Snapshot,
    Txn,
    WatchFilter,
)
from cacher.storage.etcd._lease import Lessor
from cacher.storage.etcd._mvcc import Mvcc
from cacher.storage.etcd._watchable import WatchableStore, Watcher, WatchRequest

PENDING_MAX = 3
SLICE_MAX = 2

State = dict[bytes, KeyValue]


class Model:
    """All states by revision, which of them were compacted, and when each lease ends."""

    def __init__(self, revision: int = 1, kvs: tuple[KeyValue, ...] = ()) -> None:
        self.states: list[State] = [{} for _ in range(revision)] + [{kv.key: kv for kv in kvs}]
        self.compacted = revision if kvs else 0
        self.floor = revision + 1 if kvs else 1
        self.leases: dict[int, tuple[float, int]] = {}

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def write(self, operations: list[Operation]) -> None:
        state = dict(self.states[-1])
        for operation in operations:
            if isinstance(operation, Put):
                self._put(state, operation)
            elif isinstance(operation, DeleteRange):
                for key in [key for key in state if within(key, operation.key, operation.range_end)]:
                    del state[key]
        if state != self.states[-1]:
            self.states.append(state)

    def _put(self, state: State, put: Put) -> None:
        old, revision = state.get(put.key), len(self.states)
        created, version = (old.create_revision, old.version) if old else (revision, 0)
        state[put.key] = KeyValue(put.key, put.value, created, revision, version + 1, put.lease)

    def end_lease(self, lease: int) -> None:
        del self.leases[lease]
        self.write([DeleteRange(key) for key, kv in self.states[-1].items() if kv.lease == lease])

    def events(self, revision: int) -> list[EtcdEvent]:
        """What became different at `revision`, in key order."""
        before, after = self.states[revision - 1], self.states[revision]
        events = []
        for key in sorted({**before, **after}):
            old = before.get(key) if revision > self.compacted else None
            if key not in after:
                events.append(EtcdEvent(EventKind.DELETE, KeyValue(key, b"", 0, revision, 0), old))
            elif after[key] != before.get(key):
                events.append(EtcdEvent(EventKind.PUT, after[key], old))
        return events

    def holds(self, compare: Compare) -> bool:
        kv = self.states[-1].get(compare.key)
        if kv is None and compare.target is CompareTarget.VALUE:
            return False
        row = kv or KeyValue(compare.key, b"", 0, 0, 0)
        left = {
            CompareTarget.VERSION: row.version,
            CompareTarget.CREATE: row.create_revision,
            CompareTarget.MOD: row.mod_revision,
            CompareTarget.LEASE: row.lease,
            CompareTarget.VALUE: row.value,
        }[compare.target]
        order = (left > compare.operand) - (left < compare.operand)  # type: ignore[operator]
        return {"=": order == 0, "!=": order != 0, "<": order < 0, ">": order > 0}[compare.operator]


def within(key: bytes, start: bytes, end: bytes | None) -> bool:
    return key == start if end is None else key >= start and (end == b"\0" or key < end)


class Reader(msgspec.Struct):
    """A watch: all up to `done` was delivered. `lagged`: it may have been behind since it last had read all."""

    watcher: Watcher
    request: WatchRequest
    done: int
    lagged: bool
    over: bool = False


KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
RANGES = st.sampled_from([(b"a", None), (b"b", None), (b"a", b"c"), (b"b", b"\0"), (b"\0", b"\0"), (b"c", b"b")])
LEASES = st.sampled_from([0, 0, 0, 1, 2])
VALUES = st.sampled_from([b"", b"x", b"y"])
OPERANDS = st.tuples(st.sampled_from(list(CompareTarget)), st.integers(0, 6), VALUES)
OPERATIONS = st.lists(
    st.tuples(st.sampled_from([Put, DeleteRange]), KEYS, VALUES), max_size=4, unique_by=lambda row: row[1]
)


def outcome(call: Callable[[], object]) -> type[BaseException] | None:
    try:
        call()
    except (CompactedError, FutureRevisionError, LeaseExistsError, LeaseNotFoundError) as error:
        return type(error)
    return None


class EtcdAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Reader] = []
        self.now = 0.0

    @initialize(restored=st.booleans())
    def open(self, restored: bool) -> None:
        self.lessor = Lessor(draw_id=lambda: 99)
        mvcc = Mvcc(leases=self.lessor)
        self.model = Model()
        if restored:
            kvs = (KeyValue(b"a", b"x", 3, 5, 2), KeyValue(b"c", b"y", 4, 4, 1, 1))
            mvcc.restore(Snapshot(7, kvs))
            self.lessor.restore(kvs)
            self.model = Model(7, kvs)
        self.store = WatchableStore(mvcc, self.lessor, pending_events_max=PENDING_MAX, slice_revisions_max=SLICE_MAX)

    # --- writes

    @rule(key=KEYS, value=VALUES, lease=LEASES)
    def put(self, key: bytes, value: bytes, lease: int) -> None:
        refused = LeaseNotFoundError if lease and lease not in self.model.leases else None
        assert outcome(lambda: self.store.put(key, value, lease=lease)) is refused
        if not refused:
            self.model.write([Put(key, value, lease)])

    @rule(span=RANGES)
    def delete(self, span: tuple[bytes, bytes | None]) -> None:
        gone = [kv for key, kv in sorted(self.model.states[-1].items()) if within(key, *span)]
        result = self.store.delete(*span, prev_kv=True)
        self.model.write([DeleteRange(*span)])
        assert (result.revision, result.deleted, list(result.prev_kvs)) == (self.model.revision, len(gone), gone)

    @rule(key=KEYS, operator=st.sampled_from(["=", "!=", "<", ">"]), operand=OPERANDS, yes=OPERATIONS, no=OPERATIONS)
    def txn(self, key: bytes, operator: str, operand: tuple[CompareTarget, int, bytes], yes: list, no: list) -> None:
        target, number, text = operand
        compare = Compare(key, target, operator, text if target is CompareTarget.VALUE else number)
        branches: list[list[Operation]] = [
            [Put(k, v) if kind is Put else DeleteRange(k) for kind, k, v in rows] for rows in (yes, no)
        ]
        holds = self.model.holds(compare)
        result = self.store.txn(Txn((compare,), tuple(branches[0]), tuple(branches[1])))
        self.model.write(branches[0] if holds else branches[1])
        assert (result.succeeded, result.revision) == (holds, self.model.revision)

    @rule(back=st.integers(-1, 4))
    def compact(self, back: int) -> None:
        revision = self.model.revision - back
        expected: type[BaseException] | None = None
        if revision > self.model.revision:
            expected = FutureRevisionError
        elif revision <= self.model.compacted:
            expected = CompactedError
        assert outcome(lambda: self.store.compact(revision)) is expected
        if expected is None:
            self.model.compacted = self.model.floor = revision

    # --- leases and time

    @rule(lease=st.integers(1, 2), ttl=st.integers(1, 4))
    def grant(self, lease: int, ttl: int) -> None:
        refused = LeaseExistsError if lease in self.model.leases else None
        assert outcome(lambda: self.store.lease_grant(ttl, now_s=self.now, lease=lease)) is refused
        if not refused:
            self.model.leases[lease] = (self.now + ttl, ttl)

    @rule(lease=st.integers(1, 2))
    def keep_alive(self, lease: int) -> None:
        refused = None if lease in self.model.leases else LeaseNotFoundError
        assert outcome(lambda: self.lessor.keep_alive(lease, now_s=self.now)) is refused
        if not refused:
            ttl = self.model.leases[lease][1]
            self.model.leases[lease] = (self.now + ttl, ttl)

    @rule(lease=st.integers(1, 2))
    def revoke(self, lease: int) -> None:
        refused = None if lease in self.model.leases else LeaseNotFoundError
        assert outcome(lambda: self.store.lease_revoke(lease)) is refused
        if not refused:
            self.model.end_lease(lease)

    @rule(seconds=st.integers(1, 3))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        while (lease := self.lessor.next_due(self.now)) is not None:
            self.store.lease_revoke(lease)
        for lease, (ends, _) in sorted(self.model.leases.items(), key=lambda row: (row[1][0], row[0])):
            if ends <= self.now:
                self.model.end_lease(lease)

    # --- watches

    @rule(
        span=RANGES.filter(lambda span: span != (b"c", b"b")),
        offset=st.none() | st.integers(-6, 3),
        prev_kv=st.booleans(),
        filters=st.lists(st.sampled_from(list(WatchFilter)), max_size=1),
    )
    def watch(self, span: tuple[bytes, bytes | None], offset: int | None, prev_kv: bool, filters: list) -> None:
        start = 0 if offset is None else max(1, self.model.revision + offset)
        request = WatchRequest(*span, start_revision=start, prev_kv=prev_kv, filters=tuple(filters))
        done = start - 1 if start else self.model.revision
        reader = Reader(self.store.watch(request, lambda: None), request, done, lagged=0 < start <= self.model.revision)
        self.readers.append(reader)

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 9), ask=st.booleans())
    def read_once(self, which: int, ask: bool) -> None:
        """A slow reader: others are not read, and fall behind."""
        reader = self.readers[which % len(self.readers)]
        if ask:
            reader.watcher.request_progress()
        self.take(reader)

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 9))
    def read_all(self, which: int) -> None:
        """What a watch is to deliver, it does deliver: after reading to the end nothing is missing, and progress is told."""
        reader = self.readers[which % len(self.readers)]
        while self.take(reader) or not (reader.over or reader.watcher.is_synced):
            pass
        if not reader.over:
            assert not self.missing(reader)
            reader.lagged = False
            reader.watcher.request_progress()
            assert self.take(reader) == (self.model.revision >= reader.request.start_revision)

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 9))
    def unwatch(self, which: int) -> None:
        self.store.unwatch(self.readers.pop(which % len(self.readers)).watcher)

    def missing(self, reader: Reader) -> list[EtcdEvent]:
        """What the reader has not been given yet, by the model."""
        request, unwanted = (
            reader.request,
            [EventKind[name.name.removeprefix("NO_")] for name in reader.request.filters],
        )
        return [
            event if request.prev_kv else EtcdEvent(event.kind, event.kv)
            for revision in range(max(reader.done + 1, 1), self.model.revision + 1)
            for event in self.model.events(revision)
            if within(event.kv.key, request.key, request.range_end) and event.kind not in unwanted
        ]

    def take(self, reader: Reader) -> bool:
        """Take one response and compare it; False: there was none."""
        try:
            response = reader.watcher.take()
        except CompactedError as error:
            assert reader.lagged, "only a watch that was behind may lose to a compaction"
            assert reader.done + 1 < self.model.floor, "and only where what it needs next was compacted"
            assert error.compact_revision == self.model.floor
            reader.over = True
            return False
        if response is None:
            return False
        assert not reader.over
        assert response.revision >= max(reader.done, reader.request.start_revision)
        expected = [event for event in self.missing(reader) if event.kv.mod_revision <= response.revision]
        given = sorted(response.events, key=lambda event: (event.kv.mod_revision, event.kv.key))
        assert given == expected, "every event of its range and revisions, once, whole revisions at a time"
        assert [e.kv.mod_revision for e in response.events] == [e.kv.mod_revision for e in given], "in order"
        assert response.events or response.revision == self.model.revision, "progress speaks of now"
        reader.done = response.revision
        return True

    # --- what always holds

    @invariant()
    def structures_are_whole(self) -> None:
        self.store._check()
        assert self.store.mvcc.revision == self.model.revision
        for reader in self.readers:
            reader.lagged |= len(self.missing(reader)) > PENDING_MAX

    @rule(span=RANGES, back=st.integers(-1, 8), limit=st.integers(0, 3))
    def read_range(self, span: tuple[bytes, bytes | None], back: int, limit: int) -> None:
        revision = self.model.revision - back
        request = Range(*span, revision=max(revision, 0), limit=limit)
        if revision > self.model.revision:
            assert outcome(lambda: self.store.mvcc.range(request)) is FutureRevisionError
        elif 0 < revision < self.model.compacted:
            assert outcome(lambda: self.store.mvcc.range(request)) is CompactedError
        else:
            state = self.model.states[revision if revision > 0 else -1]
            expected = [kv for key, kv in sorted(state.items()) if within(key, *span)]
            result = self.store.mvcc.range(request)
            assert list(result.kvs) == expected[: limit or None]
            more = bool(limit) and len(expected) > limit
            assert (result.count, result.more, result.revision) == (len(expected), more, self.model.revision)

    def teardown(self) -> None:
        for revision in range(max(self.model.compacted, 1), self.model.revision + 1):
            kvs = self.store.mvcc.range(Range(b"\0", b"\0", revision=revision)).kvs
            assert {kv.key: kv for kv in kvs} == self.model.states[revision]
        for which in range(len(self.readers)):
            self.read_all(which)


EtcdAgainstModel.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestEtcdAgainstModel = EtcdAgainstModel.TestCase
