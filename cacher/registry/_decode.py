"""What a typed server reads out of a body: known fields of the right type, and nothing that is the same as nothing. Pure.

    body ─ of another type: BadRequest ─ unknown fields: told, and dropped ─ null and empty members dropped ─► object

Unknown fields are told in the order in which they stand in the body: `metadata.nope`, `spec.containers[0].nope`.
Source: sigs.k8s.io/json (strict decoding); kubernetes/apimachinery pkg/runtime/serializer/json.
Differs: numbers are told as int32, whatever the width of Go's field.
"""

from __future__ import annotations

from typing import Any

from ._errors import BadRequest
from ._field_errors import child, index
from ._meta import JSONObject
from .patch import Type, canonical, kind_type

DEPTH_MAX = 10_000
"""Objects and lists in each other that are read. Source: sigs.k8s.io/json internal/golang/encoding/json/scanner.go."""

_GO_NAMES = {"string": "string", "numeric": "int32", "boolean": "bool"}


def decode(body: JSONObject, type_: Type, api_version: str, kind: str) -> tuple[JSONObject, list[str]]:
    """The object, and the paths of what nobody knows, which it has no more.

    Raises:
        BadRequest: a value is of another type than its field.
    Cost: O(size).
    """
    unknown: list[str] = []
    known = _checked(body, type_, "", api_version, kind, unknown)
    obj: JSONObject = canonical(type_, known, nulls=True)
    return obj, unknown


def decode_metadata(body: JSONObject, api_version: str, kind: str) -> tuple[JSONObject, list[str]]:
    """As `decode`, of an object of which only the metadata's type is known: all else stays as it is."""
    whole = kind_type("v1", "ConfigMap")
    assert whole is not None, "the table of kinds has config maps"
    assert whole.map is not None, "they are objects"
    type_ = whole.map.fields["metadata"].type
    unknown: list[str] = []
    known = _checked(body.get("metadata"), type_, "metadata", api_version, kind, unknown)
    return {**body, "metadata": canonical(type_, known or {}, nulls=True)}, unknown


def _checked(value: Any, type_: Type, path: str, api_version: str, kind: str, unknown: list[str]) -> Any:
    try:
        return _known(value, type_, path, kind, unknown)
    except _WrongType as error:
        version = api_version.rpartition("/")[2]
        raise BadRequest(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from error


class _WrongType(Exception):
    """A value is of another type than its field."""


def _known(value: Any, type_: Type, path: str, kind: str, unknown: list[str]) -> Any:
    """`value` with known members alone. What may be anything is not looked into: managedFields are often half of an object."""
    if value is None or type_.is_anything:
        return value
    if isinstance(value, dict):
        return _known_members(value, type_, path, kind, unknown)
    if isinstance(value, list):
        if type_.list is None:
            raise _wrong("array", path, kind, type_)
        element = type_.list.element
        return [_known(item, element, index(path, at), kind, unknown) for at, item in enumerate(value)]
    if type_.scalar is None:
        raise _wrong(_json_name(value), path, kind, type_)
    if type_.scalar != "untyped" and _json_name(value) != _JSON_NAMES[type_.scalar]:
        raise _wrong(_json_name(value), path, kind, type_)
    return value


def _known_members(value: JSONObject, type_: Type, path: str, kind: str, unknown: list[str]) -> JSONObject:
    if type_.map is None:
        raise _wrong("object", path, kind, type_)
    out: JSONObject = {}
    for name, inner in value.items():
        below = type_.map.type_of(name)
        if below is None:
            unknown.append(child(path, name))
        else:
            out[name] = _known(inner, below, child(path, name), kind, unknown)
    return out


_JSON_NAMES = {"string": "string", "numeric": "number", "boolean": "bool"}


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "number"


def _wrong(found: str, path: str, kind: str, type_: Type) -> _WrongType:
    wanted = _GO_NAMES.get(type_.scalar or "", "")
    if not wanted:
        wanted = "[]interface {}" if type_.list is not None else "map[string]interface {}"
    return _WrongType(f"json: cannot unmarshal {found} into Go struct field {kind}.{path} of type {wanted}")


def check_depth(body: Any) -> None:
    """Raises BadRequest where the body nests deeper than DEPTH_MAX. Cost: O(size)."""
    level, depth = [body], 0
    while level:
        if depth > DEPTH_MAX:
            raise BadRequest("exceeded max depth")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [inner for inner in value.values() if isinstance(inner, (dict, list))]
            elif isinstance(value, list):
                below += [inner for inner in value if isinstance(inner, (dict, list))]
        level, depth = below, depth + 1
