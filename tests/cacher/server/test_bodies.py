"""Bodies as JSON data, what is doubtful in them, and what is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry import BadRequest, UnsupportedMediaType
from cacher.server._bodies import NESTED_MAX, BadBody, read_body, read_json, read_yaml_body, unreadable
from cacher.server._deleting import read_delete_options
from cacher.server._request import read_head
from cacher.server._yaml import BadYAML, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("raw", "doubles"),
    [
        (b'{"a":1,"a":2}', ("a",)),
        (b'{"a":{"b":[{"c":1,"c":2}]},"a.b":{"x":1,"x":1,"x":1}}', ("a.b[0].c", "a.b.x")),
        (b'{"a":1,"b":{"a":1}}', ()),
    ],
)
def test_members_that_come_twice_are_told_with_their_paths_and_the_last_counts(raw, doubles):
    assert read_json(raw).doubles == doubles
    assert read_json(b'{"a":1,"a":2}').value == {"a": 2}
    assert read_json(b'{"a":1,"a":2}').flaws == ('duplicate field "a"',)


def test_numbers_that_go_has_no_integer_for_are_floats_and_those_that_are_none_refused():
    assert read_json(b"[9223372036854775807,9223372036854775808,-9223372036854775808]").value == [
        2**63 - 1,
        float(2**63),
        -(2**63),
    ]
    for raw in (b"1e999", b"NaN", b"-Infinity", b"9" * 5000):
        with pytest.raises(BadBody):
            read_json(raw)


def test_what_is_no_text_is_replaced():
    assert read_json(b'"\xff"').value == "\ufffd"
    assert read_json(b'{"\\ud800":["\\udfff","\\ud83d\\ude00"]}').value == {"\ufffd": ["\ufffd", "😀"]}
    assert read_json(b'{"\\ud800":1,"\\ud800":2}').doubles == ("\ufffd",)


@pytest.mark.parametrize("depth", [NESTED_MAX + 1, 5000, 200_000])
def test_what_nests_too_deep_is_refused(depth):
    with pytest.raises(BadBody):
        read_json(b"[" * depth + b"]" * depth)
    assert read_json(b"[" * NESTED_MAX + b"]" * NESTED_MAX).value


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(), st.lists, max_leaves=8))
def test_other_json_is_read_as_it_is(value):
    assert read_json(json.dumps(value).encode()).value == value


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "application/json; charset=utf-8", "APPLICATION/JSON"]
)
def test_json_is_what_is_sent_where_nothing_else_is_said(content_type):
    assert read_body(content_type, b"{}").value == {}


def test_other_media_types_are_refused_and_protobuf_is_read_by_what_is_handed_in():
    with pytest.raises(UnsupportedMediaType):
        read_body("text/plain", b"{}")
    protobuf = "application/vnd.kubernetes.protobuf"
    assert read_body(protobuf, b"x", protobuf=lambda raw: {"raw": raw.decode()}).value == {"raw": "x"}
    with pytest.raises(BadBody):
        read_body(protobuf, b"x")


# ---- YAML ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes\nb: off\nc: 'yes'", {"a": True, "b": False, "c": "yes"}),
        (
            "t: 2026-01-01\nu: 12:30:45\nv: 0x10\nw: 0o17\nx: 017",
            {"t": "2026-01-01", "u": "12:30:45", "v": 16, "w": 15, "x": 15},
        ),
        ("1: a\ntrue: b\nnull: c\n1.5: d", {"1": "a", "true": "b", "null": "c", "1.5": "d"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: 1\n---\nb: 2", {"a": 1}),
        ("", None),
        ('{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        ("a: ~\nb: 1e3\nc: .5\nd: 1_000", {"a": None, "b": 1000.0, "c": 0.5, "d": 1000}),
    ],
)
def test_yaml_is_read_as_gos_library_reads_it(text, value):
    assert read_yaml(text.encode()) == value


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: !!python/object:os.system x",
        "a: &x [*x]",
        LAUGHS,
        "[" * 300 + "]" * 300,
        "a: !!binary aGk=",
        "\x00",
        "a: *x",
    ],
)
def test_what_is_no_yaml_or_has_no_equal_in_json_is_refused(text):
    with pytest.raises(BadYAML):
        read_yaml(text.encode())


def test_a_body_in_yaml_may_be_json_and_tells_its_doubles():
    assert read_yaml_body(b'{"a":1,"a":2}').doubles == ("a",)
    with pytest.raises(BadBody, match="error converting YAML to JSON: yaml: line 1"):
        read_yaml_body(b"a: [")
    with pytest.raises(BadBody):
        read_yaml_body(b"a: .inf\nb: 1e999")


def test_yaml_is_written_in_order_of_names_without_aliases_and_folded():
    shared = {"x": 1}
    assert write_yaml({"b": shared, "a": shared}) == b"a:\n  x: 1\nb:\n  x: 1\n"
    assert b"\n  " in write_yaml({"message": "word " * 30})


# ---- errors and deletions --------------------------------------------------------------------------------------------


def test_a_custom_resource_shows_what_it_was_sent():
    error = unreadable(BadBody("unexpected end of JSON input"), custom_kind="Widget", raw=b"{")
    assert error.message == (
        "the object provided is unrecognized (must be of type Widget): couldn't get version/kind; json parse error: "
        "unexpected end of JSON input ({)"
    )


def options(query: str = "", body: bytes = b"") -> dict[str, object]:
    return read_delete_options(read_head("DELETE", f"/x?{query}".encode(), []), body)


def test_a_deletion_is_told_how_by_its_body_and_without_one_by_parameters():
    query = "gracePeriodSeconds=5&propagationPolicy=Orphan&orphanDependents=false&dryRun=All"
    assert options(query)["grace_period_s"] == 5
    assert options(query)["orphan_dependents"] is False
    assert options(query)["dry_run"] == ["All"]
    found = options(query, b'{"preconditions":{"uid":"u","resourceVersion":"7"},"gracePeriodSeconds":0}')
    assert (found["grace_period_s"], found["uid"], found["resource_version"]) == (0, "u", "7")
    assert found["propagation_policy"] is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "json parse error"),
        (b"[]", "json parse error"),
        (b'{"kind":"ConfigMap"}', 'no kind "ConfigMap" is registered'),
        (
            b'{"gracePeriodSeconds":"soon"}',
            "cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds",
        ),
        (b'{"gracePeriodSeconds":true}', "cannot unmarshal bool"),
        (b'{"preconditions":{"uid":1}}', "DeleteOptions.preconditions.uid of type types.UID"),
        (b'{"preconditions":[]}', "cannot unmarshal array"),
        (b'{"dryRun":[1]}', "DeleteOptions.dryRun of type string"),
        (b'{"propagationPolicy":{}}', "cannot unmarshal object"),
    ],
)
def test_what_is_no_delete_options_is_refused(body, problem):
    with pytest.raises(BadRequest, match=problem):
        options("", body)
