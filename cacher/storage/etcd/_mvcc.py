"""Mvcc: every version of every key since the last compaction. Pure: each method is one synchronous step.

It sits at the bottom of the embedded etcd, below leases and watches, and knows neither: a write leaves its events in
the history, from where those layers take them. Nothing is ever rolled back, because everything is checked before the
first write. What it keeps grows until `compact`; as with etcd, compacting in time is its user's business.

How a key's versions are kept, with put(2) put(3) delete(4) put(6):

    current   6                      the version that a read of now finds
    past      2  3  4†               what was superseded, oldest first; † is the tombstone
    history   2: PUT  3: PUT  4: DELETE  5: (another key)  6: PUT        one group of events a revision, none missing

    compact(3):  past 3 4†      history from 3 on, as a watch may start at the compact revision itself
    compact(4):  past (none)    history from 4 on: the DELETE is still there for a watch from 4 (etcd #18089, #19179)

Source: etcd server/storage/mvcc kvstore.go, kvstore_txn.go, key_index.go; server/etcdserver/txn/txn.go.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Container, Iterable, Sequence
from itertools import islice

import msgspec

from watch import SortedKeys

from ._protocol import (
    CompactedError,
    Compare,
    DeleteRange,
    EtcdEvent,
    EventKind,
    FutureRevisionError,
    InvalidRequestError,
    KeyValue,
    LeaseNotFoundError,
    Operation,
    Put,
    Range,
    RangeResult,
    RequestTooLargeError,
    Txn,
    TxnResult,
    WriteResult,
    exclusive_end,
)
from ._txn import check_key, check_range, check_txn, compare_holds, request_bytes

TXN_OPERATIONS_MAX = 128
"""etcd's --max-txn-ops."""

REQUEST_BYTES_MAX = 3 * 512 * 1024
"""1.5 MiB, etcd's --max-request-bytes: what keeps one request from holding up all others."""

_PUT = EventKind.PUT
_DELETE = EventKind.DELETE
_mod_revision = operator.attrgetter("mod_revision")


class Snapshot(msgspec.Struct, frozen=True):
    """A store's state at one revision, as a backup holds it: the keys, without their past."""

    revision: int
    kvs: Sequence[KeyValue]


class _Plan(msgspec.Struct):
    """A transaction with its compares decided, at every depth."""

    succeeded: bool
    steps: list[Put | DeleteRange | Range | _Plan]


class Mvcc:
    """The keys, their past and the events, from revision 1 of an empty store on. Values stay as they came, uncopied.

    Args:
        leases: the leases there are; a put that names another is refused.
    """

    def __init__(
        self,
        *,
        leases: Container[int] = (),
        txn_operations_max: int = TXN_OPERATIONS_MAX,
        request_bytes_max: int = REQUEST_BYTES_MAX,
    ) -> None:
        self.revision = 1
        """Of the last write. As in etcd an empty store is at 1, so its first write makes 2. Read it only."""
        self.compact_revision = 0
        """The lowest revision that can be read at; 0: never compacted. Read it only."""
        self.history_floor = 1
        """The lowest revision that a watch can start from. Read it only."""
        self._leases = leases
        self._txn_operations_max = txn_operations_max
        self._request_bytes_max = request_bytes_max
        self._current: dict[bytes, KeyValue] = {}
        self._past: dict[bytes, list[KeyValue]] = {}
        self._live: SortedKeys[bytes] = SortedKeys()  # the keys of _current
        self._dead: SortedKeys[bytes] = SortedKeys()  # the keys of _past that are not in _current
        self._history: list[tuple[EtcdEvent, ...]] = []
        self._history_start = 2  # the revision of _history[0], or of the next write

    @classmethod
    def from_snapshot(cls, revision: int, kvs: Sequence[KeyValue], *, leases: Container[int] = ()) -> Mvcc:
        """A store that goes on from a snapshot; see `restore`."""
        store = cls(leases=leases)
        store.restore(Snapshot(revision, kvs))
        return store

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from `snapshot`, as a restored backup does: the past counts as compacted. The store must be untouched yet.

        It can be read at the snapshot's revision. A watch can start after it, not at it: what happened at that revision
        itself is not in the snapshot (a key deleted there would go unmentioned).

        Raises:
            InvalidRequestError: the snapshot holds what no store can hold.
        """
        assert self.revision == 1
        assert not self.compact_revision
        for kv in snapshot.kvs:
            if not (kv.key and 0 < kv.create_revision <= kv.mod_revision <= snapshot.revision and kv.version > 0):
                raise InvalidRequestError(f"snapshot at revision {snapshot.revision} cannot hold {kv!r}: mend it")
            if kv.key in self._current:
                raise InvalidRequestError(f"snapshot holds {kv.key!r} twice: mend it")
            self._current[kv.key] = kv
        self._live = SortedKeys(self._current)
        self.revision = self.compact_revision = max(1, snapshot.revision)
        self.history_floor = self._history_start = self.revision + 1

    def __len__(self) -> int:
        """How many keys there are now."""
        return len(self._current)

    @property
    def history_length(self) -> int:
        """How many revisions of events are kept."""
        return len(self._history)

    # --- reading ------------------------------------------------------------------------------------------------------

    def range(self, request: Range) -> RangeResult:
        """The keys of a range now, or at a revision not compacted.

        Raises:
            CompactedError, FutureRevisionError: `request.revision` is out of reach; ask for another.
            InvalidRequestError: no key, or a negative number.
        Cost: O(log n) and O(1) a key returned; at an older revision O(log versions) for every key in the range, since
            only looking tells which of them were there.
        """
        check_range(request)
        self._check_readable(request.revision)
        return self._range(request, self.revision)

    def history(self, first: int, last: int) -> Sequence[tuple[EtcdEvent, ...]]:
        """The events of the revisions from `first` to `last`, a group for each, oldest first.

        Every event has its `prev_kv`. `first` must not be below `history_floor`. Cost: O(1) a revision.
        """
        assert first >= self.history_floor
        start = self._history_start
        return self._history[max(0, first - start) : max(0, last + 1 - start)]

    @property
    def last_events(self) -> tuple[EtcdEvent, ...]:
        """The events of the last write; it must be one since the start or the last compaction."""
        return self._history[-1]

    def _check_readable(self, revision: int) -> None:
        if not revision:
            return
        if revision > self.revision:
            raise FutureRevisionError(revision, self.revision)
        if revision < self.compact_revision:
            raise CompactedError(self.compact_revision)

    def _range(self, request: Range, now: int) -> RangeResult:
        """`now`: the revision of the newest versions; one ahead of the store's in a transaction that has written."""
        revision = request.revision or now
        if not request.range_end:
            kv = self._current.get(request.key) if revision == now else self._version_at(request.key, revision)
            found = [] if kv is None else [kv]
            count = len(found)
        elif revision == now:
            end = exclusive_end(request.key, request.range_end)
            count = self._live.count(request.key, end)
            keys = islice(self._live.irange(request.key, end, (True, False)), request.limit or None) if count else ()
            found = [] if request.count_only else [self._current[key] for key in keys]
        else:
            found = self._versions_at(request.key, exclusive_end(request.key, request.range_end), revision)
            count = len(found)
            if request.limit:
                del found[request.limit :]
        if request.count_only:
            return RangeResult((), now, count, False)
        if request.keys_only:
            found = [msgspec.structs.replace(kv, value=b"") for kv in found]
        return RangeResult(tuple(found), now, count, len(found) < count)

    def _version_at(self, key: bytes, revision: int) -> KeyValue | None:
        kv = self._current.get(key)
        if kv is not None and kv.mod_revision <= revision:
            return kv
        past = self._past.get(key)
        if past is None:
            return None
        newer = bisect_right(past, revision, key=_mod_revision)
        return past[newer - 1] if newer and past[newer - 1].version else None

    def _versions_at(self, key: bytes, end: bytes | None, revision: int) -> list[KeyValue]:
        if end is not None and end <= key:
            return []
        keys = [*self._live.irange(key, end, (True, False)), *self._dead.irange(key, end, (True, False))]
        keys.sort()  # two sorted runs: linear
        return [kv for kv in (self._version_at(key, revision) for key in keys) if kv is not None]

    # --- writing ------------------------------------------------------------------------------------------------------

    def put(self, key: bytes, value: bytes, *, lease: int = 0, prev_kv: bool = False) -> WriteResult:
        """Write one key under a new revision.

        Raises:
            LeaseNotFoundError: no such lease; grant it first.
            InvalidRequestError: no key, or too many bytes.
        Cost: O(log n) for a new key, else O(1).
        """
        if not key or len(key) + len(value) > self._request_bytes_max:
            check_key(key)
            self._check_size(len(key) + len(value))
        if lease and lease not in self._leases:
            raise LeaseNotFoundError(lease)
        previous = self._current.get(key)
        revision = self.revision + 1
        self._history.append((self._put(key, value, lease, revision),))
        self.revision = revision
        return WriteResult(revision, 0, (previous,) if prev_kv and previous is not None else ())

    def delete(self, key: bytes, range_end: bytes | None = None, *, prev_kv: bool = False) -> WriteResult:
        """Delete a range under one new revision; nothing there to delete: under none. Cost: O(log n) a key."""
        check_key(key)
        events: list[EtcdEvent] = []
        result = self._delete_range(DeleteRange(key, range_end, prev_kv), events)
        self._commit(events)
        return result

    def delete_keys(self, keys: Iterable[bytes]) -> WriteResult:
        """Delete those of `keys` that are there, in the order given, under one revision (none there: under none)."""
        events = [self._delete(key, self.revision + 1) for key in keys if key in self._current]
        self._commit(events)
        return WriteResult(self.revision, len(events))

    def txn(self, txn: Txn) -> TxnResult:
        """Run one branch of `txn` as one step; its writes share one new revision, and without writes there is none.

        Raises:
            DuplicateKeyError, InvalidRequestError: `txn` is wrong whatever the store holds.
            LeaseNotFoundError, CompactedError, FutureRevisionError: an operation of the branch taken cannot be done.
            Whatever is raised, nothing was written.
        """
        check_txn(txn, operations_max=self._txn_operations_max)
        self._check_size(request_bytes(txn))
        plan = self._plan(txn)
        events: list[EtcdEvent] = []
        result = self._execute(plan, events)
        self._commit(events)
        return result

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._request_bytes_max:
            raise RequestTooLargeError(
                f"etcdserver: request is too large: {size_bytes} bytes, at most {self._request_bytes_max}: write less"
            )

    def _plan(self, txn: Txn) -> _Plan:
        """Decide all compares on the state before the first write, and check what is about to run."""
        succeeded = all(map(self._compare_holds, txn.compares))
        return _Plan(succeeded, [self._checked(step) for step in (txn.success if succeeded else txn.failure)])

    def _compare_holds(self, compare: Compare) -> bool:
        return compare_holds(compare, self._range(Range(compare.key, compare.range_end), self.revision).kvs)

    def _checked(self, step: Operation) -> Put | DeleteRange | Range | _Plan:
        if isinstance(step, Txn):
            return self._plan(step)
        if isinstance(step, Put) and step.lease and step.lease not in self._leases:
            raise LeaseNotFoundError(step.lease)
        if isinstance(step, Range):
            self._check_readable(step.revision)
        return step

    def _execute(self, plan: _Plan, events: list[EtcdEvent]) -> TxnResult:
        responses: list[RangeResult | WriteResult | TxnResult] = []
        for step in plan.steps:
            if isinstance(step, Put):
                previous = self._current.get(step.key)
                events.append(self._put(step.key, step.value, step.lease, self.revision + 1))
                kvs = (previous,) if step.prev_kv and previous is not None else ()
                responses.append(WriteResult(self.revision + 1, 0, kvs))
            elif isinstance(step, DeleteRange):
                responses.append(self._delete_range(step, events))
            elif isinstance(step, Range):
                responses.append(self._range(step, self.revision + bool(events)))
            else:
                responses.append(self._execute(step, events))
        return TxnResult(plan.succeeded, self.revision + bool(events), tuple(responses))

    def _delete_range(self, request: DeleteRange, events: list[EtcdEvent]) -> WriteResult:
        if request.range_end:
            end = exclusive_end(request.key, request.range_end)
            empty = end is not None and end <= request.key
            keys = [] if empty else list(self._live.irange(request.key, end, (True, False)))
        else:
            keys = [request.key] if request.key in self._current else []
        previous = tuple(self._current[key] for key in keys) if request.prev_kv else ()
        events += [self._delete(key, self.revision + 1) for key in keys]
        return WriteResult(self.revision + bool(events), len(keys), previous)

    def _put(self, key: bytes, value: bytes, lease: int, revision: int) -> EtcdEvent:
        previous = self._current.get(key)
        if previous is None:
            kv = KeyValue(key, value, revision, revision, 1, lease)
            self._live.add(key)
            if key in self._past:
                self._dead.remove(key)
        else:
            kv = KeyValue(previous.key, value, previous.create_revision, revision, previous.version + 1, lease)
            past = self._past.get(key)
            if past is None:
                self._past[key] = [previous]
            else:
                past.append(previous)
        self._current[key] = kv
        if previous is not None and previous.mod_revision == revision:
            previous = self._version_at(key, revision - 1)
        return EtcdEvent(_PUT, kv, previous)

    def _delete(self, key: bytes, revision: int) -> EtcdEvent:
        previous: KeyValue | None = self._current.pop(key)
        assert previous is not None
        tombstone = KeyValue(previous.key, b"", 0, revision, 0)
        self._past.setdefault(previous.key, []).extend((previous, tombstone))
        self._live.remove(key)
        self._dead.add(previous.key)
        if previous.mod_revision == revision:  # written by this very transaction: what a watch calls previous is older
            previous = self._version_at(key, revision - 1)
        return EtcdEvent(_DELETE, tombstone, previous)

    def _commit(self, events: list[EtcdEvent]) -> None:
        if events:
            self._history.append(tuple(events))
            self.revision += 1

    # --- compaction ---------------------------------------------------------------------------------------------------

    def compact(self, revision: int) -> None:
        """Forget all versions that no read at `revision` or later can find, and all events before `revision`.

        Raises:
            CompactedError: that far has been compacted already.
            FutureRevisionError: `revision` is yet to come.
        Cost: O(events forgotten).
        """
        if revision > self.revision:
            raise FutureRevisionError(revision, self.revision)
        if revision <= self.compact_revision:
            raise CompactedError(self.compact_revision)
        start = self._history_start
        touched = (event.kv.key for group in self._history[: max(0, revision + 1 - start)] for event in group)
        for key in dict.fromkeys(touched):
            self._forget(key, revision)
        if revision > start:
            del self._history[: revision - start]
            self._history_start = revision
        self.compact_revision = self.history_floor = revision

    def _forget(self, key: bytes, revision: int) -> None:
        """Drop the versions of `key` older than the one live at `revision`, and its tombstone if it was dead."""
        past = self._past.get(key)
        if past is None:
            return
        current = self._current.get(key)
        if current is not None and current.mod_revision <= revision:
            del self._past[key]
            return
        live = bisect_right(past, revision, key=_mod_revision) - 1
        del past[: live if live >= 0 and past[live].version else live + 1]
        if not past:
            del self._past[key]
            if current is None:
                self._dead.remove(key)

    def _check(self) -> None:
        """Assert the whole invariant."""
        assert list(self._live) == sorted(self._current), "the live keys are those with a current version, in order"
        dead = [key for key in self._past if key not in self._current]
        assert list(self._dead) == sorted(dead), "the dead keys are those with nothing but a past, in order"
        assert self._history_start + len(self._history) == self.revision + 1, "no revision is missing from the history"
        assert self._history_start <= max(self.history_floor, 2), "the history reaches down to its floor"
        for number, group in enumerate(self._history, self._history_start):
            assert group, "every revision has events"
            assert all(event.kv.mod_revision == number for event in group), "a group is of its revision"
        for key, past in self._past.items():
            assert past, "an empty past is not kept"
            assert past == sorted(past, key=_mod_revision), "the past is in order"
            assert key in self._current or not past[-1].version, "a dead key's past ends with its tombstone"
            droppable = [kv for kv in past if kv.mod_revision <= self.compact_revision]
            assert len(droppable) <= 1, "of the past up to the compact revision only what was live there is kept"
            assert all(kv.version for kv in droppable), "no tombstone up to the compact revision is kept"
