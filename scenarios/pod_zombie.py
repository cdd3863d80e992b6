"""pod-zombie: what belongs to a pod is taken away by the pod's name, and the name has a new pod.

    api-2  pod c-1 (uid 1), terminating ───── frozen here ───────────────────┐
    api-1  c-1 (uid 1) goes, c-1 (uid 2) comes, with a claim ── controller ──┘ restarts on api-2: "c-1 is terminating",
                                                                               and deletes the claim of uid 2
The second lesson of zombie-delete (cassandra-operator issue 407): its repair was to compare the uid of the owner, and here the
owner is the same all along. Sieve convicted the repair. The fix compares what the thing belongs to: the claim says of which pod.
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
    keen_controller,
)
from reflector import Manager, delete_exactly
from watch import AlreadyExists, NotFound, Object

PODS = "v1/pods"
CLAIMS = "v1/configmaps"
OF_POD = "example.com/of-pod"


def claims(manager: Manager, *, fixed: bool) -> None:
    """A pod has a claim of its name (here a config map, which nothing protects), which goes when the pod does."""
    pods = manager.informers.informer("v1", "pods")
    held = manager.informers.informer("v1", "configmaps")
    api = manager.client.resource("v1", "configmaps")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        pod, claim = pods.lister.find(name, namespace), held.lister.find(name, namespace)
        if pod is None:
            return
        is_ending = "deletionTimestamp" in pod.parse()["metadata"]
        if not is_ending and claim is None:
            with suppress(AlreadyExists):
                metadata = {"name": name, "annotations": {OF_POD: pod.uid}}
                await api.create({"metadata": metadata, "data": {"disk": name}}, namespace)
        elif is_ending and claim is not None and (not fixed or is_of(claim, pod)):
            with suppress(NotFound):
                await delete_exactly(api, claim, any_version=True)

    controller = keen_controller("claims", reconcile)
    manager.add(controller.watches(pods).watches(held))


def is_of(claim: Object, pod: Object) -> bool:
    """Whether a claim was made for this very pod."""
    return bool(claim.parse()["metadata"]["annotations"][OF_POD] == pod.uid)


def start(world: World, variant: str) -> None:
    """One operator, which talks to the first server until it is told otherwise."""
    world.start(partial(claims, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A pod runs, terminates for a while, is gone, and comes again under its name."""
    spec = {"containers": [{"name": "c", "image": "c:1"}], "nodeName": "n1", "terminationGracePeriodSeconds": 5}
    pod = {"metadata": {"name": "c-1", "namespace": "default"}, "spec": spec}
    return [
        Create(PODS, pod),
        Until(CLAIMS, "c-1"),
        Delete(PODS, "c-1"),
        Until(CLAIMS, "c-1", exists=False),
        Wait(3),
        Delete(PODS, "c-1", grace_period_s=0),
        Until(PODS, "c-1", exists=False),
        Create(PODS, pod),
        Until(CLAIMS, "c-1"),
        Wait(30),
    ]


SCENARIO = Scenario(
    name="pod-zombie",
    title="what belongs to a pod is taken away by the pod's name, and the name has a new pod",
    source="instaclustr/cassandra-operator#407",
    guarantee="NoStaleDestruction",
    topology=Topology(servers=2),
    workload=workload,
    start=start,
    script=(
        Fault(
            Upon("server-received", PODS, change="updated", field="metadata.deletionTimestamp", who="api-2"),
            PauseCache("api-2", PODS),
            for_s=30,
        ),
        Fault(
            Later(Upon("server-received", CLAIMS, change="created", who="api-1", occurrence=2), 5),
            Crash("operator", restart_on="api-2"),
        ),
    ),
)
