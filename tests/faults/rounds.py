"""A round: writers and watchers at work on a real etcd, something that goes wrong, and the judgement of what they saw.

    writers ─────► etcd ◄───── Watcher ×3                     straight on the client
                     ▲◄─────── Cacher ◄─── Client ×4          the readers of a cache, those of the simulation
                     │
                   fault                                      kill, freeze, cut, partition, compact …

Afterwards the store's own history is read, through a client of its own that met no fault, and everything is held against it:
the acknowledged writes (`linearizable`), the watchers' notes, and the clients' by the judges of watch guarantees. Nothing
is asserted about how long recovery takes but that it ends; it is reported.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import cast

import msgspec
import trio

from cacher import Cluster, Resource
from cacher.simulation import (
    ClientPlan,
    Recorder,
    StoreChange,
    StoreHistory,
    Terms,
    open_clients,
    sample,
)
from cacher.simulation.judges import ALL_JUDGES, ISOLATED, judge_with
from cacher.storage.etcd import EmbeddedEtcd, EtcdEvent, EventKind, RemoteEtcd, open_remote_etcd
from tests.faults.watchers import Watcher, changes_of, faults_of_notes, read_history
from tests.faults.writers import KEYS, PREFIX, Writers
from tests.linearizable import all_faults
from watch import ObjectReader

ROUND_S = 240.0
"""A round that takes longer hangs. The longest take 30 s on an idle machine."""
SETTLE_S = 60.0
"""Everybody has seen everything so long after the last fault, or hangs."""
BEFORE_S, AFTER_S = 0.3, 0.4
"""How long there is peace before the fault and after it."""
WRITERS = 4
WATCHERS = 3
IN_FLIGHT_S = 0.3
"""What was under way when the fault began has arrived by then, and proves nothing about it."""
REQUEST_TIMEOUT_S = 1.0
PATIENCE_S = 90.0
"""The clients' of the writers and watchers: longer than any fault lasts, so that nothing but the fault is seen."""

JUDGES = tuple(judge for judge in ALL_JUDGES if judge is not ISOLATED)
"""Isolated asks whether events come in time, which is what faults prevent."""

TERMS = (Terms(), Terms(namespace="a"), Terms(fields="metadata.name=k1"), Terms(namespace="b", name="k0"))


class Recovery(msgspec.Struct):
    """What a round came to, for the report."""

    seed: int
    operations: int = 0
    unknown: int = 0
    refused: int = 0
    revisions: int = 0
    write_s: float = math.nan
    """From when the fault was mended to the first write acknowledged after."""
    watch_s: float = math.nan
    """To when every watcher had an event written after."""
    cache_s: float = math.nan
    """To when the cache could answer a list that is not older than that."""
    reopened: int = 0
    relists: int = 0
    notes: str = ""
    """What the fault itself has to report."""

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.operations} operations, {self.unknown} unanswered, {self.refused} refused, "
            f"{self.revisions} revisions; recovered: writes {self.write_s:.2f} s, watches {self.watch_s:.2f} s, "
            f"cache {self.cache_s:.2f} s; watches reopened {self.reopened}, relists {self.relists}{self.notes}"
        )


class Scene(msgspec.Struct):
    """What a fault can see of the round that it happens in."""

    random: Random
    direct: RemoteEtcd
    """A client of the store's own, by ways that no fault cuts."""
    writers: Writers
    watchers: list[Watcher]
    resource: Resource
    recovery: Recovery
    history: list[EtcdEvent]
    """The store's, as far as it was read already: what is compacted has to be read before."""
    base: int

    def note(self, text: str) -> None:
        """Something for the report."""
        self.recovery.notes = f"{self.recovery.notes}; {text}"

    async def everybody_finds_a_way(self) -> None:
        """Return when all see what is written, though the fault lasts: where some wait for it to end, they hang.

        Raises:
            trio.TooSlowError: somebody does.
        """
        began_s = trio.current_time()
        with trio.fail_after(SETTLE_S):
            await trio.sleep(IN_FLIGHT_S)
            await self.reached_by_all()
        self.note(f"a way found after {trio.current_time() - began_s:.1f} s")

    async def reached_by_all(self) -> None:
        """Return when a write that was acknowledged since the call was seen by everybody."""
        await self.writers.acknowledged.wait()
        target = self.writers.revision
        for watcher in self.watchers:
            await watcher.reach(target)
        await cache_reaches(self.resource, target)

    async def read_on(self) -> int:
        """Read the store's history up to now; returns up to where."""
        until = self.writers.revision
        read = self.history[-1].kv.mod_revision if self.history else self.base
        if until > read:
            self.history += await read_history(self.direct, read, until)
        return until


Fault = Callable[[Scene], Awaitable[None]]


async def run_round(
    seed: int,
    fault: Fault,
    *,
    direct: Sequence[str],
    through: Sequence[str],
    patience_s: float = PATIENCE_S,
) -> Recovery:
    """Play one round and judge it; returns when everything is well again.

    Args:
        fault: does its worst and mends it, and returns.
        direct: endpoints that no fault cuts (servers that it kills come back).
        through: endpoints as everybody else knows them, through the proxies.
        patience_s: how long the clients under the cache and the watchers keep trying. Shorter than a fault, they come back.
    Raises:
        AssertionError: a guarantee was broken; with the seed.
        trio.TooSlowError: something hangs.
    """
    with trio.fail_after(ROUND_S):
        async with (
            open_remote_etcd(direct, random=Random(f"{seed} direct"), patience_s=PATIENCE_S) as own,
            _open_clients(f"{seed} write", through, PATIENCE_S) as writing,
            _open_clients(f"{seed} watch", through, patience_s) as watching,
            open_remote_etcd(
                through, random=Random(f"{seed} cache"), request_timeout_s=REQUEST_TIMEOUT_S, patience_s=patience_s
            ) as caching,
            trio.open_nursery() as nursery,
        ):
            base = await _prepare(own)
            cluster = Cluster(cast(EmbeddedEtcd, caching), nursery, Random(f"{seed} cluster"))
            scene = Scene(
                Random(seed),
                own,
                Writers(writing, count=WRITERS, seed=seed),
                [
                    Watcher(watching[number % len(watching)], name=f"watcher-{number}", base=base)
                    for number in range(WATCHERS)
                ],
                cluster.resource_at(PREFIX),
                Recovery(seed),
                [],
                base,
            )
            for watcher in scene.watchers:
                nursery.start_soon(watcher.run)
            recovery = await _play(scene, fault)
            nursery.cancel_scope.cancel()
    return recovery


@asynccontextmanager
async def _open_clients(name: str, endpoints: Sequence[str], patience_s: float) -> AsyncIterator[list[RemoteEtcd]]:
    """A client for each endpoint to begin at, so that whichever member a fault is about, somebody is on it."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                open_remote_etcd(
                    [*endpoints[first:], *endpoints[:first]],
                    random=Random(f"{name} {first}"),
                    request_timeout_s=REQUEST_TIMEOUT_S,
                    patience_s=patience_s,
                )
            )
            for first in range(len(endpoints))
        ]


async def _prepare(etcd: RemoteEtcd) -> int:
    """An empty prefix; returns the revision from which everything is watched."""
    await etcd.delete(PREFIX, f"{PREFIX}\xff")
    return (await etcd.range(PREFIX, count_only=True)).revision


async def _play(scene: Scene, fault: Fault) -> Recovery:
    writers, recovery = scene.writers, scene.recovery
    recorder = Recorder({PREFIX: StoreHistory(PREFIX, scene.base, {}, [])}, end_revision=0)
    plans = [
        ClientPlan(number, PREFIX, "all", terms, lists_latest=number % 2 == 0, streaming=number == 3)
        for number, terms in enumerate(TERMS)
    ]
    await scene.resource.ready()
    async with open_clients(
        plans, {PREFIX: scene.resource}, recorder, store_revision=lambda: max(writers.revision, scene.base)
    ):
        async with _at_work(writers):
            await trio.sleep(BEFORE_S)
            await fault(scene)
            await _time_recovery(scene)
            await trio.sleep(AFTER_S)
        end = await _settle(scene, recorder)
    recovery.operations, recovery.unknown, recovery.refused = len(writers.operations), writers.unknown, writers.refused
    recovery.reopened = sum(watcher.reopened for watcher in scene.watchers)
    recovery.relists = scene.resource.statistics().relists
    recovery.revisions = end - scene.base
    _judge(scene, recorder, end)
    return recovery


@asynccontextmanager
async def _at_work(writers: Writers) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writers.run)
        yield
        writers.stop()


async def _time_recovery(scene: Scene) -> None:
    """How long it takes until everything flows again."""
    mended_s, recovery = trio.current_time(), scene.recovery
    with trio.fail_after(SETTLE_S):
        await scene.writers.acknowledged.wait()
        recovery.write_s = trio.current_time() - mended_s
        target = scene.writers.revision
        for watcher in scene.watchers:
            await watcher.reach(target)
        recovery.watch_s = trio.current_time() - mended_s
        await cache_reaches(scene.resource, target)
        recovery.cache_s = trio.current_time() - mended_s


async def cache_reaches(resource: Resource, revision: int) -> None:
    """Return when the cache has got to `revision`; what it says meanwhile (retry, too early) is no fault."""
    while resource.statistics().revision < revision or not resource.statistics().is_ready:
        await trio.sleep(0.01)


async def _settle(scene: Scene, recorder: Recorder) -> int:
    """All writers are done: wait until everybody has everything. The last write is one that every watcher sees."""
    with trio.fail_after(SETTLE_S):
        last = await scene.direct.put(KEYS[0], b'{"metadata":{"name":"k0","namespace":"a"},"number":"last"}')
        scene.writers.revision = last.revision
        for watcher in scene.watchers:
            await watcher.reach(last.revision)
        await cache_reaches(scene.resource, last.revision)
        await scene.read_on()
    recorder.history.end_revision = last.revision
    recorder.history.finished = True
    await sample({PREFIX: scene.resource}, recorder, with_objects=True)
    return last.revision


def _judge(scene: Scene, recorder: Recorder, end: int) -> None:
    seed = scene.recovery.seed
    recorder.history.stores[PREFIX].changes.extend(store_changes(scene.history))
    # The last write of all is the round's own: nobody's operation, and the only one.
    changes = [change for change in changes_of(scene.history) if change.revision < end]
    faults = all_faults(scene.writers.operations, changes)
    for watcher in scene.watchers:
        faults += faults_of_notes(watcher, scene.history)
    for verdict in judge_with(JUDGES, recorder.history):
        faults += [violation.message for violation in verdict.violations]
        assert verdict.tested, f"seed {seed}: {verdict.name} had nothing to look at"
    again = f"WATCHCACHE_FAULT_SEED={seed} plays the like again"
    assert not faults, f"seed {seed}, {again}: {len(faults)} faults, of which " + "\n".join(faults[:10])


def store_changes(history: Sequence[EtcdEvent]) -> list[StoreChange]:
    """The store's history in the words of the judges."""
    reader = ObjectReader()
    return [
        StoreChange(
            event.kv.mod_revision,
            event.kv.key.decode(),
            reader.read(event.kv.key.decode(), event.kv.value, event.kv.mod_revision)
            if event.kind is EventKind.PUT
            else None,
        )
        for event in history
    ]
