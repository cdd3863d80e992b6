"""How something is to be deleted: a DeleteOptions in the body, or parameters where there is none. Pure.

Source: kubernetes/apiserver pkg/endpoints/handlers/delete.go.
"""

from __future__ import annotations

from typing import Any

from ..registry import BadRequest
from ._bodies import BadBody, DecodeProtobuf, read_body, unreadable
from ._query import boolean, integer
from ._request import Head

_SCHEME = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"
_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "gracePeriodSeconds": (int, "int64"),
    "orphanDependents": (bool, "bool"),
    "propagationPolicy": (str, "v1.DeletionPropagation"),
    "preconditions": (dict, "v1.Preconditions"),
    "dryRun": (list, "[]string"),
    "ignoreStoreReadErrorWithClusterBreakingPotential": (bool, "bool"),
}
_PRECONDITIONS = {"uid": "types.UID", "resourceVersion": "string"}


def read_delete_options(head: Head, raw: bytes, *, protobuf: DecodeProtobuf | None = None) -> dict[str, Any]:
    """What the doors' deletions take.

    Raises:
        BadRequest: the body is no DeleteOptions, or a parameter is none.
        UnsupportedMediaType.
    """
    if not raw:
        policy = head.parameter("propagationPolicy")
        return {
            "grace_period_s": integer(head, "gracePeriodSeconds"),
            "uid": None,
            "resource_version": None,
            "propagation_policy": policy,
            "orphan_dependents": boolean(head, "orphanDependents"),
            "dry_run": head.query.get("dryRun") or False,
            "ignore_read_errors": bool(boolean(head, "ignoreStoreReadErrorWithClusterBreakingPotential")),
        }
    try:
        body = read_body(head.header("content-type"), raw, protobuf=protobuf).value
    except BadBody as error:
        raise unreadable(error) from error
    return _of_body(body)


def _of_body(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadRequest(
            "couldn't get version/kind; json parse error: json: cannot unmarshal the body into a DeleteOptions"
        )
    version, kind = body.get("apiVersion") or "v1", body.get("kind") or "DeleteOptions"
    if kind != "DeleteOptions":
        raise BadRequest(f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"')
    for name, (type_, go_type) in _TYPES.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, type_) or (type_ is int and isinstance(value, bool))):
            raise _wrong(value, name, go_type)
    preconditions = body.get("preconditions") or {}
    for name, go_type in _PRECONDITIONS.items():
        if preconditions.get(name) is not None and not isinstance(preconditions[name], str):
            raise _wrong(preconditions[name], f"preconditions.{name}", go_type)
    for value in body.get("dryRun") or ():
        if not isinstance(value, str):
            raise _wrong(value, "dryRun", "string")
    return {
        "grace_period_s": body.get("gracePeriodSeconds"),
        "uid": preconditions.get("uid"),
        "resource_version": preconditions.get("resourceVersion"),
        "propagation_policy": body.get("propagationPolicy"),
        "orphan_dependents": body.get("orphanDependents"),
        "dry_run": body.get("dryRun") or False,
        "ignore_read_errors": bool(body.get("ignoreStoreReadErrorWithClusterBreakingPotential")),
    }


def _wrong(value: Any, path: str, go_type: str) -> BadRequest:
    names: dict[type, str] = {bool: "bool", str: "string", dict: "object", list: "array"}
    found = names.get(type(value), "number")
    return BadRequest(f"json: cannot unmarshal {found} into Go struct field DeleteOptions.{path} of type {go_type}")
