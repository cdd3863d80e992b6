"""The built-in types as OpenAPI schemas: the table of wire types, with what merges know of them, and what we say of them.

    wire.txt          which fields there are, and of which types
    registry.patch    which lists are sets or keyed, what a strategic merge does
    descriptions.txt  what they are for, in our words; most fields have none

Pure (it reads a file of the package).
Source: kubernetes/kube-openapi (the extensions), api/openapi-spec/v3 (the form).
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

from ..registry import JSONObject
from ..registry.patch import Type, kind_type
from ._wire_types import SCALARS, WireField, wire_types

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_SCALARS: dict[str, JSONObject] = {
    "s": {"type": "string"},
    "i": {"type": "integer", "format": "int32"},
    "l": {"type": "integer", "format": "int64"},
    "d": {"type": "number", "format": "double"},
    "b": {"type": "boolean"},
    "y": {"type": "string", "format": "byte"},
}
assert set(_SCALARS) == set(SCALARS), "each scalar of the table has its schema"
_DEFINITIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
_SPECIAL: dict[str, tuple[str, JSONObject]] = {
    "Time": (f"{META}.Time", {"type": "string", "format": "date-time"}),
    "MicroTime": (f"{META}.MicroTime", {"type": "string", "format": "date-time"}),
    "Quantity": ("io.k8s.apimachinery.pkg.api.resource.Quantity", {"oneOf": [{"type": "string"}, {"type": "number"}]}),
    "IntOrString": (
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    ),
    "Raw": ("io.k8s.apimachinery.pkg.runtime.RawExtension", {"type": "object"}),
    "Fields": (f"{META}.FieldsV1", {"type": "object"}),
    "JSON": (f"{_DEFINITIONS}.JSON", {}),
    "OrArray": (f"{_DEFINITIONS}.JSONSchemaPropsOrArray", {}),
    "OrBool": (f"{_DEFINITIONS}.JSONSchemaPropsOrBool", {}),
    "OrStrings": (f"{_DEFINITIONS}.JSONSchemaPropsOrStringArray", {}),
    "Extra": (f"{META}.Extra", {"type": "array", "items": {"type": "string"}}),
}
"""Types that JSON writes in another way than protobuf does: what they are called, and what JSON has."""

LIST_META = f"{META}.ListMeta"
OBJECT_META = f"{META}.ObjectMeta"
STATUS = f"{META}.Status"
_OWN: dict[str, JSONObject] = {
    LIST_META: {
        "type": "object",
        "properties": {
            "continue": {"type": "string"},
            "remainingItemCount": {"type": "integer", "format": "int64"},
            "resourceVersion": {"type": "string"},
        },
    },
    STATUS: {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "code": {"type": "integer", "format": "int32"},
            "details": {"type": "object"},
            "kind": {"type": "string"},
            "message": {"type": "string"},
            "metadata": {"allOf": [{"$ref": f"#/components/schemas/{LIST_META}"}]},
            "reason": {"type": "string"},
            "status": {"type": "string"},
        },
    },
}
"""Types of answers alone, which no body has."""


def schema_name(api_version: str, kind: str) -> str | None:
    """What OpenAPI calls a built-in kind; None: it is none that the table has."""
    found = wire_types().kind(api_version, kind)
    return None if found is None else f"{found.package}.{kind}"


def ref(name: str) -> JSONObject:
    """Whatever the schema of this name is."""
    return {"$ref": f"#/components/schemas/{name}"}


def kind_schema(api_version: str, kind: str) -> JSONObject:
    """The schema of a built-in kind that the table has: its fields, and which kind it is."""
    group, _, version = api_version.rpartition("/")
    made = _schema(kind)
    said = {name: _described({"type": "string"}, f"TypeMeta.{name}") for name in ("apiVersion", "kind")}
    properties = {**said, **made["properties"]}
    gvk = {"group": group, "kind": kind, "version": version}
    return {**made, "properties": properties, "x-kubernetes-group-version-kind": [gvk]}


def with_references(schemas: dict[str, JSONObject]) -> dict[str, JSONObject]:
    """The schemas, and all that these refer to, in the order of their names. Cost: O(size of what is referred to)."""
    found = dict(schemas)
    waiting = [STATUS, *(name for schema in schemas.values() for name in _references(schema))]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _by_full_name()[name]
            waiting += _references(found[name])
    return {name: found[name] for name in sorted(found)}


def _references(schema: Any) -> list[str]:
    found: list[str] = []
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            target = one.get("$ref")
            if isinstance(target, str):
                found.append(target.rpartition("/")[2])
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


@functools.cache
def _by_full_name() -> dict[str, JSONObject]:
    types = {_full_name(name): _schema(name) for name in wire_types().types}
    special = dict(_SPECIAL.values())
    return {**types, **special, **_OWN}


def _full_name(name: str) -> str:
    if name in _SPECIAL:
        return _SPECIAL[name][0]
    return f"{wire_types().types[name].package}.{name.rpartition('.')[2]}"


def _schema(name: str) -> JSONObject:
    """A type that the table has, by its name there."""
    fields = sorted(wire_types().fields_in_json(name), key=lambda field: field.name)
    out: JSONObject = {"type": "object", "properties": {field.name: _property(name, field) for field in fields}}
    if required := [field.name for field in fields if field.is_required]:
        out["required"] = required
    if name in _atomic_maps():
        out["x-kubernetes-map-type"] = "atomic"
    return _described(out, name)


def _property(owner: str, field: WireField) -> JSONObject:
    element = _of(field.element)
    if field.is_list:
        made: JSONObject = {"type": "array", "items": element}
    elif field.is_map:
        made = {"type": "object", "additionalProperties": element}
    else:
        # A reference has nothing beside it, and there may be a description.
        made = {"allOf": [element]} if "$ref" in element else element
    made = {**made, **_merge_rules().get((owner, field.name), {})}
    # Of a field of which nothing is said: what its type is.
    return _described(_described(made, field.element), f"{owner}.{field.name}")


def _of(element: str) -> JSONObject:
    return dict(_SCALARS[element]) if element in SCALARS else ref(_full_name(element))


# ---- what merges know ------------------------------------------------------------------------------------------------


@functools.cache
def _merge_rules() -> dict[tuple[str, str], JSONObject]:
    """By type and field: the extensions that say how values of the field merge."""
    found: dict[tuple[str, str], JSONObject] = {}
    for name, type_ in _typed().items():
        for field in wire_types().fields_in_json(name):
            known = type_.map.fields.get(field.name) if type_.map is not None else None
            if known is None:
                continue
            rules: JSONObject = {}
            of_list = known.type.list
            if field.is_list and of_list is not None and of_list.rule.value != "atomic":
                rules["x-kubernetes-list-type"] = of_list.rule.value
                if of_list.keys:
                    rules["x-kubernetes-list-map-keys"] = list(of_list.keys)
            if known.patch_merges or known.patch_retains:
                strategies = ("merge" if known.patch_merges else "", "retainKeys" if known.patch_retains else "")
                rules["x-kubernetes-patch-strategy"] = ",".join(filter(None, strategies))
            if known.patch_key:
                rules["x-kubernetes-patch-merge-key"] = known.patch_key
            if rules:
                found[name, field.name] = rules
    return found


@functools.cache
def _atomic_maps() -> frozenset[str]:
    return frozenset(name for name, type_ in _typed().items() if type_.map is not None and type_.map.is_atomic)


@functools.cache
def _typed() -> dict[str, Type]:
    """What merges know of each type that is reached from a kind, by its name in the table of wire types."""
    found: dict[str, Type] = {}
    waiting: list[tuple[str, Type]] = []
    for api_version, kinds in wire_types().kinds.items():
        waiting += [(kind, type_) for kind in kinds if (type_ := kind_type(api_version, kind)) is not None]
    while waiting:
        name, type_ = waiting.pop()
        if name in found or name not in wire_types().types or type_.map is None:
            continue
        found[name] = type_
        for field in wire_types().fields_in_json(name):
            known = type_.map.fields.get(field.name)
            inner = _element(known.type) if known is not None else None
            if inner is not None:
                waiting.append((field.element, inner))
    return found


def _element(type_: Type) -> Type | None:
    if type_.list is not None:
        return type_.list.element
    if type_.map is not None and type_.map.element is not None and not type_.map.fields:
        return type_.map.element
    return type_


# ---- what we say -----------------------------------------------------------------------------------------------------


def _described(schema: JSONObject, of: str) -> JSONObject:
    said = _descriptions().get(of)
    return {**schema, "description": said} if said else schema


@functools.cache
def _descriptions() -> dict[str, str]:
    """By type, and by type and field."""
    text = importlib.resources.files(__package__).joinpath("descriptions.txt").read_text(encoding="utf-8")
    lines = (line.partition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: said.strip() for name, _, said in lines}
