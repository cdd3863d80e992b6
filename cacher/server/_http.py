"""The door to HTTP/1.1: requests in, answers out, over any trio stream. The only file that imports h11.

h11 reads what clients send and frames what is answered; a stream of events brings frames of its own, which are made once for
all who get them. Everything that a client can make us wait for, or keep, has a limit:

    a head that does not come, or is too long    408, 431, and the connection ends
    a body that stops, or is too long            408, 413
    an answer that nobody takes                  the connection is cut after `stall_s`

Source: RFC 9112.
"""

from __future__ import annotations

import http
import os
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any

import h11
import msgspec
import trio

from ..registry import RequestEntityTooLarge
from ._encoding import chunk
from ._request import BadTarget, Head, Response, read_head
from ._tls import TLSStream

READ_BYTES = 65_536
PIECE_BYTES = 16_384
"""What is handed to a stream that does not tell how much of it was taken, such as TLS: a record."""
DRAINED_BYTES_MAX = 16 * 2**20
"""Of a body that is not wanted: read and dropped, so that its sender comes to read the answer."""


SendNow = Callable[[bytes], bool | None]
"""Sends without waiting. True: all went. None: nothing did. False: a part did, and the rest goes before what is sent next."""


class Limits(msgspec.Struct, frozen=True):
    """What a client may ask of a connection. Seconds and bytes."""

    head_bytes: int = 65_536
    """Request line and headers together."""
    body_bytes: int = 3 * 2**20
    head_s: float = 32.0
    """From the first byte of a head, or the handshake, to its end. Source: kube-apiserver's ReadHeaderTimeout."""
    idle_s: float = 90.0
    """Between two requests. Source: kube-apiserver's IdleTimeout."""
    body_s: float = 30.0
    """Between two pieces of a body."""
    stall_s: float = 30.0
    """In which an answer must be taken by a byte at least."""
    drain_s: float = 1.0
    """For a body that is not wanted."""


class Gone(Exception):
    """The client is no longer there, or does not behave: there is nobody to answer."""


class HTTPConnection:
    """One client's connection, whose requests come one after the other."""

    def __init__(self, stream: trio.abc.Stream, limits: Limits, *, now: Any) -> None:
        self.stream = stream
        self.limits = limits
        self._now = now
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._is_first = True
        self._is_head = False
        self._unsent = b""
        """What `_send_now` has left: it goes before whatever is sent next."""

    async def next_request(self) -> Exchange | None:
        """The next request's head; None: there will be none, and the connection is to be closed.

        What is no HTTP is answered here.
        """
        limits = self.limits
        try:
            with trio.fail_after(limits.head_s if self._is_first else limits.idle_s) as scope:
                event = await self._next_event(scope)
            if not isinstance(event, h11.Request):
                return None
            self._is_head = event.method == b"HEAD"
            if event.http_version not in (b"1.0", b"1.1"):
                await self._refuse(505)
                return None
            head = read_head(
                event.method.decode("latin-1"),
                event.target,
                event.headers,
                is_http_1_1=event.http_version == b"1.1",
            )
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint)
            return None
        except BadTarget:
            await self._refuse(400)
            return None
        except trio.TooSlowError:
            if self._h11.trailing_data[0]:
                await self._refuse(408)
            return None
        except Gone:
            return None
        self._is_first = False
        return Exchange(self, head)

    async def _next_event(self, scope: trio.CancelScope | None = None) -> Any:
        """The next thing that the client says. Once its head begins, that has to end in its own time."""
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                await self.send(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            had_begun = bool(self._h11.trailing_data[0])
            data = await self.receive()
            if scope is not None and not had_begun and data and not self._is_first:
                scope.deadline = trio.current_time() + self.limits.head_s
            self._h11.receive_data(data)

    async def read_event(self) -> Any:
        """The next part of a body. Raises Gone, and h11's RemoteProtocolError."""
        return await self._next_event()

    def reuse(self) -> bool:
        """Whether the connection serves another request; made ready for it."""
        if self._h11.our_state is h11.MUST_CLOSE or self._h11.their_state is not h11.DONE:
            return False
        if self._h11.our_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    def frame(self, event: Any) -> bytes:
        """What h11 makes of an event of ours."""
        return self._h11.send(event) or b""

    def fed(self, data: bytes) -> None:
        """Bytes that came while an answer was under way: the next request's."""
        self._h11.receive_data(data)

    @property
    def is_body_pending(self) -> bool:
        """Whether some of the request is still to be read."""
        return self._h11.their_state in (h11.SEND_BODY, h11.IDLE)

    async def receive(self) -> bytes:
        """Some bytes; b"" at the end. Raises Gone."""
        try:
            return bytes(await self.stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Gone from error

    async def send(self, data: bytes) -> None:
        """Send all of it, and before it what was left by `sends_now`.

        Raises:
            Gone: the client went, or took no byte for `stall_s`.
        """
        stream, stall_s = self.stream, self.limits.stall_s
        try:
            if isinstance(stream, trio.SocketStream):
                view = memoryview(self._unsent + data)
                self._unsent = b""
                while view:
                    with trio.fail_after(stall_s):
                        sent = await stream.socket.send(view)
                    view = view[sent:]
                return
            for start in range(0, len(data) or 1, PIECE_BYTES):
                with trio.fail_after(stall_s):
                    await stream.send_all(data[start : start + PIECE_BYTES])
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError, OSError) as error:
            raise Gone from error
        except trio.TooSlowError as error:
            raise Gone("it takes nothing") from error

    @property
    def sends_now(self) -> SendNow | None:
        """`send_now` of what the client is connected by; None: it can only be awaited."""
        if isinstance(self.stream, trio.SocketStream):
            return self._send_now
        return self.stream.send_now if isinstance(self.stream, TLSStream) else None

    def _send_now(self, data: bytes) -> bool | None:
        """As TLSStream.send_now, in the clear."""
        stream = self.stream
        if self._unsent or not isinstance(stream, trio.SocketStream):
            return None
        try:
            sent = os.write(stream.socket.fileno(), data)
        except OSError:
            return None  # it would block, or the client went: who awaits will find out
        self._unsent = data[sent:]
        return not self._unsent

    async def drain(self) -> None:
        """Say that there will be no more, and read what still comes, for a moment: so the answer is not lost on the way."""
        with trio.move_on_after(self.limits.drain_s):
            try:
                if isinstance(self.stream, trio.SocketStream):
                    await self.stream.send_eof()
                left = DRAINED_BYTES_MAX
                while left > 0 and (data := await self.stream.receive_some(READ_BYTES)):
                    left -= len(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    def date(self) -> str:
        """The time, as headers have it."""
        return formatdate(self._now(), usegmt=True)

    async def _refuse(self, status: int) -> None:
        """Answer what is no request."""
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        phrase = http.HTTPStatus(status).phrase
        body = f"{status} {phrase}".encode()
        headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        headers += [("content-length", str(len(body))), ("date", self.date())]
        try:
            await self.send(
                self.frame(h11.Response(status_code=status, headers=headers, reason=phrase.encode()))
                + (b"" if self._is_head else self.frame(h11.Data(data=body)))
                + self.frame(h11.EndOfMessage())
            )
            await self.drain()
        except Gone:
            pass


class Exchange:
    """One request, and the answer to it."""

    def __init__(self, connection: HTTPConnection, head: Head) -> None:
        self.connection = connection
        self.head = head
        self.status = 0
        """Of the answer; 0: there is none yet."""
        self.is_finished = False
        self._is_chunked = False

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            RequestEntityTooLarge: it is more than may be sent; what is left of it is not read.
            Gone: it does not come.
        """
        connection = self.connection
        limit = connection.limits.body_bytes
        declared = self.head.header("content-length")
        if declared.isdigit() and int(declared[:12]) > limit:
            raise RequestEntityTooLarge(f"Request entity too large: limit is {limit}")
        pieces: list[bytes] = []
        size = 0
        while True:
            try:
                with trio.fail_after(connection.limits.body_s):
                    event = await connection.read_event()
            except trio.TooSlowError as error:
                raise Gone("its body does not come") from error
            except h11.RemoteProtocolError as error:
                raise Gone("its body is none") from error
            if not isinstance(event, h11.Data):
                return b"".join(pieces)
            size += len(event.data)
            if size > limit:
                raise RequestEntityTooLarge(f"Request entity too large: limit is {limit}")
            pieces.append(bytes(event.data))

    async def respond(self, response: Response) -> None:
        """Send a whole answer. Raises Gone."""
        body = b"" if self.head.method == "HEAD" else response.body
        headers = [("Content-Type", response.content_type), *response.headers]
        headers.append(("Content-Length", str(len(response.body))))
        data = self._start(response.status, headers)
        if body:
            data += self.connection.frame(h11.Data(data=body))
        await self.connection.send(data + self.end_frame())

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the head of an answer whose size is not known yet. Raises Gone."""
        self._is_chunked = self.head.is_http_1_1
        more = [("Transfer-Encoding", "chunked")] if self._is_chunked else []
        await self.connection.send(self._start(status, [*headers, *more]))

    async def write(self, piece: bytes) -> None:
        """Send a piece of it. Raises Gone."""
        await self.connection.send(chunk(piece) if self._is_chunked else piece)

    @property
    def is_chunked(self) -> bool:
        """Whether pieces go as chunks."""
        return self._is_chunked

    async def finish(self) -> None:
        """The answer is whole. Raises Gone."""
        await self.connection.send(self.end_frame())

    def end_frame(self) -> bytes:
        """What ends the answer; once."""
        self.is_finished = True
        return self.connection.frame(h11.EndOfMessage())

    def _start(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        self.status = status
        sent = [(name.encode("latin-1"), _header_value(value)) for name, value in headers]
        sent.append((b"Date", self.connection.date().encode()))
        reason = http.HTTPStatus(status).phrase.encode()
        return self.connection.frame(h11.Response(status_code=status, headers=sent, reason=reason))


def _header_value(value: str) -> bytes:
    """A header's value as bytes; line ends in it would be headers of their own."""
    return value.replace("\r", " ").replace("\n", " ").replace("\0", " ").encode("utf-8", "replace")
