"""Which fields of Kubernetes' own resources are selectable, so that objects from an API server have them in their heads. Pure.

A test compares the table with the one that a server of ours selects by. Fields of custom resources are told to
`HTTPClient.resource`.
Source: kubernetes pkg/registry/*/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping

_EVENT = (
    *(
        f"involvedObject.{name}"
        for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    ),
    "reason",
    "reportingComponent",
    "type",
)
_POD = (
    *(f"spec.{name}" for name in ("nodeName", "restartPolicy", "schedulerName", "serviceAccountName", "hostNetwork")),
    *(f"status.{name}" for name in ("phase", "podIP", "nominatedNodeName")),
)

SELECTABLE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("v1", "pods"): _POD,
    ("v1", "nodes"): ("spec.unschedulable",),
    ("v1", "namespaces"): ("status.phase",),
    ("v1", "services"): ("spec.clusterIP", "spec.type"),
    ("v1", "secrets"): ("type",),
    ("v1", "events"): _EVENT,
    ("v1", "replicationcontrollers"): ("status.replicas",),
    ("batch/v1", "jobs"): ("status.successful",),
}
"""Beside `metadata.name` and `metadata.namespace`, which all have."""

ABSENT: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("v1", "pods"): {"spec.hostNetwork": "false"},
    ("v1", "nodes"): {"spec.unschedulable": "false"},
    ("v1", "replicationcontrollers"): {"status.replicas": "0"},
    ("batch/v1", "jobs"): {"status.successful": "0"},
}
"""What a field that is not there counts as, where that is not ""."""
