"""two-nodes-one-pod: a kubelet that comes back to a cache of the past starts the pod of then, and the pod of now runs elsewhere.

    api-2  pod-0 (uid 1) on n1 ─────────── frozen here ──────────────────────────────┐
    api-1  pod-0 (uid 1) ends on n1, is gone; pod-0 (uid 2) runs on n2 ── kubelet n1 ┘ restarts on api-2: "pod-0 is mine",
                                                                                        and starts it: two of them write to one disk
Kubernetes issue 59848, open since 2018: that one name never runs twice is what StatefulSets promise, and the first list of a
restarted kubelet takes whatever the server's cache holds. It is the one list that may go back in time: later ones begin at what was
seen. The user here plays the StatefulSet: one pod of a name, and a new one only when the old one is gone.

The fix asks the store before it starts or stops anything; a first list that the store answers would do it for all pods at once.
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
from reflector import Manager, delete_exactly, patch_exactly
from watch import NotFound

PODS = "v1/pods"
RUNNING = {"status.phase": "Running"}


class Machines:
    """What runs on which node, whatever the API says of it. Containers outlive the kubelet that started them."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        self._uids: dict[tuple[str, str], str] = {}

    def uid(self, node: str, pod: str) -> str:
        """The uid of the pod of that name that runs on the node; "" for none."""
        return self._uids.get((node, pod), "")

    def start(self, node: str, pod: str, uid: str) -> None:
        """Start a pod's containers, if they do not run; it is written down where its name runs elsewhere."""
        if self.uid(node, pod) == uid:
            return
        others = [other for other, name in self._uids if name == pod and other != node]
        self.twice += [f"{pod} was started on {node} while it ran on {other}" for other in others]
        self._uids[node, pod] = uid

    def stop(self, node: str, pod: str) -> None:
        """Stop them, and wait until they are gone."""
        self._uids.pop((node, pod), None)


def kubelet(manager: Manager, *, node: str, machines: Machines, fixed: bool) -> None:
    """Runs the pods that are bound to the node, and lets a pod go when it has stopped it."""
    pods = manager.informers.informer("v1", "pods", fields=f"spec.nodeName={node}")
    api = manager.client.resource("v1", "pods")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        shown = pods.lister.find(name, namespace)
        pod = await asked(name, namespace) if fixed else None if shown is None else shown.to_dict()
        if pod is None or is_ending(pod) or machines.uid(node, key) != pod["metadata"]["uid"]:
            machines.stop(node, key)
        if pod is None:
            return
        if is_ending(pod):
            with suppress(NotFound):
                await delete_exactly(api, pod, any_version=True, grace_period_s=0)
            return
        machines.start(node, key, pod["metadata"]["uid"])
        if pod.get("status", {}).get("phase") != "Running":
            await patch_exactly(api.subresource("status"), pod, {"status": {"phase": "Running"}})

    async def asked(name: str, namespace: str) -> dict[str, Any] | None:
        with suppress(NotFound):
            pod = await api.get(name, namespace)
            return pod if pod["spec"].get("nodeName") == node else None
        return None

    manager.add(keen_controller(f"kubelet of {node}", reconcile).watches(pods))


def is_ending(pod: dict[str, Any]) -> bool:
    """Whether somebody has asked for the pod's end."""
    return "deletionTimestamp" in pod["metadata"]


def start(world: World, variant: str) -> None:
    """Two nodes with a kubelet each; whether a pod ever ran on both is looked at when all is quiet."""
    machines = Machines()

    def no_pod_ran_twice(world: World) -> str:
        return "; ".join(machines.twice)

    world.at_rest(no_pod_ran_twice)
    for node in ("n1", "n2"):
        world.start(partial(kubelet, node=node, machines=machines, fixed=variant == "fixed"), name=f"kubelet-{node}")


def workload(random: Random) -> Sequence[AnyOperation]:
    """Two pods run, each on a node; both end, and come again under their names on the other node."""

    def pod(name: str, node: str) -> dict[str, Any]:
        spec = {"containers": [{"name": "db", "image": "db:1"}], "nodeName": node, "terminationGracePeriodSeconds": 30}
        return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}

    names = ("pod-0", "pod-1")
    done: list[AnyOperation] = [Create(PODS, pod(name, node)) for name, node in zip(names, ("n1", "n2"), strict=True)]
    done += [*(Until(PODS, name, where=RUNNING) for name in names), Wait(random.uniform(1, 5))]
    for name, node in zip(names, ("n2", "n1"), strict=True):
        done += [Delete(PODS, name), Until(PODS, name, exists=False), Create(PODS, pod(name, node))]
    return [*done, Until(PODS, "pod-0", where=RUNNING), Wait(25)]


SCENARIO = Scenario(
    name="two-nodes-one-pod",
    title="a kubelet that comes back to a cache of the past starts the pod of then, and the pod of now runs elsewhere",
    source="kubernetes/kubernetes#59848",
    guarantee="Checks",
    topology=Topology(servers=2),
    workload=workload,
    start=start,
    script=(
        Fault(
            Upon("server-received", PODS, change="updated", field="status.phase", becomes="Running", who="api-2"),
            PauseCache("api-2", PODS),
            for_s=40,
        ),
        Fault(
            Later(Upon("server-received", PODS, change="created", who="api-1", occurrence=3), 5),
            Crash("kubelet-n1", restart_on="api-2"),
        ),
    ),
)
