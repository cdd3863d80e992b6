"""WatchableStore: keys, leases and watchers as one pure store; Watcher: what one watch is yet to receive.

It sits between the key store (`_mvcc`) and the tasks that deliver (`_embedded`). Every write offers its events to the
watchers of their keys, in the same synchronous step; nothing is handed over until somebody calls `Watcher.take`. A store with
a log writes each step there instead, and its watchers live as far as the log's owner says that it is durable (`publish`).

                  a write of its keys            a write, and its pending is full
    ┌── synced ──► synced, events pending ─────────────────────────┐
    │     ▲                                                        ▼
    │     └────────── history read up to now ───────────── unsynced ──► over: what it needs next was compacted
    │                                                          ▲
    watch from now, or from a future revision                  └── watch from the past

A synced watcher has all that concerns it up to the store's revision in its pending. An unsynced one remembers the next
revision that it needs, and when its pending is empty reads history from there, a slice at a time. A revision is never
split: not between pending and history, not between slices, not between responses.

Source: etcd server/storage/mvcc watchable_store.go, watcher_group.go (3.6). Differs: etcd looks after unsynced watchers every
100 ms, here each does so when its reader asks; etcd keeps a full watcher's last batch as a "victim", here it stays in history.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

import msgspec

from ._lease import Lessor
from ._mvcc import Mvcc
from ._protocol import (
    CompactedError,
    EtcdEvent,
    EventKind,
    FutureRevisionError,
    InvalidRequestError,
    LeaseResult,
    Range,
    RangeResult,
    Txn,
    TxnResult,
    WatchFilter,
    WatchResponse,
    WriteResult,
    exclusive_end,
)
from ._version_log import Record

PENDING_EVENTS_MAX = 1024
"""The events that a watcher keeps for a reader that is behind, and so the most in one response (one revision alone may
have more). Beyond it history keeps them, at no cost to the writer; only a compaction can then lose them, and says so."""

SLICE_REVISIONS_MAX = 1000
"""The revisions that one step of catching up reads: 50 µs for nothing found, so that other tasks have their turn.
Source: etcd watcher_group.go, watchBatchMaxRevs."""

_UNWANTED = {WatchFilter.NO_PUT: EventKind.PUT, WatchFilter.NO_DELETE: EventKind.DELETE}


class WatchRequest(msgspec.Struct, frozen=True):
    """What a watch asks for; the words are those of `Etcd.watch`."""

    key: bytes
    range_end: bytes | None = None
    start_revision: int = 0
    prev_kv: bool = False
    progress_notify: bool = False
    filters: tuple[WatchFilter, ...] = ()


class Watcher:
    """One watch's place in the stream of events. Made by `WatchableStore.watch`.

    Args:
        on_ready: called, inside the writer's step, when `take` may have something new; it must only wake somebody.
    """

    def __init__(
        self,
        store: WatchableStore,
        request: WatchRequest,
        on_ready: Callable[[], None],
        *,
        pending_events_max: int,
        slice_revisions_max: int,
    ) -> None:
        self.key = request.key
        self.end = exclusive_end(request.key, request.range_end)
        self.start_revision = request.start_revision
        self.is_synced = request.start_revision == 0 or request.start_revision > store.revision
        """True while all that happened so far is in its pending, or delivered. Read it only."""
        self._store = store
        self._mvcc = store.mvcc
        self._on_ready = on_ready
        self._pending_events_max = pending_events_max
        self._slice_revisions_max = slice_revisions_max
        self._unwanted = tuple(_UNWANTED[name] for name in request.filters)
        self._prev_kv = request.prev_kv
        self._progress_notify = request.progress_notify
        self._pending: list[EtcdEvent] = []
        # Synced: events of lower revisions are not for it. Unsynced: where it goes on reading history.
        self._next_revision = request.start_revision or store.revision + 1
        self._is_progress_due = False
        self._is_quiet = True  # no events taken since the last periodic progress

    def take(self) -> WatchResponse | None:
        """All that is pending, or, behind that, the progress asked for; None: nothing now.

        An unsynced watcher reads one slice of history where it has nothing pending; with None it is to be asked again, until
        it is synced. With `prev_kv`, an event has its previous version unless that was compacted meanwhile, as in etcd.

        Raises:
            CompactedError: what it needs next was compacted. It will never have anything again; close it.
        """
        if not self._pending and not self.is_synced:
            self._read_slice()
        if self._pending:
            events = self._outgoing()
            self._is_quiet = False
            return WatchResponse(events, events[-1].kv.mod_revision)
        if self._is_progress_due:
            self._is_progress_due = False
            return WatchResponse((), self._store.revision)
        return None

    def request_progress(self) -> None:
        """Have `take` say how far the watch is, once what is pending was taken. Forgotten where it is or falls behind.

        Not before the store has reached a future `start_revision`: whoever watches from 100 must not hear of 90 (#20221).
        """
        if self.is_synced and self._store.revision >= self.start_revision:
            self._is_progress_due = True
            self._on_ready()

    def notify_progress(self) -> None:
        """The period of `progress_notify` has passed: speak, unless events have spoken since the last time."""
        if self._progress_notify:
            if self._is_quiet:
                self.request_progress()
            self._is_quiet = True

    def offer(self, revision: int, events: Sequence[EtcdEvent]) -> None:
        """Take note of the events of a new revision that are in its range. Cost: O(1) an event."""
        if not self.is_synced or revision < self._next_revision:
            return
        if self._unwanted:
            events = [event for event in events if event.kind not in self._unwanted]
            if not events:
                return
        if self._pending and len(self._pending) + len(events) > self._pending_events_max:
            self.is_synced = False
            self._next_revision = revision
            self._is_progress_due = False
            return
        self._pending.extend(events)
        self._on_ready()

    def _read_slice(self) -> None:
        """Fill the empty pending from the next revisions of the history; synced again where that reaches the present."""
        assert not self._pending
        mvcc, first = self._mvcc, self._next_revision
        if first < mvcc.history_floor:
            raise CompactedError(mvcc.history_floor)
        last = min(first + self._slice_revisions_max - 1, self._store.revision)
        self._next_revision = last + 1
        for group in mvcc.history(first, last):
            events = [event for event in group if self._wants(event)]
            if self._pending and len(self._pending) + len(events) > self._pending_events_max:
                self._next_revision = group[0].kv.mod_revision
                break
            self._pending += events
        self.is_synced = self._next_revision > self._store.revision

    def _wants(self, event: EtcdEvent) -> bool:
        key = event.kv.key
        return self.key <= key and (self.end is None or key < self.end) and event.kind not in self._unwanted

    def _outgoing(self) -> tuple[EtcdEvent, ...]:
        """The pending events, with what was compacted or not asked for left out. History has `prev_kv` in every event."""
        events, self._pending = self._pending, []
        if not self._prev_kv:
            return tuple([EtcdEvent(event.kind, event.kv) for event in events])
        compacted = self._mvcc.compact_revision
        if events[0].kv.mod_revision <= compacted:
            # The version before a revision is what a read just below it finds, and those reads are refused now.
            events = [e if e.kv.mod_revision > compacted else EtcdEvent(e.kind, e.kv) for e in events]
        return tuple(events)

    def _check(self) -> None:
        """Assert the whole invariant."""
        revisions = [event.kv.mod_revision for event in self._pending]
        assert revisions == sorted(revisions), "pending is in order of revision"
        assert not revisions or revisions[0] >= self.start_revision, "nothing from before the start"
        assert len(revisions) <= self._pending_events_max or len(set(revisions)) == 1, "pending is bounded"
        if not self.is_synced:
            assert self._next_revision <= self._store.revision, "an unsynced watcher has something to read"
            assert not revisions or revisions[-1] < self._next_revision, "pending and history do not overlap"
            assert not self._is_progress_due, "an unsynced watcher owes no progress"


class WatchableStore:
    """A whole etcd, less its tasks: keys, leases and watchers, kept in step. Every method is one synchronous step."""

    def __init__(
        self,
        mvcc: Mvcc,
        lessor: Lessor,
        *,
        pending_events_max: int = PENDING_EVENTS_MAX,
        slice_revisions_max: int = SLICE_REVISIONS_MAX,
        log: Callable[[Record], None] | None = None,
    ) -> None:
        """`mvcc` asks `lessor` which leases there are; for a snapshot, `lessor` has been told of its keys.

        Args:
            log: takes note of what a step changed; watchers hear of it when it comes back by `publish`, in the same order.
        """
        self.mvcc = mvcc
        """For reading; writes go through this store, so that watchers, leases and the log hear of them."""
        self.lessor = lessor
        """For asking; granting and revoking go through this store."""
        self.revision = mvcc.revision
        """What watchers are told of; with a log, behind `mvcc.revision` while writes wait there. Read it only."""
        self._log = log
        self._compacting = 0  # the highest compact revision that the log was given
        self._pending_events_max = pending_events_max
        self._slice_revisions_max = slice_revisions_max
        self._watchers: dict[Watcher, None] = {}
        self._map: _RangeMap | None = None

    def put(self, key: bytes, value: bytes, *, lease: int = 0, prev_kv: bool = False) -> WriteResult:
        """See Mvcc.put."""
        result = self.mvcc.put(key, value, lease=lease, prev_kv=prev_kv)
        self._commit()
        return result

    def delete(self, key: bytes, range_end: bytes | None = None, *, prev_kv: bool = False) -> WriteResult:
        """See Mvcc.delete."""
        result = self.mvcc.delete(key, range_end, prev_kv=prev_kv)
        if result.deleted:
            self._commit()
        return result

    def txn(self, txn: Txn) -> TxnResult:
        """See Mvcc.txn."""
        before = self.mvcc.revision
        result = self.mvcc.txn(txn)
        if self.mvcc.revision > before:
            self._commit()
        return result

    def compact(self, revision: int) -> None:
        """See Mvcc.compact. With a log, the past is there until the compaction comes back by `publish`.

        Raises:
            CompactedError: also where a compaction that far is in the log.
        """
        if self._log is None:
            self.mvcc.compact(revision)
            return
        self.mvcc.check_compact(revision)
        if revision <= self._compacting:
            raise CompactedError(self._compacting)
        self._compacting = revision
        self._log(Record(compacted=revision))

    def lease_grant(self, ttl_s: int, *, now_s: float, lease: int = 0) -> LeaseResult:
        """See Lessor.grant."""
        result = self.lessor.grant(ttl_s, now_s=now_s, lease=lease)
        if self._log is not None:
            self._log(Record(granted=(result.lease, result.ttl_s)))
        return result

    def lease_revoke(self, lease: int) -> WriteResult:
        """End a lease and delete its keys, in key order, under one revision (no keys: no revision).

        Raises:
            LeaseNotFoundError: no such lease.
        """
        result = self.mvcc.delete_keys(self.lessor.revoke(lease))
        if result.deleted:
            self._commit(revoked=lease)
        elif self._log is not None:
            self._log(Record(revoked=lease))
        return result

    def watch(self, request: WatchRequest, on_ready: Callable[[], None]) -> Watcher:
        """A new watcher, registered until `unwatch`.

        Raises:
            InvalidRequestError: the range is empty, or the start negative.
        """
        watcher = Watcher(
            self,
            request,
            on_ready,
            pending_events_max=self._pending_events_max,
            slice_revisions_max=self._slice_revisions_max,
        )
        if watcher.end is not None and watcher.end <= watcher.key:
            raise InvalidRequestError(
                f"mvcc: watcher range is empty: {request.range_end!r} is not after {request.key!r}"
            )
        if request.start_revision < 0:
            raise InvalidRequestError(f"mvcc: negative start revision {request.start_revision}: 0 means now")
        self._watchers[watcher] = None
        self._map = None
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """Forget a watcher; no harm where it is forgotten already."""
        if self._watchers.pop(watcher, self) is None:
            self._map = None

    def watchers(self) -> list[Watcher]:
        """Those registered, oldest first."""
        return list(self._watchers)

    def range_published(self, request: Range) -> RangeResult:
        """See Mvcc.range, of what was published: for a store whose log has failed. Cost: as of a range in the past.

        Raises:
            FutureRevisionError: also where the revision was written, and not published.
        """
        if request.revision > self.revision:
            raise FutureRevisionError(request.revision, self.revision)
        asked = msgspec.structs.replace(request, revision=request.revision or self.revision)
        return msgspec.structs.replace(self.mvcc.range(asked), revision=self.revision)

    def publish(self, record: Record) -> None:
        """What the log was given is durable: let it take effect on watchers and on the past. In the order of the log."""
        if record.events:
            self._offer(record.revision, record.events)
        if record.compacted:
            self.mvcc.compact(record.compacted)

    def _commit(self, revoked: int | None = None) -> None:
        """Tell leases, and the log or watchers, of the last write."""
        revision, events = self.mvcc.revision, self.mvcc.last_events
        self.lessor.apply(events)
        if self._log is None:
            self._offer(revision, events)
        else:
            self._log(Record(revision, events, revoked=revoked))

    def _offer(self, revision: int, events: tuple[EtcdEvent, ...]) -> None:
        self.revision = revision
        if not self._watchers:
            return
        if self._map is None:
            self._map = _RangeMap(list(self._watchers))
        if len(events) == 1:
            for watcher in self._map.watchers_of(events[0].kv.key):
                watcher.offer(revision, events)
            return
        # A watcher is offered its share of a revision as a whole: only so can it keep all of it or none.
        shares: dict[Watcher, list[EtcdEvent]] = {}
        for event in events:
            for watcher in self._map.watchers_of(event.kv.key):
                shares.setdefault(watcher, []).append(event)
        for watcher, share in shares.items():
            watcher.offer(revision, share)

    def _check(self) -> None:
        """Assert the whole invariant, of all parts."""
        self.mvcc._check()
        self.lessor._check()
        assert self.revision <= self.mvcc.revision, "nothing is told that was not written"
        assert self._log is not None or self.revision == self.mvcc.revision, "without a log all is told at once"
        for watcher in self._watchers:
            watcher._check()


class _RangeMap:
    """Which watchers' ranges hold a key: the key space cut at every start and end, with the watchers of each piece.

    Cost: O(log n) a look-up; O(n²) to build in the worst case, every range inside another, O(n log n) where few overlap.
    It is built at the first write after watchers came or went. etcd has an interval tree here; watches come and go rarely.
    """

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        starts: dict[bytes, list[Watcher]] = {}
        ends: dict[bytes, list[Watcher]] = {}
        for watcher in watchers:
            starts.setdefault(watcher.key, []).append(watcher)
            if watcher.end is not None:
                ends.setdefault(watcher.end, []).append(watcher)
        self._cuts = sorted({**starts, **ends})
        self._pieces: list[tuple[Watcher, ...]] = []
        inside: dict[Watcher, None] = {}
        for cut in self._cuts:
            for watcher in ends.get(cut, ()):
                del inside[watcher]
            inside.update(dict.fromkeys(starts.get(cut, ())))
            self._pieces.append(tuple(inside))

    def watchers_of(self, key: bytes) -> tuple[Watcher, ...]:
        piece = bisect_right(self._cuts, key)
        return self._pieces[piece - 1] if piece else ()
