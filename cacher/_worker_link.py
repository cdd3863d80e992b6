"""What a server's parent process and its workers say to each other, and how connections are handed over.

    parent ◄── Ready, Failed, AskAll, Snapshot ──┐            messages, on one socket pair
           ─── Start, Ask, Total, Stop ─────────►│ worker
           ─── a connection ────────────────────►│            on another: a byte with a descriptor,
           ◄── a byte: one has ended ────────────┘            and a byte back

Both are socket pairs that nobody else has a name for; the end of the parent ends them, by which its workers know.
Messages are pickled: both sides are the same program, and whoever could write here owns the process anyway.
"""

from __future__ import annotations

import array
import os
import pickle
import socket
import struct
from contextlib import suppress
from typing import final

import msgspec
import trio

from ._credentials import Credentials
from ._serve_options import ServeOptions
from .server import Listening, MetricsSnapshot

MESSAGE_BYTES_MAX = 64 * 2**20
"""More is a mistake: the largest are metrics, of some hundred KB."""
_SIZE = struct.Struct("!I")
_READ_BYTES = 65_536


class Start(msgspec.Struct, frozen=True):
    """How to serve, and as whom."""

    options: ServeOptions
    credentials: Credentials
    identity: str
    port: int


class Stop(msgspec.Struct, frozen=True):
    """End answers and watches, and then the process."""


class Ready(msgspec.Struct, frozen=True):
    """Connections are answered from now on."""


class Failed(msgspec.Struct, frozen=True):
    """It cannot serve, and ends."""

    message: str


class Ask(msgspec.Struct, frozen=True):
    """Say what you have counted."""

    number: int


class Snapshot(msgspec.Struct, frozen=True):
    """The answer to Ask."""

    number: int
    metrics: MetricsSnapshot


class AskAll(msgspec.Struct, frozen=True):
    """Say what all have counted; this is what I have."""

    number: int
    metrics: MetricsSnapshot


class Total(msgspec.Struct, frozen=True):
    """The answer to AskAll."""

    number: int
    metrics: MetricsSnapshot


Message = Start | Stop | Ready | Failed | Ask | Snapshot | AskAll | Total


@final
class Link:
    """One end of the messages. Several tasks may send; one receives."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
        self._sending = trio.StrictFIFOLock()
        self._buffer = bytearray()

    async def send(self, message: Message) -> bool:
        """Send it; False where the other side has gone."""
        data = pickle.dumps(message)
        async with self._sending:
            try:
                await self._stream.send_all(_SIZE.pack(len(data)) + data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        return True

    async def receive(self) -> Message | None:
        """The next message; None: the other side has gone."""
        head = await self._take(_SIZE.size)
        if head is None:
            return None
        (size,) = _SIZE.unpack(head)
        assert size <= MESSAGE_BYTES_MAX, f"a message of {size} bytes"
        data = await self._take(size)
        if data is None:
            return None
        message: Message = pickle.loads(data)
        return message

    async def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            try:
                data = await self._stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def aclose(self) -> None:
        """No more."""
        await self._stream.aclose()


# ---- connections -------------------------------------------------------------------------------------------------------


@final
class Giver:
    """The parent's end: hands connections to one worker, and knows how many it has."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._waiting = trio.socket.from_stdlib_socket(end)
        self.open = 0
        """Connections that the worker has: handed over, and not told to have ended."""
        self.given = 0
        """All that it ever had: of two workers with as many open, the one with fewer is next."""

    def give(self, connection: trio.SocketStream) -> bool:
        """Hand it over; the caller closes its own copy. False: the worker takes none now. Never waits."""
        rights = array.array("i", [connection.socket.fileno()])
        try:
            self._end.sendmsg([b"c"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError:  # its queue is full, or it has gone
            return False
        self.open += 1
        self.given += 1
        return True

    async def count(self) -> None:
        """Keep `open` right, until the worker goes."""
        while True:
            try:
                ended = await self._waiting.recv(_READ_BYTES)
            except OSError:
                return
            if not ended:
                return
            self.open -= len(ended)

    def close(self) -> None:
        """No more."""
        self._waiting.close()


@final
class Taker(Listening):
    """The worker's end: a listener whose connections another process has accepted."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = trio.socket.from_stdlib_socket(end)
        self._raw = end

    async def accept(self) -> trio.SocketStream:
        """The next connection; none once the parent has gone, which it tells elsewhere."""
        room = socket.CMSG_SPACE(array.array("i").itemsize)
        while True:
            data, ancillary, _, _ = await self._end.recvmsg(1, room)
            if not data:
                await trio.sleep_forever()
            for level, kind, rights in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    return _stream_of(rights)
            # The descriptor was lost: this process has as many open as it may. The other side sees its connection end.
            self.left()

    def left(self) -> None:
        """One of the connections has ended."""
        with suppress(OSError):  # the parent has gone, or is very late: then it overrates what this worker has, no more
            self._raw.send(b"e")

    async def aclose(self) -> None:
        """No more."""
        self._end.close()
        await trio.lowlevel.checkpoint()


def _stream_of(rights: bytes) -> trio.SocketStream:
    number = array.array("i")
    number.frombytes(rights[: number.itemsize])
    os.set_inheritable(number[0], False)
    taken = socket.socket(fileno=number[0])
    taken.setblocking(False)
    return trio.SocketStream(trio.socket.from_stdlib_socket(taken))
