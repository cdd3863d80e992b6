"""A cluster that lives: an API in this process, and the controllers that a test asks for, under a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Protocol

import trio

from cacher import Cluster, open_cluster
from cacher.controllers import (
    EndpointSliceController,
    EndpointSliceOptions,
    GarbageCollector,
    GarbageCollectorOptions,
    KubeletOptions,
    NamespaceController,
    NamespaceDefaultsController,
    NamespaceDefaultsOptions,
    NamespaceOptions,
    NodeLifecycleController,
    NodeLifecycleOptions,
    Scheduler,
    SchedulerOptions,
    SimulatedKubelets,
)
from reflector import Controller, SharedInformers
from tests.cacher.controllers.meddling import MeddledClient
from watch import NotFound

JSONObject = dict[str, Any]
EPOCH_S = 1_767_225_600.0  # 2026-01-01


class Running(Protocol):
    async def run(self) -> None: ...


class Live:
    """The cluster, its controllers, and short ways to use them."""

    def __init__(self, cluster: Cluster, api: MeddledClient, informers: SharedInformers) -> None:
        self.cluster = cluster
        self.api = api
        """As the controllers see it; the test itself goes past it."""
        self.informers = informers
        self.scheduler: Scheduler
        self.kubelets: SimulatedKubelets
        self.controllers: list[Controller] = []

    def __getitem__(self, plural: str) -> Any:
        version = {
            "leases": "coordination.k8s.io/v1",
            "endpointslices": "discovery.k8s.io/v1",
            "widgets": "example.com/v1",
        }
        return self.cluster.resource(version.get(plural, "v1"), plural)

    async def create(self, plural: str, name: str, namespace: str | None = "default", **members: Any) -> JSONObject:
        kind = {"configmaps": "ConfigMap", "pods": "Pod", "services": "Service", "namespaces": "Namespace"}[plural]
        metadata = {"name": name, **members.pop("metadata", {})}
        body = {"apiVersion": "v1", "kind": kind, "metadata": metadata, **members}
        created: JSONObject = await self[plural].create(body, namespace, field_manager="kubectl")
        return created

    async def pod(
        self, name: str, namespace: str = "default", *, labels: Any = None, annotations: Any = None, **spec: Any
    ) -> JSONObject:
        containers = [{"name": "main", "image": "app:v1", "ports": [{"name": "http", "containerPort": 8080}]}]
        metadata = {"labels": labels or {}, "annotations": annotations or {}}
        return await self.create("pods", name, namespace, metadata=metadata, spec={"containers": containers, **spec})

    async def get(self, plural: str, name: str, namespace: str | None = "default") -> JSONObject | None:
        try:
            found: JSONObject = await self[plural].get(name, namespace)
        except NotFound:
            return None
        return found

    async def names(self, plural: str, namespace: str = "default") -> list[str]:
        listed = await self[plural].list(namespace=namespace)
        return [obj.name for obj in listed.objects]

    async def until(self, holds: Callable[[], Awaitable[object]], within_s: float = 60.0) -> None:
        """Return once it holds. Fails after `within_s` of virtual time."""
        with trio.move_on_after(within_s):
            while not await holds():
                await trio.sleep(0.05)
            return
        raise AssertionError(f"it did not come about within {within_s} s")

    def check(self) -> None:
        """No controller has failed by a mistake of its own, or at all but for conflicts."""
        for controller in self.controllers:
            told = controller.statistics()
            assert told.panics == 0, f"{told.name}: {told.last_error}"
        for informer in self.informers.informers:
            for handler in informer.statistics().handlers:
                assert handler.failures == 0, f"{informer.name}: {handler.name}: {handler.last_failure}"


@asynccontextmanager
async def live(
    *,
    kubelets: KubeletOptions | None = KubeletOptions(),  # noqa: B008 - a frozen value
    nodes: NodeLifecycleOptions = NodeLifecycleOptions(),  # noqa: B008
    namespaces: NamespaceOptions = NamespaceOptions(),  # noqa: B008
    slices: EndpointSliceOptions = EndpointSliceOptions(),  # noqa: B008
    collector: GarbageCollectorOptions = GarbageCollectorOptions(),  # noqa: B008
    defaults: NamespaceDefaultsOptions = NamespaceDefaultsOptions(root_certificates="PEM"),  # noqa: B008
    seed: int = 7,
) -> AsyncIterator[Live]:
    """All of them; `kubelets=None` has no nodes."""
    random = Random(seed)

    def chance() -> Random:
        return Random(random.getrandbits(64))

    async with open_cluster(random=chance(), epoch_s=EPOCH_S) as cluster, trio.open_nursery() as nursery:
        api = MeddledClient(cluster)
        informers = SharedInformers(api, random=chance())
        world = Live(cluster, api, informers)
        clock = cluster.clock
        world.scheduler = Scheduler(api, informers, random=chance(), clock=clock, options=SchedulerOptions())
        lifecycle = NodeLifecycleController(api, informers, random=chance(), clock=clock, options=nodes)
        garbage = GarbageCollector(api, informers, random=chance(), options=collector)
        naming = NamespaceController(api, informers, random=chance(), clock=clock, options=namespaces)
        filling = NamespaceDefaultsController(api, informers, random=chance(), options=defaults)
        slicing = EndpointSliceController(api, informers, random=chance(), options=slices)
        running: list[Running] = [world.scheduler, lifecycle, garbage, naming, filling, slicing]
        world.controllers = [world.scheduler.controller, lifecycle.node_controller, lifecycle.pod_controller]
        world.controllers += [garbage.controller, naming.controller, filling.controller, slicing.controller]
        if kubelets is not None:
            world.kubelets = SimulatedKubelets(api, informers, random=chance(), clock=clock, options=kubelets)
            running.append(world.kubelets)
            world.controllers += [world.kubelets.pod_controller, world.kubelets.node_controller]
        nursery.start_soon(informers.run)
        for one in running:
            nursery.start_soon(one.run)
        await world.until(lambda: world.get("serviceaccounts", "default"))
        yield world
        world.check()
        assert api.has_meddled, "a test that meddles with a write that never comes shows nothing"
        nursery.cancel_scope.cancel()
