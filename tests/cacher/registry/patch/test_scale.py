"""spec.replicas, managed through an object and through its scale."""

from __future__ import annotations

from typing import Any

from cacher.registry.patch import FieldManager, fields, from_scale, to_scale

VERSION = "apps/v1"
REPLICAS = {VERSION: fields("spec", "replicas")}
T1, T2 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"


def entry(
    manager: str, fields_v1: Any, *, operation: str = "Update", time: str | None = T1, **more: str
) -> dict[str, Any]:
    out: dict[str, Any] = {"manager": manager, "operation": operation, "apiVersion": more.pop("version", VERSION)}
    if time is not None:
        out["time"] = time
    return {**out, "fieldsType": "FieldsV1", "fieldsV1": fields_v1, **more}


OWNER = entry("maker", {"f:spec": {"f:paused": {}, "f:replicas": {}}})
OTHER = entry("other", {"f:spec": {"f:strategy": {}}})


def scaled(
    entries: list[dict[str, Any]], replicas: int, by: str, *, how: str = "update", force: bool = False
) -> list[dict[str, Any]]:
    """The object's managedFields after its scale was written."""
    scale = FieldManager.built_in("autoscaling/v1", "Scale", subresource="scale")
    live = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "a", "uid": "u", "managedFields": to_scale(entries, REPLICAS)},
        "spec": {"replicas": 1},
    }
    if how == "update":
        new = scale.update(live, {**live, "spec": {"replicas": replicas}}, manager=by, now=T2)
    else:
        patch = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "a"},
            "spec": {"replicas": replicas},
        }
        new = scale.apply(live, patch, manager=by, now=T2, force=force)
    return from_scale(entries, new["metadata"].get("managedFields"), REPLICAS, api_version=VERSION)


def test_the_scale_shows_who_manages_the_replicas():
    assert to_scale([OTHER, OWNER], REPLICAS) == [
        entry("maker", {"f:spec": {"f:replicas": {}}}, version="autoscaling/v1")
    ]
    assert to_scale([OWNER], {VERSION: None}) == []
    assert to_scale([OWNER], {"apps/v2": fields("spec", "replicas")}) == []


def test_who_scales_takes_the_replicas_from_who_had_them():
    """As recorded: the new entry bears no time."""
    assert scaled([OTHER, OWNER], 3, "kubectl") == [
        entry("kubectl", {"f:spec": {"f:replicas": {}}}, time=None, subresource="scale"),
        entry("maker", {"f:spec": {"f:paused": {}}}),
        OTHER,
    ]


def test_who_scales_again_keeps_the_entry():
    once = scaled([OWNER], 3, "kubectl")
    assert scaled(once, 4, "kubectl") == once


def test_a_write_of_the_same_number_gives_who_had_it_a_second_entry_for_it():
    """As recorded (deployment web-2 of the rollout): who updates the object is not found again among those of its scale."""
    split = scaled([OWNER, OTHER], 1, "kubectl")
    assert split == [
        entry("maker", {"f:spec": {"f:replicas": {}}}, time=None),
        entry("maker", {"f:spec": {"f:paused": {}}}),
        OTHER,
    ]
    again = scaled(split, 1, "kubectl")
    assert again == split[1:], "of two entries of one updater the later one is read"


def test_who_had_only_the_replicas_has_no_entry_any_more():
    only = entry("maker", {"f:spec": {"f:replicas": {}}})
    assert [one["manager"] for one in scaled([only], 3, "kubectl")] == ["kubectl"]


def test_an_apply_through_the_scale_shares_or_takes():
    shared = scaled([OWNER], 1, "one", how="apply")
    assert [(one["manager"], one["operation"], one["fieldsV1"]) for one in shared] == [
        ("one", "Apply", {"f:spec": {"f:replicas": {}}}),
        ("maker", "Update", {"f:spec": {"f:replicas": {}}}),
        ("maker", "Update", {"f:spec": {"f:paused": {}}}),
    ]
    taken = scaled([OWNER], 5, "one", how="apply", force=True)
    assert [(one["manager"], one["fieldsV1"]) for one in taken] == [
        ("one", {"f:spec": {"f:replicas": {}}}),
        ("maker", {"f:spec": {"f:paused": {}}}),
    ]


def test_entries_of_versions_that_are_gone_are_dropped_and_objects_without_a_scale_keep_theirs():
    gone = entry("old", {"f:spec": {}}, version="apps/v0")
    assert from_scale([gone, OTHER], [], REPLICAS, api_version=VERSION) == [OTHER]
    assert from_scale([OWNER], [], {VERSION: None}, api_version=VERSION) == [OWNER]
    assert from_scale(None, None, REPLICAS, api_version=VERSION) == []


def test_an_applier_of_the_object_keeps_its_one_entry_through_a_write_of_the_scale():
    """Appliers have one entry for all versions, so they do find themselves again."""
    both = entry("one", OWNER["fieldsV1"], operation="Apply")
    assert scaled([both], 1, "kubectl") == [both]
