"""Whether a customresourcedefinition has the JSON types that it must have: the request is a bad one if not.

Pure. Everything else in this package reads what has the wrong type as absent; this says that it has.
Source: the types of kubernetes/apiextensions-apiserver pkg/apis/apiextensions/v1, and the messages of Go's JSON decoder.
"""

from __future__ import annotations

from collections.abc import Mapping

from ._go_text import is_integer, is_number, json_kind
from ._structural import DEPTH_MAX, JSON

_TEXT, _FLAG, _WHOLE, _NUMBER = "string", "bool", "int64", "float64"
_TEXTS, _ANY, _ANYS, _OBJECT = "[]string", "any", "[]v1.JSON", "object"
_SCHEMA, _SCHEMAS, _SCHEMA_MAP = "v1.JSONSchemaProps", "[]v1.JSONSchemaProps", "map[string]v1.JSONSchemaProps"
_SCHEMA_OR_FLAG, _SCHEMA_OR_LIST, _DEPENDENCIES = "schema or bool", "schema or list", "dependencies"
_RULES = "rules"

_SCHEMA_FIELDS = {
    **dict.fromkeys(("id", "$schema", "$ref", "description", "type", "format", "title", "pattern"), _TEXT),
    **dict.fromkeys(("x-kubernetes-list-type", "x-kubernetes-map-type"), _TEXT),
    **dict.fromkeys(("maximum", "minimum", "multipleOf"), _NUMBER),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), _WHOLE),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "uniqueItems", "nullable"), _FLAG),
    **dict.fromkeys(("embedded-resource", "int-or-string", "preserve-unknown-fields"), _FLAG),
    **dict.fromkeys(("required", "x-kubernetes-list-map-keys"), _TEXTS),
    **dict.fromkeys(("allOf", "oneOf", "anyOf"), _SCHEMAS),
    **dict.fromkeys(("properties", "patternProperties", "definitions"), _SCHEMA_MAP),
    **dict.fromkeys(("additionalProperties", "additionalItems"), _SCHEMA_OR_FLAG),
    "not": _SCHEMA,
    "items": _SCHEMA_OR_LIST,
    "dependencies": _DEPENDENCIES,
    "enum": _ANYS,
    "externalDocs": _OBJECT,
    "x-kubernetes-validations": _RULES,
}
for _name in ("embedded-resource", "int-or-string", "preserve-unknown-fields"):
    _SCHEMA_FIELDS[f"x-kubernetes-{_name}"] = _SCHEMA_FIELDS.pop(_name)

_RULE_FIELDS = {
    **dict.fromkeys(("rule", "message", "messageExpression", "reason", "fieldPath"), _TEXT),
    "optionalOldSelf": _FLAG,
}
_NAMES_FIELDS = {
    **dict.fromkeys(("plural", "singular", "kind", "listKind"), _TEXT),
    **dict.fromkeys(("shortNames", "categories"), _TEXTS),
}
_COLUMN_FIELDS = {**dict.fromkeys(("name", "type", "format", "description", "jsonPath"), _TEXT), "priority": _WHOLE}
_SCALE_FIELDS = dict.fromkeys(("specReplicasPath", "statusReplicasPath", "labelSelectorPath"), _TEXT)


class _WrongShapeError(Exception):
    """Something has the wrong type; the message says what."""


def shape_problem(crd: JSON) -> str | None:
    """What has the wrong type, as Go's JSON decoder says it; None if nothing has.

    Cost: O(definition).
    """
    try:
        _check_definition(crd)
    except _WrongShapeError as problem:
        return str(problem)
    return None


def schema_shape_problem(schema: JSON) -> str | None:
    """The same, of an openAPIV3Schema alone."""
    try:
        _check_schema(schema, "openAPIV3Schema", 0)
    except _WrongShapeError as problem:
        return str(problem)
    return None


def _check_definition(crd: JSON) -> None:
    spec = _object(_object(crd, "CustomResourceDefinition").get("spec"), "spec")
    _check_fields(spec, {"group": _TEXT, "scope": _TEXT, "preserveUnknownFields": _FLAG}, "spec")
    _check_fields(_object(spec.get("names"), "spec.names"), _NAMES_FIELDS, "spec.names")
    conversion = _object(spec.get("conversion"), "spec.conversion")
    _check_fields(conversion, {"strategy": _TEXT, "webhook": _OBJECT}, "spec.conversion")
    for version in _items(spec.get("versions"), "spec.versions", "[]v1.CustomResourceDefinitionVersion"):
        _check_version(_object(version, "spec.versions"), "spec.versions")
    status = _object(_object(crd, "").get("status"), "status")
    _check_fields(status, {"storedVersions": _TEXTS}, "status")
    _check_fields(_object(status.get("acceptedNames"), "status.acceptedNames"), _NAMES_FIELDS, "status.acceptedNames")
    metadata = _object(_object(crd, "").get("metadata"), "metadata")
    _check_fields(metadata, {"name": _TEXT, "annotations": _OBJECT}, "metadata")


def _check_version(version: dict[str, JSON], path: str) -> None:
    fields = {"name": _TEXT, "served": _FLAG, "storage": _FLAG, "deprecated": _FLAG, "deprecationWarning": _TEXT}
    _check_fields(version, fields, path)
    schema = _object(version.get("schema"), f"{path}.schema")
    if schema.get("openAPIV3Schema") is not None:
        _check_schema(schema["openAPIV3Schema"], f"{path}.schema.openAPIV3Schema", 0)
    subresources = _object(version.get("subresources"), f"{path}.subresources")
    _object(subresources.get("status"), f"{path}.subresources.status")
    scale = _object(subresources.get("scale"), f"{path}.subresources.scale")
    _check_fields(scale, _SCALE_FIELDS, f"{path}.subresources.scale")
    for name, fields in (("additionalPrinterColumns", _COLUMN_FIELDS), ("selectableFields", {"jsonPath": _TEXT})):
        for one in _items(version.get(name), f"{path}.{name}", "list"):
            _check_fields(_object(one, f"{path}.{name}"), fields, f"{path}.{name}")


def _check_schema(schema: JSON, path: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise _WrongShapeError(f"{path}: schemas may be nested {DEPTH_MAX} deep, and these are deeper")
    for name, value in _object(schema, path).items():
        kind = _SCHEMA_FIELDS.get(name)
        where = f"{path}.{name}"
        if kind is None or value is None:
            continue
        if kind in _SIMPLE:
            _expect(value, kind, where)
        else:
            _check_nested(value, kind, where, depth + 1)


def _check_nested(value: JSON, kind: str, path: str, depth: int) -> None:
    if kind == _RULES:
        for rule in _items(value, path, "v1.ValidationRules"):
            _check_fields(_object(rule, path), _RULE_FIELDS, path)
    elif kind in (_SCHEMA_MAP, _DEPENDENCIES):
        for one in _object(value, path).values():
            if one is not None and not (kind is _DEPENDENCIES and isinstance(one, list)):
                _check_schema(one, path, depth)
    elif kind in (_SCHEMAS, _SCHEMA_OR_LIST) and isinstance(value, list):
        for one in value:
            if one is not None:
                _check_schema(one, path, depth)
    elif kind == _SCHEMAS:
        raise _WrongShapeError(_cannot(value, path, kind))
    elif not (kind == _SCHEMA_OR_FLAG and isinstance(value, bool)):
        _check_schema(value, path, depth)


_SIMPLE = {_TEXT, _FLAG, _WHOLE, _NUMBER, _TEXTS, _ANYS, _OBJECT}


def _expect(value: JSON, kind: str, path: str) -> None:
    fits = {
        _TEXT: isinstance(value, str),
        _FLAG: isinstance(value, bool),
        _WHOLE: is_integer(value),
        _NUMBER: is_number(value),
        _TEXTS: isinstance(value, list) and all(one is None or isinstance(one, str) for one in value),
        _ANYS: isinstance(value, list),
        _OBJECT: isinstance(value, dict),
    }
    if not fits[kind]:
        raise _WrongShapeError(_cannot(value, path, kind))


def _check_fields(raw: dict[str, JSON], fields: Mapping[str, str], path: str) -> None:
    for name, kind in fields.items():
        if raw.get(name) is not None:
            _expect(raw[name], kind, f"{path}.{name}")


def _object(value: JSON, path: str) -> dict[str, JSON]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _WrongShapeError(_cannot(value, path, "object"))
    return value


def _items(value: JSON, path: str, kind: str) -> list[JSON]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _WrongShapeError(_cannot(value, path, kind))
    return value


def _cannot(value: JSON, path: str, kind: str) -> str:
    field = f"Go struct field CustomResourceDefinition.{path}"
    return f"json: cannot unmarshal {json_kind(value)} into {field} of type {kind}"
