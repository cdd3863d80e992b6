"""The store of a world: one embedded etcd, and the truth about it, written down in the very step that makes it.

    a write ─► EmbeddedEtcd ─► observe ─► StoreHistory, Written, on-line checks, triggers at "written"
                          └──► watches of the servers, later

Whatever is judged is compared with what stands here. A restored backup is another etcd in the place of the first, as it is in life:
the process ends, its watches with it, and one that knows nothing of what was undone begins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import takewhile
from random import Random

import msgspec
import trio

from cacher.storage.etcd import (
    CompactedError,
    EmbeddedEtcd,
    EtcdEvent,
    EventKind,
    KeyValue,
    Snapshot,
    open_embedded_etcd,
    prefix_end,
)
from watch import Object, ObjectReader

from .._resources import RESOURCES, ROOT, ResourceInfo, resource_at
from ._acts import MOMENTS, NOBODY, Written
from ._chronicle import Chronicle
from ._faults import STORE, Change
from ._history import History, Restored, StoreChange, StoreHistory

BUMP = 1_000_000_000
"""So far above its backup a restored store goes on. Source: etcd's recovery guide, what it advises for --bump-revision."""
LOST_LEASE_S = 3600
"""What a lease lives that had run out since the backup was made: an event's time to live."""

_MOMENTS = tuple(prefix.encode() for prefix in MOMENTS)
_BUILT_IN = {info.prefix: info for info in RESOURCES.values()}


Again = Callable[[Snapshot], AbstractAsyncContextManager[EmbeddedEtcd]]
"""Opens another etcd that holds what a backup held."""


class Happened(msgspec.Struct, frozen=True, gc=False):
    """One change of an object, as triggers and on-line checks see it."""

    resource: str
    """`apps/v1/deployments`."""
    change: Change
    key: str
    revision: int
    object: Object | None
    previous: Object | None

    @property
    def last(self) -> Object:
        """What is there, or was."""
        last = self.object if self.object is not None else self.previous
        assert last is not None, "a change has something before it or after it"
        return last


class SimStore:
    """The one truth of a world. `etcd` is what servers talk to, through their links. Made by `open_sim_store`."""

    def __init__(self, etcd: EmbeddedEtcd, history: History, chronicle: Chronicle, again: Again) -> None:
        self.etcd = etcd
        self.objects: dict[str, Object] = {}
        """What is there now, by key."""
        self.versions: dict[tuple[str, int], tuple[Object | None, Object | None]] = {}
        """What each change made of what, by key and revision: before it, after it."""
        self.on_change: list[Callable[[Happened], None]] = []
        """Called in the step of each change, when it has been written down. They must not raise, and write nothing."""
        self.on_restored: list[Callable[[], None]] = []
        """Called when the store holds what a backup held."""
        self.first_revision = 1
        """There is no backup of anything before: of an empty store, or of what a backup left behind."""
        self.last_write_s = 0.0
        """Of anything but heartbeats and reports."""
        self.asking: dict[trio.lowlevel.Task, int] = {}
        """The number of the request that a task is working on, so that of each write it is known who asked for it."""
        self._history = history
        self._chronicle = chronicle
        self._folders: dict[str, _Kept] = {}
        self._kept: dict[str, _Kept] = {}
        self._leases: dict[str, int] = {}
        self._again = again
        self._is_restoring = False
        self._log: list[EtcdEvent] = []
        """All that the store was told since it began, or was restored: what was there before is found by undoing it."""
        self._observe(etcd)

    def _observe(self, etcd: EmbeddedEtcd) -> None:
        etcd.observe(ROOT, prefix_end(ROOT.encode()), partial(self._told, etcd))

    @property
    def revision(self) -> int:
        """The store's revision now."""
        return self.etcd.revision

    def info_of(self, key: str) -> ResourceInfo:
        """The resource that a key is of."""
        return self._kept_of(key).info

    def keep(self, info: ResourceInfo) -> None:
        """Have a history of a resource, also where nothing is written of it. A custom one keeps the names given here."""
        if info.prefix not in self._kept:
            self._kept[info.prefix] = _Kept(info, self._history)

    def last_revision(self, prefix: str) -> int:
        """Of the last change of a resource, or where the store was restored since; 0: neither has been."""
        restored = self._history.restores[-1] if self._history.restores else None
        store = self._history.stores.get(prefix)
        since = 0 if restored is None else restored.changes.get(prefix, 0)
        if store is not None and len(store.changes) > since:
            return store.changes[-1].revision
        return 0 if restored is None else restored.revision

    async def compact(self, keep: int) -> None:
        """Forget the history but for the last `keep` revisions; nothing where that has been forgotten already."""
        revision = self.etcd.revision - keep
        if revision <= self.etcd.compact_revision:
            await trio.lowlevel.checkpoint()
            return
        try:
            await self.etcd.compact(revision)
        except CompactedError:
            return
        self._chronicle.tell(STORE, f"compacted at {revision}")

    async def expire_leases(self) -> None:
        """Every lease that a key hangs on runs out now."""
        await trio.lowlevel.checkpoint()
        for lease in dict.fromkeys(self._leases.values()):
            await self.etcd.lease_revoke(lease)
            self._chronicle.tell(STORE, f"lease {lease} ran out")

    async def restore(self, back: int, *, bumps: bool, switched: Callable[[], None]) -> None:
        """Hold what was held `back` revisions ago, and nothing of what came since, until cancelled. One at a time: while one is
        on its way, another does nothing.

        Not further back than `first_revision`. Leases begin their time to live anew.

        Args:
            bumps: go on BUMP revisions above the backup; else at the backup's own.
            switched: called in the step in which the backup takes the store's place: who is connected is connected to what was.
        """
        if self._is_restoring:
            await trio.lowlevel.checkpoint()
            return
        self._is_restoring = True
        backup = await self._backup(self.etcd.revision - back)
        revision = backup.revision + (BUMP if bumps else 0)
        ttls_s = {kv.lease: await self._ttl_s(kv.lease) for kv in backup.kvs if kv.lease}
        async with self._again(Snapshot(revision, backup.kvs)) as etcd:
            for lease, ttl_s in ttls_s.items():
                await etcd.lease_grant(ttl_s, lease=lease)
            self._chronicle.tell(STORE, f"restored from a backup of {backup.revision}, goes on from {revision}")
            self._go_on_with(etcd, backup.kvs)
            switched()
            await trio.sleep_forever()

    async def _backup(self, revision: int) -> Snapshot:
        """What was there at `revision`, or at the first one: what is there now, undone. Cost: O(keys, changes)."""
        found = await self.etcd.range(b"\0", b"\0")
        revision = max(revision, self.first_revision)
        kvs = {kv.key: kv for kv in found.kvs}
        for event in takewhile(lambda event: event.kv.mod_revision > revision, reversed(self._log)):
            kvs.pop(event.kv.key, None)
            if event.prev_kv is not None:
                kvs[event.kv.key] = event.prev_kv
        return Snapshot(revision, [kvs[key] for key in sorted(kvs) if kvs[key].mod_revision <= revision])

    async def _ttl_s(self, lease: int) -> int:
        """What a lease was granted for."""
        granted_s = (await self.etcd.lease_time_to_live(lease)).granted_ttl_s
        return granted_s if granted_s > 0 else LOST_LEASE_S

    def _go_on_with(self, etcd: EmbeddedEtcd, kvs: Sequence[KeyValue]) -> None:
        """From this step on the store is `etcd`, which holds `kvs`."""
        history, last_revision = self._history, self.etcd.revision
        self.etcd = etcd
        self._is_restoring = False
        self.first_revision = etcd.revision
        self._log.clear()
        self._leases = {kv.key.decode(): kv.lease for kv in kvs if kv.lease}
        self.objects = {}
        start: dict[str, dict[str, Object]] = {prefix: {} for prefix in self._kept}
        for kv in kvs:
            key = kv.key.decode()
            if key.startswith(ROOT):
                kept = self._kept_of(key)
                obj = kept.reader.read(key, kv.value, kv.mod_revision)
                self.objects[key] = start.setdefault(kept.info.prefix, {})[key] = obj
        self.last_write_s = trio.current_time()
        history.restores.append(
            Restored(
                at_s=trio.current_time(),
                revision=etcd.revision,
                last_revision=last_revision,
                start=start,
                changes={prefix: len(kept.changes) for prefix, kept in self._kept.items()},
                written=len(history.acts.written),
                published_at_s=dict(history.published_at_s),
            )
        )
        history.published_at_s.clear()
        self._observe(etcd)
        for told in self.on_restored:
            told()

    def _told(self, etcd: EmbeddedEtcd, events: tuple[EtcdEvent, ...]) -> None:
        if etcd is not self.etcd:  # it has been replaced, and whatever still happens in it happens nowhere
            return
        self._log.extend(events)
        now_s = trio.current_time()
        if not all(event.kv.key.startswith(_MOMENTS) for event in events):
            self.last_write_s = now_s
        self._history.published_at_s.setdefault(events[0].kv.mod_revision, now_s)
        happened = [self._take(event, now_s) for event in events]
        for one in happened:
            for told in self.on_change:
                told(one)

    def _take(self, event: EtcdEvent, now_s: float) -> Happened:
        """Write one change down."""
        kv = event.kv
        key, revision = kv.key.decode(), kv.mod_revision
        kept = self._kept_of(key)
        previous = self.objects.get(key)
        current: Object | None = None
        if event.kind is EventKind.PUT:
            current = self.objects[key] = kept.reader.read(key, kv.value, revision)
        else:
            self.objects.pop(key, None)
        if kv.lease:
            self._leases[key] = kv.lease
        else:
            self._leases.pop(key, None)
        self.versions[key, revision] = (previous, current)
        kept.changes.append(StoreChange(revision, key, current))
        change: Change = "deleted" if current is None else "updated" if previous is not None else "created"
        request = self.asking.get(trio.lowlevel.current_task(), NOBODY)
        self._history.acts.written.append(
            Written(
                revision,
                now_s,
                key,
                kept.info.prefix,
                current.uid if current is not None else "",
                previous.uid if previous is not None else "",
                request,
            )
        )
        self._chronicle.tell(STORE, f"{revision} {change} {key} for {request}")
        return Happened(kept.resource, change, key, revision, current, previous)

    def _kept_of(self, key: str) -> _Kept:
        folder = key[: key.rfind("/") + 1]
        found = self._folders.get(folder)
        if found is None:
            prefix = _prefix_of(folder)
            if prefix not in self._kept:
                self._kept[prefix] = _Kept(_BUILT_IN.get(prefix) or resource_at(prefix), self._history)
            found = self._folders[folder] = self._kept[prefix]
        return found


class _Kept:
    """What is kept of one resource."""

    def __init__(self, info: ResourceInfo, history: History) -> None:
        self.info = info
        self.resource = f"{info.group_version}/{info.plural}"
        self.reader = ObjectReader(info.fields, absent=dict(info.absent), read_from=dict(info.read_from))
        self.changes: list[StoreChange] = []
        history.stores[info.prefix] = StoreHistory(
            info.prefix, 1, {}, self.changes, dict(info.absent), dict(info.read_from)
        )


def _prefix_of(folder: str) -> str:
    """The prefix of the resource whose objects are in `folder`: a table's, or `/registry/<group with a dot>/<plural>/`."""
    parts = folder.strip("/").split("/")
    for length in range(len(parts), 1, -1):
        prefix = f"/{'/'.join(parts[:length])}/"
        if prefix in _BUILT_IN:
            return prefix
    length = 3 if len(parts) > 2 and "." in parts[1] else 2
    return f"/{'/'.join(parts[:length])}/"


@asynccontextmanager
async def open_sim_store(
    history: History, chronicle: Chronicle, *, random: Random, acks: Random, ack_turns_max: int = 1
) -> AsyncIterator[SimStore]:
    """An empty store for as long as the context lasts.

    Args:
        acks: draws the scheduler turns, up to `ack_turns_max`, between a write and its acknowledgement.
    """
    opened = partial(open_embedded_etcd, random=random, ack_turns=lambda: acks.randint(1, ack_turns_max))
    async with opened() as etcd:
        yield SimStore(etcd, history, chronicle, lambda backup: opened(snapshot=backup))
