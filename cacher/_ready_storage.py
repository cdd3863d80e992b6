"""A storage whose cache is started by the first read, and waited for: what objects are kept in for callers in this process.

A server refuses reads while a cache is being filled, so that thousands of clients come back later. Who calls from the same
process waits here instead. Writes never wait: they are the store's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from watch import Object

from ._readers import Reader
from .storage import EventStream, ListOptions, ListResult, PassingStorage


class ReadyStorage(PassingStorage):
    """The storage of `reader` (see Interface); reads wait until it is ready, and again when it is filled anew."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader.storage)
        self._reader = reader

    async def get(self, key: str, *, resource_version: str = "", ignore_not_found: bool = False) -> Object | None:
        """See Interface.get. Without a version it is the store's answer, and waits for nothing."""
        if resource_version:
            await self._reader.ready()
        return await super().get(key, resource_version=resource_version, ignore_not_found=ignore_not_found)

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        """See Interface.get_list."""
        return await self._reader.get_list(key, options)

    @asynccontextmanager
    async def watch(self, key: str, options: ListOptions) -> AsyncIterator[EventStream]:
        """See Interface.watch."""
        async with AsyncExitStack() as stack:
            yield await self._reader.enter_watch(stack, key, options)
