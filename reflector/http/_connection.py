"""One HTTP/1.1 connection to a server, for one exchange at a time. The door to h11.

    send(request) ─► ResponseHead ─► read() … b"" ─► may be used again, unless something was left unsaid

h11 knows the protocol and does no I/O; this file moves its bytes over a trio stream. Memory: one read of READ_BYTES, and h11's
buffer of an incomplete head.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any

import h11
import msgspec
import trio

READ_BYTES = 64 * 1024
HEAD_MAX = 64 * 1024
"""Bytes of a response's head, or of a chunk's: more is no answer of an API server."""


class ConnectionLost(OSError):
    """The server could not be reached, or was lost before its answer was complete.

    `was_sent`: whether it may have seen, and carried out, the request.
    """

    def __init__(self, problem: str, *, was_sent: bool) -> None:
        self.was_sent = was_sent
        super().__init__(problem)


class Request(msgspec.Struct, frozen=True):
    """What is asked. `target`: path and query, quoted."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class ResponseHead(msgspec.Struct, frozen=True):
    """How an answer begins. Names of headers are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str:
        """The first header of that name, "" where there is none."""
        return next((value for found, value in self.headers if found == name), "")

    def all_of(self, name: str) -> tuple[str, ...]:
        """All headers of that name, as they came."""
        return tuple(value for found, value in self.headers if found == name)


class Connection:
    """A connection over `stream`, which it owns from now on.

    Args:
        tag: what the pool tells connections apart by.
    """

    def __init__(self, stream: trio.abc.Stream, *, tag: object = None) -> None:
        self.tag = tag
        self.idle_since_s = 0.0
        """When its last exchange ended, by the trio clock."""
        self.exchanges = 0
        """How many were begun."""
        self._stream = stream
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MAX)

    async def send(self, request: Request) -> ResponseHead:
        """The head of the answer to `request`; `read` brings its body.

        Raises:
            ConnectionLost: nothing more can be done with this connection.
        """
        self.exchanges += 1
        headers: list[tuple[str, str]] = list(request.headers)
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            headers.append(("Content-Length", str(len(request.body))))
        protocol = self._protocol
        # One write for all: most requests fit into one segment.
        data = protocol.send(h11.Request(method=request.method, target=request.target, headers=headers)) or b""
        data += (protocol.send(h11.Data(data=request.body)) or b"") if request.body else b""
        data += protocol.send(h11.EndOfMessage()) or b""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise ConnectionLost(f"the connection was lost while asking: {_text(error)}", was_sent=True) from error
        while True:
            event = await self._next_event("before the answer")
            if isinstance(event, h11.Response):
                return ResponseHead(event.status_code, _decoded(event.headers))
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionLost("the connection ended before the answer", was_sent=True)

    async def read(self) -> bytes:
        """The next bytes of the body, as many as have come; b"" at its end.

        Raises:
            ConnectionLost: it ended before it was complete, or is no HTTP.
        """
        while True:
            event = await self._next_event("in the midst of the answer")
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return b""
            else:
                raise ConnectionLost("the connection ended in the midst of the answer", was_sent=True)

    def is_reusable(self) -> bool:
        """Makes the connection ready for another exchange, where the last one was brought to its end and the server stays."""
        if self._protocol.our_state is not h11.DONE or self._protocol.their_state is not h11.DONE:
            return False
        try:
            self._protocol.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return True

    def is_stale(self) -> bool:
        """Whether an idle connection has something to say, which can only be its end. False where that cannot be known."""
        socket = getattr(_transport(self._stream), "socket", None)
        if socket is None:
            return False
        if socket.fileno() < 0:
            return True  # closed on our side
        poll = select.poll()
        poll.register(socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def aclose(self) -> None:
        """Close at once, without a farewell that a peer which is gone would not answer."""
        await trio.aclose_forcefully(self._stream)

    async def _next_event(self, when: str) -> Any:
        protocol = self._protocol
        try:
            while (event := protocol.next_event()) is h11.NEED_DATA:
                try:
                    protocol.receive_data(bytes(await self._stream.receive_some(READ_BYTES)))
                except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
                    raise ConnectionLost(f"the connection was lost {when}: {_text(error)}", was_sent=True) from error
        except h11.RemoteProtocolError as error:
            raise ConnectionLost(f"the server's answer cannot be read {when}: {error}", was_sent=True) from error
        return event


def _decoded(headers: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def _transport(stream: trio.abc.Stream) -> trio.abc.Stream:
    """What is below TLS. A record that waits there while nothing was asked is the server's farewell."""
    return stream.transport_stream if isinstance(stream, trio.SSLStream) else stream


def _text(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
