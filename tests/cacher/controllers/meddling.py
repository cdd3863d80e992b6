"""An API that lets a test come between a controller and what it writes, and that may be slow to tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from reflector import Changes, ChangeStream, Client, ListerWatcher, Page

Meddle = Callable[[], Awaitable[object]]
_VERBS = ("get", "create", "update", "patch", "delete")


class MeddledClient:
    """A client of `inner`. What is planned for a verb is done just before it, once."""

    def __init__(self, inner: Client) -> None:
        self._inner = inner
        self.name = inner.name
        self._planned: dict[tuple[str, str], Meddle] = {}
        self.slow_s: dict[str, float] = {}
        """By plural: so much later its watches tell."""

    def once(self, verb: str, path: str, meddle: Meddle) -> None:
        """Before the next `verb` of `path` ("pods", "pods/binding"), do this; what it raises is what the verb raises."""
        self._planned[verb, path] = meddle

    @property
    def has_meddled(self) -> bool:
        """Whether all that was planned was done."""
        return not self._planned

    def resource(self, version: str, plural: str) -> Any:
        return _MeddledResource(self, self._inner.resource(version, plural), plural)

    async def meddle(self, verb: str, path: str) -> None:
        planned = self._planned.pop((verb, path), None)
        if planned is not None:
            await planned()


class _MeddledResource:
    def __init__(self, client: MeddledClient, inner: Any, path: str) -> None:
        self._client = client
        self._inner = inner
        self._path = path

    def subresource(self, name: str) -> _MeddledResource:
        return _MeddledResource(self._client, self._inner.subresource(name), f"{self._path}/{name}")

    def lister_watcher(self, **selection: Any) -> ListerWatcher:
        source: ListerWatcher = self._inner.lister_watcher(**selection)
        return _SlowSource(source, self._client.slow_s, self._path)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in _VERBS:
            return found

        async def meddled(*positional: Any, **named: Any) -> Any:
            await self._client.meddle(name, self._path)
            return await found(*positional, **named)

        return meddled


class _SlowSource:
    def __init__(self, inner: ListerWatcher, slow_s: dict[str, float], path: str) -> None:
        self._inner = inner
        self._slow_s = slow_s
        self._path = path

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        return await self._inner.list(resource_version=resource_version, page_size=page_size, page=page)

    def watch(self, revision: int) -> AbstractAsyncContextManager[ChangeStream]:
        return self._watch(revision)

    @asynccontextmanager
    async def _watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        async with self._inner.watch(revision) as stream:
            yield _SlowStream(stream, self._slow_s, self._path)

    async def request_progress(self) -> None:
        await self._inner.request_progress()


class _SlowStream:
    def __init__(self, inner: ChangeStream, slow_s: dict[str, float], path: str) -> None:
        self._inner = inner
        self._slow_s = slow_s
        self._path = path

    async def receive(self) -> Changes:
        changes = await self._inner.receive()
        await trio.sleep(self._slow_s.get(self._path, 0.0))
        return changes
