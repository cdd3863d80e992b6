"""Worlds for the informer contract: sources with a story that goes on behind them, and the truth of it.

    cache, store    a cluster in this process, written to at random, with and without its cache
    recorded        what clients of a real API server received, told again
    liar            a history whose source lies in every way that it can, a number of times

A world over HTTP is one more function that yields a `World`.
"""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any, Protocol

import msgspec
import trio

from cacher import Cluster, open_cluster
from reflector import Changes, ChangeStream, ListerWatcher, Page
from tests import source as tree
from watch import Event, EventType, Expired, Object, ObjectReader

WRITES = 150
"""Of a story that is made up."""
STORY_S = 120.0
"""How long a story lasts, about: long enough for bookmarks."""
READER = ObjectReader(["spec.nodeName"])


class World(Protocol):
    """A source, and what goes on behind it."""

    @property
    def source(self) -> ListerWatcher: ...

    async def play(self) -> None:
        """All that happens, once."""
        ...

    def truth(self) -> dict[str, tuple[str, int]]:
        """What is there now: uid and revision by store key."""
        ...

    @property
    def revision(self) -> int:
        """How far the world is."""
        ...


Open = Callable[[Random], AbstractAsyncContextManager[World]]


def pod(name: str, uid: str, revision: int = 0, **labels: str) -> bytes:
    metadata = {"name": name, "namespace": "team-a", "uid": uid, "labels": {"n": str(revision), **labels}}
    return json.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": metadata}, separators=(",", ":")).encode()


class Chances:
    """What a story does next: names are few, so that they are created, changed, deleted and created again."""

    def __init__(self, random: Random, names: int = 12) -> None:
        self.random = random
        self.uids: dict[str, str] = {}
        self._names = [f"pod-{number}" for number in range(names)]
        self._made = 0

    def next(self) -> tuple[str, str | None]:
        """(name, its uid; None: it is deleted)."""
        name = self.random.choice(self._names)
        if name in self.uids and self.random.random() < 0.35:
            del self.uids[name]
            return name, None
        if name not in self.uids:
            self._made += 1
            self.uids[name] = f"uid-{self._made}"
        return name, self.uids[name]


class ClusterWorld:
    """Pods of a cluster in this process, put into etcd as an API server puts them."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self._cluster = cluster
        self._chances = Chances(random)
        self._truth: dict[str, tuple[str, int]] = {}
        self.source: ListerWatcher = cluster.resource("v1", "pods").lister_watcher()

    async def write(self) -> None:
        name, uid = self._chances.next()
        key = f"/registry/pods/team-a/{name}"
        if uid is None:
            await self._cluster.etcd.delete(key)
            del self._truth[f"team-a/{name}"]
        else:
            await self._cluster.etcd.put(key, pod(name, uid, self.revision))
            self._truth[f"team-a/{name}"] = (uid, self.revision)

    async def play(self) -> None:
        for _ in range(WRITES):
            if self._chances.random.random() < 0.5:  # else in one go with the last
                await trio.sleep(2 * STORY_S / WRITES)
            await self.write()

    def truth(self) -> dict[str, tuple[str, int]]:
        return dict(self._truth)

    @property
    def revision(self) -> int:
        return self._cluster.etcd.revision


@asynccontextmanager
async def _cluster_world(random: Random, cached: bool) -> AsyncIterator[World]:
    async with open_cluster(random=Random(random.getrandbits(32)), watch_cache=cached) as cluster:
        world = ClusterWorld(cluster, random)
        for _ in range(20):
            await world.write()
        yield world


class HistoryWorld:
    """A history that is known beforehand, and told as time goes on: revision by revision, `begins` of it at once."""

    def __init__(self, events: Sequence[Event], begins: int, last: int, *, length_s: float = STORY_S) -> None:
        self.events = events
        self._revisions = [event.revision for event in events]
        self.last = last
        self._length_s = length_s
        self._revision = begins
        self._moved = trio.Event()

    @property
    def source(self) -> ListerWatcher:
        return self

    @property
    def revision(self) -> int:
        return self._revision

    async def play(self) -> None:
        revisions = sorted({event.revision for event in self.events if event.revision > self._revision} | {self.last})
        for revision in revisions:
            await trio.sleep(self._length_s / len(revisions))
            self._revision = revision
            self._move()

    def objects(self) -> dict[str, Object]:
        """What is there now, by storage key."""
        held: dict[str, Object] = {}
        for event in self.events:
            if event.revision > self._revision:
                break
            if event.type is EventType.DELETED:
                held.pop(event.key, None)
            else:
                held[event.key] = event.object
        return held

    def between(self, after: int, upto: int) -> tuple[Event, ...]:
        first, last = bisect_right(self._revisions, after), bisect_right(self._revisions, upto)
        return tuple(self.events[first:last])

    def truth(self) -> dict[str, tuple[str, int]]:
        return {f"{obj.namespace}/{obj.name}": (obj.uid, obj.revision) for obj in self.objects().values()}

    # ---- as a source -------------------------------------------------------------------------------------------------

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await trio.lowlevel.checkpoint()
        held = self.objects()
        return Page(tuple(held[key] for key in sorted(held)), self._revision)

    def watch(self, revision: int) -> AbstractAsyncContextManager[ChangeStream]:
        return self._watch(revision)

    @asynccontextmanager
    async def _watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        await trio.lowlevel.checkpoint()
        yield _HistoryStream(self, revision)

    async def request_progress(self) -> None:
        await trio.lowlevel.checkpoint()

    def _move(self) -> None:
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    async def moved(self) -> None:
        await self._moved.wait()


class _HistoryStream:
    def __init__(self, world: HistoryWorld, revision: int) -> None:
        self._world = world
        self._revision = revision

    async def receive(self) -> Changes:
        await trio.lowlevel.checkpoint()
        while self._world.revision <= self._revision:
            with trio.move_on_after(60) as scope:
                await self._world.moved()
            if scope.cancelled_caught:
                return Changes((), self._revision)  # a bookmark
        after, self._revision = self._revision, self._world.revision
        return Changes(self._world.between(after, self._revision), self._revision)


# ---- recorded --------------------------------------------------------------------------------------------------------


def recorded_events(name: str) -> tuple[list[Event], int, int]:
    """(what one client received, the state that it began with first; the revision of that state; the last revision)."""
    with gzip.open(tree.ROOT / "scenarios/data" / f"rollout.{name}.jsonl.gz", "rt") as file:
        lines = [json.loads(line) for line in file]
    listed = next((line for line in lines if line.get("kind") == "list"), None)
    if listed is not None:
        begins = int(listed["resourceVersion"])
        state = [_event("ADDED", item) for item in listed["body"]["items"]]
        rest = [line["event"] for line in lines if "event" in line]
    else:  # streamed: the state is what comes before the annotated bookmark
        told = [line["event"] for line in lines if "event" in line]
        end = next(at for at, one in enumerate(told) if one["type"] == "BOOKMARK" and _annotations(one["object"]))
        begins = int(told[end]["object"]["metadata"]["resourceVersion"])
        state = [_event(one["type"], one["object"]) for one in told[:end]]
        rest = told[end + 1 :]
    events = [_event(one["type"], one["object"]) for one in rest if one["type"] != "BOOKMARK"]
    last = max(int(one["object"]["metadata"]["resourceVersion"]) for one in rest)
    return sorted(state, key=lambda event: event.revision) + events, begins, last


def _annotations(obj: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = obj["metadata"].get("annotations") or {}
    return found


def _event(kind: str, body: dict[str, Any]) -> Event:
    metadata = dict(body["metadata"])
    revision = int(metadata.pop("resourceVersion"))
    key = f"/registry/pods/{metadata.get('namespace', '')}/{metadata['name']}"
    return Event(
        EventType(kind), READER.read(key, msgspec.json.encode({**body, "metadata": metadata}), revision), revision
    )


def recorded(name: str) -> Open:
    @asynccontextmanager
    async def open_world(random: Random) -> AsyncIterator[World]:
        events, begins, last = recorded_events(name)
        assert all(one.revision <= other.revision for one, other in pairwise(events))
        yield HistoryWorld(events, begins, last)
        await trio.lowlevel.checkpoint()

    return open_world


# ---- the liar --------------------------------------------------------------------------------------------------------


def made_up(random: Random, writes: int) -> list[Event]:
    """A history of pods from revision 2 on."""
    chances = Chances(random)
    held: dict[str, Object] = {}
    events: list[Event] = []
    for revision in range(2, writes + 2):
        name, uid = chances.next()
        key = f"/registry/pods/team-a/{name}"
        if uid is None:
            events.append(Event(EventType.DELETED, held.pop(key).at_revision(revision), revision))
            continue
        kind = EventType.MODIFIED if key in held else EventType.ADDED
        held[key] = READER.read(key, pod(name, uid, revision), revision)
        events.append(Event(kind, held[key], revision))
    return events


class Liar(HistoryWorld):
    """Tells the truth in the end; before that each list, stream and watch may be a lie, `lies` in all. Counts what it told."""

    def __init__(self, random: Random, lies: int) -> None:
        super().__init__(made_up(random, WRITES), 20, WRITES + 1)
        self._random = random
        self.left = lies
        self.told: dict[str, int] = {}

    def lie_again(self) -> None:
        """Something more happens: a bookmark, so that lies which have not been told have their occasion."""
        self._revision += 1
        self._move()

    def _lies(self, *ways: str) -> str:
        if self.left and self._random.random() < 0.6:
            self.left -= 1
            way = self._random.choice(ways)
            self.told[way] = self.told.get(way, 0) + 1
            return way
        return ""

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        if page.startswith("endless"):
            await trio.lowlevel.checkpoint()
            number = int(page.removeprefix("endless")) + 1
            return Page((_ghost(f"ghost-{number}", 2),), self.revision, f"endless{number}")
        honest = await super().list()
        way = self._lies("no uid", "another kind", "no end", "own next", "future")
        if way == "no uid":
            return Page((*honest.objects, _ghost("ghost", 2, uid="")), honest.revision)
        if way == "another kind":
            return Page((*honest.objects, _ghost("ghost", 2, kind="Node")), honest.revision)
        if way == "no end":
            return Page(honest.objects, honest.revision, "endless0")
        if way == "own next" or page:
            return Page((), honest.revision, "same")
        if way == "future":
            return Page((*honest.objects, _ghost("ghost", honest.revision + 1)), honest.revision)
        return honest

    @asynccontextmanager
    async def _watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        async with super()._watch(revision) as honest:
            yield _LyingStream(self, honest, revision)

    @asynccontextmanager
    async def watch_list(
        self, *, resource_version: str = "", timeout_s: float | None = None
    ) -> AsyncIterator[ChangeStream]:
        state = tuple(Event(EventType.ADDED, obj, obj.revision) for obj in self.objects().values())
        way = self._lies("no uid", "another kind", "silent state", "endless state", "lost state")
        async with super()._watch(self.revision) as honest:
            yield _LyingState(way, state, self.revision, _LyingStream(self, honest, self.revision))

    def watch(self, revision: int, *, timeout_s: float | None = None) -> AbstractAsyncContextManager[ChangeStream]:
        return self._watch(revision)


class _LyingStream:
    def __init__(self, world: Liar, honest: ChangeStream, revision: int) -> None:
        self._world = world
        self._honest = honest
        self._revision = revision

    async def receive(self) -> Changes:
        changes = await self._honest.receive()
        way = self._world._lies("back", "no uid", "another kind", "too far", "again", "gone", "lost")
        if way == "back":
            return Changes((), self._revision - 1)
        if way in ("no uid", "another kind"):
            ghost = _ghost(
                "ghost", changes.revision, uid="" if way == "no uid" else "u", kind="Node" if way != "no uid" else "Pod"
            )
            return Changes((Event(EventType.ADDED, ghost, ghost.revision),), changes.revision)
        if way == "too far":
            ghost = _ghost("ghost", changes.revision + 5)
            return Changes((Event(EventType.ADDED, ghost, ghost.revision),), changes.revision)
        if way == "again":
            ghost = _ghost("ghost", self._revision)
            return Changes((Event(EventType.ADDED, ghost, ghost.revision),), changes.revision)
        if way == "gone":
            raise Expired(self._revision, changes.revision)
        if way == "lost":
            raise trio.BrokenResourceError
        self._revision = changes.revision
        return changes


class _LyingState:
    def __init__(self, way: str, state: Sequence[Event], revision: int, honest: ChangeStream) -> None:
        self._way = way
        self._state: Iterator[Changes] = iter([Changes(tuple(state), 0), Changes((), revision)])
        self._honest = honest
        self._ghosts = 0

    async def receive(self) -> Changes:
        await trio.lowlevel.checkpoint()
        if self._way == "silent state":
            await trio.sleep_forever()
        if self._way == "lost state":
            raise trio.EndOfChannel
        if self._way:
            self._ghosts += 1
            ghost = _ghost(
                f"ghost-{self._ghosts}",
                2,
                uid="" if self._way == "no uid" else f"u{self._ghosts}",
                kind="Node" if self._way == "another kind" else "Pod",
            )
            return Changes((Event(EventType.ADDED, ghost, 2),), 0)
        return next(self._state, None) or await self._honest.receive()


def _ghost(name: str, revision: int, *, uid: str = "ghostly", kind: str = "Pod") -> Object:
    raw = pod(name, uid).replace(b'"Pod"', b'"%b"' % kind.encode())
    return READER.read(f"/registry/pods/team-a/{name}", raw, revision)


@asynccontextmanager
async def liar(random: Random) -> AsyncIterator[World]:
    yield Liar(random, lies=25)
    await trio.lowlevel.checkpoint()


@asynccontextmanager
async def _cache(random: Random) -> AsyncIterator[World]:
    async with _cluster_world(random, True) as world:
        yield world


@asynccontextmanager
async def _store(random: Random) -> AsyncIterator[World]:
    async with _cluster_world(random, False) as world:
        yield world


RECORDINGS = ("pods-all", "pods-all-streaminglist", "pods-label", "pods-label-set", "pods-node", "pods-phase")
WORLDS: dict[str, Open] = {
    "cache": _cache,
    "store": _store,
    "liar": liar,
    **{f"recorded {name}": recorded(f"watch-{name}") for name in RECORDINGS},
}


# ---- trouble on the way to any of them -------------------------------------------------------------------------------


class Unruly:
    """A source through which any other is seen: it can be cut off, frozen, and made to forget its history."""

    def __init__(self, source: ListerWatcher) -> None:
        self._source = source
        self.is_cut = False
        self.is_frozen = False
        self.forgets = False
        self._cut = trio.CancelScope()
        self._thawed = trio.Event()
        self._thawed.set()
        self.lists = 0

    def cut(self, *, forgets: bool = False) -> None:
        """End all streams, and refuse everything until `mend`. `forgets`: the history is gone then."""
        self.is_cut = True
        self.forgets = forgets
        self._cut.cancel()

    def mend(self) -> None:
        self.is_cut = False

    def freeze(self) -> None:
        """From now on nothing comes and nothing fails, until `thaw`."""
        self.is_frozen = True
        self._thawed = trio.Event()

    def thaw(self) -> None:
        self.is_frozen = False
        self._thawed.set()

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await self._pass()
        self.lists += 1
        listed = await self._source.list(resource_version=resource_version, page_size=page_size, page=page)
        await self._pass()
        return listed

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        await self._pass()
        if self.forgets:
            self.forgets = False
            raise Expired(revision, revision + 1)
        self._cut = trio.CancelScope()
        async with self._source.watch(revision) as stream:
            yield _UnrulyStream(self, stream, self._cut)

    async def request_progress(self) -> None:
        await self._source.request_progress()

    async def _pass(self) -> None:
        await self._thawed.wait()
        if self.is_cut:
            raise ConnectionRefusedError("cut")

    async def through(self, receive: Callable[[], Awaitable[Changes]], scope: trio.CancelScope) -> Changes:
        """What `receive` brings, unless the way is cut meanwhile; held back while it is frozen."""
        if scope.cancel_called:
            raise ConnectionResetError("cut")
        changes: Changes | None = None
        with trio.CancelScope() as inner:
            self._cut = inner
            changes = await receive()
        if changes is None or self.is_cut:
            raise ConnectionResetError("cut")
        await self._thawed.wait()
        return changes


class _UnrulyStream:
    def __init__(self, owner: Unruly, stream: ChangeStream, scope: trio.CancelScope) -> None:
        self._owner = owner
        self._stream = stream
        self._scope = scope

    async def receive(self) -> Changes:
        return await self._owner.through(self._stream.receive, self._scope)
