"""The watch cache: history ring, current objects and revision, moved forward together; and waiting until it is fresh enough.

Everything but `wait_until_fresh` is synchronous, so a reader sees a whole revision or none of it. One resource, one cache.

    Replace ──► objects, empty ring, revision        Changes ──► for each: previous object, ring, objects; then revision
    bookmark ─► revision alone                       Reading ──► objects at one revision, a step at a time

Source: kubernetes/apiserver pkg/storage/cacher/watch_cache.go.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import trio

from reflector import Changes, Replacement
from watch import (
    Event,
    EventType,
    Expired,
    Object,
    Selector,
    SortedKeys,
    TooLargeResourceVersion,
    filter_event,
)

from ._ring import Ring
from ._selection import IndexKey, Selection, selection_of
from ._snapshot import AFTER, Past, Section, Snapshot, range_end, underlying_event

FRESH_TIMEOUT_S = 3.0
"""How long a reader waits for the cache to reach its revision. Source: watch_cache.go, blockTimeout."""
RETRY_AFTER_S = 1.0
UNDO_EVENTS_MAX = 10_000
"""A list that would undo more goes to the store: 10,000 undone events cost about 2 ms."""
STEP_KEYS_MAX = 5_000
"""Keys that one step of a Reading looks at: 0.1 ms, with a selector 1 ms; undoing adds up to 2. Others run in between."""


class WatchCache:
    """What one resource's readers read.

    Args:
        clock: gives seconds (the trio clock by default).
        indexed: fields by whose value objects are found.
        is_v1_22: as that release: a bookmark from upstream wakes nobody (who waited for it finds it when the time is
            up), and the ring counts from 0 again after a Replace.
    """

    def __init__(
        self,
        *,
        ring: Ring | None = None,
        clock: Callable[[], float] = trio.current_time,
        indexed: Sequence[str] = (),
        is_v1_22: bool = False,
    ) -> None:
        self.ring = ring if ring is not None else Ring()
        self.snapshot = Snapshot(indexed)
        self.revision = 0
        """Everything up to here is in."""
        self.list_revision = 0
        """Of the last Replace; the history starts there."""
        self.replacements = 0
        """How many there were. What was read before the last one is of another history."""
        self._clock = clock
        self._is_v1_22 = is_v1_22
        self._is_consistent = True
        self._trusted_from = 0  # the history before it is not to be shown: it was found wrong
        self._waiting: SortedKeys[tuple[int, int]] = SortedKeys()  # (revision awaited, arrival)
        self._arrived: dict[tuple[int, int], trio.Event] = {}  # to be set for each of them
        self._arrivals = itertools.count()

    # ---- moving forward ----

    def replace(self, replacement: Replacement) -> None:
        """Become the state of a list; history starts anew."""
        self.snapshot.replace(replacement.objects)
        self.ring.clear(replacement.revision, from_zero=self._is_v1_22)
        self.list_revision = replacement.revision
        self.replacements += 1
        self.revision = replacement.revision
        self._wake()

    def apply(self, changes: Changes) -> list[Event]:
        """Take whole revisions, and return them as this cache's own events, with what was there before.

        Cost: O(1) an event, O(log n) where a key comes or goes.
        """
        put, remove, deleted = self.snapshot.put, self.snapshot.remove, EventType.DELETED
        events = []
        for change in changes.events:
            obj = change.object
            was = remove(obj.key) if change.type is deleted else put(obj)
            event = underlying_event(change, was)
            if event is not None:
                events.append(event)
        self.ring.extend(events, self._clock())
        self.advance(changes.revision)
        return events

    def advance(self, revision: int) -> None:
        """Nothing more happened up to `revision`. A revision from the past is ignored: another stream may lag."""
        if revision > self.revision:
            self.revision = revision
            self._wake()

    def progress(self, revision: int) -> None:
        """As `advance`, where upstream said no more than that."""
        if self._is_v1_22:
            self.revision = max(self.revision, revision)
        else:
            self.advance(revision)

    def mark_consistent(self, is_consistent: bool) -> None:
        """False: show no past revision from here on, the store shows others. True: begin to again, from now on."""
        if is_consistent and not self._is_consistent:
            self._trusted_from = self.revision
        self._is_consistent = is_consistent

    # ---- reading ----

    @property
    def oldest_exact(self) -> int | None:
        """The lowest revision that can be shown exactly; None: none, since nothing was listed yet, or it was found wrong."""
        if not self._is_consistent or not self.list_revision:
            return None
        return max(self.ring.oldest_watchable, self._trusted_from)

    @property
    def is_awaited(self) -> bool:
        """True while somebody waits for a revision that has not come."""
        return bool(self._arrived)

    async def wait_until_fresh(self, revision: int, *, timeout_s: float = FRESH_TIMEOUT_S) -> None:
        """Return once everything up to `revision` is in.

        Raises:
            TooLargeResourceVersion: it was not within `timeout_s`; retry, or ask for less.
        Cost: O(log n) with n readers waiting, also where they all give up at once.
        """
        if revision <= self.revision:
            await trio.lowlevel.checkpoint()
            return
        entry = (revision, next(self._arrivals))
        arrived = self._arrived[entry] = trio.Event()
        self._waiting.add(entry)
        try:
            with trio.move_on_after(timeout_s):
                await arrived.wait()
        finally:
            if not arrived.is_set():
                self._forget(entry)
        if revision > self.revision:
            raise TooLargeResourceVersion(revision, self.revision, retry_after_s=RETRY_AFTER_S)

    def objects(self, selector: Selector, *, prefix: str, revision: int | None = None) -> list[Object]:
        """What `selector` lets through under `prefix`, in key order: now, or as it was at `revision`.

        Raises:
            Expired: `revision` is older than the history reaches, or undoing it would take too long.
            TooLargeResourceVersion: `revision` is yet to come.
        Cost: O(objects under the prefix), and O(events since) for the past.
        """
        reading = Reading(self, selector, prefix=prefix, revision=revision)
        while not reading.is_complete:
            reading.step()
        return reading.objects

    def selection_of(self, selector: Selector) -> Selection:
        """How lists here look for what `selector` wants."""
        return selection_of(selector, self.snapshot.indexed)

    def look(self, selection: Selection, *, prefix: str) -> Section:
        """What one step of a Reading of the present finds; with its position, where there is more. Cost: that of a step."""
        return self.snapshot.section(
            prefix,
            range_end(prefix),
            sift=selection.sift,
            rest=selection.rest,
            keys_max=STEP_KEYS_MAX,
            index=selection.index,
        )

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
        if not self._arrived:
            return
        for entry in list(self._waiting.irange(maximum=(self.revision + 1, 0), inclusive=(True, False))):
            self._forget(entry).set()

    def _forget(self, entry: tuple[int, int]) -> trio.Event:
        self._waiting.remove(entry)
        return self._arrived.pop(entry)

    def _check(self) -> None:
        """The whole invariant, in words."""
        self.ring._check()
        self.snapshot._check()
        assert self.revision >= self.list_revision, "the cache is not older than its list"
        assert all(event.revision <= self.revision for event in self.ring), "no event from the future"
        if not self._is_v1_22:
            assert all(entry[0] > self.revision for entry in self._waiting), "nobody waits for what is here"
        assert list(self._waiting) == sorted(self._arrived), "who waits can be woken"


class Reading:
    """A list of one page, or of everything, at one revision, in steps between which others may run.

    Cost of a step: O(STEP_KEYS_MAX + log n), and O(events since the step before, or since the revision) to undo them.
    Differs: Kubernetes captures a copy-on-write tree; here the ring must still reach back to the step before.

    Args:
        prefix: the range; the selector's namespace is not looked at here, other than by matching.
        start: the first key of the page, "" for that of the range.
        limit: objects of the page; 0: all.
        revision: None: the present one.
        begun: what `WatchCache.look` has just found of the same, to go on from.
        is_joined: a watch is to go on from its revision: it is expired as soon as the history does not reach back to that.
    """

    def __init__(
        self,
        cache: WatchCache,
        selector: Selector,
        *,
        prefix: str,
        start: str = "",
        limit: int = 0,
        revision: int | None = None,
        begun: Section | None = None,
        is_joined: bool = False,
    ) -> None:
        self.revision = cache.revision if revision is None else revision
        """What it shows."""
        self.objects: list[Object] = begun.objects if begun is not None else []
        self.is_complete = False
        self.following = 0
        """Where it is complete: how many objects come after the last one, up to the end of the range."""
        self.looked_at = begun.looked_at if begun is not None else 0
        self._cache = cache
        self._selection = cache.selection_of(selector)
        self._position = begun.position if begun is not None else start or prefix
        self._end = range_end(prefix)
        self._limit = limit
        self._is_past = revision is not None and revision != cache.revision
        self._is_joined = is_joined
        self._past = Past(self._position, self._end)
        self._undone = self.revision  # events up to here are not in the way, or taken back in `_past`
        self._undone_events = 0
        self._replacements = cache.replacements

    @property
    def index(self) -> IndexKey | None:
        """By which field and value it looks."""
        return self._selection.index

    def step(self) -> None:
        """Read on.

        Raises:
            Expired: the history does not reach back to the revision (any more), or there is too much to undo; ask the store.
            TooLargeResourceVersion: it is yet to come.
        """
        self._undo()
        cache, selection, limit = self._cache, self._selection, self._limit
        section = cache.snapshot.section(
            self._position,
            self._end,
            sift=selection.sift,
            rest=selection.rest,
            limit=limit and limit - len(self.objects),
            keys_max=STEP_KEYS_MAX,
            past=self._past,
            index=selection.index,
        )
        if self.objects:
            self.objects += section.objects
        else:
            self.objects = section.objects
        self.looked_at += section.looked_at
        self._position = section.position
        if limit and len(self.objects) == limit:
            rest = self.objects[-1].key + AFTER
            self.following = cache.snapshot.count(rest, self._end, past=self._past, index=selection.index)
            self.is_complete = True
        elif not section.position:
            self.is_complete = True

    def _undo(self) -> None:
        """Take back what came after the revision, as far as that is not done."""
        cache, revision = self._cache, self.revision
        if revision > cache.revision:
            raise TooLargeResourceVersion(revision, cache.revision, retry_after_s=RETRY_AFTER_S)
        oldest = cache.oldest_exact if self._is_past else cache.ring.oldest_watchable if self._is_joined else 0
        if oldest is None or revision < oldest or self._replacements != cache.replacements:
            raise Expired(revision, cache.revision if oldest is None else max(oldest, cache.list_revision))
        if self._undone == cache.revision:
            return
        newer = cache.ring.since(self._undone)
        self._undone_events += len(newer)
        if self._undone_events > UNDO_EVENTS_MAX:
            raise Expired(revision, newer[-min(len(newer), UNDO_EVENTS_MAX)].revision)
        self._past.undo(newer)
        self._undone = cache.revision
