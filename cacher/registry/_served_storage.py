"""The storage of a custom resource, which ends while the server goes on.

    open      every call is passed on; what may create is counted while it is under way
    closed    calls are refused; those under way may finish
    ended     open watches end too: those of a cache by themselves, once they have given all that it had published

Source: the storages that kubernetes/apiextensions-apiserver tears down when a definition changes (customresource_handler.go).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from watch import Batch, Event, Object, Watch

from ..storage import (
    EventStream,
    Interface,
    ListOptions,
    ListResult,
    PassingStorage,
    Preconditions,
    Stats,
    TryUpdate,
    ValidateDeletion,
    Value,
)

T = TypeVar("T")


class ServedStorage(PassingStorage):
    """`underlying` until it is closed (see Interface). A cached one must end its own watches when it stops."""

    def __init__(self, underlying: Interface) -> None:
        super().__init__(underlying)
        self._refusal: Callable[[], Exception] | None = None
        self._under_way = 0
        self._drained = trio.Event()
        self._streams: dict[_EndingStream, None] = {}

    # ---- its end -----------------------------------------------------------------------------------------------------

    def close(self, refusal: Callable[[], Exception]) -> None:
        """Answer every further call with what `refusal` makes. The first word counts."""
        if self._refusal is None:
            self._refusal = refusal

    def end(self, *, grace_s: float) -> None:
        """End each open watch that its storage does not end, once it has brought nothing for so long (0: now)."""
        for stream in self._streams:
            stream.end(grace_s)

    async def drained(self) -> None:
        """Return once no write is under way that may create."""
        while self._under_way:
            self._drained = trio.Event()
            await self._drained.wait()

    def _check(self) -> None:
        if self._refusal is not None:
            raise self._refusal()

    async def _counted(self, call: Callable[[], Awaitable[T]]) -> T:
        self._check()
        self._under_way += 1
        try:
            return await call()
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._drained.set()

    # ---- what is passed on -------------------------------------------------------------------------------------------

    async def create(self, key: str, value: Value, *, ttl_s: int = 0) -> Object:
        """See Interface.create."""
        return await self._counted(lambda: self._underlying.create(key, value, ttl_s=ttl_s))

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
        return await self._counted(
            lambda: self._underlying.guaranteed_update(
                key,
                try_update,
                ignore_not_found=ignore_not_found,
                preconditions=preconditions,
                suggestion=suggestion,
            )
        )

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
        self._check()
        return await self._underlying.delete(
            key,
            preconditions=preconditions,
            validate=validate,
            suggestion=suggestion,
            expect_decode_error=expect_decode_error,
        )

    async def get(self, key: str, *, resource_version: str = "", ignore_not_found: bool = False) -> Object | None:
        """See Interface.get."""
        self._check()
        return await self._underlying.get(key, resource_version=resource_version, ignore_not_found=ignore_not_found)

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        """See Interface.get_list."""
        self._check()
        return await self._underlying.get_list(key, options)

    @asynccontextmanager
    async def watch(self, key: str, options: ListOptions) -> AsyncIterator[EventStream]:
        """See Interface.watch. A cache's Watch is handed out as it is."""
        self._check()
        async with self._underlying.watch(key, options) as stream:
            if isinstance(stream, Watch):
                yield stream
                return
            ending = _EndingStream(stream)
            self._streams[ending] = None
            if self._refusal is not None:  # it was closed while the watch was being opened
                ending.end(0)
            try:
                yield ending
            finally:
                del self._streams[ending]

    async def stats(self) -> Stats:
        """See Interface.stats."""
        self._check()
        return await self._underlying.stats()

    def readiness_check(self) -> None:
        """See Interface.readiness_check."""
        self._check()
        self._underlying.readiness_check()

    async def current_resource_version(self) -> int:
        """See Interface.current_resource_version."""
        self._check()
        return await self._underlying.current_resource_version()


class _EndingStream:
    """A watch that can be ended from outside: it then raises trio.EndOfChannel once nothing came for a while."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._grace_s = math.inf
        self._waiting: trio.CancelScope | None = None

    def end(self, grace_s: float) -> None:
        self._grace_s = min(self._grace_s, grace_s)
        if self._waiting is not None:
            self._waiting.deadline = trio.current_time() + self._grace_s

    async def receive(self) -> Event:
        """See EventStream.receive."""
        return await self._ending(self._stream.receive)

    async def receive_batch(self) -> Batch:
        """See EventStream.receive_batch."""
        return await self._ending(self._stream.receive_batch)

    async def _ending(self, receive: Callable[[], Awaitable[T]]) -> T:
        with trio.CancelScope(deadline=trio.current_time() + self._grace_s) as scope:
            before, self._waiting = self._waiting, scope
            try:
                return await receive()
            finally:
                self._waiting = before
        raise trio.EndOfChannel(
            "the definition of what is watched changed, or went: watch again from the last revision"
        )
