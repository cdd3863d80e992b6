"""Which key comes next, and who has which: the whole of a work queue but its waiting. Pure.

A key is in any of three places, and at most once in each:

    delayed      to be added at a time                    ──► dirty, when that time has come
    dirty        to be worked on: ready (in the heap), or, while a worker still has it, put off until `done`
    processing   with a worker

    add ──► dirty ─────── take ──► processing ── done ──► (ready again if it became dirty meanwhile)

So a key never is with two workers, and what happens to it while it is worked on makes one further turn, however often.
Ready keys come by priority, higher first, and among equals in the order in which they became ready.

Both heaps keep entries that have been overtaken (by a raised priority, an earlier time) until they surface, and are
rebuilt when more than half of them are such: memory stays proportional to the most keys that there were.

Source: client-go util/workqueue/queue.go, delaying_queue.go and metrics.go; of priorities, controller-runtime
pkg/controller/priorityqueue: adding again keeps the higher priority, and the place in line among those who have it.
Differs: a delayed add and an immediate one of the same key are two, as in client-go; controller-runtime makes one of them.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Hashable
from typing import Generic, TypeVar, final

import msgspec

K = TypeVar("K", bound=Hashable)

BOUNDS_S = tuple(10.0**exponent for exponent in range(-8, 4))
"""The upper bounds of the buckets in which durations are counted: 10 ns to 1,000 s. Source: controller-runtime's metrics."""
_SPARE = 64  # overtaken heap entries that are no reason to rebuild a heap
_PUT_OFF = -1  # the place in line of a dirty key that a worker still has


class DurationStatistics(msgspec.Struct, frozen=True):
    """Many durations, as a histogram."""

    count: int
    sum_s: float
    longest_s: float
    buckets: tuple[int, ...]
    """How many fell into each bucket: up to BOUNDS_S[i] and over the bound before; one more at the end, for the rest."""


class WorkQueueStatistics(msgspec.Struct, frozen=True):
    """What a work queue holds and has done. Counts are since it was made; client-go's metric is named where it has one."""

    name: str
    ready: int
    """Keys that a `get` would have now: client-go's Len()."""
    depth: int
    """Keys that are to be worked on: `ready`, and those that a worker still has and that were added again (depth)."""
    delayed: int
    """Keys whose time has not come."""
    processing: int
    """Keys that workers have."""
    adds: int
    """Keys that became dirty; adds that changed nothing do not count (adds_total)."""
    retries: int
    """Calls of add_after and add_rate_limited (retries_total)."""
    latency: DurationStatistics
    """From becoming dirty to being taken (queue_duration_seconds)."""
    work: DurationStatistics
    """From being taken to done (work_duration_seconds)."""
    unfinished_work_s: float
    """How long the keys that workers have were with them so far, together: it grows while a worker is stuck."""
    longest_running_s: float
    """The longest of them (longest_running_processor_seconds)."""


@final
class _Durations:
    __slots__ = ("buckets", "count", "longest_s", "sum_s")

    def __init__(self) -> None:
        self.count = 0
        self.sum_s = self.longest_s = 0.0
        self.buckets = [0] * (len(BOUNDS_S) + 1)

    def observe(self, seconds: float) -> None:
        self.count += 1
        self.sum_s += seconds
        if seconds > self.longest_s:
            self.longest_s = seconds
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1

    def statistics(self) -> DurationStatistics:
        return DurationStatistics(self.count, self.sum_s, self.longest_s, tuple(self.buckets))


@final
class _Dirty:
    """A key that is to be worked on."""

    __slots__ = ("added_at", "place", "priority")

    def __init__(self, priority: int, added_at: float) -> None:
        self.priority = priority
        self.added_at = added_at
        self.place = _PUT_OFF


@final
class _Delayed:
    """A key that is to be added at `ready_at`."""

    __slots__ = ("place", "priority", "ready_at")

    def __init__(self, ready_at: float, place: int, priority: int) -> None:
        self.ready_at = ready_at
        self.place = place
        self.priority = priority


@final
class QueueState(Generic[K]):
    """The keys of one queue. Every `now` is in seconds of one clock and never less than the one before."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.is_shut_down = False
        self.ready = 0
        """How many keys `take` could give."""
        self._dirty: dict[K, _Dirty] = {}
        self._line: list[tuple[int, int, K]] = []  # (-priority, place, key): a heap
        self._processing: dict[K, float] = {}  # since when
        self._delayed: dict[K, _Delayed] = {}
        self._calendar: list[tuple[float, int, K]] = []  # (ready_at, place, key): a heap
        self._places = 0
        self._adds = self._retries = 0
        self._latency = _Durations()
        self._work = _Durations()

    @property
    def is_idle(self) -> bool:
        """No key is ready and none is with a worker."""
        return not self.ready and not self._processing

    def add(self, key: K, priority: int, now: float) -> None:
        """Make `key` dirty, or raise its priority if it is; nothing after `shut_down`. Cost: O(log n)."""
        if self.is_shut_down:
            return
        dirty = self._dirty.get(key)
        if dirty is None:
            self._adds += 1
            dirty = self._dirty[key] = _Dirty(priority, now)
            if key not in self._processing:
                self._line_up(key, dirty)
        elif priority > dirty.priority:
            dirty.priority = priority
            if dirty.place != _PUT_OFF:
                heapq.heappush(self._line, (-priority, dirty.place, key))
                self._tidy_line()

    def add_at(self, key: K, ready_at: float, priority: int) -> None:
        """Add `key` when it is `ready_at`; of several such calls the earliest time and the highest priority hold.

        Nothing after `shut_down`. Cost: O(log n).
        """
        if self.is_shut_down:
            return
        delayed = self._delayed.get(key)
        if delayed is not None:
            delayed.priority = max(priority, delayed.priority)
            if ready_at >= delayed.ready_at:
                return
        else:
            delayed = self._delayed[key] = _Delayed(ready_at, 0, priority)
        delayed.ready_at = ready_at
        delayed.place = self._next_place()
        heapq.heappush(self._calendar, (ready_at, delayed.place, key))
        if len(self._calendar) > 2 * len(self._delayed) + _SPARE:
            self._calendar = [(entry.ready_at, entry.place, other) for other, entry in self._delayed.items()]
            heapq.heapify(self._calendar)

    def count_retry(self) -> None:
        """Take note of a call of add_after."""
        self._retries += 1

    def promote(self, now: float) -> None:
        """Add the delayed keys whose time has come, in the order of their times. Cost: O(log n) a key."""
        while self._calendar and self._calendar[0][0] <= now:
            ready_at, place, key = heapq.heappop(self._calendar)
            delayed = self._delayed.get(key)
            if delayed is not None and delayed.place == place:
                del self._delayed[key]
                self.add(key, delayed.priority, ready_at)

    def next_due(self) -> float:
        """When the next delayed key is to be added; infinity where there is none."""
        while self._calendar:
            ready_at, place, key = self._calendar[0]
            delayed = self._delayed.get(key)
            if delayed is not None and delayed.place == place:
                return ready_at
            heapq.heappop(self._calendar)
        return math.inf

    def take(self, now: float) -> K:
        """The first ready key, which is with a worker from now on. There must be one. Cost: O(log n)."""
        assert self.ready, "take() needs a ready key"
        while True:
            _, place, key = heapq.heappop(self._line)
            dirty = self._dirty.get(key)
            if dirty is not None and dirty.place == place:
                break  # its raised priority surfaces before those that it had; these find it gone, or in another place
        del self._dirty[key]
        self.ready -= 1
        self._processing[key] = now
        self._latency.observe(now - dirty.added_at)
        return key

    def done(self, key: K, now: float) -> None:
        """The worker is through with `key`, which goes to the end of the line of its priority if it became dirty meanwhile.

        Raises:
            ValueError: nobody has it.
        """
        started_at = self._processing.pop(key, None)
        if started_at is None:
            raise ValueError(f"{key!r} is with no worker: call done once for each key that get returned")
        self._work.observe(now - started_at)
        dirty = self._dirty.get(key)
        if dirty is not None:
            self._line_up(key, dirty)

    def shut_down(self) -> None:
        """From now on nothing is added, and delayed keys are dropped. What is dirty stays."""
        self.is_shut_down = True
        self._delayed.clear()
        self._calendar.clear()

    def statistics(self, now: float) -> WorkQueueStatistics:
        """What is held now. Cost: O(keys with workers)."""
        running = [now - started_at for started_at in self._processing.values()]
        return WorkQueueStatistics(
            name=self.name,
            ready=self.ready,
            depth=len(self._dirty),
            delayed=len(self._delayed),
            processing=len(self._processing),
            adds=self._adds,
            retries=self._retries,
            latency=self._latency.statistics(),
            work=self._work.statistics(),
            unfinished_work_s=math.fsum(running),
            longest_running_s=max(running, default=0.0),
        )

    def _line_up(self, key: K, dirty: _Dirty) -> None:
        dirty.place = self._next_place()
        heapq.heappush(self._line, (-dirty.priority, dirty.place, key))
        self.ready += 1

    def _tidy_line(self) -> None:
        if len(self._line) > 2 * self.ready + _SPARE:
            self._line = [
                (-dirty.priority, dirty.place, key) for key, dirty in self._dirty.items() if dirty.place != _PUT_OFF
            ]
            heapq.heapify(self._line)

    def _next_place(self) -> int:
        self._places += 1
        return self._places

    def _check(self) -> None:
        """Assert what must hold between any two calls. Cost: O(n)."""
        lined_up = {
            (-dirty.priority, dirty.place, key) for key, dirty in self._dirty.items() if dirty.place != _PUT_OFF
        }
        assert len(lined_up) == self.ready, "`ready` counts the keys that are in line"
        assert lined_up <= set(self._line), "each of them is in the heap"
        put_off = {key for key, dirty in self._dirty.items() if dirty.place == _PUT_OFF}
        assert put_off == self._dirty.keys() & self._processing.keys(), "put off are those that workers have"
        planned = {(delayed.ready_at, delayed.place, key) for key, delayed in self._delayed.items()}
        assert planned <= set(self._calendar), "each delayed key is in the calendar"
