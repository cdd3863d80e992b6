"""Every write of a recorded cluster's rollout, and who it says manages what afterwards.

Of each object, each version and the one before are known. The entry with the newest time names the call: its manager, its
version, its subresource. That call is made, with the new version stripped of its managedFields, and must bring them back.
"""

from __future__ import annotations

import gzip
import json
import pathlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from cacher.registry.patch import FieldManager, FieldSet, fields, from_scale, kind_type, to_scale

TRACE = pathlib.Path(__file__).parents[4] / "scenarios" / "data"
REPLICAS = {"apps/v1": fields("spec", "replicas")}
# What a server adds to a new object after managedFields were written, by admission and strategy, is in the stored object.
ADDED_LATER = {"Namespace", "Pod", "Service"}
RESET = {
    "": FieldSet.of([fields("status")]),
    "status": FieldSet.of(
        [fields("spec"), fields("metadata", "ownerReferences"), fields("metadata", "deletionTimestamp")]
    ),
}
WITHOUT_STATUS = {"ConfigMap", "Endpoints", "EndpointSlice", "Event", "Lease"}


def versions() -> Iterator[tuple[dict[str, Any] | None, dict[str, Any]]]:
    """(the version before, a version) of every write of the trace."""
    known: dict[str, dict[str, Any]] = {}
    for part in ("start", "etcd"):  # what was there, what happened
        with gzip.open(TRACE / f"rollout.{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                change = json.loads(line)
                value = change.get("value")
                if "key" not in change:
                    continue
                before = known.pop(change["key"], None)
                if change.get("type") == "DELETE" or not isinstance(value, dict) or "kind" not in value:
                    continue
                known[change["key"]] = value
                if part == "etcd":
                    yield before, value


def entries(obj: dict[str, Any] | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (obj or {}).get("metadata", {}).get("managedFields", [])
    return found


def newest(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, Any] | None:
    """The entry of the call that made the version; None: no entry is new."""
    changed = [entry for entry in entries(after) if entry not in entries(before)]
    return max(changed, key=lambda entry: entry.get("time", "9"), default=None)


def after_update(before: dict[str, Any] | None, after: dict[str, Any], entry: dict[str, Any]) -> list[dict[str, Any]]:
    subresource = entry.get("subresource", "")
    reset = FieldSet() if after["kind"] in WITHOUT_STATUS else RESET[subresource]
    manager = FieldManager.built_in(after["apiVersion"], after["kind"], subresource=subresource, reset=reset)
    metadata = {name: value for name, value in after["metadata"].items() if name != "managedFields"}
    found = manager.update(before, {**after, "metadata": metadata}, manager=entry["manager"], now=entry["time"])
    return entries(found)


def scale_of(obj: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": {"replicas": obj["spec"]["replicas"]},
    }


def after_scaling(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    manager = FieldManager.built_in("autoscaling/v1", "Scale", subresource="scale")
    old, new = (
        scale_of(obj, {"uid": "u", "managedFields": to_scale(entries(before), REPLICAS)}) for obj in (before, after)
    )
    found = manager.update(old, new, manager="kubectl", now="2026-11-23T11:00:00Z")
    return from_scale(entries(before), entries(found), REPLICAS, api_version="apps/v1")


@pytest.mark.parametrize(
    "step", [pytest.param(8, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"]
)
def test_every_recorded_write_leaves_the_managed_fields_that_were_recorded(step):
    """Of deployments each write, of all else every eighth, or (in the campaign) each."""
    checked: Counter[str] = Counter()
    for at, (before, after) in enumerate(versions()):
        if at % step and after["kind"] != "Deployment":
            continue
        entry = newest(before, after)
        if entry is None or kind_type(after["apiVersion"], after["kind"]) is None:
            continue
        if before is None and after["kind"] in ADDED_LATER:
            continue
        if entry["apiVersion"] != after["apiVersion"]:
            assert entry["apiVersion"] == "events.k8s.io/v1"  # the one kind that is written in two groups
            continue
        if "time" not in entry:  # only a write of the scale leaves such an entry
            assert before is not None
            found = after_scaling(before, after)
        else:
            found = after_update(before, after, entry)
        assert found == entries(after), after["metadata"]["name"]
        subresource = entry.get("subresource", "") if "time" in entry else "scale"
        checked[f"{after['kind']} {subresource}".strip()] += 1
    assert checked.total() > 6000 // step
    assert checked["Deployment scale"] == 10
    assert checked["Deployment status"] > 700
    assert checked["Pod status"] > 800 // step
    assert checked["EndpointSlice"] > 500 // step
