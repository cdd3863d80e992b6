"""EmbeddedEtcd: a whole etcd in this process, its tasks and its clock; the `Etcd` protocol on top of the pure store.

It is the bottom of the stack on a bare machine. A call checks, applies in one synchronous step, and acknowledges some
scheduler turns later; a watch is fed by a task of its own, never inside the writer's step:

    put ─► WatchableStore ─► Watcher ─► EmbeddedWatch
             (one step)                   (a delivery task, a bounded bridge)

So an event may arrive before or after the write's acknowledgement, as with a real etcd. Without a data directory nothing is on
disk: what a closed store held is gone. With one, the step's record goes to the disk first, and watches and answers wait for it
(`_group_commit`).

Source: etcd server/etcdserver/api/v3rpc (watch.go, key.go, lease.go).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import outcome
import trio

from .._nursery import open_service_nursery
from ._data_dir import DataDirFailedError
from ._durable import OnOpening, ignore, open_group_commit
from ._embedded_watch import Bell, EmbeddedWatch
from ._group_commit import GroupCommit
from ._lease import TTL_MIN_S, Lessor
from ._mvcc import REQUEST_BYTES_MAX, TXN_OPERATIONS_MAX, Mvcc, Snapshot
from ._protocol import (
    Compare,
    EtcdError,
    EtcdEvent,
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
from ._worker_thread import OpenWorker, open_worker_thread

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
    """With a data directory this and `leases` count what is on its way to the disk as well."""
    leases: int
    history_revisions: int
    """Revisions whose events are kept for watches; `compact` makes them fewer."""
    watchers_synced: int
    watchers_unsynced: int


class EmbeddedEtcd:
    """The store (see Etcd), open until the context of `open_embedded_etcd` ends. Made by that function.

    A call that is cancelled has done nothing; once a write is applied, its acknowledgement cannot be cancelled. After
    closing every call raises trio.ClosedResourceError, and watches end with trio.EndOfChannel.

    With a data directory, what an answer or a watch tells is on the disk. Any call but `range` and `watch` can then raise
    DataDirFailedError: the disk refused, and this store takes no more writes; mend the disk and open the store again.
    Meanwhile `range` and watches tell what was written before that.
    """

    def __init__(
        self,
        store: WatchableStore,
        nursery: trio.Nursery,
        *,
        progress_interval_s: float = PROGRESS_INTERVAL_S,
        bridge_responses_max: int = BRIDGE_RESPONSES_MAX,
        ack_turns: Callable[[], int] = one_turn,
        commits: GroupCommit | None = None,
    ) -> None:
        self._store = store
        self._commits = commits
        self._nursery = nursery
        self._progress_interval_s = progress_interval_s
        self._bridge_responses_max = bridge_responses_max
        self._ack_turns = ack_turns
        self._leases_changed = Bell()
        self._watches: dict[EmbeddedWatch, None] = {}
        self._is_closed = False

    @property
    def revision(self) -> int:
        """Of the last write that can be read. An empty store is at 1. Readable after closing."""
        return self._store.revision

    @property
    def compact_revision(self) -> int:
        """The lowest revision that can be read at; 0: never compacted."""
        return self._store.mvcc.compact_revision

    def statistics(self) -> EtcdStatistics:
        """The store's figures now. Cost: O(watches)."""
        mvcc, watchers = self._store.mvcc, self._store.watchers()
        synced = sum(watcher.is_synced for watcher in watchers)
        return EtcdStatistics(
            revision=self._store.revision,
            compact_revision=mvcc.compact_revision,
            keys=len(mvcc),
            leases=len(self._store.lessor),
            history_revisions=mvcc.history_length,
            watchers_synced=synced,
            watchers_unsynced=len(watchers) - synced,
        )

    @property
    def supports_progress(self) -> bool:
        """See Etcd.supports_progress: always."""
        return True

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
        request = Range(_bytes(key), end, revision, limit, keys_only, count_only)
        if self._commits is None:
            return self._store.mvcc.range(request)
        answer = outcome.capture(self._store.mvcc.range, request)
        try:
            await self._commits.settle()
        except DataDirFailedError:
            return self._store.range_published(request)
        return answer.unwrap()

    async def put(self, key: str | bytes, value: str | bytes, *, lease: int = 0, prev_kv: bool = False) -> WriteResult:
        """See Etcd.put."""
        await self._begin()
        try:
            result = self._store.put(_bytes(key), _bytes(value), lease=lease, prev_kv=prev_kv)
        except EtcdError:
            await self._settle()
            raise
        await self._acknowledge()
        return result

    async def delete(
        self, key: str | bytes, range_end: str | bytes | None = None, *, prev_kv: bool = False
    ) -> WriteResult:
        """See Etcd.delete."""
        await self._begin()
        end = None if range_end is None else _bytes(range_end)
        try:
            result = self._store.delete(_bytes(key), end, prev_kv=prev_kv)
        except EtcdError:
            await self._settle()
            raise
        await self._acknowledge()
        return result

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Operation] = (), failure: Sequence[Operation] = ()
    ) -> TxnResult:
        """See Etcd.txn."""
        await self._begin()
        try:
            result = self._store.txn(Txn(tuple(compares), tuple(success), tuple(failure)))
        except EtcdError:
            await self._settle()
            raise
        await self._acknowledge()
        return result

    async def compact(self, revision: int) -> None:
        """See Etcd.compact."""
        await self._begin()
        try:
            self._store.compact(revision)
        except EtcdError:
            await self._settle()
            raise
        await self._acknowledge()

    # --- leases -------------------------------------------------------------------------------------------------------

    async def lease_grant(self, ttl_s: int, *, lease: int = 0) -> LeaseResult:
        """See Etcd.lease_grant. The id of a lease that keys of the snapshot name takes these keys with it."""
        await self._begin()
        try:
            result = self._store.lease_grant(ttl_s, now_s=trio.current_time(), lease=lease)
        except EtcdError:
            await self._settle()
            raise
        self._leases_changed.ring()
        await self._acknowledge()
        return result

    async def lease_revoke(self, lease: int) -> WriteResult:
        """See Etcd.lease_revoke. `deleted` says how many keys went, which a remote etcd does not tell."""
        await self._begin()
        try:
            result = self._store.lease_revoke(lease)
        except EtcdError:
            await self._settle()
            raise
        await self._acknowledge()
        return result

    async def lease_keep_alive(self, lease: int) -> LeaseResult:
        """See Etcd.lease_keep_alive."""
        await self._begin()
        try:
            result = self._store.lessor.keep_alive(lease, now_s=trio.current_time())
        except EtcdError:
            await self._settle()
            raise
        await self._acknowledge()
        return result

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseResult:
        """See Etcd.lease_time_to_live."""
        await self._take_turn()
        answer = self._store.lessor.time_to_live(lease, now_s=trio.current_time(), keys=keys)
        await self._settle()
        return answer

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

    def observe(
        self, key: str | bytes, range_end: str | bytes | None, told: Callable[[tuple[EtcdEvent, ...]], None]
    ) -> None:
        """Have `told` called with all later events of a range, a revision a time, in the step that publishes them.

        For whoever must know the truth at that very moment, as a simulation does; before watches that are opened later hear
        of it. `told` must not raise, nor call this store. Lasts as long as the store.
        Raises:
            InvalidRequestError: the range is empty.
        """

        def take() -> None:
            response = watcher.take()
            if response is not None and response.events:
                told(response.events)

        end = None if range_end is None else _bytes(range_end)
        watcher = self._store.watch(WatchRequest(_bytes(key), end, prev_kv=True), take)

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
        if self._commits is not None:
            self._commits.check()

    async def _settle(self) -> None:
        """How an answer waits for what it has seen: also a refusal, since another call may be the reason for it."""
        if self._commits is not None:
            await self._commits.settle()

    async def _acknowledge(self) -> None:
        """Let some scheduler turns pass, at least one; no cancellation, so that a raised Cancelled means: not done."""
        if self._commits is not None:
            with trio.CancelScope(shield=True):
                await self._commits.settle()
        for _ in range(max(1, self._ack_turns())):
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _expire_leases(self) -> None:
        """Revoke each lease when it is due, a revision for each, as etcd does."""
        lessor = self._store.lessor
        while True:
            with trio.move_on_at(lessor.next_expiry()):
                await self._leases_changed.wait()
            while (lease := lessor.next_due(trio.current_time())) is not None:
                if self._commits is not None:
                    try:
                        await self._commits.room()
                    except DataDirFailedError:
                        return  # like all other writes, no lease ends any more
                    if (lease := lessor.next_due(trio.current_time())) is None:
                        break
                self._store.lease_revoke(lease)
                await trio.lowlevel.checkpoint()

    async def _notify_progress(self) -> None:
        while True:
            await trio.sleep(self._progress_interval_s)
            for watcher in self._store.watchers():
                watcher.notify_progress()

    async def _close(self) -> None:
        """Refuse calls, let those under way have their answers, end watches."""
        self._is_closed = True
        with trio.CancelScope(shield=True), suppress(DataDirFailedError):  # it is told to those who wait for an answer
            await self._settle()
        for watch in self._watches:
            watch.end()


@asynccontextmanager
async def open_embedded_etcd(
    *,
    data_dir: Path | str | None = None,
    snapshot: Snapshot | None = None,
    random: Random,
    progress_interval_s: float = PROGRESS_INTERVAL_S,
    bridge_responses_max: int = BRIDGE_RESPONSES_MAX,
    pending_events_max: int = PENDING_EVENTS_MAX,
    ack_turns: Callable[[], int] = one_turn,
    lease_ttl_min_s: int = TTL_MIN_S,
    txn_operations_max: int = TXN_OPERATIONS_MAX,
    request_bytes_max: int = REQUEST_BYTES_MAX,
    on_opening: OnOpening = ignore,
    open_worker: OpenWorker = open_worker_thread,
) -> AsyncIterator[EmbeddedEtcd]:
    """An etcd for as long as the context lasts: empty, as a restored backup, or as its data directory has kept it.

    Args:
        data_dir: where it is kept, also when the process is killed: keys, their past since the last compaction, leases (each
            begins its time to live anew at opening). Made where missing; one open store a directory. None: in memory alone.
        snapshot: what it holds at first; with `data_dir`, only where nothing is kept yet. Older history counts as
            compacted; watches start after the snapshot's revision. Leases that its keys name are unknown until they are
            granted, each by its own id.
        random: draws the ids of leases whose grantee leaves the choice to the store.
        progress_interval_s: how often a quiet watch with `progress_notify` says how far it is; infinity: never.
        bridge_responses_max: the responses that wait for a watch's reader; with more to say, its events stay in history.
        pending_events_max: the most events in one response, unless one revision alone has more.
        ack_turns: scheduler turns between a write and its acknowledgement, drawn for each (less than 1 counts as 1): the
            more, the likelier its event arrives first. A simulation draws them from its seed.
        lease_ttl_min_s: a shorter time to live becomes this long.
        on_opening: hears how far the reading of `data_dir` is.
        open_worker: where the disk is waited for. A simulation hands in one that has no thread.
    Raises:
        InvalidRequestError: the snapshot holds what no store can hold.
        DataDirInUseError: another store has `data_dir`: end that one, or name another directory.
        DataDirInvalidError: what is in `data_dir` is foreign, damaged or of a newer version, or there is a store in it and
            a snapshot was given as well.
        DataDirFailedError: `data_dir` cannot be read or written.
    """
    lessor = Lessor(draw_id=lambda: random.getrandbits(63), ttl_min_s=lease_ttl_min_s)
    mvcc = Mvcc(leases=lessor, txn_operations_max=txn_operations_max, request_bytes_max=request_bytes_max)
    make = partial(
        EmbeddedEtcd,
        progress_interval_s=progress_interval_s,
        bridge_responses_max=bridge_responses_max,
        ack_turns=ack_turns,
    )
    if data_dir is None:
        if snapshot is not None:
            mvcc.restore(snapshot)
            lessor.restore(snapshot.kvs)
        store = WatchableStore(mvcc, lessor, pending_events_max=pending_events_max)
        async with _serve(store, make, None) as etcd:
            yield etcd
        return
    async with open_group_commit(
        Path(data_dir), mvcc, lessor, snapshot=snapshot, open_worker=open_worker, on_opening=on_opening
    ) as commits:
        store = WatchableStore(mvcc, lessor, pending_events_max=pending_events_max, log=commits.append)
        async with _serve(store, make, commits) as etcd:
            yield etcd


@asynccontextmanager
async def _serve(
    store: WatchableStore, make: Callable[..., EmbeddedEtcd], commits: GroupCommit | None
) -> AsyncIterator[EmbeddedEtcd]:
    """The store's own tasks, for as long as the context lasts."""
    async with open_service_nursery() as nursery:
        etcd = make(store, nursery, commits=commits)
        nursery.start_soon(etcd._expire_leases, name="etcd lease expiry")
        nursery.start_soon(etcd._notify_progress, name="etcd progress")
        if commits is not None:
            nursery.start_soon(commits.run, store, name="etcd commits")
        try:
            yield etcd
        finally:
            await etcd._close()
            if commits is not None:
                commits.stop()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
