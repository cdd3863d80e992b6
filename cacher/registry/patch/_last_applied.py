"""What `kubectl apply` wrote into an annotation before it applied on the server: it may take those fields over.

Pure.
Source: kubernetes/apimachinery pkg/util/managedfields/internal (lastappliedmanager.go, lastappliedupdater.go).
"""

from __future__ import annotations

import json
from typing import Any

from ._check import check
from ._compare import compare, fields_of
from ._elements import TypedError
from ._field_set import FieldSet
from ._managed_fields import metadata_of
from ._types import Type

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ANNOTATIONS_BYTES_MAX = 256 * 1024
"""Where all annotations together would be longer, this one is left out."""


def allowed_conflicts(type_: Type, api_version: str, live: dict[str, Any]) -> FieldSet | None:
    """The fields that the live object has as the annotation says; None: there is no annotation that can be read."""
    text = _annotations(live).get(LAST_APPLIED)
    if not text:
        return None
    try:
        applied = json.loads(text)
        if not isinstance(applied, dict) or applied.get("apiVersion") != api_version:
            return None
        check(type_, applied)
        compared = compare(type_, applied, live)
    except (ValueError, TypedError):
        return None
    return fields_of(type_, applied).difference(compared.changed()).difference(compared.removed)


def with_last_applied(obj: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The object with the annotation brought up to date, where it had one."""
    annotations = _annotations(obj)
    if not annotations.get(LAST_APPLIED):
        return obj
    own = {name: value for name, value in _annotations(config).items() if name != LAST_APPLIED}
    metadata = {name: value for name, value in metadata_of(config).items() if name != "annotations"}
    applied = {**config, "metadata": {**metadata, "annotations": own} if own else metadata}
    updated = {**annotations, LAST_APPLIED: _written(applied)}
    if sum(len(name.encode()) + len(value.encode()) for name, value in updated.items()) > ANNOTATIONS_BYTES_MAX:
        del updated[LAST_APPLIED]
    return {**obj, "metadata": {**metadata_of(obj), "annotations": updated}}


def _annotations(obj: dict[str, Any]) -> dict[str, Any]:
    annotations = metadata_of(obj).get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def _written(value: dict[str, Any]) -> str:
    """As Go's encoder writes it: sorted, with HTML escaped, and a line break at the end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e") + "\n"
