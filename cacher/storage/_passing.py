"""A storage that passes everything on: what storages that change one thing of another are made from.

class Slow(PassingStorage):
    async def get_list(self, key, options):
        await trio.sleep(1)
        return await super().get_list(key, options)
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from watch import Object

from ._interface import (
    EventStream,
    Interface,
    ListOptions,
    ListResult,
    Preconditions,
    Stats,
    TryUpdate,
    ValidateDeletion,
    Value,
)


class PassingStorage:
    """`underlying`, method for method (see Interface). Subclass it, and change what is to be otherwise."""

    def __init__(self, underlying: Interface) -> None:
        self._underlying = underlying

    @property
    def resource_prefix(self) -> str:
        """See Interface.resource_prefix."""
        return self._underlying.resource_prefix

    async def create(self, key: str, value: Value, *, ttl_s: int = 0) -> Object:
        """See Interface.create."""
        return await self._underlying.create(key, value, ttl_s=ttl_s)

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
        return await self._underlying.delete(
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
        return await self._underlying.guaranteed_update(
            key, try_update, ignore_not_found=ignore_not_found, preconditions=preconditions, suggestion=suggestion
        )

    async def get(self, key: str, *, resource_version: str = "", ignore_not_found: bool = False) -> Object | None:
        """See Interface.get."""
        return await self._underlying.get(key, resource_version=resource_version, ignore_not_found=ignore_not_found)

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        """See Interface.get_list."""
        return await self._underlying.get_list(key, options)

    def watch(self, key: str, options: ListOptions) -> AbstractAsyncContextManager[EventStream]:
        """See Interface.watch."""
        return self._underlying.watch(key, options)

    async def stats(self) -> Stats:
        """See Interface.stats."""
        return await self._underlying.stats()

    def readiness_check(self) -> None:
        """See Interface.readiness_check."""
        self._underlying.readiness_check()

    async def request_watch_progress(self) -> None:
        """See Interface.request_watch_progress."""
        await self._underlying.request_watch_progress()

    async def current_resource_version(self) -> int:
        """See Interface.current_resource_version."""
        return await self._underlying.current_resource_version()

    def compact_revision(self) -> int:
        """See Interface.compact_revision."""
        return self._underlying.compact_revision()
