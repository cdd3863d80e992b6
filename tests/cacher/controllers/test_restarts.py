"""Controllers that end at any moment, and others that take over: nothing is done twice, and nothing is left undone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio

from cacher import Cluster, open_cluster
from cacher.controllers import (
    EndpointSliceController,
    GarbageCollector,
    KubeletOptions,
    NamespaceController,
    NodeLifecycleController,
    Scheduler,
    SimulatedKubelets,
)
from reflector import SharedInformers
from tests.cacher.controllers.live import EPOCH_S
from watch import NotFound


@asynccontextmanager
async def controllers(cluster: Cluster, seed: int) -> AsyncIterator[None]:
    """All of them, made anew, for a while."""
    random = Random(seed)
    informers = SharedInformers(cluster, random=random)
    made: list[Any] = [
        GarbageCollector(cluster, informers, random=random),
        EndpointSliceController(cluster, informers, random=random),
    ]
    for kind in (Scheduler, NodeLifecycleController, NamespaceController):
        made.append(kind(cluster, informers, random=random, clock=cluster.clock))
    options = KubeletOptions(nodes=3)
    made.append(SimulatedKubelets(cluster, informers, random=random, clock=cluster.clock, options=options))
    async with trio.open_nursery() as nursery:
        for one in (informers, *made):
            nursery.start_soon(one.run)
        yield
        nursery.cancel_scope.cancel()


async def pods_of(cluster: Cluster, namespace: str) -> list[Any]:
    listed = await cluster.resource("v1", "pods").list(namespace=namespace)
    return [obj.to_dict() for obj in listed.objects]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whenever_they_end_those_that_follow_finish_the_work(run_trio, seed):
    """A namespace with a service and pods is made, lives, and goes, while all controllers end again and again, anywhere."""

    async def main() -> None:
        chance = Random(seed)
        async with open_cluster(random=Random(1), epoch_s=EPOCH_S) as cluster:
            for name in ("kube-node-lease", "team"):
                namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                await cluster.resource("v1", "namespaces").create(namespace)
            for number in range(4):
                metadata = {"name": f"p{number}", "labels": {"app": "web"}}
                spec = {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 3}
                body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
                await cluster.resource("v1", "pods").create(body, "team")
            service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
            body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service}
            await cluster.resource("v1", "services").create(body, "team")
            await _short_lives(cluster, chance)
            async with controllers(cluster, 1000):
                await trio.sleep(20)
            pods = await pods_of(cluster, "team")
            assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 4
            assert len({pod["status"]["podIP"] for pod in pods}) == 4
            assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [0] * 4
            slices = (await cluster.resource("discovery.k8s.io/v1", "endpointslices").list(namespace="team")).objects
            assert [len(one.parse()["endpoints"]) for one in slices] == [4]
            await cluster.resource("v1", "namespaces").delete("team")
            await _short_lives(cluster, chance)
            async with controllers(cluster, 1001):
                await trio.sleep(30)
            with pytest.raises(NotFound):
                await cluster.resource("v1", "namespaces").get("team")
            assert await pods_of(cluster, "team") == []

    run_trio(main)


async def _short_lives(cluster: Cluster, chance: Random) -> None:
    """Each of some turns of the scheduler at a time that is drawn: so some end in the middle of a write."""
    for seed in range(12):
        async with controllers(cluster, seed):
            await trio.sleep(chance.choice((0, 0, 0.5, 1.5)))
            for _ in range(chance.randrange(300)):
                await trio.lowlevel.checkpoint()
