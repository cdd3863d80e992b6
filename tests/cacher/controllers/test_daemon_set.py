"""Daemon sets at work, on a cluster in this process and in virtual time. Here nobody binds pods: they are where they are for."""

from __future__ import annotations

from cacher.controllers import DaemonSetController
from tests.cacher.controllers.living import living, workload


def node_of(pod):
    affinity = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]


class Agent:
    def __init__(self, life):
        self.life = life
        self.sets = life.cluster.resource("apps/v1", "daemonsets")
        self.nodes = life.cluster.resource("v1", "nodes")

    async def add_node(self, name, **labels):
        await self.nodes.create({"metadata": {"name": name, "labels": labels}})

    async def where(self):
        pods = await self.life.objects("v1", "pods")
        return sorted(node_of(pod) for pod in pods)

    async def is_complete(self):
        found = await self.sets.get("agent", "a")
        status = found["status"]
        wanted = status.get("desiredNumberScheduled", -1)
        counts = ("currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")
        return (
            all(status.get(name, 0) == wanted for name in counts)
            and status.get("observedGeneration") == found["metadata"]["generation"]
            and len(await self.life.objects("v1", "pods")) == wanted
        )


def test_each_node_that_fits_has_one_also_those_that_come_and_after_an_update(run_trio):
    async def main():
        async with living() as life:
            life.start(DaemonSetController)
            agent = Agent(life)
            for number in range(3):
                await agent.add_node(f"n{number}", disk="ssd")
            await agent.add_node("other")
            made = workload("apps/v1", "DaemonSet", "agent")
            made["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
            await agent.sets.create(made, "a")
            await life.until(agent.is_complete)
            assert await agent.where() == ["n0", "n1", "n2"]

            await agent.add_node("n3", disk="ssd")
            await agent.nodes.patch("n0", {"metadata": {"labels": {"disk": "hdd"}}})

            async def moved():
                return await agent.where() == ["n1", "n2", "n3"] and await agent.is_complete()

            await life.until(moved)
            before = {pod["metadata"]["uid"] for pod in await life.objects("v1", "pods")}
            image = {"template": {"spec": {"containers": [{"name": "main", "image": "v2"}]}}}
            await agent.sets.patch("agent", {"spec": image}, "a")
            await life.until(agent.is_complete)
            pods = await life.objects("v1", "pods")
            assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"v2"}
            assert not before & {pod["metadata"]["uid"] for pod in pods}
            assert len(await life.objects("apps/v1", "controllerrevisions")) == 2
            life.assert_no_mistakes()

    run_trio(main)
