"""What a job needs now: pods to make or delete, finalizers to take away, and its new status. Pure.

    it runs     as many pods at once as `parallelism` says, until `completions` have succeeded
    it is over  SuccessCriteriaMet or FailureTarget: no more pods are made, those that run are deleted
    it is done  once every pod is counted and none runs: Complete or Failed, and nothing changes any more

Source: kubernetes pkg/controller/job/job_controller.go.
Differs: no podFailurePolicy, successPolicy, or limits for each index; backoff by the pods that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import msgspec

from reflector import JSONObject, controller_reference

from . import _job_counting as counting
from ._conditions import condition, with_condition
from ._job_counting import Tally
from ._times import rfc3339, unix_of
from ._workload_objects import (
    annotations_of,
    counts,
    is_terminating,
    labels_of,
    name_of,
    spec_of,
    status_of,
    with_metadata,
    with_spec,
)
from ._workload_pods import PodView
from ._workload_ranking import pods_to_delete
from ._workload_template import generate_name, pod_from

BURST = 500
"""Pods that one reconcile makes or deletes at most. Source: MaxPodCreateDeletePerSync."""

_MESSAGES = {
    "CompletionsReached": "Reached expected number of succeeded pods",
    "BackoffLimitExceeded": "Job has reached the specified backoff limit",
    "DeadlineExceeded": "Job was active longer than specified deadline",
}


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it works; most are constants in Kubernetes."""

    workers: int = 5
    first_backoff_s: float = 10.0
    most_backoff_s: float = 600.0
    burst: int = BURST


class JobPlan(msgspec.Struct, frozen=True):
    """What is to be written: pods first, then the status, and finalizers once that is stored."""

    create: tuple[int | None, ...] = ()
    """One pod each; its index in an indexed job."""
    delete: tuple[PodView, ...] = ()
    status: JSONObject | None = None
    """None where it is as it should be."""
    release: tuple[PodView, ...] = ()
    again_in_s: float | None = None


def is_finished(job: JSONObject) -> bool:
    """Whether it came to its end, in whatever way."""
    return any(
        one.get("status") == "True" and one.get("type") in ("Complete", "Failed")
        for one in status_of(job).get("conditions") or ()
    )


def plan_job(job: JSONObject, pods: Sequence[PodView], now: float, options: JobOptions) -> JobPlan:
    """The next step.

    Args:
        pods: those that it controls, of any state.
    """
    if is_finished(job):
        # What ended after the job did is counted no more, but is not to be held for that.
        return JobPlan(release=tuple(pod for pod in pods if counting.is_tracked(pod)))
    return _Step(job, pods, now, options).plan()


@final
class _Step:
    def __init__(self, job: JSONObject, pods: Sequence[PodView], now: float, options: JobOptions) -> None:
        self.job, self.pods, self.now, self.options = job, pods, now, options
        self.spec = spec_of(job)
        self.tally: Tally = counting.tally(job, pods)
        self.active = [pod for pod in pods if pod.is_active]
        self.terminating = sum(pod.is_terminating and not pod.is_finished for pod in pods)
        self.is_suspended = bool(self.spec.get("suspend"))
        self.create: list[int | None] = []
        self.delete: list[PodView] = []
        self.waits: list[float] = []

    def plan(self) -> JobPlan:
        status = self._started(status_of(self.job))
        over = self._over(status)
        if is_terminating(self.job):
            pass  # whoever deletes it looks after its pods
        elif over or self.is_suspended:
            self.delete = list(self.active)
        else:
            self._manage()
        status = self._counted(self._told(status, over))
        return JobPlan(
            create=tuple(self.create),
            delete=tuple(self.delete),
            status=None if status == status_of(self.job) else status,
            release=self.tally.release,
            again_in_s=min(self.waits, default=None),
        )

    def _started(self, status: JSONObject) -> JSONObject:
        """The time from which the deadline counts; a job that is suspended and goes on starts anew."""
        if self.is_suspended or status.get("startTime"):
            return status
        return {**status, "startTime": rfc3339(self.now)}

    def _over(self, status: JSONObject) -> tuple[str, str] | None:
        """(type of the condition, reason), where it is to run no longer."""
        for interim in ("FailureTarget", "SuccessCriteriaMet"):
            told = condition(status, interim)
            if told is not None and told.get("status") == "True":
                return interim, str(told.get("reason", ""))
        if self._exceeds_backoff_limit():
            return "FailureTarget", "BackoffLimitExceeded"
        if self._is_past_deadline(status):
            return "FailureTarget", "DeadlineExceeded"
        completions = self.spec.get("completions")
        succeeded = self.tally.all_succeeded
        # Without a number the pods agree among themselves when all is done: one success, and the others come to their end.
        is_complete = succeeded >= int(completions) if completions is not None else succeeded > 0 and not self.active
        return ("SuccessCriteriaMet", "CompletionsReached") if is_complete else None

    def _exceeds_backoff_limit(self) -> bool:
        limit = int(self.spec.get("backoffLimit", 6))
        if self.tally.all_failed > limit:
            return True
        template = spec_of(self.spec.get("template") or {})
        if template.get("restartPolicy") != "OnFailure":
            return False
        restarts = sum(pod.restarts for pod in self.active)
        return restarts >= limit if limit else restarts > 0

    def _is_past_deadline(self, status: JSONObject) -> bool:
        seconds = self.spec.get("activeDeadlineSeconds")
        if seconds is None or not status.get("startTime") or self.is_suspended:
            return False
        left = unix_of(status["startTime"]) + int(seconds) - self.now
        if left > 0:
            self.waits.append(left)
        return left <= 0

    def _manage(self) -> None:
        """As many pods as are wanted at once. Source: manageJob."""
        parallelism, completions = int(self.spec.get("parallelism", 1)), self.spec.get("completions")
        if completions is None:
            wanted = len(self.active) if self.tally.all_succeeded else parallelism
        else:
            wanted = max(0, min(int(completions) - self.tally.all_succeeded, parallelism))
        surplus = self._surplus(len(self.active) - wanted)
        if surplus:
            self.delete = surplus[: self.options.burst]
            return
        missing = wanted - len(self.active)
        if counting.replaces_only_failed(self.job):
            missing -= self.terminating
        if missing <= 0:
            return
        wait = counting.backoff_s(
            self.job, self.pods, self.now, self.options.first_backoff_s, self.options.most_backoff_s
        )
        if wait > 0:
            self.waits.append(wait)
            return
        self.create = self._indexes(min(missing, self.options.burst))

    def _surplus(self, too_many: int) -> list[PodView]:
        """Pods that are not wanted: of an indexed job first those whose index is done, or that another pod has."""
        unwanted: list[PodView] = []
        if counting.is_indexed(self.job):
            taken = set(self.tally.indexes)
            for pod in self.active:
                index = counting.index_of(pod)
                if index is None or index >= int(self.spec.get("completions") or 0) or index in taken:
                    unwanted.append(pod)
                else:
                    taken.add(index)
        rest = [pod for pod in self.active if pod not in unwanted]
        return unwanted + pods_to_delete(rest, rest, max(0, too_many - len(unwanted)), self.now)

    def _indexes(self, count: int) -> list[int | None]:
        if not counting.is_indexed(self.job):
            return [None] * count
        taken = {*self.tally.indexes, *(counting.index_of(pod) for pod in self.active)}
        free = (index for index in range(int(self.spec.get("completions") or 0)) if index not in taken)
        return [index for index, _ in zip(free, range(count), strict=False)]

    # --- status -------------------------------------------------------------------------------------------------------

    def _told(self, status: JSONObject, over: tuple[str, str] | None) -> JSONObject:
        """The status with what the job has come to."""
        if over is None:
            return self._suspension_told(status)
        interim, reason = over
        told = with_condition(status, self._condition(interim, "True", reason, _MESSAGES.get(reason, "")))
        if self.active or self.terminating or self.tally.uncounted_succeeded or self.tally.uncounted_failed:
            return told
        if interim == "SuccessCriteriaMet":
            done = with_condition(told, self._condition("Complete", "True", reason, _MESSAGES.get(reason, "")))
            return {**done, "completionTime": rfc3339(self.now)}
        return with_condition(told, self._condition("Failed", "True", reason, _MESSAGES.get(reason, "")))

    def _suspension_told(self, status: JSONObject) -> JSONObject:
        present = condition(status, "Suspended")
        if self.is_suspended:
            if present is not None and present.get("status") == "True":
                return status
            changed = {name: value for name, value in status.items() if name != "startTime"}
            return with_condition(changed, self._condition("Suspended", "True", "JobSuspended", "Job suspended"))
        if present is None or present.get("status") != "True":
            return status
        resumed = with_condition(status, self._condition("Suspended", "False", "JobResumed", "Job resumed"))
        return {**resumed, "startTime": rfc3339(self.now)}

    def _condition(self, type_: str, status: str, reason: str, message: str) -> JSONObject:
        moment = rfc3339(self.now)
        return {
            "type": type_,
            "status": status,
            "lastProbeTime": moment,
            "lastTransitionTime": moment,
            "reason": reason,
            "message": message,
        }

    def _counted(self, status: JSONObject) -> JSONObject:
        """The status with its numbers. Pods that are made or deleted in this step count as if they were."""
        active = len(self.active) + len(self.create) - len(self.delete)
        uncounted = {
            "succeeded": list(self.tally.uncounted_succeeded),
            "failed": list(self.tally.uncounted_failed),
        }
        gone = {pod.uid for pod in self.delete}
        kept = {"conditions", "startTime", "completionTime"}
        made = {name: value for name, value in status.items() if name in kept}
        made |= counts(active=active, succeeded=self.tally.succeeded, failed=self.tally.failed)
        made |= {
            "terminating": self.terminating + len(self.delete),
            "uncountedTerminatedPods": {name: uids for name, uids in uncounted.items() if uids},
            "ready": sum(pod.is_ready for pod in self.active if pod.uid not in gone),
        }
        if self.tally.indexes:
            made["completedIndexes"] = counting.format_indexes(self.tally.indexes)
        return made


def job_pod(job: JSONObject, index: int | None) -> JSONObject:
    """A pod of the job; of an indexed one, that of `index`. Held by the finalizer until it is counted."""
    template = spec_of(job).get("template") or {}
    base = f"{name_of(job)}-" if index is None else f"{name_of(job)}-{index}-"
    pod = pod_from(
        template,
        job,
        controller_reference(job, "batch/v1", "Job"),
        generateName=generate_name(base),
        finalizers=[counting.FINALIZER],
    )
    if index is None:
        return pod
    pod = with_metadata(
        pod,
        annotations={**annotations_of(pod), counting.INDEX: str(index)},
        labels={**labels_of(pod), counting.INDEX: str(index)},
    )
    field = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{counting.INDEX}']"}}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": field}
    spec = spec_of(pod)
    containers = [{**one, "env": [*(one.get("env") or ()), variable]} for one in spec.get("containers") or ()]
    return with_spec(pod, containers=containers, hostname=f"{name_of(job)}-{index}")
