"""A program that lets a cluster live through some things from a seed, and prints what its store holds at the end."""

from __future__ import annotations

import hashlib
import sys

import trio

from cacher.simulation import run_deterministic
from tests.cacher.controllers.live import live
from tests.cacher.controllers.test_live import tree


async def day(seed: int) -> str:
    """Pods with a service, trees deleted in the foreground and orphaned, a node that dies, a namespace that goes."""
    async with live(seed=seed) as world:
        for number in range(10):
            await world.pod(f"p{number}", labels={"app": "web"}, terminationGracePeriodSeconds=5)
        await world.create("services", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})
        await tree(world, "t")
        await tree(world, "left", children=6, grandchildren=0)
        await trio.sleep(10)
        await world["configmaps"].delete("t", "default", propagation_policy="Foreground")
        await world["configmaps"].delete("left", "default", propagation_policy="Orphan")
        world.kubelets.fail("node-1")
        await world.create("namespaces", "x", None)
        await world["namespaces"].delete("x")
        await trio.sleep(100)
        held = await world.cluster.etcd.range("/registry/", "/registry0")
        digest = hashlib.sha256()
        for kv in held.kvs:
            digest.update(f"{kv.key!r} {kv.mod_revision} {kv.value!r}\n".encode())
        return f"{len(held.kvs)} objects at revision {world.cluster.etcd.revision}: {digest.hexdigest()}"


if __name__ == "__main__":
    sys.stdout.write(run_deterministic(day, int(sys.argv[1]), seed=int(sys.argv[1])))
