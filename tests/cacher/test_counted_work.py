"""What a fan-out does is counted: no timing, so that a filter, a wake, an encoding or a decoding for each watcher cannot hide.

Each test has a hundred watchers and a few bursts of events, and says how often something may be done: by event, by burst or by
selector, never by watcher times event.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

import msgspec
import pytest
import trio
import trio.lowlevel
import trio.testing

import watch._view as view_module
from cacher import Cacher, Ring
from cacher.server import _frames as frames_module
from reflector import Changes, Page
from watch import Batch, Event, EventType, Object, ObjectReader, Selector, Watch, WatchSet

WATCHERS = 100
BURSTS = 3
BURST = 20
EVENTS = BURSTS * BURST
PREFIX = "/registry/pods/"


class Count:
    """How often a function was called."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self._call(*args, **kwargs)

    def __get__(self, instance: Any, _: Any = None) -> Any:
        return self if instance is None else lambda *args, **kwargs: self(instance, *args, **kwargs)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> Iterator[Count]:
    """`owner.name`, counted while the context lasts."""
    with monkeypatch.context() as patch:
        count = Count(getattr(owner, name))
        patch.setattr(owner, name, count)
        yield count


class Upstream:
    """Pods of ten groups, updated in turn, as bytes; each burst comes when it is asked for."""

    def __init__(self) -> None:
        self.reader = ObjectReader(["spec.nodeName"])
        self.decoded = 0
        self._at = WATCHERS
        self._send, self._receive = trio.open_memory_channel[Changes](BURSTS)

    def read(self, number: int, revision: int) -> Object:
        self.decoded += 1
        group = number % 10
        body = {
            "metadata": {"name": f"pod-{number}", "namespace": "default", "labels": {"app": f"app-{group}"}},
            "spec": {"nodeName": f"node-{group}"},
        }
        return self.reader.read(f"{PREFIX}default/pod-{number:03}", msgspec.json.encode(body), revision)

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await trio.lowlevel.checkpoint()
        return Page(tuple(self.read(number, 1) for number in range(WATCHERS)), WATCHERS)

    def watch(self, revision: int) -> Any:
        return self

    async def __aenter__(self) -> Upstream:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def receive(self) -> Changes:
        return await self._receive.receive()

    async def request_progress(self) -> None:
        pass

    async def burst(self) -> None:
        events = []
        for _ in range(BURST):
            self._at += 1
            events.append(Event(EventType.MODIFIED, self.read(self._at % WATCHERS, self._at), self._at))
        self._send.send_nowait(Changes(tuple(events), self._at))
        await trio.testing.wait_all_tasks_blocked()


class World:
    """A cache whose watchers note what they get."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.upstream = Upstream()
        self.cacher = Cacher(
            self.upstream,
            prefix=PREFIX,
            random=Random(1),
            ring=Ring(capacity_min=1_000, capacity_max=1_000),
            indexed=("spec.nodeName",),
        )
        self.nursery = nursery
        self.batches: list[Batch] = []
        self.wakes = 0

    def open(self, selector: Selector) -> Watch:
        return self.cacher.watch(selector, after=self.cacher.revision)

    async def read(self, watch: Watch) -> None:
        while True:
            self.batches.append(await watch.receive_batch())
            self.wakes += 1

    async def host(self, hosted: WatchSet) -> None:
        while True:
            self.batches += [batch for _, batch in await hosted.receive()]
            self.wakes += 1

    @property
    def delivered(self) -> int:
        return sum(map(len, self.batches))


async def opened(nursery: trio.Nursery) -> World:
    world = World(nursery)
    await nursery.start(world.cacher.run)
    return world


async def run_bursts(world: World) -> None:
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(BURSTS):
        await world.upstream.burst()


def in_a_world(run_trio: Any, story: Any) -> World:
    async def run() -> World:
        async with trio.open_nursery() as nursery:
            world = await opened(nursery)
            await story(world)
            nursery.cancel_scope.cancel()
        return world

    found: World = run_trio(run)
    return found


def test_an_event_is_decoded_once_however_many_watch(run_trio, monkeypatch):
    async def story(world: World) -> None:
        for _ in range(WATCHERS):
            world.nursery.start_soon(world.read, world.open(Selector.of()))
        await run_bursts(world)

    with counted(monkeypatch, ObjectReader, "read") as decoded, counted(monkeypatch, Object, "parse") as parsed:
        world = in_a_world(run_trio, story)
    assert world.delivered == WATCHERS * EVENTS
    assert decoded.calls == WATCHERS + EVENTS  # the list, and each event once
    assert parsed.calls == 0


@pytest.fixture
def predicates(monkeypatch) -> Count:
    """Counts how often a whole selector is asked about an object."""
    asked = Count(lambda matches, obj: matches is None or matches(obj))
    compiled = Selector.compile
    monkeypatch.setattr(Selector, "compile", lambda selector: partial(asked, compiled(selector)))
    return asked


@pytest.mark.parametrize("words", [{"labels": "app!=none"}, {"fields": "spec.nodeName!=none"}])
def test_what_no_index_decides_is_asked_once_a_distinct_selector_not_once_a_watcher(run_trio, predicates, words):
    async def story(world: World) -> None:
        for _ in range(WATCHERS):
            world.nursery.start_soon(world.read, world.open(Selector.of(**words)))
        await run_bursts(world)

    world = in_a_world(run_trio, story)
    assert world.delivered == WATCHERS * EVENTS
    assert 0 < predicates.calls <= 2 * EVENTS  # the new version, and the one before


@pytest.mark.parametrize("words", [{"fields": "spec.nodeName=node-{}"}, {"labels": "app=app-{}"}])
def test_an_event_looks_only_at_the_views_of_its_own_values(run_trio, predicates, words):
    async def story(world: World) -> None:
        for number in range(WATCHERS):  # of ten of them there are pods
            selector = Selector.of(**{kind: text.format(number) for kind, text in words.items()})
            world.nursery.start_soon(world.read, world.open(selector))
        await run_bursts(world)

    world = in_a_world(run_trio, story)
    assert world.delivered == EVENTS
    assert predicates.calls == 0


def test_a_burst_is_one_batch_and_one_wake_a_task_shared_by_all(run_trio, monkeypatch):
    async def story(world: World) -> None:
        for _ in range(WATCHERS):
            world.nursery.start_soon(world.read, world.open(Selector.of()))
        await run_bursts(world)

    with counted(monkeypatch, view_module.View, "seal") as sealed:
        world = in_a_world(run_trio, story)
    assert sealed.calls == BURSTS
    assert world.wakes == WATCHERS * BURSTS
    assert len({id(batch) for batch in world.batches}) == BURSTS
    assert len({id(event) for batch in world.batches for event in batch}) == EVENTS


def test_a_watch_set_is_handed_a_burst_in_one_piece_and_woken_once_however_many_it_hosts(run_trio, monkeypatch):
    async def story(world: World) -> None:
        hosted = WatchSet()
        for _ in range(WATCHERS):
            hosted.add(world.open(Selector.of()))
        world.nursery.start_soon(world.host, hosted)
        await run_bursts(world)

    with counted(monkeypatch, WatchSet, "push") as pushed:
        world = in_a_world(run_trio, story)
    assert pushed.calls == BURSTS
    assert world.delivered == WATCHERS * EVENTS
    assert world.wakes == BURSTS


def test_sinks_are_called_once_a_burst_and_wake_nobody(run_trio):
    async def story(world: World) -> None:
        for _ in range(WATCHERS):
            world.open(Selector.of()).pipe_to(world.batches.append)
        await run_bursts(world)

    world = in_a_world(run_trio, story)
    assert len(world.batches) == WATCHERS * BURSTS
    assert world.wakes == 0


def test_an_event_is_encoded_once_for_all_streams_of_a_form(run_trio, monkeypatch):
    frames = frames_module.Frames(_Plain())  # type: ignore[arg-type]
    sent: list[bytes] = []

    async def story(world: World) -> None:
        for _ in range(WATCHERS):
            world.open(Selector.of()).pipe_to(lambda batch: sent.append(frames.chunk(batch)))
        await run_bursts(world)

    with counted(monkeypatch, frames_module, "shown") as encoded:
        in_a_world(run_trio, story)
    assert len(sent) == WATCHERS * BURSTS
    assert encoded.calls == EVENTS
    assert len({id(chunk) for chunk in sent}) == BURSTS


class _Plain:
    """The form of objects as they are."""

    transformation = None
