"""A watch straight from a storage, for a resource without a cache: read like a Watch, one etcd watch each.

    storage.watch ─ pump ─► a bounded buffer ─► receive, receive_batch and their nowait twins

Limit: BUFFER_EVENTS_MAX events wait here; whoever does not take them leaves the rest with the store, which keeps all until it
compacts, and then ends the watch with Expired.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, Self, final

import trio

from watch import Batch, Event, EventType, WatchError

from .storage import EventStream, Interface, ListOptions, StatusError
from .storage._nursery import open_service_nursery

BUFFER_EVENTS_MAX = 1_000
"""About 1.5 MB of pods: what a reader may lag behind before the store is left waiting. A batch more may come on top."""


class ResourceWatch(Protocol):
    """What a resource's watch is, whether a cache or the store feeds it: a `watch.Watch` is one."""

    @property
    def revision(self) -> int:
        """Everything up to here has been handed over; resume from here. 0: not even the initial state has."""
        ...

    @property
    def is_ended(self) -> bool:
        """True once nothing more will come."""
        ...

    async def receive(self) -> Event:
        """The next event. Raises as `watch.Watch.receive`."""
        ...

    def receive_nowait(self) -> Event:
        """The next event, at once. Raises trio.WouldBlock where there is none."""
        ...

    async def receive_batch(self) -> Batch:
        """All that came at once, never empty."""
        ...

    def receive_batch_nowait(self) -> Batch:
        """What is there, at once. Raises trio.WouldBlock where nothing is."""
        ...

    async def aclose(self) -> None:
        """As `close`, and a checkpoint."""
        ...

    def close(self) -> None:
        """Stop watching. Idempotent."""
        ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Event: ...


@final
class StoreWatch(trio.abc.ReceiveChannel[Event]):
    """A ResourceWatch fed by a storage. Made by `open_store_watch`.

    Args:
        after: the revision that it starts from; 0 where it begins with a state, whose end is then told to it.
        shows_end: whether its reader is told, too.
    """

    def __init__(self, *, after: int, shows_end: bool) -> None:
        self.error: Exception | None = None
        """Why it ended, if not by `close`."""
        self._revision = after
        self._arrived = after  # everything up to here has come from the store; 0: not even the state has
        self._in_state = not after
        self._shows_end = shows_end
        self._ready: deque[Event] = deque()
        self._is_ended = False
        self._is_closed = False
        self._is_receiving = False
        self._changed = trio.Event()

    @property
    def revision(self) -> int:
        """See ResourceWatch.revision."""
        return self._revision

    @property
    def is_ended(self) -> bool:
        """See ResourceWatch.is_ended."""
        return self._is_ended or self._is_closed or self.error is not None

    def is_behind(self, revision: int) -> bool:
        """Whether something up to `revision` may still be on its way here. What has arrived can be taken without waiting."""
        return self._arrived < revision and not self.is_ended

    async def receive(self) -> Event:
        """See ResourceWatch.receive."""
        return (await self._wait(one=True))[0]

    def receive_nowait(self) -> Event:
        """See ResourceWatch.receive_nowait."""
        return self._take_or_raise(one=True)[0]

    async def receive_batch(self) -> Batch:
        """See ResourceWatch.receive_batch. A cancelled call has taken nothing."""
        return await self._wait()

    def receive_batch_nowait(self) -> Batch:
        """See ResourceWatch.receive_batch_nowait."""
        return self._take_or_raise()

    async def aclose(self) -> None:
        """See ResourceWatch.aclose."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """See ResourceWatch.close."""
        self._is_closed = True
        self._ready.clear()
        self._notify()

    def end(self) -> None:
        """Bring nothing more than has come: whoever reads it watches again."""
        self._is_ended = True
        self._notify()

    async def pump(self, stream: EventStream) -> None:
        """Take from `stream` until it ends, and no faster than this is read."""
        try:
            while not (self._is_closed or self._is_ended):
                while len(self._ready) >= BUFFER_EVENTS_MAX:
                    await self._changed.wait()
                batch = await stream.receive_batch()
                self._ready.extend(batch)
                self._note_progress(batch)
                self._notify()
        except trio.EndOfChannel:
            self._is_ended = True
        except (WatchError, StatusError) as error:
            self.error = error
        self._notify()

    def _note_progress(self, batch: Batch) -> None:
        if self._arrived or any(event.is_initial_events_end for event in batch):
            self._arrived = max(self._arrived, batch[-1].revision)

    async def _wait(self, *, one: bool = False) -> Batch:
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this watch: one task a watch")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._is_receiving = True
        try:
            while not (taken := self._take(one)):
                self._raise_if_over()
                await self._changed.wait()
        finally:
            self._is_receiving = False
        await trio.lowlevel.cancel_shielded_checkpoint()
        return taken

    def _take_or_raise(self, *, one: bool = False) -> Batch:
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this watch: one task a watch")
        taken = self._take(one)
        if not taken:
            self._raise_if_over()
            raise trio.WouldBlock
        return taken

    def _take(self, one: bool) -> Batch:
        """All that is ready, or the first of it; and the revision moved accordingly."""
        taken: list[Event] = []
        while self._ready and not (one and taken):
            event = self._ready.popleft()
            if event.is_initial_events_end:
                self._in_state = False
                self._revision = event.revision
            elif not self._in_state:
                is_whole = not self._ready or self._ready[0].revision > event.revision
                self._revision = event.revision if is_whole else event.revision - 1
            if event.type is not EventType.BOOKMARK or (self._shows_end and event.is_initial_events_end):
                taken.append(event)
        self._notify()
        return tuple(taken)

    def _raise_if_over(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this watch was closed")
        if self.error is not None:
            raise self.error
        if self._is_ended:
            raise trio.EndOfChannel("the store ended this watch: watch again from its revision")

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()


@asynccontextmanager
async def open_store_watch(storage: Interface, key: str, options: ListOptions) -> AsyncIterator[StoreWatch]:
    """A watch of what is under `key`, as `options` say, until the context ends.

    A state is always asked for with its end, without which nobody could tell where to resume; and the store tells how far
    it is, so that a quiet watch can be resumed late.
    """
    begins_with_state = options.send_initial_events or (
        options.send_initial_events is None and options.resource_version in ("", "0")
    )
    shows_end = bool(options.send_initial_events) and options.allow_bookmarks
    after = int(options.resource_version or 0)
    if begins_with_state:
        after = 0
    elif not after:
        after = await storage.current_resource_version()
    asked = ListOptions(
        resource_version=options.resource_version if begins_with_state else str(after),
        send_initial_events=True if begins_with_state else None,
        allow_bookmarks=True,
        progress_notify=True,
        recursive=options.recursive,
        selector=options.selector,
    )
    watch = StoreWatch(after=after, shows_end=shows_end)
    async with storage.watch(key, asked) as stream, open_service_nursery() as nursery:
        nursery.start_soon(watch.pump, stream)
        try:
            yield watch
        finally:
            watch.close()
