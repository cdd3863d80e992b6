"""A server: sockets, connections, and for each request who answers it.

    sockets ─ connections (each a task) ─► HTTPConnection ─► Exchange ─┬─► Documents: discovery, health, metrics, version
                                                                       └─► resolve ─► Verbs ─► ResourceDoor
    the end: no new connections ─ idle ones close ─ watches end with a bookmark ─ answers under way are finished ─ then all is cut

Source: kubernetes/apiserver pkg/server/genericapiserver.go (shutdown), pkg/server/filters.
"""

from __future__ import annotations

import logging
import math
import ssl
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import Any, Protocol
from uuid import UUID

import msgspec
import trio

from ..registry import APIError, InternalError, Registry, StatusDetails, Timeout, TooManyRequests, UnknownResource
from ..storage._metrics import MetricsRegistry, MetricsSnapshot
from ..storage._nursery import open_service_nursery
from ._access import Access, Peer, Request
from ._answers import NO_CACHE, Headers, document, error_response, page_not_found, text_response
from ._bodies import DecodeProtobuf
from ._documents import Documents, Gather
from ._hosts import is_foreign
from ._http import Exchange, Gone, HTTPConnection, Limits
from ._page import LINK, Page
from ._query import TIMEOUT_MAX_S, is_true, timeout_of
from ._request import JSON, Head, Response
from ._request_metrics import RequestMetrics
from ._resolve import NoPage, resolve
from ._reviews import is_review, reviewed
from ._routes import group_version_of, read_target, split
from ._tls import TLSStream
from ._verbs import Verbs

_log = logging.getLogger(__name__)


class Backend(Protocol):
    """What is served: a Cluster."""

    @property
    def registry(self) -> Registry:
        """The API's resources."""
        ...

    def metrics(self) -> MetricsSnapshot:
        """What is counted."""
        ...

    async def prepare(self) -> None:
        """Return once all that is to be served can be; what is defined later will be, too."""
        ...


class Listening(trio.abc.Listener[trio.SocketStream]):
    """Where connections come from that another process has accepted."""

    @abstractmethod
    def left(self) -> None:
        """One of them has ended."""


class ServerOptions(msgspec.Struct, frozen=True):
    """How to serve."""

    limits: Limits = Limits()
    connections_max: int = 16_384
    """Beyond it a connection is closed as it comes."""
    watches_max: int = 10_000
    """Beyond it a watch is answered 429."""
    shutdown_grace_s: float = 10.0
    """What answers under way are given at the end."""
    loopback_only: bool = False
    """Refuse what comes by another machine's name, or from its pages."""


def _decode_protobuf(raw: bytes) -> dict[str, Any]:
    """See `_protobuf`, which is imported with the first such body: who sends none need not wait for the library."""
    from ._protobuf import decode_protobuf

    return decode_protobuf(raw)


class Server:
    """A server that runs. Made by `open_server`."""

    def __init__(
        self,
        backend: Backend,
        *,
        options: ServerOptions,
        random: Random,
        unix: Callable[[], float],
        is_tls: bool,
        protobuf: DecodeProtobuf | None,
        access: Access | None = None,
        gather: Gather | None = None,
        page: Page | None = None,
    ) -> None:
        self.options = options
        self.is_tls = is_tls
        self.public_url = ""
        """By what clients find it, where that is known; else they are told the name by which they asked."""
        self.addresses: tuple[tuple[str, int], ...] = ()
        """Hosts and ports that it listens at."""
        self.connections = 0
        self.watches = 0
        """Open now."""
        self._backend = backend
        self._random = random
        self._unix = unix
        self._access = access if access is not None else Access(unix=unix)
        self.page = page
        self._closing = trio.Event()
        self._quiet = trio.Event()
        self._idle: dict[trio.CancelScope, None] = {}
        self._metrics = MetricsRegistry()
        documents = ("api", "apis", "openapi", "version", "metrics", "healthz", "livez", "readyz")
        self._requests = RequestMetrics(self._metrics, is_served=self._is_served, documents=documents)
        self._verbs = Verbs(
            random=random, closing=self._closing, protobuf=protobuf, watch_events=self._requests.watch_events
        )
        self._documents = Documents(backend, own_metrics=self._metrics.snapshot, gather=gather, closing=self._closing)

    @property
    def url(self) -> str:
        """Where it is to be found."""
        host, port = self.addresses[0]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.is_tls else 'http'}://{shown}:{port}"

    def metrics(self) -> MetricsSnapshot:
        """What this process has counted: its caches, its storages, its requests."""
        return self._documents.metrics()

    # ---- connections -------------------------------------------------------------------------------------------------

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends. Never raises but for cancellation."""
        self.connections += 1
        try:
            if self.connections <= self.options.connections_max and not self._closing.is_set():
                await self._converse(stream)
        except Gone:
            pass
        except Exception:  # noqa: BLE001 - a connection's fault ends that connection
            _log.exception("a connection failed")
        finally:
            await trio.aclose_forcefully(stream)
            self.connections -= 1
            if not self.connections:
                self._quiet.set()

    async def _converse(self, stream: trio.abc.Stream) -> None:
        if isinstance(stream, TLSStream):
            try:
                with trio.move_on_after(self.options.limits.head_s) as scope, self._as_idle(scope):
                    await stream.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if scope.cancelled_caught:
                return
        connection = HTTPConnection(stream, self.options.limits, now=self._unix)
        peer = _peer(stream)
        while not self._closing.is_set():
            exchange: Exchange | None = None
            with trio.CancelScope() as scope, self._as_idle(scope):
                exchange = await connection.next_request()
            if exchange is None:
                return
            await self._answer(exchange, peer)
            if not exchange.is_finished:
                return
            if not connection.reuse():
                if connection.is_body_pending:
                    await connection.drain()
                return

    @contextmanager
    def _as_idle(self, scope: trio.CancelScope) -> Iterator[None]:
        """Nothing is under way meanwhile: at the server's end it is cut at once."""
        self._idle[scope] = None
        try:
            yield
        finally:
            del self._idle[scope]

    async def _answer(self, exchange: Exchange, peer: Peer) -> None:
        """Answer one request, whatever comes, and leave a line of it where it was a write. Raises Gone."""
        audit_id, request = self._audit_id(exchange), self._access.begun(exchange.head, peer)
        error: APIError | None = None
        began_s, labels = trio.current_time(), self._requests.labels(request.wanted, exchange.head)
        under_way = self._requests.under_way(labels)
        under_way.value += 1
        try:
            error = await self._answered(exchange, request, (("Audit-Id", audit_id),))
        finally:
            under_way.value -= 1
            took_s = trio.current_time() - began_s
            self._requests.done(labels, exchange.head, code=exchange.status, duration_s=took_s)
            self._access.leave(request, audit_id=audit_id, code=exchange.status, error=error)

    async def _answered(self, exchange: Exchange, request: Request, headers: Headers) -> APIError | None:
        """Answer the request; returns the error that was answered, if one was."""
        error: APIError | None = None
        if self._closing.is_set():
            headers += (("Connection", "close"),)
        try:
            if self.page is not None and self.page.is_asked(exchange.head):
                await self._answer_page(exchange, self.page)
                return None
            self._access.admit(request)
            await self._answer_in_time(exchange, request, headers)
        except NoPage:
            await exchange.respond(page_not_found())
        except APIError as raised:
            error = raised
        except (Gone, trio.Cancelled):
            raise
        except Exception as raised:  # noqa: BLE001 - whatever goes wrong is answered, and told to who runs the server
            _log.exception("%s %s failed", exchange.head.method, exchange.head.path)
            error = InternalError(f"{type(raised).__name__}: see the server's log")
        if error is not None and not exchange.status:
            await exchange.respond(error_response(error, exchange.head, headers))
        return error

    async def _answer_page(self, exchange: Exchange, page: Page) -> None:
        """Answer what the page for people asks; it has a door of its own."""
        await exchange.body()
        if self._is_refused(exchange.head):
            await exchange.respond(_OTHERS_REFUSED)
        else:
            answer = page.answer(exchange.head, connections=self.connections, watches=self.watches)
            await exchange.respond(answer)

    def _is_refused(self, head: Head) -> bool:
        return self.options.loopback_only and is_foreign(head)

    async def _answer_in_time(self, exchange: Exchange, request: Request, headers: Headers) -> None:
        head = exchange.head
        watch = head.parameter("watch")
        may_be_long = (watch is not None and is_true(watch)) or "/watch/" in head.path
        seconds = math.inf if may_be_long else timeout_of(head)
        is_done = False
        with trio.move_on_after(min(seconds, TIMEOUT_MAX_S) if not may_be_long else math.inf):
            await self._dispatch(exchange, request, headers)
            is_done = True
        if not is_done:
            raise Timeout("Timeout: request did not complete within the allotted timeout")

    async def _dispatch(self, exchange: Exchange, request: Request, headers: Headers) -> None:
        head = exchange.head
        if self._is_refused(head):
            await exchange.body()
            await exchange.respond(_OTHERS_REFUSED)
            return
        segments = split(head.path)
        raw = await exchange.body()
        if self.page is not None and head.path == LINK and head.method == "POST":
            url = self.public_url or f"{'https' if self.is_tls else 'http'}://{head.header('host')}"
            link = text_response(200, f"{url}{self.page.login.new_link()}\n")
            await exchange.respond(with_headers(link, headers))
            return
        found = group_version_of(segments)
        if found is None or not found[1]:
            await exchange.respond(with_headers(await self._documents.answer(head, segments), headers))
            return
        target = read_target(*found)
        if target is None:
            raise self._documents.unknown(found[0])
        if is_review(head.method, target):
            body = self._verbs.read_object(head, raw)
            answer = Response(201, document(reviewed(target, request.user, body)), JSON, (NO_CACHE, *headers))
            await exchange.respond(answer)
            return
        watch = head.parameter("watch")
        asked = resolve(self._backend.registry, head.method, target, is_watch=watch is not None and is_true(watch))
        if asked.verb != "watch":
            await self._verbs.carry_out(exchange, asked, headers, raw)
            return
        if self.watches >= self.options.watches_max:
            raise TooManyRequests("too many watches are open: try again later", StatusDetails(retry_after_s=1))
        self.watches += 1
        try:
            await self._verbs.carry_out(exchange, asked, headers, raw)
        finally:
            self.watches -= 1

    def _is_served(self, group_version: str, plural: str) -> bool:
        try:
            self._backend.registry.resource(group_version, plural)
        except UnknownResource:
            return False
        return True

    def _audit_id(self, exchange: Exchange) -> str:
        told = exchange.head.header("audit-id")
        return told[:64] if told else str(UUID(int=self._random.getrandbits(128), version=4))

    # ---- the end -----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End watches and idle connections, and wait for answers under way, `shutdown_grace_s` at most."""
        self._quiet = trio.Event()
        self._closing.set()
        self._verbs.close()
        for scope in list(self._idle):
            scope.cancel()
        with trio.move_on_after(self.options.shutdown_grace_s):
            while self.connections:
                self._quiet = trio.Event()
                await self._quiet.wait()


_OTHERS_REFUSED = text_response(403, "this server answers to programs on its own machine alone\n")


def with_headers(response: Response, headers: Headers) -> Response:
    """The response, with these headers too."""
    return msgspec.structs.replace(response, headers=(*response.headers, *headers))


@asynccontextmanager
async def open_server(
    backend: Backend,
    *,
    random: Random,
    unix: Callable[[], float],
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    options: ServerOptions = ServerOptions(),  # noqa: B008 - a frozen value
    protobuf: DecodeProtobuf | None = _decode_protobuf,
    access: Access | None = None,
    listening: Listening | None = None,
    gather: Gather | None = None,
    page: Page | None = None,
) -> AsyncIterator[Server]:
    """A server of `backend` for as long as the context lasts; at its end it closes as `Server.close` says.

    Args:
        random: draws how long watches last, and the ids of requests.
        unix: the time of day, in seconds since the epoch.
        port: 0: any that is free; `server.addresses` says which.
        tls: None: plain HTTP.
        access: who may come in; None: everybody, and everybody may do all.
        listening: brings connections that another process has accepted; then host and port say nothing.
        gather: makes of the metrics of this process those of all that serve together; None: it is alone.
        page: a page for people, at `/`; None: there is none.
    Raises:
        OSError: it cannot listen there.
    """
    server = Server(
        backend,
        options=options,
        random=random,
        unix=unix,
        is_tls=tls is not None,
        protobuf=protobuf,
        access=access,
        gather=gather,
        page=page,
    )
    own = await trio.open_tcp_listeners(port, host=host) if listening is None else []
    server.addresses = tuple(_address(listener) for listener in own)
    async with open_service_nursery() as connections:
        try:
            await backend.prepare()
            async with open_service_nursery() as accepting:
                accepting.start_soon(_accept, server, own if listening is None else [listening], tls, connections)
                yield server
        finally:
            for listener in own:
                listener.socket.close()
            with trio.CancelScope(shield=True):
                if listening is not None:
                    await listening.aclose()
                await server.close()


async def _accept(
    server: Server,
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
    tls: ssl.SSLContext | None,
    nursery: trio.Nursery,
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        try:
            await server.serve(stream if tls is None else TLSStream(stream, tls))
        finally:
            for one in listeners:
                if isinstance(one, Listening):
                    one.left()

    await trio.serve_listeners(serve, list(listeners), handler_nursery=nursery)


def _peer(stream: trio.abc.Stream) -> Peer:
    """Who is at the other end."""
    certificate = stream.getpeercert() if isinstance(stream, TLSStream) else None
    below = stream.transport if isinstance(stream, TLSStream) else stream
    if not isinstance(below, trio.SocketStream):
        return Peer(certificate=certificate)
    try:
        name = below.socket.getpeername()
    except OSError:  # it has gone already
        return Peer(certificate=certificate)
    return Peer(str(name[0]) if name else "", certificate)  # a pair of sockets has no names


def _address(listener: trio.SocketListener) -> tuple[str, int]:
    host, port = listener.socket.getsockname()[:2]
    return host, port
