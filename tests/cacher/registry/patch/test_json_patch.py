"""JSON patches: the operations are the library's; the limits, the answers and the exactness of `test` are ours."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry._errors import APIError, BadRequest, RequestEntityTooLarge, Unprocessable
from cacher.registry.patch import apply_json_patch
from cacher.registry.patch._json_patch import COPIED_BYTES_MAX, OPERATIONS_MAX

DOCUMENT = {"a": {"b": 1, "x/y": "s", "t~u": None}, "l": [1, 2], "s": "text"}


@pytest.mark.parametrize(
    ("operation", "path", "value"),
    [
        ({"op": "add", "path": "/a/c", "value": 2}, ("a", "c"), 2),
        ({"op": "add", "path": "/l/0", "value": 0}, ("l",), [0, 1, 2]),
        ({"op": "add", "path": "/l/-", "value": 3}, ("l",), [1, 2, 3]),
        ({"op": "replace", "path": "/a/x~1y", "value": "t"}, ("a", "x/y"), "t"),
        ({"op": "replace", "path": "/a/t~0u", "value": 5}, ("a", "t~u"), 5),
        ({"op": "remove", "path": "/l/0"}, ("l",), [2]),
        ({"op": "move", "from": "/l/0", "path": "/l/1"}, ("l",), [2, 1]),
        ({"op": "copy", "from": "/a", "path": "/c"}, ("c",), DOCUMENT["a"]),
        ({"op": "test", "path": "/a/b", "value": 1.0}, ("a", "b"), 1),
        ({"op": "test", "path": "/a/t~0u", "value": None}, ("a", "t~u"), None),
    ],
)
def test_an_operation_does_what_the_rfc_says(operation, path, value):
    before = copy.deepcopy(DOCUMENT)
    found = apply_json_patch(DOCUMENT, [operation])
    assert before == DOCUMENT
    for name in path:
        found = found[name]
    assert found == value


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none/deeper", "value": 1},
        {"op": "add", "path": "/none/deeper", "value": 1},
        {"op": "add", "path": "/l/9", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/s/x", "value": 1},
        {"op": "add", "path": "no-slash", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "add"},
        {"op": "explode", "path": "/a"},
        {"path": "/a", "value": 1},
        {"op": "move", "from": "/a", "path": "/a/b"},
        {"op": "copy", "from": "/l/-", "path": "/c"},
        {"op": "move", "from": "/l/-", "path": "/c"},
        {"op": "test", "path": "/l/-", "value": None},
        {"op": "copy", "path": "/c"},
        {"op": "test", "path": "/a/b", "value": 2},
        {"op": "test", "path": "/a/b", "value": True},
        {"op": "test", "path": "/a/none", "value": None},
        {"op": "test", "value": 1},
    ],
)
def test_an_operation_that_cannot_be_carried_out_is_422_and_nothing_is_changed(operation):
    before = copy.deepcopy(DOCUMENT)
    with pytest.raises(Unprocessable) as caught:
        apply_json_patch(DOCUMENT, [{"op": "add", "path": "/new", "value": 1}, operation])
    assert before == DOCUMENT
    status = caught.value.status()
    assert (status["code"], status["reason"], status["details"]) == (422, "Invalid", {})
    assert status["message"] == "the server rejected our request due to an error in our request"


@pytest.mark.parametrize(
    ("patch", "problem"),
    [
        ({}, "object into Go value of type []handlers.jsonPatchOp"),
        ("x", "string into Go value of type []handlers.jsonPatchOp"),
        (["x"], "string into Go value of type handlers.jsonPatchOp"),
        ([{"op": 1}], "number into Go struct field jsonPatchOp.op of type string"),
    ],
)
def test_what_is_no_list_of_operations_is_a_bad_request(patch, problem):
    with pytest.raises(BadRequest) as caught:
        apply_json_patch({}, patch)
    assert caught.value.message == f"error decoding patch: json: cannot unmarshal {problem}"


def test_as_many_operations_as_are_allowed_are_done_and_one_more_is_refused():
    patch = [{"op": "test", "path": "/k", "value": 1}] * OPERATIONS_MAX
    assert apply_json_patch({"k": 1}, patch) == {"k": 1}
    with pytest.raises(RequestEntityTooLarge, match="maximum operations in a JSON patch is 10000, got 10001"):
        apply_json_patch({"k": 1}, [*patch, patch[0]])


def test_copies_of_copies_end_at_the_limit():
    """Twenty copies would make a document of 2**20 times its size."""
    doubling = [{"op": "copy", "from": "/l", "path": "/l/-"}] * 60
    with pytest.raises(Unprocessable):
        apply_json_patch({"l": ["x" * 1000]}, doubling)
    once = COPIED_BYTES_MAX - 2
    fits = apply_json_patch({"l": "x" * once}, [{"op": "copy", "from": "/l", "path": "/m"}])
    assert len(fits["m"]) == once
    with pytest.raises(Unprocessable):
        apply_json_patch({"l": "x" * (once + 1)}, [{"op": "copy", "from": "/l", "path": "/m"}])


def test_what_was_copied_or_added_is_not_shared():
    value: dict[str, int] = {}
    patch = [
        {"op": "add", "path": "/v", "value": value},
        {"op": "copy", "from": "/v", "path": "/w"},
        {"op": "add", "path": "/v/x", "value": 1},
    ]
    assert apply_json_patch({}, patch) == {"v": {"x": 1}, "w": {}}
    assert value == {}


operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "odd"])},
    optional={
        "path": st.sampled_from(["", "/", "/a", "/a/b", "/l", "/l/0", "/l/-", "/l/01", "/s/0", "/a~", "x"]),
        "from": st.sampled_from(["", "/a", "/l/1", "/s", "/l/-"]),
        "value": st.sampled_from([None, 1, "x", {"b": 1}, [1]]),
    },
)


@given(st.lists(operations, max_size=4))
def test_any_patch_gives_a_document_or_an_answer(patch):
    before = copy.deepcopy((DOCUMENT, patch))
    try:
        apply_json_patch(DOCUMENT, patch)
    except APIError as error:
        assert error.code in (400, 422)
    assert before == (DOCUMENT, patch)
