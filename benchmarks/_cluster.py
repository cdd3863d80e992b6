"""A whole cluster in one process: deployments become ReplicaSets and pods, which are scheduled, run and become ready.

All of it is real but the nodes: the API with its rules and managedFields, etcd, caches, informers, controllers, scheduler, and a
kubelet for each node that says what a kubelet says. The clock is virtual, so nobody waits for a pod that takes a second to start,
and 5,000 nodes renew their leases only as often as virtual time passes: what is measured is the work.

Beside it: KWOK (https://kwok.sigs.k8s.io) publishes 20 pods/s, with a real control plane and in real time.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import trio
import trio.testing

from cacher import Cluster, open_cluster
from cacher.controllers import ClusterOptions, KubeletOptions, ReplicaSetOptions, cluster_controllers

PEER = "KWOK's published 20 pods/s, with a real control plane in real time"
USUAL, FULL = "50x1000", "5000x50000"
"""Nodes and pods: what is measured unless told otherwise, and the aim."""
PODS_EACH = 250
"""Of one deployment."""
BATCH_S = 1.0
"""Pods of a ReplicaSet that become ready within a second are one status of it: in real time the API's own latency sees to that."""
EPOCH_S = 1_800_000_000.0


class Rollout(msgspec.Struct, frozen=True):
    """One size of cluster."""

    nodes: int
    pods: int

    @property
    def name(self) -> str:
        """For the table, and for --only."""
        return f"rollout: {self.nodes:,} nodes, {self.pods:,} pods"


class Rolled(msgspec.Struct, frozen=True):
    """What one run came to. Seconds are of the wall clock, `cpu_s` of the processor."""

    nodes_s: float
    """Until every node was there."""
    pods_s: float
    """From the first deployment until every pod was Running and Ready, and every deployment complete."""
    cpu_s: float
    """In that time."""
    virtual_s: float
    """How much time passed in the cluster."""
    events: int
    """Writes in that time, each an event for caches and informers."""
    peak_rss_mb: float
    """Of the process, with all that it measured before."""


def rollouts(text: str, *, quick: bool = False) -> Iterator[Rollout]:
    """What is measured: `text` is "NODESxPODS", several with commas. `quick`: a tenth.

    Raises:
        ValueError: it is none.
    """
    for part in text.split(","):
        nodes, _, pods = part.partition("x")
        if not (nodes.isdigit() and pods.isdigit() and int(nodes) and int(pods)):
            raise ValueError(f"{part!r} is no size of a cluster: write NODESxPODS, such as {FULL}")
        scale = 10 if quick else 1
        yield Rollout(max(1, int(nodes) // scale), max(1, int(pods) // scale))


def measure_rollout(case: Rollout, seed: int) -> Rolled:
    """One run."""
    gc.collect()
    return trio.run(_live, case, seed, clock=trio.testing.MockClock(autojump_threshold=0))


async def _live(case: Rollout, seed: int) -> Rolled:
    chance = Random(seed)
    options = ClusterOptions(kubelets=KubeletOptions(nodes=case.nodes), replica_sets=ReplicaSetOptions(batch_s=BATCH_S))
    async with open_cluster(random=Random(chance.getrandbits(64)), epoch_s=EPOCH_S) as cluster:
        began = time.perf_counter()
        made = cluster_controllers(cluster, random=Random(chance.getrandbits(64)), clock=cluster.clock, options=options)
        async with made:
            await _until_there(cluster, "v1", "nodes", case.nodes)
            nodes_s = time.perf_counter() - began
            began, cpu, virtual = time.perf_counter(), time.process_time(), trio.current_time()
            first = cluster.etcd.revision
            await _create(cluster, case.pods)
            await _until_complete(cluster, case.pods)
            return Rolled(
                nodes_s=nodes_s,
                pods_s=time.perf_counter() - began,
                cpu_s=time.process_time() - cpu,
                virtual_s=trio.current_time() - virtual,
                events=cluster.etcd.revision - first,
                peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            )


async def _create(cluster: Cluster, pods: int) -> None:
    """Deployments of PODS_EACH pods, the last one of what is left, ten to a namespace."""
    namespaces, deployments = cluster.resource("v1", "namespaces"), cluster.resource("apps/v1", "deployments")
    for number, before in enumerate(range(0, pods, PODS_EACH)):
        namespace = f"team-{number // 10}"
        if number % 10 == 0:
            await namespaces.create({"metadata": {"name": namespace}})
        await deployments.create(_deployment(f"web-{number}", min(PODS_EACH, pods - before)), namespace)


def _deployment(name: str, replicas: int) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "registry.example/app:v1",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    labels = {"app": name}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


async def _until_there(cluster: Cluster, version: str, plural: str, count: int) -> None:
    door = cluster.resource(version, plural)
    while len((await door.list(resource_version="0")).objects) < count:
        await trio.sleep(0.5)


async def _until_complete(cluster: Cluster, pods: int) -> None:
    """The deployments count available pods, and that is what users wait for."""
    deployments = cluster.resource("apps/v1", "deployments")
    while True:
        found = (await deployments.list(resource_version="0")).objects
        statuses = [one.parse()["status"] for one in found]
        if sum(int(status.get("availableReplicas") or 0) for status in statuses) == pods:
            break
        await trio.sleep(0.5)
    running = await cluster.resource("v1", "pods").list(fields="status.phase=Running", resource_version="0")
    assert len(running.objects) == pods, f"{len(running.objects)} of {pods} pods are running"
