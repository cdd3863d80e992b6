"""budget-churn: an object is taken down and made again on the word of the past, and in the end all looks as it should.

A PodDisruptionBudget is made anew where its limit is not the one that is wanted. A controller back at a cache of the past
finds a limit of then, deletes the budget of now, makes the old one, sees the present, and does it all again: for a while nothing
protects the pods, and afterwards every object is right (casskop issue 321). Who compares end states sees nothing.

    budget: 1 ─► 2   │ restart on a server of the past │   2 ─► 1 ─► 2

The fix writes on the budget from which generation of the wish it was made, and never goes back.
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
from reflector import Manager, controller_reference, delete_exactly, owner_key
from watch import AlreadyExists, NotFound, Object

RINGS = "example.com/v1/rings"
BUDGETS = "policy/v1/poddisruptionbudgets"
MADE_FROM = "example.com/made-from-generation"


def rings(manager: Manager, *, fixed: bool) -> None:
    """A Ring has a budget of its name, which cannot be changed, only made anew."""
    owners = manager.informers.informer("example.com/v1", "rings")
    budgets = manager.informers.informer("policy/v1", "poddisruptionbudgets")
    api = manager.client.resource("policy/v1", "poddisruptionbudgets")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        ring, budget = owners.lister.find(name, namespace), budgets.lister.find(name, namespace)
        if ring is None:
            return
        if budget is not None:
            has = budget.parse()
            if has["spec"]["maxUnavailable"] == ring.parse()["spec"]["maxUnavailable"]:
                return
            if fixed and int(has["metadata"]["annotations"][MADE_FROM]) >= ring.parse()["metadata"]["generation"]:
                return  # it is this copy of the Ring that is old
            with suppress(NotFound):
                await delete_exactly(api, budget, any_version=True)
        with suppress(AlreadyExists):
            await api.create(budget_of(ring), namespace)

    controller = keen_controller("rings", reconcile)
    manager.add(controller.watches(owners).watches(budgets, owner_key("Ring")))


def budget_of(ring: Object) -> dict[str, object]:
    """The budget of a Ring."""
    data = ring.parse()
    metadata = {
        "name": ring.name,
        "ownerReferences": [controller_reference(ring, "example.com/v1", "Ring")],
        "annotations": {MADE_FROM: str(data["metadata"]["generation"])},
    }
    spec = {"maxUnavailable": data["spec"]["maxUnavailable"], "selector": {"matchLabels": {"ring": ring.name}}}
    return {"metadata": metadata, "spec": spec}


def budgets_are_as_wanted(world: World) -> str:
    """Once all is quiet, each Ring has its budget."""
    wanted = {ring.name: ring.parse()["spec"]["maxUnavailable"] for ring in world.objects(RINGS)}
    has = {budget.name: budget.parse()["spec"]["maxUnavailable"] for budget in world.objects(BUDGETS)}
    return f"{wanted} is wanted, and there is {has}" if wanted != has else ""


def start(world: World, variant: str) -> None:
    """One operator, which talks to the first server until it is told otherwise."""
    world.at_rest(budgets_are_as_wanted)
    world.start(partial(rings, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A Ring whose limit is raised once."""
    ring = {"metadata": {"name": "r", "namespace": "default"}, "spec": {"maxUnavailable": 1}}
    return [
        Create(RINGS, ring),
        Until(BUDGETS, "r"),
        Wait(5),
        Patch(RINGS, "r", {"spec": {"maxUnavailable": 2}}),
        Until(BUDGETS, "r", where={"spec.maxUnavailable": 2}),
        Wait(25),
    ]


SCENARIO = Scenario(
    name="budget-churn",
    title="an object is taken down and made again on the word of the past, and in the end all looks as it should",
    source="Orange-OpenSource/casskop#321",
    guarantee="NoStaleDestruction",
    topology=Topology(servers=2, definitions=(custom_resource(RINGS, "Ring"),)),
    workload=workload,
    start=start,
    script=(
        Fault(Upon("server-received", RINGS, change="created", who="api-2"), PauseCache("api-2", RINGS), for_s=30),
        Fault(
            Later(Upon("server-received", BUDGETS, change="created", who="api-1", occurrence=2), 5),
            Crash("operator", restart_on="api-2"),
        ),
    ),
)
