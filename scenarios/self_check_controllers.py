"""self-check-controllers: informers, queues and controllers of this library, and writes that compete. Nothing here is to break.

A keeper has for each parent as many children as it asks for, with its value in each, and one more some seconds later: by nothing
but informers, the queue, retries and delays. A slow handler beside it is told of the children, one at a time, and merged. Rivals
patch the same objects, each counting in a place of its own, update by a version that may be old, and delete by the uid of who may
be gone. The servers' caches lag, stop and come back behind their backs.

    watchcache hunt self-check-controllers --seeds 300            clean, or a bug of the library's own

`tests/scenarios/mutants.py` plants bugs in queue, informer, controller and store, and this is what has to find them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import trio

from cacher.simulation import (
    AnyOperation,
    At,
    Create,
    Delete,
    Fault,
    Kind,
    Lag,
    Patch,
    Scenario,
    Site,
    Swarm,
    Topology,
    Wait,
    World,
)
from reflector import Controller, ExponentialLimiter, InformerStopped, Manager, Result, SharedInformer, Tombstone
from watch import AlreadyExists, APIError, Conflict, NotFound, Object, WatchError

PARENTS, CHILDREN = "v1/configmaps", "v1/secrets"
NAMES, SHARED, PREY = ("p0", "p1", "p2"), ("shared-0", "shared-1"), "prey"
PATIENCE_S = 10.0
PASSING = (APIError, WatchError, OSError, trio.TooSlowError)


class Book:
    """What is wrong, as the programs of one world note it, and the last handler of each process."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.handlers: dict[str, Slow] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def has_gone_back(self, obj: Object) -> bool:
        """Whether somebody's count in an object is lower than it was: a write that was acknowledged is lost."""
        back = False
        for who, count in (obj.parse().get("data") or {}).items() if obj.name in SHARED else ():
            place = (obj.uid, who)
            back |= int(count) < self._counts.get(place, 0)
            self._counts[place] = int(count)
        return back

    def said(self, _: World) -> str:
        """The first fault that was noted."""
        return next(iter(self.faults), "")

    def heard(self, _: World) -> str:
        """Whether every slow handler knows what its informer holds."""
        return "; ".join(filter(None, (handler.fault() for handler in self.handlers.values())))


# ---- a keeper --------------------------------------------------------------------------------------------------------


def wanted_of(parent: Object) -> tuple[dict[str, str], float]:
    """The names of its children with their values, and after how many seconds the late one is due."""
    data = parent.parse().get("data") or {}
    return {f"{parent.name}-{number}": data["v"] for number in range(int(data["n"]))}, float(data["late"])


class Keeper:
    """Reconciles one parent at a time, and each by one worker alone."""

    def __init__(self, manager: Manager, book: Book, random: Random) -> None:
        self._parents = manager.informers.informer("v1", "configmaps", labels="role=parent")
        self._children = manager.informers.informer("v1", "secrets")
        self._api = manager.client.resource("v1", "secrets")
        self._book, self._random = book, random
        self._busy: set[str] = set()
        self._since: dict[str, float] = {}
        controller = Controller(
            "keeper", self.reconcile, random=Random(1), concurrency=2, limiter=ExponentialLimiter(cap_s=PATIENCE_S)
        )
        manager.add(controller.watches(self._parents).watches(self._children, _parent_of))

    async def reconcile(self, key: str) -> Result | None:
        """What there is, is read at the beginning; what is decided by it, is written after a while."""
        if key in self._busy:
            self._book.faults.append(f"two workers have {key} at {trio.current_time():g} s")
        self._busy.add(key)
        try:
            return await self._keep(key)
        finally:
            self._busy.discard(key)

    async def _keep(self, key: str) -> Result | None:
        namespace, name = key.split("/")
        parent = self._parents.lister.find(name, namespace)
        have = {child.name: child for child in self._children.lister.list(namespace, labels={"parent": name})}
        wanted, late_s = wanted_of(parent) if parent is not None else ({}, 0.0)
        since_s = self._since.setdefault(parent.uid, trio.current_time()) if parent is not None else 0.0
        wait_s = since_s + late_s - trio.current_time()
        if parent is not None and wait_s <= 0:
            wanted[f"{name}-late"] = "late"
        await trio.sleep(self._random.choice((0.0, 0.0, 0.5, 2.0)) * self._random.random())
        for one in [child for child in have if child not in wanted and not (parent and child.endswith("-late"))]:
            with suppress(NotFound, Conflict):
                await self._api.delete(one, namespace, uid=have[one].uid)
        for one, value in wanted.items():
            await self._ensure(one, value, have.get(one), namespace, name)
        return Result(requeue_after_s=wait_s) if parent is not None and wait_s > 0 else None

    async def _ensure(self, name: str, value: str, held: Object | None, namespace: str, parent: str) -> None:
        if held is None:
            metadata = {"name": name, "labels": {"parent": parent}, "annotations": {"v": value}}
            with suppress(AlreadyExists):
                await self._api.create({"metadata": metadata}, namespace)
        elif held.parse()["metadata"]["annotations"]["v"] != value:
            await self._api.patch(name, {"metadata": {"annotations": {"v": value}}}, namespace)


def _parent_of(child: Object) -> str | None:
    parent = child.labels.get("parent")
    return f"{child.namespace}/{parent}" if parent else None


def all_are_kept(world: World) -> str:
    """Each parent has its children, and nobody else has any."""
    parents = [obj for obj in world.objects(PARENTS) if obj.labels.get("role") == "parent"]
    wanted = {name for parent in parents for name in (*wanted_of(parent)[0], f"{parent.name}-late")}
    there = {child.name for child in world.objects(CHILDREN)}
    return f"{', '.join(sorted(wanted ^ there))}: missing, or too many" if wanted != there else ""


# ---- a slow handler --------------------------------------------------------------------------------------------------


class Slow:
    """A handler that takes its time, behind the shortest queue that there is."""

    def __init__(self, informer: SharedInformer, random: Random, book: Book) -> None:
        self._informer, self._random, self._book = informer, random, book
        self.known: dict[str, str] = {}
        self.is_synced = self.is_over = False

    async def on_add(self, obj: Object, is_initial: bool) -> None:
        await self._told(obj, obj.key not in self.known, "added twice")
        self.known[obj.key] = obj.uid
        if is_initial and self.is_synced:
            self._book.faults.append(f"a slow handler was called synced before it had handled {obj.key}")

    async def on_update(self, old: Object, new: Object) -> None:
        await self._told(new, self.known.get(new.key) == new.uid == old.uid, "updated, and not known")

    async def on_delete(self, obj: Object | Tombstone) -> None:
        last = obj.last_known if isinstance(obj, Tombstone) else obj
        await self._told(last, self.known.pop(last.key, "") == last.uid, "deleted, and not known")

    async def _told(self, obj: Object, is_right: bool, fault: str) -> None:
        if not is_right:
            self._book.faults.append(f"a slow handler was told that {obj.key} was {fault}")
        await trio.sleep(self._random.choice((0.0, 0.05, 1.0)) * self._random.random())

    def fault(self) -> str:
        """How what it knows differs from what its informer holds; "" where it does not, or it is over."""
        held = {obj.key: obj.uid for obj in self._informer.store.objects()}
        return "" if self.is_over or held == self.known else f"a slow handler knows {self.known} of {held}"


async def listener(site: Site, book: Book) -> None:
    """A process with such a handler."""
    informers = site.informers()
    informer = informers.informer("v1", "secrets")
    slow = book.handlers[site.name] = Slow(informer, site.random, book)
    registration = informer.add_handler(slow, queue_size=1)

    async def wait_until_synced() -> None:
        with suppress(InformerStopped):
            await registration.wait_until_synced()
            slow.is_synced = True

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_until_synced)
            nursery.start_soon(informers.run)
    finally:
        slow.is_over = True


# ---- rivals ----------------------------------------------------------------------------------------------------------


class Rival:
    """Writes what others write, too."""

    def __init__(self, site: Site, world: World) -> None:
        self._name, self._random = site.name, site.random
        self._world = world
        self._api = site.client.resource("v1", "configmaps")
        self._count = site.incarnation * 1_000_000
        self._remembered: dict[str, dict[str, Any]] = {}

    async def work(self) -> None:
        """One thing after the other, as long as the users work; what is refused or lost is given up."""
        on_shared = (self._patch, self._patch, self._update)
        on_prey = (self._make, self._make, self._touch, self._delete, self._delete)
        while not self._world.has_settled:
            pace_s = self._random.choice((0.02, 1.0, 4.0))
            for _ in range(self._random.randint(1, 6)):
                await trio.sleep(pace_s * self._random.random())
                with suppress(*PASSING):
                    await self._random.choice((*on_shared, *on_prey))()

    async def _patch(self) -> None:
        self._count += 1
        await self._api.patch(self._random.choice(SHARED), {"data": {self._name: str(self._count)}}, "default")

    async def _update(self) -> None:
        """By the version that it read, now or once."""
        name = self._random.choice(SHARED)
        if name not in self._remembered or self._random.random() < 0.7:
            self._remembered[name] = await self._api.get(name, "default")
            await trio.sleep(self._random.random())
        self._count += 1
        read = self._remembered[name]
        data = {**(read.get("data") or {}), self._name: str(self._count)}
        self._remembered[name] = await self._api.update({**read, "data": data}, "default")

    async def _make(self) -> None:
        self._remembered[PREY] = await self._api.create({"metadata": {"name": PREY}}, "default")

    async def _touch(self) -> None:
        await self._api.patch(PREY, {"data": {"touched": str(self._count)}}, "default")

    async def _delete(self) -> None:
        """By the uid, and sometimes the version, of what it has just read, or remembers."""
        if PREY not in self._remembered or self._random.random() < 0.7:
            self._remembered[PREY] = await self._api.get(PREY, "default")
        metadata = self._remembered[PREY]["metadata"]
        version = metadata["resourceVersion"] if self._random.random() < 0.4 else None
        await self._api.delete(PREY, "default", uid=metadata["uid"], resource_version=version)


async def rival(site: Site, world: World) -> None:
    """As a program."""
    await Rival(site, world).work()


# ---- the world -------------------------------------------------------------------------------------------------------


def start(world: World, _: str) -> None:
    """A keeper, a listener, and three rivals on two servers, one of which may be far from the store: much happens in between."""
    book = Book()
    far_s = world.random("distance").choice((0.0, 0.05, 0.5))
    if far_s:
        for ends in (("api-1", "store"), ("store", "api-1")):
            world.inject(Fault(At(0.0), Lag(*ends, far_s, far_s)))
    world.at_rest(all_are_kept)
    world.at_rest(book.said, why="what programs noted")
    world.at_rest(book.heard, why="what a slow handler knows")
    world.never("updated", PARENTS, where=book.has_gone_back, why="no write is lost")
    world.start(lambda manager: Keeper(manager, book, world.random("keeper")), name="keeper")
    world.start(partial(listener, book=book), name="listener", server="api-2")
    for name, server in (("rival-1", "api-1"), ("rival-2", "api-2"), ("rival-3", "api-1")):
        world.start(partial(rival, world=world), name=name, server=server)


def workload(random: Random) -> Sequence[AnyOperation]:
    """Parents come, change and go; children are deleted behind the keeper's back. The rivals end with it."""
    operations: list[AnyOperation] = [
        Create(PARENTS, {"metadata": {"name": name, "namespace": "default"}}) for name in SHARED
    ]
    pace_s = random.choice((0.1, 1.0, 4.0))
    for number in range(random.choice((10, 20, 40))):
        name, dice = random.choice(NAMES), random.random()
        data = {"n": str(random.randint(0, 3)), "v": str(number), "late": str(random.choice((0, 2, 8)))}
        if dice < 0.4:
            metadata = {"name": name, "namespace": "default", "labels": {"role": "parent"}}
            operations.append(Create(PARENTS, {"metadata": metadata, "data": data}))
        elif dice < 0.6:
            operations.append(Patch(PARENTS, name, {"data": {"n": data["n"], "v": data["v"]}}))
        elif dice < 0.8:
            operations.append(Delete(CHILDREN, f"{name}-{random.choice(('0', '1', 'late'))}"))
        else:
            operations.append(Delete(PARENTS, name))
        operations.append(Wait(round(random.expovariate(1 / pace_s), 3)))
    return operations


SCENARIO = Scenario(
    name="self-check-controllers",
    title="informers, queues and controllers of this library, and writes that compete: nothing is to break",
    source="watchcache",
    workload=workload,
    start=start,
    variants=("shipped",),
    topology=Topology(ring_capacity=(1, 64), ring_capacity_max=(1, 128)),
    # A keeper that comes back to a cache of the past acts on it, as any controller does that asks nobody first.
    ignores=("NoStaleDestruction",),
    swarm=Swarm(
        kinds=(
            Kind.PAUSE_CACHE,
            Kind.CRASH,
            Kind.RECONNECT,
            Kind.BLOCK_EVENTS,
            Kind.LAG,
            Kind.LOSE,
            Kind.DUPLICATE,
            Kind.HALF_OPEN,
            Kind.CUT,
            Kind.SHRINK_RING,
            Kind.COMPACT,
            Kind.ENDLESS_LIST,
            Kind.EVICT,
            Kind.RESTART_SERVER,
            Kind.RESTART_STORE,
            Kind.LOSE_LEADER,
        ),
        refills=1,
    ),
)
