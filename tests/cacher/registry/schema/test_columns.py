"""Tables, JSON paths and scales of custom resources."""

from __future__ import annotations

from typing import Any

import pytest

from cacher.registry._errors import BadRequest, InternalError, PlainServerError
from cacher.registry.schema import BadJSONPath, ScalePaths, human_duration, json_path
from cacher.registry.schema._columns import cells, read_columns

OBJECT = {
    "metadata": {"name": "a", "labels": {"a.b/c": "x"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"n": 3, "f": 1.5, "on": True, "text": "t", "none": None, "list": [{"p": 1}, {"p": 2}], "map": {"k": "v"}},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.n", [3]),
        (".spec.no.deeper", []),
        (".metadata.labels['a.b/c']", ["x"]),
        ('.metadata.labels["a.b/c"]', ["x"]),
        (r".metadata.labels.a\.b/c", ["x"]),
        (".spec.list[0].p", [1]),
        (".spec.list[-1].p", [2]),
        (".spec.list[7].p", []),
        (".spec.list[*].p", [1, 2]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type == 'Nope')].status", []),
        (".spec.list[?(@.p>1)].p", [2]),
        (".spec.list[?(@.p>'a')].p", []),
        (".spec.list[?(@.p)].p", [1, 2]),
        (".", [OBJECT]),
    ],
)
def test_a_path_leads_to_what_is_there(path, found):
    assert json_path(path).find(OBJECT) == found


@pytest.mark.parametrize("path", ["..name", ".a[1:2]", ".a[1,2]", "a", ".a[", ".a[?(@.b==c)]", "." + "a" * 5000])
def test_a_path_that_cannot_be_followed_is_refused(path):
    with pytest.raises(BadJSONPath):
        json_path(path)


@pytest.mark.parametrize(
    ("type_", "path", "cell"),
    [
        ("integer", ".spec.n", 3),
        ("integer", ".spec.f", 1),
        ("integer", ".spec.text", None),
        ("number", ".spec.n", 3.0),
        ("boolean", ".spec.on", True),
        ("boolean", ".spec.n", None),
        ("string", ".spec.n", "3"),
        ("string", ".spec.f", "1.5"),
        ("string", ".spec.on", "true"),
        ("string", ".spec.none", "<no value>"),
        ("string", ".spec.map", "map[k:v]"),
        ("string", ".spec.list", "[map[p:1] map[p:2]]"),
        ("string", ".spec.list[*].p", "1"),
        ("string", ".spec.gone", None),
        ("string", "..bad", None),
        ("date", ".metadata.creationTimestamp", "5m"),
        ("date", ".spec.text", "<invalid>"),
        ("date", ".spec.n", None),
    ],
)
def test_a_cell_is_what_its_column_makes_of_a_value(type_, path, cell):
    columns = read_columns([{"name": "C", "type": type_, "jsonPath": path}])
    assert cells(columns, OBJECT, now_s=1767225600 + 300) == ["a", cell]


def test_without_columns_there_is_the_age():
    columns = read_columns(None)
    assert [(column.name, column.type) for column in columns] == [("Name", "string"), ("Age", "date")]
    assert cells(columns, OBJECT, now_s=1767225600 + 3) == ["a", "3s"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (11100, "3h5m"),
        (28800, "8h"),
        (172799, "47h"),
        (172800, "2d"),
        (176400, "2d1h"),
        (691200, "8d"),
        (63072000, "2y"),
        (63072000 + 86400, "2y1d"),
        (8 * 31536000, "8y"),
    ],
)
def test_an_age_has_two_units_at_most(seconds, text):
    assert human_duration(seconds) == text


SCALE = ScalePaths(".spec.replicas", ".status.replicas", ".status.selector")


@pytest.mark.parametrize(
    ("obj", "texts"),
    [
        ({}, []),
        ({"spec": {"replicas": 2147483647}}, []),
        ({"spec": {"replicas": -1}}, [".spec.replicas: Invalid value: -1: should be a non-negative integer"]),
        (
            {"spec": {"replicas": 2147483648}},
            [".spec.replicas: Invalid value: 2147483648: should be less than or equal to 2147483647"],
        ),
        (
            {"spec": {"replicas": "x"}, "status": []},
            [
                ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64",
                ".status.replicas: Invalid value: 0: .status.replicas accessor error: [] is of the type []interface {}, "
                "expected map[string]interface{}",
            ],
        ),
    ],
)
def test_replicas_are_numbers_that_can_be(obj, texts):
    found = [str(error) for error in SCALE.errors(obj)]
    assert [text for text in found if "selector" not in text] == texts


def test_a_scale_is_read_from_an_object_and_written_into_it():
    obj: dict[str, Any] = {
        "metadata": {"name": "a", "uid": "u", "labels": {}},
        "spec": {"replicas": 2, "x": 1},
        "status": {"selector": "s"},
    }
    scale = SCALE.scale_of(obj)
    assert scale["metadata"] == {"name": "a", "uid": "u"}
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 0, "selector": "s"})
    changed = SCALE.with_scale(obj, {"spec": {"replicas": 5}, "metadata": {"resourceVersion": "9"}})
    assert changed["spec"] == {"replicas": 5, "x": 1}
    assert changed["metadata"]["resourceVersion"] == "9"
    assert obj["spec"]["replicas"] == 2


def test_a_scale_of_an_object_without_replicas_can_be_set_and_not_read():
    with pytest.raises(InternalError, match=r'the spec replicas field ".spec.replicas" does not exist'):
        SCALE.scale_of({"spec": {}})
    assert SCALE.scale_to_change({"spec": {}})["spec"] == {}
    assert SCALE.with_scale({}, {"spec": {"replicas": 1}}) == {"spec": {"replicas": 1}}
    with pytest.raises(BadRequest, match="cannot be empty"):
        SCALE.with_scale({}, {"spec": {}})
    with pytest.raises(PlainServerError, match="accessor error"):
        SCALE.scale_of({"spec": {"replicas": "x"}})
