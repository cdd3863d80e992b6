"""Connections to one server, opened when needed and used again: each for one exchange at a time.

    exchange ends well ─► idle, the last one first ─► used again, if the server has not closed it meanwhile
    anything else      ─► closed

HTTP/1.1 has one answer at a time, so an open watch keeps a connection to itself. At most `connections_max` calls are under way;
further ones wait, within their own deadlines. Watches are not counted: each is somebody's, and none waits for another.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from watch import Unauthorized

from ._connection import Connection, ConnectionLost
from ._credentials import Caller
from ._settings import Endpoint, ServerIdentity
from ._tls import ClientCertificate, TLSError, tls_context

Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Makes a connection to a host and port; it may raise OSError."""

CONNECT_TIMEOUT_S = 10.0
IDLE_MAX = 16
"""Connections that are kept though nobody uses them."""
IDLE_S = 45.0
"""An idle connection is closed before servers and what stands between them and us do: many do after a minute."""


async def dial_tcp(host: str, port: int) -> trio.abc.Stream:
    """A TCP connection, by whichever of the host's addresses answers first."""
    return await trio.open_tcp_stream(host, port)


class Pool:
    """The connections to one server. Closed by `aclose`; whoever holds one then closes it himself."""

    def __init__(
        self, endpoint: Endpoint, identity: ServerIdentity, *, connections_max: int, dial: Dial = dial_tcp
    ) -> None:
        self._endpoint = endpoint
        self._identity = identity
        self._dial = dial
        self._limit = trio.Semaphore(connections_max)
        self._idle: list[Connection] = []
        self._context: tuple[ClientCertificate | None, ssl.SSLContext] | None = None
        self.opened = 0
        """Connections made so far."""

    @asynccontextmanager
    async def connection(
        self, caller: Caller, *, is_counted: bool = True, is_fresh: bool = False
    ) -> AsyncIterator[Connection]:
        """A connection for one exchange.

        Args:
            is_counted: wait while `connections_max` others are in use.
            is_fresh: a new one, where one that had been used before was lost.
        Raises:
            ConnectionLost: the server cannot be reached, or is not the right one.
            watch.Unauthorized: our certificate cannot be used.
        """
        if is_counted:
            await self._limit.acquire()
        try:
            connection = (None if is_fresh else await self._reused(caller)) or await self._open(caller)
            is_whole = False
            try:
                yield connection
                is_whole = connection.is_reusable()
            finally:
                if is_whole and len(self._idle) < IDLE_MAX:
                    connection.idle_since_s = trio.current_time()
                    self._idle.append(connection)
                else:
                    await connection.aclose()
        finally:
            if is_counted:
                self._limit.release()

    async def aclose(self) -> None:
        """Close those that are idle."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.aclose()

    async def _reused(self, caller: Caller) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            is_old = trio.current_time() - connection.idle_since_s > IDLE_S
            if connection.tag == caller.certificate and not is_old and not connection.is_stale():
                return connection
            await connection.aclose()
        return None

    async def _open(self, caller: Caller) -> Connection:
        host, port = self._endpoint.host, self._endpoint.port
        where = self._endpoint.authority
        stream: trio.abc.Stream | None = None
        is_done = False
        try:
            with trio.move_on_after(CONNECT_TIMEOUT_S) as scope:
                stream = await self._dial(host, port)
                if self._endpoint.is_tls:
                    stream = await self._secured(stream, caller.certificate)
                is_done = True
        except (OSError, trio.BrokenResourceError) as error:
            problem = _first_problem(error)
            raise ConnectionLost(f"{where} cannot be reached: {problem}", was_sent=False) from error
        finally:
            if not is_done and stream is not None:
                await trio.aclose_forcefully(stream)
        if scope.cancelled_caught:
            raise ConnectionLost(f"{where} did not answer within {CONNECT_TIMEOUT_S:g} s", was_sent=False)
        assert stream is not None, "it is done, or has raised"
        self.opened += 1
        return Connection(stream, tag=caller.certificate)

    async def _secured(
        self, stream: trio.abc.Stream, shown: ClientCertificate | None
    ) -> trio.SSLStream[trio.abc.Stream]:
        if self._context is None or self._context[0] != shown:
            try:
                self._context = (shown, tls_context(self._identity, shown))
            except TLSError as error:  # a certificate that a plugin printed, or whose file was changed
                raise Unauthorized(str(error)) from error
        name = self._identity.server_name or self._endpoint.host
        secured = trio.SSLStream(stream, self._context[1], server_hostname=name, https_compatible=True)
        await secured.do_handshake()
        return secured


def _first_problem(error: BaseException) -> str:
    """What went wrong at the bottom of it: trio tells of all addresses that it tried, TLS wraps what it found."""
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
        else:
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
