"""What a ReplicaSet needs now: pods to make, or pods to delete; and its new status. Pure.

Source: kubernetes pkg/controller/replicaset/{replica_set,replica_set_utils}.go.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reflector import JSONObject

from ._conditions import condition, with_condition, without_condition
from ._times import rfc3339
from ._workload_objects import counts, generation_of, is_terminating, labels_of, replicas_of, spec_of, status_of
from ._workload_pods import PodView
from ._workload_ranking import pods_to_delete

BURST = 500
"""Pods that one reconcile makes or deletes at most."""
REPLICA_FAILURE = "ReplicaFailure"


class Failure(msgspec.Struct, frozen=True):
    """Pods could not be made, or deleted."""

    reason: str
    """FailedCreate or FailedDelete."""
    message: str


class ReplicaSetPlan(msgspec.Struct, frozen=True):
    """Either pods to make or pods to delete."""

    create: int = 0
    delete: tuple[PodView, ...] = ()


def plan_replica_set(
    replica_set: JSONObject, pods: Sequence[PodView], related: Sequence[PodView], now: float, *, burst: int = BURST
) -> ReplicaSetPlan:
    """What is missing, or too much. Nothing for a set that is being deleted.

    Args:
        pods: those that it controls, of any state.
        related: those that it and its siblings (sets of the same deployment) control.
    """
    if is_terminating(replica_set):
        return ReplicaSetPlan()
    active = [pod for pod in pods if pod.is_active]
    missing = replicas_of(replica_set) - len(active)
    if missing > 0:
        return ReplicaSetPlan(create=min(missing, burst))
    if missing < 0:
        neighbours = [pod for pod in related if pod.is_active]
        return ReplicaSetPlan(delete=tuple(pods_to_delete(active, neighbours, min(-missing, burst), now)))
    return ReplicaSetPlan()


def replica_set_status(
    replica_set: JSONObject, pods: Sequence[PodView], now: float, failure: Failure | None = None
) -> JSONObject:
    """What it says of its pods, and of what went wrong in this reconcile. Source: calculateStatus."""
    active = [pod for pod in pods if pod.is_active]
    wanted_labels = labels_of(spec_of(replica_set).get("template") or {}).items()
    min_ready_s = int(spec_of(replica_set).get("minReadySeconds") or 0)
    status: JSONObject = {
        "replicas": len(active),
        **counts(
            fullyLabeledReplicas=sum(wanted_labels <= dict(pod.labels).items() for pod in active),
            readyReplicas=sum(pod.is_ready for pod in active),
            availableReplicas=sum(pod.is_available(min_ready_s, now) for pod in active),
        ),
        "terminatingReplicas": sum(pod.is_terminating and not pod.is_finished for pod in pods),
        "observedGeneration": generation_of(replica_set),
    }
    present = status_of(replica_set).get("conditions")
    if present:
        status["conditions"] = present
    if failure is None:
        return without_condition(status, REPLICA_FAILURE)
    if condition(status, REPLICA_FAILURE) is not None:
        return status
    told = {
        "type": REPLICA_FAILURE,
        "status": "True",
        "lastTransitionTime": rfc3339(now),
        "reason": failure.reason,
        "message": failure.message,
    }
    return with_condition(status, told)


def available_in_s(replica_set: JSONObject, pods: Sequence[PodView], now: float) -> float | None:
    """Seconds until the next of its ready pods becomes available; None where no time alone makes one so."""
    min_ready_s = int(spec_of(replica_set).get("minReadySeconds") or 0)
    waits = [pod.available_in_s(min_ready_s, now) for pod in pods if pod.is_active]
    return min((wait for wait in waits if wait is not None), default=None)
