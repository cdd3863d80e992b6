"""A definition from its creation to its removal, and what its versions make of objects."""

from __future__ import annotations

import copy

import pytest

from cacher.registry._field_errors import invalid
from cacher.registry.schema import (
    BadDefinition,
    BadMetadata,
    Definition,
    definition_errors,
    is_established,
    prepared_for_create,
    prepared_for_update,
    shape_problem,
    with_defaults,
    with_deletion_in_progress,
    with_deletion_pending,
    with_established,
    with_names_decided,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "color": {"type": "string", "enum": ["red", "blue"]},
                "size": {"type": "integer", "default": 1},
                "on": {"type": "boolean"},
            },
            "x-kubernetes-validations": [{"rule": "self.size < 10"}],
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer", "maximum": 5}}},
    },
}


def crd(**version):
    raw = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}, **version}
    names = {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [raw]}
    return prepared_for_create(with_defaults({"metadata": {"name": "widgets.example.com"}, "spec": spec}))


def version(**raw):
    return Definition.from_crd(crd(**raw)).versions["v1"]


def widget(**fields):
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, **fields}


# --- the definition itself


def conditions(definition):
    return [
        (one["type"], one["status"], one["reason"], one["message"], one["lastTransitionTime"])
        for one in definition["status"]["conditions"] or []
    ]


ACCEPTED = ("NamesAccepted", "True", "NoConflicts", "no conflicts found", "t1")


def test_the_conditions_are_those_that_a_recorded_definition_went_through():
    new = crd()
    assert new["status"] == {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": ["v1"]}
    named = with_names_decided(new, [], now="t1")
    initial = "the initial names have been accepted"
    assert conditions(named) == [ACCEPTED, ("Established", "False", "Installing", initial, "t1")]
    assert list(named["status"]["acceptedNames"]) == ["plural", "singular", "shortNames", "kind", "listKind"]
    assert not is_established(named)
    served = with_established(named, now="t2")
    established = ("Established", "True", "InitialNamesAccepted", initial, "t2")
    assert conditions(served) == [ACCEPTED, established]
    assert is_established(served)
    pending = with_deletion_pending(served, now="t3")
    soon = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    assert conditions(pending)[2:] == [("Terminating", "True", "InstanceDeletionPending", soon, "t3")]
    going = with_deletion_in_progress(pending, now="t4")
    text = "CustomResource deletion is in progress"
    assert conditions(going)[2:] == [("Terminating", "True", "InstanceDeletionInProgress", text, "t3")]
    assert with_names_decided(served, [], now="t5") is served
    assert with_established(served, now="t5") is served


def test_a_name_that_another_definition_of_the_group_has_is_not_accepted():
    other = with_names_decided(crd(), [], now="t0")
    mine = crd()
    mine["spec"]["names"] = {**mine["spec"]["names"], "plural": "wd", "shortNames": ["x", "widgets"], "kind": "Other"}
    named = with_names_decided(mine, [other], now="t1")
    assert conditions(named) == [
        ("NamesAccepted", "False", "ListKindConflict", '"WidgetList" is already in use', "t1"),
        ("Established", "False", "NotAccepted", "not all names are accepted", "t1"),
    ]
    assert named["status"]["acceptedNames"] == {"plural": "", "kind": "Other"}
    assert with_established(named, now="t2") is named
    freed = with_names_decided(named, [], now="t3")
    assert conditions(freed)[0] == ("NamesAccepted", "True", "NoConflicts", "no conflicts found", "t3")


def test_an_update_of_the_spec_is_a_new_generation_and_a_storage_version_is_remembered():
    old = with_established(with_names_decided(crd(), [], now="t1"), now="t1")
    new = copy.deepcopy(old)
    new["spec"]["versions"][0] = {**new["spec"]["versions"][0], "storage": False}
    new["spec"]["versions"].append({**old["spec"]["versions"][0], "name": "v2"})
    made = prepared_for_update({**new, "status": {}}, old)
    assert made["metadata"]["generation"] == 2
    assert made["status"]["storedVersions"] == ["v1", "v2"]
    assert made["status"]["conditions"] == old["status"]["conditions"]
    assert definition_errors(made, old) == []
    assert prepared_for_update(old, old)["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda spec: spec.update(scope="Cluster"), "spec.scope"),
        (lambda spec: spec["names"].update(kind="Other", singular="other"), "spec.names.kind"),
        (lambda spec: spec.update(group="other.com"), "spec.group"),
        (lambda spec: spec["names"].update(plural="others"), "spec.names.plural"),
    ],
)
def test_what_objects_are_stored_under_never_changes(change, field):
    old = with_established(with_names_decided(crd(), [], now="t1"), now="t1")
    new = copy.deepcopy(old)
    change(new["spec"])
    found = [(error.field, error.detail) for error in definition_errors(new, old)]
    assert found == [(field, "field is immutable")]


def test_scope_and_kind_may_change_until_objects_can_be_there():
    old = crd()
    new = copy.deepcopy(old)
    new["spec"]["scope"] = "Cluster"
    assert definition_errors(new, old) == []


def test_a_version_that_may_still_have_objects_is_not_taken_away():
    old = crd()
    new = copy.deepcopy(old)
    new["spec"]["versions"][0]["name"] = "v2"
    new["status"]["storedVersions"] = ["v1", "v2"]
    [error] = definition_errors(new, old)
    assert error.field == "status.storedVersions[0]"
    assert error.detail.startswith("missing from spec.versions; v1 was previously a storage version")


def test_a_conversion_by_webhook_is_refused_clearly():
    definition = crd()
    definition["spec"]["conversion"] = {"strategy": "Webhook", "webhook": {}}
    [error] = definition_errors(definition)
    assert str(error) == "spec.conversion.strategy: Forbidden: conversion by webhook is not carried out here; use None"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda c: c["spec"].update(group=1), "number into Go struct field CustomResourceDefinition.spec.group"),
        (lambda c: c["spec"].update(versions={}), "object into Go struct field CustomResourceDefinition.spec.versions"),
        (lambda c: c["spec"]["versions"][0].update(schema={"openAPIV3Schema": {"type": []}}), "array into Go struct"),
        (
            lambda c: c["spec"]["versions"][0].update(schema={"openAPIV3Schema": {"maxLength": 1.5}}),
            "openAPIV3Schema.maxLength of type int64",
        ),
    ],
)
def test_a_definition_of_wrong_json_types_is_said_to_be_that(spoil, problem):
    definition = copy.deepcopy(crd())
    assert shape_problem(definition) is None
    spoil(definition)
    assert problem in (shape_problem(definition) or "")
    with pytest.raises(BadDefinition, match="cannot unmarshal"):
        Definition.from_crd(definition)


def test_a_schema_is_nested_a_hundred_deep_at_most():
    def nested(depth):
        schema: dict[str, object] = {"type": "string"}
        for _ in range(depth):
            schema = {"type": "array", "items": schema}
        return crd(schema={"openAPIV3Schema": {"type": "object", "properties": {"a": schema}}})

    assert shape_problem(nested(99)) is None
    assert "nested 100 deep" in (shape_problem(nested(100)) or "")


# --- its objects


def test_an_object_is_admitted_with_defaults_and_without_what_is_unknown():
    obj, unknown = version().admit(
        {**widget(spec={"color": None, "no": 1}, odd={}), "metadata": {"name": "a", "bogus": 1, "labels": None}}
    )
    assert obj == widget(spec={"size": 1})
    assert unknown == ("metadata.bogus", "odd", "spec.no")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"labels": {"l": 1}}, "number into Go struct field ObjectMeta.labels of type string"),
        ({"labels": []}, "array into Go struct field ObjectMeta.labels of type map[string]string"),
        ({"name": 1}, "number into Go struct field ObjectMeta.name of type string"),
        ({"finalizers": "a"}, "string into Go struct field ObjectMeta.finalizers of type []string"),
        ({"generation": 1.5}, "number into Go struct field ObjectMeta.generation of type int64"),
        (
            {"ownerReferences": [{"controller": "x"}]},
            "string into Go struct field ObjectMeta.ownerReferences.controller",
        ),
        ([], "array into Go value of type v1.ObjectMeta"),
    ],
)
def test_metadata_of_wrong_types_are_a_bad_request(metadata, problem):
    with pytest.raises(BadMetadata) as caught:
        version().admit({**widget(), "metadata": metadata})
    assert problem in str(caught.value)


def test_without_the_subresource_a_status_is_a_field_like_others():
    plain = version()
    made = plain.prepared_for_create(widget(status={"replicas": 1}))
    assert made["status"] == {"replicas": 1}
    changed = plain.prepared_for_update({**made, "status": {"replicas": 2}}, made)
    assert (changed["status"], changed["metadata"]["generation"]) == ({"replicas": 2}, 2)


def test_with_the_subresource_a_status_is_written_by_it_alone():
    split = version(subresources={"status": {}})
    made = split.prepared_for_create(widget(status={"replicas": 1}))
    assert "status" not in made
    stored = {**made, "status": {"replicas": 2}}
    changed = split.prepared_for_update({**made, "spec": {"size": 2}, "status": {"replicas": 9}}, stored)
    assert (changed["status"], changed["metadata"]["generation"]) == ({"replicas": 2}, 2)
    labelled = split.prepared_for_update({**stored, "metadata": {**stored["metadata"], "labels": {"l": "1"}}}, stored)
    assert labelled["metadata"]["generation"] == 1
    given = {**stored, "spec": {"size": 9}, "status": {"replicas": 3}, "metadata": {"name": "a", "labels": {"x": "y"}}}
    status = split.prepared_for_status_update(given, stored)
    assert status == {**stored, "status": {"replicas": 3}}
    assert split.prepared_for_status_update({**given, "metadata": {"resourceVersion": "7"}}, stored)["metadata"] == {
        **stored["metadata"],
        "resourceVersion": "7",
    }


def test_an_update_of_the_status_is_judged_by_the_status_schema():
    split = version(subresources={"status": {}})
    old = widget(spec={"size": 1, "color": "green"})
    assert split.validate_status({**old, "status": {"replicas": 5}}, old) == []
    found = split.validate_status({**old, "status": {"replicas": 6}}, old)
    text = "Invalid value: 6: replicas in body should be less than or equal to 5"
    assert [(error.field, error.message) for error in found] == [("status.replicas", text)]


def test_rules_are_not_asked_of_an_object_that_is_not_what_they_were_written_for():
    found = version().validate(widget(spec={"size": 11, "color": "green"}))
    assert [(error.field, error.type.name) for error in found] == [
        ("spec.color", "NOT_SUPPORTED"),
        ("<nil>", "INVALID"),
    ]
    assert found[1].detail.startswith("some validation rules were not checked because the object was invalid")
    [error] = version().validate(widget(spec={"size": 11}))
    assert str(error) == "spec: Invalid value: failed rule: self.size < 10"


def test_another_kind_is_refused_before_anything_else():
    found = version().validate({"kind": "Gadget", "apiVersion": "example.com/v2", "spec": []})
    assert list(map(str, found)) == [
        'kind: Invalid value: "Gadget": must be Widget',
        'apiVersion: Invalid value: "example.com/v2": must be example.com/v1',
    ]


def test_what_can_be_selected_by_is_text():
    fields = [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}, {"jsonPath": ".spec.on"}]
    made = version(selectableFields=fields)
    assert made.selectable_fields == ("spec.color", "spec.size", "spec.on")
    assert made.selectable(widget(spec={"size": 3, "on": True})) == {
        "spec.color": "",
        "spec.size": "3",
        "spec.on": "true",
    }


def test_a_definition_knows_its_names_and_versions():
    raw = crd(deprecated=True)
    raw["spec"]["versions"].append({**raw["spec"]["versions"][0], "name": "v2", "served": False, "storage": False})
    definition = Definition.from_crd(raw)
    assert (definition.name, definition.group, definition.is_namespaced) == ("widgets.example.com", "example.com", True)
    assert definition.names.list_kind == "WidgetList"
    assert definition.names.short_names == ("wd",)
    assert (definition.served, definition.storage_version.name) == (("v1",), "v1")
    assert definition.versions["v1"].deprecation_warning == "example.com/v1 Widget is deprecated"
    assert definition.converted(widget(), "v2")["apiVersion"] == "example.com/v2"


def test_an_object_within_an_object_has_metadata_of_its_own():
    template = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"t": template}}}}
    made = version(schema={"openAPIV3Schema": schema})
    given = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b", "odd": 1}, "spec": {"x": 1}}
    obj, unknown = made.admit(widget(spec={"t": given}))
    assert (obj["spec"]["t"]["metadata"], unknown) == ({"name": "a/b"}, ("spec.t.metadata.odd",))
    assert list(map(str, made.validate(obj))) == ["spec.t.metadata.name: Invalid value: \"a/b\": may not contain '/'"]
    [missing] = made.validate(widget(spec={"t": {"apiVersion": "v1"}}))
    assert str(missing) == "spec.t.kind: Required value"

    def check(metadata, path):
        return [invalid(path, metadata["name"], "seen")]

    assert str(made.validate(obj, check_metadata=check)[1]) == 'spec.t.metadata: Invalid value: "a/b": seen'


def test_what_is_not_structural_is_said_in_the_order_of_the_texts():
    schema = {"type": "object", "properties": {"x": {}}, "anyOf": [{"type": "string"}]}
    fields = [
        error.field.removeprefix("spec.validation.openAPIV3Schema.")
        for error in definition_errors(crd(schema={"openAPIV3Schema": schema}))
    ]
    assert fields == ["anyOf[0].type", "properties[x].type"]
