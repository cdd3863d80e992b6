"""All controllers that make a cluster live, on one set of informers: what kube-controller-manager, kube-scheduler and kubelets do.

ClusterControllers ─ SharedInformers ─┬─ deployments, ReplicaSets, stateful sets, daemon sets, jobs, cron jobs
                                      ├─ scheduler, kubelets of nodes that are not there, node lifecycle
                                      └─ garbage collector, namespaces and what is in each, endpoint slices
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol, final

import msgspec
import trio

from reflector import Client, Controller, ControllerStatistics, SharedInformers

from .._clock import Clock
from ..storage._nursery import open_service_nursery
from ._cron_job import CronJobController, CronJobOptions
from ._daemon_set import DaemonSetController, DaemonSetOptions
from ._deployment import DeploymentController, DeploymentOptions
from ._endpoint_slices import EndpointSliceController, EndpointSliceOptions
from ._garbage_collector import GarbageCollector, GarbageCollectorOptions
from ._job import JobController
from ._job_decision import JobOptions
from ._kubelet import KubeletOptions, SimulatedKubelets
from ._namespace_defaults import NamespaceDefaultsController, NamespaceDefaultsOptions
from ._namespaces import NamespaceController, NamespaceOptions
from ._node_lifecycle import NodeLifecycleController, NodeLifecycleOptions
from ._replica_set import ReplicaSetController, ReplicaSetOptions
from ._scheduler import Scheduler, SchedulerOptions
from ._stateful_set import StatefulSetController, StatefulSetOptions


class ClusterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Rates, delays and limits of each. None: that one is left out."""

    deployments: DeploymentOptions | None = DeploymentOptions()
    replica_sets: ReplicaSetOptions | None = ReplicaSetOptions()
    stateful_sets: StatefulSetOptions | None = StatefulSetOptions()
    daemon_sets: DaemonSetOptions | None = DaemonSetOptions()
    jobs: JobOptions | None = JobOptions()
    cron_jobs: CronJobOptions | None = CronJobOptions()
    scheduler: SchedulerOptions | None = SchedulerOptions()
    kubelets: KubeletOptions | None = KubeletOptions()
    node_lifecycle: NodeLifecycleOptions | None = NodeLifecycleOptions()
    garbage: GarbageCollectorOptions | None = GarbageCollectorOptions()
    namespaces: NamespaceOptions | None = NamespaceOptions()
    namespace_defaults: NamespaceDefaultsOptions | None = NamespaceDefaultsOptions()
    endpoint_slices: EndpointSliceOptions | None = EndpointSliceOptions()


class _Runs(Protocol):
    @property
    def name(self) -> str: ...

    async def run(self) -> None: ...


@final
class ClusterControllers:
    """Starts nothing until `run`. Use `cluster_controllers` where an `async with` is at hand.

    Args:
        client: a `cacher.Cluster` in this process, or any other API.
        random: chance for the informers and for each controller, in this order.
        clock: the time of day that they write.
        informers: those of a `reflector.Manager`, say, with its `client`: whoever made them runs them. Own ones by default.
    """

    def __init__(
        self,
        client: Client,
        *,
        random: Random,
        clock: Clock,
        options: ClusterOptions = ClusterOptions(),  # noqa: B008 - a frozen value
        informers: SharedInformers | None = None,
    ) -> None:
        own = SharedInformers(client, random=Random(random.getrandbits(64)))
        self.informers = own if informers is None else informers
        self._has_own = informers is None
        self.running: tuple[_Runs, ...] = tuple(_made(client, self.informers, random, clock, options))
        """Those that were asked for, in the order of ClusterOptions."""

    async def run(self) -> None:
        """All of them, until cancelled. What one raises ends all: a mistake in a controller, not a failed write."""
        async with trio.open_nursery() as nursery:
            if self._has_own:
                nursery.start_soon(self.informers.run, name="informers")
            for one in self.running:
                nursery.start_soon(one.run, name=one.name)

    def statistics(self) -> tuple[ControllerStatistics, ...]:
        """What each does that has a queue of its own, or several."""
        found: list[Controller] = []
        for one in self.running:
            found += getattr(one, "controllers", None) or (getattr(one, "controller"),)  # noqa: B009 - some have several
        return tuple(one.statistics() for one in found)


def _made(
    client: Client, informers: SharedInformers, random: Random, clock: Clock, options: ClusterOptions
) -> list[_Runs]:
    made: list[_Runs] = []

    def add(kind: Callable[..., _Runs], own: msgspec.Struct | None, **more: Clock) -> None:
        if own is not None:
            chance = Random(random.getrandbits(64))
            made.append(kind(client, informers, random=chance, options=own, **more))

    add(DeploymentController, options.deployments, clock=clock)
    add(ReplicaSetController, options.replica_sets, clock=clock)
    add(StatefulSetController, options.stateful_sets, clock=clock)
    add(DaemonSetController, options.daemon_sets, clock=clock)
    add(JobController, options.jobs, clock=clock)
    add(CronJobController, options.cron_jobs, clock=clock)
    add(Scheduler, options.scheduler, clock=clock)
    add(SimulatedKubelets, options.kubelets, clock=clock)
    add(NodeLifecycleController, options.node_lifecycle, clock=clock)
    add(GarbageCollector, options.garbage)
    add(NamespaceController, options.namespaces, clock=clock)
    add(NamespaceDefaultsController, options.namespace_defaults)
    add(EndpointSliceController, options.endpoint_slices)
    return made


@asynccontextmanager
async def cluster_controllers(
    client: Client,
    *,
    random: Random,
    clock: Clock,
    options: ClusterOptions = ClusterOptions(),  # noqa: B008 - a frozen value
) -> AsyncIterator[ClusterControllers]:
    """A cluster that lives while the `async with` is open.

    async with open_cluster() as cluster, cluster_controllers(cluster, random=random, clock=cluster.clock):
        await cluster.resource("apps/v1", "deployments").create(deployment)
    """
    controllers = ClusterControllers(client, random=random, clock=clock, options=options)
    async with open_service_nursery() as nursery:
        nursery.start_soon(controllers.run, name="controllers")
        yield controllers
