"""Which fields of Kubernetes' own resources are selectable, so that objects from an API server have them in their heads. Pure.

A test compares the table with the one that a server of ours selects by. Fields of custom resources are told to
`HTTPClient.resource`.
Source: kubernetes pkg/registry/*/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Selectable(msgspec.Struct, frozen=True):
    """What an ObjectReader wants to know; see there."""

    fields: tuple[str, ...] = ()
    """Beside `metadata.name` and `metadata.namespace`, which all have."""
    absent: tuple[tuple[str, str], ...] = ()
    read_from: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def with_fields(self, *more: str) -> Selectable:
        """These too."""
        return msgspec.structs.replace(self, fields=tuple(dict.fromkeys((*self.fields, *more))))


_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_POD_SPEC = ("nodeName", "restartPolicy", "schedulerName", "serviceAccountName", "hostNetwork")

_TABLE: Mapping[tuple[str, str], Selectable] = {
    ("v1", "pods"): Selectable(
        (*(f"spec.{name}" for name in _POD_SPEC), "status.phase", "status.podIP", "status.nominatedNodeName"),
        absent=(("spec.hostNetwork", "false"),),
    ),
    ("v1", "nodes"): Selectable(("spec.unschedulable",), absent=(("spec.unschedulable", "false"),)),
    ("v1", "namespaces"): Selectable(("status.phase",)),
    ("v1", "services"): Selectable(("spec.clusterIP", "spec.type")),
    ("v1", "secrets"): Selectable(("type",)),
    ("v1", "events"): Selectable(
        (*(f"involvedObject.{name}" for name in _INVOLVED), "reason", "reportingComponent", "source", "type"),
        read_from=(("source", ("source.component", "reportingComponent")),),
    ),
    ("v1", "replicationcontrollers"): Selectable(("status.replicas",), absent=(("status.replicas", "0"),)),
    ("batch/v1", "jobs"): Selectable(
        ("status.successful",),
        absent=(("status.successful", "0"),),
        read_from=(("status.successful", ("status.succeeded",)),),
    ),
}


def selectable(group_version: str, plural: str) -> Selectable:
    """What is known of a resource; nothing of one that Kubernetes does not have."""
    return _TABLE.get((group_version, plural), Selectable())
