"""What a Resource reads from: a storage with a cache, or one without. The same answers from either.

CachedReader    a CacherStorage, which it runs from its first use on
StoreReader     a storage that asks the store each time
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TypeVar

import msgspec
import trio

from watch import NotReady, Object, Selector, Watch

from ._cacher import CacherStatistics
from ._cacher_storage import CacherStorage
from ._store_watch import ResourceWatch, StoreWatch, open_store_watch
from ._streams import FailedStream
from .storage import EventStream, Interface, ListOptions, ListResult, ProgressUntrusted

T = TypeVar("T")

PROGRESS_PERIOD_S = 0.1
"""How often a store is asked how far its watches are, while somebody waits for that."""


class ObjectList(msgspec.Struct, frozen=True):
    """Objects in key order, as they were at `revision`; watch from there."""

    objects: tuple[Object, ...]
    revision: int

    @property
    def resource_version(self) -> str:
        """The revision as the API writes it."""
        return str(self.revision)


class Reader(ABC):
    """Reads from `storage`, whose resource's keys start with `prefix`, of which the storage is told all but `root`."""

    def __init__(self, storage: Interface, prefix: str, root: str) -> None:
        self.storage = storage
        self._prefix = prefix
        self._root = root

    @abstractmethod
    async def ready(self) -> None:
        """Return once lists are answered."""

    async def list(self, options: ListOptions) -> ObjectList:
        """See Resource.list."""
        result = await self.get_list(self.key(options.selector), options)
        return ObjectList(result.objects, result.revision)

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        """See Interface.get_list; waits while the cache is filled, and when it is filled anew."""
        return await self._when_ready(lambda: self.storage.get_list(key, options))

    async def enter_watch(self, stack: AsyncExitStack, key: str, options: ListOptions) -> EventStream:
        """See Interface.watch; a watch that `stack` closes, once there is a state to begin from."""
        return await self._when_ready(lambda: stack.enter_async_context(self.storage.watch(key, options)))

    async def _when_ready(self, read: Callable[[], Awaitable[T]]) -> T:
        while True:
            await self.ready()
            try:
                return await read()
            except (
                NotReady
            ):  # the cache lost its state since it was waited for; where it did not, this is no matter of time
                if self.is_ready:
                    raise

    async def get(self, key: str) -> Object | None:
        """See Resource.get."""
        await self.ready()
        return await self.storage.get(key.removeprefix(self._root), ignore_not_found=True)

    @abstractmethod
    def watch(self, options: ListOptions) -> AbstractAsyncContextManager[ResourceWatch]:
        """See Resource.watch."""

    @abstractmethod
    async def wait_until_fresh(self, revision: int, watch: ResourceWatch | None = None) -> None:
        """See Resource.wait_until_fresh."""

    @property
    @abstractmethod
    def is_ready(self) -> bool:
        """Whether lists are answered now."""

    def end_watches(self) -> None:
        """End what is open. A cache that stops does so itself."""
        return

    @abstractmethod
    def statistics(self) -> CacherStatistics:
        """The cache's figures now; all 0 where there is none."""

    def key(self, selector: Selector) -> str:
        """What a storage is asked for to find all that `selector` may let through."""
        within = f"{selector.namespace}/" if selector.namespace else ""
        return f"{self._prefix.removeprefix(self._root)}{within}"


class CachedReader(Reader):
    """Reads from a storage with a cache, which it runs in `nursery` from its first use on."""

    def __init__(self, storage: CacherStorage, prefix: str, root: str, nursery: trio.Nursery) -> None:
        super().__init__(storage, prefix, root)
        self._cached = storage
        self._nursery = nursery
        self._is_started = False

    async def ready(self) -> None:
        """Return once the cache serves."""
        if not self._is_started:
            self._is_started = True
            self._nursery.start_soon(self._cached.run, name=f"cacher {self._prefix}")
        await self._cached.cacher.wait_until_ready()

    @asynccontextmanager
    async def watch(self, options: ListOptions) -> AsyncIterator[ResourceWatch]:
        """See Resource.watch. What keeps it from beginning is raised here, and not by its first receive."""
        async with AsyncExitStack() as stack:
            while isinstance(
                stream := await self.enter_watch(stack, self.key(options.selector), options), FailedStream
            ):
                with suppress(trio.EndOfChannel):  # the cache was filled anew while it was opened: once more
                    await stream.receive()
            assert isinstance(stream, Watch), "a namespace and a selector are all that a Watch needs"
            yield stream

    async def wait_until_fresh(self, revision: int, watch: ResourceWatch | None = None) -> None:
        """See Resource.wait_until_fresh."""
        await self.ready()
        await self._cached.cacher.wait_until_fresh(revision)

    @property
    def is_ready(self) -> bool:
        """Whether the cache serves now."""
        return self._cached.cacher.is_ready

    def statistics(self) -> CacherStatistics:
        """The cache's figures now."""
        return self._cached.cacher.statistics()


class StoreReader(Reader):
    """Reads from a storage without a cache."""

    def __init__(self, storage: Interface, prefix: str, root: str, *, supports_progress: bool = True) -> None:
        super().__init__(storage, prefix, root)
        self._supports_progress = supports_progress
        self._watches: dict[StoreWatch, None] = {}

    async def ready(self) -> None:
        """Return at once: a store has no state to wait for."""
        await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def watch(self, options: ListOptions) -> AsyncIterator[ResourceWatch]:
        """See Resource.watch. There are no bookmarks but the one that ends the initial events."""
        async with open_store_watch(self.storage, self.key(options.selector), options) as watch:
            self._watches[watch] = None
            try:
                yield watch
            finally:
                del self._watches[watch]

    async def wait_until_fresh(self, revision: int, watch: ResourceWatch | None = None) -> None:
        """See Resource.wait_until_fresh."""
        await trio.lowlevel.checkpoint()
        if not self._supports_progress:
            raise ProgressUntrusted
        while any(each.is_behind(revision) for each in list(self._watches) if watch in (None, each)):
            await self.storage.request_watch_progress()
            await trio.sleep(PROGRESS_PERIOD_S)

    def end_watches(self) -> None:
        """See Reader.end_watches."""
        for watch in self._watches:
            watch.end()

    @property
    def is_ready(self) -> bool:
        """Always."""
        return True

    def statistics(self) -> CacherStatistics:
        """There is no cache, and so nothing to count."""
        return CacherStatistics.nothing(self._prefix)
