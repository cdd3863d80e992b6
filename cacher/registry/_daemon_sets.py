"""DaemonSets: a pod on every node. Pure.

A template has a generation of its own, which apps/v1 keeps in an annotation: it counts the template's changes alone.
Source: kubernetes pkg/registry/apps/daemonset/strategy.go; pkg/apis/apps/v1/defaults.go (SetDefaults_DaemonSet), conversion.go;
pkg/apis/apps/validation/validation.go (ValidateDaemonSet…).
"""

from __future__ import annotations

from ._errors import GroupResource
from ._field_errors import FieldError, child, invalid, not_supported, required
from ._label_selectors import is_empty_selector, validate_label_selector
from ._meta import JSONObject, metadata, with_metadata
from ._pod_defaults import default_pod_template, filled
from ._pod_validation import validate_pod_template
from ._replica_sets import pod_name_warnings
from ._rest import Context
from ._strategy import StatusStrategy, Strategy, count_generation
from ._validation_meta import validate_core_meta_update
from ._workload_validation import (
    amount,
    at_most_whole,
    non_negative,
    not_decremented,
    unchanged,
    validate_endless_pods,
    validate_fit,
    validate_int_or_percent,
)

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_ROLLING, _ON_DELETE = "RollingUpdate", "OnDelete"
_SCHEDULED = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
_COUNTS = (
    *_SCHEDULED,
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)


class DaemonSetStrategy(Strategy):
    """The rules of daemon sets."""

    def __init__(self) -> None:
        resource = GroupResource("apps", "daemonsets")
        super().__init__(resource, "DaemonSet", empty_status=dict.fromkeys(_SCHEDULED, 0))

    def default(self, obj: JSONObject) -> JSONObject:
        """Pods are replaced one node at a time."""
        whole = filled(obj, {"spec": {}, "status": {}})
        spec = filled(whole["spec"], {"updateStrategy": {}, "revisionHistoryLimit": 10, "template": {}})
        strategy = filled(spec["updateStrategy"], {"type": _ROLLING})
        if strategy["type"] == _ROLLING:
            rolling = filled(strategy.get("rollingUpdate") or {}, {"maxUnavailable": 1, "maxSurge": 0})
            strategy = {**strategy, "rollingUpdate": rolling}
        spec = {**spec, "updateStrategy": strategy, "template": default_pod_template(spec["template"])}
        return {**whole, "spec": spec}

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """The first generation, of the template too."""
        return _of_template_generation(super().prepare_for_create(context, obj), max(1, template_generation(obj)))

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The status stays; what changed of the spec counts, and of the template once more."""
        kept = {**new, "status": old.get("status") or {}}
        spec, before = new.get("spec") or {}, old.get("spec") or {}
        is_other = spec.get("template") != before.get("template")
        kept = _of_template_generation(kept, template_generation(old) + is_other)
        return count_generation(kept, old) if spec != before else kept

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and spec."""
        return super().validate(context, obj) + validate_daemon_set_spec(obj.get("spec") or {})

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one, as an update, and that the selector stays."""
        spec, before = new.get("spec") or {}, old.get("spec") or {}
        wrong = self.validate(context, new) + validate_core_meta_update(new, old)
        return wrong + unchanged(spec, before, "spec", "selector") + validate_daemon_set_spec(spec)

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """See `pod_name_warnings`."""
        return pod_name_warnings(obj)


class DaemonSetStatusStrategy(StatusStrategy):
    """The rules of a daemon set's status."""

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata and counts."""
        status = new.get("status") or {}
        wrong = super().validate_update(context, new, old) + non_negative(status, "status", *_COUNTS)
        return wrong + not_decremented(status, old.get("status") or {}, "status")


def template_generation(obj: JSONObject) -> int:
    """How often the template was another; 0 where nobody counted."""
    told = (metadata(obj).get("annotations") or {}).get(TEMPLATE_GENERATION, "")
    return int(told) if told.isascii() and told.isdigit() else 0


def _of_template_generation(obj: JSONObject, generation: int) -> JSONObject:
    annotations = metadata(obj).get("annotations") or {}
    return with_metadata(obj, {"annotations": {**annotations, TEMPLATE_GENERATION: str(generation)}})


def validate_daemon_set_spec(spec: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with a spec, in the order in which Kubernetes looks."""
    selector, where = spec.get("selector"), child(path, "selector")
    template, below = spec.get("template") or {}, child(path, "template")
    wrong = validate_label_selector(selector or {}, where) + validate_fit(selector, template, below)
    if selector is not None and is_empty_selector(selector):
        wrong.append(invalid(where, selector, "empty selector is invalid for daemonset"))
    wrong += validate_pod_template(template, below)
    wrong += validate_endless_pods(template.get("spec") or {}, child(below, "spec"), "DaemonSet")
    wrong += non_negative(spec, path, "minReadySeconds")
    wrong += _validate_strategy(spec.get("updateStrategy") or {}, child(path, "updateStrategy"))
    return wrong + non_negative(spec, path, "revisionHistoryLimit")


def _validate_strategy(strategy: JSONObject, path: str) -> list[FieldError]:
    kind, rolling, where = strategy.get("type") or "", strategy.get("rollingUpdate"), child(path, "rollingUpdate")
    if kind == _ON_DELETE:
        return []
    if kind != _ROLLING:
        return [not_supported(path, strategy, (_ROLLING, _ON_DELETE))]
    if rolling is None:
        return [required(where)]
    shares = {member: rolling.get(member, 0) for member in ("maxUnavailable", "maxSurge")}
    wrong = [
        error for member, share in shares.items() for error in validate_int_or_percent(share, child(where, member))
    ]
    wrong += [error for member, share in shares.items() for error in at_most_whole(share, child(where, member))]
    unavailable, surge = amount(shares["maxUnavailable"]), amount(shares["maxSurge"])
    if unavailable and surge:
        why = "may not be set when maxUnavailable is non-zero"
        wrong.append(invalid(child(where, "maxSurge"), shares["maxSurge"], why))
    if not unavailable and not surge:
        wrong.append(required(child(where, "maxUnavailable"), "cannot be 0 when maxSurge is 0"))
    return wrong
