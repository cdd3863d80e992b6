"""CacherStorage: a storage that answers reads from a cache wherever Kubernetes would, and passes the rest on.

    write ───────────────────────────────────────────────► underlying      the cached object goes along as a suggestion
    get, get_list ─ _delegation ─► cache, once it is fresh enough
                              └──────────────────────────► underlying      with the caller's own options
    watch ──────────────────────► cache, always

It can be told from the storage below it by its speed and by reads at "0", which may be old; `storage.conformance` asks.
Source: kubernetes/apiserver pkg/storage/cacher/delegator.go, cacher.go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio

from reflector import ListerWatcher
from watch import (
    Expired,
    Object,
    Selector,
    TooLargeResourceVersion,
    Watch,
    WatchError,
    bookmark_tick_delay_s,
)

from ._cacher import Cacher
from ._consistency import PERIOD_S, ConsistencyChecker
from ._delegation import (
    CacheView,
    Unready,
    WatchPlan,
    get_when_not_ready,
    is_as_it_is,
    list_when_not_ready,
    plan_watch,
    should_delegate,
    watch_when_not_ready,
)
from ._lister_watcher import StorageListerWatcher
from ._ring import Ring
from ._scope import Scope, narrowed_prefix
from ._selection import IndexKey
from ._streams import FailedStream, KeyStream, LateEndStream
from ._watch_cache import Reading
from .storage import (
    EventStream,
    Interface,
    InternalError,
    KeyNotFound,
    ListOptions,
    ListPlan,
    ListResult,
    PassingStorage,
    Preconditions,
    ProgressUntrusted,
    Semantics,
    StatusError,
    StorageError,
    TryUpdate,
    ValidateDeletion,
    encode_continue,
    parse_watch_resource_version,
    plan_list,
    prepare_key,
    prepare_root,
)
from .storage._metrics import CacheMetrics
from .storage._nursery import open_service_nursery

LIST_KEYS_MAX = 1_024
"""Keys of lists that are remembered as checked; when there are more, all are forgotten."""


class CacherStorage(PassingStorage):
    """`underlying` behind a cache (see Interface). Starts nothing until `run` is called; until then it is not ready.

    Args:
        random: draws the jitter of backoff and bookmarks.
        root: what every object's key starts with before `resource_prefix`.
        ring: the history; one with Kubernetes' bounds by default.
        semantics: V1_22: that release's way with reads while not ready, unset revisions of watches, bookmarks, progress.
        indexed: fields by whose value lists find objects, such as `spec.nodeName`.
        supports_progress: whether `underlying.request_watch_progress` can be trusted; without it, consistent reads, and
            exact ones of revisions to come, are the store's.
        snapshots: whether past revisions are shown from the cache's history.
        metrics: what counts, where anybody wants to know.
        lister_watcher: what the cache is filled from, and asked how far it is; `underlying` by default.
        consistency_period_s: seconds, up to half as many again, between two comparisons of the cache with `underlying`; 0:
            none. While the last one found a difference, past revisions are the store's.
        batch_interval_s: seconds for which watches may be given an event late, so that more go out together; see HandOver.
    """

    def __init__(
        self,
        underlying: Interface,
        *,
        random: Random,
        root: str = "/registry",
        ring: Ring | None = None,
        semantics: Semantics = Semantics.NEWEST,
        indexed: Sequence[str] = (),
        supports_progress: bool = True,
        snapshots: bool = True,
        metrics: CacheMetrics | None = None,
        lister_watcher: ListerWatcher | None = None,
        consistency_period_s: float = PERIOD_S,
        batch_interval_s: float = 0.0,
    ) -> None:
        super().__init__(underlying)
        self.semantics = semantics
        self.supports_progress = supports_progress
        self.snapshots = snapshots
        self._random = random
        self._root = prepare_root(root).removesuffix("/")
        self._metrics = metrics
        self._list_keys: dict[str, str] = {}  # checked once: as a caller has it, and in full
        self._prefix = self._root + underlying.resource_prefix.rstrip("/") + "/"
        self.cacher = Cacher(
            lister_watcher if lister_watcher is not None else StorageListerWatcher(underlying),
            prefix=self._prefix,
            random=random,
            ring=ring,
            semantics=semantics,
            indexed=indexed,
            asks_progress=supports_progress,
            batch_interval_s=batch_interval_s,
        )
        """The cache itself."""
        if metrics is not None:
            metrics.follow(self.cacher.statistics)
        self.consistency: ConsistencyChecker | None = None
        """Compares the cache with the storage below while `run` runs; None where it was not asked for."""
        if consistency_period_s:
            chance = Random(random.getrandbits(64))
            self.consistency = ConsistencyChecker(
                self, underlying, mark=self, random=chance, metrics=metrics, period_s=consistency_period_s
            )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the cache fresh, and check it, until cancelled. Started once the first list is in. Once only."""
        async with open_service_nursery() as nursery:
            if self.consistency is not None:
                nursery.start_soon(self.consistency.run)
            await self.cacher.run(task_status=task_status)

    # ---- writes: passed on -------------------------------------------------------------------------------------------

    async def delete(
        self,
        key: str,
        *,
        preconditions: Preconditions | None = None,
        validate: ValidateDeletion | None = None,
        suggestion: Object | None = None,
        expect_decode_error: bool = False,
    ) -> Object | None:
        """See Interface.delete. The suggestion is the cached object, and never the caller's."""
        return await self._underlying.delete(
            key,
            preconditions=preconditions,
            validate=validate,
            suggestion=self._cached(key),
            expect_decode_error=expect_decode_error,
        )

    async def guaranteed_update(
        self,
        key: str,
        try_update: TryUpdate,
        *,
        ignore_not_found: bool = False,
        preconditions: Preconditions | None = None,
        suggestion: Object | None = None,
    ) -> Object:
        """See Interface.guaranteed_update. The suggestion is the cached object, and never the caller's."""
        return await self._underlying.guaranteed_update(
            key,
            try_update,
            ignore_not_found=ignore_not_found,
            preconditions=preconditions,
            suggestion=self._cached(key),
        )

    # ---- reads -------------------------------------------------------------------------------------------------------

    async def get(self, key: str, *, resource_version: str = "", ignore_not_found: bool = False) -> Object | None:
        """See Interface.get. Unset, it is the store's to answer: one object costs it little, and asking how far it is, as much.

        Raises:
            InvalidResourceVersion: it is none. Kubernetes' cache says so without a code, where its store answers BadRequest.
        """
        if resource_version == "0" and "/." not in key and self.cacher.is_ready:
            full, objects = self._root + key, self.cacher.cache.snapshot
            if objects.get(full) is not None:  # a key that an object has needs no other check
                await trio.lowlevel.checkpoint()
                if (found := objects.get(full)) is not None:
                    return found
        is_cached = resource_version != "" and await self._is_served(
            get_when_not_ready(resource_version, self.semantics)
        )
        if not is_cached:
            return await self._underlying.get(key, resource_version=resource_version, ignore_not_found=ignore_not_found)
        prepared = prepare_key(self.resource_prefix, key, recursive=False)
        await self._wait_until_fresh(parse_watch_resource_version(resource_version))
        cache = self.cacher.cache
        found = cache.snapshot.get(self._root + prepared)
        if found is None and not ignore_not_found:
            raise KeyNotFound(self._root + prepared, cache.revision)
        return found

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        """See Interface.get_list. Cost: O(objects looked at), in steps of a few ms; the past, O(events since) a step more."""
        full = self._list_keys.get(key) if options.recursive else None
        if full is None:
            full = self._full_list_key(key, options.recursive)
        if options.resource_version == "0" and is_as_it_is(options) and self.cacher.is_ready:
            try:
                return await self._list_now(full, options.selector)
            except Expired:
                return await self._underlying.get_list(key, options)
        plan = plan_list(full, options)
        decision = should_delegate(options, self._view())
        if decision.to_storage or not await self._is_served(list_when_not_ready(options, self.semantics)):
            return await self._underlying.get_list(key, options)
        try:
            minimum = plan.revision or plan.minimum
            if decision.is_consistent:
                minimum = await self._underlying.current_resource_version()
            result = await self._list(key, full, options, plan, minimum)
        except Expired:
            return await self._underlying.get_list(key, options)
        except TooLargeResourceVersion:
            if not decision.is_consistent:
                raise
            return await self._fall_back(key, options)
        if decision.is_consistent:
            self._count_consistent_read(success=True, fallback="false")
        return result

    # ---- watches -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def watch(self, key: str, options: ListOptions) -> AsyncIterator[EventStream]:
        """See Interface.watch. A `watch.Watch` wherever a selector can say what is under `key`.

        Raises:
            InvalidKey, InvalidResourceVersion, NotReady: on entering; all else is in the stream.
        """
        full = self._root + prepare_key(self.resource_prefix, key, recursive=options.recursive)
        revision = parse_watch_resource_version(options.resource_version)
        await trio.lowlevel.checkpoint()
        if watch_when_not_ready(self.semantics) is Unready.WAIT:
            await self.cacher.readiness.wait()
        generation = self.cacher.readiness.check()
        scope = Scope.of(full, self._prefix, options)
        opened = await self._open(scope, options, revision, generation)
        try:
            yield self._narrowed(opened, scope)
        finally:
            opened.close()

    # ---- the store itself --------------------------------------------------------------------------------------------

    def readiness_check(self) -> None:
        """See Interface.readiness_check."""
        self.cacher.readiness.check()

    def mark_consistent(self, is_consistent: bool, /) -> None:
        """False: past revisions are the store's from here on. True: they are shown from the cache again, from now on."""
        self.cacher.cache.mark_consistent(is_consistent)

    # ---- inside: who answers -----------------------------------------------------------------------------------------

    def _view(self) -> CacheView:
        cache = self.cacher.cache
        oldest = cache.oldest_exact
        return CacheView(
            revision=cache.revision,
            oldest_exact=None if oldest is None else max(oldest, self._underlying.compact_revision()),
            snapshots=self.snapshots,
            progress=self.supports_progress,
        )

    async def _is_served(self, if_unready: Unready) -> bool:
        """Whether the cache answers; it is waited for where that is the way.

        Raises:
            NotReady: the read is refused.
        """
        readiness = self.cacher.readiness
        if readiness.is_ready:
            return True
        if if_unready is Unready.WAIT:
            await readiness.wait()
        elif if_unready is Unready.REFUSE:
            await trio.lowlevel.checkpoint()
            readiness.check()
        return readiness.is_ready

    def _cached(self, key: str) -> Object | None:
        return self.cacher.cache.snapshot.get(self._root + key)

    async def _wait_until_fresh(self, revision: int) -> None:
        if not revision:
            await trio.lowlevel.checkpoint()
            return
        began_s = trio.current_time()
        await self.cacher.wait_until_fresh(revision)
        if self._metrics is not None:
            self._metrics.read_wait_s.observe(trio.current_time() - began_s)

    async def _fall_back(self, key: str, options: ListOptions) -> ListResult:
        """The cache did not catch up in time: the store answers, as if there were no cache."""
        try:
            result = await self._underlying.get_list(key, options)
        except Exception:
            self._count_consistent_read(success=False, fallback="true")
            raise
        self._count_consistent_read(success=True, fallback="true")
        return result

    def _count_consistent_read(self, *, success: bool, fallback: str) -> None:
        if self._metrics is not None:
            self._metrics.consistent_read(success=success, fallback=fallback)

    # ---- inside: lists -----------------------------------------------------------------------------------------------

    def _full_list_key(self, key: str, recursive: bool) -> str:
        full = self._root + prepare_key(self.resource_prefix, key, recursive=recursive)
        if recursive:
            if len(self._list_keys) >= LIST_KEYS_MAX:
                self._list_keys.clear()
            self._list_keys[key] = full
        return full

    async def _list_now(self, full: str, selector: Selector) -> ListResult:
        """All that the cache has now. Most lists are short, and one look finds all there is.

        Raises:
            Expired: the history went by between two looks.
        """
        await trio.lowlevel.checkpoint()
        cache = self.cacher.cache
        prefix = narrowed_prefix(full, self._prefix, selector)
        selection = cache.selection_of(selector)
        section = cache.look(selection, prefix=prefix)
        if section.position:
            reading = Reading(cache, selector, prefix=prefix, begun=section)
            await self._read_all(reading)
            return ListResult(tuple(reading.objects), reading.revision)
        self._count_list(section.looked_at, len(section.objects), selection.index)
        return ListResult(tuple(section.objects), cache.revision)

    async def _list(self, key: str, full: str, options: ListOptions, plan: ListPlan, minimum: int) -> ListResult:
        """What the cache has, once it has reached `minimum`.

        Raises:
            Expired: the history does not reach back to the revision asked for, or did not when the list got there.
            TooLargeResourceVersion: the cache did not reach `minimum` in time.
        """
        await self._wait_until_fresh(minimum)
        if not options.recursive:
            return self._single(full, options.selector)
        limit = 0 if options.resource_version == "0" else max(0, options.limit)
        reading = Reading(
            self.cacher.cache,
            options.selector,
            prefix=narrowed_prefix(full, self._prefix, options.selector),
            start=plan.start_key,
            limit=limit,
            revision=plan.revision or None,
        )
        await self._read_all(reading)
        token, remaining = "", None
        if reading.following:
            # The prefix is the caller's key as it came: Kubernetes' cache does so too.
            token = encode_continue(reading.objects[-1].key + "\0", self._root + key, reading.revision)
            remaining = reading.following if options.selector.is_everything else None
        return ListResult(tuple(reading.objects), reading.revision, token, remaining)

    async def _read_all(self, reading: Reading) -> None:
        reading.step()
        while not reading.is_complete:
            await trio.lowlevel.checkpoint()
            reading.step()
        self._count_list(reading.looked_at, len(reading.objects), reading.index)

    def _count_list(self, looked_at: int, returned: int, index: IndexKey | None) -> None:
        if self._metrics is not None:
            name = f"f:{index[0]}" if index else ""
            self._metrics.lists.listed(fetched=looked_at, evaluated=0, returned=returned, index=name)

    def _single(self, full: str, selector: Selector) -> ListResult:
        cache = self.cacher.cache
        found = cache.snapshot.get(full)
        objects = (found,) if found is not None and selector.matches(found) else ()
        return ListResult(objects, cache.revision)

    # ---- inside: watches ---------------------------------------------------------------------------------------------

    async def _open(
        self, scope: Scope, options: ListOptions, revision: int, generation: int
    ) -> Watch | LateEndStream | FailedStream:
        """The watch, or what became of it. Raises nothing that the stream can tell."""
        plan = plan_watch(options, self.semantics)
        try:
            if plan.has_end and not self.supports_progress:
                raise ProgressUntrusted
            if plan.asks_current:
                revision = await self._underlying.current_resource_version()
            if plan.waits:
                await self.cacher.wait_until_fresh(revision)
            if plan.has_state:
                return await self._open_with_state(scope, options, plan, generation)
            if not self._is_still(generation):
                return FailedStream()
            return self.cacher.watch(
                scope.selector,
                after=revision or None,
                bookmarks=options.allow_bookmarks,
                deadline=options.deadline,
            )
        except (WatchError, StatusError) as error:
            return FailedStream(error)
        except (StorageError, trio.BrokenResourceError, OSError) as error:
            return FailedStream(InternalError(str(error)))

    async def _open_with_state(
        self, scope: Scope, options: ListOptions, plan: WatchPlan, generation: int
    ) -> Watch | LateEndStream | FailedStream:
        reading = Reading(self.cacher.cache, scope.selector, prefix=scope.prefix, is_joined=True)
        try:
            await self._read_all(reading)
        except Expired:  # the history went by while it was read in steps: once more, in one
            reading = Reading(self.cacher.cache, scope.selector, prefix=scope.prefix)
            while not reading.is_complete:
                reading.step()
        if not self._is_still(generation):
            return FailedStream()
        is_late = plan.has_end and self.semantics is Semantics.V1_22
        objects = [obj for obj in reading.objects if scope.has(obj.key)]
        watch = self.cacher.watch_state(
            scope.selector,
            objects,
            reading.revision,
            initial_bookmark=plan.has_end and not is_late,
            bookmarks=options.allow_bookmarks,
            deadline=options.deadline,
        )
        if self._metrics is not None:
            self._metrics.init_events.value += len(objects)
        if not is_late:
            return watch
        due_s = trio.current_time() + bookmark_tick_delay_s(self._random.random())
        return LateEndStream(watch, revision=reading.revision, due_s=due_s)

    def _narrowed(self, opened: Watch | LateEndStream | FailedStream, scope: Scope) -> EventStream:
        """Of what the selector lets through, what is meant."""
        if scope.is_exact or isinstance(opened, FailedStream):
            return opened
        return KeyStream(opened, scope.key, recursive=scope.is_recursive)

    def _is_still(self, generation: int) -> bool:
        readiness = self.cacher.readiness
        return readiness.is_ready and readiness.generation == generation
