"""What a cache holds: bytes an object, an event of history, and a watch that waits; resident memory of a process of its own.

    python -m benchmarks._footprint OBJECTS WATCHES

In the same order as `benchmarks/peers/cacher -memory`: all objects, 102,400 events whose objects have bytes of their own (as
from a socket), watches that select everything. There it is Go's heap after a collection; here all that the system gave.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import msgspec
import trio
import trio.testing

from cacher import Cacher, Ring
from reflector import Changes, Page
from watch import Event, EventType, ObjectReader, Selector, Watch, WatchSet

from ._storage import object_key, pod, rss_bytes

HISTORY = 102_400
PIECE = 1_000


class Footprint(msgspec.Struct, frozen=True):
    """Bytes."""

    objects: float
    """All of them."""
    event: float
    watch: float
    """In a WatchSet, or with a sink."""
    watch_with_task: float


class _Source:
    """Objects whose bytes nobody else holds; then updates of them, until the history is full."""

    def __init__(self, objects: int) -> None:
        self._count = objects
        self._read = ObjectReader(["spec.nodeName"]).read
        self._at = objects
        self.go = trio.Event()

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await trio.lowlevel.checkpoint()
        keys = sorted(("/registry" + object_key(number), number) for number in range(self._count))
        return Page(tuple(self._read(key, pod(number), 1) for key, number in keys), self._count)

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[_Source]:
        yield self

    async def request_progress(self) -> None:
        """Nobody asks."""

    async def receive(self) -> Changes:
        await self.go.wait()
        if self._at >= self._count + HISTORY:
            await trio.sleep_forever()
        events = []
        for _ in range(min(PIECE, self._count + HISTORY - self._at)):
            number = self._at * 7919 % self._count
            self._at += 1
            changed = self._read("/registry" + object_key(number), pod(number), self._at)
            events.append(Event(EventType.MODIFIED, changed, self._at))
        return Changes(tuple(events), self._at)


async def _measure(objects: int, watches: int) -> Footprint:
    source = _Source(objects)
    ring = Ring(capacity_min=HISTORY, capacity_max=HISTORY)
    gc.collect()
    before = rss_bytes()
    cacher = Cacher(source, prefix="/registry/pods/", random=Random(1), ring=ring, indexed=("spec.nodeName",))
    async with trio.open_nursery() as nursery:
        await nursery.start(cacher.run)
        gc.collect()
        with_objects = rss_bytes()
        source.go.set()
        while cacher.revision < objects + HISTORY:
            await trio.lowlevel.checkpoint()
        gc.collect()
        with_history = rss_bytes()
        hosted = WatchSet()
        for _ in range(watches):
            hosted.add(cacher.watch(Selector.of(), after=cacher.revision))
        nursery.start_soon(_host, hosted)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        with_watches = rss_bytes()
        for _ in range(watches):
            nursery.start_soon(_read, cacher.watch(Selector.of(), after=cacher.revision))
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        with_tasks = rss_bytes()
        nursery.cancel_scope.cancel()
    return Footprint(
        with_objects - before,
        (with_history - with_objects) / HISTORY,
        (with_watches - with_history) / watches,
        (with_tasks - with_watches) / watches,
    )


async def _host(hosted: WatchSet) -> None:
    while True:
        await hosted.receive()


async def _read(watch: Watch) -> None:
    while True:
        await watch.receive_batch()


if __name__ == "__main__":
    found = trio.run(_measure, int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.buffer.write(msgspec.json.encode(found))
