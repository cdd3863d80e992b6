"""The recorded cases of custom resources, asked of pure functions: a dict in place of the store, and no HTTP.

It maps a recorded request to functions of cacher.registry.schema and puts what they say into an answer; what a request means
that these functions do not decide (paths, versions, conflicts, metadata) is Skipped, never made up.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

from cacher.registry._errors import APIError, BadRequest, GroupResource, Invalid
from cacher.registry.schema import (
    BadMetadata,
    Definition,
    ScalePaths,
    Version,
    definition_errors,
    prepared_for_create,
    with_defaults,
    with_established,
    with_names_decided,
)

CONFORMANCE = pathlib.Path(__file__).parents[3] / "conformance"
CRD = GroupResource("apiextensions.k8s.io", "CustomResourceDefinition")
NOW = "2026-11-23T10:51:22Z"
MERGE = "application/merge-patch+json"


class Skipped(Exception):
    """The step is about something that the functions under test do not decide."""


def read(name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The steps of a case, with the recorded namespace in place, and the recorded answers by step."""
    answers = json.loads((CONFORMANCE / "recordings" / f"{name}.json").read_text(encoding="utf-8"))
    namespace = next(answer["name"] for answer in answers if answer["id"] == "ns")
    text = (CONFORMANCE / "cases" / f"{name}.json").read_text(encoding="utf-8").replace("${ns}", namespace)
    return json.loads(text)["steps"], {answer["id"]: answer for answer in answers}


class RecordedAPI:
    """One definition and its objects."""

    def __init__(self) -> None:
        self.crd: dict[str, Any] | None = None
        self.definition: Definition | None = None
        self.objects: dict[str, dict[str, Any]] = {}

    def answer(self, step: dict[str, Any]) -> tuple[int, Any]:
        """Status and body."""
        try:
            return self._answer(step)
        except APIError as error:
            return error.code, json.loads(json.dumps({"apiVersion": "v1", **error.status()}))

    def _answer(self, step: dict[str, Any]) -> tuple[int, Any]:
        method, path = step["method"], step["path"]
        if "customresourcedefinitions" in path:
            return self._definition(method, step.get("body"))
        if self.definition is None or not isinstance(step.get("body"), dict | None):
            raise Skipped
        name, _, subresource = re.sub(r"^.*/widgets/?", "", path).partition("/")
        match method, subresource:
            case "POST", "":
                return 201, self._create(step["body"])
            case "PATCH", _ if step.get("headers", {}).get("Content-Type") == MERGE:
                return 200, self._patch(name, subresource, step["body"])
            case "GET", "scale" if self._version.scale is not None:
                return 200, self._scale.scale_of(self.objects[name])
            case "GET", "" if name:
                return 200, self.objects[name]
            case "GET", "" if "as=Table" in step.get("headers", {}).get("Accept", ""):
                return 200, self._table()
        raise Skipped

    @property
    def _version(self) -> Version:
        assert self.definition is not None
        return self.definition.versions["v1"]

    @property
    def _scale(self) -> ScalePaths:
        assert self._version.scale is not None
        return self._version.scale

    def _definition(self, method: str, body: Any) -> tuple[int, Any]:
        if method == "GET":
            return 200, self.crd
        if method != "POST":
            raise Skipped
        made = prepared_for_create(with_defaults(body))
        if errors := definition_errors(made):
            raise Invalid(CRD, body["metadata"]["name"], errors)
        self.crd = with_established(with_names_decided(made, [], now=NOW), now=NOW)
        self.definition = Definition.from_crd(self.crd)
        return 201, made

    def _admit(self, obj: dict[str, Any]) -> dict[str, Any]:
        if obj.get("apiVersion") != self._version.api_version or "resourceVersion" in obj["metadata"]:
            raise Skipped
        try:
            return self._version.admit(obj).obj
        except BadMetadata as problem:
            kind = self._version.kind
            raise BadRequest(f'{kind} in version "v1" cannot be handled as a {kind}: {problem}') from None

    def _judge(self, obj: dict[str, Any], errors: list[Any]) -> None:
        if errors:
            assert self.definition is not None
            raise Invalid(GroupResource(self.definition.group, obj["kind"]), obj["metadata"]["name"], errors)

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        assert self.definition is not None
        name = body["metadata"]["name"]
        if name in self.objects or re.fullmatch("[a-z]", name) is None or "bad key" in str(body):
            raise Skipped
        obj = self._version.prepared_for_create(self._admit(body))
        self._judge(obj, self._version.validate(obj))
        namespace = re.sub(r"\..*", "", self.definition.group)
        metadata = {**obj["metadata"], **({"namespace": namespace} if self.definition.is_namespaced else {})}
        if not self.definition.is_namespaced:
            metadata.pop("namespace", None)
        self.objects[name] = {**obj, "metadata": metadata}
        return self.objects[name]

    def _patch(self, name: str, subresource: str, patch: dict[str, Any]) -> dict[str, Any]:
        old = self.objects[name]
        if subresource == "scale":
            scale = self._scale.scale_to_change(old)
            obj = self._scale.with_scale(old, merged(scale, patch))
        else:
            obj = self._admit(merged(old, patch))
        if subresource == "status":
            obj = self._version.prepared_for_status_update(obj, old)
            self._judge(obj, self._version.validate_status(obj, old))
        else:
            obj = self._version.prepared_for_update(obj, old)
            self._judge(obj, self._version.validate(obj, old))
        self.objects[name] = obj
        return self._scale.scale_of(obj) if subresource == "scale" else obj

    def _table(self) -> dict[str, Any]:
        version = self._version
        rows = [{"cells": version.cells(obj, now_s=0.0)} for _, obj in sorted(self.objects.items())]
        return {"columnDefinitions": [column.definition() for column in version.columns], "rows": rows}


def merged(value: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    made = dict(value) if isinstance(value, dict) else {}
    for name, one in patch.items():
        if one is None:
            made.pop(name, None)
        else:
            made[name] = merged(made.get(name), one)
    return made


UNSTABLE = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "lastTransitionTime"}
"""What a store gives, and the time."""


def comparable(body: Any) -> Any:
    """The body without what differs from run to run; of a table's rows, the cells but for ages."""
    if isinstance(body, dict) and "rows" in body:
        definitions = body["columnDefinitions"]
        ages = {at for at, one in enumerate(definitions) if one["type"] == "date"}
        rows = [[cell for at, cell in enumerate(row["cells"]) if at not in ages] for row in body["rows"]]
        return {"columnDefinitions": definitions, "rows": rows}
    if isinstance(body, dict):
        return {name: comparable(value) for name, value in body.items() if name not in UNSTABLE}
    return [comparable(one) for one in body] if isinstance(body, list) else body
