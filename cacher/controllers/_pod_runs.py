"""What a kubelet makes of a pod, step by step, where nothing really runs. Pure.

    NEW ─ accepted ─► CREATING ─ start_s ─► RUNNING ─ run_s ─► OVER: Succeeded, or Failed
                         │                    ▲  └─ and the policy says again ─► CRASHED ─ backoff ─┘
                         └─ no such image: it stays, with ErrImagePull
    deleted: ─ stop_s ─► terminated status ─► deleted with grace 0

Where a pod is, is read off its status, as a kubelet that was started anew reads it. How long a step takes is a Plan.

Source: kubernetes pkg/kubelet/kubelet_pods.go (generateAPIPodStatus, getPhase), status/generate.go; recorded pods.
Differs: a container's probes are not asked, it is ready when it is up; readiness gates and deadlines are not looked at; init
containers have run by the time that the others start.
"""

from __future__ import annotations

import enum
from math import inf
from typing import Any

import msgspec

from ._conditions import Condition, with_conditions
from ._times import seconds

JSONObject = dict[str, Any]

BACKOFF_S, BACKOFF_MAX_S = 10.0, 300.0
"""A container that ends again and again waits, twice as long each time. Source: pkg/kubelet/kubelet.go, MaxContainerBackOff."""
FINISHED = ("Succeeded", "Failed")


class Plan(msgspec.Struct, frozen=True):
    """How one pod's life goes."""

    start_s: float = 0.0
    run_s: float = inf
    """From start to end; `inf`: it runs until it is deleted."""
    exit_code: int = 0
    stop_s: float = 0.0
    """From its deletion to its end; its grace period if that is shorter."""
    has_image: bool = True


class Stage(enum.Enum):
    """Where a pod is, by its status."""

    NEW = "new"
    CREATING = "creating"
    RUNNING = "running"
    CRASHED = "crashed"
    OVER = "over"


class Act(enum.Enum):
    """What is to be written next."""

    NOTHING = "nothing"
    ACCEPT = "accept"
    FAIL_PULL = "fail pull"
    START = "start"
    REPORT = "report"
    END = "end"
    STOP = "stop"
    REMOVE = "remove"


class Step(msgspec.Struct, frozen=True):
    """What is to be written, and in how many seconds; 0: now."""

    act: Act
    in_s: float = 0.0


_NOTHING = Step(Act.NOTHING)


def stage_of(pod: JSONObject) -> Stage:
    """Where the pod is."""
    status = pod.get("status") or {}
    if status.get("phase") in FINISHED:
        return Stage.OVER
    containers = status.get("containerStatuses") or []
    if not containers:
        return Stage.NEW
    states = [one.get("state") or {} for one in containers]
    if any("running" in state for state in states):
        return Stage.RUNNING
    return Stage.CRASHED if any(one.get("lastState") for one in containers) else Stage.CREATING


def next_step(pod: JSONObject, plan: Plan, in_stage_s: float, going_s: float = 0.0) -> Step:
    """What comes next.

    Args:
        in_stage_s: for how long the pod has been where it is.
        going_s: for how long it has been deleted, where it is.
    """
    stage = stage_of(pod)
    metadata = pod.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        return _next_of_going(metadata, stage, plan, going_s)
    match stage:
        case Stage.NEW:
            return Step(Act.ACCEPT)
        case Stage.CREATING if not plan.has_image:
            return _after(Act.FAIL_PULL, plan.start_s - in_stage_s) if not _has_failed_to_pull(pod) else _NOTHING
        case Stage.CREATING:
            return _after(Act.START, plan.start_s - in_stage_s)
        case Stage.RUNNING if _is_doubted(pod):
            return Step(Act.REPORT)
        case Stage.RUNNING:
            return _after(Act.END, plan.run_s - in_stage_s) if plan.run_s < inf else _NOTHING
        case Stage.CRASHED:
            return _after(Act.START, backoff_s(restarts_of(pod)) - in_stage_s)
        case _:
            return _NOTHING


def _is_doubted(pod: JSONObject) -> bool:
    """Whether its containers are ready, and somebody who did not hear of the node said that it is not."""
    status = pod["status"]
    is_ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ())
    return not is_ready and all(one.get("ready") for one in status["containerStatuses"])


def _next_of_going(metadata: JSONObject, stage: Stage, plan: Plan, going_s: float) -> Step:
    grace_s = metadata.get("deletionGracePeriodSeconds")
    if grace_s == 0 and stage is Stage.OVER:
        return _NOTHING  # its finalizers hold it: that is not the kubelet's
    if stage is Stage.OVER:
        return Step(Act.REMOVE)
    stop_s = plan.stop_s if stage is Stage.RUNNING else 0.0
    return _after(Act.STOP, min(stop_s, grace_s if grace_s is not None else inf) - going_s)


def _after(act: Act, in_s: float) -> Step:
    return Step(act, max(0.0, in_s))


def _has_failed_to_pull(pod: JSONObject) -> bool:
    waiting = [(one.get("state") or {}).get("waiting") or {} for one in pod["status"]["containerStatuses"]]
    return any(one.get("reason") in ("ErrImagePull", "ImagePullBackOff") for one in waiting)


def restarts_of(pod: JSONObject) -> int:
    """How often its containers were started again."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((one.get("restartCount") or 0 for one in statuses), default=0)


def stage_began(pod: JSONObject) -> float | None:
    """When the pod came to where it is, as its status tells, in seconds since 1970; None: it does not tell."""
    status = pod.get("status") or {}
    first = (status.get("containerStatuses") or [{}])[0]
    match stage_of(pod):
        case Stage.CREATING:
            return seconds(status.get("startTime"))
        case Stage.RUNNING:
            return seconds(((first.get("state") or {}).get("running") or {}).get("startedAt"))
        case Stage.CRASHED:
            return seconds(((first.get("lastState") or {}).get("terminated") or {}).get("finishedAt"))
        case _:
            return None


def backoff_s(restarts: int) -> float:
    """How long a container that has ended waits: the first time not at all.

    >>> [backoff_s(restarts) for restarts in (0, 1, 2, 3, 9)]
    [0.0, 10.0, 20.0, 40.0, 300.0]
    """
    return min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (min(restarts, 16) - 1)) if restarts else 0.0


def restarts_after(pod: JSONObject, exit_code: int) -> bool:
    """Whether its policy has a container that ended so started again."""
    policy = (pod.get("spec") or {}).get("restartPolicy") or "Always"
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


# ---- statuses ------------------------------------------------------------------------------------------------------------


class Host(msgspec.Struct, frozen=True):
    """Where a pod runs: the node's address, and the pod's own."""

    host_ip: str
    pod_ip: str


def accepted(pod: JSONObject, host: Host, now: str) -> JSONObject:
    """The status of a pod whose containers are being made."""
    waiting = {"waiting": {"reason": "PodInitializing" if _init_containers(pod) else "ContainerCreating"}}
    made = [_container(pod, one, waiting) for one in _containers(pod)]
    status = {"phase": "Pending", **_at_host(host), "startTime": now, "containerStatuses": made}
    if _init_containers(pod):
        waiting = {"waiting": {"reason": "PodInitializing"}}
        status["initContainerStatuses"] = [_container(pod, one, waiting) for one in _init_containers(pod)]
    return _status(pod, status, _waiting_conditions(pod), now)


def pull_failed(pod: JSONObject, now: str) -> JSONObject:
    """The status of a pod whose image nobody has."""
    failed = {"waiting": {"reason": "ErrImagePull", "message": "failed to pull and unpack image: not found"}}
    made = [_container(pod, one, failed) for one in _containers(pod)]
    return _status(pod, {"containerStatuses": made}, _waiting_conditions(pod), now)


def started(pod: JSONObject, host: Host, now: str) -> JSONObject:
    """The status of a pod that runs, and is ready."""
    made = []
    for one in _containers(pod):
        made.append(_container(pod, one, {"running": {"startedAt": now}}, up=True))
    status = {"phase": "Running", **_at_host(host), "podIP": host.pod_ip, "podIPs": [{"ip": host.pod_ip}]}
    status["containerStatuses"] = made
    if _init_containers(pod):
        status["initContainerStatuses"] = [_initialized(pod, one, now) for one in _init_containers(pod)]
    ready = [Condition(kind, "True") for kind in _KINDS]
    return _status(pod, status, ready, now)


def reported(pod: JSONObject, now: str) -> JSONObject:
    """The status of a pod that runs, said again."""
    return _status(pod, {}, [Condition(kind, "True") for kind in _KINDS], now)


def ended(pod: JSONObject, exit_code: int, now: str) -> JSONObject:
    """The status of a pod whose containers came to an end: over, waiting for the next start, or up again at once."""
    if not restarts_after(pod, exit_code):
        return stopped(pod, exit_code, now)
    old = {one["name"]: one for one in pod["status"].get("containerStatuses") or ()}
    wait_s = backoff_s(restarts_of(pod))
    made = []
    for container in _containers(pod):
        before = old.get(container["name"], {})
        again = {**before, "lastState": _terminated(pod, before, exit_code, now)}
        if wait_s:
            why = f"back-off {wait_s:.0f}s restarting failed container={container['name']}"
            again["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": why}}
            again["ready"] = again["started"] = False
        else:
            again["state"] = {"running": {"startedAt": now}}
            again["restartCount"] = (before.get("restartCount") or 0) + 1
        made.append(again)
    conditions = _unready(pod, prepared="True") if wait_s else [Condition(kind, "True") for kind in _KINDS]
    return _status(pod, {"containerStatuses": made}, conditions, now)


def stopped(pod: JSONObject, exit_code: int, now: str) -> JSONObject:
    """The status of a pod that is over."""
    old = {one["name"]: one for one in pod.get("status", {}).get("containerStatuses") or ()}
    made = []
    for container in _containers(pod):
        before = old.get(container["name"]) or _container(pod, container, {})
        state = _terminated(pod, before, exit_code, now)
        made.append({**before, "state": state, "ready": False, "started": False})
    phase, reason = ("Succeeded", "PodCompleted") if exit_code == 0 else ("Failed", "PodFailed")
    conditions = [
        Condition("PodReadyToStartContainers", "False"),
        Condition("Initialized", "True", reason if exit_code == 0 else ""),
        Condition("Ready", "False", reason),
        Condition("ContainersReady", "False", reason),
    ]
    return _status(pod, {"phase": phase, "containerStatuses": made}, conditions, now)


_KINDS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def _status(pod: JSONObject, changes: JSONObject, conditions: list[Condition], now: str) -> JSONObject:
    old = pod.get("status") or {}
    generation = (pod.get("metadata") or {}).get("generation")
    more: JSONObject = {"lastProbeTime": None}
    status = {**old, **changes}
    if generation:
        more["observedGeneration"] = status["observedGeneration"] = generation
    present = old.get("conditions") or []
    scheduled = [one for one in present if one.get("type") == "PodScheduled"]
    others = [one for one in present if one.get("type") != "PodScheduled"]
    made = with_conditions(others, conditions, now, more)
    status["conditions"] = made[: len(conditions)] + scheduled + made[len(conditions) :]
    return status


def _waiting_conditions(pod: JSONObject) -> list[Condition]:
    waits = _init_containers(pod)
    if not waits:
        return _unready(pod, prepared="False")
    names = " ".join(one["name"] for one in waits)
    initialized = Condition(
        "Initialized", "False", "ContainersNotInitialized", f"containers with incomplete status: [{names}]"
    )
    return [one if one.type != "Initialized" else initialized for one in _unready(pod, prepared="False")]


def _unready(pod: JSONObject, *, prepared: str) -> list[Condition]:
    names = " ".join(one["name"] for one in _containers(pod))
    why = ("ContainersNotReady", f"containers with unready status: [{names}]")
    return [
        Condition("PodReadyToStartContainers", prepared),
        Condition("Initialized", "True"),
        Condition("Ready", "False", *why),
        Condition("ContainersReady", "False", *why),
    ]


def _containers(pod: JSONObject) -> list[JSONObject]:
    return (pod.get("spec") or {}).get("containers") or []


def _init_containers(pod: JSONObject) -> list[JSONObject]:
    return (pod.get("spec") or {}).get("initContainers") or []


def _at_host(host: Host) -> JSONObject:
    return {"hostIP": host.host_ip, "hostIPs": [{"ip": host.host_ip}]}


def _container(pod: JSONObject, container: JSONObject, state: JSONObject, *, up: bool = False) -> JSONObject:
    statuses: list[JSONObject] = (pod.get("status") or {}).get("containerStatuses") or []
    old: JSONObject = next((one for one in statuses if one.get("name") == container["name"]), {})
    made = {
        "name": container["name"],
        "state": state,
        "lastState": old.get("lastState") or {},
        "ready": up,
        "restartCount": (old.get("restartCount") or 0) + (up and bool(old.get("lastState"))),
        "image": container.get("image") or "",
        "imageID": "",
    }
    if up:
        made["containerID"] = _container_id(pod, container)
    return {**made, "started": up}


def _initialized(pod: JSONObject, container: JSONObject, now: str) -> JSONObject:
    if container.get("restartPolicy") == "Always":  # a sidecar: it goes on
        return _container(pod, container, {"running": {"startedAt": now}}, up=True)
    done = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    made = _container(pod, container, {"terminated": {**done, "containerID": _container_id(pod, container)}}, up=True)
    return {**made, "started": False}


def _terminated(pod: JSONObject, status: JSONObject, exit_code: int, now: str) -> JSONObject:
    running = (status.get("state") or {}).get("running") or {}
    said = {
        "exitCode": exit_code,
        "reason": "Completed" if exit_code == 0 else "Error",
        "startedAt": running.get("startedAt") or now,
        "finishedAt": now,
    }
    if status.get("containerID"):
        said["containerID"] = status["containerID"]
    return {"terminated": said}


def _container_id(pod: JSONObject, container: JSONObject) -> str:
    return f"simulated://{(pod.get('metadata') or {}).get('uid', '')}-{container['name']}"
