"""Hashes, names and pods of templates."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from cacher.controllers._workload_template import (
    fnv1a_32,
    generate_name,
    is_same_template,
    pod_from,
    safe_text,
    template_hash,
)
from tests.cacher.controllers.objects import template


def test_fnv_1a_is_the_published_function():
    """Source: http://www.isthe.com/chongo/tech/comp/fnv, test vectors of 32 bits."""
    assert fnv1a_32(b"") == 0x811C9DC5
    assert fnv1a_32(b"a") == 0xE40C292C
    assert fnv1a_32(b"foobar") == 0xBF9CF968


def test_numbers_are_spelled_as_kubernetes_spells_them():
    """Source: the recorded ReplicaSets, all of whose hashes are of these letters; digits of a number have ten of them."""
    assert safe_text("0123456789") == "456789bcdf"
    assert re.fullmatch(r"[456789bcdf]{1,10}", template_hash(template()))


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=4))
def test_a_hash_depends_on_what_is_said_and_not_on_the_order(labels):
    one = {"metadata": {"labels": labels}, "spec": {"a": 1, "b": 2}}
    other = {"spec": {"b": 2, "a": 1}, "metadata": {"labels": dict(reversed(labels.items()))}}
    assert template_hash(one) == template_hash(other)
    assert template_hash(one, 0) != template_hash(one)
    assert template_hash(one, 1) != template_hash(one, 0)


def test_the_hash_among_the_labels_makes_no_difference_and_anything_else_does():
    one = template()
    hashed = {**one, "metadata": {"labels": {**one["metadata"]["labels"], "pod-template-hash": "x"}}}
    assert is_same_template(one, hashed)
    assert is_same_template({"metadata": {"creationTimestamp": None}, "spec": {}}, {"spec": {}, "metadata": {}})
    assert not is_same_template(one, template("v2"))
    assert not is_same_template(one, {**one, "metadata": {"labels": {"app": "other"}}})


def test_a_generated_name_has_room_for_its_end():
    assert len(generate_name("x" * 80)) == 58


def test_a_pod_has_what_the_template_says_and_its_owner():
    owner = {"metadata": {"name": "web-1", "namespace": "a", "uid": "rs"}}
    made = pod_from(
        {**template(), "metadata": {"annotations": {"a": "b"}}}, owner, {"uid": "rs"}, generateName="web-1-"
    )
    assert made["metadata"] == {
        "namespace": "a",
        "annotations": {"a": "b"},
        "ownerReferences": [{"uid": "rs"}],
        "generateName": "web-1-",
    }
    assert made["spec"] == template()["spec"]
