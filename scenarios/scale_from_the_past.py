"""scale-from-the-past: a controller that comes back to a cache of the past does what was wanted then.

    api-2  Keeper z wants 1 ─────────── frozen here ─────────────────┐
    api-1  z wants 1, z wants 2, its set has 2 ──────── controller ──┘ restarts on api-2: "1 is wanted, 2 are there",
                                                                       and takes one of the living out of service
Scaling down is a deletion (zookeeper-operator issue 314: with the pod its data went too). A resource version in the copy is no
protection: the copy is whole, only old. The fix asks the store what is wanted before it takes anything away.
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
    Later,
    Patch,
    PauseCache,
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
from watch import AlreadyExists, NotFound, Object

KEEPERS = "example.com/v1/keepers"
SETS = "apps/v1/statefulsets"


def keepers(manager: Manager, *, fixed: bool) -> None:
    """A Keeper has a StatefulSet of its name and size."""
    owners = manager.informers.informer("example.com/v1", "keepers")
    sets = manager.informers.informer("apps/v1", "statefulsets")
    api, set_api = (
        manager.client.resource("example.com/v1", "keepers"),
        manager.client.resource("apps/v1", "statefulsets"),
    )

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        keeper, owned = owners.lister.find(name, namespace), sets.lister.find(name, namespace)
        if keeper is None:
            return
        wanted = keeper.parse()["spec"]["size"]
        if owned is None:
            with suppress(AlreadyExists):
                await set_api.create(set_of(keeper, wanted), namespace)
            return
        data = owned.to_dict()
        has = data["spec"]["replicas"]
        if wanted == has or (fixed and wanted < has and not await is_still(keeper)):
            return
        await update_exactly(set_api, owned, {**data, "spec": {**data["spec"], "replicas": wanted}})

    async def is_still(keeper: Object) -> bool:
        with suppress(NotFound):
            return bool((await api.get(keeper.name, keeper.namespace))["spec"] == keeper.parse()["spec"])
        return False

    controller = keen_controller("keepers", reconcile)
    manager.add(controller.watches(owners).watches(sets, owner_key("Keeper")))


def set_of(keeper: Object, replicas: int) -> dict[str, object]:
    """The StatefulSet of a Keeper."""
    labels = {"keeper": keeper.name}
    owner = controller_reference(keeper, "example.com/v1", "Keeper")
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "zk", "image": "zk:1"}]}}
    spec = {"serviceName": keeper.name, "replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": keeper.name, "ownerReferences": [owner]}, "spec": spec}


def sizes_are_as_wanted(world: World) -> str:
    """Once all is quiet, each set has the size that is wanted."""
    wanted = {keeper.name: keeper.parse()["spec"]["size"] for keeper in world.objects(KEEPERS)}
    has = {owned.name: owned.parse()["spec"]["replicas"] for owned in world.objects(SETS)}
    return f"{wanted} is wanted, and there is {has}" if wanted != has else ""


def start(world: World, variant: str) -> None:
    """One operator, which talks to the first server until it is told otherwise."""
    world.at_rest(sizes_are_as_wanted)
    world.start(partial(keepers, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A Keeper of two becomes one of one, and one of two again."""
    keeper = {"metadata": {"name": "z", "namespace": "default"}, "spec": {"size": 2}}
    done: list[AnyOperation] = [Create(KEEPERS, keeper), Until(SETS, "z")]
    for size in (1, 2):
        done += [
            Patch(KEEPERS, "z", {"spec": {"size": size}}),
            Until(SETS, "z", where={"spec.replicas": size}),
            Wait(5),
        ]
    return [*done, Wait(20)]


SCENARIO = Scenario(
    name="scale-from-the-past",
    title="a controller that comes back to a cache of the past does what was wanted then",
    source="pravega/zookeeper-operator#314",
    guarantee="NoStaleDestruction",
    topology=Topology(servers=2, definitions=(custom_resource(KEEPERS, "Keeper"),)),
    workload=workload,
    start=start,
    script=(
        Fault(
            Upon("server-received", KEEPERS, change="updated", field="spec.size", becomes=1, who="api-2"),
            PauseCache("api-2", KEEPERS),
            for_s=40,
        ),
        Fault(
            Later(Upon("server-received", SETS, change="updated", who="api-1", occurrence=2), 5),
            Crash("operator", restart_on="api-2"),
        ),
    ),
)
