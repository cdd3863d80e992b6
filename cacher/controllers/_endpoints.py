"""Which endpoints a service has, and how they are laid into slices. Pure.

    a service's selector ─ its pods with an address ─► endpoints, by their ports ─ plan ─► slices to create, update, delete

Endpoints stay in the slice in which they are; slices that change anyway take new ones first, then those with room, then new
slices. So a pod that comes or goes changes one slice, and who watches them gets little.

Source: kubernetes staging/src/k8s.io/endpointslice (reconciler.go, utils.go); recorded slices.
Differs: endpoints.kubernetes.io/last-change-trigger-time and topology hints are not written; slices are not merged when half empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

import msgspec

from ._conditions import is_true

JSONObject = dict[str, Any]

PER_SLICE = 100
"""Source: --max-endpoints-per-slice."""
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"


class Port(msgspec.Struct, frozen=True):
    """One port of a slice: where a service's port leads to on the pods."""

    name: str
    protocol: str
    port: int
    app_protocol: str = ""

    def to_json(self) -> JSONObject:
        """As a slice has it."""
        made: JSONObject = {"name": self.name, "protocol": self.protocol, "port": self.port}
        return {**made, "appProtocol": self.app_protocol} if self.app_protocol else made


class Pool(msgspec.Struct, frozen=True):
    """Endpoints that share slices: those of one family whose ports are the same."""

    family: str
    """IPv4 or IPv6."""
    ports: tuple[Port, ...]


def family_of(address: str) -> str:
    """IPv4 or IPv6.

    >>> family_of("10.0.0.1"), family_of("fd00::1")
    ('IPv4', 'IPv6')
    """
    return "IPv6" if isinstance(ip_address(address), IPv6Address) else "IPv4"


def belongs(pod: JSONObject) -> bool:
    """Whether a pod that the selector wants is an endpoint: it has an address, and is not over."""
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and status.get("phase") not in ("Succeeded", "Failed")


def endpoint_of(service: JSONObject, pod: JSONObject, address: str, zone: str) -> JSONObject:
    """The endpoint that a pod is."""
    spec, metadata = pod["spec"], pod["metadata"]
    serving, terminating = is_true(pod, "Ready"), bool(metadata.get("deletionTimestamp"))
    always = bool((service.get("spec") or {}).get("publishNotReadyAddresses"))
    ready = always or (serving and not terminating)
    made: JSONObject = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
    }
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        made["hostname"] = spec["hostname"]
    made["targetRef"] = {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    if spec.get("nodeName"):
        made["nodeName"] = spec["nodeName"]
    return {**made, "zone": zone} if zone else made


def ports_of(service: JSONObject, pod: JSONObject) -> tuple[Port, ...]:
    """Where the service's ports lead to on this pod. A name that the pod does not have leads nowhere, and is left out."""
    found = []
    for port in (service.get("spec") or {}).get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        number = _target(port, protocol, pod)
        if number is not None:
            found.append(Port(port.get("name") or "", protocol, number, port.get("appProtocol") or ""))
    return tuple(found)


def _target(port: JSONObject, protocol: str, pod: JSONObject) -> int | None:
    target = port.get("targetPort")
    if isinstance(target, int) and target:
        return target
    if not target:
        return int(port["port"])
    for container in pod["spec"].get("containers") or ():
        for offered in container.get("ports") or ():
            if offered.get("name") == target and (offered.get("protocol") or "TCP") == protocol:
                return int(offered["containerPort"])
    return None


def desired(
    service: JSONObject, pods: Sequence[JSONObject], zones: Mapping[str, str]
) -> dict[Pool, dict[str, JSONObject]]:
    """The endpoints of a service: of each pool, by the pod's uid, in the pods' order.

    Args:
        pods: those that its selector wants.
        zones: of nodes, by their names.
    """
    pools: dict[Pool, dict[str, JSONObject]] = {}
    families = (service.get("spec") or {}).get("ipFamilies") or ["IPv4"]
    for pod in pods:
        if not belongs(pod):
            continue
        ports = ports_of(service, pod)
        if not ports and (service.get("spec") or {}).get("ports"):
            continue  # none of the service's ports leads anywhere on it
        addresses = [one.get("ip") for one in pod["status"].get("podIPs") or ()] or [pod["status"]["podIP"]]
        for family in families:
            address = next((one for one in addresses if family_of(one) == family), None)
            if address is None:
                continue
            zone = zones.get(pod["spec"].get("nodeName") or "", "")
            endpoint = endpoint_of(service, pod, address, zone)
            pools.setdefault(Pool(family, ports), {})[pod["metadata"]["uid"]] = endpoint
    return pools


class Plan(msgspec.Struct, frozen=True):
    """What is to be written. Slices to update are the present ones, changed."""

    create: tuple[JSONObject, ...] = ()
    update: tuple[JSONObject, ...] = ()
    delete: tuple[JSONObject, ...] = ()


def plan(
    service: JSONObject,
    pools: Mapping[Pool, Mapping[str, JSONObject]],
    slices: Sequence[JSONObject],
    per_slice: int = PER_SLICE,
) -> Plan:
    """How to get from the slices that are there to those that are wanted.

    Cost: O(endpoints + slices).
    """
    labels = slice_labels(service)
    families = (service.get("spec") or {}).get("ipFamilies") or ["IPv4"]
    by_pool: dict[Pool, list[JSONObject]] = {}
    delete = []
    for one in slices:
        pool = pool_of(one)
        if pool in pools or (pool.family in families and not one.get("endpoints")):
            by_pool.setdefault(pool, []).append(one)
        else:
            delete.append(one)
    create: list[JSONObject] = []
    update: list[JSONObject] = []
    for pool, endpoints in pools.items():
        made = _lay_out(service, pool, endpoints, by_pool.pop(pool, []), labels, per_slice)
        create += made.create
        update += made.update
        delete += made.delete
    return _with_placeholders(
        service, families, pools, by_pool, Plan(tuple(create), tuple(update), tuple(delete)), labels
    )


def _with_placeholders(
    service: JSONObject,
    families: Sequence[str],
    pools: Mapping[Pool, Mapping[str, JSONObject]],
    left: Mapping[Pool, Sequence[JSONObject]],
    made: Plan,
    labels: Mapping[str, str],
) -> Plan:
    """A family without an endpoint has one empty slice, so that who looks finds that there are none."""
    create, update, delete = list(made.create), list(made.update), list(made.delete)
    has_endpoints = {pool.family for pool in pools}
    for pool, present in left.items():
        is_wanted = pool.family not in has_endpoints and not pool.ports
        kept = present[:1] if is_wanted else []
        delete += present[len(kept) :]
        for one in kept:
            has_endpoints.add(pool.family)
            if (one["metadata"].get("labels") or {}) != labels:
                update.append(_relabelled(one, labels))
    for family in families:
        if family not in has_endpoints:
            create.append(new_slice(service, Pool(family, ()), [], labels))
    return Plan(tuple(create), tuple(update), tuple(delete))


def _lay_out(
    service: JSONObject,
    pool: Pool,
    endpoints: Mapping[str, JSONObject],
    slices: Sequence[JSONObject],
    labels: Mapping[str, str],
    per_slice: int,
) -> Plan:
    """The endpoints of one pool, into its slices."""
    waiting = dict(endpoints)
    kept: list[list[JSONObject]] = []
    for one in slices:
        stays = []
        for endpoint in one.get("endpoints") or ():
            wanted = waiting.pop((endpoint.get("targetRef") or {}).get("uid", ""), None)
            if wanted is not None:
                stays.append(wanted)
        kept.append(stays)
    changed = [
        stays != (one.get("endpoints") or []) or (one["metadata"].get("labels") or {}) != labels
        for one, stays in zip(slices, kept, strict=True)
    ]
    left = list(waiting.values())
    # First those that are written anyway, the fullest first; then those with room.
    order = sorted(range(len(slices)), key=lambda at: (not changed[at], -len(kept[at])))
    for at in order:
        room = per_slice - len(kept[at])
        if left and room > 0 and kept[at]:
            kept[at] += left[:room]
            del left[:room]
            changed[at] = True
    for at in order:
        if left and not kept[at]:
            kept[at] = left[:per_slice]
            del left[:per_slice]
            changed[at] = True
    create = [
        new_slice(service, pool, left[start : start + per_slice], labels) for start in range(0, len(left), per_slice)
    ]
    update, delete = [], []
    for one, stays, is_changed in zip(slices, kept, changed, strict=True):
        if not stays:
            delete.append(one)
        elif is_changed:
            update.append({**_relabelled(one, labels), "endpoints": stays})
    return Plan(tuple(create), tuple(update), tuple(delete))


def _relabelled(one: JSONObject, labels: Mapping[str, str]) -> JSONObject:
    return {**one, "metadata": {**one["metadata"], "labels": dict(labels)}}


def pool_of(one: JSONObject) -> Pool:
    """The pool that a slice is of."""
    ports = tuple(
        Port(
            port.get("name") or "", port.get("protocol") or "TCP", port.get("port") or 0, port.get("appProtocol") or ""
        )
        for port in one.get("ports") or ()
    )
    return Pool(one.get("addressType") or "IPv4", ports)


def slice_labels(service: JSONObject) -> dict[str, str]:
    """The labels of a service's slices: its own, and whose and of what they are."""
    labels = {**(service["metadata"].get("labels") or {}), MANAGED_BY: MANAGER}
    labels[SERVICE_NAME] = service["metadata"]["name"]
    if (service.get("spec") or {}).get("clusterIP") == "None":
        labels[HEADLESS] = ""
    else:
        labels.pop(HEADLESS, None)
    return labels


def new_slice(
    service: JSONObject, pool: Pool, endpoints: Sequence[JSONObject], labels: Mapping[str, str]
) -> JSONObject:
    """A slice of the service, named by the server."""
    metadata = service["metadata"]
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "ownerReferences": [owner],
        },
        "addressType": pool.family,
        "endpoints": list(endpoints),
        "ports": [port.to_json() for port in pool.ports],
    }
