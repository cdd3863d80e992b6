"""Doubles for the Reflector's tests: a source that answers from a script, a store that is a dict, and short words for both.

test_reflector.py begins with what these keep their word in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import trio

from reflector import Changes, ChangeStream, Page, Replacement
from watch import Event, EventType, Object

Script = Sequence[Changes | Exception | float] | Exception
"""What a watch does: changes to bring, seconds to wait, an error that ends it, then silence. Or why it cannot open."""


class Asked(NamedTuple):
    """One question, and when."""

    at_s: float
    resource_version: str | None = None  # of a list
    page_size: int | None = None
    page: str = ""
    watch_from: int | None = None  # of a watch
    stream: str | None = None  # of a streamed state: its resource version
    timeout_s: float | None = None


class ScriptedSource:
    """Answers `lists` and `watches` in order, each after `delay_s`; beyond them a list is an error and a watch silent."""

    def __init__(
        self, lists: Sequence[Page | Exception] = (), watches: Sequence[Script] = (), *, delay_s: float = 0.0
    ) -> None:
        self._lists = list(lists)
        self._watches = list(watches)
        self._delay_s = delay_s
        self.asked: list[Asked] = []
        self.open_watches = 0

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        self.asked.append(Asked(trio.current_time(), resource_version, page_size, page))
        await trio.sleep(self._delay_s)
        assert self._lists, "the script has no further list"
        answer = self._lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watch(self, revision: int) -> AbstractAsyncContextManager[ChangeStream]:
        return self._watch(revision)

    @asynccontextmanager
    async def _watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        self.asked.append(Asked(trio.current_time(), watch_from=revision))
        await trio.sleep(self._delay_s)
        script = self._watches.pop(0) if self._watches else ()
        if isinstance(script, Exception):
            raise script
        self.open_watches += 1
        try:
            yield ScriptedStream(script)
        finally:
            self.open_watches -= 1

    async def request_progress(self) -> None:
        await trio.lowlevel.checkpoint()


class StreamingSource(ScriptedSource):
    """Also answers `streams` in order, with states and what follows them; beyond them a stream is silent."""

    def __init__(
        self,
        streams: Sequence[Script] = (),
        lists: Sequence[Page | Exception] = (),
        watches: Sequence[Script] = (),
        *,
        delay_s: float = 0.0,
    ) -> None:
        super().__init__(lists, watches, delay_s=delay_s)
        self._streams = list(streams)

    def watch(self, revision: int, *, timeout_s: float | None = None) -> AbstractAsyncContextManager[ChangeStream]:
        return self._opened(Asked(trio.current_time(), watch_from=revision, timeout_s=timeout_s), self._watches)

    def watch_list(
        self, *, resource_version: str = "", timeout_s: float | None = None
    ) -> AbstractAsyncContextManager[ChangeStream]:
        return self._opened(Asked(trio.current_time(), stream=resource_version, timeout_s=timeout_s), self._streams)

    @asynccontextmanager
    async def _opened(self, asked: Asked, scripts: list[Script]) -> AsyncIterator[ChangeStream]:
        self.asked.append(asked)
        await trio.sleep(self._delay_s)
        script = scripts.pop(0) if scripts else ()
        if isinstance(script, Exception):
            raise script
        self.open_watches += 1
        try:
            yield ScriptedStream(script)
        finally:
            self.open_watches -= 1


class ScriptedStream:
    def __init__(self, script: Sequence[Changes | Exception | float]) -> None:
        self._script = list(script)

    async def receive(self) -> Changes:
        await trio.lowlevel.checkpoint()
        while self._script:
            answer = self._script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, Changes):
                return answer
            await trio.sleep(answer)
        await trio.sleep_forever()
        raise AssertionError("not reached")


class DictStore:
    """Objects by key, and everything that was written, in order. It refuses revisions that do not rise."""

    def __init__(self, *objects: Object) -> None:
        self.held = {each.key: each for each in objects}
        self.writes: list[Replacement | Changes | int] = []
        self.revision = 0

    def objects(self) -> list[Object]:
        return list(self.held.values())

    def replace(self, replacement: Replacement) -> None:
        self.held = {each.key: each for each in replacement.objects}
        self._wrote(replacement, replacement.revision)

    def apply(self, changes: Changes) -> None:
        for event in changes.events:
            if event.type is EventType.DELETED:
                del self.held[event.key]
            else:
                self.held[event.key] = event.object
        self._wrote(changes, changes.revision)

    def bookmark(self, revision: int) -> None:
        self._wrote(revision, revision)

    def _wrote(self, written: Replacement | Changes | int, revision: int) -> None:
        assert revision >= self.revision
        self.revision = revision
        self.writes.append(written)

    @property
    def revisions(self) -> dict[str, int]:
        return {key: held.revision for key, held in sorted(self.held.items())}


def obj(key: str, revision: int) -> Object:
    return Object(key, revision, b"{}", name=key)


def page(revision: int, next_page: str = "", **objects: int) -> Page:
    """`page(9, a=3)`: object `a` as of revision 3, in a list at revision 9."""
    return Page(tuple(obj(key, at) for key, at in objects.items()), revision, next_page)


def put(revision: int, *keys: str) -> Changes:
    return Changes(tuple(Event(EventType.MODIFIED, obj(key, revision), revision) for key in keys), revision)


def deleted(revision: int, key: str) -> Changes:
    return Changes((Event(EventType.DELETED, obj(key, revision), revision),), revision)


def mark(revision: int) -> Changes:
    return Changes((), revision)
