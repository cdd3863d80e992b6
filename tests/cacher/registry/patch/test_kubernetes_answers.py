"""What Kubernetes' own code makes of the same patches, applies and updates: every answer must be ours too.

`kubernetes_answers.jsonl.gz` was written by a small Go program over apimachinery 0.36 (strategicpatch, managedfields) with the
types of client-go 0.36, fed with random objects of many kinds and of a custom resource, and random patches of them. Its first
line has the schema of the custom resource; each other line has what was asked, and `result` or `error`. "NOW" stands for the
time of the answer.
"""

from __future__ import annotations

import gzip
import json
import pathlib
from typing import Any

import pytest

from cacher.registry._errors import APIError
from cacher.registry.patch import FieldManager, FieldSet, apply_strategic_merge, canonical, fields, kind_type

ANSWERS = pathlib.Path(__file__).with_name("kubernetes_answers.jsonl.gz").read_bytes()
LINES = [json.loads(line) for line in gzip.decompress(ANSWERS).splitlines()]
SCHEMA, ASKED = LINES[0]["widget"], LINES[1:]


def manager_of(asked: dict[str, Any]) -> FieldManager:
    version, kind = asked["apiVersion"], asked["kind"]
    reset = FieldSet.of([fields(*path) for path in asked["reset"]])
    if "schema" in asked:
        return FieldManager.custom(version, kind, {version: SCHEMA}, subresource=asked["sub"], reset=reset)
    return FieldManager.built_in(version, kind, subresource=asked["sub"], reset=reset)


def ours(asked: dict[str, Any]) -> Any:
    if asked["op"] == "smp":
        type_ = kind_type(asked["apiVersion"], asked["kind"])
        assert type_ is not None
        return apply_strategic_merge(asked["live"], asked["new"], type_)
    manager = manager_of(asked)
    if asked["op"] == "update":
        return manager.update(asked.get("live"), asked["new"], manager=asked["manager"], now="NOW")
    return manager.apply(asked.get("live"), asked["new"], manager=asked["manager"], now="NOW", force=asked["force"])


def plain(asked: dict[str, Any], obj: dict[str, Any]) -> Any:
    """The object as it would be stored: Go writes null where nothing is set, which is no difference."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "creationTimestamp"}
    return canonical(kind_type(asked["apiVersion"], asked["kind"]), {**obj, "metadata": metadata})


@pytest.mark.parametrize("asked", [one for one in ASKED if "error" not in one], ids=lambda one: one["op"])
def test_the_result_is_that_of_kubernetes(asked):
    before = json.dumps(asked)
    found = ours(asked)
    assert json.dumps(asked) == before, "what was handed in has been changed"
    if asked["op"] == "smp":
        assert found == asked["result"]
        return
    assert found["metadata"].get("managedFields") == asked["result"]["metadata"].get("managedFields")
    if asked["op"] == "apply":
        assert plain(asked, found) == plain(asked, asked["result"])


@pytest.mark.parametrize("asked", [one for one in ASKED if "error" in one], ids=lambda one: one["op"])
def test_the_error_is_that_of_kubernetes(asked):
    """Kubernetes names several conflicts in an order that is random."""
    with pytest.raises(APIError) as caught:
        ours(asked)
    assert sorted(caught.value.message.splitlines()) == sorted(asked["error"].splitlines())
    causes = caught.value.details.causes if caught.value.details is not None else ()
    assert sorted(f"{cause.message} {cause.field}" for cause in causes) == sorted(asked.get("causes", []))


def test_the_answers_are_of_every_sort():
    """A file of easy questions would show nothing."""
    assert len(ASKED) > 700
    conflicts = [one for one in ASKED if one.get("error", "").startswith("Apply failed")]
    assert len(conflicts) > 40
    assert len([one for one in ASKED if one["op"] == "smp" and "result" in one]) > 70
    assert {one["kind"] for one in ASKED} >= {"Pod", "Deployment", "Service", "ConfigMap", "Widget", "Event", "Lease"}
