"""A resource's cache as what an informer in the same process mirrors: lists, streamed states and watches, all by its selectors.

    SharedInformer ─ Reflector ─► ResourceListerWatcher ─► CachedReader, or StoreReader where the resource has no cache

Lists go by their resource version as the API has them: "" is not older than the call, "0" what the cache has, N not older than N.
A watch that has nothing to bring says about every minute how far it is, also while the store stands still: who hears nothing
for longer than that has lost it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from math import inf
from typing import final

import trio

from reflector import Changes, Page
from watch import Batch, Event, EventType, Selector, Watch, WatchError

from ._readers import Reader
from ._store_watch import ResourceWatch
from .storage import ListOptions, Match, ProgressUntrusted, StatusError, StorageError

HEARTBEAT_S = 62.0
"""So long without an event or a bookmark, and a stream says itself how far it is. The cache's bookmarks come every 60 s and
up to 1.25 s later, but only to who gets a newer revision by them."""

LAST_WORD_S = 2.0
"""So long before its reader leaves, a stream says where it is: the next one is silent for a while, as every new one.
Source: kubernetes/apiserver pkg/storage/cacher, the bookmark before a watch's deadline."""

_ANSWERED = (StatusError, StorageError)


@final
class ResourceListerWatcher:
    """A StreamingListerWatcher over `reader`, of what `selector` lets through. Made by `Resource.lister_watcher`.

    Args:
        reader: what the resource is read from now.
        ready: returns once lists are answered; starts the cache where nobody has.
        kind: of the objects; "" where it is not known.
    """

    def __init__(
        self, reader: Callable[[], Reader], ready: Callable[[], Awaitable[None]], selector: Selector, kind: str = ""
    ) -> None:
        self.kind = kind
        self._find_reader = reader
        self._ready = ready
        self._selector = selector
        self._open: dict[_Stream, None] = {}

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        """One page; see ListerWatcher. Waits while the cache is filled."""
        await self._ready()
        is_minimum = not page and resource_version not in ("", "0")
        options = ListOptions(
            resource_version="" if page else resource_version,
            match=Match.NOT_OLDER_THAN if is_minimum else Match.UNSET,
            limit=page_size,
            continue_token=page,
            selector=self._selector,
        )
        reader = self._find_reader()
        try:
            result = await reader.get_list(reader.key(self._selector), options)
        except _ANSWERED as error:
            raise WatchError(str(error)) from error
        return Page(result.objects, result.revision, result.continue_token)

    @asynccontextmanager
    async def watch(self, revision: int, *, timeout_s: float | None = None) -> AsyncIterator[_Stream]:
        """The changes after `revision`; see StreamingListerWatcher."""
        async with self._opened(str(revision), False, timeout_s) as watch:
            with self._held(_Stream(watch, revision, timeout_s)) as stream:
                yield stream

    @asynccontextmanager
    async def watch_list(self, *, resource_version: str = "", timeout_s: float | None = None) -> AsyncIterator[_Stream]:
        """The state, then the changes; see StreamingListerWatcher."""
        async with self._opened(resource_version, True, timeout_s) as watch:
            with self._held(_Stream(watch, 0, timeout_s)) as stream:
                yield stream

    async def request_progress(self) -> None:
        """Have every open stream say how far it is, once the cache is as far as the store is now; see ListerWatcher."""
        reader = self._find_reader()
        with suppress(WatchError, *_ANSWERED, ProgressUntrusted, trio.BrokenResourceError, OSError):
            await reader.wait_until_fresh(await reader.storage.current_resource_version())
        for stream in self._open:
            stream.tell()

    @asynccontextmanager
    async def _opened(
        self, resource_version: str, initial: bool, timeout_s: float | None
    ) -> AsyncIterator[ResourceWatch]:
        await self._ready()
        options = ListOptions(
            resource_version=resource_version,
            match=Match.NOT_OLDER_THAN if initial else Match.UNSET,
            send_initial_events=initial,
            allow_bookmarks=True,
            deadline=None if timeout_s is None else trio.current_time() + timeout_s,
            selector=self._selector,
        )
        async with AsyncExitStack() as stack:
            try:
                watch = await stack.enter_async_context(self._find_reader().watch(options))
            except _ANSWERED as error:  # such as ProgressUntrusted: who mirrors this lists instead
                raise WatchError(str(error)) from error
            yield watch

    def _held(self, stream: _Stream) -> _Held:
        return _Held(self._open, stream)


class _Held:
    """For as long as its block lasts, a stream is among those that are asked for their progress."""

    def __init__(self, streams: dict[_Stream, None], stream: _Stream) -> None:
        self._streams = streams
        self._stream = stream

    def __enter__(self) -> _Stream:
        self._streams[self._stream] = None
        return self._stream

    def __exit__(self, *_: object) -> None:
        del self._streams[self._stream]


class _Stream:
    """An open watch as Changes. `revision`: where it starts; 0: it begins with a state, and has come nowhere before its end."""

    def __init__(self, watch: ResourceWatch, revision: int, timeout_s: float | None) -> None:
        self._last_word_s = inf if timeout_s is None else trio.current_time() + timeout_s - LAST_WORD_S
        self._watch = watch
        self._revision = revision
        self._ready: deque[Changes] = deque()
        self._waiting: trio.CancelScope | None = None

    async def receive(self) -> Changes:
        """See ChangeStream."""
        if self._ready:
            await trio.lowlevel.checkpoint()
            return self._ready.popleft()
        batch = await self._next()
        if self._revision:
            return self._changes(batch)
        for index, event in enumerate(batch):
            if event.is_initial_events_end:
                self._revision = event.revision
                if rest := batch[index + 1 :]:
                    self._ready.append(self._changes(rest))
                return Changes(tuple(filter(_is_change, batch[:index])), event.revision)
        return Changes(tuple(filter(_is_change, batch)), 0)

    def tell(self) -> None:
        """Have `receive` say how far this is, if it has nothing else to say."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def _next(self) -> Batch:
        """What comes next; nothing, where it is time to say how far this is."""
        now = trio.current_time()
        until_s = now + HEARTBEAT_S
        if now < self._last_word_s:
            until_s = min(until_s, self._last_word_s)
        try:
            with trio.CancelScope(deadline=until_s) as self._waiting:
                return await self._watch.receive_batch()
            return self._watch.receive_batch_nowait()  # what came since: only who has taken all is as far as its cache
        except trio.WouldBlock:
            return ()
        except _ANSWERED as error:
            raise WatchError(str(error)) from error
        finally:
            self._waiting = None

    def _changes(self, batch: Batch) -> Changes:
        reached = batch[-1].revision if batch else _reached(self._watch)
        self._revision = max(self._revision, reached)
        if batch and batch[-1].type is not EventType.BOOKMARK and batch[0].type is not EventType.BOOKMARK:
            return Changes(batch, self._revision)
        return Changes(tuple(filter(_is_change, batch)), self._revision)


def _reached(watch: ResourceWatch) -> int:
    """How far a watch is that has nothing to bring: where what feeds it is."""
    return watch.router.revision if isinstance(watch, Watch) else watch.revision


def _is_change(event: Event) -> bool:
    return event.type is not EventType.BOOKMARK
