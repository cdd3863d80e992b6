"""What stands between a cache and a controller: work queue, store with its indexes, informer, controller, each by itself.

The queue is measured inside trio on the real clock. Time is that of the processor: all of it is one busy thread, and so others
who share the machine count less. Decoding is left out, as it is in the figures beside.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from random import Random
from typing import Any, TypeVar

import msgspec
import trio

from reflector import (
    Changes,
    Controller,
    ExponentialLimiter,
    Journal,
    JSONObject,
    Lister,
    RecordingClient,
    Replacement,
    Store,
    WorkQueue,
    by_field,
    object_key,
)
from watch import Event, EventType, Object, ObjectReader

from ._informers import PEERS as INFORMER_PEERS
from ._informers import measure_informers

PEER = "client-go of Kubernetes 1.36.2, Go 1.26, 2 cores"
PEERS = {"queue: add, get, done, one key at a time": 7_600_000.0, **INFORMER_PEERS}
"""Operations a second. Of the other rows there is none that was measured in the same way."""

T = TypeVar("T")

NAMESPACES = 1_000
NODES = 1_000


class Part(msgspec.Struct, frozen=True):
    """What is measured together, because it is set up together."""

    name: str
    size: int
    """Operations on a queue; objects in a store, or behind an informer; keys of a controller."""


class Rate(msgspec.Struct, frozen=True):
    """One row of one run."""

    name: str
    per_s: float


def parts(*, quick: bool = False) -> Iterator[Part]:
    """The queue, the store, the informer and the controller. `quick`: a tenth."""
    scale = 10 if quick else 1
    yield Part("queue", 100_000 // scale)
    yield Part("store", 100_000 // scale)
    yield Part("informer", 100_000 // scale)
    yield Part("controller", 20_000 // scale)


def measure_part(part: Part) -> list[Rate]:
    """Its rows, once."""
    gc.collect()
    if part.name == "store":
        return _store(part.size)
    if part.name == "informer":
        return [Rate(name, per_s) for name, per_s in trio.run(measure_informers, part.size)]
    return trio.run(_queue if part.name == "queue" else _controller, part.size)


async def _queue(count: int) -> list[Rate]:
    keys = [f"namespace-{number % NAMESPACES}/pod-{number}" for number in range(count)]
    return [
        _rate("queue: add, get, done, one key at a time", count, lambda: in_turn(keys)),
        _rate(f"queue: the same, {count:,} keys deep", count, lambda: deep(keys)),
        _rate(f"queue: the same, {count:,} keys of 10 priorities", count, lambda: deep(keys, priorities=10)),
        _rate(f"queue: add_after, {count:,} keys, until all are ready", count, lambda: _delayed(keys)),
        _rate("queue: add_rate_limited and forget", count, lambda: _limited(keys)),
        await _handed_over(keys),
    ]


def in_turn(keys: list[str]) -> None:
    """Add, get and done, a key at a time."""
    queue = WorkQueue[str]()
    for key in keys:
        queue.add(key)
        queue.done(queue.get_nowait())


def deep(keys: list[str], *, priorities: int = 1) -> None:
    """All keys are added before the first is taken."""
    queue = WorkQueue[str]()
    for number, key in enumerate(keys):
        queue.add(key, priority=number % priorities)
    for _ in keys:
        queue.done(queue.get_nowait())


def _delayed(keys: list[str]) -> None:
    queue = WorkQueue[str]()
    for number, key in enumerate(keys):
        queue.add_after(key, 1e-6 * (number % 100 + 1))
    while len(queue) < len(keys):
        pass


def _limited(keys: list[str]) -> None:
    queue = WorkQueue[str](limiter=ExponentialLimiter())
    for key in keys:
        queue.add_rate_limited(key)
        queue.forget(key)


async def _handed_over(keys: list[str]) -> Rate:
    """A worker that waits for each key, as with a quiet queue: a task is woken every time."""
    queue = WorkQueue[str]()

    async def work() -> None:
        for _ in keys:
            async with queue.item():
                pass

    began = time.process_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        for key in keys:
            await trio.lowlevel.checkpoint()
            queue.add(key)
    return Rate("queue: add, `async with item()`, a worker that waits", len(keys) / (time.process_time() - began))


def _store(count: int) -> list[Rate]:
    first = [_pod(number, revision=number + 1) for number in range(count)]
    again = [_pod(number, revision=number + 1) for number in range(count)]
    events = [
        Changes((Event(EventType.MODIFIED, _pod(number, revision=count + number + 1), count + number + 1),), number)
        for number in range(count)
    ]
    store = Store({"node": by_field("spec.nodeName")})
    lister = Lister(store)
    keys = list(map(object_key, first))
    nodes = [f"node-{number % NODES}" for number in range(count)]
    namespaces = [f"namespace-{number % NAMESPACES}" for number in range(count // 10)]
    labelled = namespaces[:1_000]
    each = f"{count // NODES} found"
    return [
        _rate("store: first list, objects", count, lambda: store.replace(Replacement(tuple(first), count, ()))),
        _rate(
            "store: relist, nothing changed, objects",
            count,
            lambda: store.replace(Replacement(tuple(again), count, ())),
        ),
        _rate("store: updates, one an event", count, lambda: _each(store.apply, events)),
        _rate("store: get", count, lambda: _each(store.get, keys)),
        _rate(f"store: by_index, {each}", count, lambda: _each(lambda node: store.by_index("node", node), nodes)),
        _rate(f"lister: of a namespace, {each}", len(namespaces), lambda: _each(lister.list, namespaces)),
        _rate(
            f"lister: of a namespace by a label, 1 of {count // NODES}",
            len(labelled),
            lambda: _each(lambda one: lister.list(one, labels="app=app-0"), labelled),
        ),
    ]


# ---- the controller --------------------------------------------------------------------------------------------------


async def _controller(count: int) -> list[Rate]:
    """All keys are there at once, as after an initial list. The client answers at once, and neither waits nor stores."""
    keys = [f"namespace-{number % NAMESPACES}/pod-{number}" for number in range(count)]
    store = Store()
    store.replace(Replacement(tuple([_pod(number, revision=number + 1) for number in range(count)]), count, ()))
    lister = Lister(store)
    plain: Any = _Silent()
    recording = RecordingClient(plain, Journal()).resource("v1", "pods")

    async def nothing(key: str) -> None:
        pass

    async def reads(key: str) -> None:
        namespace, _, name = key.partition("/")
        lister.find(name, namespace)

    async def writes(door: Any, key: str) -> None:
        namespace, _, name = key.partition("/")
        lister.find(name, namespace)
        await door.patch(name, _PATCH, namespace)

    return [
        await _reconciles("controller: a reconcile that does nothing", keys, nothing),
        await _reconciles("controller: the same, 10 workers", keys, nothing, concurrency=10),
        await _reconciles("controller: one read of a copy, noted", keys, reads),
        await _reconciles("controller: one read, one write", keys, lambda key: writes(plain, key)),
        await _reconciles("controller: one read, one write, recorded", keys, lambda key: writes(recording, key)),
        _rate(
            "lister: find, outside of a reconcile",
            count,
            lambda: _each(lambda key: lister.find(key, "namespace-0"), keys),
        ),
    ]


_PATCH = {"metadata": {"labels": {"seen": "yes"}}}
_PATCHED = {"metadata": {"name": "pod", "namespace": "namespace", "uid": "uid", "resourceVersion": "7"}}


class _Silent:
    """A client of one resource that answers at once: what is measured is what stands before it."""

    name = "silent"
    group_version = "v1"
    plural = "pods"

    def resource(self, version: str, plural: str) -> Any:
        return self

    async def patch(self, name: str, patch: Any, namespace: str | None = None, **_: Any) -> JSONObject:
        return _PATCHED


async def _reconciles(
    name: str, keys: list[str], reconcile: Callable[[str], Awaitable[None]], *, concurrency: int = 1
) -> Rate:
    controller = Controller("measured", reconcile, random=Random(7), concurrency=concurrency)
    for key in keys:
        controller.queue.add(key)
    began = time.process_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(controller.run)
        nursery.start_soon(controller.drain)
    return Rate(name, len(keys) / (time.process_time() - began))


_READER = ObjectReader(["spec.nodeName"])


def _pod(number: int, *, revision: int) -> Object:
    name, namespace = f"pod-{number}", f"namespace-{number % NAMESPACES}"
    metadata = {"name": name, "namespace": namespace, "uid": name, "labels": {"app": f"app-{number // NAMESPACES}"}}
    raw = json.dumps({"metadata": metadata, "spec": {"nodeName": f"node-{number % NODES}"}}).encode()
    return _READER.read(f"/registry/pods/{namespace}/{name}", raw, revision)


def _each(act: Callable[[T], object], values: Iterable[T]) -> None:
    """A result is dropped before the next one is made, as a controller does."""
    for value in values:
        act(value)


def _rate(name: str, count: int, act: Callable[[], object]) -> Rate:
    began = time.process_time()
    act()
    return Rate(name, count / (time.process_time() - began))
