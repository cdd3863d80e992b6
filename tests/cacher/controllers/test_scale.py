"""Many nodes and pods in one process: all of them get to run, and no node gets more than it has."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
import trio

from cacher import open_cluster
from cacher.controllers import KubeletOptions, NodeLifecycleController, NodeShape, Scheduler, SimulatedKubelets
from reflector import SharedInformers
from tests.cacher.controllers.live import EPOCH_S


@pytest.mark.parametrize(
    ("nodes", "pods"),
    [
        pytest.param(40, 400, marks=pytest.mark.slow),
        pytest.param(5_000, 50_000, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_all_pods_of_a_cluster_that_has_room_for_exactly_these_run_and_are_ready(run_trio, nodes, pods):
    """Ten pods a node, and each node has room for ten: whoever is put wrong once leaves one without a place."""

    async def main() -> None:
        random = Random(7)
        async with open_cluster(random=random, epoch_s=EPOCH_S) as cluster, trio.open_nursery() as nursery:
            informers = SharedInformers(cluster, random=random)
            shape = NodeShape(capacity={"cpu": "10", "memory": "10Gi", "pods": "110"})
            options = KubeletOptions(nodes=nodes, shape=shape)
            scheduler = Scheduler(cluster, informers, random=random, clock=cluster.clock)
            kubelets = SimulatedKubelets(cluster, informers, random=random, clock=cluster.clock, options=options)
            lifecycle = NodeLifecycleController(cluster, informers, random=random, clock=cluster.clock)
            for one in (informers, scheduler, kubelets, lifecycle):
                nursery.start_soon(one.run)
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
            await cluster.resource("v1", "namespaces").create(namespace)
            asks = {"requests": {"cpu": "1", "memory": "1Gi"}}
            spec: dict[str, Any] = {"containers": [{"name": "main", "image": "app", "resources": asks}]}
            for number in range(pods):
                body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{number}"}, "spec": spec}
                await cluster.resource("v1", "pods").create(body, "default")
            store = informers.informer("v1", "pods").store
            with trio.fail_after(600):
                while not all(obj.field("status.phase") == "Running" for obj in store.objects()) or len(store) < pods:
                    await trio.sleep(1)
            on = Counter(obj.field("spec.nodeName") for obj in store.objects())
            assert set(on.values()) == {10}
            assert len(on) == nodes
            addresses = {obj.field("status.podIP") for obj in store.objects()}
            assert len(addresses) == pods
            scheduler.table.check()
            for controller in (scheduler.controller, kubelets.pod_controller, lifecycle.node_controller):
                assert controller.statistics().panics == 0
            nursery.cancel_scope.cancel()

    run_trio(main)
