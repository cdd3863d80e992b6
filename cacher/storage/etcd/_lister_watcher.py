"""An etcd prefix as a ListerWatcher: pages pinned to one revision, and a watch from a revision, decoded into objects.

Source: kubernetes/apiserver pkg/storage/etcd3 (store.go GetList, watcher.go, event.go).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from reflector import Changes, Page
from watch import Event, EventType, Expired, Object, ObjectReader, TooLargeResourceVersion, WatchError

from ._protocol import (
    CompactedError,
    Etcd,
    EtcdError,
    EtcdEvent,
    EtcdWatch,
    EventKind,
    FutureRevisionError,
    TooManyRequestsError,
    UnavailableError,
    prefix_end,
)


class EtcdListerWatcher:
    """Lists and watches all keys under `prefix`, which ends in "/".

    Args:
        reader: knows the resource's selectable fields.
        with_previous: have a DELETED event bring the last version. False where the store has it, as a watch cache does: etcd
            would send the version before with every event, which is half of all bytes and of what it costs to take them.
    """

    def __init__(self, etcd: Etcd, prefix: str, reader: ObjectReader, *, with_previous: bool = True) -> None:
        self._etcd = etcd
        self._prefix = prefix.encode()
        self._end = prefix_end(self._prefix)
        self._reader = reader
        self._with_previous = with_previous
        self._open: EtcdWatch | None = None

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        """One page; see ListerWatcher. The token of a next page is its revision and first key.

        Raises:
            watch.Expired: the page's revision was compacted.
            watch.TooLargeResourceVersion: the store has not reached `resource_version`.
            watch.ObjectDecodeError: a value under the prefix is not an object.
        """
        pinned, start = _read_token(page) if page else (0, self._prefix)
        try:
            result = await self._etcd.range(start, self._end, revision=pinned, limit=page_size)
        except CompactedError as error:
            raise Expired(pinned, error.compact_revision) from error
        except FutureRevisionError as error:
            raise TooLargeResourceVersion(error.asked, error.current) from error
        except EtcdError as error:
            raise _failure(error) from error
        if not page and resource_version not in ("", "0") and int(resource_version) > result.revision:
            raise TooLargeResourceVersion(int(resource_version), result.revision, retry_after_s=0)
        revision = pinned or result.revision
        objects = tuple(self._reader.read(_text(kv.key), kv.value, kv.mod_revision) for kv in result.kvs)
        next_page = _token(revision, result.kvs[-1].key + b"\0") if result.more else ""
        return Page(objects, revision, next_page)

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[_Stream]:
        """The changes after `revision`; see ListerWatcher.

        Raises:
            watch.Expired: on entering, or later: what follows `revision` was compacted.
            trio.BrokenResourceError, watch.WatchError: on entering, or later: the store is away, or refuses; a reflector waits.
        """
        watching = self._etcd.watch(
            self._prefix, self._end, start_revision=revision + 1, prev_kv=self._with_previous, progress_notify=True
        )
        async with AsyncExitStack() as stack:
            # Most stores tell whoever receives. One may as well refuse at once, and must not end who waits for better times.
            try:
                opened = await stack.enter_async_context(watching)
            except CompactedError as error:
                raise Expired(revision, error.compact_revision) from error
            except EtcdError as error:
                raise _failure(error) from error
            self._open = opened
            try:
                yield _Stream(opened, self._reader, revision)
            finally:
                self._open = None

    async def request_progress(self) -> None:
        """Ask the open watch how far it is; nothing where none is open."""
        await trio.lowlevel.checkpoint()
        if self._open is not None:
            self._open.request_progress()


class _Stream:
    """An open watch, decoded."""

    def __init__(self, watch: EtcdWatch, reader: ObjectReader, revision: int) -> None:
        self._watch = watch
        self._reader = reader
        self._revision = revision

    async def receive(self) -> Changes:
        """See ChangeStream."""
        try:
            response = await self._watch.receive()
        except CompactedError as error:
            raise Expired(self._revision, error.compact_revision) from error
        except EtcdError as error:
            raise _failure(error) from error
        self._revision = max(self._revision, response.revision)
        read = self._reader
        return Changes(tuple([_event(event, read) for event in response.events]), self._revision)


def _failure(error: EtcdError) -> Exception:
    """What a reflector waits out: a lost connection, after which it goes on where it was; or an answer, after which it may not."""
    is_passing = isinstance(error, UnavailableError | TooManyRequestsError)
    return trio.BrokenResourceError(str(error)) if is_passing else WatchError(str(error))


def _event(event: EtcdEvent, reader: ObjectReader) -> Event:
    kv = event.kv
    revision = kv.mod_revision
    if event.kind is EventKind.PUT:
        kind = EventType.ADDED if kv.create_revision == revision else EventType.MODIFIED
        return Event(kind, reader.read(_text(kv.key), kv.value, revision), revision)
    if event.prev_kv is not None:
        return Event(EventType.DELETED, reader.read(_text(kv.key), event.prev_kv.value, revision), revision)
    # Nobody wants the last version, or compaction took it. Which key went is all that a store needs to know.
    return Event(EventType.DELETED, Object(_text(kv.key), revision, b"{}"), revision)


def _text(key: bytes) -> str:
    """A key as text. One that is not UTF-8, which Kubernetes never writes, keeps its bytes and costs nobody the resource."""
    return key.decode("utf-8", "surrogateescape")


def _token(revision: int, start: bytes) -> str:
    return f"{revision}:{_text(start)}"


def _read_token(token: str) -> tuple[int, bytes]:
    revision, _, start = token.partition(":")
    return int(revision), start.encode("utf-8", "surrogateescape")
