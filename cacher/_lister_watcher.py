"""Any storage as a ListerWatcher: what a cache fills itself from.

    CacherStorage ─ Cacher ─ Reflector ─► StorageListerWatcher ─► Interface.get_list, .watch

Source: kubernetes/apiserver pkg/storage/cacher/lister_watcher.go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import trio

from reflector import Changes, Page
from watch import Event, EventType, WatchError

from .storage import EventStream, Interface, InternalError, ListOptions, StatusError, StorageError

RETRY_INTERNAL_ERROR_S = 30.0
"""A watch that fails inside the store is opened again where it was for so long before the cache gives up its state and
lists anew, which ends all of its own watches. Source: cacher.go, MaxInternalErrorRetryDuration."""
FORGET_INTERNAL_ERROR_S = 60.0
"""So long without such a failure, and the next one is the first again; what comes in between does not count.
Source: client-go tools/cache/reflector.go, NewRetryWithDeadline."""

_BOOKMARK = EventType.BOOKMARK  # looked up once: it costs 80 ns in CPython 3.11, and each event is asked


class StorageListerWatcher:
    """Lists and watches everything that `storage` holds. What is stored and unreadable shows as a WatchError."""

    def __init__(self, storage: Interface) -> None:
        self._storage = storage
        self._key = storage.resource_prefix.rstrip("/") + "/"
        self._first_failure_s = self._last_failure_s = -inf

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        """One page; see ListerWatcher. `page` is a continue token.

        It is of the latest, whatever `resource_version` is: that is never older, and with a limit a storage would take a
        revision for an exact one.
        Raises:
            watch.WatchError: the storage cannot answer; Expired as it is.
        """
        self._first_failure_s = self._last_failure_s = -inf
        options = ListOptions(limit=page_size, continue_token=page)
        try:
            result = await self._storage.get_list(self._key, options)
        except (StatusError, StorageError) as error:
            raise WatchError(str(error)) from error
        return Page(result.objects, result.revision, result.continue_token)

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[_Stream]:
        """The changes after `revision`; see ListerWatcher."""
        options = ListOptions(
            resource_version=str(revision), send_initial_events=False, allow_bookmarks=True, progress_notify=True
        )
        async with self._storage.watch(self._key, options) as stream:
            yield _Stream(stream, revision, self)

    async def request_progress(self) -> None:
        """Have the storage ask all of its watches, this one among them; see Interface.request_watch_progress."""
        await self._storage.request_watch_progress()

    def failed(self, error: InternalError) -> Exception:
        """What an error inside the store is to a reflector: a lost stream at first, a failed watch if it goes on."""
        now = trio.current_time()
        if now - self._last_failure_s >= FORGET_INTERNAL_ERROR_S:
            self._first_failure_s = now
        self._last_failure_s = now
        if now - self._first_failure_s <= RETRY_INTERNAL_ERROR_S:
            return trio.BrokenResourceError(str(error))
        self._first_failure_s = self._last_failure_s = -inf
        return WatchError(str(error))


class _Stream:
    """An open watch, its bookmarks told as Changes without events."""

    def __init__(self, stream: EventStream, revision: int, source: StorageListerWatcher) -> None:
        self._stream = stream
        self._revision = revision
        self._source = source

    async def receive(self) -> Changes:
        """See ChangeStream."""
        try:
            batch = await self._stream.receive_batch()
        except InternalError as error:
            raise self._source.failed(error) from error
        except (StatusError, StorageError) as error:
            raise WatchError(str(error)) from error
        self._revision = max(self._revision, batch[-1].revision)
        return Changes(tuple(filter(_is_change, batch)), self._revision)


def _is_change(event: Event) -> bool:
    return event.type is not _BOOKMARK
