"""Compare, merge and remove by types: the small rules that apply and update are made of."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry.patch import FieldSet, custom_type
from cacher.registry.patch._check import check
from cacher.registry.patch._compare import compare, fields_of
from cacher.registry.patch._elements import TypedError
from cacher.registry.patch._field_set import fields
from cacher.registry.patch._merge import merge, remove, with_named_fields
from cacher.registry.patch._reconcile import reconciled

PART = {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}
PARTS = {"type": "array", "items": PART, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
SCHEMA = {
    "type": "object",
    "properties": {
        "size": {"type": "integer"},
        "on": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "plain": {"type": "array", "items": {"type": "string"}},
        "parts": PARTS,
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
TYPE = custom_type(SCHEMA)
X, Y = 'k:{"name":"x"}', 'k:{"name":"y"}'


def shown(found: FieldSet) -> set[str]:
    return {".".join(path) for path in found.paths()}


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ({}, {"size": 1}, {"f:size"}, set(), set()),
        ({"size": 1}, {"size": 2}, set(), {"f:size"}, set()),
        ({"size": 1}, {}, set(), set(), {"f:size"}),
        ({"size": None}, {"size": 1}, set(), {"f:size"}, set()),
        ({"size": 1}, {"size": 1.0}, set(), set(), set()),
        ({}, {"labels": {"a": "1"}}, {"f:labels", "f:labels.f:a"}, set(), set()),
        ({"labels": {"a": "1"}}, {"labels": {"b": "1"}}, {"f:labels.f:b"}, set(), {"f:labels.f:a"}),
        ({"labels": {}}, {}, set(), set(), {"f:labels"}),
        ({"labels": None}, {"labels": {}}, set(), {"f:labels"}, set()),
        ({"labels": None}, {"labels": {"a": "1"}}, {"f:labels.f:a"}, set(), set()),
        ({"plain": ["a"]}, {"plain": ["b"]}, set(), {"f:plain"}, set()),
        ({"whole": {"a": "1"}}, {"whole": {"a": "2"}}, set(), {"f:whole"}, set()),
        ({"tags": ["a"]}, {"tags": ["b"]}, {'f:tags.v:"b"'}, set(), {'f:tags.v:"a"'}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, set(), set(), set()),
        (
            {"parts": [{"name": "x", "n": 1}]},
            {"parts": [{"name": "y"}, {"name": "x", "n": 2}]},
            {f"f:parts.{Y}", f"f:parts.{Y}.f:name"},
            {f"f:parts.{X}.f:n"},
            set(),
        ),
        ({"free": {"a": 1}}, {"free": {"a": [1]}}, set(), {"f:free.f:a"}, set()),
        ({"free": {"a": {"b": 1}}}, {"free": {"a": 1}}, set(), {"f:free.f:a"}, {"f:free.f:a.f:b"}),
    ],
)
def test_two_versions_differ_field_by_field(old, new, added, modified, removed):
    found = compare(TYPE, old, new)
    assert (shown(found.added), shown(found.modified), shown(found.removed)) == (added, modified, removed)


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ("xx", "xx", set(), set(), set()),
        ("xx", "xxx", set(), {f"f:parts.{X}"}, set()),
        ("x", "xx", {f"f:parts.{X}"}, set(), {f"f:parts.{X}.f:name", f"f:parts.{X}"}),
        ("xx", "x", {f"f:parts.{X}.f:name", f"f:parts.{X}"}, set(), {f"f:parts.{X}"}),
    ],
)
def test_duplicates_of_an_element_are_one_value(old, new, added, modified, removed):
    found = compare(TYPE, {"parts": [{"name": name} for name in old]}, {"parts": [{"name": name} for name in new]})
    assert (shown(found.added), shown(found.modified), shown(found.removed)) == (added, modified, removed)


def test_the_fields_of_an_object_are_its_leaves_its_elements_and_its_keys():
    obj = {
        "size": 1,
        "labels": {"a": "1"},
        "parts": [{"name": "x"}],
        "tags": ["t"],
        "plain": [],
        "whole": {},
        "on": None,
    }
    assert shown(fields_of(TYPE, obj)) == {
        "f:size", "f:labels.f:a", f"f:parts.{X}", f"f:parts.{X}.f:name", 'f:tags.v:"t"', "f:plain", "f:whole", "f:on",
    }  # fmt: skip
    assert shown(fields_of(TYPE, {"labels": {}})) == {"f:labels"}


@pytest.mark.parametrize(
    ("live", "applied", "merged"),
    [
        ({"size": 1}, {"on": True}, {"size": 1, "on": True}),
        ({"labels": {"a": "1"}}, {"labels": {"b": "2"}}, {"labels": {"a": "1", "b": "2"}}),
        ({"plain": ["a"]}, {"plain": ["b"]}, {"plain": ["b"]}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "c"]}, {"tags": ["a", "b", "c"]}),
        ({"labels": {"a": "1"}}, {"labels": {}}, {"labels": {"a": "1"}}),
        ({"size": 1}, {"size": None}, {"size": None}),
        ({}, {"labels": {}}, {"labels": {}}),
        (
            {"parts": [{"name": "x", "n": 1}, {"name": "y"}]},
            {"parts": [{"name": "y", "n": 2}]},
            {"parts": [{"name": "x", "n": 1}, {"name": "y", "n": 2}]},
        ),
    ],
)
def test_a_configuration_is_merged_into_the_object(live, applied, merged):
    before = copy.deepcopy((live, applied))
    assert merge(TYPE, live, applied) == merged
    assert (live, applied) == before


@pytest.mark.parametrize(
    ("live", "applied", "order"),
    [
        ("abc", "", "abc"), ("abc", "b", "abc"), ("ab", "cd", "abcd"), ("abc", "ca", "bca"), ("abc", "cba", "cba"),
        ("abcd", "db", "acdb"), ("ac", "abc", "abc"), ("ab", "xa", "xab"), ("", "ba", "ba"),
    ],
)  # fmt: skip
def test_lists_take_the_order_of_what_is_applied_and_keep_the_rest_in_its_place(live, applied, order):
    assert merge(TYPE, {"tags": [*live]}, {"tags": [*applied]}) == {"tags": [*order]}


def test_an_element_twice_in_what_is_applied_is_refused_and_in_the_object_is_not_merged():
    with pytest.raises(TypedError, match=r'duplicate entries for key \[name="x"\]'):
        merge(TYPE, {"parts": [{"name": "x"}]}, {"parts": [{"name": "x"}, {"name": "x"}]})
    live = {"parts": [{"name": "x", "n": 1}, {"name": "x", "n": 2}, {"name": "y", "n": 1}]}
    assert merge(TYPE, live, {"parts": [{"name": "x"}]}) == {"parts": [{"name": "x"}, {"name": "y", "n": 1}]}


def test_taking_fields_out_leaves_the_maps_and_lists_that_held_them():
    obj = {"labels": {"a": "1"}, "parts": [{"name": "x", "n": 1}], "tags": ["t"], "size": 1}
    taken = FieldSet.of([fields("labels", "a"), ("f:parts", X, "f:n"), ("f:tags", 'v:"t"')])
    assert remove(TYPE, obj, taken) == {"labels": {}, "parts": [{"name": "x"}], "tags": [], "size": 1}
    assert remove(TYPE, {"size": 1}, FieldSet.of([fields("size")])) is None


def test_named_fields_are_members_and_keys_of_maps_are_not():
    found = with_named_fields(TYPE, FieldSet.of([fields("labels", "a", "b"), ("f:parts", X, "f:n")]))
    assert shown(found) == {"f:labels", "f:labels.f:a.f:b", "f:parts", f"f:parts.{X}.f:n"}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"bogus": 1}, ".bogus: field not declared in schema"),
        ({"parts": [{"name": "x", "bogus": 1}]}, '.parts[name="x"].bogus: field not declared in schema'),
        ({"size": "1"}, ".size: expected numeric (int or float), got string"),
        ({"size": True}, ".size: expected numeric (int or float), got bool"),
        ({"size": {}}, ".size: expected numeric (int or float), got map[string]interface {}"),
        ({"on": 1}, ".on: expected boolean, got &{1}"),
        ({"tags": ["a", "a"]}, '.tags: duplicate entries for key [="a"]'),
        ({"tags": [["a"]]}, ".tags: element 0: not supported: associative list with lists as elements"),
        ({"tags": [{}]}, ".tags: element 0: associative list without keys has an element that's a map type"),
        ({"tags": [None]}, ".tags: element 0: associative list without keys has an element that's an explicit null"),
        ({"parts": [None]}, ".parts: element 0: associative list with keys may not have a null element"),
        ({"parts": ["x"]}, ".parts: element 0: associative list with keys may not have non-map elements"),
        (
            {"parts": [{"n": 1}]},
            '.parts: element 0: associative list with keys has an element that omits all key fields ["name"] '
            "(and doesn't have default values for any key fields)",
        ),
        ({"labels": []}, ".labels: expected map, got &{[]}"),
        ({"tags": {}}, ".tags: expected list, got &{map[]}"),
        ({"plain": [1]}, ".plain[0]: expected string, got &value.valueUnstructured{Value:1}"),
        (
            {"size": "1", "on": 1},
            "errors:\n  .size: expected numeric (int or float), got string\n  .on: expected boolean, got &{1}",
        ),
    ],
)
def test_a_value_that_is_not_of_its_type_is_named_as_kubernetes_names_it(value, problem):
    with pytest.raises(TypedError) as caught:
        check(TYPE, value)
    assert str(caught.value) == problem


def test_nulls_are_of_every_type_and_duplicates_can_be_allowed():
    check(TYPE, {"size": None, "tags": None, "labels": None, "parts": [{"name": "x", "n": None}]})
    check(TYPE, {"tags": ["a", "a"]}, duplicates=True)


def test_what_has_become_one_value_is_owned_as_one():
    """The schema made `whole` atomic after somebody had set a field of it; `labels` is as it was."""
    before = FieldSet.of([fields("whole", "a"), fields("labels", "a"), fields("plain"), ("f:plain", "i:0")])
    assert shown(reconciled(TYPE, before)) == {"f:whole", "f:labels.f:a", "f:plain"}
    same = FieldSet.of([fields("whole"), fields("free", "x", "y")])
    assert reconciled(TYPE, same) is same


objects = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(0, 2),
        "on": st.booleans(),
        "tags": st.lists(st.sampled_from("abc"), unique=True),
        "plain": st.lists(st.sampled_from("ab"), max_size=2),
        "labels": st.dictionaries(st.sampled_from("ab"), st.sampled_from("12")),
        "parts": st.dictionaries(st.sampled_from("xyz"), st.integers(0, 1)).map(
            lambda by: [{"name": name, "n": n} for name, n in by.items()]
        ),
        "free": st.dictionaries(st.sampled_from("ab"), st.one_of(st.integers(0, 1), st.just({"c": 1}), st.just([1]))),
    },
)


@given(objects, objects)
def test_a_comparison_is_empty_for_equals_disjoint_and_turns_around(old, new):
    same = compare(TYPE, old, old)
    assert same.changed().is_empty()
    assert same.removed.is_empty()
    there, back = compare(TYPE, old, new), compare(TYPE, new, old)
    assert there.added == back.removed
    assert there.modified == back.modified
    assert there.added.intersection(there.removed).is_empty()
    assert there.added.intersection(there.modified).is_empty()


@given(objects, objects)
def test_a_merge_says_all_that_was_applied_keeps_all_that_was_not_and_is_once_and_for_all(live, applied):
    live = {name: value for name, value in live.items() if name != "free"}  # where a map may become a scalar
    applied = {name: value for name, value in applied.items() if value != []}  # nobody owns an empty list that merges
    merged = merge(TYPE, live, applied)
    named = with_named_fields(TYPE, fields_of(TYPE, applied))
    before = with_named_fields(TYPE, fields_of(TYPE, live))
    assert named.union(before).difference(with_named_fields(TYPE, fields_of(TYPE, merged))).is_empty()
    changed = compare(TYPE, live, merged)
    assert changed.removed.is_empty()
    assert changed.changed().difference(named).is_empty()
    assert merge(TYPE, merged, applied) == merged


def value_at(obj: Any, path: tuple[str, ...]) -> Any:
    for element in path:
        obj = obj[element[2:]]
    return obj


@given(objects, objects)
def test_what_is_taken_out_is_gone_and_nothing_else_is_touched(obj, other):
    taken = fields_of(TYPE, other)
    found = remove(TYPE, obj, taken)
    left = {} if found is None else found
    after, expected = fields_of(TYPE, left), fields_of(TYPE, obj).recursive_difference(taken)
    assert expected.difference(after).is_empty()
    for path in after.difference(expected).paths():
        assert value_at(left, path) == {}, "a map that lost its last field is a leaf now"
    assert compare(TYPE, obj, left).changed().difference(after.difference(expected)).is_empty()
