"""eviction-cascade: one slow watcher in twenty uses up the patience that was meant for all, and those who keep up are sent away.

Kubernetes' cacher hands each event to every watcher's channel. Where one is full it waits, and what it may wait for all watchers
together is one budget, 50 ms a second, 100 ms at most. A burst is more than a channel holds, so everybody is full for a moment;
then it matters whether there is anything left to wait with. A few slow watchers see to it that there is not: they are full at
every event. So everyone who is full is evicted, comes back with a gap, and is a slow watcher until it has closed it (kubernetes
issues 30873, 116903 and 125123: with 800 nodes and 8,000 objects, until all listed anew and the server ran out of memory).

    burst ─► ▓▓▓▓▓▓ prompt: full, for 50 ms ─► no budget left ─► evicted ─► back, with a gap
             ▓▓▓▓▓▓ slow: full, for ever    ─► has used the budget

The buggy variant watches through a double of that dispatcher. The fixed one is the library's own fan-out, where a watcher is a
place in a log: the slow ones fall behind by themselves. `scale`: clients, objects (a burst writes each once), writes between.
"""

from __future__ import annotations

from functools import partial
from itertools import count

from cacher.simulation import Habits, Kind, Scale, Scenario, Site, Swarm, Topology, World
from cacher.simulation.judges import isolated

MAPS = "v1/configmaps"
PROMPT_PER_S = 100.0
SLOW_PER_S = (PROMPT_PER_S / 40, PROMPT_PER_S / 10)
SLOW_ONE_IN = 20
BURST_PERIOD_S = 5.0
LATE_S = 1.0
HURT_SHARE_MAX = 0.01
"""Of those who keep up, so many may be late, evicted or expired."""


async def informers(site: Site, clients: int) -> None:
    """Clients that keep up, and a slow one in every twenty."""
    prompt = Habits(events_per_s=PROMPT_PER_S, back_s=0.05, jitter_s=0.2)
    habits = [prompt] * clients
    for number in range(0, clients, SLOW_ONE_IN):
        habits[number] = Habits(events_per_s=site.random.uniform(*SLOW_PER_S), back_s=0.05, jitter_s=0.2, is_slow=True)
    await site.crowd("v1", "configmaps", habits).run()


def start(world: World, variant: str) -> None:
    """A crowd on one server."""
    world.dispatches_as_kubernetes = variant == "buggy"
    world.start(partial(informers, clients=world.scale.client_count), name="crowd")


async def workload(world: World) -> None:
    """Settings that are turned one by one, and now and then all of them at once."""
    scale = world.scale
    turns = count()
    next_burst_s = world.now_s + BURST_PERIOD_S
    for _ in range(scale.write_count):
        await world.wait(scale.write_period_s)
        burst = scale.object_count if world.now_s >= next_burst_s else 1
        next_burst_s += BURST_PERIOD_S if burst > 1 else 0.0
        for _ in range(burst):
            turn = next(turns)
            await world.write(MAPS, setting(turn % scale.object_count, turn))


def setting(number: int, turn: int) -> dict[str, object]:
    """A config map."""
    name = f"setting-{number:04}"
    return {"metadata": {"name": name, "namespace": "default", "uid": name}, "data": {"turn": str(turn)}}


SCENARIO = Scenario(
    name="eviction-cascade",
    title="a few slow watchers use up the patience meant for all, and those who keep up are sent away",
    source="kubernetes/kubernetes#116903",
    guarantee="Isolated",
    topology=Topology(servers=1, ring_capacity=(100, 200), ring_capacity_max=102_400, latency_s=0.0),
    scale=Scale(clients=(60, 120), objects=28, writes_per_s=8.0, duration_s=30.0),
    workload=workload,
    start=start,
    script=(),
    swarm=Swarm(
        kinds=(
            Kind.RECONNECT,
            Kind.CRASH,
            Kind.RESTART_SERVER,
            Kind.PAUSE_CACHE,
            Kind.LAG,
            Kind.COMPACT,
            Kind.DROP_BOOKMARKS,
            Kind.LATE_BOOKMARKS,
        )
    ),
    judges=(isolated(LATE_S, hurt_share_max=HURT_SHARE_MAX),),
)
