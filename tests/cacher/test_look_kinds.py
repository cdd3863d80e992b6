"""cacher._look_kinds: what people call resources, and what was meant maybe."""

from __future__ import annotations

import pytest

from cacher._look_kinds import Kind, Kinds, UnknownKind, kinds_of_aggregated, kinds_of_list

VERBS = ("get", "list", "watch")
PODS = Kind("v1", "pods", "Pod", "pod", ("po",), ("all",), True, VERBS)
NODES = Kind("v1", "nodes", "Node", "node", ("no",), (), False, VERBS)
DEPLOYMENTS = Kind("apps/v1", "deployments", "Deployment", "deployment", ("deploy",), ("all",), True, VERBS)
EVENTS = Kind("v1", "events", "Event", "event", ("ev",), (), True, VERBS)
NEW_EVENTS = Kind("events.k8s.io/v1", "events", "Event", "event", ("ev",), (), True, VERBS)
KINDS = Kinds([PODS, NODES, EVENTS, DEPLOYMENTS, NEW_EVENTS])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("pods", [PODS]),
        ("po", [PODS]),
        ("Pod", [PODS]),
        ("deployments.apps", [DEPLOYMENTS]),
        ("deploy.v1.apps", [DEPLOYMENTS]),
        ("pods.v1", [PODS]),
        ("ev", [EVENTS]),
        ("events.events.k8s.io", [NEW_EVENTS]),
        ("no,po,nodes", [NODES, PODS]),
        ("all", [PODS, DEPLOYMENTS]),
    ],
)
def test_a_resource_is_found_by_each_of_its_names(words, found):
    assert KINDS.find(words) == found


@pytest.mark.parametrize(
    ("word", "meant"),
    [("pds", "did you mean pods"), ("deploymnt", "did you mean deployments"), ("nods", "did you mean nodes")],
)
def test_what_is_called_nearly_so_is_named(word, meant):
    with pytest.raises(UnknownKind, match=meant):
        KINDS.find(word)


@pytest.mark.parametrize("word", ["", "xyzzy", "pods.apps", "deployments.v2.apps"])
def test_what_nothing_is_called_is_refused(word):
    with pytest.raises(UnknownKind, match="the server has no resource"):
        KINDS.find(word)


def test_what_cannot_be_listed_is_not_found():
    with pytest.raises(UnknownKind):
        Kinds([Kind("v1", "bindings", "Binding", verbs=("create",))]).find("bindings")


def test_aggregated_discovery_gives_each_resource_in_the_version_that_its_group_prefers():
    entry = {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced", "verbs": ["list"]}
    group = {
        "metadata": {"name": "example.com"},
        "versions": [{"version": "v2", "resources": [entry]}, {"version": "v1", "resources": [entry]}],
    }
    found = list(kinds_of_aggregated([{"items": [group]}, {}]))
    assert [(kind.group_version, kind.shown, kind.namespaced) for kind in found] == [
        ("example.com/v2", "widget.example.com", True)
    ]


def test_a_list_of_resources_gives_them_without_their_parts():
    document = {"resources": [{"name": "pods", "kind": "Pod", "verbs": ["list"]}, {"name": "pods/status"}]}
    assert [kind.plural for kind in kinds_of_list("v1", document)] == ["pods"]
