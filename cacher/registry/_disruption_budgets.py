"""PodDisruptionBudgets: how many pods may be taken at once, and what an eviction takes of it. Pure.

Source: kubernetes pkg/registry/policy/poddisruptionbudget/strategy.go; pkg/apis/policy/validation/validation.go;
pkg/registry/core/pod/storage/eviction.go (checkAndDecrement); component-helpers apps/poddisruptionbudget/helpers.go.
"""

from __future__ import annotations

from typing import Any

from ._errors import GroupResource
from ._field_errors import FieldError, child, invalid, not_supported
from ._label_selectors import validate_label_selector
from ._meta import JSONObject, name_of
from ._rest import Context
from ._strategy import StatusStrategy, Strategy
from ._workload_validation import at_most_whole, non_negative, validate_int_or_percent

LIMIT_OF_DISRUPTED = 2000
"""Evictions that the budget's controller has not seen yet: beyond it, it is not there."""
_ALLOWED = "DisruptionAllowed"
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


class DisruptionBudgetStrategy(Strategy):
    """The rules of disruption budgets. An update names the version that it replaces."""

    allow_unconditional_update = False

    def __init__(self) -> None:
        resource = GroupResource("policy", "poddisruptionbudgets")
        super().__init__(resource, "PodDisruptionBudget", empty_status=dict.fromkeys(_COUNTS, 0))

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, one of the two numbers, and the selector."""
        return super().validate(context, obj) + validate_budget_spec(obj.get("spec") or {})


class DisruptionBudgetStatusStrategy(StatusStrategy):
    """The rules of a budget's status."""

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata and counts."""
        return super().validate_update(context, new, old) + non_negative(new.get("status") or {}, "status", *_COUNTS)


def validate_budget_spec(spec: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with a budget."""
    wrong: list[FieldError] = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        wrong.append(invalid(path, spec, "minAvailable and maxUnavailable cannot be both set"))
    for member in ("minAvailable", "maxUnavailable"):
        if (value := spec.get(member)) is not None:
            wrong += validate_int_or_percent(value, child(path, member)) + at_most_whole(value, child(path, member))
    wrong += validate_label_selector(spec.get("selector") or {}, child(path, "selector"))
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _POLICIES:
        wrong.append(not_supported(child(path, "unhealthyPodEvictionPolicy"), policy, _POLICIES))
    return wrong


def spent(status: JSONObject, pod: str, now: str) -> JSONObject:
    """The status after one more disruption: that of `pod`."""
    left = (status.get("disruptionsAllowed") or 0) - 1
    out = {**status, "disruptionsAllowed": left, "disruptedPods": {**(status.get("disruptedPods") or {}), pod: now}}
    return {**out, "conditions": _with_condition(out, now)} if left == 0 else out


def _with_condition(status: JSONObject, now: str) -> list[JSONObject]:
    """The conditions of a budget that has no disruption left."""
    fresh: dict[str, Any] = {
        "type": _ALLOWED,
        "status": "False",
        "reason": "InsufficientPods",
        "message": "",
        "lastTransitionTime": now,
    }
    if status.get("observedGeneration"):
        fresh["observedGeneration"] = status["observedGeneration"]
    conditions = list(status.get("conditions") or [])
    for at, present in enumerate(conditions):
        if present.get("type") == _ALLOWED:
            if present.get("status") == "False":
                fresh["lastTransitionTime"] = present.get("lastTransitionTime")
            conditions[at] = {**present, **fresh}
            return conditions
    return [*conditions, fresh]


def denied(budget: JSONObject) -> str:
    """Why a budget allows no disruption."""
    name, status = name_of(budget), budget.get("status") or {}
    found = (one for one in status.get("conditions") or [] if one.get("type") == _ALLOWED)
    condition: JSONObject = next(found, {})
    told = condition.get("message") if condition.get("status") == "False" else ""
    plain = f"The disruption budget {name} does not allow evicting pods currently"
    # What a failed sync has counted is not to be trusted.
    if told and condition.get("reason") == "SyncFailed":
        return f"{plain} because it failed sync: {told}"
    desired, current = status.get("desiredHealthy") or 0, status.get("currentHealthy") or 0
    if current <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {current} currently"
    return f"{plain} ({condition.get('reason', '')}): {told}" if told else plain
