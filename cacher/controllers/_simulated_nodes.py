"""Nodes that are not there: their objects, their leases, and the addresses of what runs on them. Pure.

    node 0   172.16.0.1   pods 10.128.0.0/24        node 300   172.16.1.45   pods 10.129.44.0/24

Source: kubernetes pkg/kubelet/kubelet_node_status.go, nodestatus/setters.go; recorded nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, final

import msgspec

from ._conditions import Condition, with_conditions
from ._times import micro_moment, rfc3339

JSONObject = dict[str, Any]

NODES_MAX = 32_768
"""So many ranges of 256 addresses are in 10.128.0.0/9."""
PODS_MAX = 254
_PODS, _HOSTS = int(IPv4Address("10.128.0.0")), int(IPv4Address("172.16.0.1"))
_ALLOCATABLE: dict[str, str] = {"cpu": "8", "ephemeral-storage": "100Gi", "memory": "32Gi", "pods": "110"}


class NodeShape(msgspec.Struct, frozen=True, kw_only=True):
    """What the nodes are like."""

    capacity: Mapping[str, str] = msgspec.field(default_factory=lambda: dict(_ALLOCATABLE))
    """All of it can be allocated."""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Beside those that every node has."""
    region: str = "r1"
    zones: tuple[str, ...] = ("r1a", "r1b", "r1c")
    """Node by node in turn; none: no zones."""
    kubelet_version: str = "v1.36.2"


class NodeAddresses(msgspec.Struct, frozen=True):
    """The addresses of the node with this number."""

    number: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < NODES_MAX:
            raise ValueError(f"node number {self.number}: there are addresses for {NODES_MAX:,} nodes")

    @property
    def host(self) -> str:
        """The node's own."""
        return str(IPv4Address(_HOSTS + self.number))

    @property
    def pods(self) -> str:
        """The range of its pods."""
        return f"{IPv4Address(_PODS + 256 * self.number)}/24"

    def pod(self, number: int) -> str:
        """The address of its pod with this number, from 1 to 254."""
        return str(IPv4Address(_PODS + 256 * self.number + number))


@final
class PodAddresses:
    """Which pod has which address of one node: each address one pod at most, and what was given back last is given last."""

    def __init__(self, node: NodeAddresses) -> None:
        self.node = node
        self._by_uid: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        self._next = 1

    def of(self, uid: str, present: str = "") -> str:
        """The pod's address: the one that it has, `present`, or a free one; "" where the node has no more.

        Cost: O(1), O(254) on a full node.
        """
        held = self._by_uid.get(uid)
        if held is not None:
            return held
        address = present if present and present not in self._taken else self._free()
        if address:
            self._by_uid[uid] = address
            self._taken[address] = uid
        return address

    def release(self, uid: str) -> None:
        """The pod is gone."""
        address = self._by_uid.pop(uid, None)
        if address is not None:
            del self._taken[address]

    def _free(self) -> str:
        for step in range(PODS_MAX):
            number = (self._next - 1 + step) % PODS_MAX + 1
            address = self.node.pod(number)
            if address not in self._taken:
                self._next = number % PODS_MAX + 1
                return address
        return ""


def new_node(name: str, addresses: NodeAddresses, shape: NodeShape, now_s: float) -> JSONObject:
    """The object that a kubelet registers, its status included."""
    zone = shape.zones[addresses.number % len(shape.zones)] if shape.zones else ""
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        **({"topology.kubernetes.io/region": shape.region, "topology.kubernetes.io/zone": zone} if zone else {}),
        **shape.labels,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": addresses.pods, "podCIDRs": [addresses.pods]},
        "status": node_status({}, name, addresses, shape, now_s),
    }


def node_status(old: JSONObject, name: str, addresses: NodeAddresses, shape: NodeShape, now_s: float) -> JSONObject:
    """The status of a node whose kubelet is well. What others have set in it stays."""
    capacity = dict(shape.capacity)
    return {
        **old,
        "capacity": capacity,
        "allocatable": dict(capacity),
        "conditions": heartbeat(old.get("conditions") or [], now_s),
        "addresses": [{"type": "InternalIP", "address": addresses.host}, {"type": "Hostname", "address": name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "machineID": f"{addresses.number + 1:032x}",
            "systemUUID": f"00000000-0000-0000-0000-{addresses.number + 1:012x}",
            "bootID": f"11111111-0000-0000-0000-{addresses.number + 1:012x}",
            "kernelVersion": "6.8.0",
            "osImage": "Simulated Linux",
            "containerRuntimeVersion": "simulated://1.0",
            "kubeletVersion": shape.kubelet_version,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }


_WELL = (
    Condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    Condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    Condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    Condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def heartbeat(conditions: list[JSONObject], now_s: float) -> list[JSONObject]:
    """The conditions of a node that is well, said again now."""
    now = rfc3339(now_s)
    return with_conditions(conditions, _WELL, now, {"lastHeartbeatTime": now})


def new_lease(node: str, uid: str, now_s: float, duration_s: int) -> JSONObject:
    """The lease that a node's kubelet renews."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node, "namespace": LEASES, "ownerReferences": [owner]},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": duration_s, "renewTime": micro_moment(now_s)},
    }


def renewed(lease: JSONObject, now_s: float) -> JSONObject:
    """The lease, renewed now."""
    return {**lease, "spec": {**(lease.get("spec") or {}), "renewTime": micro_moment(now_s)}}


LEASES = "kube-node-lease"
"""The namespace of nodes' leases."""
