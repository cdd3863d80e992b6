"""Lister: the same objects as a look at every one of them would find."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflector import Lister, ObjectNotFound, Replacement, Store, UnknownIndex, by_label
from watch import InvalidSelector, Object, ObjectReader, Selector

READER = ObjectReader(["spec.nodeName"])


def thing(name, namespace, **labels):
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    raw = json.dumps({"metadata": metadata, "spec": {"nodeName": f"node-of-{name}"}}).encode()
    return READER.read(f"/registry/things/{namespace}/{name}", raw, 3)


THINGS = [thing("x", "a", app="shop"), thing("y", "a"), thing("x", "b", app="shed"), thing("x", ""), thing("z", "")]


def lister(*objects: Object) -> Lister:
    store = Store({"app": by_label("app")})
    store.replace(Replacement(objects, 7, ()))
    return Lister(store)


def names(objects):
    return sorted((each.namespace, each.name) for each in objects)


def test_an_object_is_got_by_its_name_and_namespace():
    things = lister(*THINGS)
    assert things.get("x", "b") is THINGS[2]
    assert things.get("x") is THINGS[3]
    assert things.find("y") is None
    assert (len(things), things.revision) == (5, 7)


def test_a_name_that_is_not_there_is_an_error_that_says_how_far_the_store_was():
    with pytest.raises(ObjectNotFound, match="b/y is not in the store at revision 7: requeue, or read it") as caught:
        lister(*THINGS).get("y", "b")
    assert (caught.value.name, caught.value.namespace, caught.value.revision) == ("y", "b", 7)


def test_lists_by_namespace_labels_fields_and_index():
    things = lister(*THINGS)
    assert len(things.list()) == len(things.list("")) == 5
    assert names(things.list("a")) == [("a", "x"), ("a", "y")]
    assert things.list("none such") == ()
    assert names(things.list("a", labels="app")) == [("a", "x")]
    assert names(things.list(labels={"app": "shed"})) == [("b", "x")]
    assert names(things.list(fields="spec.nodeName=node-of-x")) == [("", "x"), ("a", "x"), ("b", "x")]
    assert names(things.list("b", fields="metadata.name=x")) == [("b", "x")]
    assert names(things.by_index("app", "shop")) == [("a", "x")]


@pytest.mark.parametrize("namespace", [None, "b"])
def test_a_selector_of_one_name_looks_at_no_other_object(monkeypatch, namespace):
    things = lister(*THINGS)
    monkeypatch.setattr(Store, "objects", None)
    monkeypatch.setattr(Store, "by_index", None)
    found = things.select(Selector.of(namespace, name="x", labels="app"))
    assert names(found) == ([("b", "x")] if namespace else [("a", "x"), ("b", "x")])


def test_a_selector_that_contradicts_itself_finds_nothing():
    things = lister(*THINGS)
    assert things.list("a", fields="metadata.namespace=b") == ()
    assert things.list("a", fields="metadata.name=x,metadata.name=y") == ()
    assert things.list(labels="app=shop,app=shed") == ()


def test_mistakes_in_a_selector_and_in_the_name_of_an_index_are_told():
    with pytest.raises(InvalidSelector):
        lister().list(labels="app in shop")
    with pytest.raises(UnknownIndex):
        lister().by_index("none such", "x")


SELECTORS = st.builds(
    Selector.of,
    st.sampled_from([None, "", "a", "b", "none such"]),
    name=st.sampled_from([None, "x", "y", "none such"]),
    labels=st.sampled_from([None, "app", "!app", "app=shop", "app in (shop,shed)", "app notin (shed)"]),
    fields=st.sampled_from(
        [None, "metadata.name!=x", "metadata.namespace=a", "metadata.namespace!=a", "spec.nodeName=node-of-x"]
    ),
)


@given(SELECTORS, st.lists(st.sampled_from(THINGS), unique_by=lambda each: each.key))
def test_a_selector_finds_what_matches_it(selector, objects):
    assert names(lister(*objects).select(selector)) == names(each for each in objects if selector.matches(each))
