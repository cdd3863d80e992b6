"""half-resized: whether two objects have the new size is asked of the first of them.

To give a broker larger disks, its set is made anew with the larger size, and then each of its disks is enlarged. Whether there is
anything to do is asked of the set alone. A controller that dies between the two finds the set as large as is wanted; the disks
stay small for ever (rabbitmq cluster-operator issue 782; the repair took 700 lines there).

    set 10 < 15 ─► set: 15 │ crash │ set 15 = 15: nothing to do        disk: 10, for ever

The fix compares each object with what is wanted, and not one of them for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random

from cacher.simulation import (
    AnyOperation,
    Crash,
    Create,
    Fault,
    Patch,
    Scenario,
    Topology,
    Until,
    Upon,
    Wait,
    World,
    custom_resource,
    keen_controller,
)
from reflector import Manager, controller_reference, owner_key, update_exactly
from watch import AlreadyExists

QUEUES = "example.com/v1/queues"
MAPS = "v1/configmaps"
DISKS = "example.com/v1/disks"


def queues(manager: Manager, *, fixed: bool) -> None:
    """A Queue has a layout (here a config map) and a disk, both of its size. They grow, and never shrink."""
    owners = manager.informers.informer("example.com/v1", "queues")
    layouts = manager.informers.informer("v1", "configmaps")
    disks = manager.informers.informer("example.com/v1", "disks")
    layout_api = manager.client.resource("v1", "configmaps")
    disk_api = manager.client.resource("example.com/v1", "disks")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        queue, layout, disk = (each.lister.find(name, namespace) for each in (owners, layouts, disks))
        if queue is None:
            return
        size = queue.parse()["spec"]["gigabytes"]
        metadata = {"name": name, "ownerReferences": [controller_reference(queue, "example.com/v1", "Queue")]}
        if layout is None:
            with suppress(AlreadyExists):
                await layout_api.create({"metadata": metadata, "data": {"gigabytes": str(size)}}, namespace)
        if disk is None:
            with suppress(AlreadyExists):
                await disk_api.create({"metadata": metadata, "spec": {"gigabytes": size}}, namespace)
        if layout is None or disk is None:
            return
        is_small = int(layout.parse()["data"]["gigabytes"]) < size
        if is_small:
            await update_exactly(layout_api, layout, {**layout.to_dict(), "data": {"gigabytes": str(size)}})
        if disk.parse()["spec"]["gigabytes"] < size if fixed else is_small:
            await update_exactly(disk_api, disk, {**disk.to_dict(), "spec": {"gigabytes": size}})

    controller = keen_controller("queues", reconcile)
    of_queue = owner_key("Queue")
    manager.add(controller.watches(owners).watches(layouts, of_queue).watches(disks, of_queue))


def disks_are_as_large_as_wanted(world: World) -> str:
    """Once all is quiet, each disk has the size that is wanted."""
    wanted = {queue.name: queue.parse()["spec"]["gigabytes"] for queue in world.objects(QUEUES)}
    has = {disk.name: disk.parse()["spec"]["gigabytes"] for disk in world.objects(DISKS)}
    return f"{wanted} is wanted, and the disks are of {has}" if wanted != has else ""


def start(world: World, variant: str) -> None:
    """One operator."""
    world.at_rest(disks_are_as_large_as_wanted)
    world.start(partial(queues, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A Queue that is to grow once."""
    queue = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"gigabytes": 10}}
    return [
        Create(QUEUES, queue),
        Until(DISKS, "q"),
        Wait(5),
        Patch(QUEUES, "q", {"spec": {"gigabytes": 15}}),
        Until(MAPS, "q", where={"data.gigabytes": "15"}),
        Wait(15),
    ]


SCENARIO = Scenario(
    name="half-resized",
    title="whether two objects have the new size is asked of the first of them",
    source="rabbitmq/cluster-operator#782",
    guarantee="Checks",
    topology=Topology(servers=2, definitions=(custom_resource(QUEUES, "Queue"), custom_resource(DISKS, "Disk"))),
    workload=workload,
    start=start,
    script=(Fault(Upon("after-write", MAPS, change="updated", who="operator"), Crash("operator")),),
)
