"""A server's side of TLS over a socket, made to be written to from a publisher: `send_now` encrypts and sends, and never waits.

    plain bytes ─► SSLObject ─► `_outgoing` ─► `_unsent`, in order ─► socket
                             ◄─ `_incoming` ◄───────────────────────── socket

trio's own SSLStream can only be awaited: a watch's event would wake a task for each client, which costs more than to encrypt it.

Limit: what has been encrypted and not sent is at most what one call was given; as long as there is any, `send_now` takes nothing.
Source: RFC 8446; RFC 9112 section 9.8, for ends without a closing alert.
"""

from __future__ import annotations

import os
import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import trio

READ_BYTES = 65_536


class TLSStream(trio.abc.Stream):
    """One connection, after `do_handshake`. One task may send while another receives.

    Args:
        transport: the socket; it is closed with this stream.
        context: of a server.
    """

    def __init__(self, transport: trio.SocketStream, context: ssl.SSLContext) -> None:
        self.transport = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent: deque[bytes] = deque()
        self._sending = trio.Lock()

    def getpeercert(self) -> Mapping[str, Any] | None:
        """The client's certificate, verified, as ssl's `getpeercert` has it; None or empty: it showed none."""
        return self._tls.getpeercert()

    async def do_handshake(self) -> None:
        """Agree on keys.

        Raises:
            trio.BrokenResourceError: the other side speaks no TLS, or none that we do, or has gone.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except ssl.SSLError as error:
                self._send_what_is_there()  # an alert says what was wrong
                raise trio.BrokenResourceError from error
            else:
                await self._flush()
                return

    # ---- sending -----------------------------------------------------------------------------------------------------

    def send_now(self, data: bytes) -> bool | None:
        """Send without waiting: True where all went, None where nothing did. False: it did in part, and the rest goes before
        whatever is sent next: call `send_all`, with nothing if there is no more. Never raises.
        """
        if self._unsent or self._sending.locked():
            return None
        try:
            self._encrypt(data)
        except ssl.SSLError:
            return None  # it is over: the task that receives finds out
        return self._send_what_is_there()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, and before it what `send_now` has left.

        Raises:
            trio.BrokenResourceError: the client went.
            trio.ClosedResourceError: the stream is closed.
        """
        await self._flush()
        if not data:
            return
        try:
            self._encrypt(data)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error
        await self._flush()

    async def wait_send_all_might_not_block(self) -> None:
        """Return once a send might not have to wait."""
        await self.transport.wait_send_all_might_not_block()

    def _encrypt(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:  # a call takes a record at most
            view = view[self._tls.write(view) :]

    def _take(self) -> None:
        """What is to be sent joins what is there, behind it."""
        if self._outgoing.pending:
            self._unsent.append(self._outgoing.read())

    def _send_what_is_there(self) -> bool:
        """Whether all of it went."""
        self._take()
        while self._unsent:
            data = self._unsent[0]
            try:
                sent = os.write(self.transport.socket.fileno(), data)
            except OSError:
                return False  # it would block, or the client went: who awaits will find out
            if sent < len(data):
                self._unsent[0] = data[sent:]
                return False
            self._unsent.popleft()
        return True

    async def _flush(self) -> None:
        """Send what is there, and what joins it meanwhile. Cut off, it leaves the rest, which still fits what went."""
        async with self._sending:
            self._take()
            while self._unsent:
                data = self._unsent[0]
                try:
                    sent = await self.transport.socket.send(data)
                except OSError as error:
                    raise trio.BrokenResourceError from error
                if sent < len(data):
                    self._unsent[0] = data[sent:]
                    continue
                self._unsent.popleft()
                self._take()

    # ---- receiving ---------------------------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Some bytes; b"" at the end, with an alert or without.

        Raises:
            trio.BrokenResourceError: what came is no TLS, or the client went.
            trio.ClosedResourceError: the stream is closed.
        """
        has_waited = False
        while (data := self._decrypted(READ_BYTES if max_bytes is None else max_bytes)) is None:
            if self._outgoing.pending and not self._sending.locked():
                await self._flush()  # such as new keys that were asked for
            await self._receive()
            has_waited = True
        if not has_waited:
            await trio.lowlevel.cancel_shielded_checkpoint()  # what was read is not lost
        return data

    def _decrypted(self, max_bytes: int) -> bytes | None:
        """What can be read of what has come; b"" at the end, None: more has to come."""
        try:
            return self._tls.read(max_bytes)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error

    async def _receive(self) -> None:
        data = await self.transport.receive_some(READ_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    # ---- the end -----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close, with an alert where it can be sent at once."""
        if not self._unsent and not self._sending.locked():
            with suppress(ssl.SSLError, ValueError):
                self._tls.unwrap()  # it says that the other's is to come, for which we do not wait
            self._send_what_is_there()
        await self.transport.aclose()
