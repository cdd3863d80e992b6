"""missed-edge: what is done when something is seen to go is not done when nobody sees it go.

A controller gives each pod a volume claim, and deletes the claim when it sees that the pod terminates. A pod may terminate and be
gone between two looks: then the claim stays for ever, and the next pod of that name starts with the data of one that was taken
out of service (instaclustr/cassandra-operator issue 398). The fix asks what there is, and not what happened: a claim without
its pod goes, whenever that is noticed; of a pod that is seen to end, its own claim alone, since the copy may be of an earlier one.

    pod-1 runs │ terminates │ gone          what the controller sees:   pod-1 runs │              │ nothing
               └── the edge ──┘                                                    └─ not seen ───┘
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random

import trio

from cacher.simulation import (
    AnyOperation,
    BlockEvents,
    Create,
    Delete,
    Fault,
    Scenario,
    Until,
    Upon,
    Wait,
    World,
    keen_controller,
)
from reflector import Manager, controller_reference, delete_exactly
from watch import AlreadyExists, NotFound, Object

PODS = "v1/pods"
CLAIMS = "v1/persistentvolumeclaims"
ASKING_S = 0.1


def claims(manager: Manager, *, fixed: bool) -> None:
    """A pod has a claim of its name, which is to go with it."""
    pods = manager.informers.informer("v1", "pods")
    held = manager.informers.informer("v1", "persistentvolumeclaims")
    api = manager.client.resource("v1", "persistentvolumeclaims")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        await trio.sleep(ASKING_S)  # it asks the database first which disks it has
        pod, claim = pods.lister.find(name, namespace), held.lister.find(name, namespace)
        is_ending = pod is not None and "deletionTimestamp" in pod.parse()["metadata"]
        is_unused = pod is None or (is_ending and is_of(claim, pod)) if fixed else is_ending
        if pod is not None and not is_ending and claim is None:
            with suppress(AlreadyExists):
                await api.create(claim_of(pod), namespace)
        elif is_unused and claim is not None:
            with suppress(NotFound):
                await delete_exactly(api, claim, any_version=True)

    controller = keen_controller("claims", reconcile)
    manager.add(controller.watches(pods).watches(held))


def claim_of(pod: Object) -> dict[str, object]:
    """The claim of a pod, under its name."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": pod.name, "ownerReferences": [controller_reference(pod, "v1", "Pod")]}, "spec": spec}


def is_of(claim: Object | None, pod: Object) -> bool:
    """Whether the claim is this very pod's, and not that of another of its name."""
    owners = claim.parse()["metadata"].get("ownerReferences", []) if claim is not None else []
    return any(owner["uid"] == pod.uid for owner in owners)


def nothing_is_leaked(world: World) -> str:
    """Once all is quiet, no claim is without its pod."""
    pods = {pod.name for pod in world.objects(PODS)}
    leaked = [claim.name for claim in world.objects(CLAIMS) if claim.name not in pods]
    return f"the claims {', '.join(leaked)} have no pod" if leaked else ""


def start(world: World, variant: str) -> None:
    """One controller; claims are looked at when everything has come to rest."""
    world.at_rest(nothing_is_leaked)
    world.start(partial(claims, fixed=variant == "fixed"), name="claims")


def workload(random: Random) -> Sequence[AnyOperation]:
    """Two pods run; one is told to end, and is gone a moment later."""

    def pod(name: str) -> dict[str, object]:
        spec = {"containers": [{"name": "c", "image": "c:1"}], "nodeName": "n1", "terminationGracePeriodSeconds": 2}
        return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}

    return [
        Create(PODS, pod("pod-0")),
        Create(PODS, pod("pod-1")),
        Until(CLAIMS, "pod-1"),
        Wait(5),
        Delete(PODS, "pod-1"),
        Wait(2),
        Delete(PODS, "pod-1", grace_period_s=0),
        Wait(20),
    ]


SCENARIO = Scenario(
    name="missed-edge",
    title="what is done when something is seen to go is not done when nobody sees it go",
    source="instaclustr/cassandra-operator#398",
    guarantee="Checks",
    workload=workload,
    start=start,
    script=(
        Fault(Upon("before-received", PODS, change="updated", who="claims"), BlockEvents("claims", PODS), for_s=10),
    ),
)
