"""EmbeddedEtcd: a whole etcd in this process, its tasks and its clock; the `Etcd` protocol on top of the pure store.

It is the bottom of the stack on a bare machine. A call checks, applies in one synchronous step, and acknowledges some
scheduler turns later; a watch is fed by a task of its own, never inside the writer's step:

    put ─► WatchableStore ─► Watcher ─► EmbeddedWatch
             (one step)                   (a delivery task, a bounded bridge)

So an event may arrive before or after the write's acknowledgement, as with a real etcd. Nothing is on disk: what a closed
store held is gone.

Source: etcd server/etcdserver/api/v3rpc (watch.go, key.go, lease.go).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio

from .._nursery import open_service_nursery
from ._embedded_watch import Bell, EmbeddedWatch
from ._lease import TTL_MIN_S, Lessor
from ._mvcc import REQUEST_BYTES_MAX, TXN_OPERATIONS_MAX, Mvcc, Snapshot
from ._protocol import (
    Compare,
    LeaseResult,
    Operation,
    Range,
    RangeResult,
    Txn,
    TxnResult,
    WatchFilter,
    WriteResult,
)
from ._watchable import PENDING_EVENTS_MAX, WatchableStore, WatchRequest

if TYPE_CHECKING:
    from random import Random

BRIDGE_RESPONSES_MAX = 128
"""The responses that wait for a reader. Source: etcd watchable_store.go, chanBufLen."""

PROGRESS_INTERVAL_S = 5.0
"""How often a quiet watch with `progress_notify` says how far it is; kubeadm's setting, etcd's own default is 10 minutes."""

_FIRST_KEY = b"\0"


def one_turn() -> int:
    """A write is acknowledged at its task's next turn, as soon as trio's rules allow."""
    return 1


class EtcdStatistics(msgspec.Struct, frozen=True):
    """A store's figures at one moment."""

    revision: int
    compact_revision: int
    keys: int
    leases: int
    history_revisions: int
    """Revisions whose events are kept for watches; `compact` makes them fewer."""
    watchers_synced: int
    watchers_unsynced: int


class EmbeddedEtcd:
    """The store (see Etcd), open until the context of `open_embedded_etcd` ends. Made by that function.

    A call that is cancelled has done nothing; once a write is applied, its acknowledgement cannot be cancelled. After
    closing every call raises trio.ClosedResourceError, and watches end with trio.EndOfChannel.
    """

    def __init__(
        self,
        store: WatchableStore,
        nursery: trio.Nursery,
        *,
        progress_interval_s: float = PROGRESS_INTERVAL_S,
        bridge_responses_max: int = BRIDGE_RESPONSES_MAX,
        ack_turns: Callable[[], int] = one_turn,
    ) -> None:
        self._store = store
        self._nursery = nursery
        self._progress_interval_s = progress_interval_s
        self._bridge_responses_max = bridge_responses_max
        self._ack_turns = ack_turns
        self._leases_changed = Bell()
        self._watches: dict[EmbeddedWatch, None] = {}
        self._is_closed = False

    @property
    def revision(self) -> int:
        """Of the last write. An empty store is at 1. Readable after closing."""
        return self._store.mvcc.revision

    @property
    def compact_revision(self) -> int:
        """The lowest revision that can be read at; 0: never compacted."""
        return self._store.mvcc.compact_revision

    def statistics(self) -> EtcdStatistics:
        """The store's figures now. Cost: O(watches)."""
        mvcc, watchers = self._store.mvcc, self._store.watchers()
        synced = sum(watcher.is_synced for watcher in watchers)
        return EtcdStatistics(
            revision=mvcc.revision,
            compact_revision=mvcc.compact_revision,
            keys=len(mvcc),
            leases=len(self._store.lessor),
            history_revisions=mvcc.history_length,
            watchers_synced=synced,
            watchers_unsynced=len(watchers) - synced,
        )

    # --- keys ---------------------------------------------------------------------------------------------------------

    async def range(
        self,
        key: str | bytes,
        range_end: str | bytes | None = None,
        *,
        revision: int = 0,
        limit: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
    ) -> RangeResult:
        """See Etcd.range. Never older than the call. Cost: see Mvcc.range; one step, so page what is large."""
        await self._take_turn()
        end = None if range_end is None else _bytes(range_end)
        return self._store.mvcc.range(Range(_bytes(key), end, revision, limit, keys_only, count_only))

    async def put(self, key: str | bytes, value: str | bytes, *, lease: int = 0, prev_kv: bool = False) -> WriteResult:
        """See Etcd.put."""
        await self._begin()
        result = self._store.put(_bytes(key), _bytes(value), lease=lease, prev_kv=prev_kv)
        await self._acknowledge()
        return result

    async def delete(
        self, key: str | bytes, range_end: str | bytes | None = None, *, prev_kv: bool = False
    ) -> WriteResult:
        """See Etcd.delete."""
        await self._begin()
        end = None if range_end is None else _bytes(range_end)
        result = self._store.delete(_bytes(key), end, prev_kv=prev_kv)
        await self._acknowledge()
        return result

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Operation] = (), failure: Sequence[Operation] = ()
    ) -> TxnResult:
        """See Etcd.txn."""
        await self._begin()
        result = self._store.txn(Txn(tuple(compares), tuple(success), tuple(failure)))
        await self._acknowledge()
        return result

    async def compact(self, revision: int) -> None:
        """See Etcd.compact."""
        await self._begin()
        self._store.mvcc.compact(revision)
        await self._acknowledge()

    # --- leases -------------------------------------------------------------------------------------------------------

    async def lease_grant(self, ttl_s: int, *, lease: int = 0) -> LeaseResult:
        """See Etcd.lease_grant. The id of a lease that keys of the snapshot name takes these keys with it."""
        await self._begin()
        result = self._store.lessor.grant(ttl_s, now_s=trio.current_time(), lease=lease)
        self._leases_changed.ring()
        await self._acknowledge()
        return result

    async def lease_revoke(self, lease: int) -> WriteResult:
        """See Etcd.lease_revoke. `deleted` says how many keys went, which a remote etcd does not tell."""
        await self._begin()
        result = self._store.lease_revoke(lease)
        await self._acknowledge()
        return result

    async def lease_keep_alive(self, lease: int) -> LeaseResult:
        """See Etcd.lease_keep_alive."""
        await self._begin()
        result = self._store.lessor.keep_alive(lease, now_s=trio.current_time())
        await self._acknowledge()
        return result

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseResult:
        """See Etcd.lease_time_to_live."""
        await self._take_turn()
        return self._store.lessor.time_to_live(lease, now_s=trio.current_time(), keys=keys)

    # --- watches ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def watch(
        self,
        key: str | bytes,
        range_end: str | bytes | None = None,
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        filters: Sequence[WatchFilter] = (),
    ) -> AsyncIterator[EmbeddedWatch]:
        """See Etcd.watch. It counts from the moment of entering; leaving it forgets what was not received."""
        await self._take_turn()
        end = None if range_end is None else _bytes(range_end)
        request = WatchRequest(_bytes(key) or _FIRST_KEY, end, start_revision, prev_kv, progress_notify, tuple(filters))
        watch = EmbeddedWatch(self._store, request, self._bridge_responses_max)
        self._watches[watch] = None
        self._nursery.start_soon(watch.deliver, name=f"etcd watch {request.key!r}")
        try:
            yield watch
        finally:
            watch.close()
            self._watches.pop(watch, None)
            self._store.unwatch(watch.watcher)

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this etcd was closed: open another")

    async def _take_turn(self) -> None:
        """How a call that changes nothing begins: what follows is one step, so its answer is of this very moment."""
        await trio.lowlevel.checkpoint()
        self._check_open()

    async def _begin(self) -> None:
        """How a write begins: the last moment at which cancelling it undoes it."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()

    async def _acknowledge(self) -> None:
        """Let some scheduler turns pass, at least one; no cancellation, so that a raised Cancelled means: not done."""
        for _ in range(max(1, self._ack_turns())):
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _expire_leases(self) -> None:
        """Revoke each lease when it is due, a revision for each, as etcd does."""
        lessor = self._store.lessor
        while True:
            with trio.move_on_at(lessor.next_expiry()):
                await self._leases_changed.wait()
            while (lease := lessor.next_due(trio.current_time())) is not None:
                self._store.lease_revoke(lease)
                await trio.lowlevel.checkpoint()

    async def _notify_progress(self) -> None:
        while True:
            await trio.sleep(self._progress_interval_s)
            for watcher in self._store.watchers():
                watcher.notify_progress()

    def _close(self) -> None:
        self._is_closed = True
        for watch in self._watches:
            watch.end()


@asynccontextmanager
async def open_embedded_etcd(
    *,
    snapshot: Snapshot | None = None,
    random: Random,
    progress_interval_s: float = PROGRESS_INTERVAL_S,
    bridge_responses_max: int = BRIDGE_RESPONSES_MAX,
    pending_events_max: int = PENDING_EVENTS_MAX,
    ack_turns: Callable[[], int] = one_turn,
    lease_ttl_min_s: int = TTL_MIN_S,
    txn_operations_max: int = TXN_OPERATIONS_MAX,
    request_bytes_max: int = REQUEST_BYTES_MAX,
) -> AsyncIterator[EmbeddedEtcd]:
    """An etcd for as long as the context lasts, empty or as a restored backup.

    Args:
        snapshot: what it holds at first. Older history counts as compacted; watches start after the snapshot's revision.
            Leases that its keys name are unknown until they are granted, each by its own id.
        random: draws the ids of leases whose grantee leaves the choice to the store.
        progress_interval_s: how often a quiet watch with `progress_notify` says how far it is; infinity: never.
        bridge_responses_max: the responses that wait for a watch's reader; with more to say, its events stay in history.
        pending_events_max: the most events in one response, unless one revision alone has more.
        ack_turns: scheduler turns between a write and its acknowledgement, drawn for each (less than 1 counts as 1): the
            more, the likelier its event arrives first. A simulation draws them from its seed.
        lease_ttl_min_s: a shorter time to live becomes this long.
    Raises:
        InvalidRequestError: the snapshot holds what no store can hold.
    """
    lessor = Lessor(draw_id=lambda: random.getrandbits(63), ttl_min_s=lease_ttl_min_s)
    mvcc = Mvcc(leases=lessor, txn_operations_max=txn_operations_max, request_bytes_max=request_bytes_max)
    if snapshot is not None:
        mvcc.restore(snapshot)
        lessor.restore(snapshot.kvs)
    store = WatchableStore(mvcc, lessor, pending_events_max=pending_events_max)
    async with open_service_nursery() as nursery:
        etcd = EmbeddedEtcd(
            store,
            nursery,
            progress_interval_s=progress_interval_s,
            bridge_responses_max=bridge_responses_max,
            ack_turns=ack_turns,
        )
        nursery.start_soon(etcd._expire_leases, name="etcd lease expiry")
        nursery.start_soon(etcd._notify_progress, name="etcd progress")
        try:
            yield etcd
        finally:
            etcd._close()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
