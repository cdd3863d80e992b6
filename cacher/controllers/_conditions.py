"""Conditions of a status: found and set by type, with the time of the last transition kept while nothing changes. Pure.

Two ways of setting them, as in Kubernetes: pods, nodes and namespaces keep the order of their conditions (`with_conditions`);
what the workload controllers tell goes to the end, and stays as it was while status and reason do (`with_condition`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

JSONObject = dict[str, Any]


class Condition(msgspec.Struct, frozen=True):
    """What a condition is to say."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


def find_condition(conditions: Iterable[JSONObject], kind: str) -> JSONObject | None:
    """The condition of that type."""
    return next((one for one in conditions if one.get("type") == kind), None)


def is_true(obj: JSONObject, kind: str) -> bool:
    """Whether the object's status says that this condition holds."""
    found = find_condition((obj.get("status") or {}).get("conditions") or (), kind)
    return found is not None and found.get("status") == "True"


def transitioned(old: JSONObject | None, wanted: Condition, now: str) -> JSONObject:
    """The time of the transition is `now` if the status is another one than before, or there was no time; members in Go's order."""
    same = old is not None and old.get("status") == wanted.status and old.get("lastTransitionTime")
    said: JSONObject = {"type": wanted.type, "status": wanted.status}
    said["lastTransitionTime"] = old["lastTransitionTime"] if old is not None and same else now
    if wanted.reason:
        said["reason"] = wanted.reason
    if wanted.message:
        said["message"] = wanted.message
    return said


def with_conditions(
    conditions: Sequence[JSONObject], wanted: Iterable[Condition], now: str, more: JSONObject | None = None
) -> list[JSONObject]:
    """The wanted ones in their order, then the others as they are.

    Args:
        more: members that each wanted one has beside, such as `lastProbeTime`.
    """
    made = []
    for one in wanted:
        made.append({**transitioned(find_condition(conditions, one.type), one, now), **(more or {})})
    kinds = {one["type"] for one in made}
    return made + [one for one in conditions if one.get("type") not in kinds]


# --- as the workload controllers do it --------------------------------------------------------------------------------


def condition(status: Mapping[str, Any], kind: str) -> JSONObject | None:
    """The status' condition of that type."""
    return find_condition(status.get("conditions") or (), kind)


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


def without_condition(status: JSONObject, kind: str) -> JSONObject:
    """The status without its condition of that type, and without an empty list of them."""
    rest = {name: value for name, value in status.items() if name != "conditions"}
    others = _others(status, kind)
    return {**rest, "conditions": others} if others else rest


def _others(status: Mapping[str, Any], kind: str) -> list[JSONObject]:
    return [found for found in status.get("conditions") or () if found.get("type") != kind]
