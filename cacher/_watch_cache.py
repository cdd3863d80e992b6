"""The watch cache: history ring, current objects and revision, moved forward together; and waiting until it is fresh enough.

Everything but `wait_until_fresh` is synchronous, so a reader sees a whole revision or none of it. One resource, one cache.

    Replace ──► objects, empty ring, revision        Changes ──► for each: previous object, ring, objects; then revision
    bookmark ─► revision alone

Source: kubernetes/apiserver pkg/storage/cacher/watch_cache.go.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio

from reflector import Changes, Replacement
from watch import Event, Expired, Object, Selector, TooLargeResourceVersion, filter_event

from ._ring import Ring
from ._snapshot import Snapshot, underlying_event

FRESH_TIMEOUT_S = 3.0
"""How long a reader waits for the cache to reach its revision. Source: watch_cache.go, blockTimeout."""
RETRY_AFTER_S = 1.0
UNDO_EVENTS_MAX = 10_000
"""A list of everything that would undo more goes to the store: 10,000 undone events cost about 5 ms."""


class WatchCache:
    """What one resource's readers read. `clock` gives seconds (the trio clock by default)."""

    def __init__(self, *, ring: Ring | None = None, clock: Callable[[], float] = trio.current_time) -> None:
        self.ring = ring if ring is not None else Ring()
        self.snapshot = Snapshot()
        self.revision = 0
        """Everything up to here is in."""
        self.list_revision = 0
        """Of the last Replace; the history starts there."""
        self._clock = clock
        self._waiting: list[tuple[int, int, trio.Event]] = []  # a heap: (revision awaited, arrival, to be set)
        self._arrivals = itertools.count()

    # ---- moving forward ----

    def replace(self, replacement: Replacement) -> None:
        """Become the state of a list; history starts anew."""
        self.snapshot.replace(replacement.objects)
        self.ring.clear(replacement.revision)
        self.list_revision = replacement.revision
        self.revision = replacement.revision
        self._wake()

    def apply(self, changes: Changes) -> list[Event]:
        """Take whole revisions, and return them as this cache's own events, with what was there before.

        Cost: O(1) an event, O(log n) where a key comes or goes.
        """
        now = self._clock()
        snapshot, ring = self.snapshot, self.ring
        events = []
        for change in changes.events:
            event = underlying_event(change, snapshot.get(change.object.key))
            if event is None:
                continue
            ring.append(event, now)
            if event.type == "DELETED":
                snapshot.remove(event.object.key)
            else:
                snapshot.put(event.object)
            events.append(event)
        self.advance(changes.revision)
        return events

    def advance(self, revision: int) -> None:
        """Nothing more happened up to `revision`. A revision from the past is ignored: another stream may lag."""
        if revision > self.revision:
            self.revision = revision
            self._wake()

    # ---- reading ----

    @property
    def is_awaited(self) -> bool:
        """True while somebody waits for a revision that has not come."""
        return bool(self._waiting)

    async def wait_until_fresh(self, revision: int, *, timeout_s: float = FRESH_TIMEOUT_S) -> None:
        """Return once everything up to `revision` is in.

        Raises:
            TooLargeResourceVersion: it was not within `timeout_s`; retry, or ask for less.
        """
        if revision <= self.revision:
            await trio.lowlevel.checkpoint()
            return
        arrived = trio.Event()
        entry = (revision, next(self._arrivals), arrived)
        heapq.heappush(self._waiting, entry)
        try:
            with trio.move_on_after(timeout_s):
                await arrived.wait()
        finally:
            if not arrived.is_set():
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
        if not arrived.is_set():
            raise TooLargeResourceVersion(revision, self.revision, retry_after_s=RETRY_AFTER_S)

    def objects(self, selector: Selector, *, prefix: str, revision: int | None = None) -> list[Object]:
        """What `selector` lets through under `prefix`, in key order: now, or as it was at `revision`.

        Raises:
            Expired: `revision` is older than the history reaches, or undoing it would take too long.
            TooLargeResourceVersion: `revision` is yet to come.
        Cost: O(objects under the prefix), and O(events since) for the past.
        """
        if revision is None or revision == self.revision:
            objects = self.snapshot.objects(prefix)
        else:
            if revision > self.revision:
                raise TooLargeResourceVersion(revision, self.revision, retry_after_s=RETRY_AFTER_S)
            newer = self.ring.since(revision)
            if len(newer) > UNDO_EVENTS_MAX:
                raise Expired(revision, newer[-UNDO_EVENTS_MAX].revision)
            objects = self.snapshot.objects_at(newer, prefix)
        matches = selector.compile()
        return objects if matches is None else [obj for obj in objects if matches(obj)]

    def history(self, selector: Selector, revision: int) -> tuple[Event, ...]:
        """The events after `revision` as a watcher of `selector` is to see them.

        Raises:
            Expired: the ring does not reach back so far; list again.
        Cost: O(events since); one pass that nothing interrupts, so that a watch can join with no gap.
        """
        newer = self.ring.since(revision)
        matches = selector.compile()
        if matches is None:
            return tuple(newer)
        seen = (filter_event(matches, event) for event in newer)
        return tuple(event for event in seen if event is not None)

    def _wake(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= self.revision:
            heapq.heappop(waiting)[2].set()

    def _check(self) -> None:
        """The whole invariant, in words."""
        self.ring._check()
        self.snapshot._check()
        assert self.revision >= self.list_revision, "the cache is not older than its list"
        assert all(event.revision <= self.revision for event in self.ring), "no event from the future"
        assert all(entry[0] > self.revision for entry in self._waiting), "nobody waits for what is here"
