"""Nodes: what a kubelet registers, its status included, and what is set once. Pure.

Source: kubernetes pkg/registry/core/node/strategy.go; pkg/apis/core/v1/defaults.go (SetDefaults_NodeStatus), conversion.go;
pkg/apis/core/validation/validation.go (ValidateNode, ValidateNodeUpdate, validateNodeTaints).
"""

from __future__ import annotations

import ipaddress

from ._errors import GroupResource
from ._field_errors import FieldError, child, duplicate, forbidden, index, invalid, not_supported, required
from ._meta import JSONObject
from ._names import label_value, qualified_name
from ._pod_defaults import filled
from ._rest import Context
from ._strategy import StatusStrategy, Strategy
from ._validation_meta import validate_core_meta_update

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class NodeStrategy(Strategy):
    """The rules of nodes. A new one brings its status with it."""

    def __init__(self) -> None:
        super().__init__(GroupResource("", "nodes"), "Node", namespaced=False)

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """The status, of an update."""
        return (("status",),)

    def default(self, obj: JSONObject) -> JSONObject:
        """What can be allocated is what there is; one range of addresses is the first of several."""
        whole = filled(obj, {"metadata": {}, "spec": {}, "status": {}})
        spec, status = whole["spec"], whole["status"]
        if first := spec.get("podCIDR"):
            ranges = spec.get("podCIDRs") or []
            spec = spec if ranges[:1] == [first] else {**spec, "podCIDRs": [first]}
        elif spec.get("podCIDRs"):
            spec = {**spec, "podCIDR": spec["podCIDRs"][0]}
        if status.get("capacity") and not status.get("allocatable"):
            status = {**status, "allocatable": status["capacity"]}
        return {**whole, "spec": spec, "status": status}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, taints, and the ranges of addresses."""
        spec = obj.get("spec") or {}
        wrong = super().validate(context, obj) + validate_taints(spec.get("taints") or [], "metadata.taints")
        return wrong + _validate_ranges(spec.get("podCIDRs") or [], "spec.podCIDRs")

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The status stays."""
        return {**new, "status": old.get("status") or {}}

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one, and that what is set once stays."""
        return self.validate(context, new) + validate_node_update(new, old)


class NodeStatusStrategy(StatusStrategy):
    """The rules of a node's status."""

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of an update of the whole node."""
        return validate_node_update(new, old)


def validate_node_update(new: JSONObject, old: JSONObject) -> list[FieldError]:
    """What is wrong with a node that is to replace `old`."""
    spec, before, status = new.get("spec") or {}, old.get("spec") or {}, new.get("status") or {}
    wrong = validate_core_meta_update(new, old)
    addresses = status.get("addresses") or []
    for at, address in enumerate(addresses):
        if address in addresses[:at]:
            wrong.append(duplicate(index("status.addresses", at), address))
    if before.get("podCIDRs") and before["podCIDRs"] != spec.get("podCIDRs"):
        why = 'node updates may not change podCIDR except from "" to valid'
        wrong.append(forbidden("spec.podCIDRs", why))
    if before.get("providerID") and before["providerID"] != spec.get("providerID"):
        why = 'node updates may not change providerID except from "" to valid'
        wrong.append(forbidden("spec.providerID", why))
    wrong += validate_taints(spec.get("taints") or [], "metadata.taints")
    if (before.get("externalID") or "") != (spec.get("externalID") or ""):
        wrong.append(forbidden("spec.externalID", "may not be updated"))
    return wrong


def validate_taints(taints: list[JSONObject], path: str) -> list[FieldError]:
    """What is wrong with taints: a key, a value or an effect is none, or two are one. The path is Kubernetes' own."""
    wrong: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for at, taint in enumerate(taints):
        here, name, value, effect = (
            index(path, at),
            taint.get("key", ""),
            taint.get("value", ""),
            taint.get("effect", ""),
        )
        wrong += [invalid(child(here, "key"), name, why) for why in qualified_name(name)]
        if problems := label_value(value):
            wrong.append(invalid(child(here, "value"), value, ";".join(problems)))
        if not effect:
            wrong.append(required(child(here, "effect")))
        elif effect not in _EFFECTS:
            wrong.append(not_supported(child(here, "effect"), effect, _EFFECTS))
        if (name, effect) in seen:
            twice = duplicate(here, taint)
            wrong.append(FieldError(twice.type, here, taint, "taints must be unique by key and effect pair"))
        seen.add((name, effect))
    return wrong


def _validate_ranges(ranges: list[str], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    families = []
    for at, value in enumerate(ranges):
        try:
            families.append(ipaddress.ip_network(value, strict=False).version)
        except ValueError:
            why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            wrong.append(invalid(index(path, at), value, why))
    if len(ranges) > 1 and not wrong:
        if len(ranges) > 2 or len(set(families)) != 2:
            wrong.append(invalid(path, ranges, "may specify no more than one CIDR for each IP family"))
        wrong += [duplicate(index(path, at), value) for at, value in enumerate(ranges) if value in ranges[:at]]
    return wrong
