"""Bodies in protobuf: what kubectl sent and what Go wrote are the same objects as in JSON; nothing else gets through."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.server._protobuf import MAGIC, BadProtobuf, decode_protobuf

DATA = Path(__file__).parent / "data"
KUBECTL = json.loads((DATA / "kubectl.json").read_text(encoding="utf-8"))
"""What kubectl 1.37 sent for its `create` commands, and what is meant by it."""
OBJECTS = [json.loads(line) for line in gzip.decompress((DATA / "objects.jsonl.gz").read_bytes()).splitlines()]
"""One object of every kind, its fields filled by chance: in protobuf and in JSON, both as Kubernetes 1.36 writes them."""


def without_nothing(value):
    """Without what says as much as its absence: Go's two forms leave out different ones of those."""
    if isinstance(value, dict):
        inner = {name: without_nothing(one) for name, one in value.items()}
        return {name: one for name, one in inner.items() if one not in (None, "", 0, False, {}, [])}
    return [without_nothing(one) for one in value] if isinstance(value, list) else value


def without_inner_kinds(value, depth=0):
    """Objects within objects say what they are in JSON alone."""
    if isinstance(value, list):
        return [without_inner_kinds(one, depth) for one in value]
    if not isinstance(value, dict):
        return value
    is_object = depth > 0 and {"apiVersion", "kind"} <= value.keys() and ({"metadata", "dryRun"} & value.keys())
    return {
        name: without_inner_kinds(one, depth + 1)
        for name, one in value.items()
        if not (is_object and name in ("apiVersion", "kind"))
    }


@pytest.mark.parametrize("sent", KUBECTL, ids=lambda sent: sent["command"])
def test_what_kubectl_creates_is_read_as_it_is_meant(sent):
    assert decode_protobuf(base64.b64decode(sent["protobuf"])) == sent["json"]


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: one["kind"])
def test_an_object_in_protobuf_is_the_same_as_in_json(one):
    read = decode_protobuf(base64.b64decode(one["protobuf"]))
    assert without_inner_kinds(without_nothing(read)) == without_inner_kinds(without_nothing(one["json"]))


def field(number: int, value: bytes | int) -> bytes:
    """A field as it is on the wire; texts and messages are short here."""
    if isinstance(value, int):
        return bytes((number << 3, value))
    return bytes((number << 3 | 2, len(value))) + value


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    type_meta = field(1, api_version.encode()) + field(2, kind.encode())
    return MAGIC + field(1, type_meta) + field(2, raw)


def test_zero_is_told_from_nothing_where_a_field_is_a_pointer():
    paused_with_no_replicas = field(2, field(1, 0) + field(5, 0) + field(7, 0))
    read = decode_protobuf(body("apps/v1", "Deployment", paused_with_no_replicas))
    assert read["spec"] == {"replicas": 0}


def test_an_empty_object_stays_where_it_says_something():
    volume = field(1, b"scratch") + field(2, field(2, b""))
    read = decode_protobuf(body("v1", "Pod", field(2, field(1, volume))))
    assert read["spec"]["volumes"] == [{"name": "scratch", "emptyDir": {}}]


def test_the_epoch_is_a_time_and_no_time_is_none():
    meta = field(8, field(1, 0)) + field(9, b"")
    assert decode_protobuf(body("v1", "Pod", field(1, meta)))["metadata"] == {
        "creationTimestamp": "1970-01-01T00:00:00Z"
    }


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "does not begin"),
        (b'{"kind":"Pod"}', "does not begin"),
        (MAGIC + b"\xff", "cannot be read as protobuf"),
        (body("v1", "Pod", b"\x0a\x7f"), "cannot be read as protobuf"),
        (body("v1", "Widget", b""), 'no kind "Widget" is known'),
        (body("v2", "Pod", b""), 'no kind "Pod" is known'),
        (
            body("apps/v1", "ControllerRevision", field(2, field(1, b"{"))),
            "ControllerRevision in protobuf cannot be read",
        ),
    ],
)
def test_what_is_no_object_of_ours_is_refused_with_its_reason(raw, why):
    with pytest.raises(BadProtobuf, match=why):
        decode_protobuf(raw)


def test_a_text_that_is_no_utf8_is_mended_as_go_mends_it():
    read = decode_protobuf(
        body("v1", "ConfigMap", field(1, field(1, b"a\xff")) + field(2, field(1, b"\xfe") + field(2, b"b")))
    )
    assert (read["metadata"], read["data"]) == ({"name": "a\ufffd"}, {"\ufffd": "b"})


def test_a_time_after_the_year_9999_is_refused():
    far = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
    with pytest.raises(BadProtobuf, match="Pod in protobuf cannot be read"):
        decode_protobuf(body("v1", "Pod", field(1, field(8, far))))


def test_deletion_options_are_read_whatever_group_they_name():
    read = decode_protobuf(body("apps/v1", "DeleteOptions", field(1, 30) + field(4, b"Orphan")))
    assert read == {
        "apiVersion": "apps/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 30,
        "propagationPolicy": "Orphan",
    }


@given(st.data())
def test_a_body_that_was_spoilt_is_read_or_refused_and_nothing_else(data):
    sent = bytearray(base64.b64decode(data.draw(st.sampled_from(KUBECTL))["protobuf"]))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(sent) - 1), st.integers(0, 255)), max_size=4)):
        sent[at] = byte
    cut = data.draw(st.integers(0, len(sent)))
    for spoilt in (bytes(sent), bytes(sent[:cut])):
        with contextlib.suppress(BadProtobuf):
            json.dumps(decode_protobuf(spoilt))
