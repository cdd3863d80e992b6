"""How pods and what makes them are shown in tables. Pure.

Source: kubernetes pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any

from ._meta import JSONObject, deletion_timestamp_of, name_of, parse_time
from ._printing import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    SELECTOR,
    Printer,
    age,
    at,
    column,
    condition,
    containers,
    is_true,
    items,
    labels_text,
    number,
    selector_text,
    since,
    word,
)
from .schema import human_duration

# ---- pods ------------------------------------------------------------------------------------------------------------

_POD_COLUMNS = (
    NAME,
    column("Ready", "string", "How many of its containers are ready."),
    column("Status", "string", "Where it is in its life, or what keeps it from going on."),
    column("Restarts", "string", "How often its containers were started again, and when last."),
    AGE,
    column("IP", "string", "Its address.", priority=1),
    column("Node", "string", "The node that it runs on.", priority=1),
    column("Nominated Node", "string", "The node where room is being made for it.", priority=1),
    column("Readiness Gates", "string", "How many of the conditions that it waits for hold.", priority=1),
)
_COMPLETED = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


def _pod_conditions(pod: JSONObject) -> list[JSONObject]:
    phase = word(pod, "status", "phase")
    if phase not in _COMPLETED:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _COMPLETED[phase]}]


class _Restarts:
    """How often containers were started again, and when last."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ""

    def add(self, status: Any) -> None:
        self.count += number(status, "restartCount")
        self.last = max(self.last, word(status, "lastState", "terminated", "finishedAt"))

    def shown(self, now_s: float) -> str:
        return f"{self.count} ({since(self.last, now_s)} ago)" if self.count and self.last else str(self.count)


def _pod_cells(pod: JSONObject, now_s: float) -> list[Any]:
    sidecars = {
        word(one, "name") for one in items(pod, "spec", "initContainers") if at(one, "restartPolicy") == "Always"
    }
    reason, ready, restarts = _pod_state(pod, sidecars)
    if deletion_timestamp_of(pod):
        if word(pod, "status", "reason") == "NodeLost":
            reason = "Unknown"
        elif word(pod, "status", "phase") not in _COMPLETED:
            reason = "Terminating"
    total = len(items(pod, "spec", "containers")) + len(sidecars)
    addresses = items(pod, "status", "podIPs")
    gates = items(pod, "spec", "readinessGates")
    held = sum(is_true(pod, word(gate, "conditionType")) for gate in gates)
    return [
        name_of(pod),
        f"{ready}/{total}",
        reason,
        restarts.shown(now_s),
        age(pod, now_s),
        (word(addresses[0], "ip") if addresses else "") or NONE,
        word(pod, "spec", "nodeName") or NONE,
        word(pod, "status", "nominatedNodeName") or NONE,
        f"{held}/{len(gates)}" if gates else NONE,
    ]


def _pod_state(pod: JSONObject, sidecars: set[str]) -> tuple[str, int, _Restarts]:
    """What is told of its state, how many containers are ready, and the restarts that count."""
    reason = word(pod, "status", "reason") or word(pod, "status", "phase")
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    all_restarts, sidecar_restarts = _Restarts(), _Restarts()
    ready, initializing = 0, ""
    statuses = items(pod, "status", "initContainerStatuses")
    for place, status in enumerate(statuses):
        is_sidecar = word(status, "name") in sidecars
        all_restarts.add(status)
        if is_sidecar:
            sidecar_restarts.add(status)
        terminated = at(status, "state", "terminated")
        if terminated is not None and not number(terminated, "exitCode"):
            continue
        if is_sidecar and at(status, "started") is True:
            ready += at(status, "ready") is True
            continue
        initializing = _init_reason(status, place, len(items(pod, "spec", "initContainers")))
        break
    if initializing and not is_true(pod, "Initialized"):
        return initializing, ready, all_restarts
    return _main_state(pod, initializing or reason, ready, sidecar_restarts)


def _init_reason(status: Any, place: int, total: int) -> str:
    terminated = at(status, "state", "terminated")
    if terminated is not None:
        return f"Init:{_ended(terminated)}"
    waiting = word(status, "state", "waiting", "reason")
    return f"Init:{waiting}" if waiting and waiting != "PodInitializing" else f"Init:{place}/{total}"


def _ended(terminated: Any) -> str:
    """Why a container ended."""
    if reason := word(terminated, "reason"):
        return reason
    if signal := number(terminated, "signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{number(terminated, 'exitCode')}"


def _main_state(pod: JSONObject, reason: str, ready: int, restarts: _Restarts) -> tuple[str, int, _Restarts]:
    has_running = False
    for status in reversed(items(pod, "status", "containerStatuses")):
        restarts.add(status)
        terminated = at(status, "state", "terminated")
        if waiting := word(status, "state", "waiting", "reason"):
            reason = waiting
        elif terminated is not None:
            reason = _ended(terminated)
        elif at(status, "ready") is True and at(status, "state", "running") is not None:
            has_running = True
            ready += 1
    if reason == "Completed" and has_running:
        reason = "Running" if is_true(pod, "Ready") else "NotReady"
    return reason, ready, restarts


# ---- what makes pods -------------------------------------------------------------------------------------------------


def _count(name: str, description: str) -> JSONObject:
    return column(name, "integer", description)


_SCALED_COLUMNS = (
    NAME,
    _count("Desired", "How many pods are wanted."),
    _count("Current", "How many pods there are."),
    _count("Ready", "How many pods are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def _scaled_cells(obj: JSONObject, now_s: float) -> list[Any]:
    return [*_counted_cells(obj, now_s), selector_text(at(obj, "spec", "selector"))]


def _controller_cells(obj: JSONObject, now_s: float) -> list[Any]:
    """A replication controller selects by a plain map."""
    return [*_counted_cells(obj, now_s), labels_text(at(obj, "spec", "selector"))]


def _counted_cells(obj: JSONObject, now_s: float) -> list[Any]:
    status = at(obj, "status")
    return [
        name_of(obj),
        number(obj, "spec", "replicas"),
        number(status, "replicas"),
        number(status, "readyReplicas"),
        age(obj, now_s),
        *containers(at(obj, "spec", "template")),
    ]


_DEPLOYMENT_COLUMNS = (
    NAME,
    column("Ready", "string", "How many pods are ready, of how many that are wanted."),
    column("Up-to-date", "string", "How many pods are of the newest template."),
    column("Available", "string", "How many pods have been ready for long enough."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def _deployment_cells(obj: JSONObject, now_s: float) -> list[Any]:
    status = at(obj, "status")
    return [
        name_of(obj),
        f"{number(status, 'readyReplicas')}/{number(obj, 'spec', 'replicas')}",
        number(status, "updatedReplicas"),
        number(status, "availableReplicas"),
        age(obj, now_s),
        *containers(at(obj, "spec", "template")),
        selector_text(at(obj, "spec", "selector"), empty=""),
    ]


_STATEFUL_SET_COLUMNS = (*_DEPLOYMENT_COLUMNS[:2], AGE, CONTAINERS, IMAGES)


def _stateful_set_cells(obj: JSONObject, now_s: float) -> list[Any]:
    ready = f"{number(obj, 'status', 'readyReplicas')}/{number(obj, 'spec', 'replicas')}"
    return [name_of(obj), ready, age(obj, now_s), *containers(at(obj, "spec", "template"))]


_DAEMON_SET_COLUMNS = (
    NAME,
    _count("Desired", "How many nodes are to run it."),
    _count("Current", "How many nodes run it that are to."),
    _count("Ready", "On how many nodes it is ready."),
    _count("Up-to-date", "On how many nodes it is of the newest template."),
    _count("Available", "On how many nodes it has been ready for long enough."),
    column("Node Selector", "string", "Which nodes are to run it, by their labels."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)
_DAEMON_SET_COUNTS = (
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
)


def _daemon_set_cells(obj: JSONObject, now_s: float) -> list[Any]:
    template = at(obj, "spec", "template")
    return [
        name_of(obj),
        *(number(obj, "status", name) for name in _DAEMON_SET_COUNTS),
        labels_text(at(template, "spec", "nodeSelector")),
        age(obj, now_s),
        *containers(template),
        selector_text(at(obj, "spec", "selector")),
    ]


_REVISION_COLUMNS = (
    NAME,
    column("Controller", "string", "Whose revision it is."),
    column("Revision", "string", "Which one it is."),
    AGE,
)


def _revision_cells(obj: JSONObject, now_s: float) -> list[Any]:
    owners = [one for one in items(obj, "metadata", "ownerReferences") if at(one, "controller") is True]
    controller = NONE
    if owners:
        group = word(owners[0], "apiVersion").rpartition("/")[0]
        kind = word(owners[0], "kind").lower()
        controller = f"{kind}.{group}/{word(owners[0], 'name')}" if group else f"{kind}/{word(owners[0], 'name')}"
    return [name_of(obj), controller, number(obj, "revision"), age(obj, now_s)]


_JOB_COLUMNS = (
    NAME,
    column("Status", "string", "What became of it."),
    column("Completions", "string", "How many of its pods succeeded, of how many that have to."),
    column("Duration", "string", "How long it took, or has been running."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)
_JOB_STATES = (
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def _job_cells(obj: JSONObject, now_s: float) -> list[Any]:
    succeeded, wanted = number(obj, "status", "succeeded"), at(obj, "spec", "completions")
    parallel = number(obj, "spec", "parallelism")
    if wanted is not None:
        completions = f"{succeeded}/{wanted}"
    else:
        completions = f"{succeeded}/1 of {parallel}" if parallel > 1 else f"{succeeded}/1"
    return [
        name_of(obj),
        _job_status(obj),
        completions,
        _job_duration(obj, now_s),
        age(obj, now_s),
        *containers(at(obj, "spec", "template")),
        selector_text(at(obj, "spec", "selector")),
    ]


def _job_status(obj: JSONObject) -> str:
    if is_true(obj, "Complete"):
        return "Complete"
    if is_true(obj, "Failed"):
        return "Failed"
    if deletion_timestamp_of(obj):
        return "Terminating"
    return next((shown for type_, shown in _JOB_STATES if is_true(obj, type_)), "Running")


def _job_duration(obj: JSONObject, now_s: float) -> str:
    start, end = word(obj, "status", "startTime"), word(obj, "status", "completionTime")
    if not start:
        return ""
    return since(start, now_s) if not end else human_duration((parse_time(end) - parse_time(start)).total_seconds())


_CRON_JOB_COLUMNS = (
    NAME,
    column("Schedule", "string", "When it runs, as cron writes it."),
    column("Timezone", "string", "Whose time that is."),
    column("Suspend", "boolean", "Whether it is not to run for now."),
    _count("Active", "How many of its jobs are running."),
    column("Last Schedule", "string", "How long ago it ran last."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def _cron_job_cells(obj: JSONObject, now_s: float) -> list[Any]:
    spec, last = at(obj, "spec"), word(obj, "status", "lastScheduleTime")
    suspend = at(spec, "suspend")
    job = at(spec, "jobTemplate", "spec")
    return [
        name_of(obj),
        word(spec, "schedule"),
        word(spec, "timeZone") or NONE,
        {True: "True", False: "False"}.get(suspend, "<unset>"),
        len(items(obj, "status", "active")),
        since(last, now_s) if last else NONE,
        age(obj, now_s),
        *containers(at(job, "template")),
        selector_text(at(job, "selector")),
    ]


_SCALE_COLUMNS = (
    {**NAME, "format": ""},
    _count("Desired", "How many replicas are wanted."),
    _count("Available", "How many replicas there are."),
    AGE,
)


def _scale_cells(obj: JSONObject, now_s: float) -> list[Any]:
    return [name_of(obj), number(obj, "spec", "replicas"), number(obj, "status", "replicas"), age(obj, now_s)]


SCALE = Printer(_SCALE_COLUMNS, _scale_cells)
WORKLOADS: dict[tuple[str, str], Printer] = {
    ("v1", "pods"): Printer(_POD_COLUMNS, _pod_cells, _pod_conditions),
    ("v1", "replicationcontrollers"): Printer(_SCALED_COLUMNS, _controller_cells),
    ("apps/v1", "controllerrevisions"): Printer(_REVISION_COLUMNS, _revision_cells),
    ("apps/v1", "daemonsets"): Printer(_DAEMON_SET_COLUMNS, _daemon_set_cells),
    ("apps/v1", "deployments"): Printer(_DEPLOYMENT_COLUMNS, _deployment_cells),
    ("apps/v1", "replicasets"): Printer(_SCALED_COLUMNS, _scaled_cells),
    ("apps/v1", "statefulsets"): Printer(_STATEFUL_SET_COLUMNS, _stateful_set_cells),
    ("batch/v1", "cronjobs"): Printer(_CRON_JOB_COLUMNS, _cron_job_cells),
    ("batch/v1", "jobs"): Printer(_JOB_COLUMNS, _job_cells),
}
