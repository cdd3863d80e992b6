"""A SharedInformer by itself: from a source that has everything at hand to handlers that count, inside trio on the real clock.

    source ─► Reflector ─► Store ─► 1 or 10 handlers

Time is that of the processor, and decoding is left out, as it is in client-go's figures beside. A source that is busy brings many
events at once: rows are for 1 and for 100 events in each of its answers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import msgspec
import trio

from reflector import Changes, Page, SharedInformer, Tombstone
from watch import Event, EventType, Object, ObjectReader

PEERS = {
    "informer: first list to 1 handler, objects": 100_000 / 0.384,
    "informer: first list to 10 handlers, objects": 100_000 / 0.709,
    "informer: updates to 1 handler, 1 at once": 206_000.0,
    "informer: updates to 1 handler, 100 at once": 206_000.0,
    "informer: updates to 10 handlers, 1 at once": 131_000.0,
    "informer: updates to 10 handlers, 100 at once": 131_000.0,
}
"""Of client-go: objects and events a second; with one handler of one core, with ten of two."""

NAMESPACES = 1_000
KEPT = "x" * 700


class InformerTimes(msgspec.Struct, frozen=True):
    """One run of an informer, in seconds: of a clock, and of the processor."""

    sync_s: float
    sync_cpu_s: float
    update_s: float
    update_cpu_s: float


async def time_informer(count: int, handlers: int, at_once: int) -> InformerTimes:
    """One informer from an empty store to the first list and through an update of each object, once."""
    first = tuple(stored_pod(number, number + 1) for number in range(count))
    return await _run(_Ready(first, _updates(first, at_once)), handlers)


async def measure_informers(count: int) -> list[tuple[str, float]]:
    """(row, objects or events a second), once."""
    first = tuple(stored_pod(number, number + 1) for number in range(count))
    rows = []
    for handlers in (1, 10):
        for at_once in (1, 100):
            times = await _run(_Ready(first, _updates(first, at_once)), handlers)
            synced, updated = times.sync_cpu_s, times.update_cpu_s
            many = "handler" if handlers == 1 else "handlers"
            if at_once == 1:
                rows.append((f"informer: first list to {handlers} {many}, objects", count / synced))
            rows.append((f"informer: updates to {handlers} {many}, {at_once} at once", count / updated))
    return rows


async def _run(source: _Ready, handlers: int) -> InformerTimes:
    """Until all handlers have all objects, and from there until they have all updates."""
    informer = SharedInformer(source, random=Random(1), kind="Pod")
    counters = [_Counter() for _ in range(handlers)]
    registrations = [informer.add_handler(counter, queue_size=1_000_000) for counter in counters]
    began, cpu_began = time.perf_counter(), time.process_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(informer.run)
        for registration in registrations:
            await registration.wait_until_synced()
        synced, cpu_synced = time.perf_counter(), time.process_time()
        source.go.set()
        await informer.wait_until_revision(source.last)
        while any(counter.updates < len(source.objects) for counter in counters):
            await trio.lowlevel.checkpoint()
        ended, cpu_ended = time.perf_counter(), time.process_time()
        nursery.cancel_scope.cancel()
    assert all(counter.adds == len(source.objects) for counter in counters)
    return InformerTimes(synced - began, cpu_synced - cpu_began, ended - synced, cpu_ended - cpu_synced)


class _Counter:
    def __init__(self) -> None:
        self.adds = self.updates = self.deletes = 0

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        self.adds += 1

    def on_update(self, old: Object, new: Object) -> None:
        self.updates += 1

    def on_delete(self, obj: Object | Tombstone) -> None:
        self.deletes += 1


class _Ready:
    """A source that has all answers, and gives its changes once `go` is set."""

    def __init__(self, objects: tuple[Object, ...], changes: Sequence[Changes]) -> None:
        self.objects = objects
        self.last = changes[-1].revision
        self.go = trio.Event()
        self._changes = changes

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await trio.lowlevel.checkpoint()
        return Page(self.objects, len(self.objects))

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[_Stream]:
        await self.go.wait()
        yield _Stream(self._changes)

    async def request_progress(self) -> None:
        await trio.lowlevel.checkpoint()


class _Stream:
    def __init__(self, changes: Sequence[Changes]) -> None:
        self._changes = iter(changes)

    async def receive(self) -> Changes:
        await trio.lowlevel.checkpoint()
        changes = next(self._changes, None)
        if changes is None:
            await trio.sleep_forever()
        assert changes is not None
        return changes


_read = ObjectReader(["spec.nodeName"]).read


def stored_pod(number: int, revision: int) -> Object:
    """One of 1 KB, decoded."""
    namespace = f"namespace-{number % NAMESPACES}"
    body = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"pod-{number}",
            "namespace": namespace,
            "uid": f"uid-{number}",
            "labels": {"app": f"app-{number % 10}"},
        },
        "spec": {"nodeName": f"node-{number % 1_000}", "kept": KEPT},
    }
    return _read(f"/registry/pods/{namespace}/pod-{number}", msgspec.json.encode(body), revision)


def _updates(objects: Sequence[Object], at_once: int) -> list[Changes]:
    count = len(objects)
    changed = [
        Event(EventType.MODIFIED, obj.at_revision(count + at + 1), count + at + 1) for at, obj in enumerate(objects)
    ]
    return [
        Changes(tuple(changed[at : at + at_once]), changed[min(at + at_once, count) - 1].revision)
        for at in range(0, count, at_once)
    ]


if __name__ == "__main__":
    asked = sys.argv[1:]
    timed = trio.run(time_informer, int(asked[0]), int(asked[1]), int(asked[2]))
    sys.stdout.buffer.write(msgspec.json.encode(timed))
