"""One server's way to the store: the Etcd that its storages talk to, and what faults make of it.

    EtcdStorage, EtcdListerWatcher ─► StoreLink ─ network ─► SimStore.etcd

A watch that is frozen keeps what it was sent until it thaws; the etcd below keeps the rest, and may compact it away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from cacher.storage.etcd import (
    CompactedError,
    Compare,
    DeadlineError,
    EtcdEvent,
    EtcdWatch,
    LeaseResult,
    NoLeaderError,
    Operation,
    RangeResult,
    TxnResult,
    UnavailableError,
    WatchFilter,
    WatchResponse,
    WriteResult,
)

from ._acts import Asked
from ._faults import ALL, STORE
from ._network import Network
from ._store import SimStore
from ._timers import sleep_until

T = TypeVar("T")
Seen = Callable[[tuple[EtcdEvent, ...]], None]

STORE_TIMEOUT_S = 10.0
"""A call that the store does not answer for so long fails; shorter than what those who called the server wait."""


class StoreLink:
    """The store as `server` sees it (see Etcd).

    Args:
        asked: takes note of what costs the store something.
        seen: called with the events that have reached the server, before it acts on them.
        supports_progress: what the server is told of the store. True also of one that lies, unless somebody knows.
    """

    def __init__(
        self,
        store: SimStore,
        server: str,
        network: Network,
        *,
        asked: Callable[[Asked], None],
        seen: Seen,
        supports_progress: bool = True,
    ) -> None:
        self.server = server
        self.store = store
        self.network = network
        self.seen = seen
        self.lies_held_s = 0.0
        """Not 0: progress is told ahead of the events, which come so many seconds later."""
        self.has_leader = True
        self.is_up = True
        self._asked = asked
        self._supports_progress = supports_progress
        self._frozen: list[str] = []
        self._thawed = trio.Event()
        self._watches: dict[LinkWatch, None] = {}

    # ---- faults ------------------------------------------------------------------------------------------------------

    def freeze(self, prefix: str) -> None:
        """Watches below `prefix` bring nothing from now on. `"*"`: none does."""
        self._frozen.append(prefix)

    def thaw(self, prefix: str) -> None:
        """They go on with what they missed."""
        self._frozen.remove(prefix)
        self.wake()

    def is_frozen(self, prefix: str) -> bool:
        """Whether a watch of `prefix` is held up now."""
        return not self.has_leader or any(one in (ALL, prefix) for one in self._frozen)

    def wake(self) -> None:
        """Something about this link has changed: who waits for it looks again."""
        thawed, self._thawed = self._thawed, trio.Event()
        thawed.set()

    async def wait_for_change(self) -> None:
        """Return when this link is no longer as it was."""
        await self._thawed.wait()

    def interrupt(self) -> None:
        """Have every watch look at what it is to say, also one that waits for the store."""
        for watch in list(self._watches):
            watch.interrupt()

    def break_watches(self) -> None:
        """Every connection to the store is lost, and is noticed."""
        for watch in list(self._watches):
            watch.is_broken = True
            watch.interrupt()
        self.wake()

    # ---- calls -------------------------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """See Etcd.revision."""
        return self.store.etcd.revision

    @property
    def supports_progress(self) -> bool:
        """See Etcd.supports_progress."""
        return self._supports_progress

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        """There and back. A call that got there and whose answer does not come back was done.

        Raises:
            UnavailableError: the store is not there, has no leader, or did not answer in time.
        """
        if not self.is_up:
            await trio.lowlevel.checkpoint()
            raise UnavailableError("etcd: connection refused: try again")
        if not self.has_leader:
            await trio.lowlevel.checkpoint()
            raise NoLeaderError("etcdserver: no leader: try again")
        try:
            await self.network.carry(self.server, STORE, timeout_s=STORE_TIMEOUT_S)
        except trio.TooSlowError as error:
            raise DeadlineError("etcd did not answer in time: try again") from error
        answer = await call()
        try:
            await self.network.carry(STORE, self.server, timeout_s=STORE_TIMEOUT_S)
        except trio.TooSlowError as error:
            raise DeadlineError("etcd did not answer in time: it may have been done", outcome_unknown=True) from error
        return answer

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
        """See Etcd.range."""
        found = await self._call(
            lambda: self.store.etcd.range(
                key, range_end, revision=revision, limit=limit, keys_only=keys_only, count_only=count_only
            )
        )
        kvs = () if count_only else found.kvs
        self._note("get" if range_end is None else "list", key, len(kvs), sum(len(kv.value) for kv in kvs))
        return found

    async def put(self, key: str | bytes, value: str | bytes, *, lease: int = 0, prev_kv: bool = False) -> WriteResult:
        """See Etcd.put."""
        return await self._call(lambda: self.store.etcd.put(key, value, lease=lease, prev_kv=prev_kv))

    async def delete(
        self, key: str | bytes, range_end: str | bytes | None = None, *, prev_kv: bool = False
    ) -> WriteResult:
        """See Etcd.delete."""
        return await self._call(lambda: self.store.etcd.delete(key, range_end, prev_kv=prev_kv))

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Operation] = (), failure: Sequence[Operation] = ()
    ) -> TxnResult:
        """See Etcd.txn."""
        return await self._call(lambda: self.store.etcd.txn(compares, success, failure))

    async def compact(self, revision: int) -> None:
        """See Etcd.compact."""
        await self._call(lambda: self.store.etcd.compact(revision))

    async def lease_grant(self, ttl_s: int, *, lease: int = 0) -> LeaseResult:
        """See Etcd.lease_grant."""
        return await self._call(lambda: self.store.etcd.lease_grant(ttl_s, lease=lease))

    async def lease_revoke(self, lease: int) -> WriteResult:
        """See Etcd.lease_revoke."""
        return await self._call(lambda: self.store.etcd.lease_revoke(lease))

    async def lease_keep_alive(self, lease: int) -> LeaseResult:
        """See Etcd.lease_keep_alive."""
        return await self._call(lambda: self.store.etcd.lease_keep_alive(lease))

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseResult:
        """See Etcd.lease_time_to_live."""
        return await self._call(lambda: self.store.etcd.lease_time_to_live(lease, keys=keys))

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
    ) -> AsyncIterator[LinkWatch]:
        """See Etcd.watch. Of a store that is behind where the server had been told to be, it says at once that this is over.

        Source: RemoteEtcd, which asks a store that it has lost and found again for its revision.
        """
        prefix = key if isinstance(key, str) else key.decode()
        try:
            await self._call(trio.lowlevel.checkpoint)
        except UnavailableError:  # as with a real one, whoever receives hears of it
            yield LinkWatch(self, None, prefix)
            return
        self._note("watch", key)
        if self.is_ahead(start_revision):
            yield LinkWatch(self, None, prefix, CompactedError(self.store.revision + 1))
            return
        etcd = self.store.etcd
        async with etcd.watch(
            key,
            range_end,
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=progress_notify,
            filters=filters,
        ) as opened:
            # A backup may have taken the store's place in between: of what was, nobody hears any more.
            watch = LinkWatch(self, opened if etcd is self.store.etcd else None, prefix)
            self._watches[watch] = None
            try:
                yield watch
            finally:
                del self._watches[watch]

    def is_ahead(self, start_revision: int) -> bool:
        """Whether what a watch is to begin with is further than what the store has yet to write next."""
        return start_revision - 1 > self.store.revision

    def _note(self, what: str, key: str | bytes, objects: int = 0, value_bytes: int = 0) -> None:
        prefix = key if isinstance(key, str) else key.decode()
        self._asked(Asked(trio.current_time(), self.server, what, prefix, objects, value_bytes))


class LinkWatch:
    """An open watch of the store, as it reaches a server (see EtcdWatch). Made by `StoreLink.watch`.

    Args:
        inner: None: the store could not be reached, or has said `refusal`.
    """

    def __init__(
        self, link: StoreLink, inner: EtcdWatch | None, prefix: str, refusal: CompactedError | None = None
    ) -> None:
        self.is_broken = inner is None
        self._refusal = refusal
        self._link = link
        self._inner = inner
        self._prefix = prefix
        self._held: WatchResponse | None = None
        self._due_s = 0.0
        self._lies: deque[WatchResponse] = deque()
        self._scope: trio.CancelScope | None = None

    def interrupt(self) -> None:
        """Whoever waits in `receive` looks around."""
        if self._scope is not None:
            self._scope.cancel()

    async def receive(self) -> WatchResponse:
        """See EtcdWatch.receive."""
        while True:
            if self.is_broken:
                await trio.lowlevel.checkpoint()
                if self._refusal is not None:
                    raise self._refusal
                raise trio.BrokenResourceError("the connection to etcd was lost: watch again")
            if self._lies and not self._is_held_up:
                await trio.lowlevel.checkpoint()
                return self._lies.popleft()
            with trio.CancelScope() as self._scope:
                response = await self._next()
                self._held = None
                if response.events:
                    self._link.seen(response.events)
                return response
            self._scope = None

    def request_progress(self) -> None:
        """See EtcdWatch.request_progress."""
        if self._link.lies_held_s and not self._is_held_up:
            self._lies.append(WatchResponse((), self._link.store.revision))
            self.interrupt()
            return
        if self._inner is not None:
            self._inner.request_progress()

    @property
    def _is_held_up(self) -> bool:
        link = self._link
        return link.is_frozen(self._prefix) or link.network.state(STORE, link.server).is_cut

    async def _next(self) -> WatchResponse:
        """The next response, when it is here. Cancelled, it is still to come."""
        link = self._link
        assert self._inner is not None, "a watch that was never open is broken"
        if self._held is None:
            self._held = response = await self._inner.receive()
            delay_s = link.network.delay(STORE, link.server) + (link.lies_held_s if response.events else 0.0)
            self._due_s = max(self._due_s, trio.current_time() + delay_s)
        if self._due_s > trio.current_time():
            await sleep_until(self._due_s)
        while self._is_held_up:
            if link.is_frozen(self._prefix):
                await link.wait_for_change()
            else:
                await link.network.wait_for_change()
        return self._held
