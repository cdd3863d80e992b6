"""Reads of a CacherStorage over the embedded etcd, at 10,000 and 100,000 objects of 1 KB, beside Kubernetes' own cacher.

A size is measured in a process of its own, so that memory is that of this size alone. Each row is the median of many calls
of `Interface`, with all that a caller waits for: validation, trio's checkpoints, metrics, the answer as a tuple of objects.

The peer's figures are data, taken once on another day, on a machine with as many cores; where it has none for a row, none is
shown. The work is not the same everywhere:

    lists       here references to objects that nobody changes; there each struct is copied into a typed list
    *           asks the store: here an embedded etcd in this process, there an etcd of its own behind gRPC
    memory      here resident, with the JSON itself, head, keys, order and index; there Go's heap, decoded. Labels of a
                thousand kinds and a thousand nodes, whose texts are shared here: where all differ, it is 0.7 KB more
    garbage     given back outside the measured time here, collected beside it there

    python -m benchmarks._storage OBJECTS SEED              one size once, as JSON
    python -m benchmarks._storage OBJECTS SEED history      what its history takes
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import trio
import trio.lowlevel

from cacher import CacherStorage, Ring, WatchCache
from cacher.storage import (
    CacheMetrics,
    Codec,
    EtcdMetrics,
    ListOptions,
    ListResult,
    Match,
    MetricsRegistry,
    Update,
)
from cacher.storage.etcd import EmbeddedEtcd, EtcdStorage, KeyValue, RangeResult, open_embedded_etcd
from reflector import Changes, Replacement
from watch import Event, EventType, Object, Selector

SIZES = (10_000, 100_000)
OBJECT_BYTES = 1_000
PAGE = 500
EVENTS_BACK = 1_000
"""How old a list of the past is."""
WRITE_PAUSE_S = 0.002
"""Between the writes that go on during lists of the past."""
ROW_S = 0.6
"""A row is called again for so long, and five times at least."""
CALLS = (5, 3_000)
"""At least, at most."""

PEER = "Kubernetes 1.36.2, Go 1.26, 2 cores: pods, p50 (best)"
_MS, _US = 1e-3, 1e-6
PEERS: dict[tuple[str, int], tuple[float, float | None]] = {
    ("everything", 10_000): (4.3 * _MS, None),
    ("everything", 100_000): (107 * _MS, 45 * _MS),
    ("namespace, 1/10", 10_000): (0.185 * _MS, None),
    ("namespace, 1/10", 100_000): (3.8 * _MS, None),
    ("namespace, 1/1000", 10_000): (0.0054 * _MS, None),
    ("namespace, 1/1000", 100_000): (0.021 * _MS, None),
    ("namespace, 1/1000, consistent *", 10_000): (0.29 * _MS, None),
    ("namespace, 1/1000, consistent *", 100_000): (0.34 * _MS, None),
    ("field, 1/1000, indexed", 10_000): (0.0063 * _MS, None),
    ("field, 1/1000, indexed", 100_000): (0.033 * _MS, None),
    ("label, 1/1000", 10_000): (1.04 * _MS, None),
    ("label, 1/1000", 100_000): (46 * _MS, None),
    ("all pages of 500 *", 10_000): (8.0 * _MS, None),
    ("all pages of 500 *", 100_000): (1390 * _MS, 827 * _MS),
    ("get", 10_000): (4.6 * _US, None),
    ("get", 100_000): (4.4 * _US, None),
    ("everything, past the cache *", 10_000): (146 * _MS, None),
    ("everything, past the cache *", 100_000): (2010 * _MS, None),
    ("cache start *", 10_000): (188 * _MS, None),
    ("cache start *", 100_000): (2330 * _MS, None),
    ("memory an object", 10_000): (5251, None),
    ("memory an object", 100_000): (5251, None),
    ("memory an event of history", 10_000): (7493, None),
    ("memory an event of history", 100_000): (7493, None),
}
"""By row and size: seconds (memory: bytes), the median and, where it was taken down, the best."""


class Row(msgspec.Struct, frozen=True):
    """One row of one run. `value`: seconds a call, the median; of memory: bytes."""

    name: str
    value: float
    calls: int = 1


class Sized(msgspec.Struct, frozen=True):
    """What is measured in one process."""

    objects: int

    @property
    def name(self) -> str:
        return f"lists, {self.objects:,} objects"


def sizes(*, quick: bool = False) -> Iterator[Sized]:
    """The sizes. `quick`: a tenth of the objects, to see that it runs; the peer has no figures for these."""
    for objects in SIZES:
        yield Sized(objects // 10 if quick else objects)


def measure_lists(sized: Sized, *, seed: int = 0) -> list[Row]:
    """Every row of one size, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks._storage", str(sized.objects), str(seed)]
    rows: list[Row] = []
    for what in ([], ["history"]):
        done = subprocess.run([*command, *what], stdout=subprocess.PIPE, check=True)
        rows += msgspec.json.decode(done.stdout, type=list[Row])
    return rows


def peer(name: str, objects: int) -> tuple[float, float | None] | None:
    """The peer's median and best for a row; None where there is no such row."""
    return PEERS.get((name, objects))


# --- in the process that measures -------------------------------------------------------------------------------------


async def _measure(objects: int, seed: int) -> list[Row]:
    random = Random(seed)
    async with open_embedded_etcd(random=random) as etcd:
        for number in range(objects):
            await etcd.put("/registry" + object_key(number), pod(number))
        remote: Any = _Remote(etcd)
        counted = MetricsRegistry()
        below = EtcdStorage(
            remote,
            codec=Codec(fields=("spec.nodeName",)),
            random=random,
            metrics=EtcdMetrics(counted, resource="pods"),
        )
        gc.collect()
        before = rss_bytes()
        began = time.perf_counter()
        cached = CacherStorage(
            below, random=random, indexed=("spec.nodeName",), metrics=CacheMetrics(counted, resource="pods")
        )
        async with _running(cached) as storage:
            start_s = time.perf_counter() - began
            gc.collect()
            rows = [Row("cache start *", start_s), Row("memory an object", (rss_bytes() - before) / objects)]
            for name, call in _calls(storage, below, objects, random):
                rows.append(await _row(name, call))
            lists = counted.snapshot().value("etcd_requests_total", operation="list")
            rows += await _past_rows(storage, objects)
            assert counted.snapshot().value("etcd_requests_total", operation="list") == lists, (
                "the past was the cache's"
            )
            return rows


Call = Callable[[], Awaitable[object]]


def _calls(storage: CacherStorage, below: EtcdStorage, objects: int, random: Random) -> Iterator[tuple[str, Call]]:
    everything, tenth, thousandth = "/pods/", "/pods/tenth/", "/pods/ns-7/"
    tier, label = Selector.of(labels="tier=tier-7"), Selector.of(labels="app=app-7")
    field = Selector.of(fields="spec.nodeName=node-7")
    some = [object_key(random.randrange(objects)) for _ in range(64)]
    turn = 0
    pages: list[str] = []

    def listing(key: str, options: ListOptions) -> Call:
        return lambda: storage.get_list(key, options)

    async def update() -> Object:
        nonlocal turn
        turn += 1
        number = turn
        return await storage.guaranteed_update(some[turn % 64], lambda present, meta: Update(_changed(present, number)))

    async def get() -> Object | None:
        nonlocal turn
        turn += 1
        return await storage.get(some[turn % 64], resource_version="0")

    any_age = ListOptions(resource_version="0")
    yield "everything", listing(everything, any_age)
    yield "namespace, 1/10", listing(tenth, any_age)
    yield "namespace, 1/1000", listing(thousandth, any_age)
    yield "namespace, 1/1000, consistent *", listing(thousandth, ListOptions())
    yield "field, 1/1000, indexed", listing(everything, ListOptions(resource_version="0", selector=field))
    yield "label, 1/10", listing(everything, ListOptions(resource_version="0", selector=tier))
    yield "label, 1/1000", listing(everything, ListOptions(resource_version="0", selector=label))
    yield "first page of 500 *", listing(everything, ListOptions(limit=PAGE))
    yield "second page of 500", lambda: _second_page(storage, pages)
    yield "all pages of 500 *", lambda: _pages(storage)
    yield "everything, past the cache *", lambda: below.get_list(everything, ListOptions())
    yield "get", get
    yield "get, consistent *", lambda: storage.get(some[0])
    yield "guaranteed_update *", update


async def _past_rows(storage: CacherStorage, objects: int) -> list[Row]:
    """Lists of 1,000 events ago, while somebody writes."""
    while storage.cacher.statistics().ring_length < EVENTS_BACK + 100:
        await _touch(storage, objects)
    rows = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_write, storage, objects)
        for name, key, limit in (
            ("everything, 1,000 events ago", "/pods/", 0),
            ("namespace, 1/10, 1,000 events ago", "/pods/tenth/", 0),
            ("page of 500, 1,000 events ago", "/pods/", PAGE),
        ):
            rows.append(await _row(name, partial(_list_past, storage, key, limit)))
        nursery.cancel_scope.cancel()
    return rows


async def _list_past(storage: CacherStorage, key: str, limit: int) -> None:
    revision = storage.cacher.revision - EVENTS_BACK
    options = ListOptions(resource_version=str(revision), match=Match.EXACT, limit=limit)
    assert (await storage.get_list(key, options)).revision == revision


async def _second_page(storage: CacherStorage, tokens: list[str]) -> ListResult:
    """By the token of a first page, which is asked for once."""
    if not tokens:
        tokens.append((await storage.get_list("/pods/", ListOptions(limit=PAGE))).continue_token)
    return await storage.get_list("/pods/", ListOptions(limit=PAGE, continue_token=tokens[0]))


async def _pages(storage: CacherStorage) -> int:
    page = await storage.get_list("/pods/", ListOptions(limit=PAGE))
    found = len(page.objects)
    while page.continue_token:
        page = await storage.get_list("/pods/", ListOptions(limit=PAGE, continue_token=page.continue_token))
        found += len(page.objects)
    return found


async def _row(name: str, call: Call) -> Row:
    least, most = CALLS
    taken: list[float] = []
    await call()
    until = time.perf_counter() + ROW_S
    while len(taken) < least or (len(taken) < most and time.perf_counter() < until):
        began = time.perf_counter()
        answer = await call()
        taken.append(time.perf_counter() - began)
        del answer  # its memory is given back outside the measured time, as a server does after writing it out
        if len(taken) % 64 == 0:
            await trio.lowlevel.checkpoint()
    return Row(name, statistics.median(taken), len(taken))


async def _write(storage: CacherStorage, objects: int) -> None:
    while True:
        await _touch(storage, objects)
        await trio.sleep(WRITE_PAUSE_S)


_touched = iter(range(1 << 60))


async def _touch(storage: CacherStorage, objects: int) -> None:
    number = next(_touched)
    await storage.guaranteed_update(
        object_key(number * 7919 % objects), lambda present, meta: Update(_changed(present, number))
    )


@asynccontextmanager
async def _running(storage: CacherStorage) -> AsyncIterator[CacherStorage]:
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        yield storage
        nursery.cancel_scope.cancel()


class _Remote:
    """An etcd whose answers hold bytes of their own, as those of one behind a socket do: else memory would be shared with it."""

    def __init__(self, etcd: EmbeddedEtcd) -> None:
        self._etcd = etcd

    def __getattr__(self, name: str) -> Any:
        return getattr(self._etcd, name)

    async def range(self, *args: Any, **kwargs: Any) -> RangeResult:
        result = await self._etcd.range(*args, **kwargs)
        return msgspec.structs.replace(result, kvs=tuple(map(_copied, result.kvs)))


def _copied(kv: KeyValue) -> KeyValue:
    return msgspec.structs.replace(kv, value=bytes(bytearray(kv.value)))


def object_key(number: int) -> str:
    namespace = "tenth" if number % 10 == 0 else f"ns-{number % 1000}"
    return f"/pods/{namespace}/pod-{number:06}"


def pod(number: int) -> bytes:
    """A pod of about 1 KB: what the peer's figures use."""
    _, _, namespace, name = object_key(number).split("/")
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": {"app": f"app-{number % 1000}", "tier": f"tier-{number % 10}", "track": "stable"},
            "name": name,
            "namespace": namespace,
            "uid": f"00000000-0000-4000-8000-{number:012d}",
        },
        "spec": {
            "containers": [{"image": "registry.example/app:1", "name": "main"}],
            "nodeName": f"node-{number % 1000}",
        },
        "status": {"message": "", "phase": "Running", "podIP": "10.0.0.1"},
    }
    pod["status"]["message"] = "x" * (OBJECT_BYTES - len(json.dumps(pod, separators=(",", ":"))))
    return json.dumps(pod, separators=(",", ":")).encode()


def _changed(present: Object | None, number: int) -> bytes:
    """The pod with another message of the same length, so that something is written."""
    assert present is not None
    at = present.raw.index(b'"message":"') + 11
    return present.raw[:at] + b"%09d" % number + present.raw[at + 9 :]


def _measure_history(objects: int) -> list[Row]:
    """What an event of history takes: each brings an object whose bytes are its own, as from a socket, and keeps the one before."""
    codec = Codec(fields=("spec.nodeName",))

    def changed(number: int, revision: int) -> Object:
        return codec.decode("/registry" + object_key(number), bytes(bytearray(pod(number))), revision)

    cache = WatchCache(ring=Ring(), clock=lambda: 0.0, indexed=("spec.nodeName",))
    cache.replace(Replacement(tuple(changed(number, 1) for number in range(objects)), 1, ()))
    gc.collect()
    before = rss_bytes()
    for revision in range(2, objects + 2):
        event = Event(EventType.MODIFIED, changed(revision * 7919 % objects, revision), revision)
        cache.apply(Changes((event,), revision))
    gc.collect()
    assert len(cache.ring) == objects
    return [Row("memory an event of history", (rss_bytes() - before) / objects)]


def rss_bytes() -> int:
    """What this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    if sys.argv[3:] == ["history"]:
        measured = _measure_history(int(sys.argv[1]))
    else:
        measured = trio.run(_measure, int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.buffer.write(msgspec.json.encode(measured))
