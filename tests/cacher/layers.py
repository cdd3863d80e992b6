"""A cached storage on an embedded etcd, with a seam between cache and store: what was asked there, and what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio
import trio.testing

from cacher import CacherStorage, Ring
from cacher.storage import Codec, EventStream, ListOptions, ListResult, Semantics
from cacher.storage._metrics import CacheMetrics
from cacher.storage.etcd import EmbeddedEtcd, EtcdStorage, open_embedded_etcd
from watch import Batch, Event, Object, Selector

ROOT = "/registry"
FIELDS = ("spec.nodeName",)
ALL_PODS = "/pods"


def run(main: Callable[[], Awaitable[None]]) -> None:
    """To the end of `main`, on a virtual clock that starts at 0."""
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def value(path: str, *, node: str = "", labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    namespace, _, name = path.rpartition("/")
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    return {"metadata": metadata, "spec": {"nodeName": node}}


class Below:
    """`storage`, seen through. `asked` names the calls, in order; those of the cache's own filling are in `filling`."""

    def __init__(self, storage: EtcdStorage) -> None:
        self.storage = storage
        self.asked: list[str] = []
        self.options: list[ListOptions] = []
        """Of each list in `asked`."""
        self.suggestions: list[Object | None] = []
        self.progress_asked: list[float] = []
        self.errors: dict[str, Exception] = {}
        """By method: raised by the next calls, instead of an answer."""
        self.compacted = 0
        self.revision_s = 0.0
        """How long the store takes to say at which revision it is."""
        self._is_flowing = trio.Event()
        self._is_flowing.set()
        self._trouble: Exception | None = None
        self._scope = trio.CancelScope()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    def hold(self) -> None:
        """Bring the cache nothing more."""
        self._is_flowing = trio.Event()

    def flow(self) -> None:
        """Bring it what was held."""
        self._is_flowing.set()

    def break_watch(self, trouble: Exception) -> None:
        """End the cache's watch so."""
        self._trouble = trouble
        self._scope.cancel()

    async def get(self, key: str, **kwargs: Any) -> Object | None:
        self._note("get")
        return await self.storage.get(key, **kwargs)

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        self._note("get_list")
        self.options.append(options)
        return await self.storage.get_list(key, options)

    async def current_resource_version(self) -> int:
        self._note("current_resource_version")
        await trio.sleep(self.revision_s)
        return await self.storage.current_resource_version()

    async def delete(self, key: str, **kwargs: Any) -> Object | None:
        self._note("delete")
        self.suggestions.append(kwargs["suggestion"])
        return await self.storage.delete(key, **kwargs)

    async def guaranteed_update(self, key: str, *args: Any, **kwargs: Any) -> Object:
        self._note("guaranteed_update")
        self.suggestions.append(kwargs["suggestion"])
        return await self.storage.guaranteed_update(key, *args, **kwargs)

    async def request_watch_progress(self) -> None:
        self.progress_asked.append(trio.current_time())
        if "request_watch_progress" in self.errors:
            raise self.errors["request_watch_progress"]
        await self.storage.request_watch_progress()

    def compact_revision(self) -> int:
        return self.compacted

    @asynccontextmanager
    async def watch(self, key: str, options: ListOptions) -> AsyncIterator[EventStream]:
        self._note("watch")
        async with self.storage.watch(key, options) as stream:
            yield _Held(self, stream)

    def _note(self, method: str) -> None:
        self.asked.append(method)
        if method in self.errors:
            raise self.errors[method]


class _Held:
    def __init__(self, below: Below, stream: EventStream) -> None:
        self._below = below
        self._stream = stream

    async def receive(self) -> Event:
        raise AssertionError("a cache takes batches")

    async def receive_batch(self) -> Batch:
        below = self._below
        with trio.CancelScope() as below._scope:
            if below._trouble is None:
                batch = await self._stream.receive_batch()
                await below._is_flowing.wait()
                return batch
        trouble, below._trouble = below._trouble, None
        assert trouble is not None, "only `break_watch` cancels this scope"
        raise trouble


class Layers:
    """All there is of one cached storage."""

    def __init__(self, etcd: EmbeddedEtcd, below: Below, storage: CacherStorage, nursery: trio.Nursery) -> None:
        self.etcd = etcd
        self.below = below
        self.storage = storage
        self.nursery = nursery

    async def start(self) -> None:
        """Run the cache, until it is ready."""
        await self.nursery.start(self.storage.run)
        await settle()
        self.below.asked.clear()
        self.below.options.clear()

    def stop(self) -> None:
        self.nursery.cancel_scope.cancel()

    async def put(self, path: str, **members: Any) -> int:
        """Write a pod past the cache, whatever there was; its revision."""
        raw = self.below.storage.codec.encode(value(path, **members))
        written = (await self.etcd.put(f"{ROOT}/pods/{path}", raw)).revision
        await settle()
        return written

    async def drop(self, path: str) -> int:
        """Delete a pod past the cache; the deletion's revision."""
        gone = (await self.etcd.delete(f"{ROOT}/pods/{path}")).revision
        await settle()
        return gone

    async def elsewhere(self) -> int:
        """One revision that concerns no pod."""
        return (await self.etcd.put("/registry/other", b"{}")).revision

    async def list(self, key: str = ALL_PODS, **options: Any) -> ListResult:
        return await self.storage.get_list(key, ListOptions(**options))


@asynccontextmanager
async def layers(
    *paths: str,
    is_started: bool = True,
    semantics: Semantics = Semantics.NEWEST,
    ring: Ring | None = None,
    supports_progress: bool = True,
    snapshots: bool = True,
    metrics: CacheMetrics | None = None,
) -> AsyncIterator[Layers]:
    """A cached storage of pods, of which `paths` exist already, one a revision."""
    async with (
        open_embedded_etcd(random=Random(3)) as etcd,
        trio.open_nursery() as outer,
        trio.open_nursery() as nursery,
    ):
        below = Below(EtcdStorage(etcd, codec=Codec(fields=FIELDS), random=Random(4), semantics=semantics))
        storage = CacherStorage(
            below, random=Random(5), ring=ring, semantics=semantics, indexed=FIELDS,
            supports_progress=supports_progress, snapshots=snapshots, metrics=metrics,
        )  # fmt: skip
        opened = Layers(etcd, below, storage, nursery)
        for path in paths:
            await opened.put(path)
        if is_started:
            await opened.start()
        yield opened
        outer.cancel_scope.cancel()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


def names(result: ListResult) -> list[str]:
    return [obj.name for obj in result.objects]


async def taken(stream: EventStream, seconds: float = 0.0) -> list[Event]:
    """What comes within `seconds`, until the end; at least what is there now."""
    found: list[Event] = []

    async def take() -> None:
        try:
            while True:
                found.extend(await stream.receive_batch())
        except trio.EndOfChannel:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.sleep(seconds)
        await settle()
        nursery.cancel_scope.cancel()
    return found


async def later(seconds: float, act: Callable[[], None]) -> None:
    """`act` after `seconds`."""
    await trio.sleep(seconds)
    act()


async def put_later(seconds: float, all_: Layers, path: str) -> None:
    """Write a pod after `seconds`."""
    await trio.sleep(seconds)
    await all_.put(path)


def told(events: list[Event]) -> list[tuple[str, str, int]]:
    return [(event.type.value, event.object.name, event.revision) for event in events]


ON_NODE_1 = Selector.of(fields="spec.nodeName=n1")
