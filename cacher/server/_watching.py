"""A watch as an answer: a cursor on its view, and a writer.

    publisher ─ first(batch): one send that does not wait ─┬─ all taken: nobody wakes
                                                           ├─ a part: its rest alone is ever queued ───┐
                                                           └─ nothing: it stays in the view's log      ├─► the stream's task
    a stream that lags ────────────────────────────────────────────────────────────────────────────────┘   all there is

The task sleeps in `receive_batch` while the publisher's sends succeed. A client that takes no byte for the limit's `stall_s` is
cut; one whose history left the ring while it lagged ends as one that Kubernetes evicts: without an event, to watch again.
"""

from __future__ import annotations

import math

import trio

from watch import Batch, Expired, Watch, WatchError, bookmark

from ..registry import APIError, Operation, ResourceDoor, api_error
from ..storage import EventStream, PlainError, StatusError, StorageError
from ._encoding import chunk
from ._frames import Frames, error_line
from ._http import Exchange, Gone
from ._shapes import SLICE

JOINED_BYTES = 256 * 1024
"""What is sent at once of what a stream has to catch up with."""


class WatchStream:
    """One open watch.

    Args:
        bookmarks: the client takes them: at the server's end it gets one more.
        deadline: of the watch, in trio seconds.
        closing: set when the server ends.
    """

    def __init__(
        self,
        exchange: Exchange,
        stream: EventStream,
        frames: Frames,
        door: ResourceDoor,
        *,
        bookmarks: bool,
        deadline: float = math.inf,
        closing: trio.Event,
    ) -> None:
        self._exchange = exchange
        self._stream = stream
        self._frames = frames
        self._door = door
        self._bookmarks = bookmarks
        self._deadline = deadline
        self._closing = closing
        self._needs_columns = frames.has_columns
        self._waiting = trio.CancelScope()
        self._begun: Batch = ()
        """The batch that the publisher has sent a part of; its rest is the connection's."""
        is_direct = exchange.is_chunked and isinstance(stream, Watch)
        self._sends_now = exchange.connection.sends_now if is_direct else None

    async def run(self) -> None:
        """Send events until the watch ends, its time is over, the server closes, or the client goes."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._notice_departure, nursery.cancel_scope)
            nursery.start_soon(self._end_when_closing)
            try:
                await self._send_events()
                await self._end()
            except Gone:
                pass  # the answer is not finished, and so the connection ends
            nursery.cancel_scope.cancel()

    async def _send_events(self) -> None:
        """Until there are no more. What is being sent is sent to its end: only the wait for more is cut short."""
        try:
            while batch := await self._next_in_time():
                await self._send(batch)
        except trio.EndOfChannel:
            return
        except Expired as error:
            if not isinstance(self._stream, Watch):  # else it was too slow, and watches again
                await self._fail(self._told(error))
        except (APIError, WatchError, StorageError, StatusError, PlainError) as error:
            await self._fail(self._told(error))

    def _told(self, error: Exception) -> APIError:
        if isinstance(error, APIError):
            return error
        return api_error(error, Operation.WATCH, self._door.storage.resource)

    async def _next_in_time(self) -> Batch:
        """What comes next; nothing where the watch is over."""
        if self._closing.is_set():
            return ()
        with trio.CancelScope(deadline=self._deadline) as self._waiting:
            return await self._next()
        return ()

    async def _next(self) -> Batch:
        stream = self._stream
        if isinstance(stream, Watch):
            return await stream.receive_batch(
                first=self._first if self._sends_now and not self._needs_columns else None
            )
        return await stream.receive_batch()

    # ---- from the publisher: no await, no exception --------------------------------------------------------------------

    def _first(self, batch: Batch) -> bool:
        """Send the batch at once, if the socket takes it. False: wake the task."""
        if len(batch) > SLICE or self._sends_now is None:
            return False  # not at once: others wait
        data = self._frames.chunk(batch)
        is_whole = self._sends_now(data)
        if is_whole is None:
            return False
        self._frames.sent(batch, data)
        if not is_whole:
            self._begun = batch
        return is_whole

    # ---- from the task -------------------------------------------------------------------------------------------------

    async def _send(self, batch: Batch) -> None:
        """Send the batch, and what has come beside it."""
        send = self._exchange.connection.send
        pieces = []
        if self._begun:
            assert batch[-1] is self._begun[-1], "nothing comes between a batch and its rest"
            self._begun = ()
        else:
            *parts, last = self._frames.parts(batch)
            for part in parts:  # of a state, mostly
                await send(self._chunk(part))
            pieces.append(self._chunk(last))
        size = sum(map(len, pieces))
        while size < JOINED_BYTES and (more := self._at_once()):
            pieces.append(self._chunk(more))
            size += len(pieces[-1])
        await send(b"".join(pieces))

    def _at_once(self) -> Batch:
        if not isinstance(self._stream, Watch):
            return ()
        try:
            return self._stream.receive_batch_nowait()
        except (trio.WouldBlock, trio.EndOfChannel, Expired):
            return ()  # the next call that waits will tell

    def _chunk(self, batch: Batch) -> bytes:
        data = self._framed(batch)
        self._frames.sent(batch, data)
        return data

    def _framed(self, batch: Batch) -> bytes:
        if self._needs_columns:
            self._needs_columns = False
            return self._wrapped(self._frames.lines(batch, with_columns=True))
        if self._exchange.is_chunked:
            return self._frames.chunk(batch)
        return self._frames.lines(batch)

    def _wrapped(self, lines: bytes) -> bytes:
        return chunk(lines) if self._exchange.is_chunked else lines

    async def _fail(self, error: APIError) -> None:
        await self._exchange.connection.send(self._wrapped(error_line(error)))

    async def _end(self) -> None:
        """At the server's end all that is there, and a bookmark; then the end."""
        pieces = []
        if self._closing.is_set():
            pieces += self._farewell()
        if self._exchange.is_chunked:
            pieces.append(self._exchange.end_frame())
        await self._exchange.connection.send(b"".join(pieces))

    def _farewell(self) -> list[bytes]:
        pieces = []
        while more := self._at_once():
            pieces.append(self._chunk(more))
        if self._bookmarks and isinstance(self._stream, Watch):
            revision = self._stream.revision
            if revision and not self._stream.is_ended:
                pieces.append(self._wrapped(self._frames.lines((bookmark(revision),))))
        return pieces

    async def _notice_departure(self, scope: trio.CancelScope) -> None:
        """End everything once the client has closed its side; what it sends meanwhile is its next request."""
        connection = self._exchange.connection
        kept = 0
        while True:
            try:
                data = await connection.receive()
            except Gone:
                data = b""
            if not data:
                scope.cancel()
                return
            kept += len(data)
            if kept > connection.limits.head_bytes:
                scope.cancel()
                return
            connection.fed(data)

    async def _end_when_closing(self) -> None:
        await self._closing.wait()
        self._waiting.cancel()
