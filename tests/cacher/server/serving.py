"""A server on the virtual clock, and a client of it: HTTP over streams in memory, so that no socket and no second is needed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from urllib.parse import urlencode

import h11
import msgspec
import trio
import trio.testing

from cacher import Cluster, open_cluster
from cacher.server import Server, ServerOptions

EPOCH_S = 1_700_000_000.0


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first of that name, "" where there is none."""
        return next((value for key, value in self.headers if key == name.lower()), "")

    def all(self, name: str) -> list[str]:
        """All of that name."""
        return [value for key, value in self.headers if key == name.lower()]

    def json(self) -> Any:
        """The body as JSON data."""
        return json.loads(self.body)


class Connection:
    """One connection of a client."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._h11 = h11.Connection(h11.CLIENT)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> None:
        """Send a request."""
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"Host": "localhost", "User-Agent": "", **(headers or {})}
        if raw:
            all_headers.setdefault("Content-Type", "application/json")
            all_headers["Content-Length"] = str(len(raw))
        target = f"{path}?{urlencode(query)}" if query else path
        data = self._h11.send(h11.Request(method=method, target=target, headers=list(all_headers.items()))) or b""
        if raw:
            data += self._h11.send(h11.Data(data=raw)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        await self.stream.send_all(data)

    async def event(self) -> Any:
        """The next thing that the server says."""
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._h11.receive_data(bytes(await self.stream.receive_some()))

    async def head(self) -> Answer:
        """The answer's head."""
        while not isinstance(event := await self.event(), h11.Response):
            assert isinstance(event, h11.InformationalResponse), event
        headers = [(name.decode(), value.decode("utf-8")) for name, value in event.headers]
        return Answer(event.status_code, headers, b"")

    async def answer(self) -> Answer:
        """The whole answer."""
        head = await self.head()
        pieces = [bytes(event.data) async for event in self.rest()]
        return msgspec.structs.replace(head, body=b"".join(pieces))

    async def rest(self) -> AsyncIterator[Any]:
        """What is left of the body."""
        while not isinstance(event := await self.event(), h11.EndOfMessage):
            yield event

    def next(self) -> None:
        """Make ready for another request."""
        self._h11.start_next_cycle()


class Lines:
    """A watch's events as they come."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._buffer = b""

    async def next(self) -> Any:
        """The next event, as JSON data. Raises trio.EndOfChannel at the end."""
        while b"\n" not in self._buffer:
            event = await self.connection.event()
            if isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                raise trio.EndOfChannel
            self._buffer += bytes(event.data)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    async def take(self, count: int) -> list[Any]:
        """So many events."""
        return [await self.next() for _ in range(count)]


class Served:
    """A server with a cluster, and ways to ask it."""

    def __init__(self, cluster: Cluster, server: Server, nursery: trio.Nursery) -> None:
        self.cluster = cluster
        self.server = server
        self.nursery = nursery

    def connect(self) -> Connection:
        """A new connection."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.server.serve, theirs)
        return Connection(ours)

    async def ask(self, method: str, path: str, **request: Any) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        await connection.send(method, path, **request)
        answer = await connection.answer()
        await connection.stream.aclose()
        return answer

    async def get(self, path: str, **request: Any) -> Answer:
        """GET."""
        return await self.ask("GET", path, **request)

    async def made(self, path: str, body: Any) -> Any:
        """What a POST has made."""
        answer = await self.ask("POST", path, body=body)
        assert answer.status == 201, answer.body
        return answer.json()

    @asynccontextmanager
    async def watch(self, path: str, **request: Any) -> AsyncIterator[Lines]:
        """A watch that has begun."""
        connection = self.connect()
        query = {"watch": "1", **request.pop("query", {})}
        await connection.send("GET", path, query=query, **request)
        head = await connection.head()
        assert head.status == 200, head
        try:
            yield Lines(connection)
        finally:
            await connection.stream.aclose()


@asynccontextmanager
async def serving(options: ServerOptions = ServerOptions(), **cluster_options: Any) -> AsyncIterator[Served]:  # noqa: B008
    """A cluster and its server, with a namespace `team`."""
    async with open_cluster(random=Random(1), epoch_s=EPOCH_S, **cluster_options) as cluster:
        server = Server(
            cluster,
            options=options,
            random=Random(2),
            unix=lambda: EPOCH_S + trio.current_time(),
            is_tls=False,
            protobuf=None,
        )
        await cluster.prepare()
        async with trio.open_nursery() as nursery:
            served = Served(cluster, server, nursery)
            await served.made("/api/v1/namespaces", {"metadata": {"name": "team"}})
            yield served
            await server.close()
            nursery.cancel_scope.cancel()


def config(name: str, **data: str) -> dict[str, Any]:
    """A small object."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **({"data": data} if data else {})}


CONFIGS = "/api/v1/namespaces/team/configmaps"
