"""A cluster that lives in one process: how long until all of its pods run, and what that costs.

Nodes are registered first, and are not counted. Then pods are created, each is scheduled among all nodes, and taken to Running by
the kubelet of its node: four writes a pod, each with its validation and managedFields, and each told to all who watch. Nodes renew
their leases meanwhile, every 40 s and not every 10 s: else 5,000 of them alone would be 500 writes a second.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import trio

from cacher import Cluster, open_cluster
from cacher.controllers import (
    KubeletOptions,
    NodeLifecycleController,
    NodeLifecycleOptions,
    Scheduler,
    SimulatedKubelets,
)
from reflector import SharedInformers

PEER = "KWOK: 20 pods/s, as its own documentation says"
CREATORS = 32
LEASE_RENEW_S = 40.0
_POLL_S = 0.25
_REQUESTS = {"cpu": "100m", "memory": "64Mi"}


class Alive(msgspec.Struct, frozen=True):
    """A cluster of this size."""

    nodes: int
    pods: int

    @property
    def name(self) -> str:
        """The row."""
        return f"alive: {self.nodes:,} nodes, {self.pods:,} pods"


class Lived(msgspec.Struct, frozen=True):
    """One run."""

    running_s: float
    """From the first creation until all pods run and are ready."""
    cpu_s: float
    events_per_s: float
    """What the store wrote, its nodes' leases among it."""
    memory_bytes: int
    """What the process had grown by, at the end."""


def alive_cases(*, quick: bool = False, full: bool = False) -> Iterator[Alive]:
    """A small one; `full`: also the one that is the aim, which takes long; `quick`: a tenth of the small one."""
    yield Alive(20, 200) if quick else Alive(200, 2_000)
    if full:
        yield Alive(5_000, 50_000)


def measure_alive(case: Alive, *, seed: int) -> Lived:
    """The row, once, on the real clock."""
    gc.collect()
    return trio.run(_live, case, seed)


async def _live(case: Alive, seed: int) -> Lived:
    random, before = Random(seed), _memory()
    async with open_cluster(random=random) as cluster, trio.open_nursery() as nursery:
        informers = SharedInformers(cluster, random=random)
        kubelets = KubeletOptions(nodes=case.nodes, lease_renew_s=LEASE_RENEW_S)
        scheduler = Scheduler(cluster, informers, random=random, clock=cluster.clock)
        simulated = SimulatedKubelets(cluster, informers, random=random, clock=cluster.clock, options=kubelets)
        patient = NodeLifecycleOptions(grace_s=4 * LEASE_RENEW_S)
        lifecycle = NodeLifecycleController(cluster, informers, random=random, clock=cluster.clock, options=patient)
        for run in (informers.run, scheduler.run, simulated.run, lifecycle.run):
            nursery.start_soon(run)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
        await cluster.resource("v1", "namespaces").create(namespace)
        while scheduler.table.nodes < case.nodes:
            await trio.sleep(_POLL_S)
        began, cpu, revision = trio.current_time(), time.process_time(), cluster.etcd.revision
        nursery.start_soon(_create, cluster, case.pods)
        pods = informers.informer("v1", "pods").store
        while sum(obj.field("status.phase") == "Running" for obj in pods.objects()) < case.pods:
            await trio.sleep(_POLL_S)
        elapsed = trio.current_time() - began
        lived = Lived(
            elapsed,
            time.process_time() - cpu,
            (cluster.etcd.revision - revision) / elapsed,
            _memory() - before,
        )
        nursery.cancel_scope.cancel()
    return lived


async def _create(cluster: Cluster, count: int) -> None:
    pods, numbers = cluster.resource("v1", "pods"), iter(range(count))
    containers = [{"name": "main", "image": "app:v1", "resources": {"requests": _REQUESTS}}]

    async def create() -> None:
        for number in numbers:
            body = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"pod-{number}"},
                "spec": {"containers": containers},
            }
            await pods.create(body, "default", field_manager="kubectl")

    async with trio.open_nursery() as nursery:
        for _ in range(CREATORS):
            nursery.start_soon(create)


def _memory() -> int:
    """The process's memory now; 0 where the system does not tell it so."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if told.exists() else 0
