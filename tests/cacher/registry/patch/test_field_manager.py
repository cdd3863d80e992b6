"""Who manages what after creates, updates and applies."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry._errors import ApplyConflict, BadRequest, Cause, PlainServerError
from cacher.registry.patch import FieldManager, FieldSet, fields
from cacher.registry.patch._last_applied import ANNOTATIONS_BYTES_MAX, LAST_APPLIED

CONFIG_MAPS = FieldManager.built_in("v1", "ConfigMap")
DEPLOYMENTS = FieldManager.built_in("apps/v1", "Deployment", reset=FieldSet.of([fields("status")]))
STATUSES = FieldManager.built_in("apps/v1", "Deployment", subresource="status", reset=FieldSet.of([fields("spec")]))
T1, T2, T3 = (f"2026-01-01T00:00:0{at}Z" for at in (1, 2, 3))


def causes(error: ApplyConflict) -> tuple[Cause, ...]:
    assert error.details is not None
    return error.details.causes


def config_map(**data: Any) -> dict[str, Any]:
    out = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    return {**out, "data": data} if data else out


def stored(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "uid": "u"}}


def with_data(obj: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {**obj, "data": data}


def created(by: str = "maker", **data: Any) -> dict[str, Any]:
    return stored(CONFIG_MAPS.update(None, config_map(**data), manager=by, now=T1))


def applied(live: Any, by: str, now: str = T2, *, force: bool = False, **data: Any) -> dict[str, Any]:
    return stored(CONFIG_MAPS.apply(live, config_map(**data), manager=by, now=now, force=force))


def entries(obj: dict[str, Any]) -> dict[str, Any]:
    """manager/operation → the fields, and the time."""
    found = obj["metadata"].get("managedFields", [])
    return {f"{one['manager']}/{one['operation']}": (one["fieldsV1"], one.get("time")) for one in found}


def owned(obj: dict[str, Any], name: str) -> set[str]:
    """The keys of `data` that a manager has, whatever it did."""
    found: set[str] = set()
    for one in obj["metadata"].get("managedFields", []):
        if one["manager"] == name:
            found |= {key[2:] for key in one["fieldsV1"].get("f:data", {}) if key != "."}
    return found


# --- update ---------------------------------------------------------------------------------------------------------


def test_who_creates_has_all_but_what_an_object_is():
    assert entries(created(k="1")) == {"maker/Update": ({"f:data": {".": {}, "f:k": {}}}, T1)}
    assert "managedFields" not in created()["metadata"]


def test_who_changes_a_field_takes_it_and_others_keep_the_rest():
    live = created(k="1", l="1")
    new = CONFIG_MAPS.update(live, with_data(live, k="2", l="1"), manager="other", now=T2)
    assert entries(new) == {
        "maker/Update": ({"f:data": {".": {}, "f:l": {}}}, T1),
        "other/Update": ({"f:data": {"f:k": {}}}, T2),
    }


def test_an_update_of_nothing_changes_no_time():
    live = created(k="1")
    assert CONFIG_MAPS.update(live, live, manager="other", now=T2) == live
    assert CONFIG_MAPS.update(live, live, manager="maker", now=T2) == live


def test_a_removed_field_is_nobodys_and_who_has_nothing_has_no_entry():
    live = created(k="1")
    new = {name: value for name, value in live.items() if name != "data"}
    assert "managedFields" not in CONFIG_MAPS.update(live, new, manager="other", now=T2)["metadata"]


def test_without_entries_nothing_is_recorded_until_somebody_applies():
    live = stored(config_map(k="1"))
    new = CONFIG_MAPS.update(live, with_data(live, k="2"), manager="m", now=T2)
    assert "managedFields" not in new["metadata"]
    found = applied(new, "one", n="1")
    assert entries(found) == {
        "one/Apply": ({"f:data": {"f:n": {}}}, T2),
        "before-first-apply/Update": ({"f:data": {".": {}, "f:k": {}}}, T2),
    }


@pytest.mark.parametrize("given", [[], [{}]])
def test_managed_fields_can_be_forgotten_and_not_otherwise_be_lost(given):
    live = created(k="1")
    forgotten = {**live, "metadata": {**live["metadata"], "managedFields": given}}
    assert "managedFields" not in CONFIG_MAPS.update(live, forgotten, manager="m", now=T2)["metadata"]
    for absent in (None, "garbage", [{"manager": "x"}]):
        odd = {**live, "metadata": {**live["metadata"], "managedFields": absent}}
        assert CONFIG_MAPS.update(live, odd, manager="m", now=T2) == live


def test_managed_fields_that_an_update_brings_count_but_not_through_a_subresource():
    live = stored(DEPLOYMENTS.update(None, deployment(), manager="maker", now=T1))
    entry = {**live["metadata"]["managedFields"][0], "manager": "forged"}
    forged = {**live, "metadata": {**live["metadata"], "managedFields": [entry]}}
    assert [*entries(DEPLOYMENTS.update(live, forged, manager="m", now=T2))] == ["forged/Update"]
    assert [*entries(STATUSES.update(live, forged, manager="m", now=T2))] == ["maker/Update"]


def test_an_object_that_is_not_of_its_type_loses_its_managed_fields():
    live = created(k="1")
    for odd in ({**live, "data": "x"}, {**live, "bogus": 1}):
        assert "managedFields" not in CONFIG_MAPS.update(live, odd, manager="m", now=T2)["metadata"]


def deployment(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "1"}}, **spec},
    }


def test_each_endpoint_has_entries_only_of_what_it_lets_set():
    live = stored(DEPLOYMENTS.update(None, {**deployment(), "status": {"replicas": 1}}, manager="m", now=T1))
    assert entries(live) == {"m/Update": ({"f:spec": {"f:replicas": {}, "f:selector": {}}}, T1)}
    changed = {**live, "spec": {**live["spec"], "replicas": 5}, "status": {"replicas": 2}}
    found = STATUSES.update(live, changed, manager="m", now=T2)["metadata"]["managedFields"]
    assert [(one.get("subresource"), one["fieldsV1"]) for one in found] == [
        (None, {"f:spec": {"f:replicas": {}, "f:selector": {}}}),
        ("status", {"f:status": {"f:replicas": {}}}),
    ]


# --- apply ----------------------------------------------------------------------------------------------------------


def test_an_apply_creates_changes_and_where_nothing_changes_keeps_its_time():
    first = applied(None, "one", T1, k="1")
    assert entries(first) == {"one/Apply": ({"f:data": {"f:k": {}}}, T1)}
    second = applied(first, "one", T2, k="2")
    assert (second["data"], entries(second)["one/Apply"][1]) == ({"k": "2"}, T2)
    assert applied(second, "one", T3, k="2") == second


def test_what_is_no_longer_applied_goes_unless_somebody_else_has_it():
    live = applied(applied(None, "one", k="1", l="1", m="1"), "two", l="1")
    found = applied(live, "one", k="1")
    assert found["data"] == {"k": "1", "l": "1"}
    assert (owned(found, "one"), owned(found, "two")) == ({"k"}, {"l"})


def test_what_was_never_applied_stays():
    live = created(k="1")
    found = applied(applied(live, "one", n="1"), "one")
    assert found["data"] == {"k": "1"}


def test_applying_another_value_is_a_conflict_the_same_value_is_shared():
    live = applied(None, "one", k="1")
    shared = applied(live, "two", k="1")
    assert (owned(shared, "one"), owned(shared, "two")) == ({"k"}, {"k"})
    assert "time" not in next(one for one in shared["metadata"]["managedFields"] if one["manager"] == "two")
    with pytest.raises(ApplyConflict) as caught:
        applied(live, "two", k="2")
    status = caught.value.status()
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.k'
    assert (status["code"], status["reason"]) == (409, "Conflict")
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}
    assert json.loads(json.dumps(status["details"])) == {"causes": [cause]}


def test_several_conflicts_are_listed_by_manager():
    live = applied(created("putter", k="1", l="1"), "one", n="1")
    with pytest.raises(ApplyConflict) as caught:
        applied(live, "two", k="2", l="2", n="2")
    assert caught.value.message == (
        "Apply failed with 3 conflicts: "
        'conflicts with "one":\n- .data.n\nconflicts with "putter" using v1:\n- .data.k\n- .data.l'
    )
    assert [cause.field for cause in causes(caught.value)] == [".data.n", ".data.k", ".data.l"]


def test_a_conflict_names_the_subresource():
    live = stored(DEPLOYMENTS.update(None, deployment(), manager="m", now=T1))
    live = STATUSES.update(live, {**live, "status": {"replicas": 2}}, manager="kubelet", now=T1)
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "status": {"replicas": 3}}
    with pytest.raises(
        ApplyConflict, match=r'conflict with "kubelet" with subresource "status" using apps/v1: \.status\.replicas'
    ):
        STATUSES.apply(live, patch, manager="one", now=T2)


def test_force_takes_fields_away():
    live = applied(None, "one", k="1", l="1")
    found = applied(live, "two", force=True, k="2")
    assert found["data"] == {"k": "2", "l": "1"}
    assert (owned(found, "one"), owned(found, "two")) == ({"l"}, {"k"})


def test_one_name_updates_and_applies_as_two_managers():
    live = created("one", k="1")
    found = applied(live, "one", k="1")
    assert {*entries(found)} == {"one/Apply", "one/Update"}
    with pytest.raises(ApplyConflict, match='conflict with "one" using v1'):
        applied(live, "one", k="2")


@pytest.mark.parametrize(
    ("patch", "error", "text"),
    [
        ({"data": {}}, BadRequest, "invalid object type: /, Kind="),
        ({"apiVersion": "v1", "kind": "Secret"}, BadRequest, "invalid object type: /v1, Kind=Secret"),
        ({"apiVersion": "apps/v1", "kind": "ConfigMap"}, BadRequest, "invalid object type: apps/v1, Kind=ConfigMap"),
        ({**config_map(), "metadata": {"managedFields": []}}, BadRequest, "metadata.managedFields must be nil"),
        (
            {**config_map(), "metadata": {"name": "a", "namespace": "n"}, "bogus": 1},
            PlainServerError,
            "failed to create typed patch object (n/a; /v1, Kind=ConfigMap): .bogus: field not declared in schema",
        ),
        (
            [],
            BadRequest,
            "error decoding YAML: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
    ],
)
def test_an_apply_that_cannot_be_is_answered_as_kubernetes_does(patch, error, text):
    with pytest.raises(error) as caught:
        CONFIG_MAPS.apply(None, patch, manager="one", now=T1)
    assert caught.value.message == text
    assert caught.value.reason == ("" if error is PlainServerError else "BadRequest")


def test_live_managed_fields_that_cannot_be_read_are_our_error():
    live = {**created(k="1")}
    live["metadata"] = {**live["metadata"], "managedFields": [{"manager": "x"}]}
    with pytest.raises(PlainServerError, match="failed to decode managed fields: operation must be"):
        applied(live, "one")


def test_a_kind_that_is_not_in_the_table_needs_a_schema():
    with pytest.raises(LookupError, match=r"FieldManager\.custom"):
        FieldManager.built_in("example.com/v1", "Widget")


# --- versions -------------------------------------------------------------------------------------------------------


def test_managers_of_other_versions_are_kept_and_those_of_versions_that_are_gone_are_not():
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}
    old, new = "example.com/v1", "example.com/v2"
    first = FieldManager.custom(old, "W", {old: schema})
    both = FieldManager.custom(new, "W", {old: schema, new: schema})
    later = FieldManager.custom(new, "W", {new: schema})
    obj = {"apiVersion": old, "kind": "W", "metadata": {"name": "a"}, "spec": {"a": "1"}}
    live = stored({**first.update(None, obj, manager="m", now=T1), "apiVersion": new})
    touched = {**live, "metadata": {**live["metadata"], "labels": {"x": "1"}}}
    assert [
        one["apiVersion"] for one in both.update(live, touched, manager="m", now=T2)["metadata"]["managedFields"]
    ] == [old, new]
    assert [
        one["apiVersion"] for one in later.update(live, touched, manager="m", now=T2)["metadata"]["managedFields"]
    ] == [new]
    patch = {"apiVersion": new, "kind": "W", "metadata": {"name": "a"}, "spec": {"a": "2"}}
    with pytest.raises(ApplyConflict, match=f'conflict with "m" using {old}: .spec.a'):
        both.apply(live, patch, manager="one", now=T2)
    applied_old = stored({**first.apply(None, obj, manager="one", now=T1), "apiVersion": new})
    gone = {name: value for name, value in patch.items() if name != "spec"}
    assert both.apply(applied_old, gone, manager="one", now=T2).get("spec") in (None, {})


# --- kubectl, which had applied from its own side ----------------------------------------------------------------


def annotated(text: str, **data: Any) -> dict[str, Any]:
    obj = config_map(**data)
    obj["metadata"]["annotations"] = {LAST_APPLIED: text}
    return stored(CONFIG_MAPS.update(None, obj, manager="kubectl-client-side-apply", now=T1))


def test_kubectl_takes_over_what_it_had_applied_from_its_side_and_keeps_the_annotation_current():
    live = annotated(json.dumps(config_map(k="1")), k="1", l="1")
    found = applied(live, "kubectl", k="<2>")
    assert found["data"] == {"k": "<2>", "l": "1"}
    text = found["metadata"]["annotations"][LAST_APPLIED]
    assert text == '{"apiVersion":"v1","data":{"k":"\\u003c2\\u003e"},"kind":"ConfigMap","metadata":{"name":"a"}}\n'


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", json.dumps({**config_map(k="1"), "apiVersion": "v2"}), json.dumps({**config_map(), "bogus": 1})],
)
def test_an_annotation_that_cannot_be_read_allows_nothing(text):
    with pytest.raises(ApplyConflict):
        applied(annotated(text, k="1"), "kubectl", k="2")


def test_what_had_been_changed_since_stays_a_conflict_and_other_managers_have_no_such_right():
    live = annotated(json.dumps(config_map(k="1", l="1")), k="1", l="changed")
    with pytest.raises(ApplyConflict) as caught:
        applied(live, "kubectl", k="2", l="2")
    assert [cause.field for cause in causes(caught.value)] == [".data.l"]
    with pytest.raises(ApplyConflict):
        applied(live, "other", k="2")


def test_an_annotation_that_grows_too_long_is_left_out():
    live = annotated(json.dumps(config_map(k="1")), k="1")
    found = applied(live, "kubectl", k="x" * ANNOTATIONS_BYTES_MAX)
    assert LAST_APPLIED not in found["metadata"].get("annotations", {})


# --- properties -----------------------------------------------------------------------------------------------------

data = st.dictionaries(st.sampled_from("klm"), st.sampled_from("12"), max_size=3)
steps = st.lists(
    st.tuples(st.sampled_from(["apply", "force", "update"]), st.sampled_from(["one", "two"]), data),
    min_size=1,
    max_size=8,
)


def step(live: Any, how: str, who: str, values: dict[str, str], at: int) -> Any:
    now = f"2026-01-01T00:00:{at:02}Z"
    if how == "update":
        base = config_map() if live is None else {name: value for name, value in live.items() if name != "data"}
        return stored(CONFIG_MAPS.update(live, {**base, "data": values} if values else base, manager=who, now=now))
    return applied(live, who, now, force=how == "force", **values)


@given(steps)
def test_an_apply_never_touches_what_others_have_unless_it_is_forced(history):
    """What was applied is there; what others own is as it was; nothing that went in was changed."""
    live: Any = None
    for at, (how, who, values) in enumerate(history):
        before = copy.deepcopy(live)
        try:
            found = step(live, how, who, values, at)
        except ApplyConflict as error:
            assert how == "apply"
            fields_in_conflict = {cause.field.rpartition(".")[2] for cause in causes(error)}
            assert all(values[key] != (live.get("data") or {}).get(key) for key in fields_in_conflict)
            assert live == before
            continue
        assert live == before
        now = found.get("data") or {}
        if how != "update":
            assert {key: now.get(key) for key in values} == values
            if how == "apply" and live is not None:
                for other in ("one", "two"):
                    if other != who:
                        kept = owned(live, other)
                        assert owned(found, other) == kept
                        assert all(now.get(key) == live["data"][key] for key in kept)
            assert step(found, how, who, values, at + 1) == found, "twice is once"
        every = owned(found, "one") | owned(found, "two") | owned(found, "before-first-apply")
        assert every <= {*now}, "an owner of what is not there"
        live = found


@given(steps)
def test_an_update_owns_exactly_what_it_changed_beside_what_it_had(history):
    live: Any = None
    for at, (how, who, values) in enumerate(history):
        try:
            found = step(live, how, who, values, at)
        except ApplyConflict:
            continue
        if how == "update" and (live is None or live["metadata"].get("managedFields")):
            old, new = (live or {}).get("data") or {}, found.get("data") or {}
            changed = {key for key in new if old.get(key) != new[key]}
            assert changed <= owned(found, who)
            other = "two" if who == "one" else "one"
            assert not owned(found, other) & changed
        live = found
