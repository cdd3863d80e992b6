"""Objects of the four kinds that the clients are tried with: two that workloads are of, one that is plain, one that is custom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

JSONObject = dict[str, Any]


def configmap(name: str, value: str) -> JSONObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "shop"}},
        "data": {"value": value},
    }


def _template(value: str) -> JSONObject:
    container = {"name": "main", "image": f"registry.example/{value}", "ports": [{"containerPort": 80}]}
    return {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [container]}}


def pod(name: str, value: str) -> JSONObject:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        **_template(value),
        "metadata": {"name": name, "labels": {"app": "shop"}},
    }


def deployment(name: str, value: str) -> JSONObject:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": "shop"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "shop"}}, "template": _template(value)},
    }


def widget(name: str, value: str) -> JSONObject:
    return {
        "apiVersion": "shop.example.com/v1",
        "kind": "Widget",
        "metadata": {"name": name, "labels": {"app": "shop"}},
        "spec": {"color": value, "replicas": 2},
    }


WIDGETS: JSONObject = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.shop.example.com"},
    "spec": {
        "group": "shop.example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "additionalPrinterColumns": [{"name": "Color", "type": "string", "jsonPath": ".spec.color"}],
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "Something to sell.",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "color": {"type": "string", "description": "Its color."},
                                    "replicas": {"type": "integer", "minimum": 0},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


class Kind(msgspec.Struct, frozen=True):
    """One of the four, and how its objects differ by a value."""

    plural: str
    shown: str
    """As kubectl names it: `deployment.apps`."""
    make: Callable[[str, str], JSONObject]
    path: str
    """To the value, as JSON patch has it."""
    columns: tuple[str, ...]
    is_custom: bool = False

    def value_in(self, obj: JSONObject) -> str:
        """The value that the object was made with."""
        found: Any = obj
        for part in self.path.strip("/").split("/"):
            found = found[int(part)] if part.isdigit() else found[part]
        return str(found).rpartition("/")[2]

    def as_patch(self, value: str) -> JSONObject:
        """A merge patch of the value; of containers a strategic one, by their names."""
        if "containers" in self.path:
            spec: JSONObject = {"containers": [{"name": "main", "image": f"registry.example/{value}"}]}
            return {"spec": spec if self.plural == "pods" else {"template": {"spec": spec}}}
        first, last = self.path.strip("/").split("/")
        return {first: {last: value}}


KINDS = (
    Kind("configmaps", "configmap", configmap, "/data/value", ("NAME", "DATA", "AGE")),
    Kind("pods", "pod", pod, "/spec/containers/0/image", ("NAME", "READY", "STATUS", "RESTARTS", "AGE")),
    Kind(
        "deployments",
        "deployment.apps",
        deployment,
        "/spec/template/spec/containers/0/image",
        ("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),
    ),
    Kind("widgets", "widget.shop.example.com", widget, "/spec/color", ("NAME", "COLOR"), is_custom=True),
)
