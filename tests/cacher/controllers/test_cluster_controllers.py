"""A cluster that lives: a user's day from the first deployment until the namespace is gone, in virtual time."""

from __future__ import annotations

from random import Random

import pytest
import trio

from cacher import open_cluster
from cacher.controllers import ClusterControllers, ClusterOptions, KubeletOptions, cluster_controllers, undo_rollout
from cacher.simulation import run_deterministic
from reflector import Manager
from tests.cacher.controllers.living import EPOCH, workload
from watch import NotFound

REVISION = "deployment.kubernetes.io/revision"
OPTIONS = ClusterOptions(kubelets=KubeletOptions(nodes=5))


class Day:
    """What the user asks, and waits for."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.deployments = cluster.resource("apps/v1", "deployments")
        self.pods = cluster.resource("v1", "pods")
        self.namespaces = cluster.resource("v1", "namespaces")

    async def until(self, claim, within_s=300):
        with trio.move_on_after(within_s):
            while not await claim():
                await trio.sleep(0.5)
            return
        assert await claim()

    async def is_complete(self):
        found = await self.deployments.get("web", "a")
        wanted, status = found["spec"]["replicas"], found.get("status") or {}
        told = {one["type"]: one["reason"] for one in status.get("conditions", ())}
        return (
            [status.get(part, 0) for part in ("replicas", "updatedReplicas", "availableReplicas")] == [wanted] * 3
            and status.get("observedGeneration") == found["metadata"]["generation"]
            and told.get("Progressing") == "NewReplicaSetAvailable"
        )

    async def state(self):
        pods = [one.parse() for one in (await self.pods.list(namespace="a")).objects]
        images = sorted({one["spec"]["containers"][0]["image"] for one in pods})
        on_nodes = {one["spec"].get("nodeName") for one in pods}
        found = await self.deployments.get("web", "a")
        return len(pods), images, len(on_nodes), found["metadata"]["annotations"][REVISION]

    async def patch(self, spec):
        await self.deployments.patch("web", {"spec": spec}, "a")
        await self.until(self.is_complete)


async def live_a_day(cluster, many):
    """Returns what was there after each step."""
    day, seen = Day(cluster), []
    await day.namespaces.create({"metadata": {"name": "a"}})
    await day.deployments.create(workload("apps/v1", "Deployment", replicas=3), "a")
    await day.until(day.is_complete)
    seen.append(await day.state())
    await day.patch({"replicas": many})
    seen.append(await day.state())
    await day.patch({"template": {"spec": {"containers": [{"name": "main", "image": "v2"}]}}})
    seen.append(await day.state())
    await undo_rollout(cluster, "web", "a")
    await day.until(day.is_complete)
    await trio.sleep(10)  # the last old pods are given time to end
    seen.append(await day.state())

    await day.deployments.delete("web", "a", propagation_policy="Foreground")

    async def is_gone():
        return not (await day.pods.list(namespace="a")).objects and not (await day.deployments.list()).objects

    await day.until(is_gone)
    await day.namespaces.delete("a")

    async def is_namespace_gone():
        try:
            await day.namespaces.get("a")
        except NotFound:
            return True
        return False

    await day.until(is_namespace_gone)
    left = await cluster.etcd.range("/registry/", "/registry0")
    seen.append(sorted(kv.key.decode() for kv in left.kvs if b"/a/" in kv.key))
    return seen


async def run_a_day(seed, many):
    async with open_cluster(random=Random(seed), epoch_s=EPOCH) as cluster:
        made = cluster_controllers(cluster, random=Random(seed + 1), clock=cluster.clock, options=OPTIONS)
        async with made as controllers:
            seen = await live_a_day(cluster, many)
            failures = [one for one in controllers.statistics() if one.failures > one.conflicts]
            assert [one.last_error for one in failures] == []
            return seen, cluster.etcd.revision


@pytest.mark.slow
def test_a_day_from_the_first_deployment_until_the_namespace_is_gone():
    seen, _ = run_deterministic(run_a_day, 3, 50, seed=3)
    created, scaled, rolled, undone, left = seen
    assert created == (3, ["v1"], 3, "1")
    assert (scaled[0], scaled[1], scaled[2]) == (50, ["v1"], 5)
    assert rolled[3] == "2"
    assert undone == (50, ["v1"], 5, "3")
    assert left == []


@pytest.mark.slow
@pytest.mark.determinism
def test_the_same_seed_lives_the_same_day():
    assert run_deterministic(run_a_day, 5, 6, seed=5) == run_deterministic(run_a_day, 5, 6, seed=5)


@pytest.mark.slow
def test_over_a_managers_client_the_journal_says_why_a_pod_was_made(run_trio):
    async def main():
        async with open_cluster(random=Random(1), epoch_s=EPOCH) as cluster, trio.open_nursery() as nursery:
            manager = Manager(cluster, random=Random(2), clock=cluster.clock)
            controllers = ClusterControllers(
                manager.client, random=Random(3), clock=cluster.clock, options=OPTIONS, informers=manager.informers
            )
            nursery.start_soon(manager.informers.run)
            nursery.start_soon(controllers.run)
            day = Day(cluster)
            await day.namespaces.create({"metadata": {"name": "a"}})
            await day.deployments.create(workload("apps/v1", "Deployment", replicas=1), "a")
            await day.until(day.is_complete)
            nursery.cancel_scope.cancel()
            return manager.journal.writes(controller="replicaset-controller", plural="pods")

    created, *_ = run_trio(main)
    read = [(one.verb, one.source.removeprefix("copy cluster/"), one.found) for one in created.reads]
    assert created.verb == "create"
    assert read == [
        ("get", "apps/v1/replicasets/everything", 1),
        ("list", "v1/pods/everything", 0),  # its own
        ("list", "v1/pods/everything", 0),  # nobody's
        ("list", "apps/v1/replicasets/everything", 1),  # its siblings, and their pods
        ("list", "v1/pods/everything", 0),
    ]
    assert "0.000 s old at most" in created.why()


def test_what_is_left_out_does_not_run():
    cluster_options = ClusterOptions(**dict.fromkeys(ClusterOptions.__struct_fields__))

    async def main():
        async with open_cluster(random=Random(1), epoch_s=EPOCH) as cluster:
            return ClusterControllers(cluster, random=Random(1), clock=cluster.clock, options=cluster_options).running

    assert trio.run(main) == ()
