"""Types: the table of kinds, the schemas of custom resources, equality, and objects as a typed server writes them."""

from __future__ import annotations

from typing import Any

import pytest

from cacher.registry.patch import canonical, custom_type, kind_type
from cacher.registry.patch._check import check
from cacher.registry.patch._kinds import _table
from cacher.registry.patch._types import DEDUCED, UNDIVIDED, ListRule, MapType, differing, is_same


def at(type_: Any, *path: str) -> Any:
    """The type below; "*" is the element of a list."""
    for name in path:
        type_ = type_.list.element if name == "*" else type_.map.type_of(name)
    return type_


KINDS = [
    ("v1", "ConfigMap Endpoints Event Namespace Node PersistentVolume PersistentVolumeClaim Pod Secret Service ServiceAccount"),
    ("apps/v1", "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet"),
    ("batch/v1", "CronJob Job"),
    ("autoscaling/v1", "Scale"),
    ("coordination.k8s.io/v1", "Lease"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
]  # fmt: skip


@pytest.mark.parametrize(("version", "kind"), [(version, kind) for version, kinds in KINDS for kind in kinds.split()])
def test_each_kind_that_is_served_is_in_the_table_with_metadata(version, kind):
    found = kind_type(version, kind)
    assert at(found, "metadata", "ownerReferences").list.keys == ("uid",)
    assert kind_type("v9", kind) is None


def test_every_line_of_the_table_can_be_read_and_leads_only_to_lines_that_are_there():
    table = _table()
    for name in table._lines:
        found = table.named(name)
        assert found.map is not None
        for field in found.map.fields.values():
            assert field.type.scalar or field.type.list or field.type.map, name


def test_an_object_of_no_known_fields_is_kept_where_it_is_set():
    definition = kind_type("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}
    obj = {
        "metadata": {},
        "spec": {"versions": [version], "group": "g", "scope": "Cluster", "names": {"kind": "K", "plural": "k"}},
    }
    assert canonical(definition, obj)["spec"]["versions"] == [version]
    subresources = at(definition, "spec", "versions", "*", "subresources")
    check(subresources, {"status": {"whatever": 1}})


@pytest.mark.parametrize(
    ("path", "rule", "keys"),
    [
        ("spec containers", ListRule.KEYED, ("name",)),
        ("spec containers * env", ListRule.KEYED, ("name",)),
        ("spec containers * ports", ListRule.KEYED, ("containerPort", "protocol")),
        ("spec containers * volumeMounts", ListRule.KEYED, ("mountPath",)),
        ("spec containers * args", ListRule.ATOMIC, ()),
        ("spec volumes", ListRule.KEYED, ("name",)),
        ("spec imagePullSecrets", ListRule.KEYED, ("name",)),
        ("spec tolerations", ListRule.ATOMIC, ()),
        ("spec topologySpreadConstraints", ListRule.KEYED, ("topologyKey", "whenUnsatisfiable")),
        ("metadata finalizers", ListRule.SET, ()),
        ("status conditions", ListRule.KEYED, ("type",)),
    ],
)
def test_the_lists_of_a_pod_merge_as_kubernetes_documents_them(path, rule, keys):
    found = at(kind_type("v1", "Pod"), *path.split()).list
    assert (found.rule, found.keys) == (rule, keys)


def test_selectors_are_one_value_and_labels_are_not():
    deployment = kind_type("apps/v1", "Deployment")
    assert at(deployment, "spec", "selector").map.is_atomic
    assert at(kind_type("v1", "Service"), "spec", "selector").map.is_atomic
    assert not at(deployment, "metadata", "labels").map.is_atomic


def test_strategic_merges_have_their_own_keys():
    """Ports are told apart by number and protocol when applied, and by number alone in a strategic merge."""
    container = at(kind_type("v1", "Pod"), "spec", "containers", "*").map
    assert (container.fields["ports"].patch_merges, container.fields["ports"].patch_key) == (True, "containerPort")
    assert at(kind_type("v1", "Pod"), "spec").map.fields["volumes"].patch_retains
    assert not at(kind_type("v1", "Pod"), "spec").map.fields["tolerations"].patch_merges


def test_a_type_may_contain_itself():
    schema = at(
        kind_type("apiextensions.k8s.io/v1", "CustomResourceDefinition"), "spec", "versions", "*", "schema", "openAPIV3Schema"
    )  # fmt: skip
    assert at(schema, "not") is schema


# --- as a typed server writes it ------------------------------------------------------------------------------------


def test_what_is_always_written_comes_and_what_is_empty_goes():
    deployment = kind_type("apps/v1", "Deployment")
    found = canonical(deployment, {"metadata": {"labels": {}, "name": None}, "spec": {"replicas": 0, "paused": False}})
    assert found == {
        "metadata": {},
        "spec": {"replicas": 0, "strategy": {}, "template": {"metadata": {}, "spec": {}}},
        "status": {},
    }


def test_empty_lists_go_and_pointers_to_zero_stay():
    pod = kind_type("v1", "Pod")
    container = {"name": "c", "args": [], "stdin": False, "securityContext": {"privileged": False}}
    found = canonical(pod, {"spec": {"containers": [container], "volumes": []}})
    assert found["spec"]["containers"] == [{"name": "c", "resources": {}, "securityContext": {"privileged": False}}]
    assert "volumes" not in found["spec"]


def test_nulls_stand_for_what_is_there_and_empty():
    found = canonical(kind_type("apps/v1", "Deployment"), {}, nulls=True)
    assert found["spec"]["selector"] is None
    assert found["spec"]["template"]["spec"] == {"containers": None}


def test_canonical_is_idempotent_and_leaves_unknown_fields_and_free_values_alone():
    revision = kind_type("apps/v1", "ControllerRevision")
    obj = {"metadata": {"name": "a"}, "data": {"x": None, "y": []}, "revision": 0, "odd": [None]}
    once = canonical(revision, obj)
    assert once == obj
    assert canonical(revision, once) == once


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ({"a": [1]}, {"a": [True]}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        (None, False, False),
        ({}, [], False),
        ({"a": None}, {}, False),
    ],
)
def test_json_values_are_equal_as_json_has_it(left, right, same):
    assert is_same(left, right) is same
    assert is_same(right, left) is same


@pytest.mark.parametrize(
    ("old", "new", "left", "right"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 2}, {"b": 3}),
        ({"a": 1}, {"a": True}, {"a": 1}, {"a": True}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"y": 1}}, {"a": {"y": 2}}),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 2]}, {"a": [1, 3]}),
        ({"a": {}}, {"a": {}}, {}, {}),
        (1, {}, 1, {}),
    ],
)
def test_what_differs_is_left_and_no_map_looks_empty_that_is_not(old, new, left, right):
    assert differing(old, new) == (left, right)


# --- custom resources -----------------------------------------------------------------------------------------------


def test_without_a_schema_everything_is_deduced():
    assert custom_type(None) is DEDUCED
    deduced: Any = custom_type(None)
    assert deduced.list.element is UNDIVIDED
    assert not deduced.map.is_atomic


def spec_type(schema: dict[str, Any], *, preserve: bool = False) -> Any:
    return at(custom_type({"type": "object", "properties": {"spec": schema}}, preserve=preserve), "spec")


def test_lists_and_maps_follow_the_schema():
    item = {"type": "object", "properties": {"name": {"type": "string"}, "proto": {"type": "string", "default": "TCP"}}}
    keyed = spec_type(
        {
            "type": "array",
            "items": item,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "proto"],
        }
    ).list
    assert (keyed.rule, keyed.keys) == (ListRule.KEYED, ("name", "proto"))
    assert keyed.element.map.fields["proto"].default == "TCP"
    assert (
        spec_type({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}).list.rule
        is ListRule.SET
    )
    assert spec_type({"type": "array", "items": {"type": "string"}}).list.rule is ListRule.ATOMIC
    assert spec_type({"type": "object", "x-kubernetes-map-type": "atomic"}).map.is_atomic


@pytest.mark.parametrize(
    ("schema", "scalar"),
    [
        ({"type": "integer"}, "numeric"),
        ({"type": "number"}, "numeric"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "byte"}, "string"),
        ({"type": "string", "format": "date-time"}, "untyped"),
        ({"x-kubernetes-int-or-string": True}, "untyped"),
    ],
)
def test_scalars_follow_the_schema(schema, scalar):
    assert spec_type(schema).scalar == scalar


def test_unknown_fields_are_free_only_where_the_schema_says_so():
    closed = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}}
    assert spec_type(closed).map.element is None
    assert spec_type({**closed, "x-kubernetes-preserve-unknown-fields": True}).map.element is DEDUCED
    assert at(spec_type({**closed, "x-kubernetes-preserve-unknown-fields": True}), "a").map.element is DEDUCED
    assert spec_type(closed, preserve=True).map.element is DEDUCED
    assert spec_type({"type": "object"}).map.element is DEDUCED
    assert spec_type({"type": "object", "additionalProperties": {"type": "string"}}).map.element.scalar == "string"
    assert spec_type({"type": "object", "additionalProperties": True}).map.element is DEDUCED
    assert spec_type({"type": "object", "properties": {}, "additionalProperties": False}).map.element is None


def test_a_custom_resource_has_the_metadata_of_all_objects_and_embedded_ones_have_it_too():
    assert at(custom_type({"type": "object"}), "metadata", "finalizers").list.rule is ListRule.SET
    embedded = spec_type({"type": "object", "x-kubernetes-embedded-resource": True, "properties": {}})
    assert at(embedded, "metadata", "labels").map is not None
    assert MapType().type_of("x") is None
