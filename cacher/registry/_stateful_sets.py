"""StatefulSets: pods with names and volumes of their own. Pure.

Source: kubernetes pkg/registry/apps/statefulset/strategy.go; pkg/apis/apps/v1/defaults.go (SetDefaults_StatefulSet);
pkg/apis/apps/validation/validation.go (ValidateStatefulSet…).
Differs: the claims of volumeClaimTemplates are not checked.
"""

from __future__ import annotations

from ._errors import GroupResource
from ._field_errors import FieldError, child, forbidden, invalid, not_supported, required
from ._label_selectors import read_selector
from ._meta import JSONObject, metadata
from ._names import dns1123_label
from ._pod_defaults import changed, default_pod_template, filled
from ._pod_validation import validate_pod_template
from ._replica_sets import pod_name_warnings
from ._rest import Context
from ._strategy import StatusStrategy, Strategy
from ._validation_meta import validate_annotations, validate_core_meta_update, validate_labels
from ._workload_validation import (
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

_ROLLING, _ON_DELETE = "RollingUpdate", "OnDelete"
_POLICIES = ("OrderedReady", "Parallel")
_RETENTIONS = ("Retain", "Delete")
_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_IMMUTABLE = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_PARTS = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
_SPEC: JSONObject = {
    "podManagementPolicy": "OrderedReady",
    "replicas": 1,
    "revisionHistoryLimit": 10,
    "template": {},
    "serviceName": "",
    "persistentVolumeClaimRetentionPolicy": {},
}


class StatefulSetStrategy(Strategy):
    """The rules of stateful sets."""

    def __init__(self) -> None:
        status = {"replicas": 0, "availableReplicas": 0}
        super().__init__(GroupResource("apps", "statefulsets"), "StatefulSet", empty_status=status)

    def default(self, obj: JSONObject) -> JSONObject:
        """One pod after the other, replaced one by one, whose claims stay."""
        whole = filled(obj, {"spec": {}, "status": {}})
        spec = filled(whole["spec"], _SPEC)
        strategy = spec.get("updateStrategy") or {}
        if not strategy.get("type"):
            strategy = filled({**strategy, "type": _ROLLING}, {"rollingUpdate": {}})
        if strategy["type"] == _ROLLING:
            strategy = changed(strategy, "rollingUpdate", lambda rolling: filled(rolling, {"partition": 0}))
        retention = {"whenDeleted": "Retain", "whenScaled": "Retain"}
        spec = changed(spec, "persistentVolumeClaimRetentionPolicy", lambda policy: filled(policy, retention))
        spec = {**spec, "updateStrategy": strategy, "template": default_pod_template(spec["template"])}
        return {**whole, "spec": spec}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and spec."""
        return super().validate(context, obj) + validate_stateful_set_spec(obj.get("spec") or {})

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As an update: the pods' template may change, how they are told apart may not."""
        spec, before = new.get("spec") or {}, old.get("spec") or {}
        wrong = validate_core_meta_update(new, old) + validate_stateful_set_spec(spec, is_new=False)
        if _fixed(spec) != _fixed(before):
            wrong.append(forbidden("spec", _IMMUTABLE))
        return wrong

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """See `pod_name_warnings`."""
        return pod_name_warnings(obj)


class StatefulSetStatusStrategy(StatusStrategy):
    """The rules of a stateful set's status."""

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Counts, and then metadata."""
        status = new.get("status") or {}
        wrong = non_negative(status, "status", "replicas", *_PARTS, "observedGeneration", "collisionCount")
        wrong += at_most(status, "status", _PARTS, "replicas", "cannot be greater than status.replicas")
        available = ("availableReplicas",)
        wrong += at_most(status, "status", available, "readyReplicas", "cannot be greater than status.readyReplicas")
        wrong += super().validate_update(context, new, old)
        return wrong + not_decremented(status, old.get("status") or {}, "status")


def _fixed(spec: JSONObject) -> JSONObject:
    return {name: value for name, value in spec.items() if name not in _MUTABLE}


def validate_stateful_set_spec(spec: JSONObject, path: str = "spec", *, is_new: bool = True) -> list[FieldError]:
    """What is wrong with a spec, in the order in which Kubernetes looks."""
    wrong = _validate_management(spec, path)
    wrong += _validate_strategy(spec.get("updateStrategy") or {}, child(path, "updateStrategy"))
    policy, where = spec.get("persistentVolumeClaimRetentionPolicy") or {}, "persistentVolumeClaimRetentionPolicy"
    for member, value in policy.items():
        if value not in _RETENTIONS:
            wrong.append(not_supported(child(path, where, member), value, _RETENTIONS))
    wrong += non_negative(spec, path, "replicas", "minReadySeconds")
    wrong += non_negative({"ordinals.start": (spec.get("ordinals") or {}).get("start")}, path, "ordinals.start")
    if (service := spec.get("serviceName") or "") and is_new:
        wrong += [invalid(child(path, "serviceName"), service, why) for why in dns1123_label(service)]
    return wrong + _validate_selector_and_template(spec, path)


def _validate_management(spec: JSONObject, path: str) -> list[FieldError]:
    policy, where = spec.get("podManagementPolicy") or "", child(path, "podManagementPolicy")
    if not policy:
        return [required(where)]
    return [] if policy in _POLICIES else [invalid(where, policy, f"must be '{_POLICIES[0]}' or '{_POLICIES[1]}'")]


def _validate_strategy(strategy: JSONObject, path: str) -> list[FieldError]:
    kind, rolling, where = strategy.get("type") or "", strategy.get("rollingUpdate"), child(path, "rollingUpdate")
    if not kind:
        return [required(path)]
    if kind == _ON_DELETE:
        why = f"only allowed for updateStrategy '{_ROLLING}'"
        return [invalid(where, rolling, why)] if rolling is not None else []
    if kind != _ROLLING:
        return [invalid(path, strategy, f"must be '{_ROLLING}' or '{_ON_DELETE}'")]
    wrong = non_negative(rolling or {}, where, "partition")
    if (unavailable := (rolling or {}).get("maxUnavailable")) is not None:
        here = child(where, "maxUnavailable")
        wrong += validate_int_or_percent(unavailable, here)
        wrong += [] if amount(unavailable) else [invalid(here, unavailable, "cannot be 0")]
        wrong += at_most_whole(unavailable, here)
    return wrong


def _validate_selector_and_template(spec: JSONObject, path: str) -> list[FieldError]:
    selector, where = spec.get("selector"), child(path, "selector")
    template, below = spec.get("template") or {}, child(path, "template")
    wrong = [required(where)] if selector is None else []
    if selector is not None:
        wrong += validate_selector(selector, where, empty="empty selector is invalid for statefulset")
    if selector is not None and read_selector(selector) is None:
        wrong.append(invalid(where, selector, ""))
    else:
        meta = metadata(template)
        wrong += validate_fit(selector, template, below) + validate_pod_template(template, below)
        # Kubernetes looks at these twice.
        wrong += validate_labels(meta.get("labels") or {}, child(below, "labels"))
        wrong += validate_annotations(meta.get("annotations") or {}, child(below, "annotations"))
    return wrong + validate_endless_pods(template.get("spec") or {}, child(below, "spec"), "StatefulSet")
