"""restart-on-change-lost: what follows from a change is done by whoever made the change, and by nobody after a crash.

A node reads its configuration when it starts. The operator writes the config map where it differs from what is wanted, and then
deletes the pod, which is made anew. One that dies between the two finds nothing that differs: the pod runs on with the old
configuration for ever (nifikop issue 49). Every object is as it should be; only what the pod read is not.

    config map differs ─► write it │ crash │ it no longer differs: nothing to do        the pod runs with what it read before

The fix writes on the pod which configuration it was started with, and compares that.
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
from reflector import Manager, controller_reference, delete_exactly, owner_key, update_exactly
from watch import AlreadyExists, NotFound, Object

NODES = "example.com/v1/flownodes"
PODS = "v1/pods"
MAPS = "v1/configmaps"
STARTED_WITH = "example.com/started-with"
POD_SPEC = {"containers": [{"name": "flow", "image": "flow:1"}], "terminationGracePeriodSeconds": 0}


def flow_nodes(manager: Manager, *, fixed: bool) -> None:
    """A FlowNode has a config map and a pod of its name. The pod reads the config map when it is made."""
    owners = manager.informers.informer("example.com/v1", "flownodes")
    maps, pods = manager.informers.informer("v1", "configmaps"), manager.informers.informer("v1", "pods")
    api = manager.client.resource("example.com/v1", "flownodes")
    map_api, pod_api = manager.client.resource("v1", "configmaps"), manager.client.resource("v1", "pods")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        node, config, pod = (each.lister.find(name, namespace) for each in (owners, maps, pods))
        if node is None:
            return
        owner = controller_reference(node, "example.com/v1", "FlowNode")
        metadata = {"name": name, "ownerReferences": [owner]}
        wanted = node.parse()["spec"]["config"]
        if config is None:
            with suppress(AlreadyExists):
                await map_api.create({"metadata": metadata, "data": {"config": wanted}}, namespace)
            return
        if config.parse()["data"]["config"] != wanted:
            if fixed and not await is_still(node):
                return  # it comes again with the copy that is newer
            await update_exactly(map_api, config, {**config.to_dict(), "data": {"config": wanted}})
            if not fixed:
                await restart(pod)
            return
        if pod is None:
            labelled = {**metadata, "annotations": {STARTED_WITH: wanted}}
            with suppress(AlreadyExists):
                await pod_api.create({"metadata": labelled, "spec": POD_SPEC}, namespace)
        elif fixed and pod.parse()["metadata"]["annotations"][STARTED_WITH] != wanted and await is_still(node):
            await restart(pod)

    async def is_still(node: Object) -> bool:
        """The copy may be of the past: what costs a pod is worth a question to the store."""
        return bool((await api.get(node.name, node.namespace))["spec"] == node.parse()["spec"])

    async def restart(pod: Object | None) -> None:
        if pod is not None:
            with suppress(NotFound):
                await delete_exactly(pod_api, pod, any_version=not fixed)

    controller = keen_controller("flow-nodes", reconcile)
    of_node = owner_key("FlowNode")
    manager.add(controller.watches(owners).watches(maps, of_node).watches(pods, of_node))


def pods_run_with_what_is_wanted(world: World) -> str:
    """Each pod was made after the config map was last written."""
    written = {one.name: one.revision for one in world.objects(MAPS)}
    pods = world.objects(PODS)
    old = [pod.name for pod in pods if pod.revision < written.get(pod.name, 0)]
    if missing := sorted({node.name for node in world.objects(NODES)} - {pod.name for pod in pods}):
        return f"{', '.join(missing)}: has no pod"
    return f"{', '.join(old)}: runs with a configuration that is no longer there" if old else ""


def start(world: World, variant: str) -> None:
    """One operator."""
    world.at_rest(pods_run_with_what_is_wanted)
    world.start(partial(flow_nodes, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A FlowNode whose configuration is changed twice."""
    node: dict[str, Any] = {"metadata": {"name": "n", "namespace": "default"}, "spec": {"config": "0"}}
    done: list[AnyOperation] = [Create(NODES, node), Until(PODS, "n"), Wait(2)]
    for config in ("1", "2"):
        done += [
            Patch(NODES, "n", {"spec": {"config": config}}),
            Until(MAPS, "n", where={"data.config": config}),
            Wait(10),
        ]
    return done


SCENARIO = Scenario(
    name="restart-on-change-lost",
    title="what follows from a change is done by whoever made the change, and by nobody after a crash",
    source="konpyutaika/nifikop#49",
    guarantee="Checks",
    topology=Topology(servers=2, definitions=(custom_resource(NODES, "FlowNode"),)),
    workload=workload,
    start=start,
    script=(Fault(Upon("after-write", MAPS, change="updated", who="operator", occurrence=2), Crash("operator")),),
)
