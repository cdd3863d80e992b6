"""zombie-delete: a controller that comes back to a cache of the past deletes the living by the name of the dead.

    api-2  Rabbit r (uid 1), deleting ──── frozen here ─────────────────────────────┐
    api-1  r (uid 1) goes, r (uid 2) comes, its StatefulSet is made ── controller ──┘ restarts on api-2: "r is deleting",
                                                                                      and deletes the StatefulSet of uid 2
The first of the bugs that Sieve found: rabbitmq/cluster-operator issue 648. The fix deletes only what it has seen to be its own,
by uid.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random

from cacher.simulation import AnyOperation as Operation
from cacher.simulation import (
    Crash,
    Create,
    Delete,
    Fault,
    Later,
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
from reflector import Manager, controller_reference, delete_exactly, owner_key
from watch import AlreadyExists, NotFound

RABBITS = "example.com/v1/rabbits"
SETS = "apps/v1/statefulsets"
FINALIZER = "example.com/rabbit"


def rabbits(manager: Manager, *, fixed: bool) -> None:
    """A Rabbit has a StatefulSet of its name, which goes before the Rabbit does."""
    owners = manager.informers.informer("example.com/v1", "rabbits")
    sets = manager.informers.informer("apps/v1", "statefulsets")
    api, set_api = (
        manager.client.resource("example.com/v1", "rabbits"),
        manager.client.resource("apps/v1", "statefulsets"),
    )

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        rabbit = owners.lister.find(name, namespace)
        if rabbit is None:
            return
        data, owned = rabbit.to_dict(), sets.lister.find(name, namespace)
        if "deletionTimestamp" not in data["metadata"]:
            if owned is None:
                await create_set(name, namespace, controller_reference(rabbit, "example.com/v1", "Rabbit"))
            return
        with suppress(NotFound):
            if not fixed:
                await set_api.delete(name, namespace)  # whoever has that name now
            elif owned is not None and is_controlled_by(owned.to_dict(), rabbit.uid):
                await delete_exactly(set_api, owned, any_version=True)
        data["metadata"]["finalizers"] = []
        await api.update(data, namespace)

    async def create_set(name: str, namespace: str, owner: dict[str, object]) -> None:
        labels = {"rabbit": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "rabbit", "image": "rabbit:1"}]}}
        spec = {"serviceName": name, "selector": {"matchLabels": labels}, "template": template}
        with suppress(AlreadyExists):  # the copy has yet to show it
            await set_api.create({"metadata": {"name": name, "ownerReferences": [owner]}, "spec": spec}, namespace)

    controller = keen_controller("rabbits", reconcile)
    manager.add(controller.watches(owners).watches(sets, owner_key("Rabbit")))


def is_controlled_by(obj: dict[str, object], uid: str) -> bool:
    """Whether an object's controller has that uid."""
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    return any(owner["uid"] == uid and owner.get("controller") for owner in metadata.get("ownerReferences", []))


def start(world: World, variant: str) -> None:
    """One operator, which talks to the first server until it is told otherwise."""
    world.start(partial(rabbits, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[Operation]:
    """A Rabbit is made, deleted, and made again under its name."""
    rabbit = {"metadata": {"name": "r", "namespace": "default", "finalizers": [FINALIZER]}}
    return [
        Create(RABBITS, rabbit),
        Until(SETS, "r"),
        Delete(RABBITS, "r"),
        Until(RABBITS, "r", exists=False),
        Create(RABBITS, rabbit),
        Until(SETS, "r"),
        Wait(40),
    ]


SCENARIO = Scenario(
    name="zombie-delete",
    title="a controller that comes back to a cache of the past deletes the living by the name of the dead",
    source="rabbitmq/cluster-operator#648",
    guarantee="NoStaleDestruction",
    topology=Topology(servers=2, definitions=(custom_resource(RABBITS, "Rabbit"),)),
    workload=workload,
    start=start,
    script=(
        Fault(
            Upon("server-received", RABBITS, change="updated", field="metadata.deletionTimestamp", who="api-2"),
            PauseCache("api-2", RABBITS),
            for_s=40,
        ),
        Fault(
            Later(Upon("server-received", SETS, change="created", who="api-1", occurrence=2), 10),
            Crash("operator", restart_on="api-2"),
        ),
    ),
)
