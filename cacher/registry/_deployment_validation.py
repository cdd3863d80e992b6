"""Whether a deployment, its status, or a rollback of it can be. Pure.

Source: kubernetes pkg/apis/apps/validation/validation.go (ValidateDeploymentSpec, ValidateDeploymentStatus and their parts).
"""

from __future__ import annotations

from ._deployment_defaults import ROLLING_UPDATE
from ._field_errors import FieldError, child, forbidden, invalid, not_supported, required
from ._label_selectors import read_selector
from ._meta import JSONObject
from ._pod_validation import validate_pod_template
from ._validation_meta import IMMUTABLE, validate_annotations
from ._workload_validation import (
    NON_NEGATIVE,
    amount,
    at_most,
    at_most_whole,
    non_negative,
    not_decremented,
    validate_endless_pods,
    validate_fit,
    validate_int_or_percent,
    validate_selector,
)


def validate_deployment_spec(spec: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with a deployment's spec, in the order in which Kubernetes looks."""
    wrong = non_negative(spec, path, "replicas")
    wrong += validate_selector_and_template(spec, path)
    wrong += _validate_strategy(spec.get("strategy") or {}, child(path, "strategy"))
    wrong += non_negative(spec, path, "minReadySeconds", "revisionHistoryLimit")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds") or 0
    if deadline is not None:
        wrong += non_negative(spec, path, "progressDeadlineSeconds")
        if deadline <= ready:
            wrong.append(
                invalid(child(path, "progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds")
            )
    return wrong


def validate_selector_and_template(spec: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a selector, a template, and the two together: of deployments and replica sets."""
    selector, where = spec.get("selector"), child(path, "selector")
    wrong = [required(where)] if selector is None else []
    if selector is not None:
        wrong += validate_selector(selector, where, empty="empty selector is invalid for deployment")
        if read_selector(selector) is None:
            return [*wrong, invalid(where, selector, "invalid label selector")]
    template, below = spec.get("template") or {}, child(path, "template")
    wrong += validate_fit(selector, template, below) + validate_pod_template(template, below)
    return wrong + validate_endless_pods(template.get("spec") or {}, child(below, "spec"), "ReplicaSet")


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
    if not amount(unavailable) and not amount(surge):
        wrong.append(invalid(child(where, "maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0"))
    return wrong + at_most_whole(unavailable, child(where, "maxUnavailable"))


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
    "terminatingReplicas",
    "collisionCount",
)


def validate_deployment_status(status: JSONObject, old: JSONObject, path: str = "status") -> list[FieldError]:
    """What is wrong with a status that is to replace `old`."""
    wrong = non_negative(status, path, *_COUNTS)
    within = ("updatedReplicas", "readyReplicas", "availableReplicas")
    wrong += at_most(status, path, within, "replicas", "cannot be greater than status.replicas")
    available = ("availableReplicas",)
    wrong += at_most(status, path, available, "readyReplicas", "cannot be greater than readyReplicas")
    return wrong + not_decremented(status, old, path)


def validate_rollback(rollback: JSONObject) -> list[FieldError]:
    """What is wrong with a DeploymentRollback."""
    wrong = validate_annotations(rollback.get("updatedAnnotations") or {}, "updatedAnnotations")
    if not rollback.get("name"):
        wrong.append(required("name", "name is required"))
    revision = (rollback.get("rollbackTo") or {}).get("revision") or 0
    return wrong + ([invalid("rollback.version", revision, NON_NEGATIVE)] if revision < 0 else [])
