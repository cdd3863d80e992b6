"""A watch from the past, over a whole history: what `benchmarks/peers/cacher -replay` does, here.

    python -m benchmarks._replay all|namespace GROUPS

Objects are pods of 1 KB, of which a watch by namespace gets one in so many. The median of several, as JSON.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from random import Random

import msgspec
import trio

from cacher import Cacher, Ring
from watch import Selector

from ._fanout import Fan
from ._fanout_run import HISTORY, Source
from ._ingest import Ingest
from ._pods import PODS_MIN, PREFIX

REPLAYS = 5
EVENTS = HISTORY - PODS_MIN
"""What the history has for certain, on both sides."""


async def _measure(select: str, groups: int) -> Ingest:
    source = Source(Fan("namespace", groups, 250, 1))
    ring = Ring(capacity_min=HISTORY, capacity_max=HISTORY)
    cacher = Cacher(source, prefix=PREFIX, random=Random(1), ring=ring, indexed=("spec.nodeName",))
    async with trio.open_nursery() as nursery:
        await nursery.start(cacher.run)
        while not source.first:
            await trio.lowlevel.checkpoint()
        gc.collect()
        gc.freeze()
        selector = Selector.of(namespace="ns-0") if select == "namespace" else Selector.of()
        wanted = EVENTS // groups if select == "namespace" else EVENTS
        took = []
        cpu = time.process_time()
        for _ in range(REPLAYS):
            began = time.perf_counter()
            await _read(cacher, selector, wanted)
            took.append(time.perf_counter() - began)
        cpu = (time.process_time() - cpu) / REPLAYS
        nursery.cancel_scope.cancel()
    return Ingest(statistics.median(took), cpu)


async def _read(cacher: Cacher, selector: Selector, wanted: int) -> None:
    async with cacher.watch(selector, after=cacher.revision - EVENTS) as watch:
        taken = newest = 0
        while taken < wanted:
            batch = await watch.receive_batch()
            for event in batch:
                newest = event.revision
            taken += len(batch)
        assert newest


if __name__ == "__main__":
    measured = trio.run(_measure, sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
