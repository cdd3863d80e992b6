"""How lists look for what a selector wants: it is what `Selector.matches` says, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher._selection import selection_of, sift_of
from watch import Object, Selector

VALUES = ["", "a", "b"]
LABELS = ["", "app=a", "app=b", "app!=a", "app in (a,b)", "app=a,tier=b", "app=a,app=b", "app", "!app",
          "app=a,tier notin (b)"]  # fmt: skip
FIELDS = ["", "node=a", "node!=a", "node=", "node=a,phase=b", "phase=b", "metadata.name=a", "metadata.name=a,node=b"]
OBJECTS = st.builds(
    Object, st.just("/p/x"), st.just(1), st.just(b"{}"), st.sampled_from(VALUES), st.sampled_from(VALUES), st.just(""),
    st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(VALUES)),
    st.dictionaries(st.sampled_from(["node", "phase"]), st.sampled_from(VALUES)),
)  # fmt: skip
INDEXED = [(), ("node",), ("phase", "node"), ("metadata.name",)]


@pytest.mark.slow
@settings(max_examples=300)
@given(
    namespace=st.sampled_from(VALUES), labels=st.sampled_from(LABELS), fields=st.sampled_from(FIELDS),
    indexed=st.sampled_from(INDEXED), objects=st.lists(OBJECTS, max_size=12),
)  # fmt: skip
def test_a_selection_finds_what_matches_with_an_index_and_without(namespace, labels, fields, indexed, objects):
    selector = Selector.of(namespace, labels=labels, fields=fields)
    expected = [obj for obj in objects if selector.matches(obj)]
    selection = selection_of(selector, indexed)
    assert (selection.sift(objects) if selection.sift else objects) == expected
    path, value = selection.index or ("", "")
    found = [obj for obj in objects if obj.field(path) == value] if path else objects
    assert (selection.rest(found) if selection.rest else found) == expected


def test_what_an_index_decides_alone_is_not_asked_again():
    indexed = ("node",)
    assert selection_of(Selector.of(fields="node=a"), indexed).rest is None
    assert selection_of(Selector.of("team", fields="node=a"), indexed).rest is not None
    assert selection_of(Selector.of(fields="node=a", labels="app"), indexed).rest is not None
    assert selection_of(Selector.of(fields="node=a,phase=b"), indexed).rest is not None
    assert selection_of(Selector.of(fields="node!=a"), indexed).index is None
    assert sift_of(Selector()) is None
