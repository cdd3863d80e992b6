"""The process in which a fan-out is measured: see `_fanout`.

python -m benchmarks._fanout_run '{"select":"all","watchers":1000,"burst":250,"events":6000}' set 0
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import msgspec
import trio
import trio.lowlevel

from cacher import Cacher, Ring
from reflector import Changes, Page, Replacement
from watch import Batch, Event, EventType, Expired, Object, ObjectReader, Selector, Watch, WatchSet

from ._fanout import Fan, Fanned, groups_of
from ._pods import PREFIX, stored_pods

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
SLOW_HISTORY = 1_024
"""The ring where some are slow: what it no longer has, they have lost."""
SET_SIZE = 100
AHEAD = 2
"""Bursts that the source may be ahead of the watchers."""
FLAT = 1_000
"""Events handed over at once where no burst is named: as fast as they are taken."""
SLOWER = 100


class Source:
    """A store of pods that are updated in turn, as bytes; and one watch: by bursts, none too far ahead, or at a pace."""

    def __init__(self, fan: Fan) -> None:
        self._fan = fan
        self._values = stored_pods(fan.objects, groups_of(fan), is_recorded=fan.is_recorded)
        self._reader = ObjectReader(FIELDS, absent={"spec.hostNetwork": "false"})
        self._at = len(self._values)
        self._left = fan.events
        self.first = 0
        self.watchers = fan.watchers
        self.received = 0
        self.published = 0
        """Deliveries that are due for what was handed over."""
        self.stamps: list[float] = []
        self._began = 0.0
        self.begin, self.over = trio.Event(), trio.Event()

    @property
    def last(self) -> int:
        """The revision of the last event that is measured."""
        return self.first + self._fan.events

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        """All pods in one page."""
        await trio.lowlevel.checkpoint()
        read = self._reader.read
        objects = sorted((read(key, raw, 1) for key, raw in self._values), key=lambda obj: obj.key)
        return Page(tuple(objects), self._at)

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[Source]:
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
            await self.begin.wait()
            self._began = time.perf_counter()
        if not self._left:
            self.over.set()
            await trio.sleep_forever()
        size = await (self._paced() if self._fan.rate else self._burst())
        self._left -= size
        self.published += size * self.watchers if self._fan.select == "all" else size
        return self._changes(size)

    async def _burst(self) -> int:
        size = min(self._fan.burst or FLAT, self._left)
        await trio.lowlevel.checkpoint()
        due = size * self.watchers if self._fan.select == "all" else size
        while self.watchers and self.published - self.received > AHEAD * due:
            await trio.lowlevel.checkpoint()
        self.stamps += [time.perf_counter()] * size
        return size

    async def _paced(self) -> int:
        """All that are due by now; each is stamped with the moment at which it came, also where nobody was there to take it."""
        rate, sent = self._fan.rate, self._fan.events - self._left
        ahead = self._began + (sent + 1) / rate - time.perf_counter()
        if ahead > 0:
            await trio.sleep(ahead)
        else:
            await trio.lowlevel.checkpoint()
        due = int((time.perf_counter() - self._began) * rate) - sent
        size = max(1, min(due, self._left, FLAT))
        self.stamps += [self._began + (sent + number + 1) / rate for number in range(size)]
        return size

    def _changes(self, size: int) -> Changes:
        read, values, count = self._reader.read, self._values, len(self._values)
        events = []
        for _ in range(size):
            key, raw = values[self._at * 7919 % count]
            self._at += 1
            events.append(Event(EventType.MODIFIED, read(key, raw, self._at), self._at))
        return Changes(tuple(events), self._at)


class _Tally:
    """What the watchers have taken; the last one also says how late each event was."""

    def __init__(self, source: Source, wanted: int) -> None:
        self._source = source
        self._wanted = wanted
        self.complete = trio.Event()
        self.lags: list[float] = []
        self.ended = self.slow_expired = self.slow_equal = 0

    def take(self, batch: Batch, *, is_sampled: bool = False) -> None:
        source = self._source
        newest = 0
        for event in batch:
            newest = event.revision
        if is_sampled:
            now, first = time.perf_counter(), source.first
            self.lags += [now - source.stamps[event.revision - first - 1] for event in batch]
        assert newest, "an event has a revision"
        self.took(len(batch))

    def took(self, count: int) -> None:
        source = self._source
        source.received += count
        if source.received == self._wanted:
            self.complete.set()


class _Passes(trio.abc.Instrument):
    """How long trio's loop went without asking for input, at most."""

    longest_s = 0.0
    _began = 0.0

    def after_io_wait(self, timeout: float) -> None:
        self._began = time.perf_counter()

    def before_io_wait(self, timeout: float) -> None:
        if self._began:
            self.longest_s = max(self.longest_s, time.perf_counter() - self._began)


async def _run(fan: Fan, form: str, seed: int) -> Fanned:
    source = Source(fan)
    ring = SLOW_HISTORY if fan.slow else HISTORY
    channels = _Channels(source)
    cacher = Cacher(
        source,
        prefix=PREFIX,
        random=Random(seed),
        ring=Ring(capacity_min=ring, capacity_max=ring),
        indexed=("spec.nodeName",),
    )
    slow = range(0, fan.watchers, fan.slow) if fan.slow else range(0)
    healthy = fan.watchers - len(slow)
    source.watchers = healthy
    tally = _Tally(source, fan.events * healthy if fan.select == "all" else fan.events)
    passes = _Passes()
    async with trio.open_nursery() as nursery:
        await nursery.start(channels.run if form == "channel" else cacher.run)
        while not source.first:
            await trio.lowlevel.checkpoint()
        if form == "channel":
            for number in range(fan.watchers):
                nursery.start_soon(_read_channel, channels.open(), tally, number == fan.watchers - 1)
        else:
            watches = [cacher.watch(_selector(fan.select, n), after=cacher.revision) for n in range(fan.watchers)]
            _start(nursery, [one for at, one in enumerate(watches) if at not in slow], form, tally)
            for at in slow:
                nursery.start_soon(_read_slowly, cacher, watches[at], source, SLOWER / fan.rate, tally)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        gc.collect()
        gc.freeze()
        if fan.rate:
            trio.lowlevel.add_instrument(passes)
        began, cpu = time.perf_counter(), time.process_time()
        source.begin.set()
        if fan.watchers:
            await tally.complete.wait()
        else:
            while cacher.revision < source.last:
                await trio.lowlevel.checkpoint()
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
        with trio.move_on_after(20):
            while tally.slow_equal < len(slow):
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    lags = sorted(tally.lags) or [0.0]
    return Fanned(
        form,
        fan.events / elapsed,
        source.received / elapsed,
        cpu / fan.events * 1e6,
        cpu / source.received * 1e9 if source.received else 0.0,
        lags[len(lags) // 2],
        lags[len(lags) * 99 // 100],
        tally.ended,
        passes.longest_s,
        len(slow),
        tally.slow_expired,
        tally.slow_equal,
    )


def _selector(select: str, number: int) -> Selector:
    match select:
        case "node":
            return Selector.of(fields=f"spec.nodeName=node-{number}")
        case "namespace":
            return Selector.of(namespace=f"ns-{number}")
        case "label":
            return Selector.of(labels=f"app=app-{number}")
    return Selector.of()


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
        assert form == "sink", form
        for watch in watches:
            _sink(watch, tally, is_sampled=watch is last)


async def _task(watch: Watch, tally: _Tally, is_sampled: bool) -> None:
    try:
        while True:
            tally.take(await watch.receive_batch(), is_sampled=is_sampled)
    except Expired:
        tally.ended += 1


async def _hosted(hosted: WatchSet, tally: _Tally, last: Watch | None) -> None:
    while True:
        for watch, batch in await hosted.receive():
            if batch:
                tally.take(batch, is_sampled=watch is last)
            else:
                tally.ended += 1


def _sink(watch: Watch, tally: _Tally, *, is_sampled: bool) -> None:
    watch.pipe_to(lambda batch: tally.take(batch, is_sampled=is_sampled))


async def _read_slowly(cacher: Cacher, watch: Watch, source: Source, pause_s: float, tally: _Tally) -> None:
    """A mirror that is too slow: it loses events, lists again, and in the end has what the store has."""
    everything = Selector.of()
    objects, _ = cacher.list(everything)
    mirror = {obj.key: obj.revision for obj in objects}
    has_expired = False
    newest = 0
    while newest < source.last:
        try:
            batch = await watch.receive_batch()
        except Expired:
            tally.slow_expired += not has_expired
            has_expired = True
            objects, newest = cacher.list(everything)
            mirror = {obj.key: obj.revision for obj in objects}
            watch = cacher.watch(everything, after=newest)
            continue
        for event in batch:
            mirror[event.key] = newest = event.revision
            with trio.move_on_after(pause_s):
                await source.over.wait()
    tally.slow_equal += mirror == {obj.key: obj.revision for obj in cacher.list(everything)[0]}


class _Channels:
    """What one would write without a library: objects in a dict, history in a deque, a memory channel for each watcher.

    A channel takes what a ring would hold, so that nobody is lost, and a reader reads by `async for`.
    """

    def __init__(self, source: Source) -> None:
        self._channels: list[trio.MemorySendChannel[Event]] = []
        self._objects: dict[str, Object] = {}
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._source = source

    def open(self) -> trio.MemoryReceiveChannel[Event]:
        send, receive = trio.open_memory_channel[Event](HISTORY)
        self._channels.append(send)
        return receive

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        page = await self._source.list()
        self._replace(Replacement(page.objects, page.revision, ()))
        task_status.started()
        while True:
            for event in (await self._source.receive()).events:
                previous = self._objects.get(event.key)
                self._objects[event.key] = event.object
                told = Event(EventType.MODIFIED, event.object, event.revision, previous)
                self._history.append(told)
                for channel in self._channels:
                    channel.send_nowait(told)

    def _replace(self, replacement: Replacement) -> None:
        self._objects = {obj.key: obj for obj in replacement.objects}


async def _read_channel(channel: trio.MemoryReceiveChannel[Event], tally: _Tally, is_sampled: bool) -> None:
    async for event in channel:
        tally.take((event,), is_sampled=is_sampled)


if __name__ == "__main__":
    chosen, form, seed = sys.argv[1:]
    measured = trio.run(_run, msgspec.json.decode(chosen, type=Fan), form, int(seed))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
