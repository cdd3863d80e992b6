"""What a Resource reads from: its cache, or the store where the cache is off. The same answers from either.

CacheReader   lists, gets and watches the cacher, once that has caught up with the store
StoreReader   asks the store each time
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import trio

from watch import Expired, Object, Selector, Watch

from ._cacher import Cacher, CacherStatistics
from ._store_watch import StoreWatch, open_store_watch
from .storage import Interface, ListOptions, Match


class ObjectList(msgspec.Struct, frozen=True):
    """Objects in key order, as they were at `revision`; watch from there."""

    objects: tuple[Object, ...]
    revision: int

    @property
    def resource_version(self) -> str:
        """The revision as the API writes it."""
        return str(self.revision)


class CacheReader:
    """Reads from `cacher`, which it runs in `nursery` from its first use on. `current_revision` is the store's.

    `store` is asked for what the cache's history no longer reaches.
    """

    def __init__(
        self,
        cacher: Cacher,
        store: StoreReader,
        nursery: trio.Nursery,
        current_revision: Callable[[], Awaitable[int]],
    ) -> None:
        self._cacher = cacher
        self._store = store
        self._nursery = nursery
        self._current_revision = current_revision
        self._is_started = False

    async def ready(self) -> None:
        """Return once the cache serves."""
        if not self._is_started:
            self._is_started = True
            self._nursery.start_soon(self._cacher.run, name=f"cacher {self._cacher.prefix}")
        await self._cacher.wait_until_ready()

    async def list(self, selector: Selector, revision: int | None, *, is_exact: bool) -> ObjectList:
        """See Resource.list. `revision`: None: not older than now."""
        await self.ready()
        await self._cacher.wait_until_fresh(await self._current_revision() if revision is None else revision)
        try:
            objects, shown = self._cacher.list(selector, revision=revision if is_exact else None)
        except Expired:
            return await self._store.list(selector, revision, is_exact=is_exact)
        return ObjectList(objects, shown)

    async def get(self, key: str) -> Object | None:
        """See Resource.get."""
        await self.ready()
        await self._cacher.wait_until_fresh(await self._current_revision())
        return self._cacher.get(key)

    @asynccontextmanager
    async def watch(
        self, selector: Selector, revision: int | None, *, send_initial_events: bool | None, bookmarks: bool
    ) -> AsyncIterator[Watch]:
        """See Resource.watch."""
        await self.ready()
        if send_initial_events is not None and revision is None:
            revision = await self._current_revision()
        initial = send_initial_events or (send_initial_events is None and not revision)
        if initial:
            await self._cacher.wait_until_fresh(revision or 0)
        opened = self._cacher.watch(
            selector,
            after=revision or None,
            initial=initial,
            initial_bookmark=bool(send_initial_events) and bookmarks,
            bookmarks=bookmarks,
        )
        try:
            yield opened
        finally:
            opened.close()

    def statistics(self) -> CacherStatistics:
        """The cache's figures now."""
        return self._cacher.statistics()


class StoreReader:
    """Reads from `storage`, whose resource's keys start with `prefix`, of which the storage is told all but `root`."""

    def __init__(self, storage: Interface, prefix: str, root: str) -> None:
        self._storage = storage
        self._prefix = prefix
        self._root = root

    async def ready(self) -> None:
        """Return at once: a store has no state to wait for."""
        await trio.lowlevel.checkpoint()

    async def list(self, selector: Selector, revision: int | None, *, is_exact: bool) -> ObjectList:
        """See Resource.list."""
        options = ListOptions(
            resource_version=_text(revision),
            match=Match.EXACT if is_exact else Match.UNSET,
            selector=selector,
        )
        result = await self._storage.get_list(self._key(selector), options)
        return ObjectList(result.objects, result.revision)

    async def get(self, key: str) -> Object | None:
        """See Resource.get."""
        return await self._storage.get(key.removeprefix(self._root), ignore_not_found=True)

    @asynccontextmanager
    async def watch(
        self, selector: Selector, revision: int | None, *, send_initial_events: bool | None, bookmarks: bool
    ) -> AsyncIterator[StoreWatch]:
        """See Resource.watch. There are no bookmarks but the one that ends the initial events."""
        options = ListOptions(
            resource_version=_text(revision),
            selector=selector,
            send_initial_events=send_initial_events,
            allow_bookmarks=bookmarks,
        )
        async with open_store_watch(self._storage, self._key(selector), options) as watch:
            yield watch

    def statistics(self) -> CacherStatistics:
        """There is no cache, and so nothing to count."""
        return CacherStatistics.nothing(self._prefix)

    def _key(self, selector: Selector) -> str:
        within = f"{selector.namespace}/" if selector.namespace else ""
        return f"{self._prefix.removeprefix(self._root)}{within}"


def _text(revision: int | None) -> str:
    return "" if revision is None else str(revision)
