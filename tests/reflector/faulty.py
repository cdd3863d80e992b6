"""A cluster whose informers see it late, in pieces, and with gaps: streams that break, lists that fail, histories that are gone.

What is written and read by verbs goes through as it is: the faults are those of copies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any

import trio

from reflector import Changes, ChangeStream, Client, ListerWatcher, Page
from watch import Expired, NotReady


class FaultyClient:
    """`client`, whose informers suffer while `is_healed` is not set."""

    def __init__(self, client: Client, random: Random, *, lag_s: float = 1.0, breaks: float = 0.1) -> None:
        self._client = client
        self._random = random
        self.lag_s = lag_s
        self.breaks = breaks
        self.is_healed = False
        self.faults = 0

    @property
    def name(self) -> str:
        return self._client.name

    def resource(self, version: str, plural: str) -> Any:
        return _FaultyResource(self._client.resource(version, plural), self)

    def breaks_now(self) -> bool:
        if self.is_healed or self._random.random() >= self.breaks:
            return False
        self.faults += 1
        return True

    async def lag(self) -> None:
        if not self.is_healed:
            await trio.sleep(self._random.uniform(0, self.lag_s))

    def choose(self, *choices: Exception) -> Exception:
        return self._random.choice(choices)


class _FaultyResource:
    def __init__(self, resource: Any, client: FaultyClient) -> None:
        self._resource = resource
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resource, name)

    def lister_watcher(self, **words: Any) -> ListerWatcher:
        return _FaultySource(self._resource.lister_watcher(**words), self._client)


class _FaultySource:
    def __init__(self, source: ListerWatcher, client: FaultyClient) -> None:
        self._source = source
        self._client = client

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await self._client.lag()
        if self._client.breaks_now():
            raise NotReady("a list that fails")
        return await self._source.list(resource_version=resource_version, page_size=page_size, page=page)

    def watch(self, revision: int) -> AbstractAsyncContextManager[ChangeStream]:
        return self._watch(revision)

    @asynccontextmanager
    async def _watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        if self._client.breaks_now():
            raise Expired(revision, revision + 1)
        async with self._source.watch(revision) as stream:
            yield _FaultyStream(stream, self._client)

    async def request_progress(self) -> None:
        if not self._client.breaks_now():
            await self._source.request_progress()


class _FaultyStream:
    def __init__(self, stream: ChangeStream, client: FaultyClient) -> None:
        self._stream = stream
        self._client = client

    async def receive(self) -> Changes:
        changes = await self._stream.receive()
        await self._client.lag()
        if self._client.breaks_now():
            raise self._client.choose(Expired(1, 2), trio.BrokenResourceError("lost"), trio.EndOfChannel())
        return changes
