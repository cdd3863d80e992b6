"""A double for API servers that lie, stall and break off: HTTP by hand over streams in memory, answered by a script.

    connect("http://server", dial=server.dial) ──► Exchange ─► the next answer of the script

Under the virtual clock nothing here takes time by itself. test_scripted_server.py shows that it does what it says.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trio
import trio.testing

from cacher.storage._nursery import open_service_nursery
from reflector.http import HTTPClient, connect

URL = "http://server"


class Exchange:
    """A request that has arrived, and the words to answer it with."""

    def __init__(self, stream: trio.abc.Stream, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ")
        parts = urlsplit(self.target)
        self.path = parts.path
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.body: Any = json.loads(body) if body else None
        self.at_s = trio.current_time()
        self.is_whole = False
        """Whether the answer was brought to its end; the connection is used again only then."""
        self._stream = stream

    async def raw(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def answer(
        self,
        status: int,
        body: object = b"",
        headers: Iterable[tuple[str, str]] = (),
        content_type: str = "application/json",
    ) -> None:
        """A whole answer; what is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        await self.raw(
            _head(status, [("Content-Type", content_type), ("Content-Length", str(len(data))), *headers]) + data
        )
        self.is_whole = True

    async def start(self, status: int = 200) -> None:
        """The head of an answer in chunks."""
        await self.raw(_head(status, [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]))

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, kind: str, obj: object) -> None:
        await self.chunk(line(kind, obj))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")
        self.is_whole = True


Answer = Callable[[Exchange], Awaitable[None]]


class ScriptedServer:
    """Answers requests in order, whatever they ask; what is beyond the script is answered 500. Made by `open_server`."""

    def __init__(
        self, nursery: trio.Nursery, answers: Sequence[Answer] = (), tls: ssl.SSLContext | None = None
    ) -> None:
        self.exchanges: list[Exchange] = []
        self.dials: list[tuple[str, int]] = []
        self.is_refusing = False
        self.answers: list[Answer] = list(answers)
        self.always: Answer | None = None
        """Answers what the script does not."""
        self._nursery = nursery
        self._tls = tls

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dials.append((host, port))
        if self.is_refusing:
            raise ConnectionRefusedError("nobody listens")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, ours)
        return theirs

    async def _serve(self, raw: trio.abc.Stream) -> None:
        stream = raw if self._tls is None else trio.SSLStream(raw, self._tls, server_side=True, https_compatible=True)
        try:
            while (exchange := await _read_request(stream)) is not None:
                self.exchanges.append(exchange)
                await self._answer(exchange)
                if not exchange.is_whole:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, exchange: Exchange) -> None:
        if self.answers:
            await self.answers.pop(0)(exchange)
        elif self.always is not None:
            await self.always(exchange)
        else:
            await exchange.answer(500, status(500, "InternalError", "the script has no further answer"))


async def _read_request(stream: trio.abc.Stream) -> Exchange | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := await stream.receive_some(4096)):
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(value)
            for name, _, value in (text.partition(b": ") for text in head.split(b"\r\n"))
            if name.lower() == b"content-length"
        ),
        0,
    )
    while len(body) < length:
        body += await stream.receive_some(4096)
    return Exchange(stream, head, body)


@asynccontextmanager
async def open_server(*answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    async with open_service_nursery() as nursery:
        yield ScriptedServer(nursery, answers, tls)


@asynccontextmanager
async def open_client(server: ScriptedServer, **options: Any) -> AsyncIterator[HTTPClient]:
    options.setdefault("random", Random(7))
    async with connect(URL, dial=server.dial, **options) as client:
        yield client


# --- answers ---------------------------------------------------------------------------------------------------------


def answer(
    code: int, body: object = b"", headers: Iterable[tuple[str, str]] = (), content_type: str = "application/json"
) -> Answer:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(code, body, headers, content_type)

    return play


def refuse(code: int, reason: str, message: str = "no", retry_after_s: int = 0, **details: object) -> Answer:
    headers = [("Retry-After", str(retry_after_s))] if retry_after_s else []
    return answer(code, status(code, reason, message, **details), headers)


def watch(*steps: bytes | float, ends: bool = True) -> Answer:
    """A watch that sends bytes as chunks, waits seconds, and then ends, or says nothing more."""

    async def play(exchange: Exchange) -> None:
        await exchange.start()
        for step in steps:
            if isinstance(step, bytes):
                await exchange.chunk(step)
            else:
                await trio.sleep(step)
        if not ends:
            await trio.sleep_forever()
        await exchange.end()

    return play


def raw(data: bytes) -> Answer:
    """Bytes, and then the end of the connection."""

    async def play(exchange: Exchange) -> None:
        await exchange.raw(data)

    return play


async def hang(exchange: Exchange) -> None:
    """No answer, ever."""
    await trio.sleep_forever()


async def hang_up(exchange: Exchange) -> None:
    """The end of the connection instead of an answer."""
    await trio.lowlevel.checkpoint()


# --- what is sent ----------------------------------------------------------------------------------------------------


def pod(name: str, revision: int, **metadata: object) -> dict[str, Any]:
    """A pod as the wire has it, with its kind."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "uid": f"u-{name}", "resourceVersion": str(revision), **metadata},
    }


def pods(revision: int, *items: dict[str, Any], next_page: str = "") -> dict[str, Any]:
    """A list as a server writes it: its items do not say what they are."""
    bare = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
    metadata = {"resourceVersion": str(revision), **({"continue": next_page} if next_page else {})}
    return {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": bare}


def line(kind: str, obj: object) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"


def bookmark(revision: int, *, ends: bool = False) -> bytes:
    annotations = {"annotations": {"k8s.io/initial-events-end": "true"}} if ends else {}
    return line(
        "BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(revision), **annotations}}
    )


def status(code: int, reason: str, message: str, **details: object) -> dict[str, Any]:
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code, **({"details": details} if details else {}),
    }  # fmt: skip


def _head(status_code: int, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status_code} Some Reason", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
