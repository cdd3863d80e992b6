"""What all controllers of workloads read in objects: owners, labels, conditions, times, shares of a number. Pure.

Objects are JSON data and are never changed in place: whoever wants another one gets a new one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from reflector import JSONObject
from watch import InvalidSelector, LabelSelector

MANAGER = "kube-controller-manager"
"""The field manager of all that controllers write."""


# --- metadata ---------------------------------------------------------------------------------------------------------


def meta(obj: Mapping[str, Any]) -> JSONObject:
    """The object's metadata; empty where it has none."""
    return obj.get("metadata") or {}


def name_of(obj: Mapping[str, Any]) -> str:
    """The object's name."""
    return str(meta(obj).get("name", ""))


def namespace_of(obj: Mapping[str, Any]) -> str:
    """The object's namespace."""
    return str(meta(obj).get("namespace", ""))


def uid_of(obj: Mapping[str, Any]) -> str:
    """The object's uid."""
    return str(meta(obj).get("uid", ""))


def generation_of(obj: Mapping[str, Any]) -> int:
    """How often the object's spec was changed."""
    return int(meta(obj).get("generation") or 0)


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The object's labels."""
    return meta(obj).get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The object's annotations."""
    return meta(obj).get("annotations") or {}


def is_terminating(obj: Mapping[str, Any]) -> bool:
    """Whether somebody deleted it."""
    return bool(meta(obj).get("deletionTimestamp"))


def spec_of(obj: Mapping[str, Any]) -> JSONObject:
    """The object's spec; empty where it has none."""
    return obj.get("spec") or {}


def status_of(obj: Mapping[str, Any]) -> JSONObject:
    """The object's status; empty where it has none."""
    return obj.get("status") or {}


def replicas_of(obj: Mapping[str, Any]) -> int:
    """How many pods its spec wants; 1 where it does not say."""
    found = spec_of(obj).get("replicas")
    return 1 if found is None else int(found)


def with_metadata(obj: JSONObject, **changes: Any) -> JSONObject:
    """The object with other metadata; what is changed to None, or to nothing, is left out."""
    changed = {**meta(obj), **changes}
    return {**obj, "metadata": {name: value for name, value in changed.items() if value not in (None, {}, [])}}


def with_spec(obj: JSONObject, **changes: Any) -> JSONObject:
    """The object with another spec."""
    return {**obj, "spec": {**spec_of(obj), **changes}}


def with_status(obj: JSONObject, status: JSONObject) -> JSONObject:
    """The object with this status."""
    return {**obj, "status": status}


# --- owners -----------------------------------------------------------------------------------------------------------


def controller_of(obj: Mapping[str, Any]) -> JSONObject | None:
    """The one owner reference that says `controller: true`."""
    for reference in meta(obj).get("ownerReferences") or ():
        if reference.get("controller"):
            found: JSONObject = reference
            return found
    return None


def is_controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    """Whether `owner`, and no namesake of it, is the object's controller."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid_of(owner)


def controller_reference(owner: JSONObject, api_version: str, kind: str) -> JSONObject:
    """What is written into the objects that `owner` controls. Objects in lists bear no kind, so it is handed in."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def selector_of(obj: Mapping[str, Any]) -> LabelSelector | None:
    """What the object's `spec.selector` wants; None where it is missing, wants everything, or cannot be read: then nothing
    is to be done for the object."""
    selector = spec_of(obj).get("selector")
    if not selector or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        return None
    try:
        return LabelSelector.from_api(selector)
    except InvalidSelector:
        return None


# --- conditions -------------------------------------------------------------------------------------------------------


def condition(status: Mapping[str, Any], type_: str) -> JSONObject | None:
    """The status' condition of that type."""
    for found in status.get("conditions") or ():
        if found.get("type") == type_:
            one: JSONObject = found
            return one
    return None


def with_condition(status: JSONObject, new: JSONObject) -> JSONObject:
    """The status with `new` as its last condition; as it was, where status and reason are the same already.

    While the status stays, so does the time at which it changed last.
    Source: kubernetes pkg/controller/deployment/util/deployment_util.go, SetDeploymentCondition.
    """
    present = condition(status, new["type"])
    if present is not None and (present.get("status"), present.get("reason")) == (new["status"], new.get("reason")):
        return status
    if present is not None and present.get("status") == new["status"] and "lastTransitionTime" in present:
        new = {**new, "lastTransitionTime": present["lastTransitionTime"]}
    return {**without_condition(status, new["type"]), "conditions": [*_others(status, new["type"]), new]}


def without_condition(status: JSONObject, type_: str) -> JSONObject:
    """The status without its condition of that type."""
    rest = {name: value for name, value in status.items() if name != "conditions"}
    others = _others(status, type_)
    return {**rest, "conditions": others} if others else rest


def _others(status: Mapping[str, Any], type_: str) -> list[JSONObject]:
    return [found for found in status.get("conditions") or () if found.get("type") != type_]


# --- times ------------------------------------------------------------------------------------------------------------


def unix_of(moment: str | None) -> float:
    """The Unix time of a text such as 2026-11-23T15:04:05Z; 0 where there is none."""
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def rfc3339(unix_s: float) -> str:
    """The moment as objects carry it: to the second, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- numbers ----------------------------------------------------------------------------------------------------------


def scaled(share: int | str | None, total: int, *, up: bool) -> int:
    """A number, or so many percent of `total`, rounded up or down; None is 0.

    Raises:
        ValueError: a text that is no percentage.
    """
    if share is None:
        return 0
    if isinstance(share, int):
        return share
    digits = share.removesuffix("%")
    if digits == share or not digits.isdigit():
        raise ValueError(f"{share!r} is neither a number nor a percentage such as 25%")
    # In whole numbers: 0.07 * 100 is more than 7 as a float, and would be rounded up to 8.
    product = int(digits) * total
    return -(-product // 100) if up else product // 100


def rounded(value: float) -> int:
    """The nearest integer, halves away from 0. Source: k8s.io/utils/integer, RoundToInt32."""
    return math.ceil(value - 0.5) if value < 0 else math.floor(value + 0.5)


def counts(**numbers: int | None) -> JSONObject:
    """Numbers of a status as Kubernetes writes them: what is 0 or None is left out."""
    return {name: number for name, number in numbers.items() if number}
