"""Whatever JSON comes in, as a schema, a definition or an object: errors come out, never an exception."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.registry.schema import (
    BadDefinition,
    BadMetadata,
    Definition,
    Version,
    definition_errors,
    prepared_for_create,
    prepared_for_update,
    read_schema,
    shape_problem,
    with_defaults,
    with_established,
    with_names_decided,
)
from cacher.registry.schema._default import defaulted
from cacher.registry.schema._definition_errors import _Part, _part_errors
from cacher.registry.schema._prune import pruned

pytestmark = pytest.mark.slow

NAMES = st.sampled_from(["a", "b", "c", "metadata", "kind", "apiVersion", "spec", "status", "x-y", ""])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=4), max_leaves=12
)
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", "strin"])
RULES = st.sampled_from(
    [
        "true",
        "self == oldSelf",
        "self.a > 1",
        "self.",
        "has(self.a)",
        "size(self) > 0",
        "self.all(x, x > 0)",
        "self.a.b",
    ]
)
KEYWORDS = {
    "type": TYPES,
    "format": st.sampled_from(["date-time", "int32", "cidr", "no", "byte", "duration"]),
    "pattern": st.sampled_from(["^a", "(", "a**", r"\pL"]),
    "nullable": st.booleans(),
    "x-kubernetes-preserve-unknown-fields": st.booleans(),
    "x-kubernetes-embedded-resource": st.booleans(),
    "x-kubernetes-int-or-string": st.booleans(),
    "x-kubernetes-list-type": st.sampled_from(["set", "map", "atomic", "no"]),
    "x-kubernetes-list-map-keys": st.lists(NAMES, max_size=2),
    "x-kubernetes-validations": st.lists(st.fixed_dictionaries({"rule": RULES}), max_size=2),
    "required": st.lists(NAMES, max_size=2),
    "maximum": st.integers() | st.floats(),
    "multipleOf": st.integers() | st.floats(),
    "maxLength": st.integers(),
    "minItems": st.integers(),
    "maxProperties": st.integers(),
    "enum": st.lists(SCALARS, max_size=3),
    "default": VALUES,
}


def schemas_over(below):
    nested = {
        "properties": st.dictionaries(NAMES, below, max_size=3),
        "additionalProperties": below | st.booleans(),
        "items": below,
        "anyOf": st.lists(below, max_size=2),
        "allOf": st.lists(below, max_size=2),
        "oneOf": st.lists(below, max_size=2),
        "not": below,
    }
    return st.fixed_dictionaries({}, optional={**KEYWORDS, **nested})


SCHEMAS = st.recursive(st.fixed_dictionaries({}, optional=KEYWORDS), schemas_over, max_leaves=6)


def definition(schema):
    raw = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "kind": "Widget"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [raw]}
    return prepared_for_create(with_defaults({"metadata": {"name": "widgets.example.com"}, "spec": spec}))


@given(SCHEMAS, VALUES)
@settings(max_examples=60)
def test_pruning_twice_is_pruning_once(schema, value):
    before = repr(value)
    made, _ = pruned(read_schema(schema), value)
    again, unknown = pruned(read_schema(schema), made)
    assert again is made
    assert unknown == []
    assert repr(value) == before


@given(SCHEMAS, VALUES)
@settings(max_examples=60)
def test_defaulting_twice_is_defaulting_once_where_the_defaults_are_allowed(schema, value):
    """A null in a default stays there, and a schema with such a default is refused; so only others are asked here."""
    if definition_errors(definition({"type": "object", "properties": {"a": schema}})):
        return
    before = repr(value)
    made = defaulted(read_schema(schema), value)
    assert repr(defaulted(read_schema(schema), made)) == repr(made)
    assert repr(value) == before


@given(SCHEMAS, VALUES, VALUES)
@settings(max_examples=60)
def test_any_object_of_any_schema_is_judged(schema, new, old):
    version = Version("example.com", "Widget", {"name": "v1", "schema": {"openAPIV3Schema": schema}})
    base = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}}
    new, old = {**base, "spec": new}, {**base, "spec": old}
    try:
        obj, _ = version.admit(new)
    except BadMetadata:
        return
    for errors in (version.validate(obj), version.validate(obj, old), version.validate_status(obj, old)):
        assert all(str(error) and error.field for error in errors)
    version.cells(obj, now_s=0.0)


@given(VALUES | SCHEMAS)
@settings(max_examples=60)
def test_any_json_is_a_schema_or_has_errors(schema):
    made = definition(schema)
    if shape_problem(made) is None:
        assert all(str(error) for error in definition_errors(made))
    part = _Part({"schema": {"openAPIV3Schema": schema}}, "spec", "validation", has_status=True)
    assert all(str(error) for error in _part_errors(part))


DEFINITIONS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": VALUES | st.fixed_dictionaries({"name": st.text(max_size=3)}),
        "status": VALUES,
        "spec": VALUES
        | st.fixed_dictionaries(
            {},
            optional={
                "group": st.sampled_from(["", "a.b", "x.k8s.io", 1, None]),
                "scope": st.sampled_from(["Cluster", "", 7]),
                "names": st.dictionaries(st.sampled_from(["plural", "kind", "singular", "shortNames"]), SCALARS),
                "conversion": VALUES,
                "versions": VALUES
                | st.lists(
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "name": st.sampled_from(["v1", "v2", "", None]),
                            "storage": st.booleans(),
                            "schema": VALUES,
                            "subresources": VALUES | st.just({"status": {}, "scale": {}}),
                            "additionalPrinterColumns": VALUES,
                            "selectableFields": VALUES | st.just([{"jsonPath": ".spec.a"}]),
                        },
                    ),
                    max_size=3,
                ),
            },
        ),
    },
)


@given(DEFINITIONS | VALUES)
@settings(max_examples=100)
def test_any_json_is_a_definition_or_says_why_not(raw):
    if shape_problem(raw) is not None:
        return
    before = repr(raw)
    made = prepared_for_create(with_defaults(raw or {}))
    assert all(str(error) for error in definition_errors(made))
    assert all(str(error) for error in definition_errors(made, copy.deepcopy(made)))
    prepared_for_update(made, made)
    with_established(with_names_decided(made, [made], now="t"), now="t")
    try:
        Definition.from_crd(made)
    except BadDefinition as problem:
        assert problem.errors
    assert repr(raw) == before
