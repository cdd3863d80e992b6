"""A custom resource for a story, whose objects may hold anything. Pure."""

from __future__ import annotations

from typing import Any

from ._operations import split_resource

_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def custom_resource(resource: str, kind: str, *, status: bool = True) -> dict[str, Any]:
    """The CustomResourceDefinition of a namespaced `resource` such as "example.com/v1/rabbits", for `Topology.definitions`.

    Args:
        status: whether the status is a part of its own.
    """
    version, plural = split_resource(resource)
    group, _, short = version.rpartition("/")
    served: dict[str, Any] = {"name": short, "served": True, "storage": True, "schema": {"openAPIV3Schema": _ANYTHING}}
    if status:
        served["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [served],
        },
    }
