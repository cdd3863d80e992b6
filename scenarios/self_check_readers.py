"""self-check-readers: the caches of this library themselves, under everything that reads them. Nothing here is to break.

Pods come, change and go, and so do events, whose lease may take several away at once. Readers list them (the latest, whatever
there is, not older than, in pages with a wait between them), watch them from any revision that they have seen, or that an answer
has named as the oldest there is, come back to where they were, stream states, fall behind, and mirror. Who they read from draws its
history's length for each seed, from one event on, so that each seed is at another place of the ring.

    watchcache hunt self-check-readers --seeds 300                clean, or a bug of the library's own

`tests/scenarios/mutants.py` plants bugs in ring, snapshot, cacher, router, reflector and etcd, and this is what has to find them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random

import trio

from cacher.simulation import AnyOperation, Create, Delete, Kind, Patch, Scenario, Site, Swarm, Topology, Wait, World
from reflector import ChangeStream, StreamingListerWatcher
from watch import Expired, WatchError

PODS, EVENTS = "v1/pods", "v1/events"
NAMESPACES = ("default", "other")
APPS, NODES, PHASES = ("a", "b", "c"), ("n1", "n2", ""), ("Running", "Pending", "Failed")
Terms = dict[str, str]
SELECTORS: tuple[Terms, ...] = (
    {},
    {"namespace": "other"},
    {"labels": "app=a"},
    {"labels": "app in (a,b)"},
    {"labels": "tier"},
    {"labels": "!tier,app!=c"},
    {"labels": "tier=x", "namespace": "default"},
    {"fields": "metadata.name=p1"},
    {"fields": "spec.nodeName=n1"},
    {"fields": "spec.nodeName=n1", "labels": "app=a"},
    {"fields": "status.phase=Running"},
)
MIRRORED: tuple[Terms, ...] = ({}, {"labels": "app=a"}, {"labels": "tier"}, {"fields": "status.phase=Running"})
PASSING = (WatchError, OSError, trio.TooSlowError, trio.EndOfChannel, trio.BrokenResourceError)


# ---- who reads -------------------------------------------------------------------------------------------------------


class Reader:
    """One client that remembers revisions and nothing else: each thing that it does begins anew.

    Args:
        seen: what it remembers; shared by those who read from other servers, which may be behind.
    """

    def __init__(self, site: Site, world: World, seen: list[int]) -> None:
        self._site = site
        self._world = world
        self._random = site.random
        self._seen = seen

    async def work(self) -> None:
        """Do one thing after the other, as long as the users work; what is refused, or lost, is done another time."""
        deeds: tuple[Callable[[], Awaitable[None]], ...] = (
            self._list,
            self._list,
            self._resume,
            self._resume,
            self._state,
        )
        while not self._world.has_settled:
            await trio.sleep(self._random.choice((0.2, 1.0, 5.0)) * self._random.random())
            with suppress(*PASSING):
                await self._random.choice(deeds)()

    def _source(self) -> StreamingListerWatcher:
        random = self._random
        if random.random() < 0.2:
            return self._site.remote.resource("v1", "events").lister_watcher()
        terms = random.choice(SELECTORS)
        return self._site.remote.resource("v1", "pods").lister_watcher(
            namespace=terms.get("namespace"), labels=terms.get("labels"), fields=terms.get("fields")
        )

    async def _list(self) -> None:
        """All pages of one list. Between two of them the world goes on."""
        random, source = self._random, self._source()
        asked = random.choice(("", "", "0", str(random.choice(self._seen))))
        size, page = random.choice((0, 1, 2, 3)), ""
        while True:
            found = await source.list(resource_version="" if page else asked, page_size=size, page=page)
            self._seen.append(found.revision)
            page = found.next_page
            if not page:
                return
            await trio.sleep(random.choice((0.0, 0.3, 3.0, 10.0)) * random.random())

    async def _resume(self) -> None:
        """Watch from a revision that was seen once; where that is too old, from the oldest that the answer names."""
        revision = self._random.choice(self._seen[-40:])
        try:
            await self._follow(self._source(), revision)
        except Expired as expired:
            await self._follow(self._source(), expired.oldest)

    async def _state(self) -> None:
        """The state as a stream, and what comes after it."""
        source, asked = self._source(), self._random.choice(("", "0", str(self._random.choice(self._seen))))
        async with source.watch_list(resource_version=asked) as stream:
            await self._read(stream)

    async def _follow(self, source: StreamingListerWatcher, revision: int) -> None:
        """Watch, go away, and come back to where it was, a few times."""
        for _ in range(self._random.randint(1, 3)):
            async with source.watch(revision) as stream:
                revision = max(revision, await self._read(stream))
            await trio.sleep(self._random.choice((0.0, 0.5, 5.0)) * self._random.random())

    async def _read(self, stream: ChangeStream) -> int:
        """Read for a while, perhaps too slowly. Returns how far it got."""
        random, reached = self._random, 0
        pause_s = random.choice((0.0, 0.0, 0.3, 3.0))
        with trio.move_on_after(random.choice((0.2, 2.0, 20.0, 90.0)) * random.random()):
            while True:
                changes = await stream.receive()
                reached = max(reached, changes.revision)
                self._seen.extend(event.revision for event in changes.events)
                if changes.revision:
                    self._seen.append(changes.revision)
                await trio.sleep(0.0 if self._world.has_settled else pause_s)
        return reached


async def reader(site: Site, world: World, seen: list[int]) -> None:
    """As a program."""
    await Reader(site, world, seen).work()


async def mirror(site: Site) -> None:
    """Keeps copies, as controllers do."""
    informers = site.informers()
    for terms in MIRRORED:
        informers.informer("v1", "pods", labels=terms.get("labels"), fields=terms.get("fields"))
    informers.informer("v1", "events")
    await informers.run()


def start(world: World, _: str) -> None:
    """Two mirrors and two readers, on two servers."""
    seen = [1]
    for number in (1, 2):
        world.start(mirror, name=f"mirror-{number}", server=f"api-{number}")
        world.start(partial(reader, world=world, seen=seen), name=f"reader-{number}", server=f"api-{number}")


# ---- what is written -------------------------------------------------------------------------------------------------


def workload(random: Random) -> Sequence[AnyOperation]:
    """Few names, the first of them hot, so that each is made, changed and deleted often; bursts, and long silences."""
    names = [f"p{number}" for number in range(random.randint(1, 10))]
    pace_s, length = random.choice((0.02, 0.2, 1.0)), random.choice((20, 50, 50, 150))
    operations: list[AnyOperation] = []
    for number in range(length):
        name, namespace = random.choice((names[0], random.choice(names))), random.choice(NAMESPACES)
        operations.append(one(random, number, name, namespace))
        silence = random.random() < 0.02
        operations.append(Wait(round(random.uniform(20, 80) if silence else random.expovariate(1 / pace_s), 3)))
    return operations


def one(random: Random, number: int, name: str, namespace: str) -> AnyOperation:
    """One thing that a user does."""
    dice = random.random()
    if dice < 0.15:
        regarding = {"kind": "Pod", "namespace": namespace, "name": name}
        event = {
            "metadata": {"name": f"e{number}", "namespace": namespace},
            "involvedObject": regarding,
            "reason": "Seen",
        }
        return Create(EVENTS, event)
    if dice < 0.45:
        labels = {"app": random.choice(APPS)} | ({"tier": random.choice(("x", "y"))} if random.random() < 0.5 else {})
        spec = {"containers": [{"name": "c", "image": "i"}], "nodeName": random.choice(NODES)}
        return Create(PODS, {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec})
    if dice < 0.65:
        tier = random.choice(("x", "y", None, None))
        return Patch(
            PODS,
            name,
            {"metadata": {"labels": {"app": random.choice(APPS), "tier": tier, "turn": str(number)}}},
            namespace,
        )
    if dice < 0.8:
        status = {"phase": random.choice(PHASES), "message": str(number)}
        return Patch(PODS, name, {"status": status}, namespace, subresource="status")
    return Delete(PODS, name, namespace, grace_period_s=0)


SCENARIO = Scenario(
    name="self-check-readers",
    title="the caches of this library, under everything that reads them: nothing is to break",
    source="watchcache",
    workload=workload,
    start=start,
    variants=("shipped",),
    ignores=("Isolated",),  # these readers are slow on purpose
    topology=Topology(ring_capacity=(1, 64), ring_capacity_max=(1, 128), namespaces=NAMESPACES),
    swarm=Swarm(
        kinds=(
            Kind.PAUSE_CACHE,
            Kind.RECONNECT,
            Kind.BLOCK_EVENTS,
            Kind.LAG,
            Kind.LOSE,
            Kind.HALF_OPEN,
            Kind.CUT,
            Kind.SHRINK_RING,
            Kind.COMPACT,
            Kind.EXPIRE_LEASES,
            Kind.DROP_BOOKMARKS,
            Kind.LATE_BOOKMARKS,
            Kind.ENDLESS_LIST,
            Kind.EVICT,
            Kind.RESTART_SERVER,
            Kind.RESTART_STORE,
        ),
        refills=2,
        restores=0.05,
    ),
)
