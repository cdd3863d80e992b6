"""Whether a schema is structural: every value that can be has a place in the tree of types, so that unknown fields can be
pruned and defaults put in, and whatever only restricts (allOf, anyOf, oneOf, not) says nothing about types.

Pure. The errors come in the order of their texts.
Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/validation.go.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from .._field_errors import FieldError, child, forbidden, index, invalid, key, required
from ._patterns import pattern_problem
from ._structural import Schema


class _Place(enum.Enum):
    """Where a schema stands, and how a message says so."""

    ROOT = "must not be empty at the root"
    ITEM = "must not be empty for specified array items"
    FIELD = "must not be empty for specified object fields"


def structural_errors(schema: Schema, path: str) -> list[FieldError]:
    """What keeps the schema at this path from being structural, sorted; empty if it is.

    Cost: O(schema).
    """
    found = [*_of_node(schema, _Place.ROOT, path), *_incomplete(schema, schema, path, path)]
    return sorted(found, key=str)


_UNSUPPORTED = {
    "id": "id",
    "$schema": "schema",
    "$ref": "$ref",
    "patternProperties": "patternProperties",
    "dependencies": "dependencies",
    "additionalItems": "additionalItems",
    "definitions": "definitions",
}


def unreadable(schema: Schema) -> str | None:
    """Why the schema cannot even be looked at as a structural one; None if it can."""
    for name, shown in _UNSUPPORTED.items():
        if schema.raw.get(name):
            return f"OpenAPIV3Schema '{shown}' is not supported"
    if schema.raw.get("x-kubernetes-preserve-unknown-fields") is False:
        return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
    if schema.items_listed:
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    below = [*(schema.properties or {}).values(), *schema.all_of, *schema.any_of, *schema.one_of]
    below += [one for one in (schema.items, schema.additional, schema.not_) if one is not None]
    return next((problem for one in below if (problem := unreadable(one)) is not None), None)


# --- the tree of types ------------------------------------------------------------------------------------------------


def _of_node(schema: Schema, place: _Place, path: str) -> Iterator[FieldError]:
    if schema.type == "array" and schema.items is None:
        yield required(child(path, "items"), "must be specified")
    if schema.items is not None:
        yield from _of_node(schema.items, _Place.ITEM, child(path, "items"))
    for name, one in (schema.properties or {}).items():
        yield from _of_node(one, _Place.FIELD, key(child(path, "properties"), name))
    if schema.additional_allowed is not None and place is _Place.ROOT:
        yield forbidden(child(path, "additionalProperties"), "must not be used at the root")
    if schema.additional is not None:
        yield from _of_node(schema.additional, _Place.FIELD, child(path, "additionalProperties"))
    yield from _of_extensions(schema, path)
    yield from _restrictions(
        schema,
        path,
        may_type_any_of=_is_int_or_string(schema.any_of),
        may_type_first_all_of=bool(schema.all_of) and _is_int_or_string(schema.all_of[0].any_of),
    )
    yield from _of_type(schema, place, path)
    yield from _of_metadata(schema, place, path)


def _of_extensions(schema: Schema, path: str) -> Iterator[FieldError]:
    if schema.is_int_or_string:
        why = "must be false if x-kubernetes-int-or-string is true"
        if schema.preserves_unknown:
            yield invalid(child(path, "x-kubernetes-preserve-unknown-fields"), True, why)
        if schema.is_embedded:
            yield invalid(child(path, "x-kubernetes-embedded-resource"), True, why)
    if schema.is_embedded and schema.additional_allowed is not None:
        where = child(path, "additionalProperties")
        yield forbidden(where, "must not be used if x-kubernetes-embedded-resource is set")
    if schema.is_embedded and not schema.preserves_unknown and not schema.properties:
        yield required(
            child(path, "properties"),
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        )


def _of_type(schema: Schema, place: _Place, path: str) -> Iterator[FieldError]:
    where = child(path, "type")
    if schema.is_embedded and schema.type != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid(where, schema.type, why) if schema.type else required(where, why)
    elif not schema.type and not schema.is_int_or_string and not schema.preserves_unknown:
        yield required(where, place.value)
    if place is _Place.ROOT and schema.type not in ("", "object"):
        yield invalid(where, schema.type, "must be object at the root")


def _of_metadata(schema: Schema, place: _Place, path: str) -> Iterator[FieldError]:
    """An object's own metadata are known: a schema may name them, and restrict the name, and nothing more."""
    properties = schema.properties or {}
    is_object = place is _Place.ROOT or schema.is_embedded
    for name, kind in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
        one = properties.get(name)
        if is_object and one is not None and one.type != kind:
            yield invalid(child(key(child(path, "properties"), name), "type"), one.type, f"must be {kind}")
    if place is _Place.ROOT and (metadata := properties.get("metadata")) is not None and not _only_names(metadata):
        yield forbidden(
            key(child(path, "properties"), "metadata"),
            "must not specify anything other than name and generateName, but metadata is implicitly specified",
        )


def _only_names(metadata: Schema) -> bool:
    properties = metadata.properties
    if properties is not None and (not properties or not properties.keys() <= {"name", "generateName"}):
        return False
    return not any(value for name, value in metadata.raw.items() if name not in ("type", "default", "properties"))


# --- what only restricts ----------------------------------------------------------------------------------------------


def _is_int_or_string(any_of: tuple[Schema, ...]) -> bool:
    """The one restriction that may speak of types."""
    return [one.raw for one in any_of] == [{"type": "integer"}, {"type": "string"}]


def _restrictions(
    schema: Schema, path: str, *, may_type_any_of: bool = False, may_type_first_all_of: bool = False
) -> Iterator[FieldError]:
    if not may_type_any_of:
        for at, one in enumerate(schema.any_of):
            yield from _of_restriction(one, index(child(path, "anyOf"), at))
    for at, one in enumerate(schema.all_of):
        may_type = may_type_first_all_of and at == 0
        yield from _of_restriction(one, index(child(path, "allOf"), at), may_type_any_of=may_type)
    for at, one in enumerate(schema.one_of):
        yield from _of_restriction(one, index(child(path, "oneOf"), at))
    if schema.not_ is not None:
        yield from _of_restriction(schema.not_, child(path, "not"))
    if schema.pattern and (problem := pattern_problem(schema.pattern)) is not None:
        why = f"must be a valid regular expression, but isn't: {problem}"
        yield invalid(child(path, "pattern"), schema.pattern, why)


_EMPTY, _UNDEFINED, _FALSE = "must be empty", "must be undefined", "must be false"

_NOT_IN_RESTRICTIONS = {
    "type": _EMPTY,
    "default": _UNDEFINED,
    "title": _EMPTY,
    "description": _EMPTY,
    "nullable": _FALSE,
    "x-kubernetes-preserve-unknown-fields": _FALSE,
    "x-kubernetes-embedded-resource": _FALSE,
    "x-kubernetes-int-or-string": _FALSE,
    "x-kubernetes-list-map-keys": _EMPTY,
    "x-kubernetes-list-type": _UNDEFINED,
    "x-kubernetes-map-type": _UNDEFINED,
    "x-kubernetes-validations": _EMPTY,
}
"""What belongs to the tree of types, and how a message says that it may not be here."""


def _of_restriction(schema: Schema, path: str, *, may_type_any_of: bool = False) -> Iterator[FieldError]:
    yield from _restrictions(schema, path, may_type_any_of=may_type_any_of)
    if schema.items is not None:
        yield from _of_restriction(schema.items, child(path, "items"))
    for name, one in (schema.properties or {}).items():
        yield from _of_restriction(one, key(child(path, "properties"), name))
    if schema.additional_allowed:
        yield forbidden(child(path, "additionalProperties"), "must be undefined to be structural")
    for name, why in _NOT_IN_RESTRICTIONS.items():
        value = schema.raw.get(name)
        if value if why is not _UNDEFINED else value is not None:
            yield forbidden(child(path, name), f"{why} to be structural")
    if "metadata" in (schema.properties or {}):
        where = key(child(path, "properties"), "metadata")
        yield forbidden(where, "must not be specified in a nested context")


def _incomplete(restriction: Schema, schema: Schema, path: str, restricted_at: str) -> Iterator[FieldError]:
    """What is restricted and has no place in the tree of types."""
    named = [("not", restriction.not_)] if restriction.not_ is not None else []
    for name, many in (("allOf", restriction.all_of), ("anyOf", restriction.any_of), ("oneOf", restriction.one_of)):
        named += [(index(name, at), one) for at, one in enumerate(many)]
    for name, one in named:
        yield from _incomplete_below(one, schema, path, child(restricted_at, name))


def _incomplete_below(restriction: Schema, schema: Schema, path: str, restricted_at: str) -> Iterator[FieldError]:
    yield from _incomplete(restriction, schema, path, restricted_at)
    places = [("items", restriction.items, schema.items)] if restriction.items is not None else []
    for name, one in (restriction.properties or {}).items():
        places.append((key("properties", name), one, (schema.properties or {}).get(name)))
    for name, below, place in places:
        if place is None:
            why = f"because it is defined in {child(restricted_at, name)}"
            yield required(child(path, name), why)
        else:
            yield from _incomplete_below(below, place, child(path, name), child(restricted_at, name))
