"""The type of a custom resource, from the schema of its definition (openAPIV3Schema of one version).

Pure.
Source: kubernetes/kube-openapi pkg/schemaconv (smd.go, openapi.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._kinds import object_meta
from ._types import DEDUCED, UNDIVIDED, Field, ListRule, ListType, MapType, Type

_PRESERVE = "x-kubernetes-preserve-unknown-fields"


def custom_type(schema: Mapping[str, Any] | None, *, preserve: bool = False) -> Type:
    """The type of a custom resource's objects. None: without a schema everything is deduced.

    Args:
        schema: structural, and with apiVersion, kind and metadata or without.
        preserve: unknown fields are kept in all of it (`spec.preserveUnknownFields` of the definition).
    """
    if schema is None:
        return DEDUCED
    found = _type(schema, preserve)
    inside = found.map if found.map is not None else MapType(element=DEDUCED)
    text = Type(scalar="string")
    own = {"apiVersion": Field(text), "kind": Field(text), "metadata": Field(object_meta())}
    return Type(map=MapType({**inside.fields, **own}, inside.element, inside.is_atomic))


def _type(schema: Mapping[str, Any], preserve: bool) -> Type:
    preserve = preserve or schema.get(_PRESERVE) is True
    match schema.get("type", ""):
        case "":
            return Type("untyped", _list(schema, preserve), _map(schema, preserve))
        case "object":
            return Type(map=_map(schema, preserve))
        case "array":
            return Type(list=_list(schema, preserve))
        case "integer" | "number":
            return Type(scalar="numeric")
        case "boolean":
            return Type(scalar="boolean")
        case "string":
            return Type(scalar="string" if schema.get("format", "") in ("", "byte") else "untyped")
    return Type(scalar="untyped")


def _map(schema: Mapping[str, Any], preserve: bool) -> MapType:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    fields = {name: Field(_type(inner, preserve), inner.get("default")) for name, inner in properties.items()}
    if schema.get("x-kubernetes-embedded-resource") is True:
        text = Type(scalar="string")
        fields |= {"apiVersion": Field(text), "kind": Field(text), "metadata": Field(object_meta())}
    return MapType(fields, _others(schema, preserve, bool(fields)), schema.get("x-kubernetes-map-type") == "atomic")


def _others(schema: Mapping[str, Any], preserve: bool, has_fields: bool) -> Type | None:
    """The type of the fields that are not named; None: there are no others."""
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        return _type(additional, preserve)
    if additional is None:
        return DEDUCED if preserve or not has_fields else None
    return DEDUCED if additional is True else None


def _list(schema: Mapping[str, Any], preserve: bool) -> ListType:
    items = schema.get("items")
    element = _type(items, preserve) if isinstance(items, dict) else UNDIVIDED
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return ListType(element, ListRule.SET)
        case "map":
            return ListType(element, ListRule.KEYED, tuple(schema.get("x-kubernetes-list-map-keys") or ()))
    return ListType(element)
