"""never-catches-up: a list takes longer than the history reaches back, so nobody who lists can ever watch.

100,000 secrets are 500 MB and take 40 s to bring over; the watch cache of the time kept 1,000 events, and 100 came each second.
Whoever has the list asks to go on from its revision, and is told that it is too old: list again. Nobody gets further, for as long
as there is writing, and the readers pile up (kubernetes issue 49684).

    list at 1000 ·········· 40 s ··········► watch from 1000 ─► 410: the ring begins at 4000 ─► list at 5000 ········►
                                             └ a ring that holds 75 s, whatever is written: watches

The fix is what the library's ring does, and Kubernetes' since 1.20: it grows while all that it holds is younger than 75 s, so it
is made for a time, and not for a number of events. `scale`: clients, config maps (a client gets a few each second), writes.
"""

from __future__ import annotations

from functools import partial
from itertools import count

from cacher.simulation import Habits, Kind, Scale, Scenario, Site, Swarm, Topology, World
from cacher.simulation.judges import lively

MAPS = "v1/configmaps"
OBJECTS_PER_S = 4.0
"""What of a list reaches a client in a second."""
WAITS_MAX_S = 60.0
"""So long a client may be without a watch: two lists of the size that is drawn, and a bit."""


async def informers(site: Site, clients: int) -> None:
    """Clients that follow the config maps over a slow line."""
    await site.crowd("v1", "configmaps", [Habits(objects_per_s=OBJECTS_PER_S, jitter_s=5.0)] * clients).run()


def start(world: World, variant: str) -> None:
    """A crowd on one of two servers."""
    world.has_fixed_rings = variant == "buggy"
    world.start(partial(informers, clients=world.scale.client_count), name="crowd")


async def workload(world: World) -> None:
    """Settings that are turned all the time."""
    scale = world.scale
    for number in range(scale.object_count):
        await world.write(MAPS, setting(number, 0))
    for turn, _ in zip(count(1), range(scale.write_count), strict=False):
        await world.wait(scale.write_period_s)
        await world.write(MAPS, setting(turn % scale.object_count, turn))


def setting(number: int, turn: int) -> dict[str, object]:
    """A config map."""
    name = f"setting-{number:04}"
    return {"metadata": {"name": name, "namespace": "default", "uid": name}, "data": {"turn": str(turn)}}


SCENARIO = Scenario(
    name="never-catches-up",
    title="a list takes longer than the history reaches back, so nobody who lists can ever watch",
    source="kubernetes/kubernetes#49684",
    guarantee="Lively",
    topology=Topology(servers=2, ring_capacity=(16, 50), ring_capacity_max=102_400),
    scale=Scale(clients=(20, 60), objects=(80, 100), writes_per_s=4.0, duration_s=120.0),
    workload=workload,
    start=start,
    swarm=Swarm(
        kinds=(
            Kind.CRASH,
            Kind.RECONNECT,
            Kind.EVICT,
            Kind.PAUSE_CACHE,
            Kind.BLOCK_EVENTS,
            Kind.LAG,
            Kind.COMPACT,
            Kind.DROP_BOOKMARKS,
            Kind.LATE_BOOKMARKS,
        )
    ),
    judges=(lively(waits_max_s=WAITS_MAX_S),),
)
