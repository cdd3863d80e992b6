"""Merge patches: RFC 7386, and the answers to what is none."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry._errors import BadRequest
from cacher.registry.patch import apply_merge_patch

scalars = st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["", "a"]))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
patches = st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), values), max_size=3)


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The merge patch that leads from one to the other."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            if inner := difference(before, value):
                patch[name] = inner
        elif name not in old or before != value or isinstance(before, bool) != isinstance(value, bool):
            # What was no object becomes one by its own patch: a merge patch cannot say {} of it otherwise.
            patch[name] = value
    return patch


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "x"}, {"a": {"b": 1, "c": None}}, {"a": {"b": 1}}),
    ],
)
def test_the_examples_of_the_rfc_that_are_about_objects(target, patch, result):
    assert apply_merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("patch", "kind"), [([], "array"), ("x", "string"), (1, "number"), (True, "bool"), (None, "null")]
)
def test_a_patch_that_is_no_object_is_a_bad_request(patch, kind):
    with pytest.raises(BadRequest) as caught:
        apply_merge_patch({}, patch)
    problem = f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    assert caught.value.message == f"error decoding patch: {problem}"


@given(objects, objects)
def test_the_patch_from_one_to_the_other_makes_the_other(old, new):
    patch = difference(old, new)
    before = copy.deepcopy((old, patch))
    assert apply_merge_patch(old, patch) == new
    assert (old, patch) == before


@given(objects, patches)
def test_applying_a_patch_twice_is_applying_it_once(document, patch):
    once = apply_merge_patch(document, patch)
    assert apply_merge_patch(once, patch) == once
