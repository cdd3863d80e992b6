"""One API server of a world: a Cluster as it is shipped, over its own link to the store, that can end and come back.

What it knows is in its caches alone, so it comes back with none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import trio

from .. import CacherStorage, Cluster, Resource, ResourceInfo, Ring, open_server
from .._clock import Clock
from ._fan_out import FanOut, ShippedFanOut
from ._faults import ALL
from ._kubernetes_fan_out import KubernetesFanOut
from ._scenario import Topology
from ._store_link import StoreLink

T = TypeVar("T")

EPOCH_S = 1_767_225_600.0
"""The time of day at which every world begins: 2026-01-01T00:00:00Z."""


class ApiServer:
    """One server. `run` in a nursery; `cluster` is there while it is up.

    Args:
        on_down: called when it ends, in that step: its connections are lost.
    """

    def __init__(
        self, name: str, link: StoreLink, topology: Topology, random: Random, *, on_down: Callable[[str], None]
    ) -> None:
        self.name = name
        self.link = link
        self.clock = Clock(EPOCH_S)
        self.cluster: Cluster | None = None
        self.drops_bookmarks = self.has_endless_lists = False
        self.bookmarks_late_s = 0.0
        self.dispatches_as_kubernetes = False
        """Whether light clients watch through a double of Kubernetes' fan-out, and not through the library's own."""
        self.starts = 0
        self._fan_outs: dict[str, FanOut] = {}
        self._ring_limit = 0
        self._warmed: dict[tuple[str, str], None] = {}
        self._nursery: trio.Nursery | None = None
        self._topology = topology
        self._random = random
        self._on_down = on_down
        self._changed = trio.Event()
        self._scope = trio.CancelScope()
        self._down_s = 0.0
        self._calls: dict[trio.CancelScope, None] = {}

    @property
    def is_up(self) -> bool:
        """Whether it can be connected to."""
        return self.cluster is not None

    async def run(self) -> None:
        """Serve until cancelled, through restarts."""
        while True:
            topology = self._topology
            async with open_server(
                self.link,
                random=Random(self._random.getrandbits(64)),
                clock=self.clock,
                compaction_period_s=topology.compaction_period_s,
                consistency_period_s=topology.consistency_period_s,
                checks_namespaces=topology.checks_namespaces,
                name=self.name,
                new_ring=self._new_ring,
            ) as cluster:
                self.starts += 1
                self._scope = trio.CancelScope()
                with self._scope:
                    async with trio.open_nursery() as self._nursery:
                        self._set(cluster)
                        for version, plural in self._warmed:
                            self._nursery.start_soon(cluster.resource(version, plural).ready)
                        await trio.sleep_forever()
            await trio.sleep(self._down_s)

    def warm(self, version: str, plural: str) -> None:
        """Have the cache of a resource filled, now and at every start, as Kubernetes' servers do with all of theirs."""
        if (version, plural) in self._warmed:
            return
        self._warmed[version, plural] = None
        if self.cluster is not None and self._nursery is not None:
            self._nursery.start_soon(self.cluster.resource(version, plural).ready)

    def stop(self, down_s: float) -> None:
        """End now, as a killed process does; be back after `down_s`. Nothing where it is down."""
        if self.cluster is None:
            return
        self._down_s = down_s
        self._set(None)
        self._nursery = None
        self._fan_outs.clear()
        for scope in list(self._calls):
            scope.cancel()
        self._scope.cancel()
        self._on_down(self.name)

    def hurry(self) -> None:
        """Where it is down, be back soon."""
        self._down_s = min(self._down_s, 1.0)

    async def wait_until_up(self) -> None:
        """Return when it can be connected to."""
        while self.cluster is None:
            await self._changed.wait()

    async def serve(self, call: Callable[[Cluster], Awaitable[T]]) -> T:
        """What `call` brings, made on this server.

        Raises:
            ConnectionRefusedError: it is down.
            ConnectionResetError: it went down meanwhile; what was asked for may have been done.
        """
        if self.cluster is None:
            await trio.lowlevel.checkpoint()
            raise ConnectionRefusedError(f"{self.name} is down: try again, or another server")
        with trio.CancelScope() as scope:
            self._calls[scope] = None
            try:
                return await call(self.cluster)
            finally:
                del self._calls[scope]
        raise ConnectionResetError(f"{self.name} went down: what was asked for may have been done")

    def fan_out(self, info: ResourceInfo) -> FanOut | None:
        """What light clients watch a resource through; None where the server is down, or has yet to open that cache."""
        found = self._fan_outs.get(info.prefix)
        if found is None and self._nursery is not None:
            for storage in self._storages(info.prefix):
                make = KubernetesFanOut if self.dispatches_as_kubernetes else ShippedFanOut
                found = self._fan_outs[info.prefix] = make(storage.cacher)
                self._nursery.start_soon(found.run)
        return found

    def cached(self) -> list[Resource]:
        """The resources that have been asked for, and are read from a cache."""
        return [] if self.cluster is None else [each for each in self.cluster.resources() if each.is_cached]

    def limit_rings(self, prefix: str, capacity: int) -> None:
        """The caches of a resource (`"*"`: all, also later ones) keep at most so many events from now on."""
        if prefix == ALL:
            self._ring_limit = capacity
        for storage in self._storages(prefix):
            storage.cacher.limit_history(capacity)

    def evict(self, prefix: str) -> None:
        """Every watch of a resource (`"*"`: all) is ended by its cache."""
        for storage in self._storages(prefix):
            storage.cacher.router.end_all()

    def _storages(self, prefix: str) -> list[CacherStorage]:
        found = [each.storage for each in self.cached() if prefix in (ALL, each.info.prefix)]
        return [each for each in found if isinstance(each, CacherStorage)]

    def _new_ring(self) -> Ring:
        topology = self._topology
        least, most = topology.ring_capacity, topology.ring_capacity_max
        assert isinstance(least, int), "a world's topology has been drawn"
        assert isinstance(most, int), "a world's topology has been drawn"
        if self._ring_limit:
            least, most = min(least, self._ring_limit), min(most, self._ring_limit)
        return Ring(capacity_min=min(least, most), capacity_max=most)

    def _set(self, cluster: Cluster | None) -> None:
        self.cluster = cluster
        changed, self._changed = self._changed, trio.Event()
        changed.set()
