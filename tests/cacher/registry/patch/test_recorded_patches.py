"""Recorded exchanges with a real API server, as far as patches and managedFields decide them.

A step is played by the functions of this package alone: what stands between (defaults, uids, versions, names, generations)
is put in by the few lines of `World`, and what a step needs beyond that is in `LEFT_OUT` with its reason. Object, managedFields
and error must equal the recording.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from cacher.registry._errors import APIError
from cacher.registry.patch import (
    FieldManager,
    FieldSet,
    apply_json_patch,
    apply_merge_patch,
    apply_strategic_merge,
    canonical,
    fields,
    keeping_times,
    kind_type,
)

DATA = pathlib.Path(__file__).parents[3] / "conformance"
NOW = "NOW"

# case: the steps that need more than a patch, with the reason
LEFT_OUT = {
    "patch-apply-body": {"s2": "the name in the URL", "s5": "YAML"},
    "patch-apply-dry-run": {"s2": "a get"},
    "patch-apply-status": {"s2": "an object that is not there"},
    "patch-apply-version": {"s2": "the version as a precondition"},
    "patch-content-type": {"s1": "the media type", "s2": "the media type"},
    "patch-dry-run": {"s2": "a get"},
    "patch-json-invalid-result": {"s1": "validation", "s2": "decoding", "s3": "decoding"},
    "patch-merge-malformed": {"s2": "JSON", "s3": "decoding"},
    "patch-merge-version": {"s3": "the version as a precondition", "s5": "validation"},
    "patch-strategic-retain-keys": {"s1": "validation"},
    "crd-apply": {"s5": "validation"},
    "crd-patch": {"s4": "the media type", "s5": "validation"},
}
WHOLE = [
    "patch-apply-after-update",
    "patch-apply-create",
    "patch-apply-lists",
    "patch-apply-strict",
    "patch-json-escapes",
    "patch-json-missing-path",
    "patch-managed-fields-reset",
    "patch-merge",
    "patch-no-op",
    "patch-strategic-containers",
    "patch-strategic-env",
    "patch-strategic-malformed",
    "patch-strategic-owner-references",
    "patch-strategic-primitive-list",
]
CONTAINER = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
POD_SPEC = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
ROLLING = {"maxSurge": "25%", "maxUnavailable": "25%"}


def load(folder: str, name: str) -> Any:
    return json.loads((DATA / folder / f"{name}.json").read_text(encoding="utf-8"))


def filled(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return {filled(name, namespace): filled(inner, namespace) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, namespace) for inner in value]
    return value.replace("${ns}", namespace) if isinstance(value, str) else value


def defaulted(obj: dict[str, Any]) -> dict[str, Any]:
    """A deployment with the defaults that the recordings show."""
    found: dict[str, Any] = canonical(kind_type(obj["apiVersion"], obj["kind"]), obj)
    if obj["kind"] != "Deployment":
        return found
    spec = {"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10, "replicas": 1, **found["spec"]}
    strategy = {"type": "RollingUpdate", **spec["strategy"]}
    if strategy["type"] == "RollingUpdate":
        strategy = {"rollingUpdate": ROLLING, **strategy}
    template = {**POD_SPEC, **spec["template"]["spec"]}
    template["containers"] = [{**CONTAINER, **container} for container in template.get("containers", [])]
    return {**found, "spec": {**spec, "strategy": strategy, "template": {**spec["template"], "spec": template}}}


class World:
    """The objects of one namespace, and just enough of an API server to come from one patch to the next."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.objects: dict[str, dict[str, Any]] = {}
        self.schemas: dict[str, Any] = {}

    def play(self, step: dict[str, Any]) -> dict[str, Any]:
        """The object, or the status, that the step is answered with."""
        path, query = step["path"], step.get("query", {})
        body: Any = step.get("body")
        if "customresourcedefinitions" in path:
            if step["method"] == "POST":
                self._define(body)
            return {}
        subresource = "status" if path.endswith("/status") else ""
        path = path.removesuffix("/status")
        try:
            if step["method"] == "POST":
                path = f"{path}/{body['metadata']['name']}"
                found = self._written(None, self._defaulted(body), query, "")
            elif step["method"] == "PATCH":
                found = self._patched(path, step["headers"]["Content-Type"], body, query, subresource)
            else:
                return {}
        except APIError as error:
            status: dict[str, Any] = json.loads(json.dumps({**error.status(), "apiVersion": "v1"}))
            return status
        if query.get("dryRun") != "All":
            self.objects[path] = found
        return found

    def _patched(self, path: str, media_type: str, body: Any, query: dict[str, str], subresource: str) -> Any:
        live = self.objects.get(path)
        kind = media_type.partition("+")[0].removeprefix("application/")
        if kind == "apply-patch":
            manager = self._manager(self._identity(path, live), subresource)
            found = manager.apply(live, body, manager=query["fieldManager"], now=NOW)
            return self._finished(live, self._defaulted(found))
        assert live is not None, f"{path} is not there"
        if kind == "json-patch":
            new = apply_json_patch(live, body)
        elif kind == "merge-patch":
            new = apply_merge_patch(live, body)
        else:
            type_ = kind_type(live["apiVersion"], live["kind"])
            assert type_ is not None
            new = apply_strategic_merge(live, body, type_)
        return self._written(live, self._defaulted(new), query, subresource)

    def _written(self, live: Any, new: dict[str, Any], query: dict[str, str], subresource: str) -> dict[str, Any]:
        manager = self._manager(new, subresource)
        found = manager.update(live, new, manager=query.get("fieldManager", "unknown"), now=NOW)
        return self._finished(live, found)

    def _finished(self, live: Any, new: dict[str, Any]) -> dict[str, Any]:
        metadata = {**new["metadata"], "uid": "u", "namespace": self.namespace}
        metadata.pop("resourceVersion", None)
        finished = {**new, "metadata": metadata}
        return finished if live is None else keeping_times(live, finished)

    def _defaulted(self, obj: dict[str, Any]) -> dict[str, Any]:
        return obj if obj["apiVersion"] in self.schemas else defaulted(obj)

    def _identity(self, path: str, live: Any) -> Any:
        if live is not None:
            return live
        kinds = {"configmaps": ("v1", "ConfigMap"), "deployments": ("apps/v1", "Deployment")}
        plural = path.split("/")[-2]
        version, kind = kinds.get(plural) or (next(iter(self.schemas)), "Widget")
        return {"apiVersion": version, "kind": kind}

    def _manager(self, obj: dict[str, Any], subresource: str) -> FieldManager:
        version, kind = obj["apiVersion"], obj["kind"]
        if version in self.schemas:
            return FieldManager.custom(version, kind, self.schemas)
        reset = FieldSet.of([fields("spec" if subresource else "status")])
        return FieldManager.built_in(version, kind, subresource=subresource, reset=reset)

    def _define(self, definition: dict[str, Any]) -> None:
        spec = definition["spec"]
        for version in spec["versions"]:
            self.schemas[f"{spec['group']}/{version['name']}"] = version["schema"]["openAPIV3Schema"]


def comparable(body: Any) -> Any:
    """What patches decide: without what the server alone writes, and times by whether they are there."""
    if body.get("kind") == "Status":
        return body
    metadata = dict(body["metadata"])
    for name in ("creationTimestamp", "generation", "resourceVersion", "uid", "namespace"):
        metadata.pop(name, None)
    if "managedFields" in metadata:
        timed = [{**one, "time": NOW} if "time" in one else one for one in metadata["managedFields"]]
        metadata["managedFields"] = timed
    return {**body, "metadata": metadata}


def played(name: str) -> list[tuple[str, Any, Any]]:
    """(step, what was recorded, what is ours) of every recorded step that is not left out."""
    recording = {answer["id"]: answer for answer in load("recordings", name)}
    world = World(recording["ns"]["name"])
    out = []
    for step in filled(load("cases", name)["steps"], world.namespace):
        known = step.get("id", "")
        if known in LEFT_OUT.get(name, {}):
            continue
        found = world.play(step)
        if known:
            out.append((known, comparable(recording[known]["body"]), comparable(found)))
    return out


@pytest.mark.parametrize("name", [*WHOLE, *LEFT_OUT])
def test_a_recorded_patch_is_answered_as_it_was_recorded(name):
    steps = played(name)
    for known, recorded, ours in steps:
        if name == "patch-managed-fields-reset" and known == "s2":
            assert "managedFields" not in ours["metadata"]
        assert ours == recorded, known
    assert steps or name == "patch-json-invalid-result"


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_a_step_of_the_case(name):
    known = {step.get("id") for step in load("cases", name)["steps"]}
    assert known >= {*LEFT_OUT[name]}
