"""Where etcd keeps each resource, and what may be selected by."""

from __future__ import annotations

import pytest

from cacher import RESOURCES, ResourceInfo
from cacher._resources import find_resource, resource_at


@pytest.mark.parametrize(
    ("version", "plural", "prefix"),
    [
        ("v1", "pods", "/registry/pods/"),
        ("v1", "nodes", "/registry/minions/"),
        ("v1", "services", "/registry/services/specs/"),
        ("v1", "endpoints", "/registry/services/endpoints/"),
        ("v1", "replicationcontrollers", "/registry/controllers/"),
        ("apps/v1", "deployments", "/registry/deployments/"),
        ("networking.k8s.io/v1", "ingresses", "/registry/ingress/"),
        ("apiextensions.k8s.io/v1", "customresourcedefinitions", "/registry/apiextensions.k8s.io/customresourcedefinitions/"),
        ("apiregistration.k8s.io/v1", "apiservices", "/registry/apiregistration.k8s.io/apiservices/"),
        ("example.com/v1", "widgets", "/registry/example.com/widgets/"),
        ("example.com/v1beta1", "widgets", "/registry/example.com/widgets/"),
    ],
)  # fmt: skip
def test_a_resource_lies_where_kubernetes_keeps_it(version, plural, prefix):
    info = find_resource(version, plural)
    assert (info.group_version, info.plural, info.prefix) == (version, plural, prefix)


def test_the_table_is_sound():
    prefixes = [info.prefix for info in RESOURCES.values()]
    assert len(set(prefixes)) == len(prefixes)
    for first in prefixes:
        assert first.startswith("/registry/")
        assert first.endswith("/")
        assert [other for other in prefixes if other.startswith(first)] == [first], (
            "one cache would show another's keys"
        )
    for info in RESOURCES.values():
        assert {path for path, _ in info.absent} <= set(info.fields)


@pytest.mark.parametrize(
    ("version", "plural", "cure"),
    [
        ("v1", "pod", "it has .*pods"),
        ("apps/v1", "pods", "it has .*deployments"),
        ("v2", "pods", "a group with a dot"),
        ("widgets/v1", "widgets", "a group with a dot"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_there_is(version, plural, cure):
    with pytest.raises(ValueError, match=cure):
        find_resource(version, plural)


def test_a_key_has_a_namespace_where_its_resource_lives_in_one():
    pods, nodes = find_resource("v1", "pods"), find_resource("v1", "nodes")
    assert pods.key("web-1", "team-a") == "/registry/pods/team-a/web-1"
    assert nodes.key("node-1") == "/registry/minions/node-1"
    for namespace in (None, ""):
        with pytest.raises(ValueError, match="say which"):
            pods.key("web-1", namespace)
    with pytest.raises(ValueError, match="leave it out"):
        nodes.key("node-1", "team-a")


def test_what_may_be_selected_by_is_the_names_and_the_table():
    pods, nodes = find_resource("v1", "pods"), find_resource("v1", "nodes")
    assert pods.selectable[:3] == ("metadata.name", "metadata.namespace", "spec.nodeName")
    assert nodes.selectable == ("metadata.name", "spec.unschedulable")


@pytest.mark.parametrize(
    ("prefix", "version", "plural"),
    [
        ("/registry/pods/", "v1", "pods"),
        ("/registry/minions/", "v1", "nodes"),
        ("/registry/example.com/widgets/", "example.com/v1", "widgets"),
        ("/registry/gadgets/", "v1", "gadgets"),
    ],
)
def test_a_prefix_is_recognised_and_an_unknown_one_is_a_resource_too(prefix, version, plural):
    info = resource_at(prefix)
    assert isinstance(info, ResourceInfo)
    assert (info.group_version, info.plural, info.prefix) == (version, plural, prefix)


def test_a_prefix_ends_in_a_slash():
    with pytest.raises(ValueError, match="end it with"):
        resource_at("/registry/pods")
