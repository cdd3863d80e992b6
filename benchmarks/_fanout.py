"""Fan-out beside the real Cacher: one resource's cache, fed in process, with watchers in three forms.

What runs here is Reflector, decode, WatchCache, ring, router and watches, behind a source that hands over the bytes of a store
as an etcd's watch would. What runs there is `benchmarks/peers/cacher`: the Cacher of k8s.io/apiserver behind such a source,
which hands over decoded objects. Both do the same: pods of 1 KB, updates alone, `burst` events at once and never more than two
bursts ahead of the watchers, a full history before the clock starts, watchers that loop over every event and read its revision.

    form    here                                                      there
    task    a trio task for each watch, woken with batches            a goroutine for each watch
    set     a WatchSet for a hundred watches                          the same
    sink    a function for each watch, called by the publisher        the same

    python -m benchmarks._fanout SELECT WATCHERS BURST EVENTS FORM     one run, as JSON
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import trio
import trio.lowlevel

from cacher import Cacher, Ring
from reflector import Changes, Page
from watch import Batch, Event, EventType, ObjectReader, Selector, Watch, WatchSet

PREFIX = "/registry/pods/"
PODS_MIN = 1_000
FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
"""What pods can be selected by."""
HISTORY = 102_400
SET_SIZE = 100
AHEAD = 2
"""Bursts that the source may be ahead of the watchers."""
FLAT = 1_000
"""Events handed over at once where no burst is named: as fast as they are taken."""
FORMS = ("task", "set", "sink")
PEER = Path(__file__).parent / "peers" / "bin" / "cacher"
CURE = "make bench-peers"


class Fan(msgspec.Struct, frozen=True):
    """One row: who watches what, and how it comes."""

    select: str
    """"all", or one value each of "node", "namespace", "label"."""
    watchers: int
    burst: int
    """0: as fast as it is taken."""
    events: int

    @property
    def name(self) -> str:
        """As `--only` finds it."""
        how = f"bursts of {self.burst}" if self.burst else "flat out"
        return f"fan-out {self.select} {self.watchers:,}, {how}"


class Fanned(msgspec.Struct, frozen=True):
    """One run of a row in one form."""

    form: str
    """"task", "set", "sink", or "peer"."""
    events_per_s: float
    deliveries_per_s: float
    cpu_us_per_event: float
    cpu_ns_per_delivery: float
    p50_s: float
    p99_s: float
    ended: int
    """Watchers that were lost on the way."""


def fans(*, quick: bool = False) -> Iterator[Fan]:
    """The rows of the table. `quick`: the small ones, with a tenth of the events."""
    scale = 10 if quick else 1
    yield Fan("all", 0, 250, 100_000 // scale)
    for watchers, events in ((1, 40_000), (10, 40_000), (100, 20_000), (1_000, 6_000), (10_000, 1_000)):
        if quick and watchers > 1_000:
            continue
        for burst, part in ((1, 10), (10, 4), (250, 1), (0, 1)):
            yield Fan("all", watchers, burst, max(events // scale // part, 30))
    for select in ("node", "namespace", "label"):
        for watchers in (100, 1_000, 10_000):
            if quick and watchers > 1_000:
                continue
            yield Fan(select, watchers, 250, 20_000 // scale)


def measure_fan(fan: Fan, *, seed: int = 0) -> list[Fanned]:
    """One run of each form, each in a process of its own, and of the peer where it has been built."""
    found = [_apart(fan, form, seed) for form in (FORMS if fan.watchers else FORMS[:1])]
    if PEER.exists():
        found.append(_peer(fan))
    return found


def _apart(fan: Fan, form: str, seed: int) -> Fanned:
    words = [fan.select, str(fan.watchers), str(fan.burst), str(fan.events), form, str(seed)]
    command = [sys.executable, "-m", "benchmarks._fanout", *words]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=Path(__file__).parent.parent)
    return msgspec.json.decode(done.stdout, type=Fanned)


def _peer(fan: Fan) -> Fanned:
    """The better of one core and two: with two its deliveries run beside its dispatch, at the price of passing them over."""
    return max((_peer_on(fan, cores) for cores in (1, 2)), key=lambda one: one.events_per_s)


def _peer_on(fan: Fan, cores: int) -> Fanned:
    events = max(fan.events // 20, 200) if fan.select == "label" and fan.watchers > 1_000 else fan.events
    words = [f"-select={fan.select}", f"-watchers={fan.watchers}", f"-burst={fan.burst}", f"-events={events}"]
    done = subprocess.run(
        [PEER, *words], capture_output=True, check=True, text=True, env={**os.environ, "GOMAXPROCS": str(cores)}
    )
    said = json.loads(done.stdout)
    seconds, deliveries = said["seconds"], said["deliveries"]
    return Fanned(
        "peer",
        events / seconds,
        deliveries / seconds,
        said["cpu_s"] / events * 1e6,
        said["cpu_s"] / max(deliveries, 1) * 1e9,
        said["p50_s"],
        said["p99_s"],
        said["ended"],
    )


class _Source:
    """A store of pods that are updated in turn, as bytes; and one watch, which takes care not to be too far ahead."""

    def __init__(self, fan: Fan) -> None:
        self._fan = fan
        groups = fan.watchers if fan.select != "all" and fan.watchers else 1
        self._values = [_pod(number, number % groups) for number in range(max(PODS_MIN, groups))]
        self._reader = ObjectReader(FIELDS, absent={"spec.hostNetwork": "false"})
        self._at = len(self._values)
        self._left = 0
        self.first = 0
        self.watchers = fan.watchers
        self.received = 0
        self.published = 0
        """Deliveries that are due for what was handed over."""
        self.stamps: list[float] = []
        self.begin = trio.Event()

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        """All pods in one page."""
        await trio.lowlevel.checkpoint()
        read = self._reader.read
        objects = sorted((read(key, raw, 1) for key, raw in self._values), key=lambda obj: obj.key)
        return Page(tuple(objects), self._at)

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[_Source]:
        """From the list on."""
        yield self

    async def request_progress(self) -> None:
        """Nobody asks."""

    async def receive(self) -> Changes:
        """The next burst: history first, then what is measured."""
        if self._at - len(self._values) < HISTORY:
            await trio.lowlevel.checkpoint()
            return self._changes(FLAT)
        if not self.first:
            self.first = self._at
            self._left = self._fan.events
            await self.begin.wait()
        size = min(self._fan.burst or FLAT, self._left)
        await trio.lowlevel.checkpoint()
        due = size * self.watchers if self._fan.select == "all" else size
        while self.watchers and self.published - self.received > AHEAD * due:
            await trio.lowlevel.checkpoint()
        if not size:
            await trio.sleep_forever()
        self._left -= size
        self.published += due
        now = time.perf_counter()
        self.stamps += [now] * size
        return self._changes(size)

    def _changes(self, size: int) -> Changes:
        read, values, count = self._reader.read, self._values, len(self._values)
        events = []
        for _ in range(size):
            key, raw = values[self._at * 7919 % count]
            self._at += 1
            events.append(Event(EventType.MODIFIED, read(key, raw, self._at), self._at))
        return Changes(tuple(events), self._at)


def _pod(number: int, group: int) -> tuple[str, bytes]:
    pod = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"pod-{number}",
            "namespace": f"ns-{group}",
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "labels": {"app": f"app-{group}", "tier": "backend", "track": "stable"},
        },
        "spec": {"nodeName": f"node-{group}", "containers": [{"name": "main", "image": "registry.example/app:1"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "message": ""},
    }
    missing = 1_000 - len(json.dumps(pod, separators=(",", ":")))
    pod["status"]["message"] = "x" * max(0, missing)  # type: ignore[index]
    return f"{PREFIX}ns-{group}/pod-{number}", json.dumps(pod, separators=(",", ":")).encode()


def _selector(select: str, number: int) -> Selector:
    match select:
        case "node":
            return Selector.of(fields=f"spec.nodeName=node-{number}")
        case "namespace":
            return Selector.of(namespace=f"ns-{number}")
        case "label":
            return Selector.of(labels=f"app=app-{number}")
    return Selector.of()


class _Tally:
    """What the watchers have taken; the last one also says how late each event was."""

    def __init__(self, source: _Source, wanted: int) -> None:
        self._source = source
        self._wanted = wanted
        self.complete = trio.Event()
        self.lags: list[float] = []
        self.ended = 0

    def take(self, batch: Batch, *, is_sampled: bool = False) -> None:
        source = self._source
        newest = 0
        for event in batch:
            newest = event.revision
        if is_sampled:
            now, first = time.perf_counter(), source.first
            self.lags += [now - source.stamps[event.revision - first - 1] for event in batch]
        source.received += len(batch)
        assert newest, "an event has a revision"
        if source.received == self._wanted:
            self.complete.set()


async def _run(fan: Fan, form: str, seed: int) -> Fanned:
    source = _Source(fan)
    cacher = Cacher(
        source,
        prefix=PREFIX,
        random=Random(seed),
        ring=Ring(capacity_min=HISTORY, capacity_max=HISTORY),
        indexed=("spec.nodeName",),
    )
    wanted = fan.events * fan.watchers if fan.select == "all" else fan.events
    tally = _Tally(source, wanted)
    async with trio.open_nursery() as nursery:
        await nursery.start(cacher.run)
        while not source.first:
            await trio.lowlevel.checkpoint()
        watches = [cacher.watch(_selector(fan.select, n), after=cacher.revision) for n in range(fan.watchers)]
        _start(nursery, watches, form, tally)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        gc.collect()
        gc.freeze()
        began, cpu = time.perf_counter(), time.process_time()
        source.begin.set()
        if fan.watchers:
            await tally.complete.wait()
        else:
            while cacher.revision < source.first + fan.events:
                await trio.lowlevel.checkpoint()
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
        nursery.cancel_scope.cancel()
    lags = sorted(tally.lags) or [0.0]
    return Fanned(
        form,
        fan.events / elapsed,
        source.received / elapsed,
        cpu / fan.events * 1e6,
        cpu / max(source.received, 1) * 1e9,
        lags[len(lags) // 2],
        lags[len(lags) * 99 // 100],
        tally.ended,
    )


def _start(nursery: trio.Nursery, watches: list[Watch], form: str, tally: _Tally) -> None:
    last = watches[-1] if watches else None
    if form == "task":
        for watch in watches:
            nursery.start_soon(_task, watch, tally, watch is last)
    elif form == "set":
        for start in range(0, len(watches), SET_SIZE):
            hosted = WatchSet()
            for watch in watches[start : start + SET_SIZE]:
                hosted.add(watch)
            nursery.start_soon(_hosted, hosted, tally, last)
    else:
        for watch in watches:
            _sink(watch, tally, is_sampled=watch is last)


async def _task(watch: Watch, tally: _Tally, is_sampled: bool) -> None:
    while True:
        tally.take(await watch.receive_batch(), is_sampled=is_sampled)


async def _hosted(hosted: WatchSet, tally: _Tally, last: Watch | None) -> None:
    while True:
        for watch, batch in await hosted.receive():
            tally.take(batch, is_sampled=watch is last)


def _sink(watch: Watch, tally: _Tally, *, is_sampled: bool) -> None:
    watch.pipe_to(lambda batch: tally.take(batch, is_sampled=is_sampled))


if __name__ == "__main__":
    select, watchers, burst, events, form, seed = sys.argv[1:]
    measured = trio.run(_run, Fan(select, int(watchers), int(burst), int(events)), form, int(seed))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
