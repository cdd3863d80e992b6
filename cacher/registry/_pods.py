"""Pods: what may change of one, how long it gets to go, and how important it is to its node.

    PodStorage
    ├── pod        RegistryStore      spec immutable but for images and the like; deletions answer with the pod
    ├── status     SubresourceStore   the status; spec and owners stay
    ├── binding    BindingStore       POST: the pod gets its node            (_pod_binding)
    └── eviction   EvictionStore      POST: a deletion, if budgets allow it  (_evictions)

Source: kubernetes pkg/registry/core/pod/strategy.go, storage/storage.go.
Differs: `ephemeralcontainers`, `resize`, and what reaches for a kubelet (`log`, `exec`, `attach`, `portforward`, `proxy`) are not
served; matchLabelKeys are not merged into selectors.
"""

from __future__ import annotations

from typing import Any

from ._errors import GroupResource
from ._field_errors import FieldError
from ._meta import JSONObject, metadata, name_of, with_metadata
from ._names import dns1123_label
from ._pod_defaults import default_pod
from ._pod_qos import qos_class
from ._pod_update import validate_pod_update
from ._pod_validation import validate_new_pod, validate_pod_spec, validate_pod_status
from ._rest import Context, DeleteOptions
from ._strategy import StatusStrategy, Strategy, count_generation
from ._validation_meta import validate_core_meta_update

FINISHED = ("Succeeded", "Failed")
_GATED: JSONObject = {
    "type": "PodScheduled",
    "status": "False",
    "lastProbeTime": None,
    "lastTransitionTime": None,
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


class PodStrategy(Strategy):
    """The rules of pods."""

    def __init__(self) -> None:
        super().__init__(GroupResource("", "pods"), "Pod", empty_status={})

    def default(self, obj: JSONObject) -> JSONObject:
        """See `_pod_defaults`."""
        return default_pod(obj)

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """A new pod is pending, and of the class that its resources make."""
        status: dict[str, Any] = {"phase": "Pending", "qosClass": qos_class(obj.get("spec") or {})}
        if (obj.get("spec") or {}).get("schedulingGates"):
            status["conditions"] = [_GATED]
        return with_metadata({**obj, "status": status}, {"generation": 1})

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and spec, and what a new pod cannot have yet."""
        return super().validate(context, obj) + validate_new_pod(obj.get("spec") or {})

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """A name that is no label makes a hostname that is none either."""
        if not (wrong := dns1123_label(name_of(obj))):
            return []
        advice = (
            "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended"
        )
        return [f"metadata.name: {advice}: [{' '.join(wrong)}]"]

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata and spec, and that little of the spec is another."""
        spec, before = new.get("spec") or {}, old.get("spec") or {}
        wrong = validate_core_meta_update(new, old) + super().validate(context, new) + validate_pod_spec(spec, "spec")
        return wrong + validate_pod_update(spec, before)

    def check_graceful_delete(self, context: Context, obj: JSONObject, options: DeleteOptions) -> int | None:
        """What the options say, or the pod itself; none where nothing runs: no node has it, or it is over."""
        spec = obj.get("spec") or {}
        seconds = options.grace_period_s
        if seconds is None:
            seconds = spec.get("terminationGracePeriodSeconds") or 0
        if not spec.get("nodeName") or (obj.get("status") or {}).get("phase") in FINISHED:
            seconds = 0
        return seconds if seconds >= 0 else 1


class PodStatusStrategy(StatusStrategy):
    """The rules of a pod's status. Its class of service is for ever; its times of deletion are not the kubelet's to set."""

    def __init__(self, whole: PodStrategy) -> None:
        super().__init__(whole, kept=("spec",), kept_metadata=("ownerReferences",))

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """Paths of what a status update does not change."""
        return (*super().reset_fields, ("metadata", "deletionTimestamp"))

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The new status; what was observed before stays known."""
        new = super().prepare_for_update(context, with_metadata(new, {"deletionTimestamp": None}), old)
        before = old.get("status") or {}
        status = dict(new.get("status") or {})
        for member in ("qosClass", "observedGeneration"):
            if not status.get(member) and before.get(member):
                status[member] = before[member]
        if status.get("conditions"):
            status["conditions"] = _observed(status["conditions"], before.get("conditions") or [])
        return {**new, "status": status}

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, conditions, and what stays as it is."""
        wrong = super().validate_update(context, new, old)
        return wrong + validate_pod_status(new.get("status") or {}, old.get("status") or {}, old.get("spec") or {})


def _observed(conditions: list[JSONObject], before: list[JSONObject]) -> list[JSONObject]:
    """The conditions; those that name no generation have that of the old one of their type."""
    known: dict[str, list[int]] = {}
    for condition in before:
        known.setdefault(condition.get("type", ""), []).append(condition.get("observedGeneration") or 0)
    out = []
    for condition in conditions:
        left = known.get(condition.get("type", ""))
        generation = left.pop(0) if left else 0
        is_lacking = not condition.get("observedGeneration") and generation
        out.append({**condition, "observedGeneration": generation} if is_lacking else condition)
    return out


def generation_counts(new: JSONObject, old: JSONObject) -> JSONObject:
    """`new`, as another generation where its spec is another."""
    return count_generation(new, old) if new.get("spec") != old.get("spec") else new


def is_ready(pod: JSONObject) -> bool:
    """Whether it says so itself."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def labels_of(obj: JSONObject) -> dict[str, str]:
    """`metadata.labels`."""
    return dict(metadata(obj).get("labels") or {})
