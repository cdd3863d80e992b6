"""The store of a world: one embedded etcd, and the truth about it, written down in the very step that makes it.

    a write ─► EmbeddedEtcd ─► observe ─► StoreHistory, Written, on-line checks, triggers at "written"
                          └──► watches of the servers, later

Whatever is judged is compared with what stands here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import msgspec
import trio

from cacher.storage.etcd import CompactedError, EmbeddedEtcd, EtcdEvent, EventKind, open_embedded_etcd, prefix_end
from watch import Object, ObjectReader

from .._resources import RESOURCES, ROOT, ResourceInfo, resource_at
from ._acts import MOMENTS, NOBODY, Written
from ._chronicle import Chronicle
from ._faults import STORE, Change
from ._history import History, StoreChange, StoreHistory

_MOMENTS = tuple(prefix.encode() for prefix in MOMENTS)
_BUILT_IN = {info.prefix: info for info in RESOURCES.values()}


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

    def __init__(self, etcd: EmbeddedEtcd, history: History, chronicle: Chronicle) -> None:
        self.etcd = etcd
        self.objects: dict[str, Object] = {}
        """What is there now, by key."""
        self.versions: dict[tuple[str, int], tuple[Object | None, Object | None]] = {}
        """What each change made of what, by key and revision: before it, after it."""
        self.on_change: list[Callable[[Happened], None]] = []
        """Called in the step of each change, when it has been written down. They must not raise, and write nothing."""
        self.last_write_s = 0.0
        """Of anything but heartbeats and reports."""
        self.asking: dict[trio.lowlevel.Task, int] = {}
        """The number of the request that a task is working on, so that of each write it is known who asked for it."""
        self._history = history
        self._chronicle = chronicle
        self._folders: dict[str, _Kept] = {}
        self._kept: dict[str, _Kept] = {}
        self._leases: dict[str, int] = {}
        etcd.observe(ROOT, prefix_end(ROOT.encode()), self._told)

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

    def _told(self, events: tuple[EtcdEvent, ...]) -> None:
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
        self.reader = ObjectReader(info.fields, absent=dict(info.absent))
        self.changes: list[StoreChange] = []
        history.stores[info.prefix] = StoreHistory(info.prefix, 1, {}, self.changes, dict(info.absent))


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
    async with open_embedded_etcd(random=random, ack_turns=lambda: acks.randint(1, ack_turns_max)) as etcd:
        yield SimStore(etcd, history, chronicle)
