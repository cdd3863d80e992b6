"""A resource of an API server as a ListerWatcher: lists in pages, lists as streams, watches that are found out when they die.

    list        GET …?limit&continue&resourceVersion                    one page, decoded in slices
    watch       GET …?watch=true&resourceVersion=N                      changes, one batch a read
    watch_list  GET …?watch=true&sendInitialEvents=true                 the state as Changes of revision 0, then changes

What a server may not do is not believed: a revision that does not rise, an event of a kind that is not known, a line that is
no event, an end in the midst of a line. Each ends the stream with an error, so that what was missed is asked for again.

Source: client-go tools/cache/reflector.go, rest/watch; the wire: kubernetes.io/docs/reference/using-api/api-concepts.
Differs: a silent watch is given up after SILENCE_S, where client-go relies on HTTP/2 pings; but where the store says that nothing
has happened in it, silence is the truth, and is told as a bookmark.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import trio

from watch import APIError, Event, FieldSelector, LabelSelector, Object, WatchError

from .._backoff import Chance
from .._lister_watcher import Changes, ChangeStream, Page
from ._answers import BadAnswer, mirrored
from ._connection import Connection, ConnectionLost
from ._paths import Query
from ._transport import Transport
from ._wire import Bookmark, Lines, ListBody, WireReader, read_list

WATCH_TIMEOUT_S = 300.0
"""A watch is asked to end after this, up to twice as long: so that clients move to servers that have come up meanwhile, and not
all at once. Source: client-go tools/cache/reflector.go, defaultMinWatchTimeout."""
SILENCE_S = 70.0
"""A watch that brings nothing for so long is dead: servers send bookmarks once a minute, and keep history for 75 s, so that
what was missed can still be had without a list."""
QUIET_S = 63.0
"""After so long without a byte the server is asked whether there was anything to say: servers send bookmarks once a minute, but
only to say something new. Their period of 60 s, and what they may be late."""
INITIAL_SILENCE_S = 15.0
"""A server that streams its state, and then says nothing for so long before it has said that this was all, does not know how:
one that does sends the end with, or within seconds of, the last object."""
SLICE = 500
"""Objects of a list that are read before other tasks have their turn: some milliseconds."""


class ListsAreNotStreamed(WatchError):
    """The server does not know how to send its state through a watch: list it."""


class HTTPListerWatcher:
    """The selected objects of one resource. A StreamingListerWatcher.

    Args:
        path: where it is listed: of one namespace, or of all.
        random: chance for how long watches are to last.
    """

    def __init__(
        self,
        transport: Transport,
        path: str,
        reader: WireReader,
        *,
        random: Chance,
        labels: LabelSelector,
        fields: FieldSelector,
    ) -> None:
        self._transport = transport
        self._path = path
        self._reader = reader
        self._random = random
        self._selection: dict[str, str] = {"labelSelector": str(labels), "fieldSelector": str(fields)}
        self._is_streamed = True
        """Until the server has shown that it does not know how."""

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        """One page; see ListerWatcher. "Whatever there is" comes whole from caches; an answer has at most BODY_MAX bytes.

        Raises:
            watch.Expired, watch.TooLargeResourceVersion: as ListerWatcher.
            watch.NotReady: the server asks for patience, longer than a call may take.
            watch.InvalidSelector: the server does not select by such a field.
            ServerRefused: it answered something else; BadAnswer: what no API server answers.
            ConnectionLost: it was not reached, or was lost.
        """
        asks_for_version = resource_version not in ("", "0") and not page
        query: Query = {
            **self._selection,
            "limit": page_size or None,
            "continue": page,
            "resourceVersion": "" if page else resource_version,
            "resourceVersionMatch": "NotOlderThan" if asks_for_version else "",
        }
        try:
            response = await self._transport.call("GET", self._path, query)
        except APIError as error:
            raise self._mirrored(error, int(resource_version) if asks_for_version else 0) from error
        found = read_list(response.body)
        return Page(await self._objects(found), found.revision, found.next_page)

    def watch(self, revision: int, *, timeout_s: float | None = None) -> AbstractAsyncContextManager[ChangeStream]:
        """The changes after `revision`; see ListerWatcher. `timeout_s`: 300 to 600 s where nothing is said.

        Raises:
            watch.Expired, watch.NotReady, ServerRefused, ConnectionLost: on entering, as `list`; and later as ChangeStream.
        """
        return self._open({"resourceVersion": revision}, revision, timeout_s)

    def watch_list(
        self, *, resource_version: str = "", timeout_s: float | None = None
    ) -> AbstractAsyncContextManager[ChangeStream]:
        """The state and then the changes; see StreamingListerWatcher.

        Raises:
            ListsAreNotStreamed: the server has shown that it does not know how; or shows it later, as the stream's error.
            others as `watch`.
        """
        asked = int(resource_version) if resource_version not in ("", "0") else 0
        query: Query = {
            "resourceVersion": resource_version,
            "sendInitialEvents": True,
            "resourceVersionMatch": "NotOlderThan",
        }
        return self._open(query, asked, timeout_s, is_initial=True)

    async def request_progress(self) -> None:
        """Nothing: an API server cannot be asked, and says it by itself about once a minute."""
        await trio.lowlevel.checkpoint()

    async def newest(self) -> int | None:
        """The revision of the store, not older than this call; None where the server does not say. One object is read for it."""
        try:
            return read_list((await self._transport.call("GET", self._path, {"limit": 1})).body).revision
        except (APIError, WatchError, ConnectionLost):
            return None

    @asynccontextmanager
    async def _open(
        self, query: Query, revision: int, timeout_s: float | None, *, is_initial: bool = False
    ) -> AsyncIterator[ChangeStream]:
        if is_initial and not self._is_streamed:
            raise ListsAreNotStreamed("the server does not stream lists", "list it")
        lasts_s = WATCH_TIMEOUT_S * (1 + self._random.random()) if timeout_s is None else timeout_s
        whole: Query = {
            **self._selection,
            "watch": True,
            "allowWatchBookmarks": True,
            "timeoutSeconds": max(1, round(lasts_s)),
            **query,
        }
        stream: _Stream | None = None
        try:
            async with self._transport.stream(self._path, whole) as connection:
                stream = _Stream(self, connection, revision, is_initial=is_initial)
                yield stream
        except APIError as error:
            if stream is not None:
                raise  # the user's own, from within the context
            raise self._mirrored(error, revision) from error

    async def _objects(self, found: ListBody) -> tuple[Object, ...]:
        read = self._reader.object
        objects = []
        for start in range(0, len(found.items), SLICE):
            objects += [
                read(item, kind=found.kind, api_version=found.api_version)
                for item in found.items[start : start + SLICE]
            ]
            await trio.lowlevel.checkpoint()
        return tuple(objects)

    def _mirrored(self, error: APIError, asked: int) -> WatchError:
        return mirrored(error, asked, self._selection["fieldSelector"] or self._selection["labelSelector"])

    def _stream_failed(self, error: Exception) -> None:
        if isinstance(error, ListsAreNotStreamed):
            self._is_streamed = False


class _Taken(msgspec.Struct):
    """What was made of some bytes: changes, and what ends the stream after them."""

    changes: deque[Changes]
    failure: Exception | None = None


class _Stream:
    """An open watch: a ChangeStream."""

    def __init__(self, source: HTTPListerWatcher, connection: Connection, revision: int, *, is_initial: bool) -> None:
        self._source = source
        self._connection = connection
        self._lines = Lines()
        self._revision = revision
        self._is_initial = is_initial
        self._has_ended = False
        self._taken = _Taken(deque())

    async def receive(self) -> Changes:
        """See ChangeStream. What came before an error is delivered before it."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._taken.changes:
                return self._taken.changes.popleft()
            if self._taken.failure is not None:
                self._source._stream_failed(self._taken.failure)
                raise self._taken.failure
            try:
                data = await self._next()
            except (WatchError, trio.BrokenResourceError, trio.EndOfChannel) as error:
                self._taken.failure = error  # whoever asks again gets the same
            else:
                self._taken = _Taken(deque([Changes((), self._revision)])) if data is None else self._take(data)

    async def _next(self) -> bytes | None:
        """What comes next; None: nothing, and there is nothing."""
        if self._is_initial:
            if (data := await self._read(INITIAL_SILENCE_S)) is not None:
                return data
            raise ListsAreNotStreamed(
                f"the server sent a state, did not say that it was all, and was silent for {INITIAL_SILENCE_S:g} s",
                "list it",
            )
        heard_s = trio.current_time()
        if (data := await self._read(QUIET_S)) is not None:
            return data
        newest: int | None = None
        with trio.move_on_after(SILENCE_S - QUIET_S):
            newest = await self._source.newest()
        if newest == self._revision:
            return None
        if newest is not None and newest < self._revision:
            raise BadAnswer(f"the store is at revision {newest}, and was at {self._revision} before")
        if (data := await self._read(heard_s + SILENCE_S - trio.current_time())) is not None:
            return data
        raise trio.BrokenResourceError(f"the watch brought nothing for {SILENCE_S:g} s: the connection is dead")

    async def _read(self, within_s: float) -> bytes | None:
        """The next bytes; None: none came so soon. What was cut off before it came is not lost: h11 has been given none of it."""
        try:
            with trio.move_on_after(within_s):
                if data := await self._connection.read():
                    return data
                if not self._lines.is_between_lines:
                    raise trio.BrokenResourceError("the watch ended in the midst of an event")
                raise trio.EndOfChannel
        except ConnectionLost as error:
            raise trio.BrokenResourceError(str(error)) from error
        return None

    def _take(self, data: bytes) -> _Taken:
        """Reads what `data` completes. Synchronous: all of it, up to the first thing that is wrong."""
        taken = _Taken(deque())
        events: list[Event] = []
        try:
            for line in self._lines.feed(data):
                said = self._source._reader.event(line)
                if isinstance(said, Event):
                    self._check(said)
                    events.append(said)
                elif isinstance(said, Bookmark):
                    self._pass(said)
                    taken.changes.append(Changes(tuple(events), self._revision))
                    events = []
                else:
                    raise self._source._mirrored(said, self._revision)
        except WatchError as error:
            taken.failure = error
        if events:
            taken.changes.append(Changes(tuple(events), 0 if self._is_initial else self._revision))
        return taken

    def _check(self, event: Event) -> None:
        """Moves on to the event. Those of the initial state have revisions in no order."""
        if self._is_initial:
            return
        if event.revision <= self._revision:
            raise BadAnswer(f"an event at revision {event.revision} came after revision {self._revision}")
        self._revision = event.revision

    def _pass(self, bookmark: Bookmark) -> None:
        """Moves on to the bookmark.

        One that goes back comes from a server that is behind, or whose store was set back: what it has to say from there on it
        would not send, since we asked for what is newer. A list finds out.
        """
        if self._is_initial and not bookmark.ends_initial_events:
            # The first bookmark of a streamed list is its end. This is a watch like any other.
            raise ListsAreNotStreamed(
                "the server sent a bookmark before it said that its state was complete", "list it"
            )
        if bookmark.revision < self._revision:
            raise BadAnswer(f"a bookmark at revision {bookmark.revision} came after revision {self._revision}")
        self._is_initial = False
        self._revision = bookmark.revision
