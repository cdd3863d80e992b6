"""A cluster in which controllers run, and pods come up by themselves: a test double stands for scheduler and kubelets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio
import trio.testing

from cacher import Cluster, open_cluster
from reflector import SharedInformers
from watch import Conflict, EventType, NotFound

JSONObject = dict[str, Any]
EPOCH = 1_800_000_000.0


class Living:
    """What a test needs at hand."""

    def __init__(self, cluster: Cluster, informers: SharedInformers, nursery: trio.Nursery, random: Random) -> None:
        self.cluster = cluster
        self.informers = informers
        self.nursery = nursery
        self.random = random
        self.controllers: list[Any] = []

    def start(self, *kinds: Any, **options: Any) -> None:
        for kind in kinds:
            made = kind(self.cluster, self.informers, random=self.random, clock=self.cluster.clock, **options)
            self.controllers.append(made)
            self.nursery.start_soon(made.run)

    async def objects(self, version: str, plural: str, **selector: Any) -> list[JSONObject]:
        found = await self.cluster.resource(version, plural).list(**selector)
        return [obj.to_dict() for obj in found.objects]

    async def until(self, claim: Callable[[], Awaitable[Any]], within_s: float = 120) -> None:
        """Wait until `claim` holds."""
        with trio.move_on_after(within_s):
            while not await claim():
                await trio.sleep(0.25)
            return
        assert await claim(), f"it does not hold after {within_s} s"

    def assert_no_mistakes(self) -> None:
        """Conflicts are how controllers get along; anything else that was raised is a mistake."""
        for one in self.controllers:
            statistics = one.controller.statistics()
            assert statistics.panics == 0, statistics.last_error
            assert statistics.failures == statistics.conflicts, statistics.last_error


@asynccontextmanager
async def living(*, start_after_s: float | None = 1.0, seed: int = 7) -> AsyncIterator[Living]:
    """`start_after_s`: when pods are ready after they were made; None: never."""
    random = Random(seed)
    async with open_cluster(random=random, epoch_s=EPOCH, checks_namespaces=False) as cluster:
        informers = SharedInformers(cluster, random=random)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(informers.run)
            if start_after_s is not None:
                await nursery.start(_start_pods, cluster, start_after_s)
            yield Living(cluster, informers, nursery, random)
            nursery.cancel_scope.cancel()


async def _start_pods(cluster: Cluster, after_s: float, *, task_status: Any) -> None:
    pods = cluster.resource("v1", "pods")
    async with pods.watch() as watch, trio.open_nursery() as nursery:
        task_status.started()
        while True:
            for event in await watch.receive_batch():
                if event.type is EventType.ADDED:
                    nursery.start_soon(_start, cluster, event.object.name, event.object.namespace, after_s)


async def _start(cluster: Cluster, name: str, namespace: str, after_s: float) -> None:
    await trio.sleep(after_s)
    await set_phase(cluster, name, namespace, "Running")


async def set_phase(cluster: Cluster, name: str, namespace: str, phase: str) -> None:
    """The pod says that it is in that phase: ready where it runs."""
    pods = cluster.resource("v1", "pods")
    while True:
        try:
            pod = await pods.get(name, namespace)
            now = cluster.clock.rfc3339()
            ready = {
                "type": "Ready",
                "status": "True" if phase == "Running" else "False",
                "lastTransitionTime": now,
                "lastProbeTime": None,
            }
            pod["status"] = {**pod["status"], "phase": phase, "conditions": [ready]}
            await pods.subresource("status").update(pod, namespace)
        except NotFound:
            return
        except Conflict:
            continue
        return


def workload(api_version: str, kind: str, name: str = "web", image: str = "v1", **spec: Any) -> JSONObject:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "a"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
            **spec,
        },
    }
