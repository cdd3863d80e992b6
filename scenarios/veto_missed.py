"""veto-missed: who may say no only to what it happens to see, says nothing to what it does not.

A Broker can grow and not shrink: its operator refuses to. It compares what is wanted with what there is; but what is wanted goes
from 1 to 3 to 2, and an operator that was away meanwhile sees 1 become 2, which is no shrinking, and does it. That three were
wanted before stands nowhere: here the history is the wish, and no reading of the present brings it back (rabbitmq cluster-operator
issue 758, closed as a limit of the design).

    wanted   1 ─► 3 ─► 2          the operator sees   1 ─► 3, ✗ 2: three     or   1 ─► 2: two

The operator is the same in both variants. The fix says no where every write passes: the definition has a rule, and the API refuses.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from cacher.simulation import (
    BlockEvents,
    Fault,
    Scenario,
    Topology,
    Upon,
    World,
    custom_resource,
    keen_controller,
)
from reflector import Manager, controller_reference, owner_key, update_exactly
from watch import AlreadyExists, Invalid, Object

DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"
BROKERS = "example.com/v1/brokers"
SETS = "apps/v1/statefulsets"
GROWS_ONLY = {"rule": "self >= oldSelf", "message": "a broker cannot be made smaller"}


def brokers(manager: Manager) -> None:
    """A Broker has a StatefulSet of its name that grows as is wanted, and never shrinks."""
    owners = manager.informers.informer("example.com/v1", "brokers")
    sets = manager.informers.informer("apps/v1", "statefulsets")
    set_api = manager.client.resource("apps/v1", "statefulsets")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        broker, owned = owners.lister.find(name, namespace), sets.lister.find(name, namespace)
        if broker is None:
            return
        wanted = broker.parse()["spec"]["size"]
        if owned is None:
            with suppress(AlreadyExists):
                await set_api.create(set_of(broker, wanted), namespace)
            return
        data = owned.to_dict()
        if wanted > data["spec"]["replicas"]:
            await update_exactly(set_api, owned, {**data, "spec": {**data["spec"], "replicas": wanted}})

    controller = keen_controller("brokers", reconcile)
    manager.add(controller.watches(owners).watches(sets, owner_key("Broker")))


def set_of(broker: Object, replicas: int) -> dict[str, Any]:
    """The StatefulSet of a Broker."""
    labels = {"broker": broker.name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "broker", "image": "broker:1"}]}}
    spec = {"serviceName": broker.name, "replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    owner = controller_reference(broker, "example.com/v1", "Broker")
    return {"metadata": {"name": broker.name, "ownerReferences": [owner]}, "spec": spec}


def definition(*, has_rule: bool) -> dict[str, Any]:
    """What a Broker is; with or without the rule that its size never falls."""
    size = {"type": "integer", **({"x-kubernetes-validations": [GROWS_ONLY]} if has_rule else {})}
    spec = {"type": "object", "properties": {"size": size}}
    made = custom_resource(BROKERS, "Broker")
    made["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return made


def start(world: World, variant: str) -> None:
    """One operator. What was ever wanted is kept count of, and compared with what there is when all is quiet."""
    most: dict[str, int] = {}

    def remember(world: World) -> str:
        for broker in world.objects(BROKERS):
            most[broker.name] = max(most.get(broker.name, 0), broker.parse()["spec"]["size"])
        return ""

    def as_many_as_ever_were_wanted(world: World) -> str:
        has = {owned.name: owned.parse()["spec"]["replicas"] for owned in world.objects(SETS)}
        return f"at most {most} was wanted, and there is {has}" if has != most else ""

    world.always(remember)
    world.at_rest(as_many_as_ever_were_wanted)
    world.start(brokers, name="operator")


async def workload(world: World) -> None:
    """A Broker of one is to have three, and then two; the second wish may be refused at once."""
    await world.create(DEFINITIONS, definition(has_rule=world.tape.variant == "fixed"))
    await world.create(BROKERS, {"metadata": {"name": "b", "namespace": "default"}, "spec": {"size": 1}})
    await world.until(SETS, "b")
    await world.wait(3)
    await world.patch(BROKERS, "b", {"spec": {"size": 3}})
    await world.wait(3)
    with suppress(Invalid):
        await world.patch(BROKERS, "b", {"spec": {"size": 2}})
    await world.wait(15)


SCENARIO = Scenario(
    name="veto-missed",
    title="who may say no only to what it happens to see, says nothing to what it does not",
    source="rabbitmq/cluster-operator#758",
    guarantee="Checks",
    topology=Topology(servers=2),
    workload=workload,
    start=start,
    script=(
        Fault(
            Upon("before-received", BROKERS, change="updated", who="operator"),
            BlockEvents("operator", BROKERS),
            for_s=10,
        ),
    ),
)
