"""Small scenarios that the tests of the simulator play: a controller each, with a bug of the field's and without it.

All have a ConfigMap as the parent. `pairs`: a second child is only looked for with the first (a crash in between loses it).
`zombie`: the child of the name is deleted when the parent goes (on a stale copy, the child of the parent's successor). `edge`: the
leftover of a child is removed only by who sees it go.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from cacher.simulation import (
    At,
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
)
from reflector import Controller, Manager, ResourceClient
from watch import AlreadyExists, Conflict, NotFound

PARENTS, CHILDREN, LEFTOVERS = "v1/configmaps", "v1/pods", "v1/secrets"
BUGGY, FIXED = "buggy", "fixed"


def config_map(name: str, finalizer: str = "", **data: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "default"}
    if finalizer:
        metadata["finalizers"] = [finalizer]
    return {"metadata": metadata, "data": data}


def pod(name: str, owner: dict[str, Any] | None = None, *, node: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "default"}
    if owner is not None:
        metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "controller": True, **owner}]
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "x"}]}
    if node:
        spec["nodeName"] = node  # a pod that is nowhere goes at once, whatever grace it was given
    return {"metadata": metadata, "spec": spec}


async def ensure(resource: ResourceClient, obj: dict[str, Any]) -> None:
    try:
        await resource.create(obj, "default")
    except AlreadyExists:
        return


# ---- pairs: a crash between two writes -------------------------------------------------------------------------------


def pairs(manager: Manager, *, is_fixed: bool) -> None:
    parents = manager.informers.informer("v1", "configmaps")
    pods = manager.informers.informer("v1", "pods")
    api = manager.client.resource("v1", "pods")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        if parents.lister.find(name, namespace) is None:
            return
        if is_fixed:
            for child in ("a", "b"):
                if pods.lister.find(f"{name}-{child}", namespace) is None:
                    await ensure(api, pod(f"{name}-{child}"))
        elif pods.lister.find(f"{name}-a", namespace) is None:
            await ensure(api, pod(f"{name}-a"))
            await ensure(api, pod(f"{name}-b"))

    manager.add(Controller("pairs", reconcile, random=Random(1)).watches(parents))


def start_pairs(world: World, variant: str) -> None:
    world.start(partial(pairs, is_fixed=variant == FIXED), name="pairs")


PAIRS = Scenario(
    name="pairs",
    title="a crash between two writes loses the second",
    start=start_pairs,
    workload=[Create(PARENTS, config_map("one")), Wait(5.0), Create(PARENTS, config_map("two")), Wait(5.0)],
    guarantee="CrashProof",
    topology=Topology(latency_s=0.001, ring_capacity=16, ring_capacity_max=64),
    script=(Fault(Upon("after-write", who="pairs", occurrence=1), Crash("pairs")),),
)

# ---- zombie: a stale parent's word --------------------------------------------------------------------------------------

KEEP = "example.com/keep"


def zombie(manager: Manager, *, is_fixed: bool) -> None:
    parents = manager.informers.informer("v1", "configmaps")
    pods = manager.informers.informer("v1", "pods")
    configs, api = manager.client.resource("v1", "configmaps"), manager.client.resource("v1", "pods")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        parent = parents.lister.find(name, namespace)
        if parent is None or "cr" not in name:
            return
        child = pods.lister.find(f"{name}-child", namespace)
        if parent.parse()["metadata"].get("deletionTimestamp"):
            if not is_fixed:
                await remove(f"{name}-child", None)
            elif child is not None and owner_uid(child.parse()) == parent.uid:
                await remove(f"{name}-child", child.uid)
            try:
                await configs.patch(name, {"metadata": {"uid": parent.uid, "finalizers": None}}, namespace)
            except (NotFound, Conflict):
                return
        elif child is None:
            await ensure(api, pod(f"{name}-child", {"name": name, "uid": parent.uid}))

    async def remove(name: str, uid: str | None) -> None:
        try:
            await api.delete(name, "default", uid=uid, grace_period_s=0)
        except (NotFound, Conflict):
            return

    controller = Controller("zombie", reconcile, random=Random(1))
    manager.add(controller.watches(parents).watches(pods, lambda obj: f"default/{obj.name.removesuffix('-child')}"))


def owner_uid(obj: dict[str, Any]) -> str:
    owners = obj["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("uid", ""))


def start_zombie(world: World, variant: str) -> None:
    world.start(partial(zombie, is_fixed=variant == FIXED), name="zombie")


ZOMBIE = Scenario(
    name="zombie",
    title="a stale copy of a parent that is gone deletes its successor's child",
    start=start_zombie,
    workload=[
        Create(PARENTS, config_map("cr", KEEP)),
        Until(CHILDREN, "cr-child"),
        Wait(2.0),
        Delete(PARENTS, "cr"),
        Until(PARENTS, "cr", exists=False),
        Wait(2.0),
        Create(PARENTS, config_map("cr", KEEP)),
        Until(CHILDREN, "cr-child"),
        Wait(40.0),
    ],
    guarantee="NoStaleDestruction",
    topology=Topology(latency_s=0.001, ring_capacity=16, ring_capacity_max=64),
    script=(
        Fault(
            Upon("server-received", PARENTS, "updated", field="metadata.deletionTimestamp", who="api-2"),
            PauseCache("api-2", PARENTS),
            until=Later(Upon("written", CHILDREN, "created", occurrence=2), 30.0),
        ),
        Fault(Later(Upon("written", CHILDREN, "created", occurrence=2), 10.0), Crash("zombie", restart_on="api-2")),
    ),
)

# ---- edge: a change that only one moment shows -----------------------------------------------------------------------


def edge(manager: Manager, *, is_fixed: bool) -> None:
    pods = manager.informers.informer("v1", "pods")
    leftovers = manager.informers.informer("v1", "secrets")
    api = manager.client.resource("v1", "secrets")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        child, leftover = pods.lister.find(name, namespace), leftovers.lister.find(f"disk-{name}", namespace)
        is_going = child is not None and "deletionTimestamp" in child.parse()["metadata"]
        if child is not None and not is_going and leftover is None:
            try:
                await api.create({"metadata": {"name": f"disk-{name}", "namespace": namespace}}, namespace)
            except AlreadyExists:
                return
        if leftover is not None and (is_going or (is_fixed and child is None)):
            try:
                await api.delete(f"disk-{name}", namespace, uid=leftover.uid)
            except (NotFound, Conflict):
                return

    controller = Controller("edge", reconcile, random=Random(1))
    manager.add(controller.watches(pods).watches(leftovers, lambda obj: f"default/{obj.name.removeprefix('disk-')}"))


def start_edge(world: World, variant: str) -> None:
    world.start(partial(edge, is_fixed=variant == FIXED), name="edge")


EDGE = Scenario(
    name="edge",
    title="what a pod leaves behind is removed only by who sees it go",
    start=start_edge,
    workload=[
        Create(CHILDREN, pod("web", node="node-1")),
        Until(LEFTOVERS, "disk-web"),
        Wait(2.0),
        Delete(CHILDREN, "web", grace_period_s=30),
        Wait(1.0),
        Delete(CHILDREN, "web", grace_period_s=0),
        Wait(5.0),
    ],
    guarantee="CoalesceProof",
    topology=Topology(latency_s=0.001, ring_capacity=16, ring_capacity_max=64),
    script=(Fault(At(1e9), Crash("edge")),),
)

ALL = (PAIRS, ZOMBIE, EDGE)
