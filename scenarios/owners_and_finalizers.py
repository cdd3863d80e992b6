"""What users did to owners, finalizers and namespaces while a real control plane was recorded, done again with our controllers.

    python scenarios/owners_and_finalizers.py [--seed N]

Trees of ConfigMaps go in the background, in the foreground and as orphans; finalizers are let go one by one; deployments are
deleted in all three ways; namespaces go with what is in them. Twice, the second time with larger trees. In the end both
clusters are compared, and both histories are asked whether things went in the order in which they must.

The clock is virtual: these three minutes take some seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from cacher.simulation import Outcome, Reenactment, Trace, find_trace, load_trace, open_reenactment, run_deterministic

BACKGROUND, FOREGROUND, ORPHAN = "Background", "Foreground", "Orphan"
JSONObject = dict[str, Any]


class Users:
    """Whoever sits at kubectl, in one namespace. Times are from the beginning of a pass."""

    def __init__(self, stage: Reenactment, namespace: str, began: float, children: int, grandchildren: int) -> None:
        self.stage = stage
        self.namespace = namespace
        self.began = began
        self.children, self.grandchildren = children, grandchildren
        cluster = stage.cluster
        self.maps = cluster.resource("v1", "configmaps")
        self.claims = cluster.resource("v1", "persistentvolumeclaims")
        self.secrets = cluster.resource("v1", "secrets")
        self.namespaces = cluster.resource("v1", "namespaces")
        self.deployments = cluster.resource("apps/v1", "deployments")

    async def at(self, t: float) -> None:
        await self.stage.at(self.began + t)

    async def create(
        self, name: str, *owners: JSONObject, namespace: str = "", data: JSONObject | None = None, **metadata: Any
    ) -> JSONObject:
        """`metadata`: what else it has; `controller`, `blockOwnerDeletion` go into the references."""
        flags = {flag: metadata.pop(flag) for flag in ("controller", "blockOwnerDeletion") if flag in metadata}
        references = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": one["metadata"]["name"],
                "uid": one["metadata"]["uid"],
                **flags,
            }
            for one in owners
        ]
        body = {"metadata": {"name": name, "ownerReferences": references, **metadata}, "data": data or {"k": "v"}}
        return await self.maps.create(body, namespace or self.namespace, field_manager="kubectl")

    async def create_tree(self, name: str, children: int, grandchildren: int) -> None:
        root = await self.create(name, data={"role": "owner"})
        for number in range(children):
            role = {"role": "child"}
            child = await self.create(f"{name}-c{number}", root, data=role, controller=True, blockOwnerDeletion=True)
            for further in range(grandchildren):
                role = {"role": "grandchild"}
                await self.create(f"{name}-c{number}-g{further}", child, data=role, blockOwnerDeletion=True)

    async def delete(self, name: str, policy: str = BACKGROUND) -> None:
        await self.maps.delete(name, self.namespace, propagation_policy=policy)

    async def set_finalizers(self, name: str, finalizers: list[str], namespace: str = "") -> None:
        patch = {"metadata": {"finalizers": finalizers or None}}
        await self.maps.patch(name, patch, namespace or self.namespace)

    # ---- what they do ------------------------------------------------------------------------------------------------

    async def delete_trees(self) -> None:
        for begin, name, policy in ((0, "bg", BACKGROUND), (2.5, "fg", FOREGROUND), (7, "or", ORPHAN)):
            await self.at(begin)
            await self.create_tree(name, self.children, self.grandchildren)
            await self.at(begin + 2)
            await self.delete(name, policy)

    async def share_and_lose_owners(self) -> None:
        await self.at(11.7)
        one, other = await self.create("own-a"), await self.create("own-b")
        for number in range(4):
            await self.create(f"shared-{number}", one, other)
        await self.at(13.7)
        await self.delete("own-a")
        await self.at(17.7)
        await self.delete("own-b")
        await self.at(18.2)
        never = {"metadata": {"name": "never", "uid": "00000000-0000-0000-0000-0000deadbeef"}}
        await self.create("lost", never)

    async def make_an_owner_again(self) -> None:
        await self.at(18.7)
        former = await self.create("again")
        await self.create("again-c", former)
        await self.at(19.7)
        await self.delete("again", ORPHAN)
        await self.at(19.95)
        present = await self.create("again")
        await self.create("again-old", former)
        await self.create("again-new", present)

    async def hold_with_finalizers(self) -> None:
        await self.at(20.5)
        held = {
            f"fin-{number}": ["example.com/one", "example.com/two", "example.com/three"][: number % 3 + 1]
            for number in range(6)
        }
        for name, finalizers in held.items():
            await self.create(name, finalizers=finalizers)
        for name in held:
            await self.delete(name)
        for name in held:
            await self.maps.patch(name, {"data": {"n": "while terminating"}}, self.namespace)
        await self.hold_a_tree()
        for name, finalizers in held.items():
            while finalizers:
                finalizers.pop()
                await self.set_finalizers(name, finalizers)

    async def hold_a_tree(self) -> None:
        """A child is held, so the root stays, whatever else goes."""
        await self.at(21.2)
        await self.create_tree("stuck", 3, 1)
        await self.set_finalizers("stuck-c1", ["example.com/slow"])
        await self.at(22.8)
        await self.delete("stuck", FOREGROUND)
        await self.at(28.8)
        await self.maps.patch("stuck", {"metadata": {"annotations": {"note": "still here"}}}, self.namespace)

    async def release_the_tree(self) -> None:
        await self.at(39.6)
        await self.set_finalizers("stuck-c1", [])

    async def delete_deployments(self) -> None:
        """In all three ways; and another one takes over what the orphaning one left."""
        await self.at(40.1)
        for number in range(3):
            await self.deployments.create(deployment(f"dep-{number}", 4), self.namespace)
        await self.at(43.2)
        for number, policy in enumerate((FOREGROUND, BACKGROUND, ORPHAN)):
            await self.deployments.delete(f"dep-{number}", self.namespace, propagation_policy=policy)
        await self.at(45.2)
        await self.deployments.create(deployment("dep-2", 4), self.namespace)

    async def protect_a_claim(self) -> None:
        """Here no controller protects volumes: the script plays the one that lets go of a claim that nobody uses."""
        await self.at(49.2)
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        metadata = {"name": "data", "finalizers": ["kubernetes.io/pvc-protection"]}
        await self.claims.create({"metadata": metadata, "spec": spec}, self.namespace)
        await self.at(51.2)
        await self.claims.delete("data", self.namespace)
        await self.claims.patch("data", {"metadata": {"finalizers": None}}, self.namespace)

    async def delete_namespaces(self) -> None:
        await self.at(51.3)
        there = {one.name for one in (await self.namespaces.list()).objects}
        for name in ("doomed-a", "doomed-b"):
            if name not in there:
                await self.namespaces.create({"metadata": {"name": name}})
            await self.deployments.create(deployment("d", 2), name)
            present = {one.name for one in (await self.maps.list(namespace=name)).objects}
            for number in range(15):
                if f"c-{number}" not in present:  # from the pass before
                    await self.create(f"c-{number}", namespace=name)
            await self.secrets.create({"metadata": {"name": "s"}, "stringData": {"k": "v"}}, name)
        await self.create("held", namespace="doomed-b", finalizers=["example.com/hold"])
        await self.at(54.6)
        for name in ("doomed-a", "doomed-b"):
            await self.namespaces.delete(name)
        await self.at(71.3)
        await self.set_finalizers("held", [], "doomed-b")
        await self.at(76.4)
        await self.namespaces.create({"metadata": {"name": "doomed-a"}})
        await self.create("c-0", namespace="doomed-a", data={"k": "second life"})

    async def delete_a_collection(self) -> None:
        await self.at(78.5)
        for number in range(20):
            await self.create(f"dc-{number}", labels={"batch": "dc"})
        await self.maps.delete_collection(self.namespace, labels="batch=dc")

    async def do_it_all(self) -> None:
        await self.namespaces.create({"metadata": {"name": self.namespace}}, field_manager="kubectl")
        await self.delete_trees()
        await self.share_and_lose_owners()
        await self.make_an_owner_again()
        await self.hold_with_finalizers()
        await self.release_the_tree()
        await self.delete_deployments()
        await self.protect_a_claim()
        await self.delete_namespaces()
        await self.delete_a_collection()


def deployment(name: str, replicas: int) -> JSONObject:
    labels = {"app": name}
    pod = {
        "terminationGracePeriodSeconds": 2,
        "containers": [{"name": "main", "image": "registry.example/app-1:v1"}],
    }
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


async def story(trace: Trace, seed: int) -> Outcome:
    """Do it all, and say how it ended."""
    async with open_reenactment(trace, seed=seed) as stage:
        for namespace, began, children, grandchildren in (("gc", 2.1, 5, 2), ("gc-2", 93.0, 20, 3)):
            await stage.at(began)
            await Users(stage, namespace, began, children, grandchildren).do_it_all()
        await stage.at(trace.duration_s + 10)
        return await stage.outcome()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenario; 0 if it ended as the recorded cluster did, and all went in order in both, else 1."""
    parser = argparse.ArgumentParser(
        description="Owners, finalizers and namespaces, as recorded, with our controllers."
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    trace = load_trace(find_trace("finalizers-and-gc"))
    outcome = run_deterministic(story, trace, options.seed, seed=options.seed)
    print(f"{outcome.objects} objects compared, {len(outcome.differences)} differences")
    for claim, recorded in outcome.recorded.tested.items():
        print(f"order of deletion, {claim}: asked {recorded} times there, {outcome.ours.tested[claim]} times here")
    problems = (*outcome.differences, *outcome.recorded.broken, *outcome.ours.broken, *outcome.failures)
    for line in problems:
        print(f"  {line}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
