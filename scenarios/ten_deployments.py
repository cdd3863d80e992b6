"""What users did to ten deployments while a real control plane was recorded, done again with the controllers of this library.

    python scenarios/ten_deployments.py [--seed N]

The cluster begins as the recorded one began, at its time of day. Then users create, relabel, roll out, scale, break, undo and
delete, as they did there. In the end the two clusters are compared: every object's owners, finalizers, labels, conditions,
numbers of replicas and revisions. Names that were made up, uids, addresses, times and nodes are chance, and differ.

The clock is virtual: these three minutes take some seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from cacher import Resource
from cacher.simulation import (
    Outcome,
    Reenactment,
    Streams,
    Trace,
    find_trace,
    load_trace,
    open_reenactment,
    run_deterministic,
)
from watch import PatchType

BACKGROUND = "Background"
NAMESPACES = {f"web-{number}": "team-b" if number in (5, 7, 9) else "team-a" for number in range(10)}
FIRST_IMAGE = "registry.example/app-1:v1"


def deployment(name: str) -> dict[str, Any]:
    """Five pods, of which one may be missing and two too many during a rollout."""
    labels = {"app": name, "tier": "backend" if int(name[-1]) % 2 else "frontend"}
    container = {
        "name": "main",
        "image": FIRST_IMAGE,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 5,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 2}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
            },
        },
    }


def service(name: str) -> dict[str, Any]:
    """In front of the deployment of that name."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"selector": {"app": name}, "ports": ports}}


class Users:
    """Whoever sits at kubectl."""

    def __init__(self, stage: Reenactment, seed: int) -> None:
        self.stage = stage
        self.chance = Streams(seed).stream("users")
        cluster = stage.cluster
        self.deployments: Resource = cluster.resource("apps/v1", "deployments")
        self.services: Resource = cluster.resource("v1", "services")
        self.namespaces: Resource = cluster.resource("v1", "namespaces")
        self.pods: Resource = cluster.resource("v1", "pods")

    async def create_everything(self) -> None:
        for namespace in ("team-a", "team-b"):
            await self.namespaces.create({"metadata": {"name": namespace}}, field_manager="kubectl")
        for number, (name, namespace) in enumerate(NAMESPACES.items()):
            await self.stage.at(2.6 + 0.25 * number)
            await self.services.create(service(name), namespace, field_manager="kubectl")
            await self.deployments.create(deployment(name), namespace, field_manager="kubectl")

    async def play_with_labels(self) -> None:
        """Eight pods go to another tier, five of them come back; one leaves its service and its ReplicaSet."""
        found = [one for one in (await self.pods.list()).objects if one.namespace.startswith("team-")]
        chosen = self.chance.sample([one for one in found if one.labels["app"] != "web-2"], 8)
        for number, pod in enumerate([*chosen, *chosen[:5]]):
            back = number >= len(chosen)
            tier = pod.labels["tier"] if back else {"frontend": "backend", "backend": "frontend"}[pod.labels["tier"]]
            await self.stage.at(8.3 + 0.16 * number)
            await self.pods.patch(pod.name, {"metadata": {"labels": {"tier": tier}}}, pod.namespace)
        await self.stage.at(10.5)
        taken = next(one for one in found if one.labels["app"] == "web-2")
        debug = {"metadata": {"labels": {"app": "debug", "track": "canary"}}}
        await self.pods.patch(taken.name, debug, taken.namespace)

    async def set_image(self, name: str, tag: str) -> None:
        image = {"name": "main", "image": f"registry.example/app-1:{tag}"}
        patch = {"spec": {"template": {"spec": {"containers": [image]}}}}
        await self.deployments.patch(name, patch, NAMESPACES[name], type=PatchType.STRATEGIC, field_manager="kubectl")

    async def scale(self, name: str, replicas: int) -> None:
        patch = {"spec": {"replicas": replicas}}
        door = self.deployments.subresource("scale")
        await door.patch(name, patch, NAMESPACES[name], field_manager="kubectl")

    async def roll_out_and_scale(self) -> None:
        """Five rounds: a new image for all, and while some are still busy with it, more or fewer pods for seven of them."""
        for number, (rolled_at, scaled_at) in enumerate(
            [(13.5, 26.3), (35.4, 50.9), (60.5, 72.5), (82.0, 97.9), (107.0, 118.8)]
        ):
            for position, name in enumerate(NAMESPACES):
                await self.stage.at(rolled_at + 0.255 * position)
                await self.set_image(name, f"v{number + 2}")
            for position, name in enumerate(NAMESPACES):
                await self.stage.at(scaled_at + 0.2 * position)
                if position % 3 != 2:
                    await self.scale(name, (9 if position % 3 == 0 else 2) if number % 2 == 0 else 5)

    async def break_and_undo(self) -> None:
        for name in ("web-0", "web-1"):
            await self.stage.at(128.45)
            await self.set_image(name, "bad")
        for position, (name, tag) in enumerate({"web-0": "v6", "web-1": "v6", "web-2": "v1", "web-3": "v1"}.items()):
            await self.stage.at(137.5 + 0.3 * position)
            await self.set_image(name, tag)

    async def delete_pods_by_hand(self) -> None:
        """One with grace, and one at once. And a write that changes nothing."""
        await self.stage.at(150.4)
        first, second, *_ = (await self.pods.list(namespace="team-b", labels="app=web-9")).objects
        await self.pods.delete(first.name, "team-b")
        await self.pods.delete(second.name, "team-b", grace_period_s=0)
        await self.deployments.patch("web-5", {"metadata": {"labels": {"app": "web-5"}}}, "team-b")

    async def delete_half(self) -> None:
        for position, name in enumerate(("web-0", "web-2", "web-4", "web-6", "web-8")):
            await self.stage.at(152.9 + 0.3 * position)
            await self.deployments.delete(name, NAMESPACES[name], propagation_policy=BACKGROUND)
            await self.services.delete(name, NAMESPACES[name])


async def story(trace: Trace, seed: int) -> Outcome:
    """Do it all, and say how it ended."""
    async with open_reenactment(trace, seed=seed) as stage:
        users = Users(stage, seed)
        await stage.at(2.5)
        await users.create_everything()
        await users.play_with_labels()
        await users.roll_out_and_scale()
        await users.break_and_undo()
        await users.delete_pods_by_hand()
        await users.delete_half()
        await stage.at(trace.duration_s + 10)
        return await stage.outcome()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenario; 0 if it ended as the recorded cluster did, else 1."""
    parser = argparse.ArgumentParser(description="Ten deployments, as recorded, with the controllers of this library.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    trace = load_trace(find_trace("rollout"))
    outcome = run_deterministic(story, trace, options.seed, seed=options.seed)
    print(f"{outcome.objects} objects compared, {len(outcome.differences)} differences")
    for line in (*outcome.differences, *outcome.ours.broken, *outcome.failures):
        print(f"  {line}")
    return 1 if outcome.differences or outcome.ours.broken or outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
