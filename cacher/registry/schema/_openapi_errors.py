"""What else a schema may not be, beside not structural: fields that are not supported, extensions that contradict each other,
and rules that do not compile.

Pure. The errors of a schema come before those of its rules; rules are looked at only where the schema around them is right.
Source: kubernetes/apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go,
ValidateCustomResourceDefinitionOpenAPISchema.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .._field_errors import FieldError, InOrder, child, forbidden, index, invalid, key, not_supported, required
from ._cel import CompiledRule, compile_rules
from ._field_path import BadPath, field_path
from ._structural import META_FIELDS, Rule, Schema
from ._structural_errors import unreadable

TYPES = ("array", "boolean", "integer", "number", "object", "string")
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
"""Of rules."""


class _Place(msgspec.Struct, frozen=True):
    """What a schema may do where it stands."""

    path: str
    is_root: bool = False
    no_defaults: str | None = None
    """Why there may be no default."""
    in_metadata: bool = False
    uncorrelated: str | None = None
    """The nearest list above whose items cannot be told from each other, so that no rule can name oldSelf."""
    has_rules: bool = True
    """Whether rules are looked at."""

    def at(self, path: str) -> _Place:
        return msgspec.structs.replace(self, path=path, is_root=False)


class _Found:
    def __init__(self) -> None:
        self.of_schema: list[FieldError] = []
        self.of_rules: list[FieldError] = []

    def merge(self, other: _Found) -> None:
        self.of_schema += other.of_schema
        self.of_rules += other.of_rules


def openapi_errors(schema: Schema, path: str, *, has_rules: bool) -> list[FieldError]:
    """What is wrong with the schema at this path.

    Args:
        has_rules: the schema is structural, so that its rules can be looked at.
    Cost: O(schema × depth), and 0.2 ms a rule.
    """
    found = _of_node(schema, _Place(path, is_root=True, has_rules=has_rules))
    return found.of_schema + found.of_rules


def _of_node(schema: Schema, place: _Place) -> _Found:
    found = _Found()
    found.of_schema += _unsupported(schema, place)
    if schema.unique_items:
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.of_schema.append(forbidden(child(place.path, "uniqueItems"), why))
    _visit_properties(schema, place, found)
    _visit_restrictions(schema, place, found)
    _visit_items(schema, place, found)
    found.of_schema += _contradictions(schema, place.path)
    found.of_schema += _of_list_type(schema, place.path)
    found.of_schema += _of_keys(schema, place.path)
    found.of_schema += _of_key_values(schema, place.path)
    for at, rule in enumerate(schema.rules):
        found.of_schema += _of_rule(rule, schema, index(child(place.path, "x-kubernetes-validations"), at))
    if schema.rules and not found.of_schema and place.has_rules:
        found.of_rules += _of_compiled(schema, place)
    return found


def _unsupported(schema: Schema, place: _Place) -> Iterator[FieldError]:
    path, raw = place.path, schema.raw
    if schema.type and schema.type not in TYPES:
        yield not_supported(child(path, "type"), schema.type, TYPES)
    if schema.default is not None and place.no_defaults is not None:
        yield forbidden(child(path, "default"), f"must not be set {place.no_defaults}")
    if raw.get("id"):
        yield forbidden(child(path, "id"), "id is not supported")
    if raw.get("additionalItems") is not None:
        yield forbidden(child(path, "additionalItems"), "additionalItems is not supported")
    for name in ("patternProperties", "definitions"):
        if raw.get(name):
            yield forbidden(child(path, name), f"{name} is not supported")
    for name in ("dependencies", "$ref"):
        if raw.get(name) is not None:
            yield forbidden(child(path, name), f"{name} is not supported")
    if schema.type == "null":
        yield forbidden(child(path, "type"), "type cannot be set to null, use nullable as an alternative")
    if schema.items_listed:
        yield forbidden(child(path, "items"), "items must be a schema object and not an array")
    if place.in_metadata and schema.is_embedded:
        yield forbidden(child(path, "x-kubernetes-embedded-resource"), "must not be used inside of resource meta")


def _visit_properties(schema: Schema, place: _Place, found: _Found) -> None:
    where = child(place.path, "additionalProperties")
    if schema.additional_allowed is not None and schema.properties and schema.raw["additionalProperties"] is not True:
        found.of_schema.append(forbidden(where, "additionalProperties and properties are mutual exclusive"))
    if schema.additional is not None:
        below = place.at(where)
        if place.in_metadata:
            why = "inside additionalProperties applying to object metadata"
            below = msgspec.structs.replace(below, no_defaults=why)
        found.merge(_of_node(schema.additional, below))
    for name, one in (schema.properties or {}).items():
        below = place.at(key(child(place.path, "properties"), name))
        if schema.map_type not in (None, "granular", "atomic"):
            below = msgspec.structs.replace(below, uncorrelated=place.uncorrelated or place.path)
        if (place.is_root or schema.is_embedded) and name in META_FIELDS:
            below = msgspec.structs.replace(below, in_metadata=True)
            if place.is_root:
                below = msgspec.structs.replace(below, no_defaults=f"in top-level {name}")
        found.merge(_of_node(one, below))


def _visit_restrictions(schema: Schema, place: _Place, found: _Found) -> None:
    place = msgspec.structs.replace(place, has_rules=False)
    if schema.not_ is not None:
        found.merge(_of_node(schema.not_, place.at(child(place.path, "not"))))
    for name, many in (("allOf", schema.all_of), ("oneOf", schema.one_of), ("anyOf", schema.any_of)):
        for at, one in enumerate(many):
            found.merge(_of_node(one, place.at(index(child(place.path, name), at))))


def _visit_items(schema: Schema, place: _Place, found: _Found) -> None:
    below = place.at(child(place.path, "items"))
    if schema.list_type != "map":
        below = msgspec.structs.replace(below, uncorrelated=place.uncorrelated or place.path)
    if schema.items is not None:
        found.merge(_of_node(schema.items, below))
    for at, one in enumerate(schema.items_listed):
        found.merge(_of_node(one, below.at(index(below.path, at))))


# --- extensions -------------------------------------------------------------------------------------------------------


def _must_be(path: str, type_: str, wanted: str, why: str) -> FieldError:
    detail = f"must be {wanted} if {why}"
    return invalid(child(path, "type"), type_, detail) if type_ else required(child(path, "type"), detail)


def _contradictions(schema: Schema, path: str) -> Iterator[FieldError]:
    if schema.raw.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(child(path, "x-kubernetes-preserve-unknown-fields"), False, "must be true or undefined")
    if schema.map_type is not None and schema.type != "object":
        yield _must_be(path, schema.type, "object", "x-kubernetes-map-type is specified")
    if schema.map_type not in (None, "atomic", "granular"):
        yield not_supported(child(path, "x-kubernetes-map-type"), schema.map_type, ("atomic", "granular"))


def _of_list_type(schema: Schema, path: str) -> Iterator[FieldError]:
    if schema.list_type is None:
        return
    items = schema.items
    if schema.type != "array":
        yield _must_be(path, schema.type, "array", "x-kubernetes-list-type is specified")
    elif schema.list_type == "set" and items is not None:
        why = "must be atomic as item of a list with x-kubernetes-list-type=set"
        if items.type == "array" and items.list_type not in (None, "atomic"):
            yield invalid(child(path, "items", "x-kubernetes-list-type"), items.list_type, why)
        if items.type == "object" and items.map_type != "atomic":
            yield invalid(child(path, "items", "x-kubernetes-map-type"), items.list_type, why)
    if schema.list_type not in ("atomic", "set", "map"):
        yield not_supported(child(path, "x-kubernetes-list-type"), schema.list_type, ("atomic", "set", "map"))


def _of_keys(schema: Schema, path: str) -> Iterator[FieldError]:
    if schema.list_map_keys and schema.list_type != "map":
        why = "must be map if x-kubernetes-list-map-keys is non-empty"
        where = child(path, "x-kubernetes-list-type")
        yield required(where, why) if schema.list_type is None else invalid(where, schema.list_type, why)
    if schema.list_type != "map":
        return
    where = child(path, "x-kubernetes-list-map-keys")
    if not schema.list_map_keys:
        yield required(where, "must not be empty if x-kubernetes-list-type is map")
    if schema.items is None and not schema.items_listed:
        yield required(child(path, "items"), "must have a schema if x-kubernetes-list-type is map")
    if schema.items_listed:
        why = "must only have a single schema if x-kubernetes-list-type is map"
        yield invalid(child(path, "items"), schema.raw.get("items"), why)
    if schema.items is None:
        return
    if schema.items.type != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(child(path, "items", "type"), schema.items.type, why)
        return
    keys = list(schema.list_map_keys)
    for at, name in enumerate(keys):
        one = (schema.items.properties or {}).get(name)
        if one is None:
            yield invalid(where, keys, "entries must all be names of item properties")
        elif one.type in ("array", "object"):
            why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid(key(child(path, "items", "properties"), name) + ".type", schema.items.type, why)
        if name in keys[:at]:
            yield invalid(where, keys, "must not contain duplicate entries")


def _of_key_values(schema: Schema, path: str) -> Iterator[FieldError]:
    """What tells items apart is always there."""
    if schema.items is None or schema.list_type not in ("set", "map"):
        return
    if schema.items.nullable:
        why = f"cannot be nullable when x-kubernetes-list-type is {schema.list_type}"
        yield forbidden(child(path, "items", "nullable"), why)
    for name in schema.list_map_keys if schema.list_type == "map" else ():
        one = (schema.items.properties or {}).get(name)
        where = key(child(path, "items", "properties"), name)
        if one is not None and name not in schema.items.required and one.default is None:
            yield required(
                child(where, "default"),
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            )
        if one is not None and one.nullable:
            why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            yield forbidden(child(where, "nullable"), why)


# --- rules ------------------------------------------------------------------------------------------------------------


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _of_rule(rule: Rule, schema: Schema, path: str) -> Iterator[FieldError]:
    message = rule.message.strip()
    if not rule.rule.strip():
        yield required(child(path, "rule"), "rule is not specified")
    elif rule.message and not message:
        yield invalid(child(path, "message"), rule.message, "must be non-empty if specified")
    elif _has_lines(message):
        yield invalid(child(path, "message"), rule.message, "must not contain line breaks")
    elif _has_lines(rule.rule.strip()) and not message:
        yield required(child(path, "message"), "message must be specified if rule contains line breaks")
    if rule.message_expression and not rule.message_expression.strip():
        yield required(child(path, "messageExpression"), "messageExpression must be non-empty if specified")
    if rule.reason is not None and rule.reason not in REASONS:
        yield not_supported(child(path, "reason"), rule.reason, REASONS)
    where = child(path, "fieldPath")
    if rule.field_path and not rule.field_path.strip():
        yield invalid(where, rule.field_path, "must be non-empty if specified")
    if _has_lines(rule.field_path):
        yield invalid(where, rule.field_path, "must not contain line breaks")
    if rule.field_path and not _leads(rule.field_path, schema):
        yield invalid(where, rule.field_path, "must be a valid path")


def _leads(path: str, schema: Schema) -> bool:
    if unreadable(schema) is not None:
        return True
    try:
        field_path(path, schema)
    except BadPath:
        return False
    return True


def _of_compiled(schema: Schema, place: _Place) -> Iterator[FieldError]:
    for at, rule in enumerate(compile_rules(schema, is_resource=place.is_root)):
        path = index(child(place.path, "x-kubernetes-validations"), at)
        yield from _of_one(rule, place, path)


def _of_one(rule: CompiledRule, place: _Place, path: str) -> Iterator[FieldError]:
    shown = _shown(rule.rule)
    if rule.problem is not None:
        yield invalid(child(path, "rule"), shown, rule.problem)
    if rule.message_problem is not None:
        yield invalid(child(path, "messageExpression"), shown, rule.message_problem)
    if rule.program is not None and rule.program.uses_old_self:
        if place.uncorrelated is not None:
            why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.uncorrelated}"
            yield invalid(child(path, "rule"), rule.rule.rule, why)
    elif rule.rule.optional_old_self is not None:
        where = child(path, "optionalOldSelf")
        yield invalid(where, rule.rule.optional_old_self, "may not be set if oldSelf is not used in rule")


def _shown(rule: Rule) -> InOrder:
    """A rule as the API shows it in an error: by the names of its internal type."""
    return InOrder(
        Rule=rule.rule,
        Message=rule.message,
        MessageExpression=rule.message_expression,
        Reason=rule.reason,
        FieldPath=rule.field_path,
        OptionalOldSelf=rule.optional_old_self,
    )
