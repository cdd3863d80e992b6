"""The history ring: the newest events of one resource, so that a watch can start in the past.

Capacity follows time, not a setting: full and its oldest event still fresh, the ring doubles; full and mostly stale, it
halves; else the oldest event makes room.

    index:     … 7  8  9 10 11 12 …      grow for ever; slot = index % capacity
    kept:         [start … end)           start moves on eviction, end on append
    capacity:  100 ≤ capacity ≤ 102,400

Source: kubernetes/apiserver pkg/storage/cacher/watch_cache_history.go (capacity rules and constants).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from watch import Event, Expired

CAPACITY_MIN = 100
CAPACITY_MAX = 102_400
"""About 150 MB of 1.5 KB events: what a busy resource of a large cluster writes in a few minutes."""
FRESH_S = 75.0
"""How long an event should stay: a watcher's bookmark is at most 60 s old, and 15 s are left to come back with it."""


CAPACITY_DOUBLINGS_MAX = 14
"""CAPACITY_MAX doubled more often would not fit the 32 bits that Kubernetes counts it with."""


def capacity_bound(fresh_s: float) -> int:
    """How many events a ring may hold at most, if they are to stay for `fresh_s` seconds: doubled with the time.

    >>> [capacity_bound(seconds) for seconds in (75, 76, 150, 151)]
    [102400, 204800, 204800, 409600]
    """
    if fresh_s <= FRESH_S:
        return CAPACITY_MAX
    return CAPACITY_MAX << min(math.ceil(math.log2(fresh_s / FRESH_S)), CAPACITY_DOUBLINGS_MAX)


class Ring:
    """Events in revision order, oldest first; events of one revision stay together.

    Args:
        capacity_min, capacity_max: bounds in events; the ring starts at the lower one. The upper follows `fresh_s` by default.
        fresh_s: how long events should stay before they may be evicted, in seconds.
    """

    def __init__(
        self, *, capacity_min: int = CAPACITY_MIN, capacity_max: int | None = None, fresh_s: float = FRESH_S
    ) -> None:
        if capacity_max is None:
            capacity_max = capacity_bound(fresh_s)
        if not 0 < capacity_min <= capacity_max:
            raise ValueError(f"need 0 < capacity_min <= capacity_max, not {capacity_min} and {capacity_max}")
        self.capacity = capacity_min
        self.capacity_min = capacity_min
        self.capacity_max = capacity_max
        self.fresh_s = fresh_s
        self.resizes = 0
        self.growths = 0
        """Of the resizes, those that made it larger."""
        self.evictions = 0
        self._events: list[Event | None] = [None] * capacity_min
        self._times: list[float] = [0.0] * capacity_min
        self._start = 0
        self._end = 0
        self._start_revision = 0  # the list that this history continues
        self._evicted_revision = 0  # the newest revision of which an event was evicted; 0: none since `clear`

    def __len__(self) -> int:
        return self._end - self._start

    def __iter__(self) -> Iterator[Event]:
        """Oldest first."""
        return (self._at(index) for index in range(self._start, self._end))

    def clear(self, revision: int, *, from_zero: bool = False) -> None:
        """Forget all events: a list at `revision` replaced what they led to.

        `from_zero`: count events from 0 again, as v1.22 did; else an index never means two events.
        """
        self._events = [None] * self.capacity
        self._start = self._end = 0 if from_zero else self._end
        self._start_revision = revision
        self._evicted_revision = 0

    def append(self, event: Event, now: float) -> None:
        """Take the newest event; where the ring is full it grows, shrinks or drops its oldest. `now`: seconds.

        Cost: O(1) amortised; a resize copies, and each doubles or halves.
        """
        self.extend((event,), now)

    def extend(self, events: Iterable[Event], now: float) -> None:
        """Take them as `append` would one by one. Cost: O(events) amortised, about 0.2 µs each."""
        for event in events:
            end = self._end
            if end - self._start == self.capacity:
                self._make_room(now)
            slot = end % self.capacity
            self._events[slot] = event
            self._times[slot] = now
            self._end = end + 1

    @property
    def oldest_watchable(self) -> int:
        """The lowest revision that a watch can start from (exclusive): nothing newer than it is missing."""
        return self._evicted_revision or self._start_revision

    @property
    def oldest_kept(self) -> int:
        """Events with a revision below this are gone; all others since the last `clear` are here."""
        return self._evicted_revision + 1 if self._evicted_revision else 0

    def since(self, revision: int) -> list[Event]:
        """The events newer than `revision`, oldest first.

        Raises:
            Expired: an event newer than `revision` may be gone; the reader must list again.
        Cost: O(log n) to find the start, O(1) an event.
        Differs: Kubernetes refuses below (revision of the oldest event kept) - 1; here the bound is the newest revision
            evicted, which is lower where revisions of other resources lie between, and lets more watches start.
        """
        if revision < self.oldest_watchable:
            raise Expired(revision, self.oldest_watchable)
        first = self._first_after(revision)
        slot, stop = first % self.capacity, self._end % self.capacity
        if first == self._end:
            return []
        events = self._events[slot:stop] if slot < stop else self._events[slot:] + self._events[:stop]
        return events  # type: ignore[return-value] # slots between start and end are filled (see _check)

    def limit(self, capacity: int) -> None:
        """Keep at most `capacity` events from now on, whatever is fresh; the oldest of what is more are gone."""
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}: a ring keeps at least one event")
        self.capacity_max = capacity
        self.capacity_min = min(self.capacity_min, capacity)
        if self.capacity > capacity:
            self._resize(capacity)

    def _first_after(self, revision: int) -> int:
        low, high = self._start, self._end
        while low < high:
            middle = (low + high) // 2
            if self._at(middle).revision > revision:
                high = middle
            else:
                low = middle + 1
        return low

    def _at(self, index: int) -> Event:
        event = self._events[index % self.capacity]
        assert event is not None
        return event

    def _make_room(self, now: float) -> None:
        capacity, times = self.capacity, self._times
        if capacity < self.capacity_max and now - times[self._start % capacity] < self.fresh_s:
            self._resize(min(capacity * 2, self.capacity_max))
        elif capacity > self.capacity_min and now - times[(self._end - capacity // 4) % capacity] > self.fresh_s:
            self._resize(max(capacity // 2, self.capacity_min))
        if self._end - self._start == self.capacity:
            self._evict(1)

    def _resize(self, capacity: int) -> None:
        self._evict(max(0, len(self) - capacity))
        events: list[Event | None] = [None] * capacity
        times = [0.0] * capacity
        for index in range(self._start, self._end):
            events[index % capacity] = self._events[index % self.capacity]
            times[index % capacity] = self._times[index % self.capacity]
        self.resizes += 1
        self.growths += capacity > self.capacity
        self._events, self._times, self.capacity = events, times, capacity

    def _evict(self, count: int) -> None:
        for _ in range(count):
            slot = self._start % self.capacity
            event = self._events[slot]
            assert event is not None
            self._evicted_revision = event.revision
            self._events[slot] = None
            self._start += 1
        self.evictions += count

    def _check(self) -> None:
        """The whole invariant, in words."""
        assert 0 <= len(self) <= self.capacity, "no more events than slots"
        assert self.capacity_min <= self.capacity <= self.capacity_max, "the capacity is within its bounds"
        assert len(self._events) == len(self._times) == self.capacity, "a slot each"
        revisions = [event.revision for event in self]
        assert revisions == sorted(revisions), "oldest first"
        assert not revisions or revisions[0] >= self._evicted_revision, "what was evicted was older than what is kept"
        assert sum(event is not None for event in self._events) == len(self), "free slots hold nothing"
