"""A TCP proxy on loopback that mistreats what passes through it: it delays, cuts, swallows, does so one way only, and heals.

    client ──up──► TcpProxy ──up──► server             the state of a direction:  flowing │ held
           ◄─down─          ◄─down─

What is held is not lost: TCP would send it again and again, and so it arrives when the proxy heals, unless somebody has
closed the connection by then. That is what a black hole in a network does. New connections are accepted meanwhile, and
hear nothing.

Connections can be told apart by the first bytes that their client sends (`label_of`), so that one proxy before a server
can be deaf to some of its clients.
"""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random

import trio

UP, DOWN = "up", "down"
CHUNK_BYTES = 64 * 1024
CHUNKS_MAX = 256
"""What waits in the proxy, each way and connection; beyond it the sender waits (16 MB: more than a test sends)."""
CONNECT_S = 5.0

_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class TcpProxy:
    """The proxy. Made by `open_tcp_proxy`; every method acts at once, on the connections there are and those to come."""

    def __init__(self, target_port: int, random: Random, label_of: Callable[[bytes], str]) -> None:
        self.target_port = target_port
        self.port = 0
        """Where it listens."""
        self.connections = 0
        """How many there were so far."""
        self._random = random
        self._label_of = label_of
        self._open: dict[_Connection, None] = {}
        self._delay_s = (0.0, 0.0)
        self._held: tuple[str, ...] = ()
        self._held_labels: frozenset[str] | None = None
        self._is_refusing = False
        self._changed = trio.Event()

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._open)

    def delay(self, least_s: float, most_s: float) -> None:
        """Every chunk is late by a time drawn between the two, each way; the order stays."""
        self._delay_s = (least_s, most_s)

    def cut(self) -> int:
        """Reset every connection (RST to both sides); new ones are welcome. Returns how many there were."""
        cut = list(self._open)
        for connection in cut:
            connection.reset()
        return len(cut)

    def refuse(self) -> None:
        """Reset every connection, and each new one as it comes, until healed: nobody is there."""
        self._is_refusing = True
        self.cut()

    def black_hole(self, *directions: str, labels: frozenset[str] | None = None) -> None:
        """Nothing arrives any more in `directions` (none given: either), and nobody is told.

        Args:
            labels: of these connections alone; None: of all.
        """
        self._held = directions or (UP, DOWN)
        self._held_labels = labels
        self._tell()

    def half_open(self, direction: str) -> None:
        """Nothing arrives any more in this direction, while all does in the other."""
        self.black_hole(direction)

    def heal(self) -> None:
        """Everything arrives again, what was held too, and at once."""
        self._delay_s, self._held, self._held_labels, self._is_refusing = (0.0, 0.0), (), None, False
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _is_held(self, connection: _Connection, direction: str) -> bool:
        return direction in self._held and (self._held_labels is None or connection.label in self._held_labels)

    def _draw_delay_s(self) -> float:
        least_s, most_s = self._delay_s
        return self._random.uniform(least_s, most_s) if most_s else 0.0

    async def _serve(self, client: trio.SocketStream) -> None:
        connection = _Connection(client)
        self.connections += 1
        self._open[connection] = None
        try:
            if self._is_refusing:
                connection.reset()
                return
            try:
                with trio.fail_after(CONNECT_S):
                    server = await trio.open_tcp_stream("127.0.0.1", self.target_port)
            except (OSError, trio.TooSlowError):
                connection.reset()
                return
            connection.streams.append(server)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._carry, connection, UP, client, server)
                nursery.start_soon(self._carry, connection, DOWN, server, client)
        finally:
            del self._open[connection]
            connection.close()

    async def _carry(
        self, connection: _Connection, direction: str, source: trio.SocketStream, sink: trio.SocketStream
    ) -> None:
        """One direction, until its source ends; then the sink is told so."""
        to_deliver, arrived = trio.open_memory_channel[tuple[float, bytes]](CHUNKS_MAX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, connection, direction, arrived, sink)
            due_s = -math.inf
            with suppress(trio.BrokenResourceError), to_deliver:
                while chunk := await self._read(source, connection):
                    if direction == UP and connection.label is None:
                        connection.label = self._label_of(chunk)
                    due_s = max(due_s, trio.current_time() + self._draw_delay_s())
                    await to_deliver.send((due_s, chunk))

    async def _read(self, source: trio.SocketStream, connection: _Connection) -> bytes:
        """The next bytes; none: the end, or a connection that broke, which then breaks on the other side as well."""
        try:
            return bytes(await source.receive_some(CHUNK_BYTES))
        except _BROKEN:
            connection.reset()
            return b""

    async def _deliver(
        self,
        connection: _Connection,
        direction: str,
        arrived: trio.MemoryReceiveChannel[tuple[float, bytes]],
        sink: trio.SocketStream,
    ) -> None:
        try:
            with arrived:
                async for due_s, chunk in arrived:
                    await trio.sleep_until(due_s)
                    while self._is_held(connection, direction):
                        await self._changed.wait()
                    await sink.send_all(chunk)
            await sink.send_eof()
        except _BROKEN:
            connection.reset()


class _Connection:
    """The two sides of one."""

    def __init__(self, client: trio.SocketStream) -> None:
        self.streams = [client]
        self.label: str | None = None
        """By its first bytes; None: none have come."""

    def reset(self) -> None:
        """Break it off: whoever reads gets ECONNRESET, not an end."""
        for stream in self.streams:
            with suppress(OSError):
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        for stream in self.streams:
            stream.socket.close()


@asynccontextmanager
async def open_tcp_proxy(
    target_port: int, *, random: Random, label_of: Callable[[bytes], str] = lambda _: "", port: int = 0
) -> AsyncIterator[TcpProxy]:
    """A proxy before 127.0.0.1:`target_port`, listening until the context ends; then its connections are closed.

    Args:
        random: draws the delays.
        label_of: the label of a connection by the first bytes that its client sent.
        port: where to listen; 0: anywhere.
    """
    proxy = TcpProxy(target_port, random, label_of)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        proxy.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, proxy._serve, listeners)
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
