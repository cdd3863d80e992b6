"""An upstream that a test writes to: a ListerWatcher over a dict, whose watch brings what the test pushes and when."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import TypeVar

import trio
import trio.testing

from cacher import Cacher, Ring
from reflector import Changes, ChangeStream, Page
from watch import Event, EventType, Object, TooLargeResourceVersion

PREFIX = "/registry/pods/"
Result = TypeVar("Result")


def run(main: Callable[..., Awaitable[Result]], *args: object) -> Result:
    """To the end of `main`, on a virtual clock that starts at 0."""
    return trio.run(main, *args, clock=trio.testing.MockClock(autojump_threshold=0))


def pod(name: str, revision: int, namespace: str = "default", **labels: str) -> Object:
    raw = f"{namespace}/{name}@{revision}".encode()
    return Object(f"{PREFIX}{namespace}/{name}", revision, raw, name, namespace, "", labels)


class Upstream:
    """Starts at revision 10. What is written is in the next list; a watch hears of it when it is written, if `is_live`."""

    def __init__(self, *pods: Object, revision: int = 10) -> None:
        self.revision = revision
        self.objects = {each.key: each for each in pods}
        self.is_live = True
        self.list_error: Exception | None = None
        self.watched_from: list[int] = []
        self.lists = 0
        self.progress_asked: list[float] = []
        self.answers_progress_after: int | None = None
        """How many times progress is asked for before it is told; None: never."""
        self._send: trio.MemorySendChannel[Changes | Exception] | None = None

    # ---- what a test does ----

    def write(self, *pods: Object, gone: tuple[str, ...] = ()) -> int:
        """One revision: puts, and deletions by `namespace/name`."""
        self.revision += 1
        events = []
        for each in pods:
            assert each.revision == self.revision, "say the revision that it will be"
            kind = EventType.MODIFIED if each.key in self.objects else EventType.ADDED
            self.objects[each.key] = each
            events.append(Event(kind, each, self.revision))
        for name in gone:
            held = self.objects.pop(PREFIX + name)
            events.append(Event(EventType.DELETED, held.at_revision(self.revision), self.revision))
        if self.is_live:
            self.say(Changes(tuple(events), self.revision))
        return self.revision

    def put(self, name: str, namespace: str = "default", **labels: str) -> Object:
        """One revision that writes one pod."""
        written = pod(name, self.revision + 1, namespace, **labels)
        self.write(written)
        return written

    def say(self, what: Changes | Exception) -> None:
        """Bring this on the open watch; an exception ends it."""
        assert self._send is not None, "nobody watches"
        self._send.send_nowait(what)

    def mark(self, revision: int) -> None:
        """Bring a bookmark."""
        self.revision = max(self.revision, revision)
        self.say(Changes((), revision))

    # ---- ListerWatcher ----

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await trio.lowlevel.checkpoint()
        self.lists += 1
        if self.list_error is not None:
            raise self.list_error
        if resource_version not in ("", "0") and int(resource_version) > self.revision:
            raise TooLargeResourceVersion(int(resource_version), self.revision)
        return Page(tuple(self.objects[key] for key in sorted(self.objects)), self.revision)

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        await trio.lowlevel.checkpoint()
        self.watched_from.append(revision)
        self._send, receive = trio.open_memory_channel[Changes | Exception](math.inf)
        try:
            yield _Stream(receive)
        finally:
            self._send = None

    async def request_progress(self) -> None:
        await trio.lowlevel.checkpoint()
        self.progress_asked.append(trio.current_time())
        after = self.answers_progress_after
        if after is not None and len(self.progress_asked) > after and self._send is not None:
            self.say(Changes((), self.revision))


class _Stream:
    def __init__(self, receive: trio.MemoryReceiveChannel[Changes | Exception]) -> None:
        self._receive = receive

    async def receive(self) -> Changes:
        what = await self._receive.receive()
        if isinstance(what, Exception):
            raise what
        return what


@asynccontextmanager
async def running(
    upstream: Upstream, *, ring: Ring | None = None, batch_interval_s: float = 0.0
) -> AsyncIterator[Cacher]:
    """A Cacher over `upstream` that is ready."""
    cacher = Cacher(upstream, prefix=PREFIX, random=Random(7), ring=ring, batch_interval_s=batch_interval_s)
    async with trio.open_nursery() as nursery:
        await nursery.start(cacher.run)
        await settle()
        yield cacher
        nursery.cancel_scope.cancel()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()
