"""Owners that are replaced by others of their name, so fast that no controller sees them gone (kubernetes issue 69376)."""

from __future__ import annotations

from random import Random

import pytest
import trio

from cacher import open_cluster
from cacher.controllers import DaemonSetController, JobController, ReplicaSetController, StatefulSetController
from reflector import SharedInformers
from tests.cacher.controllers.living import EPOCH, workload
from tests.cacher.controllers.meddling import MeddledClient


def replicas(api_version, kind):
    return workload(api_version, kind, replicas=3)


def job(api_version, kind):
    made = workload(api_version, kind, parallelism=3, completions=3)
    del made["spec"]["selector"]
    del made["spec"]["template"]["metadata"]
    made["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    return made


def stateful(api_version, kind):
    return workload(api_version, kind, replicas=3, serviceName="web", podManagementPolicy="Parallel")


KINDS = [
    (ReplicaSetController, "apps/v1", "replicasets", "ReplicaSet", replicas),
    (StatefulSetController, "apps/v1", "statefulsets", "StatefulSet", stateful),
    (JobController, "batch/v1", "jobs", "Job", job),
    (DaemonSetController, "apps/v1", "daemonsets", "DaemonSet", workload),
]


@pytest.mark.parametrize(("controller", "version", "plural", "kind", "body"), KINDS, ids=[row[3] for row in KINDS])
def test_a_namesake_has_its_pods_long_before_its_predecessors_would_be_given_up(
    run_trio, controller, version, plural, kind, body
):
    async def main():
        async with open_cluster(random=Random(7), epoch_s=EPOCH, checks_namespaces=False) as cluster:
            api, random = MeddledClient(cluster), Random(7)
            informers = SharedInformers(api, random=random)
            owners, pods = cluster.resource(version, plural), cluster.resource("v1", "pods")
            for name in ("n1", "n2", "n3"):
                await cluster.resource("v1", "nodes").create({"metadata": {"name": name}})

            async def replace() -> None:
                """Just before the first pod is made; and everybody but the controller knows of it."""
                await owners.delete("web", "a", propagation_policy="Background")
                await owners.create(body(version, kind), "a")
                await trio.sleep(1)

            async def clear() -> None:
                """As the garbage collector does."""
                for obj in (await pods.list()).objects:
                    (owner,) = obj.to_dict()["metadata"]["ownerReferences"]
                    if owner["uid"] != uid:
                        await pods.patch(obj.name, {"metadata": {"finalizers": None}}, "a")
                        await pods.delete(obj.name, "a", grace_period_s=0)

            api.once("create", "pods", replace)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(informers.run)
                nursery.start_soon(controller(api, informers, random=random, clock=cluster.clock).run)
                await owners.create(body(version, kind), "a")
                await trio.sleep(5)
                uid = (await owners.get("web", "a"))["metadata"]["uid"]
                await clear()
                await trio.sleep(60)
                left = [obj.to_dict()["metadata"]["ownerReferences"][0]["uid"] for obj in (await pods.list()).objects]
                assert left == [uid] * 3
                nursery.cancel_scope.cancel()
            assert api.has_meddled

    run_trio(main)
