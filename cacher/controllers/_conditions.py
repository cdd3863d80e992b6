"""Conditions of a status: set by type, with the time of the last transition kept while nothing changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
