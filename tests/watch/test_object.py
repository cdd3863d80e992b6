"""Objects: the head that is read from the stored bytes, and the rest that is not."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import watch._object as object_module
from watch import Object, ObjectDecodeError, ObjectReader

METADATA = {
    "name": "web-1",
    "namespace": "team-a",
    "uid": "u-1",
    "labels": {"app": "web"},
    "managedFields": [{"x": 1}],
}
POD = {
    "kind": "Pod",
    "metadata": METADATA,
    "spec": {"nodeName": "node-3", "hostNetwork": True, "containers": [{"name": "c"}]},
    "status": {"phase": "Running", "restarts": 3, "podIP": None},
}
FIELDS = (
    "spec.nodeName",
    "status.phase",
    "spec.hostNetwork",
    "status.restarts",
    "status.podIP",
    "spec.absent",
    "no.such",
)


def read(value: object, *fields: str) -> Object:
    return ObjectReader(fields).read("/k", json.dumps(value).encode(), 7)


def test_the_head_has_what_lists_and_selectors_look_at():
    obj = read(POD, *FIELDS)
    assert (obj.key, obj.revision, obj.resource_version) == ("/k", 7, "7")
    assert (obj.name, obj.namespace, obj.uid, obj.labels) == ("web-1", "team-a", "u-1", {"app": "web"})
    assert obj.fields == {
        "spec.nodeName": "node-3",
        "status.phase": "Running",
        "spec.hostNetwork": "true",
        "status.restarts": "3",
    }


def test_a_field_that_is_absent_or_null_reads_as_empty():
    obj = read(POD, *FIELDS)
    assert [obj.field(path) for path in ("status.podIP", "spec.absent", "no.such", "never.asked")] == ["", "", "", ""]
    assert (obj.field("metadata.name"), obj.field("metadata.namespace")) == ("web-1", "team-a")
    assert obj.field("spec.nodeName") == "node-3"


def test_the_fields_of_the_metadata_need_not_be_asked_for():
    reader = ObjectReader(("metadata.name", "spec.nodeName", "metadata.namespace"))
    assert reader.fields == ("spec.nodeName",)


def test_fields_of_any_depth_and_with_a_common_beginning_are_told_apart():
    obj = read({"a": {"b": {"c": "1", "d": "2"}, "e": "3"}, "type": "T"}, "a.b.c", "a.b.d", "a.e", "type", "a.b.x")
    assert obj.fields == {"a.b.c": "1", "a.b.d": "2", "a.e": "3", "type": "T"}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"metadata": None},
        {"metadata": {}},
        {"metadata": {"labels": None, "name": None, "uid": None}},
        {"spec": None},
    ],
)
def test_an_object_without_metadata_has_an_empty_head(value):
    obj = read(value, "spec.nodeName")
    assert (obj.name, obj.namespace, obj.uid, obj.labels, obj.fields) == ("", "", "", {}, {})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"metadata":[]}',
        b'{"metadata":{"name":1}}',
        b'{"metadata":{"labels":{"a":1}}}',
        b"\xff",
    ],
)
def test_what_is_no_object_is_refused_with_its_key_and_revision(raw):
    with pytest.raises(ObjectDecodeError) as refused:
        ObjectReader().read("/registry/pods/a/b", raw, 9)
    assert (refused.value.key, refused.value.revision) == ("/registry/pods/a/b", 9)
    assert "/registry/pods/a/b" in str(refused.value)


@pytest.mark.parametrize("value", [{"a": 1}, ["n"], [], {}])
def test_a_field_that_is_no_scalar_counts_as_absent(value):
    assert read({"spec": {"nodeName": value}}, "spec.nodeName").fields == {}


def test_an_absent_field_counts_as_what_its_resource_says():
    absent = {"spec.unschedulable": "false"}
    reader = ObjectReader(("spec.unschedulable", "status.replicas"), absent=absent)
    for raw in (b"{}", b'{"spec":{}}', b'{"spec":{"unschedulable":null}}'):
        assert reader.read("/k", raw, 1).fields == {"spec.unschedulable": "false"}
    assert reader.read("/k", b'{"spec":{"unschedulable":true}}', 1).field("spec.unschedulable") == "true"
    assert reader.read("/k", b"{}", 1).fields is not absent, "what the resource says stays its own"


def test_the_whole_object_is_read_when_asked_and_is_the_callers_to_change():
    obj = read(POD)
    first = obj.parse()
    assert first == POD
    first["metadata"]["name"] = "changed"
    assert obj.parse() == POD


def test_the_api_shows_the_revision_in_the_metadata():
    assert read(POD).to_dict() == {**POD, "metadata": {**METADATA, "resourceVersion": "7"}}
    assert Object("", 3, b"{}").to_dict() == {"metadata": {"resourceVersion": "3"}}


def test_the_same_object_at_another_revision_shares_everything():
    obj = read(POD, "spec.nodeName")
    later = obj.at_revision(9)
    assert later == msgspec.structs.replace(obj, revision=9)
    assert later.raw is obj.raw
    assert later.labels is obj.labels
    assert later.fields is obj.fields


def test_an_object_is_not_looked_at_by_the_garbage_collector():
    import gc

    assert not gc.is_tracked(Object("k", 1, b"{}"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["name", "namespace", "uid"]), st.text(max_size=8)),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4),
    st.dictionaries(st.text(max_size=5).filter(lambda key: key not in ("metadata", "spec")), json_values, max_size=4),
    st.none() | st.text(max_size=8) | st.booleans() | st.integers(-(2**53), 2**53),
)
def test_the_head_agrees_with_the_whole_object_whatever_else_is_in_it(head, labels, others, node):
    value = {
        **others,
        "metadata": {**head, "labels": labels, "other": others},
        "spec": {"nodeName": node, "rest": others},
    }
    obj = read(value, "spec.nodeName")
    assert obj.parse() == value
    assert (obj.name, obj.namespace, obj.uid) == tuple(head.get(part, "") for part in ("name", "namespace", "uid"))
    assert obj.labels == labels
    assert obj.field("spec.nodeName") == ("" if node is None else node if isinstance(node, str) else json.dumps(node))


def test_labels_that_are_none_are_refused_each_time_and_say_that_it_is_them():
    reader = ObjectReader()
    for _ in range(2):
        with pytest.raises(ObjectDecodeError, match=r"metadata\.labels: Expected `str`, got `int`"):
            reader.read("/p", b'{"metadata":{"labels":{"a":1}}}', 1)
        assert reader.read("/p", b'{"metadata":{"labels":null}}', 1).labels == {}


def test_labels_are_decoded_once_for_all_objects_that_have_them_written_alike(monkeypatch):
    decoded: list[bytes] = []
    decode: Callable[[bytes], dict[str, str] | None] = object_module._decode_labels

    def counted(text: bytes) -> dict[str, str] | None:
        decoded.append(text)
        return decode(text)

    monkeypatch.setattr(object_module, "_decode_labels", counted)
    reader = ObjectReader()
    for turn in range(30):
        obj = reader.read(f"/p/{turn}", b'{"metadata":{"name":"a","labels":{"app":"web-%d"}}}' % (turn % 3), turn)
        assert obj.labels == {"app": f"web-{turn % 3}"}
    assert len(decoded) == 3


# ---- what is shared --------------------------------------------------------------------------------------------------


def pod(namespace: str, app: str, node: str) -> bytes:
    return f'{{"metadata":{{"namespace":"{namespace}","labels":{{"app":"{app}"}}}},"spec":{{"nodeName":"{node}"}}}}'.encode()


def test_equal_labels_and_fields_of_different_objects_are_one_dict():
    reader = ObjectReader(["spec.nodeName"])
    first, again = (reader.read(key, pod("team", "web", "n1"), 1) for key in ("/p/a", "/p/b"))
    other = reader.read("/p/c", pod("team", "db", "n2"), 1)
    assert first.labels is again.labels
    assert first.fields is again.fields
    assert first.namespace is again.namespace
    assert (other.labels, other.fields) == ({"app": "db"}, {"spec.nodeName": "n2"})


def test_names_and_values_that_are_swapped_are_not_taken_for_equal():
    reader = ObjectReader()
    all_labels: list[dict[str, str]] = [
        {"a": "x", "b": "y"},
        {"b": "x", "a": "y"},
        {"a": "y", "c": "x"},
        {"a": "b"},
        {"b": "a"},
    ]
    found = [reader.read("/p", json.dumps({"metadata": {"labels": labels}}).encode(), 1) for labels in all_labels]
    assert [each.labels for each in found] == all_labels


def test_where_hardly_any_are_equal_nothing_is_kept_to_share(monkeypatch):
    """Half of the memory that is saved elsewhere would be spent on what never comes again."""
    monkeypatch.setattr("watch._object.SHARED_MAX", 4)
    reader = ObjectReader(["spec.nodeName"])
    objects = [reader.read(f"/p/{turn}", pod("team", "web", f"n{turn}"), 1) for turn in range(40)]
    assert [each.fields for each in objects] == [{"spec.nodeName": f"n{turn}"} for turn in range(40)]
    obj = objects[-1]
    assert reader.read("/p/x", pod("team", "web", "n39"), 1).fields is not obj.fields
    assert reader._fields is not None
    assert not reader._fields._known
    assert reader.read("/p/x", pod("team", "web", "n39"), 1).labels is obj.labels


def test_what_comes_again_and_again_is_shared_however_many_there_are(monkeypatch):
    monkeypatch.setattr("watch._object.SHARED_MAX", 4)
    reader = ObjectReader()
    for turn in range(60):
        for _ in range(3):
            reader.read("/p", pod("team", f"app-{turn}", "n"), 1)
        assert len(reader._shared_labels._known) <= 4
    assert reader.read("/p", pod("team", "x", "n"), 1).labels is reader.read("/p", pod("team", "x", "n"), 1).labels


def test_values_that_python_holds_equal_are_shared_by_no_two_objects():
    """A 1 is a True to a dict, and "true" is no "1" to a selector."""
    reader = ObjectReader(["spec.hostNetwork", "spec.nodeName"])

    def read(value: str) -> str:
        raw = b'{"metadata": {"name": "a"}, "spec": {"hostNetwork": %s, "nodeName": "n"}}' % value.encode()
        return reader.read("/p", raw, 1).field("spec.hostNetwork")

    spellings = ["true", "1", "1.0", '"true"', "false", "0", "null", "[]", "{}"]
    wanted = ["true", "1", "1.0", "true", "false", "0", "", "", ""]
    for _ in range(2):
        assert [read(value) for value in spellings] == wanted
    assert [read(value) for value in reversed(spellings)] == wanted[::-1]


def test_a_field_may_be_called_otherwise_than_where_it_stands_and_the_first_place_that_has_something_counts():
    reader = ObjectReader(
        ("source", "reporter", "done"),
        absent={"done": "0"},
        read_from={"source": ("source.component", "reporter"), "done": ("status.succeeded",)},
    )

    def fields(raw: bytes) -> dict[str, str]:
        return reader.read("/k", raw, 1).fields

    assert fields(b'{"source":{"component":"a"},"reporter":"b"}') == {"source": "a", "reporter": "b", "done": "0"}
    assert fields(b'{"source":{"component":""},"reporter":"b"}') == {"source": "b", "reporter": "b", "done": "0"}
    assert fields(b'{"status":{"succeeded":3},"source":{}}') == {"done": "3"}
    assert fields(b"{}") == {"done": "0"}
    assert fields(b'{"source":{"component":"a"},"reporter":"b"}') == {"source": "a", "reporter": "b", "done": "0"}
