"""Which resources there are, where etcd keeps them, and which of their fields can be selected by.

The keys are Kubernetes' own: `/registry/<resource>/<namespace>/<name>`, with a few historical names; what no table names
lies under `/registry/<group>/<plural>/`, as custom resources do.
Source: kubernetes pkg/kubeapiserver/default_storage_factory_builder.go; field labels: pkg/registry/*/strategy.go.
"""

from __future__ import annotations

import msgspec

ROOT = "/registry/"


class ResourceInfo(msgspec.Struct, frozen=True):
    """One resource. `fields` are selectable beside `metadata.name` and `metadata.namespace`."""

    group_version: str
    """`v1`, `apps/v1`."""
    kind: str
    plural: str
    prefix: str
    """Its keys' common start, ending in "/"."""
    namespaced: bool = True
    fields: tuple[str, ...] = ()
    absent: tuple[tuple[str, str], ...] = ()
    """What a field that the object lacks counts as, where that is not "": a boolean's "false", a number's "0"."""
    read_from: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Where a field is read that does not stand in the object under its own name."""
    indexed: tuple[str, ...] = ()
    """Of `fields`: those by whose value a cache finds objects."""
    deprecation: str = ""
    """What whoever uses it is warned of; "" for most."""

    @property
    def is_built_in(self) -> bool:
        """Whether Kubernetes has it without anybody's definition."""
        return (self.group_version, self.plural) in RESOURCES

    @property
    def qualified_name(self) -> str:
        """As kubectl writes it: `pods`, `deployments.apps`."""
        group = self.group_version.rpartition("/")[0]
        return f"{self.plural}.{group}" if group else self.plural

    @property
    def selectable(self) -> tuple[str, ...]:
        """Every field that a selector may name."""
        always = ("metadata.name", "metadata.namespace") if self.namespaced else ("metadata.name",)
        return always + self.fields

    def key(self, name: str, namespace: str | None = None) -> str:
        """The storage key of an object of this name.

        Raises:
            ValueError: a namespace is missing, or given where there is none.
        """
        if self.namespaced and not namespace:
            raise ValueError(f"{self.plural} live in a namespace: say which")
        if not self.namespaced and namespace:
            raise ValueError(f"{self.plural} live in no namespace: leave it out")
        return f"{self.prefix}{namespace}/{name}" if namespace else f"{self.prefix}{name}"


_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)

_NO_REPLICAS = (("status.replicas", "0"),)


def _at(path: str) -> str:
    return f"{ROOT}{path}/"


_TABLE = (
    ResourceInfo(
        "v1",
        "Pod",
        "pods",
        _at("pods"),
        fields=_POD_FIELDS,
        absent=(("spec.hostNetwork", "false"),),
        indexed=("spec.nodeName",),
    ),
    ResourceInfo(
        "v1",
        "Node",
        "nodes",
        _at("minions"),
        namespaced=False,
        fields=("spec.unschedulable",),
        absent=(("spec.unschedulable", "false"),),
    ),
    ResourceInfo("v1", "Namespace", "namespaces", _at("namespaces"), namespaced=False, fields=("status.phase",)),
    ResourceInfo("v1", "Service", "services", _at("services/specs"), fields=("spec.clusterIP", "spec.type")),
    ResourceInfo(
        "v1",
        "Endpoints",
        "endpoints",
        _at("services/endpoints"),
        deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ),
    ResourceInfo("v1", "ConfigMap", "configmaps", _at("configmaps")),
    ResourceInfo("v1", "Secret", "secrets", _at("secrets"), fields=("type",)),
    ResourceInfo("v1", "ServiceAccount", "serviceaccounts", _at("serviceaccounts")),
    ResourceInfo(
        "v1",
        "Event",
        "events",
        _at("events"),
        fields=_EVENT_FIELDS,
        read_from=(("source", ("source.component", "reportingComponent")),),
    ),
    ResourceInfo("v1", "PersistentVolumeClaim", "persistentvolumeclaims", _at("persistentvolumeclaims")),
    ResourceInfo("v1", "PersistentVolume", "persistentvolumes", _at("persistentvolumes"), namespaced=False),
    ResourceInfo(
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        _at("controllers"),
        fields=("status.replicas",),
        absent=_NO_REPLICAS,
    ),
    ResourceInfo("v1", "ResourceQuota", "resourcequotas", _at("resourcequotas")),
    ResourceInfo("v1", "LimitRange", "limitranges", _at("limitranges")),
    ResourceInfo("apps/v1", "Deployment", "deployments", _at("deployments")),
    # Its status.replicas can be selected by in the store's code only: no version of the API knows the name.
    ResourceInfo("apps/v1", "ReplicaSet", "replicasets", _at("replicasets")),
    ResourceInfo("apps/v1", "StatefulSet", "statefulsets", _at("statefulsets")),
    ResourceInfo("apps/v1", "DaemonSet", "daemonsets", _at("daemonsets")),
    ResourceInfo("apps/v1", "ControllerRevision", "controllerrevisions", _at("controllerrevisions")),
    ResourceInfo(
        "batch/v1",
        "Job",
        "jobs",
        _at("jobs"),
        fields=("status.successful",),
        absent=(("status.successful", "0"),),
        read_from=(("status.successful", ("status.succeeded",)),),
    ),
    ResourceInfo("batch/v1", "CronJob", "cronjobs", _at("cronjobs")),
    ResourceInfo("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", _at("endpointslices")),
    ResourceInfo("coordination.k8s.io/v1", "Lease", "leases", _at("leases")),
    ResourceInfo("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", _at("poddisruptionbudgets")),
    ResourceInfo("networking.k8s.io/v1", "Ingress", "ingresses", _at("ingress")),
    ResourceInfo("networking.k8s.io/v1", "IPAddress", "ipaddresses", _at("ipaddresses"), namespaced=False),
    ResourceInfo("networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", _at("servicecidrs"), namespaced=False),
    ResourceInfo("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", _at("priorityclasses"), namespaced=False),
    ResourceInfo("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "flowschemas", _at("flowschemas"), namespaced=False),
    ResourceInfo(
        "flowcontrol.apiserver.k8s.io/v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        _at("prioritylevelconfigurations"),
        namespaced=False,
    ),
    ResourceInfo(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        _at("apiextensions.k8s.io/customresourcedefinitions"),
        namespaced=False,
    ),
    ResourceInfo(
        "apiregistration.k8s.io/v1",
        "APIService",
        "apiservices",
        _at("apiregistration.k8s.io/apiservices"),
        namespaced=False,
    ),
)

RESOURCES: dict[tuple[str, str], ResourceInfo] = {(info.group_version, info.plural): info for info in _TABLE}
"""By group version and plural."""
_BY_PREFIX = {info.prefix: info for info in _TABLE}


def find_resource(group_version: str, plural: str) -> ResourceInfo:
    """The resource of that name; a custom one (`example.com/v1`, `widgets`) where no table names it.

    Raises:
        ValueError: the group is a built-in one, or none, and it has no such resource.
    """
    known = RESOURCES.get((group_version, plural))
    if known is not None:
        return known
    group, slash, _ = group_version.partition("/")
    if not slash or "." not in group:
        near = sorted({plural for version, plural in RESOURCES if version == group_version})
        raise ValueError(
            f"no resource {plural!r} in {group_version!r}: "
            + (
                f"it has {', '.join(near)}"
                if near
                else "custom resources need a group with a dot, such as example.com/v1"
            )
        )
    return ResourceInfo(group_version, plural.capitalize(), plural, f"{ROOT}{group}/{plural}/")


def resource_at(prefix: str) -> ResourceInfo:
    """The resource whose keys start with `prefix`; an unnamed one of that prefix where no table knows it.

    Raises:
        ValueError: `prefix` does not end in "/".
    """
    if not prefix.endswith("/"):
        raise ValueError(f"{prefix!r} is not the prefix of a resource: end it with '/'")
    known = _BY_PREFIX.get(prefix)
    if known is not None:
        return known
    path = prefix.removeprefix(ROOT).strip("/")
    group, _, plural = path.rpartition("/")
    return ResourceInfo(f"{group}/v1" if group else "v1", (plural or path).capitalize(), plural or path, prefix)
