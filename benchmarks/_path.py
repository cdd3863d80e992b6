"""Events per second through the whole path: put → embedded etcd → reflector → watch cache → router → watchers.

A case is a set of watchers and a way of writing. Every write is an update of one of a fixed set of pods, with unchanged labels
and node, as a busy cluster writes them. The clock runs from the first put to the moment when every watcher has looped over
every event of its own and read its revision. Nothing is left out: transactions, decoding, store, ring and fan-out are in.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from random import Random

import msgspec
import trio
import trio.lowlevel

import cacher
from cacher import ResourceWatch

PODS = 1_000
OBJECT_BYTES = 1_000
WRITERS = 64


class Case(msgspec.Struct, frozen=True):
    """One row: who watches, and how many events are written."""

    name: str
    watchers: int
    select: str
    """"all": everything; "node": each its own `spec.nodeName=`; "label": each its own `app=`."""
    events: int
    writers: int = WRITERS


class Measured(msgspec.Struct, frozen=True):
    """One run of a case."""

    events_per_s: float
    deliveries_per_s: float
    deliveries: int


def cases(*, quick: bool = False) -> Iterator[Case]:
    """The rows, fastest first. `quick`: a tenth of the events, to see that it runs."""
    scale = 10 if quick else 1
    for watchers, events in ((0, 40_000), (1, 40_000), (100, 20_000), (1_000, 10_000), (10_000, 2_000)):
        yield Case(f"{watchers:,} watching all", watchers, "all", events // scale)
    yield Case("1,000 watching all, one writer", 1_000, "all", 1_000 // scale, writers=1)
    yield Case("10,000 distinct node selectors", 10_000, "node", 20_000 // scale)
    yield Case("10,000 distinct label selectors", 10_000, "label", 20_000 // scale)


def measure(case: Case, *, seed: int = 0) -> Measured:
    """Run a case once, in a fresh cluster on the real clock."""
    gc.collect()
    return trio.run(_run, case, seed)


async def _run(case: Case, seed: int) -> Measured:
    random = Random(seed)
    groups = max(case.watchers, 1) if case.select != "all" else 1
    pods = max(PODS, groups)
    names = [f"pod-{number}" for number in range(pods)]
    values = [_pod(name, group=number % groups) for number, name in enumerate(names)]
    chosen = [random.randrange(pods) for _ in range(case.events)]
    async with cacher.open_cluster(random=random) as cluster:
        for name, value in zip(names, values, strict=True):
            await cluster.etcd.put(f"/registry/pods/default/{name}", value)
        resource = cluster.resource("v1", "pods")
        start = (await resource.list()).revision
        expected = _expected(case, chosen, groups)
        tally = _Tally(sum(expected))
        async with trio.open_nursery() as nursery:
            for number in range(case.watchers):
                await nursery.start(_watch, resource, case.select, number, start, tally)
            began = time.perf_counter()
            async with trio.open_nursery() as writing:
                for writer in range(case.writers):
                    mine = [(names[i], values[i]) for i in chosen[writer :: case.writers]]
                    writing.start_soon(_write, cluster, mine)
            if case.watchers:
                await tally.complete.wait()
            else:
                while resource.statistics().revision < start + case.events:
                    await trio.lowlevel.checkpoint()
            elapsed = time.perf_counter() - began
            nursery.cancel_scope.cancel()
    return Measured(case.events / elapsed, tally.received / elapsed, tally.received)


class _Tally:
    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.received = 0
        self.complete = trio.Event()

    def add(self, count: int) -> None:
        self.received += count
        if self.received == self.wanted:
            self.complete.set()


def _expected(case: Case, chosen: list[int], groups: int) -> list[int]:
    """How many events each watcher is to get."""
    if case.select == "all":
        return [len(chosen)] * case.watchers
    counts = [0] * groups
    for pod in chosen:
        counts[pod % groups] += 1
    return counts


async def _watch(
    resource: cacher.Resource,
    select: str,
    number: int,
    start: int,
    tally: _Tally,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    labels = f"app=app-{number}" if select == "label" else None
    fields = f"spec.nodeName=node-{number}" if select == "node" else None
    async with resource.watch(labels=labels, fields=fields, resource_version=start) as watch:
        task_status.started()
        await _consume(watch, tally)


async def _consume(watch: ResourceWatch, tally: _Tally) -> None:
    newest = 0
    while True:
        batch = await watch.receive_batch()
        for event in batch:
            newest = max(newest, event.revision)
        tally.add(len(batch))


async def _write(cluster: cacher.Cluster, writes: list[tuple[str, bytes]]) -> None:
    put = cluster.etcd.put
    for name, value in writes:
        await put(f"/registry/pods/default/{name}", value)


def _pod(name: str, *, group: int) -> bytes:
    """A pod of about 1 KB: what the peers' figures use."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"00000000-0000-4000-8000-{int(name.removeprefix('pod-')):012d}",
            "labels": {"app": f"app-{group}", "tier": "backend", "track": "stable"},
        },
        "spec": {"nodeName": f"node-{group}", "containers": [{"name": "main", "image": "registry.example/app:1"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "message": ""},
    }
    missing = OBJECT_BYTES - len(json.dumps(pod, separators=(",", ":")))
    pod["status"]["message"] = "x" * max(0, missing)  # type: ignore[index]
    return json.dumps(pod, separators=(",", ":")).encode()
