"""The metadata of an object, and of those within it (x-kubernetes-embedded-resource): what they may be, and that they are.

Which fields there are is known, so no schema says it: unknown ones are dropped, badly typed ones refused.
Pure. Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/objectmeta.
Differs: of an embedded object's metadata only the types are checked and the name; labels and the rest are the registry's to
check, by the function that it hands in.
"""

from __future__ import annotations

from collections.abc import Callable

from .._field_errors import FieldError, child, index, invalid, key, required
from ._dns_names import label_problems
from ._go_text import is_integer, json_kind
from ._structural import JSON, META_FIELDS, Schema

CheckMetadata = Callable[[dict[str, JSON], str], list[FieldError]]
"""What is wrong with the metadata at a path."""

_TEXTS = ("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion")
_OWNER: dict[str, type] = {
    "apiVersion": str,
    "kind": str,
    "name": str,
    "uid": str,
    "controller": bool,
    "blockOwnerDeletion": bool,
}
_MANAGED: dict[str, type] = {
    "manager": str,
    "operation": str,
    "apiVersion": str,
    "time": str,
    "fieldsType": str,
    "fieldsV1": dict,
    "subresource": str,
}
_GO_KINDS: dict[type, str] = {str: "string", bool: "bool", int: "int64", dict: "map[string]string", list: "[]string"}


class BadMetadata(Exception):
    """The metadata cannot be read as such: the request is a bad one, and the message says where, as Go's JSON decoder does."""


def known_metadata(metadata: JSON, path: str = "metadata") -> tuple[dict[str, JSON], list[str]]:
    """The metadata without what is none, and the paths of that.

    Raises:
        BadMetadata: something has the wrong type.
    """
    if not isinstance(metadata, dict):
        raise BadMetadata(f"json: cannot unmarshal {json_kind(metadata)} into Go value of type v1.ObjectMeta")
    known: dict[str, JSON] = {}
    unknown: list[str] = []
    for name, value in metadata.items():
        if name not in _READERS:
            unknown.append(child(path, name))
        elif value is not None:
            _READERS[name](name, value)
            known[name] = value
    return known, sorted(unknown)


def _read_text(name: str, value: JSON) -> None:
    _expect(name, value, str)


def _read_integer(name: str, value: JSON) -> None:
    if not is_integer(value):
        raise BadMetadata(_cannot(name, value, "int64"))


def _read_texts_by_name(name: str, value: JSON) -> None:
    _expect(name, value, dict)
    for one in value.values():
        if one is not None:
            _expect(name, one, str)


def _read_texts(name: str, value: JSON) -> None:
    _expect(name, value, list)
    for one in value:
        if one is not None:
            _expect(name, one, str)


def _read_structs(fields: dict[str, type], struct: str) -> Callable[[str, JSON], None]:
    def read(name: str, value: JSON) -> None:
        if not isinstance(value, list):
            raise BadMetadata(_cannot(name, value, f"[]v1.{struct}"))
        for one in value:
            if not isinstance(one, dict):
                raise BadMetadata(_cannot(name, one, f"v1.{struct}"))
            for field, kind in fields.items():
                if one.get(field) is not None:
                    _expect(f"{name}.{field}", one[field], kind)

    return read


_READERS: dict[str, Callable[[str, JSON], None]] = {
    **dict.fromkeys(_TEXTS, _read_text),
    "generation": _read_integer,
    "deletionGracePeriodSeconds": _read_integer,
    "creationTimestamp": _read_text,
    "deletionTimestamp": _read_text,
    "labels": _read_texts_by_name,
    "annotations": _read_texts_by_name,
    "finalizers": _read_texts,
    "ownerReferences": _read_structs(_OWNER, "OwnerReference"),
    "managedFields": _read_structs(_MANAGED, "ManagedFieldsEntry"),
}


def _expect(name: str, value: JSON, kind: type) -> None:
    if not isinstance(value, kind):
        raise BadMetadata(_cannot(name, value, _GO_KINDS[kind]))


def _cannot(name: str, value: JSON, kind: str) -> str:
    return f"json: cannot unmarshal {json_kind(value)} into Go struct field ObjectMeta.{name} of type {kind}"


# --- objects within objects -------------------------------------------------------------------------------------------


def with_known_metadata(schema: Schema | None, value: JSON, path: str = "") -> tuple[JSON, list[str]]:
    """The value with the metadata of the objects within it as `known_metadata` gives them, and what was dropped.

    Raises:
        BadMetadata: something has the wrong type.
    Cost: O(value).
    """
    unknown: list[str] = []
    return _coerce(schema, value, path, unknown), unknown


def _coerce(schema: Schema | None, value: JSON, path: str, unknown: list[str]) -> JSON:
    if schema is None or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        items = [_coerce(schema.items, one, index(path, at), unknown) for at, one in enumerate(value)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    made: dict[str, JSON] = {}
    for name, one in value.items():
        if schema.is_embedded and path and name in META_FIELDS:
            made[name] = _coerce_meta(name, one, path, unknown)
        else:
            made[name] = _coerce(schema.child(name), one, child(path, name), unknown)
    return made if any(made[name] is not one for name, one in value.items()) else value


def _coerce_meta(name: str, value: JSON, path: str, unknown: list[str]) -> JSON:
    if name != "metadata":
        if not isinstance(value, str):
            raise BadMetadata(f"{child(path, name)}: Invalid value: must be a string")
        return value
    known, dropped = known_metadata(value, child(path, "metadata"))
    unknown += dropped
    return known if known != value else value


def embedded_errors(
    schema: Schema | None, value: JSON, path: str = "", *, check_metadata: CheckMetadata | None = None
) -> list[FieldError]:
    """What is wrong with the apiVersion, kind and metadata of the objects within the value.

    Cost: O(value).
    """
    if schema is None or not isinstance(value, dict | list):
        return []
    found: list[FieldError] = []
    if isinstance(value, list):
        for at, one in enumerate(value):
            found += embedded_errors(schema.items, one, index(path, at), check_metadata=check_metadata)
        return found
    if schema.is_embedded:
        found += _of_object(value, path, check_metadata)
    for name in sorted(value):
        is_named = schema.properties is not None and name in schema.properties
        where = child(path, name) if is_named else key(path, name)
        found += embedded_errors(schema.child(name), value[name], where, check_metadata=check_metadata)
    return found


def _of_object(value: dict[str, JSON], path: str, check_metadata: CheckMetadata | None) -> list[FieldError]:
    found = [required(child(path, name)) for name in ("apiVersion", "kind") if name not in value]
    if "apiVersion" in value:
        found += _api_version_errors(value["apiVersion"], child(path, "apiVersion"))
    if "kind" in value:
        found += _kind_errors(value["kind"], child(path, "kind"))
    if "metadata" in value:
        found += _metadata_errors(value["metadata"], child(path, "metadata"), check_metadata)
    return found


def _api_version_errors(value: JSON, path: str) -> list[FieldError]:
    if not isinstance(value, str):
        return [invalid(path, value, "must be a string")]
    if not value:
        return [invalid(path, value, "must not be empty")]
    return [invalid(path, value, f"unexpected GroupVersion string: {value}")] if value.count("/") > 1 else []


def _kind_errors(value: JSON, path: str) -> list[FieldError]:
    if not isinstance(value, str):
        return [invalid(path, value, "must be a string")]
    if not value:
        return [invalid(path, value, "must not be empty")]
    problems = label_problems(value.lower())
    why = f"may have mixed case, but should otherwise match: {','.join(problems)}"
    return [invalid(path, value, why)] if problems else []


def _metadata_errors(value: JSON, path: str, check_metadata: CheckMetadata | None) -> list[FieldError]:
    try:
        known, _ = known_metadata(value, path)
    except BadMetadata as problem:
        return [invalid(path, value, str(problem))]
    found = [
        invalid(child(path, "name"), known.get("name"), problem) for problem in _segment_problems(known.get("name", ""))
    ]
    return found + (check_metadata(known, path) if check_metadata is not None else [])


def _segment_problems(name: str) -> list[str]:
    """Why a name cannot be one part of a path."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in "/%" if part in name]
