"""What a cron job needs now: a job to make, jobs to replace and to forget, its status, and when to look again. Pure.

Source: kubernetes pkg/controller/cronjob/{cronjob_controllerv2,utils}.go.
Differs: a schedule without a time zone is of UTC.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from reflector import JSONObject, controller_reference

from ._conditions import condition
from ._cron_times import Schedule, next_time, times_between
from ._times import rfc3339, unix_of
from ._workload_objects import (
    annotations_of,
    is_terminating,
    labels_of,
    meta,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
LOOK_LATER_S = 0.1
"""So long after a time it is looked at: clocks are not that exact. Source: nextScheduleDelta."""


class CronJobPlan(msgspec.Struct, frozen=True):
    """What is to be written, in this order."""

    forget: tuple[JSONObject, ...] = ()
    """Finished jobs that are more than are kept."""
    replace: tuple[JSONObject, ...] = ()
    """Jobs that run and give way to the new one."""
    create: JSONObject | None = None
    scheduled_s: float = 0.0
    """The time that `create` is for."""
    status: JSONObject = {}
    """Without the new job: that is added once it was made."""
    again_in_s: float | None = None


def plan_cron_job(cron_job: JSONObject, jobs: Sequence[JSONObject], schedule: Schedule, now: float) -> CronJobPlan:
    """The next step.

    Args:
        jobs: those that it controls.
        schedule: its own, read.
    """
    status = _tidied(status_of(cron_job), jobs)
    if is_terminating(cron_job):
        return CronJobPlan(status=status)
    forget = tuple(_surplus(cron_job, jobs))
    spec = spec_of(cron_job)
    if spec.get("suspend"):
        return CronJobPlan(forget=forget, status=status)
    zone = str(spec.get("timeZone") or "UTC")
    following = next_time(schedule, now, zone)
    again_in_s = following - now + LOOK_LATER_S if following is not None else None
    due = _due(cron_job, schedule, now, zone)
    active = status.get("active") or []
    if due is None or (spec.get("concurrencyPolicy") == "Forbid" and active):
        return CronJobPlan(forget=forget, status=status, again_in_s=again_in_s)
    names = [one["name"] for one in active]
    return CronJobPlan(
        forget=forget,
        replace=tuple(one for one in jobs if spec.get("concurrencyPolicy") == "Replace" and name_of(one) in names),
        create=job_of(cron_job, due),
        scheduled_s=due,
        status=status,
        again_in_s=again_in_s,
    )


def _due(cron_job: JSONObject, schedule: Schedule, now: float, zone: str) -> float | None:
    """The latest time that has come and is not made up for yet; None where there is none, or it is too late for it."""
    status, spec = status_of(cron_job), spec_of(cron_job)
    since = unix_of(status.get("lastScheduleTime") or meta(cron_job).get("creationTimestamp"))
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None:
        since = max(since, now - int(deadline))
    latest = deque(times_between(schedule, since, now, zone), maxlen=1)
    return latest[0] if latest else None


def job_of(cron_job: JSONObject, scheduled_s: float) -> JSONObject:
    """The job for that time. Its name is made of it, so that it cannot be made twice."""
    template = spec_of(cron_job).get("jobTemplate") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{name_of(cron_job)}-{int(scheduled_s) // 60}",
            "namespace": namespace_of(cron_job),
            "labels": dict(labels_of(template)),
            "annotations": {**annotations_of(template), SCHEDULED_AT: rfc3339(scheduled_s)},
            "ownerReferences": [controller_reference(cron_job, "batch/v1", "CronJob")],
        },
        "spec": spec_of(template),
    }


def with_job(status: JSONObject, job: JSONObject, scheduled_s: float) -> JSONObject:
    """The status with a job that was just made."""
    reference = {
        "kind": "Job",
        "namespace": namespace_of(job),
        "name": name_of(job),
        "uid": uid_of(job),
        "apiVersion": "batch/v1",
        "resourceVersion": meta(job).get("resourceVersion", ""),
    }
    return {**status, "active": [*(status.get("active") or []), reference], "lastScheduleTime": rfc3339(scheduled_s)}


def _end_of(job: JSONObject) -> str:
    """Complete, Failed, or "" while it runs."""
    for ended in ("Complete", "Failed"):
        found = condition(status_of(job), ended)
        if found is not None and found.get("status") == "True":
            return ended
    return ""


def _tidied(status: JSONObject, jobs: Sequence[JSONObject]) -> JSONObject:
    """The status without jobs that ended or are gone, and with the latest success."""
    running = {uid_of(one) for one in jobs if not _end_of(one)}
    active = [one for one in status.get("active") or () if one.get("uid") in running]
    tidied = {name: value for name, value in status.items() if name != "active"}
    if active:
        tidied["active"] = active
    successes = [str(status_of(one).get("completionTime") or "") for one in jobs if _end_of(one) == "Complete"]
    latest = max([str(status.get("lastSuccessfulTime") or ""), *successes])
    return {**tidied, "lastSuccessfulTime": latest} if latest else tidied


def _surplus(cron_job: JSONObject, jobs: Sequence[JSONObject]) -> list[JSONObject]:
    """Finished jobs, the oldest first, that are more than are kept of their kind."""
    found: list[JSONObject] = []
    for ended, limit, usual in (("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)):
        kept = spec_of(cron_job).get(limit)
        alike = [one for one in jobs if _end_of(one) == ended and not is_terminating(one)]
        alike.sort(key=lambda one: (status_of(one).get("startTime") or "", name_of(one)))
        found += alike[: max(0, len(alike) - (usual if kept is None else int(kept)))]
    return found
