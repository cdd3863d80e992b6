"""A double of Kubernetes' dispatch policy: channels of a fixed size for each watcher, one budget of waiting for all, eviction.

    event ─► dispatcher (one) ─┬─► input ─► filter ─► result ─► reader       each channel holds `channel_size` events
                               ├─► input ─► …
                               └─► full: waits, as long as the shared budget lasts; then every watcher that is full is evicted

A watch begins with the history of the ring, and reads nothing from its input before it has handed over all of that: a reader
that comes back with a gap larger than its channels is evicted again where writing goes on meanwhile.

What is left out: what filtering and encoding cost (virtual time stands still while anybody computes), the socket's buffers
behind `result` (the reader here is the one who takes from it), and the channel of 100 events before the dispatcher: what a
dispatcher is behind by stays in the cache's own log, up to its ring, and beyond that all its watches end.
Source: kubernetes/apiserver pkg/storage/cacher, cacher.go (dispatchEvent) and cache_watcher.go (add, process).
"""

from __future__ import annotations

from collections import deque

import trio

from watch import (
    Batch,
    BookmarkSchedule,
    Event,
    EventType,
    Expired,
    NotReady,
    Selector,
    bookmark,
    bookmark_tick_delay_s,
    filter_event,
)

from .._cacher import Cacher
from ._dispatch_rules import TimeBudget, channel_size
from ._fan_out import Evicted, Feed, Hear, Tap

REPLAY_BATCH = 100
"""Events of history that a watch holds at a time. Source: watch_cache_interval.go, bufferSize."""
FRESH_S = 75.0
"""What a ring is made to hold. Source: cacher.go, DefaultEventFreshDuration."""
TICK_JITTER = 0.5
"""Bookmarks are looked for every second and a bit; always the same bit, as nothing here has dice."""


class KubernetesFanOut:
    """See FanOut. Made for one cache; `run` it while the cache is there."""

    def __init__(self, cacher: Cacher) -> None:
        self.hears: dict[Hear, None] = {}
        self.evictions = 0
        self._cacher = cacher
        self._tap = Tap(cacher, deliver=self._dispatch_all, over=self._end_all)
        self.arrived_s = self._tap.arrived_s
        self._watches: dict[BufferedWatch, None] = {}
        self._bookmarks: BookmarkSchedule[BufferedWatch] = BookmarkSchedule()
        self._budget: TimeBudget | None = None
        self._dispatched = 0
        self._is_pressing = False

    async def run(self) -> None:
        """See FanOut."""
        self._budget = TimeBudget(trio.current_time())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._give_bookmarks)
            await self._tap.run()

    def watch(self, selector: Selector, *, after: int) -> Feed:
        """See FanOut."""
        cacher = self._cacher
        cacher.readiness.check()
        if not self._tap.is_open:
            raise NotReady(retry_after_s=1)
        cacher.cache.ring.since(after)  # a start below the history is refused here
        size = channel_size(cacher.cache.ring.capacity, FRESH_S)
        watch = BufferedWatch(self, cacher, selector, size=size, after=after)
        self._watches[watch] = None
        self._bookmarks.add(watch, trio.current_time(), None)
        return watch

    def forget(self, watch: BufferedWatch) -> None:
        """It is over."""
        self._watches.pop(watch, None)
        self._bookmarks.remove(watch)

    async def _dispatch_all(self, batch: Batch) -> None:
        for event in batch:
            await self._dispatch(event)

    async def _dispatch(self, event: Event) -> None:
        """Hand over one event. Whoever has no room after the first round is waited for in the second, or evicted."""
        self._dispatched = event.revision
        blocked = [watch for watch in list(self._watches) if watch.selects_in(event) and not watch.offer(event)]
        self._tell()
        if blocked:
            self._is_pressing = True
            await self._press(event, blocked)
            self._is_pressing = False
            self._tell()
        await trio.lowlevel.checkpoint()  # readers run beside the dispatcher

    async def _press(self, event: Event, blocked: list[BufferedWatch]) -> None:
        """One timer for all: when it has run out, who is still full is asked once more, without waiting."""
        assert self._budget is not None, "it runs"
        now_s = trio.current_time()
        deadline_s = now_s + self._budget.take(now_s)
        full = [watch for watch in blocked if not await watch.offer_until(event, deadline_s)]
        self._budget.give_back(deadline_s - trio.current_time())
        for watch in full:  # at the end: closing one must not cost another its turn
            watch.end(Evicted("did not take its events in time: watch again from its revision"))
            self.evictions += 1

    async def _give_bookmarks(self) -> None:
        while True:
            await trio.sleep(bookmark_tick_delay_s(TICK_JITTER))
            if self._is_pressing or not self._dispatched:
                continue  # in the midst of an event nobody can say that it was given to all; it is said at the next tick
            event = bookmark(self._dispatched)
            for watch in self._bookmarks.pop_due(trio.current_time()):
                watch.offer(event)  # who has no room has no need of it either
            self._tell()

    def _end_all(self) -> None:
        for watch in list(self._watches):
            watch.end(trio.EndOfChannel())
        self._tell()

    def _tell(self) -> None:
        for hear in list(self.hears):
            hear()


class BufferedWatch:
    """See Feed. Holds at most two channels of `size` events and the one between them: 21 where the size is 10.

    Made by `KubernetesFanOut.watch`. What its result channel holds when it ends can still be taken, and no more.
    """

    __slots__ = (
        "_between",
        "_cacher",
        "_fan_out",
        "_input",
        "_joined",
        "_matches",
        "_namespace",
        "_over",
        "_replay",
        "_replayed",
        "_result",
        "_room",
        "_size",
        "revision",
    )

    def __init__(self, fan_out: KubernetesFanOut, cacher: Cacher, selector: Selector, *, size: int, after: int) -> None:
        self.revision = after
        """Everything up to here has been taken."""
        self._fan_out = fan_out
        self._cacher = cacher
        self._namespace = selector.namespace
        self._matches = selector.compile()
        self._size = size
        self._input: deque[Event] = deque()
        self._between: Event | None = None
        self._result: deque[Event] = deque()
        self._replay: deque[Event] = deque()
        self._replayed = after
        self._joined = cacher.revision  # what is older comes from the ring, what is newer from the dispatcher
        self._over: trio.EndOfChannel | None = None
        self._room: trio.Event | None = None
        self._move()

    # ---- the dispatcher's end ----------------------------------------------------------------------------------------

    def selects_in(self, event: Event) -> bool:
        """Whether it hears of the event's namespace at all."""
        return not self._namespace or event.object.namespace == self._namespace

    def offer(self, event: Event) -> bool:
        """Take an event into the input, without waiting. False where there is no room; one that is over needs none."""
        if self._over is not None:
            return True
        if len(self._input) >= self._size:
            return False
        self._input.append(event)
        self._move()
        return True

    async def offer_until(self, event: Event, deadline_s: float) -> bool:
        """The same, waiting for room up to `deadline_s`."""
        while not self.offer(event):
            if trio.current_time() >= deadline_s:
                return False
            self._room = trio.Event()
            with trio.move_on_at(deadline_s):
                await self._room.wait()
        return True

    def end(self, why: trio.EndOfChannel) -> None:
        """Over. Whatever is not in the result channel yet is lost to this watch."""
        if self._over is None:
            self._over = why
            self._input.clear()
            self._replay.clear()
            self._between = None
            self._fan_out.forget(self)
            self._make_room()

    # ---- the reader's end --------------------------------------------------------------------------------------------

    def receive_nowait(self) -> Event:
        """See Feed."""
        if not self._result:
            if self._over is not None:
                raise self._over
            raise trio.WouldBlock
        event = self._result.popleft()
        self.revision = event.revision
        self._move()
        return event

    def close(self) -> None:
        """See Feed."""
        self.end(trio.EndOfChannel())
        self._result.clear()

    # ---- between -----------------------------------------------------------------------------------------------------

    def _move(self) -> None:
        """What the watch's own goroutine does: history first, then the input, one by one, until the result channel is full."""
        result, size = self._result, self._size
        while self._over is None:
            if self._between is None:
                self._between = self._next()
                if self._between is None:  # nothing to move, or over
                    return
            if len(result) >= size:
                return
            result.append(self._between)
            self._between = None

    def _next(self) -> Event | None:
        while self._replayed < self._joined:
            event = self._next_of_history()
            if event is not None:
                return event
        while self._input:
            event = self._input.popleft()
            self._make_room()
            if event.revision > self._joined or (event.type is EventType.BOOKMARK and event.revision == self._joined):
                seen = filter_event(self._matches, event)
                if seen is not None:
                    return seen
        return None

    def _next_of_history(self) -> Event | None:
        """The next event of the ring that concerns this watch; None where the batch had no more."""
        if not self._replay:
            try:
                newer = self._cacher.cache.ring.since(self._replayed)
            except Expired:  # the ring has overtaken it
                self._replayed = self._joined
                self.end(Evicted("the history that it had yet to send is gone: list again"))
                return None
            self._replay.extend(event for event in newer[:REPLAY_BATCH] if event.revision <= self._joined)
            if not self._replay:
                self._replayed = self._joined
                return None
        event = self._replay.popleft()
        self._replayed = event.revision
        return filter_event(self._matches, event)

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
