"""410-herd: servers restart one after the other, and everyone who watched lists everything anew, from the store.

A server that comes back has an empty history: whoever was at an older revision is told 410, and lists. What it lists at decides
who pays. At "" it asks for the latest, which a server of that time reads from the store: clients × objects, once for each restart
(kubernetes issue 86430: etcd overwhelmed by a rolling restart, after pull request 83520 had clients list so to be safe from going
back in time). At the last revision seen it is just as safe, and the cache answers.

    api-1 ✂ ─► 410, 410, 410 … ─► list at ""       ─► store   (clients × objects)
                               └► list at 'seen'   ─► cache   (the server's own list, once)

The store here is one whose word on progress is not trusted, so that a list at "" goes to it, as all did before Kubernetes 1.31.
`scale`: clients of all servers together, config maps, writes.
"""

from __future__ import annotations

from functools import partial
from itertools import count

from cacher.simulation import At, Fault, Habits, Kind, RestartServer, Scale, Scenario, Site, Swarm, Topology, World
from cacher.simulation.judges import frugal

MAPS = "v1/configmaps"
SERVERS = 3
LISTS_MAX = 40
"""What one server may list of the store in a minute: one when it starts, and room for a bad day."""


async def informers(site: Site, habits: Habits, clients: int) -> None:
    """Clients that follow the config maps."""
    await site.crowd("v1", "configmaps", [habits] * clients).run()


def start(world: World, variant: str) -> None:
    """A crowd on each server. Who lists anew does so at the latest revision, or at the one it has seen."""
    world.trusts_progress = False
    habits = Habits(relists_at="seen" if variant == "fixed" else "latest", jitter_s=1.0)
    clients = world.scale.client_count
    for number in range(SERVERS):
        share = (clients + number) // SERVERS
        world.start(
            partial(informers, habits=habits, clients=share), name=f"crowd-{number + 1}", server=f"api-{number + 1}"
        )


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
    name="410-herd",
    title="a rolling restart sends every client to the store for a list, and the store is overwhelmed",
    source="kubernetes/kubernetes#86430",
    guarantee="Frugal",
    topology=Topology(servers=SERVERS, ring_capacity=(16, 100), ring_capacity_max=102_400),
    scale=Scale(clients=(180, 270), objects=50, writes_per_s=4.0, duration_s=60.0),
    workload=workload,
    start=start,
    script=tuple(
        Fault(At(10.0 + 15 * number), RestartServer(f"api-{number + 1}", down_s=3)) for number in range(SERVERS)
    ),
    swarm=Swarm(kinds=(Kind.RESTART_SERVER, Kind.RECONNECT, Kind.PAUSE_CACHE, Kind.LAG, Kind.COMPACT), share_on=0.6),
    judges=(frugal(LISTS_MAX),),
)
