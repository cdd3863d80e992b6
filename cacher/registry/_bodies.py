"""A body that a client sent, as an object of the kind that is expected. Pure.

Source: kubernetes/apiserver pkg/endpoints/handlers (create.go, update.go, rest.go: checkName), apimachinery
pkg/runtime/serializer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ._errors import BadRequest, GroupResource, Invalid
from ._field_errors import invalid
from ._meta import JSONObject, name_of, text

_FORMER_VERSIONS = ("v1alpha1", "v1beta1", "v1beta2")
"""Versions that a group may have had: an object that says so is of a known kind, and not of this version."""


def of_kind(body: Any, api_version: str, kind: str, *, is_known: Callable[[str, str], bool]) -> JSONObject:
    """The body, which may leave its apiVersion and kind out.

    Args:
        is_known: whether there is such a kind in such a version.
    Raises:
        BadRequest: it is no object, or one of another kind or version.
    """
    if not isinstance(body, dict):
        raise BadRequest(
            f"{kind} in version {_version(api_version)} cannot be handled as a {kind}: it is no JSON object"
        )
    told_version, told_kind = body.get("apiVersion") or api_version, body.get("kind") or kind
    if (told_version, told_kind) == (api_version, kind):
        return {**body, "apiVersion": api_version, "kind": kind}
    group, _, version = told_version.rpartition("/")
    is_former = told_kind == kind and group == api_version.rpartition("/")[0] and version in _FORMER_VERSIONS
    if is_former or not is_known(api_version, kind):
        expected = f"does not match the expected API version ({api_version})"
        raise BadRequest(f"the API version in the data ({told_version}) {expected}")
    if is_known(told_version, told_kind):
        package = api_version.rpartition("/")[0].partition(".")[0] or "core"
        why = f"converting ({version}.{told_kind}) to ({package}.{kind}): unknown conversion"
    else:
        why = f'no kind "{told_kind}" is registered for version "{told_version}" in scheme "{_SCHEME}"'
    raise BadRequest(f"{told_kind} in version {_version(told_version)} cannot be handled as a {kind}: {why}")


_SCHEME = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"
"""What Kubernetes calls the list of all kinds."""


def strict_error(problems: list[str], api_version: str, kind: str) -> BadRequest:
    """Why a body with unknown fields is refused, where its sender wants it so."""
    found = f"strict decoding error: {', '.join(problems)}"
    return BadRequest(f"{kind} in version {_version(api_version)} cannot be handled as a {kind}: {found}")


_METADATA_ORDER = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
_ENTRY_ORDER = ("manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource")
_NO_KIND = GroupResource("", "")


def patched_error(error: BadRequest, patched: Any) -> Invalid:
    """Why what a patch makes is refused, where it cannot be read: the whole of it is shown, as Go writes it."""
    problem = error.message.partition(" cannot be handled as a ")[2].partition(": ")[2] or error.message
    return Invalid(_NO_KIND, "", [invalid("patch", _go_text(patched), problem)])


def _go_text(obj: Any) -> str:
    """The object as text: its members sorted, those of its metadata in the order of Go's fields."""
    if isinstance(obj, dict):
        obj = {name: obj[name] for name in sorted(obj)}
        if isinstance(obj.get("metadata"), dict):
            meta = _in_order(obj["metadata"], _METADATA_ORDER)
            if isinstance(meta.get("managedFields"), list):
                meta["managedFields"] = [_in_order(entry, _ENTRY_ORDER) for entry in meta["managedFields"]]
            obj["metadata"] = meta
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":"))


def _in_order(obj: JSONObject, order: tuple[str, ...]) -> JSONObject:
    first = [name for name in order if name in obj]
    return {name: obj[name] for name in [*first, *(name for name in obj if name not in order)]}


def _version(api_version: str) -> str:
    return f'"{api_version.rpartition("/")[2]}"'


def check_name(obj: JSONObject, name: str, namespace: str) -> None:
    """Raises BadRequest where the object says that it is another than the one that the request is about."""
    told, told_namespace = name_of(obj), text(obj, "namespace")
    if not told:
        why = "name must be provided"
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: {why}")
    if told != name:
        raise BadRequest(f"the name of the object ({told}) does not match the name on the URL ({name})")
    if namespace and told_namespace and told_namespace != namespace:
        raise BadRequest(
            f"the namespace of the object ({told_namespace}) does not match the namespace on the request ({namespace})"
        )
