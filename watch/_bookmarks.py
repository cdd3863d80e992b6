"""Which watches are due a bookmark in which second.

A bookmark tells a quiet watch how far it has seen, so that it can resume from there and not from its last event, which
the history may have dropped long ago. A watch gets one a minute, and a last one just before its deadline, when the
client is about to reconnect. The schedule only says whose turn it is; the owner of the watches asks it once a tick.

    bucket      ...17     18     19 ...    one a second; a watch is in one bucket at most
    watches       a,b      -     c,d,e     in the order in which they were added
    immediate   f                          due at every tick: it waits for the bookmark that ends its initial events

Limit: as many entries as watches; about 62 buckets, since nobody is scheduled further ahead than the period. Pure:
times are handed in, in seconds of one clock.

Source: kubernetes/apiserver pkg/storage/cacher, watcherBookmarkTimeBuckets in cacher.go and nextBookmarkTime in
cache_watcher.go.
Differs: a watch whose last turn falls into the second just served does not get another bookmark at the next tick.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

BOOKMARK_PERIOD_S = 60.0
"""A quiet watch lags by at most this; the history keeps 75 s, so that it resumes without a 410 after a disconnect."""
DEADLINE_MARGIN_S = 2.0
"""The last bookmark comes this long before the deadline: time for a tick to be late and for the client to read it."""
TICK_S = 1.0
"""Width of a bucket, and the shortest time between two questions: precision that costs one wake a second in all."""
TICK_JITTER = 0.25
"""A tick lasts 1 to 1.25 × TICK_S, so that many caches in one process do not all wake at once."""

T = TypeVar("T", bound=Hashable)


def bookmark_tick_delay_s(draw: float) -> float:
    """How long to sleep before the next `pop_due`. `draw`: evenly from 0 to 1, from the owner's Random."""
    return TICK_S * (1 + TICK_JITTER * draw)


class BookmarkSchedule(Generic[T]):
    """Whose turn it is. Every method is O(1) for each watch that it concerns."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[T, None]] = {}
        self._immediate: dict[T, None] = {}
        self._entries: dict[T, tuple[int | None, float | None]] = {}  # bucket (None: immediate) and deadline

    def __len__(self) -> int:
        """Watches that have a turn to come."""
        return len(self._entries)

    def __contains__(self, item: T) -> bool:
        return item in self._entries

    def add(self, item: T, now: float, deadline: float | None, *, immediate: bool = False) -> bool:
        """Schedule `item` in a period, or 2 s before its `deadline` where that is sooner; it moves if it was scheduled.

        Args:
            immediate: due at every tick, until added again without it or removed; for who waits for a first bookmark.
        Returns False where its last turn is past: it is then not scheduled.
        """
        self.remove(item)
        if immediate:
            self._immediate[item] = None
            self._entries[item] = (None, deadline)
            return True
        due = now + BOOKMARK_PERIOD_S
        if deadline is not None:
            due = min(due, deadline - DEADLINE_MARGIN_S)
        if due < now:
            return False
        self._put(item, _bucket(due), deadline)
        return True

    def remove(self, item: T) -> None:
        """Forget `item`; nothing where it is not scheduled."""
        bucket, _ = self._entries.pop(item, (None, None))
        if bucket is None:
            self._immediate.pop(item, None)
            return
        items = self._buckets[bucket]
        del items[item]
        if not items:
            del self._buckets[bucket]

    def pop_due(self, now: float) -> list[T]:
        """Whose turn has come: first who is due at every tick, then by second and order of adding.

        Each has its next turn scheduled, if there is one. A turn comes at the first tick in its second or later: less
        than a second early, or late by the tick.
        Cost: O(due), and O(buckets), of which there are about 62.
        """
        current = _bucket(now)
        due = list(self._immediate)
        for bucket in sorted(number for number in self._buckets if number <= current):
            items = list(self._buckets[bucket])
            due.extend(items)
            for item in items:
                self._reschedule(item, now, current)
        return due

    def _reschedule(self, item: T, now: float, current: int) -> None:
        _, deadline = self._entries[item]
        # A turn in the second being served is the one just taken, a little early.
        if self.add(item, now, deadline) and self._entries[item][0] == current:
            self.remove(item)

    def _put(self, item: T, bucket: int, deadline: float | None) -> None:
        self._buckets.setdefault(bucket, {})[item] = None
        self._entries[item] = (bucket, deadline)

    def _check(self) -> None:
        """Every entry is in the one bucket that it names, and no bucket is empty or holds anybody else."""
        assert all(self._buckets.values()), "an empty bucket was kept"
        for item, (bucket, _) in self._entries.items():
            assert item in (self._immediate if bucket is None else self._buckets[bucket]), f"{item} is not in {bucket}"
        held = len(self._immediate) + sum(map(len, self._buckets.values()))
        assert held == len(self._entries), f"{held} places for {len(self._entries)} watches"


def _bucket(time_s: float) -> int:
    return int(time_s // TICK_S)
