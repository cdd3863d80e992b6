"""Whether a job can be. Pure.

Source: kubernetes pkg/apis/batch/validation/validation.go (ValidateJob, ValidateJobSpecUpdate, validateJobStatus).
Differs: rules of podFailurePolicy and successPolicy are not checked, nor the texts of completed and failed indexes; a suspended
job's template may change in its scheduling before it starts, and in nothing else.
"""

from __future__ import annotations

from ._field_errors import OMITTED, FieldError, child, invalid, key, not_supported, required
from ._label_selectors import read_selector, validate_label_selector
from ._meta import JSONObject, metadata, name_of, text, with_member, with_metadata
from ._names import dns1123_label
from ._pod_validation import validate_pod_template
from ._validation_meta import IMMUTABLE
from ._workload_validation import NO_MATCH, fits, non_negative, unchanged

_NEVER, _ON_FAILURE = "Never", "OnFailure"
_MODES = ("NonIndexed", "Indexed")
_REPLACEMENTS = ("Failed", "TerminatingOrFailed")
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
PARALLELISM_MAX = 100_000
"""Of an indexed job: its status lists indexes."""


def validate_job(obj: JSONObject) -> list[FieldError]:
    """What is wrong with a job but its metadata."""
    spec, name = obj.get("spec") or {}, name_of(obj)
    wrong = _validate_generated(obj) + validate_job_spec(spec, "spec")
    selector = spec.get("selector")
    wrong += [required("spec.selector")] if selector is None else validate_label_selector(selector, "spec.selector")
    wrong += _validate_match(spec)
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        host = f"{name}-{completions - 1}"
        if dns1123_label(host):
            why = f"will not able to create pod with invalid DNS label: {host}"
            wrong.append(invalid("metadata.name", name, why))
    return wrong


def _validate_match(spec: JSONObject) -> list[FieldError]:
    labels = metadata(spec.get("template") or {}).get("labels") or {}
    where = "spec.template.metadata.labels"
    return [] if fits(spec.get("selector"), labels) else [invalid(where, labels or None, NO_MATCH)]


def _validate_generated(obj: JSONObject) -> list[FieldError]:
    """What is wrong with the labels and the selector that a job has of its own."""
    spec, uid, name = obj.get("spec") or {}, text(obj, "uid"), name_of(obj)
    selector = spec.get("selector")
    if spec.get("manualSelector") or selector is None:
        return []
    wrong = [] if uid else [required("metadata.uid")]
    labels = metadata(spec.get("template") or {}).get("labels") or {}
    expected = {"controller-uid": uid, "job-name": name}
    expected |= {f"batch.kubernetes.io/{label}": value for label, value in expected.items()}
    where = "spec.template.metadata.labels"
    for label, value in expected.items():
        present = labels.get(label)
        if present is None:
            wrong.append(required(key(where, label), f"must be '{value}'"))
        elif present != value:
            wrong.append(invalid(key(where, label), labels, f"must be '{value}'"))
    matcher = read_selector(selector)
    if matcher is not None and not matcher.matches(expected):
        wrong.append(invalid("spec.selector", selector, "`selector` not auto-generated"))
    return wrong


def validate_job_spec(spec: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a spec but its selector, in the order in which Kubernetes looks."""
    wrong = non_negative(spec, path, *_COUNTS)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        wrong.append(required(child(path, "backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
    wrong += _validate_mode(spec, path)
    policy = spec.get("podReplacementPolicy")
    where = child(path, "podReplacementPolicy")
    if policy is not None and spec.get("podFailurePolicy") is not None and policy != "Failed":
        wrong.append(not_supported(where, policy, ("Failed",)))
    elif policy is not None and policy not in _REPLACEMENTS:
        wrong.append(not_supported(where, policy, _REPLACEMENTS))
    template, below = spec.get("template") or {}, child(path, "template")
    return (
        wrong + validate_pod_template(template, below) + _validate_restart(spec, child(below, "spec", "restartPolicy"))
    )


def _validate_mode(spec: JSONObject, path: str) -> list[FieldError]:
    mode = spec.get("completionMode") or _MODES[0]
    if mode not in _MODES:
        return [not_supported(child(path, "completionMode"), mode, _MODES)]
    wrong: list[FieldError] = []
    if mode == _MODES[0]:
        for member in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(member) is not None:
                wrong.append(invalid(child(path, member), spec[member], "requires indexed completion mode"))
        return wrong
    if spec.get("completions") is None:
        wrong.append(required(child(path, "completions"), f"when completion mode is {mode}"))
    parallelism = spec.get("parallelism") or 0
    if parallelism > PARALLELISM_MAX:
        why = f"must be less than or equal to {PARALLELISM_MAX} when completion mode is {mode}"
        wrong.append(invalid(child(path, "parallelism"), parallelism, why))
    failed, completions = spec.get("maxFailedIndexes"), spec.get("completions")
    if failed is not None and completions is not None and failed > completions:
        wrong.append(invalid(child(path, "maxFailedIndexes"), failed, "must be less than or equal to completions"))
    return wrong


def _validate_restart(spec: JSONObject, path: str) -> list[FieldError]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy") or ""
    if policy in ("", "Always"):
        return [required(path, f'valid values: "{_ON_FAILURE}", "{_NEVER}"')]
    if policy not in (_ON_FAILURE, _NEVER):
        return [not_supported(path, policy, (_ON_FAILURE, _NEVER))]
    if spec.get("podFailurePolicy") is not None and policy != _NEVER:
        return [invalid(path, policy, f'only "{_NEVER}" is supported when podFailurePolicy is specified')]
    return []


def validate_job_update(new: JSONObject, old: JSONObject) -> list[FieldError]:
    """What of a spec may not be another."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    wrong = validate_job_spec(spec, "spec") + _validate_match(spec)
    if spec.get("completionMode") != "Indexed":
        wrong += unchanged(spec, before, "spec", "completions")
    elif spec.get("completions") not in (None, before.get("completions")) and spec["completions"] != spec.get(
        "parallelism"
    ):
        why = "can only be modified in tandem with spec.parallelism"
        wrong.append(invalid("spec.completions", spec["completions"], why))
    wrong += unchanged(spec, before, "spec", "selector")
    is_waiting = bool(before.get("suspend")) and not (old.get("status") or {}).get("startTime")
    template = (
        _rescheduled(before.get("template") or {}, spec.get("template") or {}) if is_waiting else before.get("template")
    )
    if (spec.get("template") or {}) != (template or {}):
        wrong.append(invalid("spec.template", spec.get("template"), IMMUTABLE))
    fixed = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
    return wrong + unchanged(spec, before, "spec", *fixed)


def _rescheduled(template: JSONObject, like: JSONObject) -> JSONObject:
    """The template, with where its pods may run taken from another one."""
    spec, other = dict(template.get("spec") or {}), like.get("spec") or {}
    for member in ("nodeSelector", "tolerations", "schedulingGates"):
        spec = with_member(spec, member, other.get(member))
    affinity = with_member(
        spec.get("affinity") or {}, "nodeAffinity", (other.get("affinity") or {}).get("nodeAffinity")
    )
    spec = with_member(spec, "affinity", affinity or None)
    meta = metadata(like)
    marks = {"annotations": meta.get("annotations"), "labels": meta.get("labels")}
    return (
        with_metadata({**template, "spec": spec}, marks)
        if template.get("metadata") or any(marks.values())
        else {**template, "spec": spec}
    )


def _is_true(status: JSONObject, condition: str) -> bool:
    return any(one.get("type") == condition and one.get("status") == "True" for one in status.get("conditions") or [])


def validate_job_status(new: JSONObject, old: JSONObject) -> list[FieldError]:
    """What is wrong with a status that is to replace another."""
    status, before = new.get("status") or {}, old.get("status") or {}
    wrong = non_negative(status, "status", "active", "succeeded", "failed", "ready", "terminating")
    if _is_true(status, "Complete") and _is_true(status, "Failed"):
        why = "cannot set Complete=True and Failed=true conditions"
        wrong.append(invalid("status.conditions", OMITTED, why))
    for condition in ("Failed", "Complete", "FailureTarget"):
        if _is_true(before, condition) and not _is_true(status, condition):
            why = f"cannot disable the terminal {condition}=True condition"
            wrong.append(invalid("status.conditions", OMITTED, why))
    is_over = _is_true(status, "Complete") or _is_true(status, "Failed")
    if is_over and (status.get("active") or 0) > 0 and status.get("active") != before.get("active"):
        wrong.append(invalid("status.active", status["active"], "active>0 is invalid for finished job"))
    return wrong
