"""Sets of fields: their text, and their algebra."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry.patch._field_set import NOTHING, FieldSet, fields, keyed, shown, valued

ELEMENTS = ["f:a", "f:b", 'k:{"name":"x"}', 'k:{"name":"y","port":80}', 'v:"z"', "v:3", "i:0"]
paths = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3).map(tuple)
path_sets = st.frozensets(paths, max_size=6)


def members(fields_: FieldSet) -> frozenset[tuple[str, ...]]:
    return frozenset(fields_.paths())


def test_a_set_is_read_and_written_as_managed_fields_have_it():
    data: dict[str, Any] = {
        "f:spec": {"f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}, "f:type": {}}
    }
    found = FieldSet.from_json(data)
    assert found.has(fields("spec", "type"))
    assert found.has(fields("spec", "ports"))
    assert not found.has(fields("spec"))
    assert json.dumps(found.to_json()) == json.dumps(data)


def test_elements_are_written_field_key_value_index_each_in_order():
    data: dict[str, Any] = {
        "i:10": {},
        "i:2": {},
        'v:"b"': {},
        "v:10": {},
        "v:9": {},
        'k:{"n":"b"}': {},
        'k:{"n":"a"}': {},
        "f:b": {},
        "f:a": {},
    }
    assert list(FieldSet.from_json(data).to_json()) == [
        "f:a", "f:b", 'k:{"n":"a"}', 'k:{"n":"b"}', "v:9", "v:10", 'v:"b"', "i:2", "i:10",
    ]  # fmt: skip


def test_keys_are_one_whatever_their_order_and_numbers_whatever_their_form():
    assert keyed({"b": 1, "a": "x"}) == keyed({"a": "x", "b": 1.0}) == 'k:{"a":"x","b":1}'
    assert FieldSet.from_json({'k:{"b":1,"a":"x"}': {}}).has((keyed({"a": "x", "b": 1}),))
    assert valued("<&>") == 'v:"\\u003c\\u0026\\u003e"'


def test_the_empty_path_is_nobodys():
    assert FieldSet.of([()]) == NOTHING
    assert not FieldSet.of([("f:a",)]).has(())


def test_elements_of_a_kind_that_is_not_known_are_left_out():
    assert FieldSet.from_json({"x:new": {}, "f:a": {}}) == FieldSet.of([("f:a",)])


@pytest.mark.parametrize("data", [None, [], {"a": {}}, {"k:[1]": {}}, {"k:{": {}}, {"i:x": {}}, {"fa": {}}])
def test_what_is_no_set_of_fields_is_refused(data):
    with pytest.raises(ValueError):
        FieldSet.from_json(data)


def test_a_path_is_shown_as_messages_show_it():
    path = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name")
    assert shown(path) == '.spec.ports[port=80,protocol="TCP"].name'
    assert shown(("f:finalizers", 'v:"a/b"', "i:3")) == '.finalizers[="a/b"][3]'


def test_taking_away_a_parent_takes_its_children_only_when_asked_to():
    whole = FieldSet.of([fields("a"), fields("a", "b"), fields("c")])
    parent = FieldSet.of([fields("a")])
    assert members(whole.difference(parent)) == {fields("a", "b"), fields("c")}
    assert members(whole.recursive_difference(parent)) == {fields("c")}


@given(path_sets)
def test_a_set_survives_being_written_and_read(one):
    found = FieldSet.of(one)
    assert members(found) == one
    assert FieldSet.from_json(json.loads(json.dumps(found.to_json()))) == found


@given(path_sets, path_sets)
def test_the_operations_are_those_of_sets(one, other):
    left, right = FieldSet.of(one), FieldSet.of(other)
    assert members(left.union(right)) == one | other
    assert members(left.intersection(right)) == one & other
    assert members(left.difference(right)) == one - other
    assert left.difference(right).is_empty() == (one <= other)
    assert left.union(right) == right.union(left)
    assert left.difference(left) == NOTHING


@given(path_sets, path_sets)
def test_a_recursive_difference_keeps_what_lies_below_nothing_that_is_taken(one, other):
    kept = {path for path in one if not any(path[: end + 1] in other for end in range(len(path)))}
    assert members(FieldSet.of(one).recursive_difference(FieldSet.of(other))) == kept


@given(path_sets)
def test_paths_come_members_of_a_level_first(one):
    order = list(FieldSet.of(one).paths())
    for at, path in enumerate(order):
        assert not any(later == path[:-1] for later in order[at:]), "a parent after its child"
