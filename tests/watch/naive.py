"""A world told naively: every change there ever was, in a list, and what a watcher must be told, read off it one by one.

The tests of the fan-out compare with this. It shares the words of `watch` (Object, Event) and none of its decisions. Below
it: a router over such a world, and short words for reading a watch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

import pytest
import trio
import trio.testing

from watch import Batch, Event, EventType, Object, Router, Selector, Watch

Matches = Callable[[Object], bool]
Result = TypeVar("Result")


def run(main: Callable[..., Awaitable[Result]], *args: object) -> Result:
    """To the end of `main`, on a virtual clock that starts at 0."""
    return trio.run(main, *args, clock=trio.testing.MockClock(autojump_threshold=0))


class Change(NamedTuple):
    """One key at one revision."""

    revision: int
    key: str
    before: Object | None
    after: Object | None


class Write(NamedTuple):
    """What is to be stored under a key; `gone`: nothing."""

    key: str
    namespace: str = "n1"
    labels: Mapping[str, str] = {}
    fields: Mapping[str, str] = {}
    gone: bool = False


def everything(_: Object) -> bool:
    return True


def put(key: str, **labels: str) -> Write:
    return Write(key, labels=labels)


def gone(key: str) -> Write:
    return Write(key, gone=True)


def told(change: Change, matches: Matches) -> Event | None:
    """What a watcher of `matches` must be told about a change: the table of _filter.py, as an if for each line."""
    before, after = change.before, change.after
    was = before is not None and matches(before)
    now = after is not None and matches(after)
    if now and not was:
        assert after is not None
        return Event(EventType.ADDED, after, change.revision, None)
    if now and was:
        assert after is not None
        return Event(EventType.MODIFIED, after, change.revision, before)
    if was:
        assert before is not None
        last = Object(before.key, change.revision, before.raw, before.name, before.namespace, before.uid,
                      before.labels, before.fields)  # fmt: skip
        return Event(EventType.DELETED, last, change.revision, before)
    return None


class World:
    """All changes, and the newest `capacity` of them as a history ring would keep them."""

    def __init__(self, *, capacity: int = 1_000_000, revision: int = 10) -> None:
        self.revision = revision
        self.capacity = capacity
        self.first_revision = revision
        self.evicted = 0
        """The newest revision of which the ring dropped a change; 0: none."""
        self.changes: list[Change] = []
        self.now: dict[str, Object] = {}

    def commit(self, *writes: Write) -> list[Event]:
        """The next revision: the events of a cacher for it. A deletion of what is not there changes nothing."""
        self.revision += 1
        events = []
        for write in writes:
            before = self.now.pop(write.key, None)
            after = None if write.gone else self._version(write)
            if after is not None:
                self.now[write.key] = after
            change = Change(self.revision, write.key, before, after)
            event = told(change, everything)
            if event is not None:
                self.changes.append(change)
                events.append(event)
        if len(self.changes) > self.capacity:
            self.evicted = self.changes[-self.capacity - 1].revision
        return events

    def _version(self, write: Write) -> Object:
        raw = f"{write.key}@{self.revision}".encode()
        return Object(
            write.key, self.revision, raw, write.key, write.namespace, "", dict(write.labels), dict(write.fields)
        )

    @property
    def oldest_kept(self) -> int:
        """As a ring tells a router."""
        return self.evicted + 1 if self.evicted else 0

    @property
    def oldest_watchable(self) -> int:
        return self.evicted or self.first_revision

    def told(self, matches: Matches, *, after: int) -> list[Event]:
        """All that a watcher from `after` on must be told so far."""
        events = (told(change, matches) for change in self.changes if change.revision > after)
        return [event for event in events if event is not None]

    def state(self, matches: Matches) -> tuple[Event, ...]:
        """The present as ADDED events in key order."""
        objects = (self.now[key] for key in sorted(self.now))
        return tuple(Event(EventType.ADDED, obj, obj.revision) for obj in objects if matches(obj))


class Cache:
    """A router with such a world behind it: what a cacher is to the fan-out."""

    def __init__(self, capacity: int = 1_000_000) -> None:
        self.world = World(capacity=capacity)
        self.router = Router(revision=self.world.revision)

    def watch(self, selector: Selector = Selector(), *, after: int | None = None) -> Watch:  # noqa: B008 - a value
        """From now on, or from a revision with its history."""
        start = self.world.revision if after is None else after
        history = tuple(self.world.told(selector.matches, after=start))
        return self.router.watch(selector, after=start, history=history)

    def publish(self, *keys: str, **labels: str) -> Batch:
        """One revision that writes these keys."""
        return self.publish_events(self.world.commit(*(put(key, **labels) for key in keys)))

    def publish_events(self, events: list[Event]) -> Batch:
        self.router.publish(events, revision=self.world.revision, oldest_revision=self.world.oldest_kept)
        return tuple(events)


def selects(
    *,
    namespace: str = "",
    labels: Mapping[str, Iterable[str]] | None = None,
    fields: Mapping[str, str] | None = None,
) -> tuple[Selector, Matches]:
    """A selector of these terms (a label: one of these values), and the same as a naive predicate."""
    wanted = {key: list(values) for key, values in (labels or {}).items()}
    text = ",".join(f"{key} in ({','.join(values)})" for key, values in wanted.items())

    def matches(obj: Object) -> bool:
        if namespace and obj.namespace != namespace:
            return False
        for key, values in wanted.items():
            if key not in obj.labels or obj.labels[key] not in values:
                return False
        return all(obj.fields.get(path, "") == value for path, value in (fields or {}).items())

    return Selector.of(namespace, labels=text, fields=dict(fields or {})), matches


def revisions(events: Iterable[Event]) -> list[int]:
    return [event.revision for event in events]


# ---- reading a watch -------------------------------------------------------------------------------------------------

Read = Callable[[Watch], Awaitable[object]]


async def settle() -> None:
    """Until every task waits."""
    await trio.testing.wait_all_tasks_blocked()


async def receive(watch: Watch) -> object:
    return await watch.receive()


async def receive_batch(watch: Watch) -> object:
    return await watch.receive_batch()


async def read_into(got: list[object], read: Read, watch: Watch) -> None:
    got.append(await read(watch))


async def expect(kind: type[Exception], read: Read, watch: Watch) -> None:
    with pytest.raises(kind):
        await read(watch)
