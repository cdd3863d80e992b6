"""The metadata's checks: what is found, in which field, in which words, in which order."""

from __future__ import annotations

import pytest

from cacher.registry._meta import parse_time, seconds_later, with_metadata
from cacher.registry._names import name_is_subdomain
from cacher.registry._validation_meta import (
    validate_core_meta,
    validate_core_meta_update,
    validate_managed_fields,
    validate_meta,
    validate_meta_update,
    validate_owner_references,
)

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "1"}


def found(meta, *, namespaced=True):
    errors = validate_core_meta({"metadata": meta}, namespaced=namespaced, name_check=name_is_subdomain)
    return [str(error) for error in errors]


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"name": "a", "namespace": "b"}, []),
        ({"namespace": "b"}, ["metadata.name: Required value: name or generateName is required"]),
        ({"name": "a"}, ["metadata.namespace: Required value"]),
        (
            {"name": "a", "namespace": "b", "generation": -1},
            ["metadata.generation: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            {"name": "a", "namespace": "b", "annotations": {"k": "x" * 262144}},
            ["metadata.annotations: Too long: may not be more than 262144 bytes"],
        ),
        ({"name": "a", "namespace": "b", "annotations": {"k": "x" * 262143}}, []),
        ({"name": "a", "namespace": "b", "annotations": {"UPPER": "x"}}, []),
        (
            {"name": "a", "namespace": "b", "finalizers": ["orphan", "foregroundDeletion"]},
            [
                'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: '
                "finalizer orphan and foregroundDeletion cannot be both set"
            ],
        ),
        (
            {"name": "a", "namespace": "b", "finalizers": ["kubernetes", "bad"]},
            [
                'metadata.finalizers[1]: Invalid value: "bad": '
                "name is neither a standard finalizer name nor is it fully qualified"
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_new_object(meta, says):
    assert found(meta) == says


def test_what_lives_in_no_namespace_names_none():
    assert found({"name": "a"}, namespaced=False) == []
    assert found({"name": "a", "namespace": "b"}, namespaced=False) == [
        "metadata.namespace: Forbidden: not allowed on this type"
    ]


def test_a_custom_resource_may_have_any_qualified_finalizer():
    obj = {"metadata": {"name": "a", "namespace": "b", "finalizers": ["bad"]}}
    assert validate_meta(obj, namespaced=True, name_check=name_is_subdomain) == []


def test_owners_are_whole_and_one_at_most_controls():
    assert validate_owner_references([OWNER, {**OWNER, "name": "b", "controller": True}], "o") == []
    missing = validate_owner_references([{"apiVersion": ""}], "o")
    assert [str(error) for error in missing] == [
        'o.apiVersion: Invalid value: "": version must not be empty',
        'o.kind: Invalid value: "": kind must not be empty',
        'o.name: Invalid value: "": name must not be empty',
        'o.uid: Invalid value: "": uid must not be empty',
    ]
    two = [{**OWNER, "controller": True}, {**OWNER, "name": "b", "controller": True}]
    (error,) = validate_owner_references(two, "o")
    assert error.detail.endswith('Found "true" in references for a and b')
    (error,) = validate_owner_references([{**OWNER, "apiVersion": "v1", "kind": "Event"}], "o")
    assert error.detail == "/v1, Kind=Event is disallowed from being an owner"


def test_managed_fields_have_their_shape():
    good = {"manager": "m", "operation": "Apply", "fieldsType": "FieldsV1"}
    assert validate_managed_fields([good], "m") == []
    bad = [
        {**good, "operation": "Guess"},
        {**good, "fieldsType": "V2"},
        {**good, "manager": "x" * 129},
        {**good, "manager": "a\nb"},
        {**good, "subresource": "x" * 257},
    ]
    assert [str(error) for error in validate_managed_fields(bad, "m")] == [
        'm[0].operation: Invalid value: "Guess": must be `Apply` or `Update`',
        'm[1].fieldsType: Invalid value: "V2": must be `FieldsV1`',
        "m[2].manager: Too long: may not be more than 128 bytes",
        'm[3].manager: Invalid value: "a\\nb": invalid character U+000A (at position 1)',
        "m[4].subresource: Too long: may not be more than 256 bytes",
    ]


OLD = {"metadata": {"name": "a", "namespace": "b", "uid": "1", "resourceVersion": "5", "generation": 3}}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"resourceVersion": ""}, ["metadata.resourceVersion"]),
        ({"generation": 2}, ["metadata.generation"]),
        ({"generation": 4}, []),
        ({"uid": "2"}, ["metadata.uid"]),
        ({"namespace": "c"}, ["metadata.namespace"]),
        ({"creationTimestamp": "2001-01-01T00:00:00Z"}, ["metadata.creationTimestamp"]),
        ({"deletionGracePeriodSeconds": 0}, ["metadata.deletionGracePeriodSeconds"]),
        ({"labels": {"a b": "1"}}, ["metadata.labels"]),
    ],
)
def test_what_is_wrong_with_an_update(changes, fields):
    new = with_metadata(OLD, changes)
    assert [error.field for error in validate_meta_update(new, OLD)] == fields


def test_a_finalizer_of_a_living_object_may_be_new_and_of_a_terminating_one_not():
    new = with_metadata(OLD, {"finalizers": ["example.com/a"]})
    assert validate_core_meta_update(new, OLD) == []
    dying = with_metadata(OLD, {"deletionTimestamp": "2001-01-01T00:00:00Z"})
    (error,) = validate_core_meta_update(with_metadata(dying, {"finalizers": ["example.com/a"]}), dying)
    assert error.detail.endswith('found new finalizers []string{"example.com/a"}')


def test_times_are_read_and_moved_in_utc():
    assert seconds_later("2023-11-14T23:13:20+01:00", -20) == "2023-11-14T22:13:00Z"
    assert seconds_later("2023-12-31T23:59:59Z", 1) == "2024-01-01T00:00:00Z"
    with pytest.raises(ValueError, match="is not a time such as"):
        parse_time("yesterday")
