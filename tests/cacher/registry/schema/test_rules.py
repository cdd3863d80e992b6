"""CEL rules: what they can ask, where their errors are, and that no rule takes more than its share of work."""

from __future__ import annotations

import pytest

from cacher.registry.schema import read_schema
from cacher.registry.schema._cel import compile_rules, rule_errors, rule_tree
from cacher.registry.schema._cel_program import BadExpression, compile_expression
from cacher.registry.schema._cel_types import CelType, escaped


def asked(schema, new, old=None):
    """What the rules of a schema say, as texts."""
    return [f"{error.type.reason} {error}" for error in rule_errors(rule_tree(read_schema(schema)), new, old)]


def problem(rule, schema, **more):
    [compiled] = compile_rules(read_schema({**schema, "x-kubernetes-validations": [{"rule": rule, **more}]}))
    return compiled.problem or compiled.message_problem


def of(type_, *rules, **more):
    return {"type": type_, "x-kubernetes-validations": [{"rule": rule} for rule in rules], **more}


# --- where and how a rule is asked


def test_a_rule_over_a_scalar_shows_it_and_one_over_an_object_does_not():
    assert asked(of("integer", "self > 3"), 1) == ["FieldValueInvalid <nil>: Invalid value: 1: failed rule: self > 3"]
    schema = of("object", "has(self.a)", properties={"a": {"type": "string"}})
    assert asked(schema, {}) == ["FieldValueInvalid <nil>: Invalid value: failed rule: has(self.a)"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"message": " too small "}, "FieldValueInvalid <nil>: Invalid value: too small"),
        ({"messageExpression": "'a is ' + string(self.a)"}, "FieldValueInvalid <nil>: Invalid value: a is 1"),
        ({"message": "m", "messageExpression": "string(self.b)"}, "FieldValueInvalid <nil>: Invalid value: m"),
        ({"message": "m", "messageExpression": "'  '"}, "FieldValueInvalid <nil>: Invalid value: m"),
        ({"message": "m", "messageExpression": r"'a\nb'"}, "FieldValueInvalid <nil>: Invalid value: m"),
        ({"message": "m", "reason": "FieldValueForbidden"}, "FieldValueForbidden <nil>: Forbidden: m"),
        ({"message": "m", "reason": "FieldValueRequired"}, "FieldValueRequired <nil>: Required value: m"),
        ({"message": "m", "reason": "FieldValueDuplicate"}, "FieldValueDuplicate <nil>: Duplicate value"),
        ({"message": "m", "fieldPath": ".a"}, "FieldValueInvalid a: Invalid value: m"),
        ({"message": "m", "fieldPath": "['x y']"}, "FieldValueInvalid x y: Invalid value: m"),
    ],
)
def test_a_rule_says_what_it_was_told_to_say(more, text):
    integers = {name: {"type": "integer"} for name in ("a", "b", "x y")}
    schema = {
        "type": "object",
        "properties": integers,
        "x-kubernetes-validations": [{"rule": "self.a > 1", **more}],
    }
    assert asked(schema, {"a": 1}) == [text]


def test_a_rule_that_names_old_self_is_asked_where_there_was_a_value():
    rule = of("string", "self == oldSelf")
    schema = {"type": "object", "properties": {"a": rule}}
    failed = ['FieldValueInvalid a: Invalid value: "y": failed rule: self == oldSelf']
    assert asked(schema, {"a": "y"}) == []
    assert asked(schema, {"a": "y"}, {}) == []
    assert asked(schema, {"a": "y"}, {"a": "x"}) == failed
    assert asked(schema, {"a": "x"}, {"a": "x"}) == []


def test_items_of_a_list_with_keys_have_an_old_self_and_others_have_none():
    item = of("object", "self.v >= oldSelf.v", properties={"k": {"type": "string"}, "v": {"type": "integer"}})
    keyed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item}
    old = [{"k": "a", "v": 1}, {"k": "b", "v": 5}]
    new = [{"k": "c", "v": 0}, {"k": "b", "v": 4}, {"k": "a", "v": 2}]
    assert asked(keyed, new, old) == ["FieldValueInvalid [1]: Invalid value: failed rule: self.v >= oldSelf.v"]
    assert asked({"type": "array", "items": item}, new, old) == []


def test_with_an_optional_old_self_a_rule_is_asked_always():
    schema = {
        "type": "integer",
        "x-kubernetes-validations": [
            {"rule": "!oldSelf.hasValue() || oldSelf.value() < self // grows", "optionalOldSelf": True}
        ],
    }
    assert asked(schema, 1) == []
    assert asked(schema, 2, 1) == []
    assert len(asked(schema, 1, 2)) == 1
    created = {"type": "integer", "x-kubernetes-validations": [{"rule": "oldSelf.hasValue()", "optionalOldSelf": True}]}
    assert len(asked(created, 1)) == 1


def test_what_an_update_leaves_as_it_was_is_overlooked_but_for_rules_about_changes():
    schema = {"type": "object", "properties": {"a": of("integer", "self > 3"), "b": {"type": "integer"}}}
    assert asked(schema, {"a": 1, "b": 2}, {"a": 1, "b": 1}) == []
    assert len(asked(schema, {"a": 2, "b": 2}, {"a": 1, "b": 1})) == 1
    grows = {"type": "object", "properties": {"a": of("integer", "self > oldSelf")}}
    assert len(asked(grows, {"a": 1}, {"a": 1})) == 1


def test_rules_of_values_and_items_name_their_places():
    names = of("string", "self != 'x'")
    schema = {"type": "object", "additionalProperties": {"type": "array", "items": names}}
    assert asked(schema, {"k": ["x", "y", "x"]}) == [
        f"FieldValueInvalid [k][{at}]: Invalid value: \"x\": failed rule: self != 'x'" for at in (0, 2)
    ]


# --- what a rule can name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
        ("namespace", "__namespace__"),
        ("1a", None),
        ("a b", None),
        ("é", None),
        ("", None),
    ],
)
def test_a_field_is_said_by_its_escaped_name(name, said):
    assert escaped(name) == said
    if said is not None:
        schema = of("object", f"self.{said} == 1", properties={name: {"type": "integer"}})
        assert asked(schema, {name: 1}) == []
        assert len(asked(schema, {name: 2})) == 1


def test_the_root_of_an_object_knows_its_names_and_no_other_metadata():
    schema = read_schema(of("object", "self.metadata.name == 'a' && self.kind == 'K'"))
    tree = rule_tree(schema, is_resource=True)
    assert rule_errors(tree, {"kind": "K", "metadata": {"name": "a", "labels": {}}}) == []
    assert len(rule_errors(tree, {"kind": "K", "metadata": {"name": "b"}})) == 1
    [compiled] = compile_rules(read_schema(of("object", "has(self.metadata.labels)")), is_resource=True)
    assert "undefined field 'labels'" in (compiled.problem or "")


def test_a_problem_of_a_rule_points_into_its_text():
    schema = {"type": "object", "properties": {"s": {"type": "string"}, "i": {"type": "integer"}}}
    assert problem("self.s > self.i", schema) == (
        "compilation failed: ERROR: <input>:1:8: found no matching overload for '_>_' applied to '(string, int)'\n"
        " | self.s > self.i\n | .......^"
    )
    assert problem("self.i > 0 &&\n  self.j > 0", schema) == (
        "compilation failed: ERROR: <input>:2:7: undefined field 'j'\n |   self.j > 0\n | ......^"
    )
    assert problem("self.i", schema) == "cel expression must evaluate to a bool"
    assert problem("true", schema, messageExpression="self.i") == "messageExpression must evaluate to a string"
    assert problem("true", schema, messageExpression="x").startswith("messageExpression compilation failed: ERROR:")


@pytest.mark.parametrize(
    "rule",
    [
        "lists.range(1000000000).size() > 0",
        "semver('1.2.3').major() == 1",
        "cel.bind(x, 1, x == 1)",
        "math.greatest(1, 2) == 2",
        "authorizer.path('/x').check('get').allowed()",
        "!format.dns1123Label().validate(self.s).hasValue()",
    ],
)
def test_what_is_not_supported_is_refused_when_the_rule_is_compiled(rule):
    schema = {"type": "object", "properties": {"s": {"type": "string"}}}
    assert "undeclared reference to" in problem(rule, schema)


TIMES = {
    "type": "object",
    "properties": {
        "at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "for": {"type": "string", "format": "duration"},
        "all": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        "by": {"type": "object", "additionalProperties": {"type": "string", "format": "date-time"}},
    },
}


@pytest.mark.parametrize(
    "rule",
    [
        "self.at.getFullYear() == 2020",
        "has(self.at) && !has(self.by)",
        "self.at < timestamp('2020-01-02T00:00:00Z') && self.at >= self.day",
        "self.__for__ + duration('1h') == duration('90m')",
        "self.all.all(one, one <= self.at)",
        "self.all.exists(one, one == self.at)",
    ],
)
def test_a_time_within_an_object_is_one(rule):
    schema = {**TIMES, "x-kubernetes-validations": [{"rule": rule}]}
    value = {"at": "2020-01-01T00:00:00Z", "day": "2020-01-01", "for": "30m", "all": ["2020-01-01T00:00:00Z"]}
    assert asked(schema, value) == []


def test_a_time_that_the_text_does_not_name_is_refused():
    assert "has to be named as a field" in problem("self.by['a'] > self.at", TIMES)


# --- that it ends


def hostile(rule, value, **properties):
    schema = {"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule}]}
    return asked(schema, value)


def test_loops_within_loops_end():
    numbers = {"type": "array", "items": {"type": "integer"}}
    for rule in ("self.l.all(a, self.l.all(b, a + b >= 0))", "self.l.all(a, self.l.all(b, self.l.all(c, c >= 0)))"):
        [text] = hostile(rule, {"l": list(range(2000))}, l=numbers)
        assert "'operation cancelled: actual cost limit exceeded'" in text
        assert "call cost exceeds limit" in text


@pytest.mark.parametrize(
    "rule",
    [
        "self.l.map(i, self.s + self.s).size() > 0",
        "self.s.replace('', self.s).replace('', self.s).size() > 0",
        "self.l.all(i, self.s.contains('b' + self.s))",
        "self.l.all(i, self.l.isSorted())",
        "self.l.distinct().size() > 0",
    ],
)
def test_texts_and_lists_do_not_grow_without_bound(rule):
    value = {"s": "a" * 200_000, "l": list(range(20_000))}
    [text] = hostile(rule, value, s={"type": "string"}, l={"type": "array", "items": {"type": "integer"}})
    assert "actual cost limit exceeded" in text


@pytest.mark.slow
def test_the_rules_of_an_object_share_a_budget():
    item = of("string", "self.matches('^(a+)+$') || self.contains('x')")
    schema = {"type": "object", "properties": {"l": {"type": "array", "items": item}}}
    found = asked(schema, {"l": ["a" * 10_000 + "b"] * 9000})
    assert found[-1].endswith(
        "validation failed due to running out of cost budget, no further validation rules will be run"
    )
    assert len(found) < 9000


def test_a_pattern_cannot_be_made_to_hang():
    [text] = hostile("self.s.matches('^(a|aa)+$')", {"s": "a" * 100_000 + "b"}, s={"type": "string"})
    assert "failed rule" in text


def test_an_expression_is_compiled_once_and_has_a_type():
    program = compile_expression("self.size()", CelType("string"))
    assert program.type.name == "int"
    with pytest.raises(BadExpression):
        compile_expression("self.size(", CelType("string"))
