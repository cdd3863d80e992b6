"""The codec: what is stored of a value, and that equal contents are equal bytes."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.storage import Codec, InvalidValue, carries_resource_version, read_value
from watch import ObjectDecodeError

CODEC = Codec(group_version="v1", kind="Pod", fields=("spec.nodeName",), absent={"spec.nodeName": "none"})


def test_what_the_store_knows_itself_is_not_stored():
    metadata = {"name": "a", "resourceVersion": "7", "selfLink": "/a", "uid": "U"}
    value = {"metadata": metadata, "kind": "Pod"}
    assert CODEC.encode(value) == b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","uid":"U"}}'
    assert metadata["resourceVersion"] == "7", "what is handed in is not changed"


def test_a_kind_is_filled_in_and_never_overwritten():
    assert read_value(CODEC.encode({})) == {"apiVersion": "v1", "kind": "Pod"}
    assert read_value(CODEC.encode({"kind": "", "apiVersion": None})) == {"apiVersion": "v1", "kind": "Pod"}
    own = {"apiVersion": "v2", "kind": "Cat"}
    assert read_value(CODEC.encode(own)) == own
    assert Codec().encode({}) == b"{}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4),
        max_leaves=12,
    ).map(lambda inner: {"spec": inner})
)
def test_equal_contents_are_equal_bytes(value):
    """However the members were ordered and spaced, as text or decoded."""
    encoded = CODEC.encode(value)
    spaced = msgspec.json.format(msgspec.json.encode(reversed_members(value)), indent=3)
    assert CODEC.encode(spaced) == CODEC.encode(reversed_members(value)) == CODEC.encode(encoded) == encoded


def reversed_members(value):
    if isinstance(value, dict):
        return {name: reversed_members(member) for name, member in reversed(value.items())}
    return [reversed_members(member) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"1", b'{"a":\xff}', {"a": object()}, {1j: 2}])
def test_what_is_no_json_object_is_not_stored(value):
    with pytest.raises(InvalidValue):
        CODEC.encode(value)


def test_a_number_that_json_does_not_know_becomes_null():
    assert read_value(Codec().encode({"a": math.nan})) == {"a": None}


def test_what_is_read_has_its_fields_and_its_revision():
    raw = CODEC.encode({"metadata": {"name": "a", "namespace": "ns"}, "spec": {"nodeName": "n1"}})
    found = CODEC.decode("/registry/pods/ns/a", raw, 5)
    assert (found.key, found.name, found.namespace, found.revision) == ("/registry/pods/ns/a", "a", "ns", 5)
    assert found.field("spec.nodeName") == "n1"
    assert CODEC.decode("k", b"{}", 1).field("spec.nodeName") == "none"
    assert found.raw is raw


def test_what_cannot_be_read_names_its_key_and_revision():
    with pytest.raises(ObjectDecodeError) as caught:
        CODEC.decode("/registry/pods/ns/a", b"\xff", 5)
    assert (caught.value.key, caught.value.revision) == ("/registry/pods/ns/a", 5)


@pytest.mark.parametrize(
    ("told", "carries"),
    [("7", True), (b"7", None), ("", False), ("0", False), ("abc", False), ("-1", False), (7, False), (None, False)],
)
def test_an_object_that_says_its_revision_is_not_new(told, carries):
    if carries is None:
        assert carries_resource_version(b'{"metadata":{"resourceVersion":"7"}}')
    else:
        assert carries_resource_version({"metadata": {"resourceVersion": told}}) is carries


def test_an_object_without_metadata_says_no_revision():
    for value in (b"{}", b'{"metadata":null}', b'{"metadata":[]}'):
        assert not carries_resource_version(value)
