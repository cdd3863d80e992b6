"""ghost-node: who is told of a deletion in two ways, and listens to one of them, goes on with what is gone.

A scheduler keeps a list of nodes by what its handler is told. A deletion that nobody watched is found out by the next list, and
told as a Tombstone: what is gone, in its last known state. A handler that only knows objects drops it, and the scheduler puts pods
on a node that is no longer there, for ever (kubernetes issue 56261; and a dozen more handlers, from antrea to kthena, since 2025).

    watch ended │ n1 is deleted │ list: n2     told: Tombstone(n1) ─► "no node", dropped     n1 is still counted on

The fix takes a Tombstone for the deletion that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

from cacher.simulation import (
    AnyOperation,
    At,
    Create,
    Cut,
    Delete,
    Fault,
    Patch,
    RestartServer,
    Scenario,
    Site,
    Until,
    Wait,
    World,
)
from reflector import Tombstone
from watch import Object

NODES = "v1/nodes"


class Scheduler:
    """The nodes that pods may be put on."""

    def __init__(self, *, fixed: bool) -> None:
        self.nodes: dict[str, int] = {}
        self._fixed = fixed

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        """A node has come."""
        self.nodes[obj.name] = obj.revision

    def on_update(self, old: Object, new: Object) -> None:
        """A node says something of itself."""
        self.nodes[new.name] = new.revision

    def on_delete(self, obj: Object | Tombstone) -> None:
        """A node has gone."""
        if isinstance(obj, Object):
            self.nodes.pop(obj.name, None)
        elif self._fixed:
            self.nodes.pop(obj.last_known.name, None)


async def scheduling(site: Site, schedulers: dict[str, Scheduler], *, fixed: bool) -> None:
    """One scheduler, which begins with nothing in each life."""
    scheduler = schedulers[site.name] = Scheduler(fixed=fixed)
    informers = site.informers()
    informers.informer("v1", "nodes").add_handler(scheduler)
    await informers.run()


def start(world: World, variant: str) -> None:
    """Two schedulers, each on a server of its own; what they count on is looked at when all is quiet."""
    schedulers: dict[str, Scheduler] = {}

    def nodes_are_those_that_are_there(world: World) -> str:
        there = {node.name for node in world.objects(NODES)}
        ghosts = [
            f"{name} counts on {node}" for name, one in schedulers.items() for node in one.nodes if node not in there
        ]
        return f"{', '.join(ghosts)}, and there is no such node" if ghosts else ""

    world.at_rest(nodes_are_those_that_are_there)
    program = partial(scheduling, schedulers=schedulers, fixed=variant == "fixed")
    for number in (1, 2):
        world.start(program, name=f"scheduler-{number}", server=f"api-{number}")


def workload(random: Random) -> Sequence[AnyOperation]:
    """Nodes come, say that they are well, and go one by one."""
    names = ("n1", "n2", "n3", "n4")
    done: list[AnyOperation] = [Create(NODES, {"metadata": {"name": name}}) for name in names]
    for turn, name in enumerate(names[:-1]):
        beats = [Patch(NODES, one, {"metadata": {"annotations": {"beat": str(turn)}}}) for one in names[turn:]]
        done += [*beats, Wait(random.uniform(2, 8)), Delete(NODES, name), Until(NODES, name, exists=False)]
    return [*done, Wait(5)]


SCENARIO = Scenario(
    name="ghost-node",
    title="who is told of a deletion in two ways, and listens to one of them, goes on with what is gone",
    source="kubernetes/kubernetes#56261",
    guarantee="Checks",
    workload=workload,
    start=start,
    script=(
        Fault(At(1), Cut("scheduler-1", "*"), for_s=30),
        Fault(At(2), RestartServer("api-1", 20)),
    ),
)
