"""A Cacher: one upstream watch of one resource, served to any number of readers.

    ListerWatcher ─ Reflector ─► WatchCache (ring, objects) ─► Router ─► views ─► watches
                                   │ list, get                             │ bookmarks, every minute a watch
                                   ▼                                       ▼
                                readers                                 watchers

States: pending (no complete list yet, or a new one is needed) ⇄ ready. Leaving ready ends every watch, as Kubernetes does:
its watchers come back with their revision, and are resumed or told to list again.
Source: kubernetes/apiserver pkg/storage/cacher/cacher.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec
import trio

from reflector import Changes, ListerWatcher, Reflector, Replacement
from watch import (
    Batch,
    BookmarkSchedule,
    Event,
    EventType,
    NotReady,
    Object,
    Router,
    Selector,
    Watch,
    bookmark_tick_delay_s,
)

from ._ring import Ring
from ._watch_cache import WatchCache

LIST_PAGE_SIZE = 10_000
"""Objects a page when the cache fills itself. Source: cacher.go, storageWatchListPageSize."""
PROGRESS_PERIOD_S = 0.1
"""How often upstream is asked how far it is while a reader waits. Source: lister_watcher's progressRequestPeriod."""


class CacherStatistics(msgspec.Struct, frozen=True):
    """One cache at one moment. Counters run from its start."""

    prefix: str
    is_ready: bool
    revision: int
    objects: int
    ring_length: int
    ring_capacity: int
    ring_capacity_max: int
    ring_oldest_revision: int
    """A watch may start from this revision or any newer one."""
    ring_resizes: int
    ring_evictions: int
    watches: int
    views: int
    events: int
    """Upstream events taken."""
    bookmarks: int
    """Given to watches."""
    expired: int
    """Watches that lost an event of their own to the ring."""
    log_events: int
    """Events kept for watches that have not taken them, each view's counted once."""
    view_log_events_max: int
    lists: int
    relists: int
    resumes: int
    initializations: int


class Cacher:
    """Serves lists and watches of the resource under `prefix`. Starts nothing until `run` is called.

    Args:
        prefix: the storage keys' common start, ending in "/".
        random: draws the jitter of backoff and bookmarks.
        ring: the history; a Ring with Kubernetes' bounds by default.
    """

    def __init__(self, lister_watcher: ListerWatcher, *, prefix: str, random: Random, ring: Ring | None = None) -> None:
        self.prefix = prefix
        self.cache = WatchCache(ring=ring)
        self.router = Router()
        self._lister_watcher = lister_watcher
        self._random = random
        self._reflector = Reflector(
            lister_watcher,
            self,
            random=random,
            page_size=LIST_PAGE_SIZE,
            first_list="",
            name=prefix,
            on_interrupted=self._interrupted,
        )
        self._bookmarks: BookmarkSchedule[Watch] = BookmarkSchedule()
        self._ready = trio.Event()
        self._why_not_ready = "the first list has not come yet"
        self._awaited = trio.Event()
        self._events = 0
        self._initializations = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started once the first list is in. Ends every watch when it stops."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give_bookmarks)
                nursery.start_soon(self._request_progress)
                nursery.start_soon(self._reflector.run)
                await self._ready.wait()
                task_status.started()
        finally:
            self._interrupted("it was stopped")

    # ---- reading ----

    @property
    def is_ready(self) -> bool:
        """True while there is a complete state to serve."""
        return self._ready.is_set()

    @property
    def revision(self) -> int:
        """Everything up to here can be read."""
        return self.cache.revision

    async def wait_until_ready(self) -> None:
        """Return once there is a complete state to serve."""
        await self._ready.wait()
        while not self.is_ready:  # lost again before this task ran
            await self._ready.wait()

    async def wait_until_fresh(self, revision: int) -> None:
        """Return once everything up to `revision` is here, asking upstream how far it is meanwhile.

        Raises:
            TooLargeResourceVersion: it was not within 3 s; retry, or ask for less.
        """
        if revision > self.cache.revision:
            self._awaited.set()
        await self.cache.wait_until_fresh(revision)

    def get(self, key: str) -> Object | None:
        """The object under a storage key, as the cache has it. Raises NotReady."""
        self._require_ready()
        return self.cache.snapshot.get(key)

    def list(self, selector: Selector, *, revision: int | None = None) -> tuple[tuple[Object, ...], int]:
        """What `selector` lets through, in key order, and the revision that it shows: `revision`, or the cache's own.

        Raises:
            NotReady: retry after its `retry_after_s`.
            Expired, TooLargeResourceVersion: as `WatchCache.objects`.
        Cost: O(objects in the selector's namespace), plus O(events since) for a past revision.
        """
        self._require_ready()
        objects = self.cache.objects(selector, prefix=self._prefix_of(selector), revision=revision)
        return tuple(objects), self.cache.revision if revision is None else revision

    def watch(
        self,
        selector: Selector,
        *,
        after: int | None,
        initial: bool = False,
        initial_bookmark: bool = False,
        bookmarks: bool = False,
        deadline: float | None = None,
    ) -> Watch:
        """A watch from revision `after` on (exclusive; None: from now), joined to its history in one step.

        Args:
            initial: first the state of now as ADDED, in key order; `after` must have been reached.
            initial_bookmark: end that state with the annotated bookmark.
            bookmarks: say about every minute how far the watch is, and 2 s before `deadline`.
            deadline: when the reader is going to stop, in trio seconds.
        Raises:
            Expired: the history does not reach back to `after`; list again.
            NotReady: retry after its `retry_after_s`.
        Cost: O(events since `after`), or O(objects) with `initial`.
        """
        self._require_ready()
        cache, router = self.cache, self.router
        if initial:
            objects = cache.objects(selector, prefix=self._prefix_of(selector))
            state = tuple(Event(EventType.ADDED, obj, obj.revision) for obj in objects)
            watch = router.watch(
                selector,
                after=cache.revision,
                initial=state,
                initial_revision=cache.revision,
                initial_bookmark=initial_bookmark,
            )
        else:
            start = cache.revision if after is None else after
            history = cache.history(selector, start) if start < cache.revision else self._no_history(start)
            watch = router.watch(selector, after=start, history=history)
        if bookmarks:
            self._bookmarks.add(watch, trio.current_time(), deadline)
        return watch

    def statistics(self) -> CacherStatistics:
        """Figures for people and judges. Cost: O(views)."""
        ring, router, reflector = self.cache.ring, self.router, self._reflector.statistics()
        logs = [view.log_events() for view in router.views()]
        return CacherStatistics(
            prefix=self.prefix,
            is_ready=self.is_ready,
            revision=self.cache.revision,
            objects=len(self.cache.snapshot),
            ring_length=len(ring),
            ring_capacity=ring.capacity,
            ring_capacity_max=ring.capacity_max,
            ring_oldest_revision=ring.oldest_watchable,
            ring_resizes=ring.resizes,
            ring_evictions=ring.evictions,
            watches=router.watches(),
            views=len(logs),
            events=self._events,
            bookmarks=router.bookmarks,
            expired=router.expired,
            log_events=sum(logs),
            view_log_events_max=max(logs, default=0),
            lists=reflector.lists,
            relists=reflector.relists,
            resumes=reflector.resumes,
            initializations=self._initializations,
        )

    # ---- ReflectorStore: what the reflector writes into ----

    def objects(self) -> Sequence[Object]:
        """What the cache holds, for the reflector to see what a list no longer has."""
        return self.cache.snapshot.objects()

    def replace(self, replacement: Replacement) -> None:
        """Take a complete state; the cache is ready from here on."""
        self.router.end_all()
        self.cache.replace(replacement)
        self.router.flush(revision=replacement.revision, oldest_revision=self.cache.ring.oldest_kept)
        self._initializations += 1
        self._ready.set()

    def apply(self, changes: Changes) -> None:
        """Take changes and hand them to whom they concern, in one step."""
        events = self.cache.apply(changes)
        self._events += len(changes.events)
        self.router.publish(events, revision=self.cache.revision, oldest_revision=self.cache.ring.oldest_kept)

    def bookmark(self, revision: int) -> None:
        """Take note of upstream's progress."""
        self.cache.advance(revision)
        self.router.flush(revision=self.cache.revision, oldest_revision=self.cache.ring.oldest_kept)

    # ---- inside ----

    def _no_history(self, start: int) -> Batch:
        self.cache.ring.since(start)  # a start below the history is refused, also where nothing is newer
        return ()

    def _prefix_of(self, selector: Selector) -> str:
        return f"{self.prefix}{selector.namespace}/" if selector.namespace else self.prefix

    def _require_ready(self) -> None:
        if not self._ready.is_set():
            raise NotReady(self._why_not_ready)

    def _interrupted(self, reason: str) -> None:
        if self._ready.is_set():
            self._ready = trio.Event()
        self._why_not_ready = reason
        self.router.end_all()

    async def _give_bookmarks(self) -> None:
        while True:
            await trio.sleep(bookmark_tick_delay_s(self._random.random()))
            due = self._bookmarks.pop_due(trio.current_time())
            for watch in due:
                if watch.is_ended:
                    self._bookmarks.remove(watch)
            self.router.offer_bookmarks(due)

    async def _request_progress(self) -> None:
        while True:
            await self._awaited.wait()
            while self.cache.is_awaited:
                self._lister_watcher.request_progress()
                await trio.sleep(PROGRESS_PERIOD_S)
            self._awaited = trio.Event()
