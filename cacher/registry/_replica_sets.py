"""ReplicaSets: so many pods of one template. Pure.

Source: kubernetes pkg/registry/apps/replicaset/strategy.go; pkg/apis/apps/v1/defaults.go (SetDefaults_ReplicaSet);
pkg/apis/apps/validation/validation.go (ValidateReplicaSet…).
"""

from __future__ import annotations

from ._deployment_validation import validate_selector_and_template
from ._errors import GroupResource
from ._field_errors import FieldError
from ._meta import JSONObject, name_of
from ._names import dns1123_label
from ._pod_defaults import default_pod_template, filled
from ._rest import Context
from ._strategy import StatusStrategy, Strategy
from ._validation_meta import validate_core_meta_update
from ._workload_validation import at_most, non_negative, unchanged

_PARTS = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
_COUNTS = ("replicas", *_PARTS, "observedGeneration", "terminatingReplicas")


def pod_name_warnings(obj: JSONObject) -> list[str]:
    """A name that is no label makes names of pods that are none either."""
    if not (wrong := dns1123_label(name_of(obj))):
        return []
    advice = (
        "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended"
    )
    return [f"metadata.name: {advice}: [{' '.join(wrong)}]"]


class ReplicaSetStrategy(Strategy):
    """The rules of replica sets."""

    def __init__(self) -> None:
        super().__init__(GroupResource("apps", "replicasets"), "ReplicaSet", empty_status={"replicas": 0})

    def default(self, obj: JSONObject) -> JSONObject:
        """One pod, where no number is named."""
        whole = filled(obj, {"spec": {}, "status": {}})
        spec = filled(whole["spec"], {"replicas": 1, "template": {}})
        return {**whole, "spec": {**spec, "template": default_pod_template(spec["template"])}}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and spec."""
        return super().validate(context, obj) + self._validate_spec(obj)

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one, as an update, and that the selector stays."""
        wrong = self.validate(context, new) + validate_core_meta_update(new, old) + self._validate_spec(new)
        return wrong + unchanged(new.get("spec") or {}, old.get("spec") or {}, "spec", "selector")

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """See `pod_name_warnings`."""
        return pod_name_warnings(obj)

    def _validate_spec(self, obj: JSONObject) -> list[FieldError]:
        spec = obj.get("spec") or {}
        wrong = non_negative(spec, "spec", "replicas", "minReadySeconds")
        return wrong + validate_selector_and_template(spec, "spec")


class ReplicaSetStatusStrategy(StatusStrategy):
    """The rules of a replica set's status."""

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata and counts."""
        status = new.get("status") or {}
        wrong = super().validate_update(context, new, old) + non_negative(status, "status", *_COUNTS)
        wrong += at_most(status, "status", _PARTS, "replicas", "cannot be greater than status.replicas")
        available = ("availableReplicas",)
        return wrong + at_most(status, "status", available, "readyReplicas", "cannot be greater than readyReplicas")
