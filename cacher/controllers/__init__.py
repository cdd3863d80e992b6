"""Kubernetes' controllers, each written as a user would write one: on informers, a work queue and a client, and on nothing else.

Every controller is a pure file that decides and a short one that acts: it reads its informers, asks the first, and writes. All are
made alike, and run until cancelled; rates, delays and limits are options.

    informers = SharedInformers(client, random=random)
    scheduler = Scheduler(client, informers, random=random, clock=clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(informers.run)
        nursery.start_soon(scheduler.run)

`client` is a `cacher.Cluster` in this process, or any other API.
"""

from __future__ import annotations

from ._cluster_controllers import ClusterControllers as ClusterControllers
from ._cluster_controllers import ClusterOptions as ClusterOptions
from ._cluster_controllers import cluster_controllers as cluster_controllers
from ._cron_job import CronJobController as CronJobController
from ._cron_job import CronJobOptions as CronJobOptions
from ._daemon_set import DaemonSetController as DaemonSetController
from ._daemon_set import DaemonSetOptions as DaemonSetOptions
from ._deployment import DeploymentController as DeploymentController
from ._deployment import DeploymentOptions as DeploymentOptions
from ._deployment import restart_rollout as restart_rollout
from ._deployment import undo_rollout as undo_rollout
from ._endpoint_slices import EndpointSliceController as EndpointSliceController
from ._endpoint_slices import EndpointSliceOptions as EndpointSliceOptions
from ._garbage_collector import GarbageCollector as GarbageCollector
from ._garbage_collector import GarbageCollectorOptions as GarbageCollectorOptions
from ._job import JobController as JobController
from ._job_decision import JobOptions as JobOptions
from ._kubelet import KubeletOptions as KubeletOptions
from ._kubelet import SimulatedKubelets as SimulatedKubelets
from ._namespace_defaults import NamespaceDefaultsController as NamespaceDefaultsController
from ._namespace_defaults import NamespaceDefaultsOptions as NamespaceDefaultsOptions
from ._namespaces import NamespaceController as NamespaceController
from ._namespaces import NamespaceOptions as NamespaceOptions
from ._node_health import EvictionRates as EvictionRates
from ._node_lifecycle import NodeLifecycleController as NodeLifecycleController
from ._node_lifecycle import NodeLifecycleOptions as NodeLifecycleOptions
from ._replica_set import ReplicaSetController as ReplicaSetController
from ._replica_set import ReplicaSetOptions as ReplicaSetOptions
from ._scheduler import Scheduler as Scheduler
from ._scheduler import SchedulerOptions as SchedulerOptions
from ._served import BUILT_IN as BUILT_IN
from ._served import ServedResource as ServedResource
from ._simulated_nodes import NodeShape as NodeShape
from ._stateful_set import StatefulSetController as StatefulSetController
from ._stateful_set import StatefulSetOptions as StatefulSetOptions
