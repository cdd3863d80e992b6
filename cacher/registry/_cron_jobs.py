"""CronJobs: jobs at certain times. Pure.

Source: kubernetes pkg/registry/batch/cronjob/strategy.go; pkg/apis/batch/v1/defaults.go (SetDefaults_CronJob);
pkg/apis/batch/validation/validation.go (ValidateCronJob…).
"""

from __future__ import annotations

import re

from ._cron_schedule import is_time_zone, schedule_problem
from ._errors import GroupResource
from ._field_errors import FieldError, child, invalid, not_supported, required
from ._job_validation import validate_job_spec
from ._jobs import default_job_spec
from ._meta import JSONObject, name_of
from ._pod_defaults import changed, filled
from ._replica_sets import pod_name_warnings
from ._rest import Context
from ._strategy import StatusStrategy, Strategy
from ._validation_meta import validate_core_meta_update
from ._workload_validation import non_negative

NAME_BYTES_MAX = 52
"""What is left of a label when a job's time is written behind the name."""
_POLICIES = ("Allow", "Forbid", "Replace")
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")
_SPEC: JSONObject = {
    "concurrencyPolicy": "Allow",
    "suspend": False,
    "successfulJobsHistoryLimit": 3,
    "failedJobsHistoryLimit": 1,
    "jobTemplate": {},
}


class CronJobStrategy(Strategy):
    """The rules of cron jobs."""

    def __init__(self) -> None:
        super().__init__(GroupResource("batch", "cronjobs"), "CronJob", empty_status={})

    def default(self, obj: JSONObject) -> JSONObject:
        """Jobs may overlap; three that succeeded are kept, and one that failed. The template has a job's defaults."""
        whole = filled(obj, {"spec": {}, "status": {}})
        spec = filled(whole["spec"], _SPEC)
        template = changed(filled(spec["jobTemplate"], {"spec": {}}), "spec", _default_template)
        return {**whole, "spec": {**spec, "jobTemplate": template}}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, spec, and a name that leaves room for times."""
        wrong = super().validate(context, obj) + validate_cron_job_spec(obj.get("spec") or {}, None)
        if len(name_of(obj)) > NAME_BYTES_MAX:
            wrong.append(invalid("metadata.name", name_of(obj), f"must be no more than {NAME_BYTES_MAX} bytes"))
        return wrong

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As an update. What the old one was allowed stays so."""
        spec, before = new.get("spec") or {}, old.get("spec") or {}
        return validate_core_meta_update(new, old) + validate_cron_job_spec(spec, before)

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """See `pod_name_warnings`."""
        return pod_name_warnings(obj)


def _default_template(spec: JSONObject) -> JSONObject:
    """As a job's, but that its selector is nobody's business yet."""
    defaults = default_job_spec(spec)
    kept = (
        "template",
        "completions",
        "parallelism",
        "backoffLimit",
        "completionMode",
        "suspend",
        "podReplacementPolicy",
    )
    return {name: value for name, value in defaults.items() if name in spec or name in kept}


class CronJobStatusStrategy(StatusStrategy):
    """The rules of a cron job's status: none but those of metadata."""


def validate_cron_job_spec(spec: JSONObject, old: JSONObject | None, path: str = "spec") -> list[FieldError]:
    """What is wrong with a spec that is new (`old` is None), or to replace another one."""
    wrong = _validate_schedule(spec, old, child(path, "schedule"))
    wrong += non_negative(spec, path, "startingDeadlineSeconds")
    zone = spec.get("timeZone")
    if zone is not None and (old is None or old.get("timeZone") != zone):
        wrong += _validate_zone(zone, child(path, "timeZone"))
    policy, where = spec.get("concurrencyPolicy") or "", child(path, "concurrencyPolicy")
    if not policy:
        wrong.append(required(where))
    elif policy not in _POLICIES:
        wrong.append(not_supported(where, policy, _POLICIES))
    template, below = (spec.get("jobTemplate") or {}).get("spec") or {}, child(path, "jobTemplate", "spec")
    wrong += validate_job_spec(template, below)
    if template.get("selector") is not None:
        wrong.append(invalid(child(below, "selector"), template["selector"], "`selector` will be auto-generated"))
    if template.get("manualSelector"):
        wrong.append(not_supported(child(below, "manualSelector"), template["manualSelector"], ("nil", "false")))
    return wrong + non_negative(spec, path, "successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def _validate_schedule(spec: JSONObject, old: JSONObject | None, path: str) -> list[FieldError]:
    schedule = spec.get("schedule") or ""
    if not schedule:
        return [required(path)]
    problem = schedule_problem(schedule)
    wrong = [invalid(path, schedule, problem)] if problem else []
    may_have_zone = old is not None and "TZ" in (old.get("schedule") or "")
    if may_have_zone and "TZ" in schedule and spec.get("timeZone") is not None:
        wrong.append(invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
    if not may_have_zone and "TZ" in schedule:
        wrong.append(invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
    return wrong


def _validate_zone(zone: str, path: str) -> list[FieldError]:
    if not zone:
        return [invalid(path, zone, "timeZone must be nil or non-empty string")]
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            return [invalid(path, zone, f"unknown time zone {zone}")]
    wrong: list[FieldError] = []
    if zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        wrong.append(invalid(path, zone, why))
    elif not is_time_zone(zone):
        wrong.append(invalid(path, zone, f"unknown time zone {zone}"))
    return wrong
