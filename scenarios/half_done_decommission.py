"""half-done-decommission: a controller that dies between two writes comes back to a world that it has no branch for.

To take a broker out of service, this one deletes its pod, waits until that is gone, and deletes the pod's claim; at which of these
it is stands in the status, which is written after the deed. After a crash between the two it begins again at "take out pod 1",
finds no pod 1, calls that an error, and so for ever (casskop issue 370). The fix derives what is to be done from what there is.

    delete pod 1 │ crash │ status: Finalizing         the claim of pod 1 leaks, and nothing can be scaled any more
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

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
from reflector import GiveUp, Manager, delete_exactly
from watch import AlreadyExists, NotFound

BROKERS = "example.com/v1/brokers"
PODS = "v1/pods"
CLAIMS = "v1/persistentvolumeclaims"
SPEC = {"containers": [{"name": "broker", "image": "broker:1"}]}
CLAIM_SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def brokers(manager: Manager, *, fixed: bool) -> None:
    """A Broker has pods and claims `name-0` … `name-(n-1)`; a pod that is too many goes first, and then its claim."""
    owners = manager.informers.informer("example.com/v1", "brokers")
    pods = manager.informers.informer("v1", "pods")
    claims = manager.informers.informer("v1", "persistentvolumeclaims")
    api = manager.client.resource("example.com/v1", "brokers")
    pod_api, claim_api = manager.client.resource("v1", "pods"), manager.client.resource("v1", "persistentvolumeclaims")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        broker = owners.lister.find(name, namespace)
        if broker is None:
            return
        data = broker.to_dict()
        size, served = data["spec"]["size"], data.get("status", {}).get("size", 0)
        for number in range(size):
            await ensure(f"{name}-{number}", namespace)
        if fixed:
            await take_out(name, namespace, size)
        elif served > size:
            await take_out_by_phase(data, f"{name}-{served - 1}", namespace)
            return
        if served != size:
            await say(data, namespace, size=size)

    async def ensure(name: str, namespace: str) -> None:
        with suppress(AlreadyExists):
            if claims.lister.find(name, namespace) is None:
                await claim_api.create({"metadata": {"name": name}, "spec": CLAIM_SPEC}, namespace)
        with suppress(AlreadyExists):
            if pods.lister.find(name, namespace) is None:
                await pod_api.create({"metadata": {"name": name}, "spec": SPEC}, namespace)

    async def take_out_by_phase(data: dict[str, Any], victim: str, namespace: str) -> None:
        if data["status"].get("phase") != "Finalizing":
            if pods.lister.find(victim, namespace) is None:
                raise GiveUp(f"{victim} is to be taken out of service and is not there")
            await pod_api.delete(victim, namespace)
            await say(data, namespace, phase="Finalizing")
        elif pods.lister.find(victim, namespace) is None:
            with suppress(NotFound):
                await claim_api.delete(victim, namespace)
            await say(data, namespace, phase="", size=data["status"]["size"] - 1)

    async def take_out(name: str, namespace: str, size: int) -> None:
        for there, door in ((pods, pod_api), (claims, claim_api)):
            mine = [one for one in there.lister.list(namespace) if broker_of(one) == f"{namespace}/{name}"]
            surplus = [one for one in mine if int(one.name.rpartition("-")[2]) >= size]
            for one in surplus:
                with suppress(NotFound):
                    await delete_exactly(door, one, any_version=True)
            if surplus:
                return  # what they leave behind goes when they are seen to be gone

    async def say(data: dict[str, Any], namespace: str, **status: Any) -> None:
        said = {**data, "status": {**data.get("status", {}), **status}}
        await api.subresource("status").update(said, namespace)

    controller = keen_controller("brokers", reconcile)
    manager.add(controller.watches(owners).watches(pods, broker_of).watches(claims, broker_of))


def broker_of(obj: Any) -> str:
    """The key of the Broker that a pod or claim is named after."""
    return f"{obj.namespace}/{obj.name.rpartition('-')[0]}"


def what_is_wanted_is_there(world: World) -> str:
    """As many pods and claims as the spec says, and the status says so too."""
    for broker in world.objects(BROKERS):
        data = broker.parse()
        counts = [len(world.objects(PODS)), len(world.objects(CLAIMS)), data.get("status", {}).get("size")]
        if set(counts) != {data["spec"]["size"]}:
            return f"{data['spec']['size']} are wanted; pods, claims and status are {counts}"
    return ""


def start(world: World, variant: str) -> None:
    """One operator."""
    world.at_rest(what_is_wanted_is_there)
    world.start(partial(brokers, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A Broker of two becomes one of one."""
    broker = {"metadata": {"name": "b", "namespace": "default"}, "spec": {"size": 2}}
    return [
        Create(BROKERS, broker),
        Until(BROKERS, "b", where={"status.size": 2}),
        Wait(2),
        Patch(BROKERS, "b", {"spec": {"size": 1}}),
        Wait(30),
    ]


SCENARIO = Scenario(
    name="half-done-decommission",
    title="a controller that dies between two writes comes back to a world that it has no branch for",
    source="Orange-OpenSource/casskop#370",
    guarantee="Checks",
    topology=Topology(servers=2, definitions=(custom_resource(BROKERS, "Broker"),)),
    workload=workload,
    start=start,
    script=(Fault(Upon("after-write", PODS, change="deleted", who="operator"), Crash("operator")),),
)
