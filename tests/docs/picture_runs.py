"""What the pictures of docs/concepts.md and docs/sizing.md draw: runs of the library on the virtual clock, as plain data.

Each run is a function without arguments, under the name of its picture, and returns the same at every call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import msgspec
import trio

import cacher
from cacher import CacherStorage, Ring
from cacher.simulation import load_scenario, run_deterministic, run_seed
from cacher.storage import Codec, ListOptions
from cacher.storage.etcd import EmbeddedEtcd, Etcd, EtcdListerWatcher, EtcdStorage, open_embedded_etcd
from examples.size_a_ring import Wanted, share_refused
from reflector import Changes, ChangeStream, Page
from watch import Expired, ObjectReader, Selector, Watch

Data = dict[str, Any]
PREFIX = "/registry/configmaps/"


class _Late:
    """A source whose news takes `lag_s` on its way, and keeps its order."""

    def __init__(self, source: EtcdListerWatcher, lag_s: float) -> None:
        self._source = source
        self._lag_s = lag_s

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        return await self._source.list(resource_version=resource_version, page_size=page_size, page=page)

    async def request_progress(self) -> None:
        await self._source.request_progress()

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        async with self._source.watch(revision) as stream, trio.open_nursery() as nursery:
            late = _LateStream()
            nursery.start_soon(late.carry, stream, self._lag_s)
            yield late
            nursery.cancel_scope.cancel()


class _LateStream:
    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[tuple[float, Changes]](1000)

    async def carry(self, stream: ChangeStream, lag_s: float) -> None:
        while True:
            changes = await stream.receive()
            await self._send.send((trio.current_time() + lag_s, changes))

    async def receive(self) -> Changes:
        due_s, changes = await self._receive.receive()
        await trio.sleep_until(due_s)
        return changes


@asynccontextmanager
async def cache_over_store(
    *, lag_s: float = 0.0, ring: Ring | None = None
) -> AsyncIterator[tuple[EmbeddedEtcd, CacherStorage]]:
    """Config maps in an embedded etcd, and a cache that hears of them after `lag_s`."""
    async with open_embedded_etcd(random=Random(1)) as etcd, trio.open_nursery() as nursery:
        codec = Codec(group_version="v1", kind="ConfigMap")
        store = EtcdStorage(etcd, resource_prefix="/configmaps", codec=codec, random=Random(2))
        source = _Late(EtcdListerWatcher(etcd, PREFIX, ObjectReader(), with_previous=False), lag_s)
        cached = CacherStorage(store, random=Random(3), ring=ring, lister_watcher=source, consistency_period_s=0)
        await nursery.start(cached.run)
        yield etcd, cached
        nursery.cancel_scope.cancel()


async def put(etcd: Etcd, kind: str, name: str) -> int:
    """Write an object. Returns the store's revision."""
    plural = {"Pod": "pods", "ConfigMap": "configmaps"}[kind]
    body = f'{{"kind": "{kind}", "metadata": {{"name": "{name}", "namespace": "default"}}}}'
    await etcd.put(f"/registry/{plural}/default/{name}", body.encode())
    return etcd.revision


def played(main: Callable[[], Awaitable[Data]]) -> Data:
    """Run it on the virtual clock, with one seed."""
    return run_deterministic(main, seed=1)


def now() -> float:
    """Seconds since the run began."""
    return round(trio.current_time(), 3)


# --- what a resource version is ---------------------------------------------------------------------------------------


def revisions() -> Data:
    """One counter for all: who was changed at which revision, and what a list of each resource says."""

    async def main() -> Data:
        changes = []
        async with cacher.open_cluster(random=Random(1), compaction_period_s=0) as cluster:
            pods, settings = cluster.resource("v1", "pods"), cluster.resource("v1", "configmaps")
            await pods.ready()
            await settings.ready()
            for kind, name in (
                ("Pod", "a"), ("Pod", "b"), ("ConfigMap", "settings"), ("Pod", "a"), ("ConfigMap", "settings"),
                ("ConfigMap", "settings"), ("Pod", "b"), ("ConfigMap", "settings"),
            ):  # fmt: skip
                changes.append([await put(cluster.etcd, kind, name), f"{kind} {name}"])
            listed = await pods.list()
            others = await settings.list()
            return {
                "changes": changes,
                "pods": {obj.name: int(obj.resource_version) for obj in listed.objects},
                "settings": int(others.objects[0].resource_version),
                "list of pods": listed.revision,
                "list of settings": others.revision,
            }

    return played(main)


# --- list, then watch -------------------------------------------------------------------------------------------------


def list_then_watch() -> Data:
    """A store, a cache that hears of it half a second later, and a reader who lists and watches from there."""

    async def main() -> Data:
        written: list[list[float]] = []
        cached_at: list[list[float]] = []
        received: list[list[float]] = []
        listed: list[float] = []

        async def write(etcd: EmbeddedEtcd) -> None:
            for number in range(8):
                await trio.sleep(0.7)
                written.append([now(), await put(etcd, "ConfigMap", f"c{number}")])

        async def look(cache: CacherStorage) -> None:
            seen = cache.cacher.revision
            while True:
                if cache.cacher.revision != seen:
                    seen = cache.cacher.revision
                    cached_at.append([now(), seen])
                await trio.sleep(0.01)

        async def read(cache: CacherStorage) -> None:
            await trio.sleep(3)
            state = await cache.get_list("/configmaps/", ListOptions(resource_version="0"))
            listed.extend([now(), state.revision, len(state.objects)])
            from_there = ListOptions(resource_version=str(state.revision))
            async with cache.watch("/configmaps/", from_there) as stream:
                while True:
                    event = await stream.receive()
                    received.append([now(), event.revision])

        async with cache_over_store(lag_s=0.5) as (etcd, cache), trio.open_nursery() as nursery:
            nursery.start_soon(write, etcd)
            nursery.start_soon(look, cache)
            nursery.start_soon(read, cache)
            await trio.sleep(7)
            nursery.cancel_scope.cancel()
        return {"written": written, "cached": cached_at, "listed": listed, "received": received}

    return played(main)


# --- 410 Gone, and what a bookmark is for -----------------------------------------------------------------------------

QUIET = Selector.of(fields={"metadata.name": "quiet"})
AWAY_S, BACK_S = 130.0, 145.0


def gone() -> Data:
    """A ring of 40 events, a write a second, and two readers of an object that hardly changes; one takes bookmarks."""

    async def main() -> Data:
        ring: list[list[float]] = []
        readers: dict[str, Data] = {}

        async def write(etcd: EmbeddedEtcd) -> None:
            while True:
                await trio.sleep(1)
                await put(etcd, "ConfigMap", "quiet" if now() == 5 else f"busy-{int(now()) % 10}")

        async def look(cache: CacherStorage) -> None:
            while True:
                figures = cache.cacher.statistics()
                ring.append([now(), figures.ring_oldest_revision, figures.revision])
                await trio.sleep(5)

        async def read(cache: CacherStorage, *, bookmarks: bool) -> None:
            last = (await cache.get_list("/configmaps/", ListOptions(resource_version="0", selector=QUIET))).revision
            positions = [[now(), last]]
            options = ListOptions(resource_version=str(last), selector=QUIET, allow_bookmarks=bookmarks)
            with trio.move_on_at(AWAY_S):
                async with cache.watch("/configmaps/", options) as stream:
                    while True:
                        last = (await stream.receive()).revision
                        positions.append([now(), last])
            await trio.sleep_until(BACK_S)
            answer = "resumed"
            try:
                async with cache.watch(
                    "/configmaps/", msgspec.structs.replace(options, resource_version=str(last))
                ) as again:
                    if not isinstance(again, Watch):
                        await again.receive()
            except Expired:
                answer = "410 Gone"
            readers["with bookmarks" if bookmarks else "without"] = {
                "positions": positions,
                "back": [now(), last],
                "answer": answer,
            }

        async with (
            cache_over_store(ring=Ring(capacity_min=40, capacity_max=40)) as (etcd, cache),
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(write, etcd)
            nursery.start_soon(look, cache)
            for bookmarks in (False, True):
                nursery.start_soon(partial(read, cache, bookmarks=bookmarks))
            await trio.sleep(BACK_S + 10)
            nursery.cancel_scope.cancel()
        return {"ring": ring, "readers": dict(sorted(readers.items())), "away_s": AWAY_S}

    return played(main)


# --- consistent reads ---------------------------------------------------------------------------------------------------


def consistent_read() -> Data:
    """A cache that is 1.2 s behind its store, and three lists that are asked for at the same moment."""

    async def main() -> Data:
        store: list[list[float]] = []
        cached: list[list[float]] = []
        lists: list[Data] = []

        async def write(etcd: EmbeddedEtcd) -> None:
            for number in range(12):
                await trio.sleep(0.5)
                store.append([now(), await put(etcd, "ConfigMap", f"c{number}")])

        async def look(cache: CacherStorage) -> None:
            while True:
                if not cached or cached[-1][1] != cache.cacher.revision:
                    cached.append([now(), cache.cacher.revision])
                await trio.sleep(0.01)

        async def ask(cache: CacherStorage, version: str) -> None:
            await trio.sleep_until(4.1)
            asked = now()
            answer = await cache.get_list("/configmaps/", ListOptions(resource_version=version))
            lists.append({"asked for": version, "at": asked, "answered": now(), "revision": answer.revision})

        async with cache_over_store(lag_s=1.2) as (etcd, cache), trio.open_nursery() as nursery:
            nursery.start_soon(write, etcd)
            nursery.start_soon(look, cache)
            for version in ("0", "8", ""):
                nursery.start_soon(ask, cache, version)
            await trio.sleep(7)
            nursery.cancel_scope.cancel()
        return {"store": store, "cache": cached, "lists": sorted(lists, key=lambda one: str(one["asked for"]))}

    return played(main)


# --- sizes ------------------------------------------------------------------------------------------------------------

AWAYS = (0, 15, 30, 45, 60, 75, 90, 105, 120)


def ring_and_bookmarks() -> Data:
    """What share of quiet readers is told 410 when they come back, by how long they were away, for rings of several lengths."""
    rings = {"50": 50, "150": 150, "300": 300, "as it is": 0}
    return {
        "aways": list(AWAYS),
        "with bookmarks": {name: refused(events, bookmarks=True) for name, events in rings.items()},
        "without": {"300": refused(300, bookmarks=False)},
    }


def refused(events: int, *, bookmarks: bool) -> list[float]:
    return [share_refused(Wanted(ring=events, away_s=away, bookmarks=bookmarks)).share for away in AWAYS]


def herd() -> Data:
    """Three servers restart one after the other: what that asks of the store, by how many clients there are and how they list."""
    scenario = load_scenario("410-herd")
    assert scenario.scale is not None
    lists: dict[str, list[list[int]]] = {variant: [] for variant in scenario.variants}
    for clients in (30, 60, 120, 240):
        sized = msgspec.structs.replace(scenario, scale=msgspec.structs.replace(scenario.scale, clients=clients))
        for variant, rows in lists.items():
            history = run_seed(sized, 1, variant, hunting=False, keep=True).history
            assert history is not None
            asked = [one for one in history.acts.asked if one.what == "list" and one.prefix == PREFIX]
            rows.append([clients, len(asked), sum(one.objects for one in asked)])
    return {"lists": lists}


RUNS: dict[str, Callable[[], Data]] = {
    "revisions": revisions,
    "list-then-watch": list_then_watch,
    "gone": gone,
    "consistent-read": consistent_read,
    "ring-and-bookmarks": ring_and_bookmarks,
    "herd": herd,
}
"""By the name of the picture."""
