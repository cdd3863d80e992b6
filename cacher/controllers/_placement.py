"""What a pod asks of a node, and what a node has: read off their JSON once, and compared many times. Pure.

Source: kubernetes pkg/scheduler/framework/plugins (noderesources, nodeaffinity, tainttoleration, nodeunschedulable, nodename),
component-helpers/resource/helpers.go (PodRequests).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from ..registry import parse_quantity

Amounts = Mapping[str, int]
"""By resource: cpu in thousandths, all else in units."""
ZONE = "topology.kubernetes.io/zone"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_BLOCKS = ("NoSchedule", "NoExecute")


class Taint(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a node repels pods by."""

    key: str = ""
    value: str = ""
    effect: str = ""
    time_added: str | None = None


class Toleration(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Which taints a pod does not mind."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None
    """Of NoExecute: for how long; None: for ever."""

    def covers(self, taint: Taint) -> bool:
        """Whether the taint is tolerated.

        >>> Toleration(operator="Exists").covers(Taint("any", effect="NoExecute"))
        True
        """
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator == "Exists":
            return True
        return bool(self.key) and self.operator in ("", "Equal") and self.value == taint.value


class Requirement(msgspec.Struct, frozen=True, gc=False):
    """One term of a node affinity."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels (or fields) are as it wants them. An operator that is none holds for nothing."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                return _compares(value, self.operator, self.values)
            case _:
                return False


def _compares(value: str | None, operator: str, values: tuple[str, ...]) -> bool:
    try:
        mine, wanted = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return mine > wanted if operator == "Gt" else mine < wanted


class Term(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Requirements that hold together."""

    match_expressions: tuple[Requirement, ...] = ()
    match_fields: tuple[Requirement, ...] = ()

    def holds(self, node: NodeFacts) -> bool:
        """Whether the node is meant. A term without requirements means none."""
        if not (self.match_expressions or self.match_fields):
            return False
        named = {"metadata.name": node.name}
        return all(one.holds(node.labels) for one in self.match_expressions) and all(
            one.holds(named) for one in self.match_fields
        )


class Placement(msgspec.Struct, frozen=True, gc=False):
    """Which nodes a pod may be on, whatever they have left. Pods of one template have equal ones."""

    selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[Term, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()

    def refuses(self, node: NodeFacts) -> str:
        """Why the pod may not be on the node, in a scheduler's words; "" where it may."""
        if node.is_unschedulable and not self._tolerates(Taint(UNSCHEDULABLE, effect="NoSchedule")):
            return "node(s) were unschedulable"
        if any(taint.effect in _BLOCKS and not self._tolerates(taint) for taint in node.taints):
            return "node(s) had untolerated taint(s)"
        if any(node.labels.get(key) != value for key, value in self.selector):
            return "node(s) didn't match Pod's node affinity/selector"
        if self.terms is not None and not any(term.holds(node) for term in self.terms):
            return "node(s) didn't match Pod's node affinity/selector"
        return ""

    @property
    def names(self) -> tuple[str, ...] | None:
        """The nodes that are meant by name; None: not only those. A daemon's pod is meant for one."""
        if not self.terms:
            return None
        named: dict[str, None] = {}
        for term in self.terms:
            fields = [one for one in term.match_fields if one.key == "metadata.name" and one.operator == "In"]
            if not fields:
                return None
            named.update(dict.fromkeys(fields[0].values))
        return tuple(named)

    def _tolerates(self, taint: Taint) -> bool:
        return any(toleration.covers(taint) for toleration in self.tolerations)


class NodeFacts(msgspec.Struct, frozen=True):
    """What counts of a node. Equal while it only says that it is still there."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    is_unschedulable: bool
    allocatable: Amounts

    @property
    def zone(self) -> str:
        """ "" where it is in none."""
        return self.labels.get(ZONE, "")


class PodWants(msgspec.Struct, frozen=True):
    """What counts of a pod."""

    uid: str
    requests: tuple[tuple[str, int], ...]
    """Its own place among a node's pods is one of them: `("pods", 1)`."""
    placement: Placement
    group: str
    """Pods with one owner are spread; "" has none."""
    node: str
    scheduler: str
    is_gated: bool
    is_going: bool
    is_over: bool


@lru_cache(maxsize=4096)
def amount(resource: str, quantity: str | int | float) -> int:
    """The number of a quantity, rounded up; 0 where it is none. A template's pods all ask for the same: it is remembered.

    >>> amount("cpu", "100m"), amount("memory", "1Ki"), amount("cpu", 2)
    (100, 1024, 2000)
    """
    number = parse_quantity(str(quantity))
    if number is None:
        return 0
    return math.ceil(number * 1000 if resource == "cpu" else number)


# ---- how it is read ------------------------------------------------------------------------------------------------------

_Quantities = dict[str, str | int | float]


class _Resources(msgspec.Struct, gc=False):
    requests: _Quantities | None = None


class _Container(msgspec.Struct, gc=False, rename="camel"):
    resources: _Resources | None = None
    restart_policy: str | None = None


class _NodeSelector(msgspec.Struct, gc=False, rename="camel"):
    node_selector_terms: tuple[Term, ...] = ()


class _NodeAffinity(msgspec.Struct, gc=False):
    required: _NodeSelector | None = msgspec.field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")


class _Affinity(msgspec.Struct, gc=False, rename="camel"):
    node_affinity: _NodeAffinity | None = None


class _PodSpec(msgspec.Struct, gc=False, rename="camel"):
    node_name: str = ""
    scheduler_name: str = ""
    node_selector: dict[str, str] | None = None
    affinity: _Affinity | None = None
    tolerations: tuple[Toleration, ...] | None = None
    scheduling_gates: tuple[msgspec.Raw, ...] | None = None
    containers: tuple[_Container, ...] | None = None
    init_containers: tuple[_Container, ...] | None = None
    overhead: _Quantities | None = None


class _Owner(msgspec.Struct, gc=False):
    uid: str = ""
    controller: bool | None = None


class _PodMetadata(msgspec.Struct, gc=False, rename="camel"):
    uid: str = ""
    deletion_timestamp: str | None = None
    owner_references: tuple[_Owner, ...] | None = None


class _PodStatus(msgspec.Struct, gc=False):
    phase: str = ""


class _Pod(msgspec.Struct, gc=False):
    metadata: _PodMetadata = msgspec.field(default_factory=_PodMetadata)
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


_POD = msgspec.json.Decoder(_Pod)


def read_pod(raw: bytes) -> PodWants:
    """What counts of a pod as it is stored. Cost: about 5 µs.

    Raises:
        msgspec.ValidationError: it is no pod.
    """
    pod = _POD.decode(raw)
    spec, metadata = pod.spec, pod.metadata
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = affinity.required if affinity is not None else None
    return PodWants(
        uid=metadata.uid,
        requests=_requests(spec),
        placement=Placement(
            tuple(sorted((spec.node_selector or {}).items())),
            required.node_selector_terms if required is not None else None,
            spec.tolerations or (),
        ),
        group=next((owner.uid for owner in metadata.owner_references or () if owner.controller), ""),
        node=spec.node_name,
        scheduler=spec.scheduler_name,
        is_gated=bool(spec.scheduling_gates),
        is_going=metadata.deletion_timestamp is not None,
        is_over=pod.status.phase in ("Succeeded", "Failed"),
    )


def _requests(spec: _PodSpec) -> tuple[tuple[str, int], ...]:
    """The sum of the containers, or what one that runs before them needs beside the sidecars that were started by then."""
    total: dict[str, int] = {}
    for container in spec.containers or ():
        _add(total, container)
    beside: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in spec.init_containers or ():
        if container.restart_policy == "Always":
            _add(total, container)
            _add(beside, container)
            alone = beside
        else:
            alone = dict(beside)
            _add(alone, container)
        for name, value in alone.items():
            most[name] = max(most.get(name, 0), value)
    for name, value in most.items():
        total[name] = max(total.get(name, 0), value)
    for name, quantity in (spec.overhead or {}).items():
        total[name] = total.get(name, 0) + amount(name, quantity)
    return (("pods", 1), *((name, value) for name, value in sorted(total.items()) if value))


def _add(total: dict[str, int], container: _Container) -> None:
    requests = container.resources.requests if container.resources is not None else None
    for name, quantity in (requests or {}).items():
        total[name] = total.get(name, 0) + amount(name, quantity)


class _NodeSpec(msgspec.Struct, gc=False):
    taints: tuple[Taint, ...] | None = None
    unschedulable: bool | None = None


class _NodeStatus(msgspec.Struct, gc=False):
    allocatable: _Quantities | None = None


class _NodeMetadata(msgspec.Struct, gc=False):
    name: str = ""
    labels: dict[str, str] | None = None


class _Node(msgspec.Struct, gc=False):
    metadata: _NodeMetadata = msgspec.field(default_factory=_NodeMetadata)
    spec: _NodeSpec = msgspec.field(default_factory=_NodeSpec)
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


_NODE = msgspec.json.Decoder(_Node)


def read_node(raw: bytes) -> NodeFacts:
    """What counts of a node as it is stored.

    Raises:
        msgspec.ValidationError: it is no node.
    """
    node = _NODE.decode(raw)
    allocatable = {name: amount(name, quantity) for name, quantity in (node.status.allocatable or {}).items()}
    return NodeFacts(
        node.metadata.name,
        node.metadata.labels or {},
        node.spec.taints or (),
        bool(node.spec.unschedulable),
        allocatable,
    )
