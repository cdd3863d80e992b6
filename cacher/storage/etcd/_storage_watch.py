"""Watches over etcd: the state as ADDED, page by page at one revision; then the changes from the next revision on.

    resource version   send_initial_events   state                          changes
    "" or "0"          unset, True           now                            after it
    "" or "0"          False                 –                              after now
    N                  unset, False          –                              after N
    N                  True                  now; TooLarge where that < N   after it

The etcd watch is opened at once, so that no compaction comes between state and changes; its bridge is the bounded buffer.
Pages of the state are read as they are received. There is no task here: nothing runs unless somebody receives.

Source: kubernetes/apiserver pkg/storage/etcd3/watcher.go, event.go. Differs: a server that does not read its watch loses
nothing there or here, but there two more buffers of 100 events stand between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio

from watch import (
    Batch,
    Event,
    EventType,
    Expired,
    Object,
    ObjectDecodeError,
    TooLargeResourceVersion,
    bookmark,
    filter_event,
)

from .._errors import InternalError, StatusError, StorageError, StorageReadError
from .._interface import ListOptions
from .._keys import go_quoted
from .._validation import parse_watch_resource_version
from ._protocol import (
    CompactedError,
    EtcdError,
    EtcdEvent,
    EtcdWatch,
    EventKind,
    RangeResult,
    WatchResponse,
    prefix_end,
)
from ._storage_errors import stream_error
from ._storage_list import OBJECTS_A_STEP, PAGE_SIZE_MAX, text
from ._storage_requests import Requests, unreadable

if TYPE_CHECKING:
    from random import Random

WATCH_EXPIRED = "The resourceVersion for the provided watch is too old."


class _Page(msgspec.Struct, frozen=True):
    """Where the next page of the state begins, at which revision."""

    start: bytes
    revision: int


class EtcdEventStream:
    """An open watch (see EventStream). Made by `EtcdStorage.watch`. Cancelled, a receive has taken nothing."""

    def __init__(self, requests: Requests, key: str, options: ListOptions) -> None:
        self._requests = requests
        self._decoder = EventDecoder(requests, options.selector.compile())
        self._key = key.encode()
        self._end = prefix_end(self._key) if options.recursive else None
        self._options = options
        self._page: _Page | None = None
        self._ends_state = bool(options.send_initial_events) and options.allow_bookmarks
        self._asked = 0
        self._watch: EtcdWatch | None = None
        self._ready: deque[Event] = deque()
        self._failure: Exception | None = None
        self._is_over = False
        self._is_closed = False
        self._is_receiving = False

    async def receive(self) -> Event:
        """See EventStream.receive; also raises trio.BusyResourceError where another task is receiving."""
        await self._fill()
        return self._ready.popleft()

    async def receive_batch(self) -> Batch:
        """See EventStream.receive_batch. Whole revisions, or a page of the state."""
        await self._fill()
        batch = tuple(self._ready)
        self._ready.clear()
        return batch

    def request_progress(self) -> None:
        """Ask etcd how far it is; nothing where this watch does not tell."""
        if self._watch is not None and self._options.progress_notify and not self._is_over:
            self._watch.request_progress()

    # --- opening ------------------------------------------------------------------------------------------------------

    async def start(self, stack: AsyncExitStack, random: Random) -> None:
        """Take the first page and open the watch after it. What goes wrong is received.

        Raises:
            InvalidResourceVersion: the resource version is none.
        """
        asked = parse_watch_resource_version(self._options.resource_version)
        try:
            revision = await self._begin(asked)
        except (StorageError, StatusError, trio.BrokenResourceError) as error:
            self._failure = error if isinstance(error, StatusError) else stream_error(error)
            return
        if asked > revision:
            self._failure = TooLargeResourceVersion(asked, revision, retry_after_s=float(random.randint(1, 3)))
            return
        self._asked = revision
        opening = self._requests.etcd.watch(
            self._key,
            self._end,
            start_revision=revision + 1,
            prev_kv=True,
            progress_notify=self._options.progress_notify,
        )
        try:
            self._watch = await stack.enter_async_context(opening)
        except EtcdError as error:
            self._failure = stream_error(error)

    async def _begin(self, asked: int) -> int:
        """The revision after which changes are shown, with the first page of the state where that is shown."""
        initial = self._options.send_initial_events
        if asked and not initial:
            return asked
        if initial is False:
            return (await self._requests.range("list", self._key, count_only=True)).revision
        page = await self._requests.range("list", self._key, self._end, limit=PAGE_SIZE_MAX)
        if asked <= page.revision:
            await self._take_page(page, page.revision)
        return page.revision

    def close(self) -> None:
        """Its context was left: what was not received is forgotten."""
        self._is_closed = True
        self._ready.clear()

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def _fill(self) -> None:
        """Return once something is ready."""
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this watch: open one for each task")
        self._is_receiving = True
        try:
            if self._ready or self._failure or self._is_over:
                await trio.lowlevel.checkpoint()
            while not self._ready:
                self._raise_if_over()
                await self._fetch()
        finally:
            self._is_receiving = False

    def _raise_if_over(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this watch was closed: open another")
        if self._failure is not None:
            failure, self._failure, self._is_over = self._failure, None, True
            raise failure
        if self._is_over:
            raise trio.EndOfChannel("the watch is over: watch again from the last revision received, or list anew")

    async def _fetch(self) -> None:
        """One more page of the state, or one more response of the watch."""
        assert self._watch is not None, "without a watch there is a failure, which was raised"
        try:
            if self._page is not None:
                at = self._page
                page = await self._requests.range(
                    "list", at.start, self._end, revision=at.revision, limit=PAGE_SIZE_MAX
                )
                await self._take_page(page, at.revision)
            else:
                self._take_response(await self._watch.receive())
        except CompactedError as error:
            self._failure = Expired(self._asked, error.compact_revision, message=WATCH_EXPIRED)
        except StatusError as error:
            self._failure = error
        except (EtcdError, StorageError, trio.BrokenResourceError) as error:
            self._failure = stream_error(error)
        except trio.EndOfChannel:
            self._is_over = True

    async def _take_page(self, page: RangeResult, revision: int) -> None:
        """Cancelled, it has taken nothing, and the page is read again."""
        ready: list[Event] = []
        failure: InternalError | None = None
        for index, kv in enumerate(page.kvs):
            if index % OBJECTS_A_STEP == OBJECTS_A_STEP - 1:
                await trio.lowlevel.checkpoint()
            try:
                event = self._decoder.added(text(kv.key), kv.value, kv.mod_revision)
            except InternalError as error:
                failure = error
                break
            if event is not None:
                ready.append(event)
        self._page = _Page(page.kvs[-1].key + b"\0", revision) if page.more and failure is None else None
        if self._page is None and failure is None and self._ends_state:
            ready.append(bookmark(revision, initial_events_end=True))
        self._ready.extend(ready)
        self._failure = failure

    def _take_response(self, response: WatchResponse) -> None:
        self._asked = max(self._asked, response.revision)
        self._requests.metrics.events_received.value += len(response.events)
        if not response.events:
            self._requests.metrics.bookmarks.value += 1
            if self._options.progress_notify:
                self._ready.append(bookmark(response.revision))
            return
        events, self._failure = self._decoder.events(response.events)
        self._ready.extend(events)


class EventDecoder:
    """Makes of etcd's events what a watch with one selector delivers. Keeps nothing."""

    def __init__(self, requests: Requests, matches: Callable[[Object], bool] | None) -> None:
        self._requests = requests
        self._matches = matches

    def events(self, events: Sequence[EtcdEvent]) -> tuple[list[Event], Exception | None]:
        """What is to be delivered, and what then ends the watch. A revision that cannot be shown whole is not shown."""
        delivered: list[Event] = []
        for event in events:
            try:
                decoded = self.event(event)
            except InternalError as error:
                whole = [earlier for earlier in delivered if earlier.revision < event.kv.mod_revision]
                return whole, error
            if decoded is not None:
                delivered.append(decoded)
        return delivered, None

    def event(self, event: EtcdEvent) -> Event | None:
        """What a watch delivers for `event`; None where it does not concern it.

        Raises:
            InternalError: the object cannot be read, or the version before it is gone.
        """
        if event.prev_kv is None and not event.is_create:
            key = text(event.kv.key)
            raise InternalError(
                f"etcd event received with PrevKv=nil (key={go_quoted(key)}, modRevision={event.kv.mod_revision}, "
                f"type={event.kind.value})"
            )
        return self._deleted(event) if event.kind is EventKind.DELETE else self._put(event)

    def added(self, key: str, raw: bytes, revision: int) -> Event | None:
        """An object of the state, if it matches. Raises InternalError: it cannot be read."""
        found = self._requests.read(key, raw, revision)
        if self._matches is not None and not self._matches(found):
            return None
        return Event(EventType.ADDED, found, revision)

    def _put(self, event: EtcdEvent) -> Event | None:
        kv, before = event.kv, event.prev_kv
        key, revision = text(kv.key), kv.mod_revision
        found = self._requests.read(key, kv.value, revision)
        if event.is_create or before is None:
            return filter_event(self._matches, Event(EventType.ADDED, found, revision))
        try:
            previous = self._requests.read(key, before.value, before.mod_revision)
        except InternalError:
            if self._matches is not None:
                raise
            # All that a selector wants to know is lost, but here there is none: somebody mended the object.
            return Event(EventType.MODIFIED, found, revision)
        return filter_event(self._matches, Event(EventType.MODIFIED, found, revision, previous))

    def _deleted(self, event: EtcdEvent) -> Event | None:
        assert event.prev_kv is not None, "its absence has been reported"
        key, revision = text(event.kv.key), event.kv.mod_revision
        try:
            previous = self._requests.decode(key, event.prev_kv.value, event.prev_kv.mod_revision)
        except ObjectDecodeError as error:
            problem = f"saw a DELETED event, but object data is corrupt - {unreadable(error)}"
            raise StorageReadError(problem, [(key, error.problem)]) from error
        return filter_event(self._matches, Event(EventType.DELETED, previous.at_revision(revision), revision, previous))


@asynccontextmanager
async def open_stream(
    requests: Requests, key: str, options: ListOptions, random: Random
) -> AsyncIterator[EtcdEventStream]:
    """A stream of what is under `key`, closed at the end of the context.

    Raises:
        InvalidResourceVersion: on entering.
    """
    async with AsyncExitStack() as stack:
        stream = EtcdEventStream(requests, key, options)
        await stream.start(stack, random)
        try:
            yield stream
        finally:
            stream.close()
