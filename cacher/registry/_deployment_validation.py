"""Whether a deployment, its status, or a rollback of it can be. Pure.

Source: kubernetes pkg/apis/apps/validation/validation.go (ValidateDeploymentSpec, ValidateDeploymentStatus and their parts).
"""

from __future__ import annotations

import re
from typing import Any

from ._deployment_defaults import ROLLING_UPDATE
from ._field_errors import FieldError, child, forbidden, invalid, not_supported, required
from ._label_selectors import is_empty_selector, read_selector, validate_label_selector
from ._meta import JSONObject, metadata
from ._pod_validation import validate_pod_template
from ._validation_meta import IMMUTABLE, validate_annotations

NON_NEGATIVE = "must be greater than or equal to 0"
_PERCENT = re.compile(r"[0-9]+%")
_NO_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


def non_negative(obj: JSONObject, member: str, path: str) -> list[FieldError]:
    """What is wrong with a number that may not be below 0; an absent one is 0."""
    value = obj.get(member) or 0
    return [invalid(child(path, member), value, NON_NEGATIVE)] if value < 0 else []


def validate_deployment_spec(spec: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with a deployment's spec, in the order in which Kubernetes looks."""
    wrong = non_negative(spec, "replicas", path)
    wrong += validate_selector_and_template(spec, path)
    wrong += _validate_strategy(spec.get("strategy") or {}, child(path, "strategy"))
    wrong += non_negative(spec, "minReadySeconds", path)
    wrong += non_negative(spec, "revisionHistoryLimit", path)
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds") or 0
    if deadline is not None:
        wrong += non_negative(spec, "progressDeadlineSeconds", path)
        if deadline <= ready:
            wrong.append(
                invalid(child(path, "progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds")
            )
    return wrong


def validate_selector_and_template(spec: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a selector, a template, and the two together: of deployments and replica sets."""
    selector, where = spec.get("selector"), child(path, "selector")
    wrong: list[FieldError] = []
    if selector is None:
        wrong.append(required(where))
    else:
        wrong += validate_label_selector(selector, where)
        if is_empty_selector(selector):
            wrong.append(invalid(where, selector, "empty selector is invalid for deployment"))
    matcher = read_selector(selector or {})
    if matcher is None:
        return [*wrong, invalid(where, selector, "invalid label selector")]
    template, below = spec.get("template") or {}, child(path, "template")
    labels = metadata(template).get("labels") or {}
    # A missing selector selects nothing, so that no labels match it: Kubernetes says so in both places.
    if (selector is not None and not matcher.is_everything and not matcher.matches(labels)) or selector is None:
        why = "`selector` does not match template `labels`"
        wrong.append(invalid(child(below, "metadata", "labels"), labels or None, why))
    wrong += validate_pod_template(template, below)
    return wrong + _validate_pods_of_replicas(template.get("spec") or {}, child(below, "spec"))


def _validate_pods_of_replicas(pods: JSONObject, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    if pods.get("restartPolicy") != "Always":
        wrong.append(not_supported(child(path, "restartPolicy"), pods.get("restartPolicy", ""), ("Always",)))
    if pods.get("activeDeadlineSeconds") is not None:
        why = "activeDeadlineSeconds in ReplicaSet is not Supported"
        wrong.append(forbidden(child(path, "activeDeadlineSeconds"), why))
    return wrong


def _validate_strategy(strategy: JSONObject, path: str) -> list[FieldError]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    where = child(path, "rollingUpdate")
    if kind == "Recreate":
        why = "may not be specified when strategy `type` is 'Recreate'"
        return [forbidden(where, why)] if rolling is not None else []
    if kind != ROLLING_UPDATE:
        return [not_supported(path, strategy, ("Recreate", ROLLING_UPDATE))]
    if rolling is None:
        return [required(where, "this should be defaulted and never be nil")]
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    wrong = validate_int_or_percent(unavailable, child(where, "maxUnavailable"))
    wrong += validate_int_or_percent(surge, child(where, "maxSurge"))
    if not _amount(unavailable) and not _amount(surge):
        wrong.append(invalid(child(where, "maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0"))
    return wrong + at_most_whole(unavailable, child(where, "maxUnavailable"))


def validate_int_or_percent(value: Any, path: str) -> list[FieldError]:
    """What is wrong with a number, or a percentage, of pods."""
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [invalid(path, value, _NO_PERCENT)]
    return [invalid(path, value, NON_NEGATIVE)] if value < 0 else []


def at_most_whole(value: Any, path: str) -> list[FieldError]:
    """What is wrong with a percentage of more than all."""
    is_too_much = isinstance(value, str) and _PERCENT.fullmatch(value) is not None and _amount(value) > 100
    return [invalid(path, value, "must not be greater than 100%")] if is_too_much else []


def _amount(value: Any) -> int:
    """The number, or the percentage's; 0 of a text that is none."""
    if isinstance(value, str):
        digits = value.removesuffix("%")
        return int(digits) if digits.isascii() and digits.isdigit() else 0
    return int(value)


def validate_deployment_update(new: JSONObject, old: JSONObject) -> list[FieldError]:
    """What may not change of a spec: the selector, by which the deployment knows its replica sets."""
    before, after = old.get("spec", {}).get("selector"), new.get("spec", {}).get("selector")
    return [invalid("spec.selector", after, IMMUTABLE)] if before != after else []


_COUNTS = (
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "collisionCount",
)


def validate_deployment_status(status: JSONObject, old: JSONObject, path: str = "status") -> list[FieldError]:
    """What is wrong with a status that is to replace `old`."""
    wrong = [error for member in _COUNTS for error in non_negative(status, member, path)]

    def count(member: str) -> int:
        return status.get(member) or 0

    for member in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if count(member) > count("replicas"):
            wrong.append(invalid(child(path, member), count(member), "cannot be greater than status.replicas"))
    if count("availableReplicas") > count("readyReplicas"):
        where = child(path, "availableReplicas")
        wrong.append(invalid(where, count("availableReplicas"), "cannot be greater than readyReplicas"))
    before = old.get("collisionCount")
    if before is not None and count("collisionCount") < before:
        wrong.append(invalid(child(path, "collisionCount"), count("collisionCount"), "cannot be decremented"))
    return wrong


def validate_rollback(rollback: JSONObject) -> list[FieldError]:
    """What is wrong with a DeploymentRollback."""
    wrong = validate_annotations(rollback.get("updatedAnnotations") or {}, "updatedAnnotations")
    if not rollback.get("name"):
        wrong.append(required("name", "name is required"))
    revision = (rollback.get("rollbackTo") or {}).get("revision") or 0
    return wrong + ([invalid("rollback.version", revision, NON_NEGATIVE)] if revision < 0 else [])
