"""The built-in resources: for each its rules, its parts, and what it is called.

Source: kubernetes pkg/registry/*/rest/storage_*.go; names as a kube-apiserver's discovery tells them.
Differs: resources of RESOURCES that have no line here have the rules that all share, and no status of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .._resources import ResourceInfo
from ..storage import Interface
from ._configmaps import ConfigMapStrategy
from ._controller_revisions import ControllerRevisionStrategy
from ._cron_jobs import CronJobStatusStrategy, CronJobStrategy
from ._daemon_sets import DaemonSetStatusStrategy, DaemonSetStrategy
from ._deployment import DeploymentStorage
from ._disruption_budgets import DisruptionBudgetStatusStrategy, DisruptionBudgetStrategy
from ._endpoint_slices import EndpointSliceStrategy
from ._endpoints import EndpointsStrategy
from ._events import EventStrategy, live_an_hour
from ._evictions import EvictionStore
from ._jobs import JobStatusStrategy, JobStrategy
from ._leases import LeaseStrategy
from ._makers import Installed, Maker, plain_resource, with_strategy
from ._namespaces import (
    FinalizeStore,
    FinalizeStrategy,
    NamespaceStatusStrategy,
    NamespaceStore,
    NamespaceStrategy,
    is_empty_of_finalizers,
)
from ._nodes import NodeStatusStrategy, NodeStrategy
from ._pod_binding import BindingStore
from ._pods import PodStatusStrategy, PodStrategy
from ._replica_sets import ReplicaSetStatusStrategy, ReplicaSetStrategy
from ._secrets import SecretStrategy
from ._service_accounts import ServiceAccountStrategy
from ._service_pools import ServicePools
from ._services import ServiceStatusStrategy, ServiceStore, ServiceStrategy
from ._stateful_sets import StatefulSetStatusStrategy, StatefulSetStrategy
from ._store import Descriptor, Hooks, RegistryStore
from ._strategy import StatusStrategy, Strategy
from ._subresource import SubresourceStore
from ._volumes import PersistentVolumeClaimStrategy, PersistentVolumeStrategy

if TYPE_CHECKING:
    from ._resource_door import ResourceDoor
    from ._rest import Environment, Storage

Doors = Callable[[str, str], "ResourceDoor"]
"""Opens the door to another resource, of a group version and a plural."""

Known = tuple[str, str]
_ALL = ("all",)
_NAMES: dict[Known, tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("v1", "configmaps"): (("cm",), ()),
    ("v1", "endpoints"): (("ep",), ()),
    ("v1", "events"): (("ev",), ()),
    ("v1", "limitranges"): (("limits",), ()),
    ("v1", "namespaces"): (("ns",), ()),
    ("v1", "nodes"): (("no",), ()),
    ("v1", "persistentvolumeclaims"): (("pvc",), ()),
    ("v1", "persistentvolumes"): (("pv",), ()),
    ("v1", "pods"): (("po",), _ALL),
    ("v1", "replicationcontrollers"): (("rc",), _ALL),
    ("v1", "resourcequotas"): (("quota",), ()),
    ("v1", "serviceaccounts"): (("sa",), ()),
    ("v1", "services"): (("svc",), _ALL),
    ("apps/v1", "daemonsets"): (("ds",), _ALL),
    ("apps/v1", "replicasets"): (("rs",), _ALL),
    ("apps/v1", "statefulsets"): (("sts",), _ALL),
    ("batch/v1", "cronjobs"): (("cj",), _ALL),
    ("batch/v1", "jobs"): ((), _ALL),
    ("networking.k8s.io/v1", "ingresses"): (("ing",), ()),
    ("networking.k8s.io/v1", "ipaddresses"): (("ip",), ()),
    ("policy/v1", "poddisruptionbudgets"): (("pdb",), ()),
    ("scheduling.k8s.io/v1", "priorityclasses"): (("pc",), ()),
    ("apiregistration.k8s.io/v1", "apiservices"): ((), ("api-extensions",)),
}
"""Short names, and groups of resources that are asked for together. Those of deployments are with them."""


def descriptor_of(known: Known, kind: str) -> Descriptor:
    """What the resource is called."""
    short, categories = _NAMES.get(known, ((), ()))
    return Descriptor(kind.lower(), short, categories)


def built_in(doors: Doors, pools: ServicePools) -> dict[Known, Maker]:
    """The makers of one registry's resources.

    Args:
        doors: its other resources; asked when they are first needed.
        pools: what its services draw from.
    """
    return {
        ("v1", "configmaps"): _named(ConfigMapStrategy()),
        ("v1", "endpoints"): _named(EndpointsStrategy()),
        ("v1", "events"): _named(EventStrategy(), hooks=Hooks(ttl_s=live_an_hour)),
        ("v1", "namespaces"): _namespaces,
        ("v1", "nodes"): _named(NodeStrategy(), NodeStatusStrategy),
        ("v1", "persistentvolumeclaims"): _named(PersistentVolumeClaimStrategy(), StatusStrategy, returns=True),
        ("v1", "persistentvolumes"): _named(PersistentVolumeStrategy(), StatusStrategy, returns=True),
        ("v1", "pods"): _pods(doors),
        ("v1", "secrets"): _named(SecretStrategy()),
        ("v1", "serviceaccounts"): _named(ServiceAccountStrategy(), returns=True),
        ("v1", "services"): _services(pools),
        ("apps/v1", "controllerrevisions"): _named(ControllerRevisionStrategy()),
        ("apps/v1", "daemonsets"): _named(DaemonSetStrategy(), DaemonSetStatusStrategy),
        ("apps/v1", "deployments"): _deployments,
        ("apps/v1", "replicasets"): _named(ReplicaSetStrategy(), ReplicaSetStatusStrategy, has_scale=True),
        ("apps/v1", "statefulsets"): _named(StatefulSetStrategy(), StatefulSetStatusStrategy, has_scale=True),
        ("batch/v1", "cronjobs"): _named(CronJobStrategy(), CronJobStatusStrategy),
        ("batch/v1", "jobs"): _named(JobStrategy(), JobStatusStrategy),
        ("coordination.k8s.io/v1", "leases"): _named(LeaseStrategy()),
        ("discovery.k8s.io/v1", "endpointslices"): _named(EndpointSliceStrategy()),
        ("policy/v1", "poddisruptionbudgets"): _named(DisruptionBudgetStrategy(), DisruptionBudgetStatusStrategy),
    }


def without_rules(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
    """Makes a built-in resource that has no line above."""
    return plain_resource(storage, info, environment, descriptor_of((info.group_version, info.plural), info.kind))


def _named(
    strategy: Strategy,
    status: type[StatusStrategy] | None = None,
    *,
    has_scale: bool = False,
    hooks: Hooks = Hooks(),  # noqa: B008 - a frozen value
    returns: bool = False,
) -> Maker:
    def make(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
        maker = with_strategy(
            strategy,
            hooks,
            status=status(strategy) if status is not None else None,
            has_scale=has_scale,
            descriptor=descriptor_of((info.group_version, info.plural), info.kind),
            returns_deleted_object=returns,
        )
        return maker(storage, info, environment)

    return make


def _deployments(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
    storages = DeploymentStorage.of(storage, info, environment)
    return Installed(storages.deployment, {"status": storages.status, "scale": storages.scale})


def _namespaces(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
    strategy = NamespaceStrategy()
    store = NamespaceStore(
        storage,
        info,
        strategy,
        environment=environment,
        hooks=Hooks(should_delete_during_update=is_empty_of_finalizers),
        descriptor=descriptor_of(("v1", "namespaces"), info.kind),
        returns_deleted_object=True,
    )
    status = SubresourceStore(store, NamespaceStatusStrategy(strategy))
    return Installed(store, {"status": status, "finalize": FinalizeStore(store, FinalizeStrategy(strategy))})


def _pods(doors: Doors) -> Maker:
    def make(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
        strategy = PodStrategy()
        store = RegistryStore(
            storage,
            info,
            strategy,
            environment=environment,
            descriptor=descriptor_of(("v1", "pods"), info.kind),
            returns_deleted_object=True,
        )
        parts: dict[str, Storage] = {
            "status": SubresourceStore(store, PodStatusStrategy(strategy)),
            "binding": BindingStore(store),
            "eviction": EvictionStore(store, lambda: doors("policy/v1", "poddisruptionbudgets")),
        }
        return Installed(store, parts)

    return make


def _services(pools: ServicePools) -> Maker:
    def make(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
        descriptor = descriptor_of(("v1", "services"), info.kind)
        strategy = ServiceStrategy()
        store = ServiceStore(storage, info, strategy, environment=environment, descriptor=descriptor, pools=pools)
        # A status may take the last finalizer, and so the service: what it had is free then too. It gives nothing.
        plain = RegistryStore(
            storage,
            info,
            strategy,
            environment=environment,
            hooks=Hooks(after_delete=store.hooks.after_delete),
            returns_deleted_object=True,
        )
        return Installed(store, {"status": SubresourceStore(plain, ServiceStatusStrategy(strategy))})

    return make
