"""What a deployment says of itself: counts, and the conditions Available, Progressing and ReplicaFailure. Pure.

Source: kubernetes pkg/controller/deployment/{sync,progress}.go, util/deployment_util.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from reflector import JSONObject

from ._conditions import condition, with_condition, without_condition
from ._deployment_sizes import max_unavailable
from ._times import rfc3339, unix_of
from ._workload_objects import counts, generation_of, name_of, replicas_of, spec_of, status_of

PROGRESSING, AVAILABLE, REPLICA_FAILURE = "Progressing", "Available", "ReplicaFailure"
CREATED, FOUND, UPDATED = "NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated"
COMPLETE, TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"

NO_DEADLINE = 2**31 - 1
"""A `progressDeadlineSeconds` that never passes."""


def has_deadline(deployment: JSONObject) -> bool:
    """Whether it is told of when the deployment makes no progress."""
    return spec_of(deployment).get("progressDeadlineSeconds") not in (None, NO_DEADLINE)


def progressing(status: str, reason: str, message: str, now: float) -> JSONObject:
    """A condition of that type."""
    return _condition(PROGRESSING, status, reason, message, now)


def _condition(type_: str, status: str, reason: str, message: str, now: float) -> JSONObject:
    moment = rfc3339(now)
    return {
        "type": type_,
        "status": status,
        "lastUpdateTime": moment,
        "lastTransitionTime": moment,
        "reason": reason,
        "message": message,
    }


def with_pause_told(deployment: JSONObject, now: float) -> JSONObject:
    """The status with a pause, or its end, among its conditions. Source: checkPausedConditions."""
    status = status_of(deployment)
    present = condition(status, PROGRESSING) or {}
    if not has_deadline(deployment) or present.get("reason") == TIMED_OUT:
        return status
    is_paused, was_told = bool(spec_of(deployment).get("paused")), present.get("reason") == PAUSED
    if is_paused and not was_told:
        return with_condition(status, progressing("Unknown", PAUSED, "Deployment is paused", now))
    if not is_paused and was_told:
        return with_condition(status, progressing("Unknown", RESUMED, "Deployment is resumed", now))
    return status


def with_set_told(
    deployment: JSONObject, status: JSONObject, new: JSONObject, *, is_made: bool, now: float
) -> JSONObject:
    """The status after a new set was made, or found where nothing had been said of progress yet."""
    if not has_deadline(deployment) or (not is_made and condition(status, PROGRESSING)):
        return status
    name = name_of(new)
    if is_made:
        return with_condition(status, progressing("True", CREATED, f'Created new replica set "{name}"', now))
    return with_condition(status, progressing("True", FOUND, f'Found new replica set "{name}"', now))


def counted(
    deployment: JSONObject, status: JSONObject, old: Sequence[JSONObject], new: JSONObject | None, now: float
) -> JSONObject:
    """The status with the sets counted anew, and what that says of availability. Source: calculateStatus."""
    sets = [*old, *([new] if new is not None else [])]
    available = _sum(sets, "availableReplicas")
    terminating = [status_of(one).get("terminatingReplicas") for one in sets]
    made: JSONObject = {"observedGeneration": generation_of(deployment)}
    made |= counts(
        replicas=_sum(sets, "replicas"),
        updatedReplicas=_sum([new] if new is not None else [], "replicas"),
        readyReplicas=_sum(sets, "readyReplicas"),
        availableReplicas=available,
        unavailableReplicas=max(0, sum(replicas_of(one) for one in sets) - available),
    )
    if None not in terminating:  # a set that does not tell makes the sum unknown, which 0 would not say
        made["terminatingReplicas"] = sum(int(number or 0) for number in terminating)
    for kept in ("collisionCount", "conditions"):
        if status.get(kept) is not None:
            made[kept] = status[kept]
    if available >= replicas_of(deployment) - max_unavailable(deployment):
        return with_condition(
            made, _condition(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
        )
    message = "Deployment does not have minimum availability."
    return with_condition(made, _condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message, now))


def _sum(sets: Sequence[JSONObject], count: str) -> int:
    return sum(int(status_of(one).get(count) or 0) for one in sets)


def is_complete(deployment: JSONObject, status: JSONObject) -> bool:
    """Whether all pods that are wanted are there, new and available, and no others."""
    wanted = replicas_of(deployment)
    return all(
        int(status.get(count) or 0) == wanted for count in ("replicas", "updatedReplicas", "availableReplicas")
    ) and int(status.get("observedGeneration") or 0) >= generation_of(deployment)


def rolled_out(
    deployment: JSONObject, status: JSONObject, old: Sequence[JSONObject], new: JSONObject | None, now: float
) -> JSONObject:
    """The status during and after a rollout: counted, and with what is to be said of its progress. Source: syncRolloutStatus."""
    made = counted(deployment, status, old, new, now)
    if not has_deadline(deployment):
        made = without_condition(made, PROGRESSING)
    elif not _was_complete(status, made):
        made = _with_progress(deployment, status, made, new, now)
    failure = _failure([*([new] if new is not None else []), *old])
    if failure is None:
        return without_condition(made, REPLICA_FAILURE)
    reason, message = failure
    return with_condition(made, _condition(REPLICA_FAILURE, "True", reason, message, now))


def _was_complete(status: JSONObject, made: JSONObject) -> bool:
    """A rollout that once came to its end stays there: pods that die later are no rollout."""
    present = condition(status, PROGRESSING) or {}
    return made.get("replicas", 0) == made.get("updatedReplicas", 0) and present.get("reason") == COMPLETE


def _with_progress(
    deployment: JSONObject, before: JSONObject, made: JSONObject, new: JSONObject | None, now: float
) -> JSONObject:
    subject = f'Deployment "{name_of(deployment)}"' if new is None else f'ReplicaSet "{name_of(new)}"'
    if is_complete(deployment, made):
        return with_condition(made, progressing("True", COMPLETE, f"{subject} has successfully progressed.", now))
    if _has_progressed(before, made):
        found = progressing("True", UPDATED, f"{subject} is progressing.", now)
        present = condition(before, PROGRESSING) or {}
        if present.get("status") == "True":
            found["lastTransitionTime"] = present.get("lastTransitionTime")
        # Taken out first, so that the time of the last progress moves on also where nothing else does.
        return with_condition(without_condition(made, PROGRESSING), found)
    if _is_too_late(deployment, made, now):
        return with_condition(made, progressing("False", TIMED_OUT, f"{subject} has timed out progressing.", now))
    return made


def _has_progressed(before: JSONObject, made: JSONObject) -> bool:
    def number(status: JSONObject, count: str) -> int:
        return int(status.get(count) or 0)

    old_pods = [number(one, "replicas") - number(one, "updatedReplicas") for one in (before, made)]
    grown = any(
        number(made, count) > number(before, count)
        for count in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grown or old_pods[1] < old_pods[0]


def _is_too_late(deployment: JSONObject, status: JSONObject, now: float) -> bool:
    present = condition(status, PROGRESSING)
    if present is None or present.get("reason") in (COMPLETE, TIMED_OUT):
        return present is not None and present.get("reason") == TIMED_OUT
    return unix_of(present.get("lastUpdateTime")) + int(spec_of(deployment)["progressDeadlineSeconds"]) < now


def _failure(sets: Sequence[JSONObject]) -> tuple[str, str] | None:
    """What keeps a set from making or deleting pods: of the new one, if it has something to say."""
    for one in sets:
        found = condition(status_of(one), REPLICA_FAILURE)
        if found is not None and found.get("status") == "True":
            return str(found.get("reason", "")), str(found.get("message", ""))
    return None


def late_in_s(deployment: JSONObject, status: JSONObject, now: float) -> float | None:
    """Seconds until it is to be looked at again because its deadline passes; None where nobody waits for that.

    Source: requeueStuckDeployment.
    """
    present = condition(status, PROGRESSING)
    if not has_deadline(deployment) or present is None or is_complete(deployment, status):
        return None
    if present.get("reason") == TIMED_OUT:
        return None
    left = unix_of(present.get("lastUpdateTime")) + int(spec_of(deployment)["progressDeadlineSeconds"]) - now
    return max(left, 0.0) + 1.0  # times are whole seconds: a second later it has passed for certain
