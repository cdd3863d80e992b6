"""Strategic merges: the directives one by one, and random ones against a model that knows maps of maps only."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry._errors import APIError, BadRequest, PlainServerError, Unprocessable
from cacher.registry.patch import Type, apply_strategic_merge, kind_type
from cacher.registry.patch._types import Field, ListRule, ListType, MapType

POD = cast("Type", kind_type("v1", "Pod"))


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, "spec": spec}


def spec_of(live: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = apply_strategic_merge(pod(**live), {"spec": patch}, POD)["spec"]
    return found


def names(items: list[dict[str, Any]]) -> str:
    return "".join(item["name"] for item in items)


def named(text: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in text]


def test_lists_of_maps_merge_by_their_key_and_the_rest_stays():
    live = {"containers": [{"name": "a", "image": "1", "tty": True}, {"name": "b", "image": "1"}]}
    found = spec_of(live, {"containers": [{"name": "a", "image": "2"}]})
    assert found["containers"] == [{"name": "a", "image": "2", "tty": True}, {"name": "b", "image": "1"}]


@pytest.mark.parametrize(
    ("live", "patch", "order"),
    [("ab", "c", "cab"), ("ab", "ba", "ba"), ("abc", "b", "abc"), ("abcd", "db", "acdb"), ("", "ba", "ba")],
)
def test_what_the_patch_names_keeps_its_order_and_new_elements_come_first(live, patch, order):
    assert names(spec_of({"containers": named(live)}, {"containers": named(patch)})["containers"]) == order


@pytest.mark.parametrize(
    ("live", "patch", "order", "result"),
    [
        ("ab", "", "ba", "ba"),
        ("abc", "c", "ca", "bca"),
        ("abc", "d", "dcba", "dcba"),
        ("", "b", "ab", "b"),
        ("abc", "", "", "abc"),
    ],
)
def test_set_element_order_orders_the_result(live, patch, order, result):
    change: dict[str, Any] = {"$setElementOrder/containers": named(order)}
    if patch:
        change["containers"] = named(patch)
    assert names(spec_of({"containers": named(live)} if live else {}, change)["containers"]) == result


def test_a_new_element_takes_the_place_of_one_that_is_deleted_before_those_that_stay_are_woven_in():
    """Kubernetes' own answer: a new container beside one that the patch does not know."""
    change = {
        "$setElementOrder/containers": named("d"),
        "containers": [{"name": "d"}, {"name": "c", "$patch": "delete"}],
    }
    assert names(spec_of({"containers": named("ec")}, change)["containers"]) == "ed"
    assert names(spec_of({"containers": named("ce")}, change)["containers"]) == "ed"
    assert names(spec_of({"containers": named("e")}, change)["containers"]) == "de"


def test_set_element_order_of_what_nobody_has_does_nothing():
    assert "containers" not in spec_of({}, {"$setElementOrder/containers": named("ab")})


def test_a_patch_in_another_order_than_it_says_is_refused():
    change = {"$setElementOrder/containers": named("ab"), "containers": named("ba")}
    with pytest.raises(PlainServerError, match=r"(?s)The order in patch list:.*doesn't match \$setElementOrder list"):
        spec_of({"containers": named("ab")}, change)


def test_an_element_is_deleted_by_its_key():
    assert (
        names(spec_of({"containers": named("abc")}, {"containers": [{"name": "b", "$patch": "delete"}]})["containers"])
        == "ac"
    )


def test_a_list_is_replaced_by_the_other_elements_of_the_patch():
    change = {"containers": [{"$patch": "replace"}, {"name": "z"}]}
    assert spec_of({"containers": named("ab")}, change)["containers"] == named("z")


def test_a_map_is_replaced_emptied_or_kept_to_some_keys():
    live = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    assert merged_labels(live, {"$patch": "replace", "c": "3"}) == {"c": "3"}
    assert merged_labels(live, {"$patch": "delete"}) == {}
    assert merged_labels(live, {"$retainKeys": ["a", "c"], "c": "3"}) == {"a": "1", "c": "3"}


def merged_labels(live: dict[str, Any], labels: dict[str, Any]) -> Any:
    return apply_strategic_merge(live, {"metadata": {"labels": labels}}, POD)["metadata"]["labels"]


def test_null_removes_and_a_null_of_what_is_not_there_is_nothing():
    live = {"nodeSelector": {"a": "1", "b": "2"}}
    assert spec_of(live, {"nodeSelector": {"a": None, "z": None}}) == {"nodeSelector": {"b": "2"}}
    assert spec_of({}, {"nodeSelector": {"a": None, "b": "1"}}) == {"nodeSelector": {"b": "1"}}
    assert spec_of(live, {"nodeSelector": None}) == {}


def test_scalars_merge_as_a_set_and_can_be_taken_out():
    live = {"metadata": {"finalizers": ["a", "b"]}}
    joined = apply_strategic_merge(live, {"metadata": {"finalizers": ["c", "a"]}}, POD)
    assert joined["metadata"]["finalizers"] == ["c", "a", "b"]
    left = apply_strategic_merge(live, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "z"]}}, POD)
    assert left["metadata"]["finalizers"] == ["b"]


def test_a_list_that_does_not_merge_is_replaced():
    assert spec_of({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}) == {"tolerations": [{"key": "b"}]}


def test_a_map_that_is_to_be_replaced_is():
    """The selector of a PodDisruptionBudget is: half the old and half the new one would mean neither."""
    replaced = Type(map=MapType({"m": Field(NODE, patch_replaces=True), "n": Field(NODE)}))
    live = {"m": {"v": 1, "n": 1}, "n": {"v": 1, "n": 1}}
    assert apply_strategic_merge(live, {"m": {"v": 2}, "n": {"v": 2}}, replaced) == {
        "m": {"v": 2},
        "n": {"v": 2, "n": 1},
    }


def test_directives_in_what_is_new_vanish_with_the_maps_that_bear_them():
    change = {"containers": [{"name": "a"}, {"name": "b", "$patch": "delete"}], "volumes": [{"$patch": "replace"}]}
    assert spec_of({}, change) == {"containers": named("a"), "volumes": []}


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ([], BadRequest, "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ({"metadata": {"labels": {"$retainKeys": "a"}}}, BadRequest, "invalid patch format of retainKeys"),
        ({"metadata": {"labels": {"$retainKeys": [], "b": "1"}}}, BadRequest, "invalid patch format of retainKeys"),
        ({"spec": {"$setElementOrder": []}}, BadRequest, "invalid patch format of setElementOrder list"),
        ({"spec": {"$deleteFromPrimitiveListX/a": []}}, BadRequest, "invalid patch format of primitive list"),
        (
            {"spec": {"$setElementOrder/containers": "x"}},
            PlainServerError,
            "expected a []interface {}, but received a string",
        ),
        (
            {"spec": {"containers": [{"image": "x"}]}},
            PlainServerError,
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            {"spec": {"containers": [{"$patch": "delete"}]}},
            PlainServerError,
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (
            {"spec": {"containers": [{"$patch": "merge", "name": "a"}]}},
            PlainServerError,
            "merging lists cannot yet be specified in the patch",
        ),
        (
            {"metadata": {"labels": {"$patch": "explode"}}},
            PlainServerError,
            "unknown patch type: explode in map: map[$patch:explode]",
        ),
        (
            {"spec": {"containers": [{"name": "a"}, "x"]}},
            PlainServerError,
            "list element types are not identical: [[map[name:a]] [map[name:a] x]]",
        ),
        (
            {"spec": {"containers": [["x"]]}},
            PlainServerError,
            "list element types are not identical: [[map[name:a]] [[x]]]",
        ),
    ],
)
def test_a_patch_that_does_not_fit_is_answered_as_kubernetes_does(change, error, text):
    live = {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": named("a")}}
    before = copy.deepcopy((live, change))
    with pytest.raises(error) as caught:
        apply_strategic_merge(live, change, POD)
    assert caught.value.message == text
    assert (live, change) == before


def test_lists_of_lists_are_422():
    with pytest.raises(Unprocessable):
        spec_of({"containers": []}, {"containers": [["x"]]})


# --- against a model ------------------------------------------------------------------------------------------------
# An object here is a map of scalars, maps, and lists keyed by "n"; the model has such a list as a map from its key. What it
# cannot say is order; the test compares that apart.

LEAF = Type(scalar="untyped")
NODE = Type(map=MapType())
NODE.map = MapType(
    {
        "n": Field(LEAF),
        "v": Field(LEAF),
        "m": Field(NODE),
        "list": Field(Type(list=ListType(NODE, ListRule.KEYED, ("n",))), patch_merges=True, patch_key="n"),
    }
)


def nodes(depth: int, *, patch: bool) -> st.SearchStrategy[dict[str, Any]]:
    fields: dict[str, Any] = {"v": st.sampled_from([1, 2, *([None] if patch else [])])}
    if depth:
        inner = nodes(depth - 1, patch=patch)
        keyed = st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=3)
        fields["m"] = inner
        fields["list"] = keyed.map(lambda by: [{**item, "n": name} for name, item in by.items()])
    return st.fixed_dictionaries({}, optional=fields)


def as_model(node: Any) -> Any:
    if isinstance(node, list):
        return {item["n"]: as_model(item) for item in node}
    return {name: as_model(inner) for name, inner in node.items()} if isinstance(node, dict) else node


def model_merge(live: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    out = dict(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = model_merge(out.get(name), value)
    return out


def without_nulls(node: Any) -> Any:
    """In an element that is new, Kubernetes leaves nulls for whoever reads the result to drop."""
    if isinstance(node, list):
        return [without_nulls(item) for item in node]
    return (
        {name: without_nulls(inner) for name, inner in node.items() if inner is not None}
        if isinstance(node, dict)
        else node
    )


@given(nodes(2, patch=False), nodes(2, patch=True))
def test_a_merge_is_that_of_the_model(live, patch):
    before = copy.deepcopy((live, patch))
    found = apply_strategic_merge(live, patch, NODE)
    assert as_model(without_nulls(found)) == model_merge(as_model(live), as_model(patch))
    assert (live, patch) == before
    again = apply_strategic_merge(found, patch, NODE)
    assert as_model(without_nulls(again)) == as_model(without_nulls(found)), "twice is once"


@given(
    st.lists(st.sampled_from("abcde"), unique=True),
    st.lists(st.sampled_from("abcdef"), unique=True, min_size=1),
)
def test_what_both_have_comes_in_the_order_of_the_patch_and_the_rest_in_that_of_the_object(live, patch):
    found = names(spec_of({"containers": named("".join(live))}, {"containers": named("".join(patch))})["containers"])
    assert [name for name in found if name in patch] == patch
    assert [name for name in found if name not in patch] == [name for name in live if name not in patch]


@given(st.data())
def test_any_patch_gives_an_object_or_an_answer(data):
    odd = st.recursive(
        st.sampled_from([None, 1, "a", True]),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    [
                        "name",
                        "labels",
                        "finalizers",
                        "containers",
                        "$patch",
                        "$retainKeys",
                        "$setElementOrder/containers",
                    ]
                ),
                inner,
                max_size=3,
            ),
        ),
        max_leaves=8,
    )
    patch = {"metadata": data.draw(odd), "spec": data.draw(odd)}
    live = {"metadata": {"labels": {"a": "1"}, "finalizers": ["a"]}, "spec": {"containers": named("ab")}}
    try:
        apply_strategic_merge(live, patch, POD)
    except APIError as error:
        assert error.code in (400, 422, 500)
