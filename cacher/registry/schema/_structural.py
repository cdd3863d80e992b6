"""An openAPIV3Schema, read once into nodes that the other files of this package walk many times.

Reading never fails and never complains: what has the wrong JSON type is read as absent (`_shape.py` says what is wrong with it),
and whether the schema makes sense is `_structural_errors.py`'s and `_openapi_errors.py`'s to say.

Limit: what lies deeper than `DEPTH_MAX` schemas is not read; `_shape.py` refuses such a schema.
Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema (structural.go, convert.go).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

JSON = Any
"""What `json.loads` gives: null, booleans, numbers, text, lists and dicts with text as keys."""

DEPTH_MAX = 100
"""Schemas within schemas: each is a few frames of the interpreter's stack, which has a thousand."""

META_FIELDS = ("apiVersion", "kind", "metadata")
"""What every object has beside what its schema says."""

T = TypeVar("T")


class Rule(msgspec.Struct, frozen=True):
    """One of x-kubernetes-validations."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str | None = None
    field_path: str = ""
    optional_old_self: bool | None = None


class Schema(msgspec.Struct, frozen=True, eq=False):
    """One node. A field that the JSON does not have, or has as null, is None (or empty, or False)."""

    raw: dict[str, JSON]
    type: str = ""
    nullable: bool = False
    default: JSON = None
    properties: dict[str, Schema] | None = None
    additional: Schema | None = None
    """Of additionalProperties, where that is a schema."""
    additional_allowed: bool | None = None
    """Whether there may be any: None is no additionalProperties at all."""
    items: Schema | None = None
    items_listed: tuple[Schema, ...] = ()
    """Of `items`, where that is a list of schemas, which is refused."""
    preserves_unknown: bool = False
    is_embedded: bool = False
    is_int_or_string: bool = False
    list_type: str | None = None
    list_map_keys: tuple[str, ...] = ()
    map_type: str | None = None
    rules: tuple[Rule, ...] = ()
    # What a value has to be, beside its type.
    format: str = ""
    maximum: float | None = None
    exclusive_maximum: bool = False
    minimum: float | None = None
    exclusive_minimum: bool = False
    max_length: int | None = None
    min_length: int | None = None
    pattern: str = ""
    max_items: int | None = None
    min_items: int | None = None
    unique_items: bool = False
    multiple_of: float | None = None
    enum: tuple[JSON, ...] | None = None
    max_properties: int | None = None
    min_properties: int | None = None
    required: tuple[str, ...] = ()
    all_of: tuple[Schema, ...] = ()
    any_of: tuple[Schema, ...] = ()
    one_of: tuple[Schema, ...] = ()
    not_: Schema | None = None

    def child(self, name: str) -> Schema | None:
        """The schema of the value that a map has under `name`."""
        if self.properties is not None and (found := self.properties.get(name)) is not None:
            return found
        return self.additional

    def knows(self, name: str) -> bool:
        """Whether a map may have this name without its being unknown."""
        return self.additional_allowed is not None or (self.properties is not None and name in self.properties)

    def as_resource(self) -> Schema:
        """The same, as the root of an object: with the type's and the object's metadata taken for granted."""
        return self if self.is_embedded else msgspec.structs.replace(self, is_embedded=True)


EMPTY = Schema({})
"""The schema that says nothing."""


def read_schema(raw: JSON) -> Schema:
    """The nodes of this schema.

    Cost: O(schema), once; nodes are immutable and may be shared.
    """
    return _read(raw, 0)


def _read(raw: JSON, depth: int) -> Schema:
    if not isinstance(raw, dict) or depth > DEPTH_MAX:
        return EMPTY
    below = depth + 1
    additional = raw.get("additionalProperties")
    items = raw.get("items")
    return Schema(
        raw=raw,
        type=_text(raw, "type"),
        nullable=_flag(raw, "nullable"),
        default=raw.get("default"),
        properties=_schemas_by_name(raw.get("properties"), below),
        additional=_read(additional, below) if isinstance(additional, dict) else None,
        additional_allowed=True if isinstance(additional, dict) else _only(additional, bool),
        items=_read(items, below) if isinstance(items, dict) else None,
        items_listed=_schemas(items, below),
        preserves_unknown=_flag(raw, "x-kubernetes-preserve-unknown-fields"),
        is_embedded=_flag(raw, "x-kubernetes-embedded-resource"),
        is_int_or_string=_flag(raw, "x-kubernetes-int-or-string"),
        list_type=_only(raw.get("x-kubernetes-list-type"), str),
        list_map_keys=_texts(raw, "x-kubernetes-list-map-keys"),
        map_type=_only(raw.get("x-kubernetes-map-type"), str),
        rules=_rules(raw.get("x-kubernetes-validations")),
        all_of=_schemas(raw.get("allOf"), below),
        any_of=_schemas(raw.get("anyOf"), below),
        one_of=_schemas(raw.get("oneOf"), below),
        not_=_read(raw["not"], below) if isinstance(raw.get("not"), dict) else None,
        **_value_rules(raw),
    )


def _value_rules(raw: dict[str, JSON]) -> dict[str, Any]:
    return {
        "format": _text(raw, "format"),
        "maximum": _number(raw, "maximum"),
        "exclusive_maximum": _flag(raw, "exclusiveMaximum"),
        "minimum": _number(raw, "minimum"),
        "exclusive_minimum": _flag(raw, "exclusiveMinimum"),
        "max_length": _count(raw, "maxLength"),
        "min_length": _count(raw, "minLength"),
        "pattern": _text(raw, "pattern"),
        "max_items": _count(raw, "maxItems"),
        "min_items": _count(raw, "minItems"),
        "unique_items": _flag(raw, "uniqueItems"),
        "multiple_of": _number(raw, "multipleOf"),
        "enum": tuple(raw["enum"]) if isinstance(raw.get("enum"), list) else None,
        "max_properties": _count(raw, "maxProperties"),
        "min_properties": _count(raw, "minProperties"),
        "required": _texts(raw, "required"),
    }


def _only(value: JSON, kind: type[T]) -> T | None:
    return value if isinstance(value, kind) else None


def _text(raw: dict[str, JSON], name: str) -> str:
    return _only(raw.get(name), str) or ""


def _flag(raw: dict[str, JSON], name: str) -> bool:
    return raw.get(name) is True


def _texts(raw: dict[str, JSON], name: str) -> tuple[str, ...]:
    return tuple(text for text in _only(raw.get(name), list) or () if isinstance(text, str))


def _number(raw: dict[str, JSON], name: str) -> float | None:
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond any float
        return None


def _count(raw: dict[str, JSON], name: str) -> int | None:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _schemas(raw: JSON, depth: int) -> tuple[Schema, ...]:
    return tuple(_read(item, depth) for item in raw) if isinstance(raw, list) else ()


def _schemas_by_name(raw: JSON, depth: int) -> dict[str, Schema] | None:
    """In the order of names, in which a stored definition has them."""
    return {name: _read(raw[name], depth) for name in sorted(raw)} if isinstance(raw, dict) else None


def _rules(raw: JSON) -> tuple[Rule, ...]:
    return tuple(_rule(item) for item in raw if isinstance(item, dict)) if isinstance(raw, list) else ()


def _rule(raw: dict[str, JSON]) -> Rule:
    return Rule(
        _text(raw, "rule"),
        _text(raw, "message"),
        _text(raw, "messageExpression"),
        _only(raw.get("reason"), str),
        _text(raw, "fieldPath"),
        _only(raw.get("optionalOldSelf"), bool),
    )


def any_node(schema: Schema, claim: Callable[[Schema], bool]) -> bool:
    """Whether the claim holds for this schema or one within it."""
    return claim(schema) or any(any_node(below, claim) for below in nodes_below(schema))


def nodes_below(schema: Schema) -> list[Schema]:
    """The schemas directly within this one, those that only restrict included."""
    below = [*schema.all_of, *schema.any_of, *schema.one_of, *schema.items_listed]
    below += (schema.properties or {}).values()
    below += [one for one in (schema.items, schema.additional, schema.not_) if one is not None]
    return below
