"""Eight defects that an informer of another library had, as read in its source in 2026: each has a check that ours passes.

Each check is also run over a small informer, written here: without a defect it passes all eight, with one it fails that one.
So the checks are known to find what they look for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any, Protocol

import pytest
import trio

from reflector import BackoffPolicy, Changes, Page, SharedInformer, Tombstone
from watch import Event, EventType, Expired, Object, WatchError

RETENTION_S = 75.0
"""What a server keeps of its history."""
BOOKMARK_S = 60.0
PLAIN = BackoffPolicy(jitter=0)


def pod(name: str, revision: int, uid: str) -> Object:
    return Object(f"/registry/pods/{name}", revision, b"{}", name=name, uid=uid)


class Server:
    """An API server's list and watch: a history of RETENTION_S, bookmarks, and trouble."""

    def __init__(self) -> None:
        self.history: list[tuple[float, Event]] = []
        self.revision = 1
        self.asked: list[tuple[float, str, str]] = []
        self.is_down = False
        self.page_pause_s = 0.0
        self._epoch = 0
        self._frozen: set[int] = set()
        self._moved = trio.Event()

    # ---- what happens to it ------------------------------------------------------------------------------------------

    def put(self, name: str, uid: str = "u1") -> None:
        kind = EventType.MODIFIED if f"/registry/pods/{name}" in self.objects() else EventType.ADDED
        self._append(Event(kind, pod(name, self.revision + 1, uid), self.revision + 1))

    def delete(self, name: str) -> None:
        held = self.objects()[f"/registry/pods/{name}"]
        self._append(Event(EventType.DELETED, held.at_revision(self.revision + 1), self.revision + 1))

    def elsewhere(self) -> None:
        """Something that is of no interest here: the revision moves."""
        self.revision += 1
        self._wake()

    def cut(self) -> None:
        """All streams are lost."""
        self._epoch += 1
        self._wake()

    def freeze(self) -> None:
        """The streams that are open bring nothing any more, and say nothing of it."""
        self._frozen.add(self._epoch)
        self._epoch += 1

    def _append(self, event: Event) -> None:
        self.revision = event.revision
        self.history.append((trio.current_time(), event))
        self._wake()

    def _wake(self) -> None:
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    def objects(self) -> dict[str, Object]:
        held: dict[str, Object] = {}
        for _, event in self.history:
            if event.type is EventType.DELETED:
                del held[event.key]
            else:
                held[event.key] = event.object
        return held

    # ---- what it answers ---------------------------------------------------------------------------------------------

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        self.asked.append((trio.current_time(), "page" if page else "list", resource_version))
        await trio.sleep(self.page_pause_s)
        if self.is_down:
            raise ConnectionRefusedError("down")
        objects = tuple(self.objects().values())
        if self.page_pause_s and not page:
            return Page(objects[:1], self.revision, "rest")
        return Page(objects[1:] if page else objects, self.revision)

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[_Stream]:
        self.asked.append((trio.current_time(), "watch", str(revision)))
        await trio.sleep(0.01)
        if self.is_down:
            raise ConnectionRefusedError("down")
        if self._is_forgotten(revision):
            raise Expired(revision, self.revision)
        yield _Stream(self, revision, self._epoch)

    async def request_progress(self) -> None:
        await trio.lowlevel.checkpoint()

    def _is_forgotten(self, revision: int) -> bool:
        """Whether something came after `revision` of which the history is gone. Every revision counts, of interest or not."""
        old = [event.revision for at_s, event in self.history if at_s < trio.current_time() - RETENTION_S]
        return (bool(old) and revision < max(old)) or revision < self.forgotten

    forgotten = 0
    """Compacted up to here."""

    async def next(self, revision: int, epoch: int) -> Changes:
        while True:
            if epoch in self._frozen:
                await trio.sleep_forever()
            if epoch != self._epoch:
                raise ConnectionResetError("cut")
            events = tuple(event for _, event in self.history if event.revision > revision)
            if events:
                return Changes(events, self.revision)
            with trio.move_on_after(BOOKMARK_S) as scope:
                await self._moved.wait()
            if scope.cancelled_caught and epoch == self._epoch:
                return Changes((), self.revision)


class _Stream:
    def __init__(self, server: Server, revision: int, epoch: int) -> None:
        self._server = server
        self._revision = revision
        self._epoch = epoch

    async def receive(self) -> Changes:
        changes = await self._server.next(self._revision, self._epoch)
        self._revision = changes.revision
        return changes


# ---- two informers -----------------------------------------------------------------------------------------------------


class Informer(Protocol):
    @property
    def has_synced(self) -> bool: ...

    async def run(self) -> None: ...

    def get(self, name: str) -> Object | None: ...


Tell = Callable[..., Awaitable[None] | None]
"""Called with "add", new; "update", old, new; "delete", object."""


class Ours:
    def __init__(self, server: Server, tell: Tell) -> None:
        self._informer = SharedInformer(server, random=Random(1), backoff=PLAIN)
        self._informer.add_handler(self)
        self._tell = tell

    async def run(self) -> None:
        await self._informer.run()

    @property
    def has_synced(self) -> bool:
        return self._informer.has_synced

    def get(self, name: str) -> Object | None:
        return self._informer.store.get(name)

    def on_add(self, obj: Object, is_in_initial_list: bool) -> object:
        return self._tell("add", obj)

    def on_update(self, old: Object, new: Object) -> object:
        return self._tell("update", old, new)

    def on_delete(self, obj: Object | Tombstone) -> object:
        return self._tell("delete", obj)


class Small:
    """A small informer, right but for one `defect`, by its number below; 0: for none."""

    def __init__(self, server: Server, tell: Tell, defect: int = 0) -> None:
        self._server = server
        self._tell = tell
        self._defect = defect
        self._objects: dict[str, Object] = {}
        self._revision = 0
        self._send: trio.MemorySendChannel[tuple[Any, ...]]
        self._receive: trio.MemoryReceiveChannel[tuple[Any, ...]]
        self._send, self._receive = trio.open_memory_channel(10_000)
        self.has_synced = defect == 5

    def get(self, name: str) -> Object | None:
        return self._objects.get(f"/registry/pods/{name}")

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hand_out)
            wait_s = 0.8
            while True:
                with suppress(WatchError, OSError):
                    await self._list()
                    wait_s = 0.8
                    await self._watch()
                if self._defect != 2:
                    await trio.sleep(wait_s)
                    wait_s = min(30, 2 * wait_s)
                else:
                    await trio.sleep(0.01)

    async def _list(self) -> None:
        asked = "" if self._defect == 2 or not self._revision else str(self._revision)
        page = await self._server.list(resource_version=asked)
        objects = list(page.objects)
        while page.next_page:
            page = await self._server.list(page=page.next_page)
            objects += page.objects
        listed = {obj.key: obj for obj in objects}
        before = dict(self._objects)
        gone = [obj for key, obj in before.items() if key not in listed or self._is_another(obj, listed[key])]
        if self._defect == 6:
            for obj in gone:
                await self._say("delete", obj)
                await trio.sleep(0.001)  # the handler has its turn
        self._objects, self._revision, self.has_synced = listed, page.revision, True
        if self._defect != 6:
            for obj in gone:
                await self._say("delete", obj)
        for key, obj in listed.items():
            old = before.get(key)
            if old is None or self._is_another(old, obj):
                await self._say("add", obj)
            elif old != obj or self._defect == 6:
                await self._say("update", old, obj)

    def _is_another(self, old: Object, new: Object) -> bool:
        return old.uid != new.uid and self._defect != 7

    async def _watch(self) -> None:
        retried = 0
        while True:
            try:
                async with self._server.watch(self._revision) as stream:
                    while True:
                        with trio.fail_after(float("inf") if self._defect == 4 else 70):
                            changes = await stream.receive()
                        await self._apply(changes)
            except Expired:
                if self._defect != 3 or retried:
                    raise
                retried += 1
            except (OSError, trio.TooSlowError):
                if self._server.is_down:
                    raise

    async def _apply(self, changes: Changes) -> None:
        for event in changes.events:
            old = self._objects.get(event.key)
            if event.type is EventType.DELETED:
                del self._objects[event.key]
                await self._say("delete", event.object)
            else:
                self._objects[event.key] = event.object
                await (self._say("add", event.object) if old is None else self._say("update", old, event.object))
        if changes.events or self._defect != 1:
            self._revision = changes.revision

    async def _say(self, *words: Any) -> None:
        if self._defect == 8:
            await self._told(words)
        else:
            await self._send.send(words)

    async def _hand_out(self) -> None:
        async for words in self._receive:
            await self._told(words)

    async def _told(self, words: tuple[Any, ...]) -> None:
        result = self._tell(*words)
        if result is not None:
            await result


# ---- the checks --------------------------------------------------------------------------------------------------------


Make = Callable[[Server, Tell], Informer]
Check = Callable[[Server, Make], Awaitable[None]]


@asynccontextmanager
async def started(server: Server, make: Make, tell: Tell) -> AsyncIterator[Informer]:
    async with trio.open_nursery() as nursery:
        informer = make(server, tell)
        nursery.start_soon(informer.run)
        await trio.sleep(1)
        yield informer
        nursery.cancel_scope.cancel()


def lists(server: Server) -> int:
    return sum(kind == "list" for _, kind, _ in server.asked)


async def a_quiet_resource_is_resumed_and_not_listed_again(server: Server, make: Make) -> None:
    """1: bookmarks that are not asked for, or not heard."""
    server.put("a")
    async with started(server, make, lambda *_: None):
        for _ in range(10):
            await trio.sleep(61)
            server.forgotten = server.revision  # the store is compacted, as far as the last bookmark
            for _ in range(20):
                server.elsewhere()
            await trio.sleep(61)
            server.cut()
            await trio.sleep(1)
        assert lists(server) == 1


async def a_server_that_refuses_is_not_hammered_and_a_relist_is_not_of_the_latest(server: Server, make: Make) -> None:
    """2: no waits after errors of watches, and after a 410 a list that every server must ask its store for."""
    server.put("a")
    async with started(server, make, lambda *_: None):
        server.is_down = True
        server.cut()
        await trio.sleep(300)
        assert len(server.asked) < 25
        server.is_down = False
        server.forgotten = server.revision + 1
        server.elsewhere()
        server.cut()
        await trio.sleep(100)
        assert server.asked[-2][1] == "list"
        assert server.asked[-2][2] not in ("", "0")


async def after_a_410_the_same_revision_is_not_asked_for_again(server: Server, make: Make) -> None:
    """3: a 410 that is retried with what it refused."""
    server.put("a")
    async with started(server, make, lambda *_: None):
        server.forgotten = server.revision + 1
        server.elsewhere()
        server.cut()
        await trio.sleep(100)
        watches = [version for _, kind, version in server.asked if kind == "watch"]
        assert watches == ["2", "2", "3"]  # the first, the one that is refused, and the one after the relist


async def a_stream_that_is_dead_without_a_word_is_left(server: Server, make: Make) -> None:
    """4: a read without a limit, on a connection whose other end has gone."""
    async with started(server, make, lambda *_: None) as informer:
        server.freeze()
        await trio.sleep(10)
        server.put("a")
        await trio.sleep(120)
        assert informer.get("a") is not None


async def it_says_when_the_first_list_is_complete_and_not_before(server: Server, make: Make) -> None:
    """5: nothing says whether what is missing is missing, or not there yet."""
    server.put("a")
    server.put("b")
    server.page_pause_s = 5
    async with started(server, make, lambda *_: None) as informer:
        await trio.sleep(6)  # one page of two
        assert not informer.has_synced
        await trio.sleep(6)
        assert informer.has_synced
        assert informer.get("b") is not None


async def a_relist_tells_what_changed_and_not_before_it_has(server: Server, make: Make) -> None:
    """6: every object is told as changed, and deletions while they can still be read."""
    told: list[tuple[str, str]] = []

    def tell(what: str, *objects: Any) -> None:
        told.append((what, objects[-1].name))
        if what == "delete":
            assert informer.get(objects[-1].name) is None, "it is told as gone, and still there"

    for name in ("a", "b", "c"):
        server.put(name)
    async with started(server, make, tell) as informer:
        told.clear()
        server.cut()
        server.delete("a")
        server.put("b")
        server.forgotten = server.revision
        await trio.sleep(100)
        assert told == [("delete", "a"), ("update", "b")]


async def what_was_deleted_and_made_again_unseen_is_told_as_both(server: Server, make: Make) -> None:
    """7: one name, two objects, and a handler that hears of a change."""
    told: list[tuple[str, str]] = []
    server.put("a", "u1")
    async with started(server, make, lambda what, *objects: told.append((what, objects[-1].uid))):
        server.cut()
        server.delete("a")
        server.put("a", "u2")
        server.forgotten = server.revision
        await trio.sleep(100)
        assert told == [("add", "u1"), ("delete", "u1"), ("add", "u2")]


async def a_slow_handler_does_not_slow_the_watch(server: Server, make: Make) -> None:
    """8: handlers that are called by who reads the stream."""

    async def linger() -> None:
        await trio.sleep(20)

    async with started(server, make, lambda *_: linger()) as informer:
        for number in range(5):
            server.put(f"p{number}")
            await trio.sleep(0.1)
        await trio.sleep(1)
        assert informer.get("p4") is not None


CHECKS: list[Check] = [
    a_quiet_resource_is_resumed_and_not_listed_again,
    a_server_that_refuses_is_not_hammered_and_a_relist_is_not_of_the_latest,
    after_a_410_the_same_revision_is_not_asked_for_again,
    a_stream_that_is_dead_without_a_word_is_left,
    it_says_when_the_first_list_is_complete_and_not_before,
    a_relist_tells_what_changed_and_not_before_it_has,
    what_was_deleted_and_made_again_unseen_is_told_as_both,
    a_slow_handler_does_not_slow_the_watch,
]


def judged(run_trio: Callable[..., Any], check: Check, make: Make) -> None:
    async def main() -> None:
        await check(Server(), make)

    run_trio(main)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_ours_has_none_of_the_eight(run_trio, check):
    judged(run_trio, check, Ours)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_small_informer_without_a_defect_passes(run_trio, check):
    judged(run_trio, check, Small)


@pytest.mark.parametrize("defect", range(1, 9))
def test_a_small_informer_with_the_defect_fails_its_check(run_trio, defect):
    with pytest.RaisesGroup(AssertionError, flatten_subgroups=True, allow_unwrapped=True):
        judged(run_trio, CHECKS[defect - 1], lambda server, tell: Small(server, tell, defect))
