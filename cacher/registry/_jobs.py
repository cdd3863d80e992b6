"""Jobs: pods that are to finish. A job that chooses no selector gets one, and labels, of its own uid. Pure.

Source: kubernetes pkg/registry/batch/job/strategy.go; pkg/apis/batch/v1/defaults.go (SetDefaults_Job).
"""

from __future__ import annotations

from ._errors import GroupResource
from ._field_errors import FieldError
from ._job_validation import validate_job, validate_job_status, validate_job_update
from ._meta import JSONObject, metadata, name_of, text, with_metadata
from ._pod_defaults import default_pod_template, filled
from ._replica_sets import pod_name_warnings
from ._rest import Context
from ._strategy import GarbageCollection, StatusStrategy, Strategy
from ._validation_meta import validate_core_meta_update

_INT32_MAX = 2**31 - 1
NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")


class JobStrategy(Strategy):
    """The rules of jobs."""

    def __init__(self) -> None:
        super().__init__(GroupResource("batch", "jobs"), "Job", empty_status={})

    def default(self, obj: JSONObject) -> JSONObject:
        """One pod, once, tried six times more. A job without labels has those of its pods."""
        whole = filled(obj, {"metadata": {}, "spec": {}, "status": {}})
        return labelled({**whole, "spec": default_job_spec(whole["spec"])})

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """With a selector and labels of its own, unless it has one by hand."""
        spec = obj["spec"]
        if not spec.get("manualSelector"):
            obj = labelled({**obj, "spec": selecting(spec, name_of(obj), text(obj, "uid"))})
        return super().prepare_for_create(context, obj)

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, what was generated, and spec."""
        return super().validate(context, obj) + validate_job(obj)

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one, as an update, and that what pods are made of stays."""
        return self.validate(context, new) + validate_core_meta_update(new, old) + validate_job_update(new, old)

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """See `pod_name_warnings`."""
        return pod_name_warnings(obj)

    def default_garbage_collection_policy(self, context: Context) -> GarbageCollection:
        """Pods are left behind, as they always were."""
        return GarbageCollection.ORPHAN_DEPENDENTS


class JobStatusStrategy(StatusStrategy):
    """The rules of a job's status."""

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, counts, and that what is over stays over."""
        return super().validate_update(context, new, old) + validate_job_status(new, old)


def default_job_spec(spec: JSONObject) -> JSONObject:
    """A job's spec, or that of a cron job's template, with its defaults."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec = {**spec, "completions": 1}
    spec = filled(
        spec,
        {
            "parallelism": 1,
            "backoffLimit": 6 if spec.get("backoffLimitPerIndex") is None else _INT32_MAX,
            "completionMode": "NonIndexed",
            "suspend": False,
            "podReplacementPolicy": "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed",
            "manualSelector": False,
            "template": {},
        },
    )
    return {**spec, "template": default_pod_template(spec["template"])}


def labelled(obj: JSONObject) -> JSONObject:
    """The job with the labels of its pods, where it has none of its own."""
    labels = metadata(obj["spec"]["template"]).get("labels")
    return with_metadata(obj, {"labels": labels}) if labels and not metadata(obj).get("labels") else obj


def selecting(spec: JSONObject, name: str, uid: str) -> JSONObject:
    """The spec of a job whose pods are found by its uid. What it says itself is left for validation to refuse."""
    template = spec["template"]
    labels = dict(metadata(template).get("labels") or {})
    for label in NAME_LABELS:
        labels.setdefault(label, name)
    for label in UID_LABELS:
        labels.setdefault(label, uid)
    selector = spec.get("selector") or {}
    terms = {UID_LABELS[1]: uid, **(selector.get("matchLabels") or {})}
    template = with_metadata(template, {"labels": labels})
    return {**spec, "template": template, "selector": {**selector, "matchLabels": terms}}
