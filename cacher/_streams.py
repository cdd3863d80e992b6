"""What a watch of a cache is where it is not simply a Watch: one that failed, one of part of the keys, one with a late end.

    FailedStream    an error, then the end
    KeyStream       the events of a Watch whose keys are in a range that no selector can name
    LateEndStream   a Watch whose annotated bookmark comes at a tick, as of v1.22 to v1.31

All are EventStreams: one task receives, and after `close` there is trio.ClosedResourceError.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

import trio

from watch import Batch, Event, Watch, bookmark

from .storage import EventStream


class FailedStream:
    """Raises `error` once (None: nothing), then trio.EndOfChannel: the watch was over before it began."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self._is_closed = False

    async def receive(self) -> Event:
        """See EventStream.receive."""
        await trio.lowlevel.checkpoint()
        if self._is_closed:
            raise trio.ClosedResourceError("this watch was closed")
        error, self._error = self._error, None
        raise error if error is not None else trio.EndOfChannel("the cache ended this watch: watch again")

    async def receive_batch(self) -> Batch:
        """See EventStream.receive_batch."""
        return (await self.receive(),)

    def close(self) -> None:
        """Stop watching."""
        self._is_closed = True


class _Wrapped(ABC):
    """Hands out one by one, or all at once, what `_next` brings."""

    def __init__(self) -> None:
        self._ready: deque[Event] = deque()
        self._is_closed = False

    async def receive(self) -> Event:
        """See EventStream.receive."""
        await self._fill()
        return self._ready.popleft()

    async def receive_batch(self) -> Batch:
        """See EventStream.receive_batch."""
        await self._fill()
        batch = tuple(self._ready)
        self._ready.clear()
        return batch

    def close(self) -> None:
        """Stop watching; what was not taken is gone."""
        self._is_closed = True
        self._ready.clear()

    async def _fill(self) -> None:
        if self._is_closed:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this watch was closed")
        if self._ready:
            await trio.lowlevel.checkpoint()
        while not self._ready:
            self._ready.extend(await self._next())

    @abstractmethod
    async def _next(self) -> Batch:
        """What comes next; perhaps nothing that is wanted."""


class KeyStream(_Wrapped):
    """Of `stream`, what is under one key, or below one prefix."""

    def __init__(self, stream: EventStream, key: str, *, recursive: bool) -> None:
        super().__init__()
        self._stream = stream
        self._key = key
        self._is_recursive = recursive

    async def _next(self) -> Batch:
        return tuple(event for event in await self._stream.receive_batch() if self._is_wanted(event.key))

    def _is_wanted(self, key: str) -> bool:
        # A bookmark has no key, and concerns everybody.
        return not key or (key.startswith(self._key) if self._is_recursive else key == self._key)


class LateEndStream(_Wrapped):
    """`watch` begins with a state at `revision`; the bookmark that ends it comes at `due_s`, or with the next turn after."""

    def __init__(self, watch: Watch, *, revision: int, due_s: float) -> None:
        super().__init__()
        self._watch = watch
        self._revision = revision
        self._due_s = due_s
        self._has_ended = False

    async def _next(self) -> Batch:
        if self._has_ended:
            return await self._watch.receive_batch()
        try:
            return self._watch.receive_batch_nowait()  # all that is there comes before the bookmark
        except trio.WouldBlock:
            pass
        with trio.move_on_at(self._due_s):
            return await self._watch.receive_batch()
        self._has_ended = True
        return (bookmark(max(self._revision, self._watch.revision), initial_events_end=True),)
