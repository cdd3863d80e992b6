"""A storage whose cache is started by the first read, and waited for: what objects are kept in for callers in this process.

A server refuses reads while a cache is being filled, so that thousands of clients come back later. Who calls from the same
process waits here instead. Writes never wait: they are the store's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from watch import NotReady, Object

from ._readers import Reader
from .storage import (
    EventStream,
    ListOptions,
    ListResult,
    Preconditions,
    Stats,
    TryUpdate,
    ValidateDeletion,
    Value,
)


class ReadyStorage:
    """The storage of `reader` (see Interface); reads wait until it is ready, and again when it is filled anew."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._storage = reader.storage

    @property
    def resource_prefix(self) -> str:
        """See Interface.resource_prefix."""
        return self._storage.resource_prefix

    async def create(self, key: str, value: Value, *, ttl_s: int = 0) -> Object:
        """See Interface.create."""
        return await self._storage.create(key, value, ttl_s=ttl_s)

    async def delete(
        self,
        key: str,
        *,
        preconditions: Preconditions | None = None,
        validate: ValidateDeletion | None = None,
        suggestion: Object | None = None,
        expect_decode_error: bool = False,
    ) -> Object | None:
        """See Interface.delete."""
        return await self._storage.delete(
            key,
            preconditions=preconditions,
            validate=validate,
            suggestion=suggestion,
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
        """See Interface.guaranteed_update."""
        return await self._storage.guaranteed_update(
            key, try_update, ignore_not_found=ignore_not_found, preconditions=preconditions, suggestion=suggestion
        )

    async def get(self, key: str, *, resource_version: str = "", ignore_not_found: bool = False) -> Object | None:
        """See Interface.get. Without a version it is the store's answer, and waits for nothing."""
        if resource_version:
            await self._reader.ready()
        return await self._storage.get(key, resource_version=resource_version, ignore_not_found=ignore_not_found)

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        """See Interface.get_list."""
        while True:
            await self._reader.ready()
            try:
                return await self._storage.get_list(key, options)
            except NotReady:
                if self._reader.is_ready:
                    raise

    @asynccontextmanager
    async def watch(self, key: str, options: ListOptions) -> AsyncIterator[EventStream]:
        """See Interface.watch."""
        await self._reader.ready()
        async with self._storage.watch(key, options) as stream:
            yield stream

    async def stats(self) -> Stats:
        """See Interface.stats."""
        return await self._storage.stats()

    def readiness_check(self) -> None:
        """See Interface.readiness_check."""
        self._storage.readiness_check()

    async def request_watch_progress(self) -> None:
        """See Interface.request_watch_progress."""
        await self._storage.request_watch_progress()

    async def current_resource_version(self) -> int:
        """See Interface.current_resource_version."""
        return await self._storage.current_resource_version()

    def compact_revision(self) -> int:
        """See Interface.compact_revision."""
        return self._storage.compact_revision()
