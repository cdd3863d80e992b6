"""What a stateful set needs now: pods with names of their own, one after the other; their claims; its new status. Pure.

    OrderedReady   the lowest that is missing is made once all below it are available; the highest that is too much goes once
                   all else is well; one at a time
    Parallel       all at once
    an update      from the highest down to the partition: one is deleted, and comes back new; the next once it is healthy
    OnDelete       pods become new when somebody deletes them

Source: kubernetes pkg/controller/statefulset/{stateful_set_control,stateful_set_utils}.go.
Differs: claims are made and never deleted (no persistentVolumeClaimRetentionPolicy); updates go one pod at a time, whatever
`maxUnavailable` says; pods that somebody else made under a member's name are used as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import final

import msgspec

from reflector import JSONObject, controller_reference

from . import _workload_history as history
from ._workload_objects import (
    counts,
    generation_of,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    spec_of,
    status_of,
    with_metadata,
    with_spec,
)
from ._workload_pods import PodView
from ._workload_template import pod_from

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
_ORDINAL = re.compile(r"(.*)-([0-9]+)")


class StatefulSetPlan(msgspec.Struct, frozen=True):
    """What is to be written, in this order."""

    claims: tuple[JSONObject, ...] = ()
    """PersistentVolumeClaims of the pods that are made; those that exist are left as they are."""
    create: tuple[JSONObject, ...] = ()
    delete: tuple[PodView, ...] = ()
    status: JSONObject = {}
    available_in_s: float | None = None
    """When a pod that is ready becomes available, by time alone."""


def ordinal_of(pod_name: str, set_name: str) -> int | None:
    """The number at the end of a member's name; None for a name that no member has."""
    match = _ORDINAL.fullmatch(pod_name)
    return int(match[2]) if match and match[1] == set_name and str(int(match[2])) == match[2] else None


def first_ordinal(stateful_set: JSONObject) -> int:
    """Where members are counted from: `spec.ordinals.start`."""
    return int((spec_of(stateful_set).get("ordinals") or {}).get("start") or 0)


def plan_stateful_set(
    stateful_set: JSONObject, pods: Sequence[PodView], current: JSONObject, update: JSONObject, now: float
) -> StatefulSetPlan:
    """The next step.

    Args:
        pods: those that it controls.
        current: the revision that pods are of while an update has not come to its end.
        update: the revision of the present template.
    """
    return _Step(stateful_set, pods, current, update, now).plan()


@final
class _Step:
    def __init__(
        self, stateful_set: JSONObject, pods: Sequence[PodView], current: JSONObject, update: JSONObject, now: float
    ) -> None:
        self.set = stateful_set
        self.current, self.update = current, update
        self.now = now
        self.min_ready_s = int(spec_of(stateful_set).get("minReadySeconds") or 0)
        self.is_ordered = spec_of(stateful_set).get("podManagementPolicy") != "Parallel"
        start = first_ordinal(stateful_set)
        self.ordinals = range(start, start + replicas_of(stateful_set))
        members = [(ordinal_of(pod.name, name_of(stateful_set)), pod) for pod in pods]
        self.pods = [pod for ordinal, pod in members if ordinal is not None]
        self.by_ordinal = {ordinal: pod for ordinal, pod in members if ordinal in self.ordinals}
        surplus = [(ordinal, pod) for ordinal, pod in members if ordinal is not None and ordinal not in self.ordinals]
        self.condemned = [pod for _, pod in sorted(surplus, key=lambda one: one[0], reverse=True)]
        self.create: list[JSONObject] = []
        self.delete: list[PodView] = []

    def plan(self) -> StatefulSetPlan:
        # Each stage waits until the one before has nothing to do, or to wait for.
        if not is_terminating(self.set) and self._fill() and self._shrink():
            self._roll()
        waits = [pod.available_in_s(self.min_ready_s, self.now) for pod in self.pods if pod.is_active]
        return StatefulSetPlan(
            claims=tuple(claim for pod in self.create for claim in claims_of(self.set, name_of(pod))),
            create=tuple(self.create),
            delete=tuple(self.delete),
            status=self._status(),
            available_in_s=min((wait for wait in waits if wait is not None), default=None),
        )

    def _fill(self) -> bool:
        """Members that are missing, and those that ended, which are deleted to be made again. True: it goes on."""
        for ordinal in self.ordinals:
            pod = self.by_ordinal.get(ordinal)
            if pod is None:
                self.create.append(self._member(ordinal))
                if self.is_ordered:
                    return False
            elif pod.is_finished and not pod.is_terminating:
                self.delete.append(pod)
                return False
            elif self.is_ordered and not self._is_well(pod):
                return False
        return True

    def _shrink(self) -> bool:
        """Members that are too many, the highest first. True: it goes on."""
        unhealthy = self._first_unhealthy()
        for pod in self.condemned:
            if pod.is_terminating:
                if self.is_ordered:
                    return False
                continue
            # One that is unwell is waited for, unless it is itself the lowest that is: then nothing else will change.
            if self.is_ordered and pod is not unhealthy and not self._is_well(pod):
                return False
            self.delete.append(pod)
            if self.is_ordered:
                return False
        return not self.delete

    def _roll(self) -> None:
        strategy = spec_of(self.set).get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        partition = self._partition()
        for ordinal in reversed(self.ordinals):
            if ordinal < partition:
                return
            pod = self.by_ordinal.get(ordinal)
            if pod is None:
                return  # it was only just made
            if self._revision(pod) != name_of(self.update) and not pod.is_terminating:
                self.delete.append(pod)
                return
            if not _is_healthy(pod):
                return

    def _partition(self) -> int:
        rolling = (spec_of(self.set).get("updateStrategy") or {}).get("rollingUpdate") or {}
        return first_ordinal(self.set) + int(rolling.get("partition") or 0)

    def _is_well(self, pod: PodView) -> bool:
        is_available = pod.phase == "Running" and pod.is_available(self.min_ready_s, self.now)
        return is_available and not pod.is_terminating

    def _first_unhealthy(self) -> PodView | None:
        """The lowest member that is not healthy; of the surplus, where all that are wanted are."""
        wanted = [pod for _, pod in sorted(self.by_ordinal.items())]
        return next((pod for pod in (*wanted, *reversed(self.condemned)) if not _is_healthy(pod)), None)

    def _member(self, ordinal: int) -> JSONObject:
        """A new member: below the partition of the current revision, else of the new one."""
        strategy = spec_of(self.set).get("updateStrategy") or {}
        is_below = strategy.get("type") != "OnDelete" and ordinal < self._partition()
        revision = self.current if is_below else self.update
        return member(history.owner_with(self.set, revision), ordinal, name_of(revision))

    def _revision(self, pod: PodView) -> str:
        return pod.labels.get(history.REVISION_LABEL, "")

    def _status(self) -> JSONObject:
        """Source: updateStatus, completeRollingUpdate."""
        running = [pod for pod in self.pods if pod.phase == "Running" and pod.is_ready]
        staying = [pod for pod in self.pods if not pod.is_terminating]
        current, update = name_of(self.current), name_of(self.update)
        updated = sum(self._revision(pod) == update for pod in staying)
        of_current = sum(self._revision(pod) == current for pod in staying)
        of_current -= sum(self._revision(pod) == current for pod in self.delete)
        wanted = replicas_of(self.set)
        is_rolling = (spec_of(self.set).get("updateStrategy") or {}).get("type") != "OnDelete"
        is_complete = updated == len(self.pods) == len(running) == wanted and self._partition() == first_ordinal(
            self.set
        )
        if is_rolling and is_complete and not self.delete:
            current, of_current = update, updated
        return {
            "observedGeneration": generation_of(self.set),
            "replicas": len(self.pods),
            **counts(readyReplicas=len(running), currentReplicas=max(of_current, 0), updatedReplicas=updated),
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": int(status_of(self.set).get("collisionCount") or 0),
            "availableReplicas": sum(pod.is_available(self.min_ready_s, self.now) for pod in running),
        }


def _is_healthy(pod: PodView) -> bool:
    return pod.phase == "Running" and pod.is_ready and not pod.is_terminating


# --- members ----------------------------------------------------------------------------------------------------------


def member(stateful_set: JSONObject, ordinal: int, revision: str) -> JSONObject:
    """The pod of that ordinal: named, with a host name, and with its claims among its volumes."""
    spec = spec_of(stateful_set)
    name = f"{name_of(stateful_set)}-{ordinal}"
    reference = controller_reference(stateful_set, "apps/v1", "StatefulSet")
    pod = pod_from(spec.get("template") or {}, stateful_set, reference, name=name)
    labels = {
        **labels_of(pod),
        POD_NAME_LABEL: name,
        POD_INDEX_LABEL: str(ordinal),
        history.REVISION_LABEL: revision,
    }
    claims = {name_of(template): f"{name_of(template)}-{name}" for template in spec.get("volumeClaimTemplates") or ()}
    volumes = [one for one in spec_of(pod).get("volumes") or () if one.get("name") not in claims]
    volumes += [{"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim in claims.items()]
    changes: JSONObject = {"hostname": name, "subdomain": spec.get("serviceName", "")}
    if volumes:
        changes["volumes"] = volumes
    return with_spec(with_metadata(pod, labels=labels), **{key: value for key, value in changes.items() if value})


def claims_of(stateful_set: JSONObject, pod_name: str) -> list[JSONObject]:
    """The claims of the member of that name. They outlive it: the next of its name has the same volumes."""
    spec = spec_of(stateful_set)
    selected = (spec.get("selector") or {}).get("matchLabels") or {}
    made = []
    for template in spec.get("volumeClaimTemplates") or ():
        claim = with_metadata(
            {**template, "apiVersion": "v1", "kind": "PersistentVolumeClaim"},
            name=f"{name_of(template)}-{pod_name}",
            namespace=namespace_of(stateful_set),
            labels={**labels_of(template), **selected},
        )
        claim.pop("status", None)
        made.append(claim)
    return made
