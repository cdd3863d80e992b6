"""What a deployment needs now: which ReplicaSets are to be made, sized and forgotten, and its new status. Pure.

    deleted      only the status
    paused       sized, if its number changed; no new template is rolled out
    rolled back  the template of another revision becomes the deployment's, and everything else follows from that
    scaled       all sets get their share of the new number
    Recreate     old sets to 0, all their pods gone, then the new set
    RollingUpdate  the new set up, or the old ones down: one of them at a time, since each waits for what the other did

One decision is one step. What it writes comes back as events, and the next decision sees what became of it.

Source: kubernetes pkg/controller/deployment/{deployment_controller,sync,rolling,recreate}.go.
Differs: a step's writes to the deployment (its revision, its conditions) are one write, where Kubernetes makes two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import msgspec

from reflector import JSONObject

from . import _deployment_revisions as revisions
from . import _deployment_sizes as sizes
from . import _deployment_status as statuses
from ._workload_objects import annotations_of, is_terminating, spec_of, status_of, uid_of, with_metadata, with_spec
from ._workload_pods import PodView


class DeploymentPlan(msgspec.Struct, frozen=True):
    """What is to be written, in this order."""

    roll_back: JSONObject | None = None
    """The deployment with another template. Then there is nothing else, until it was written."""
    create: JSONObject | None = None
    """The new set."""
    update: tuple[JSONObject, ...] = ()
    """Sets as they are to be; each was read, and is written if it is still what was read."""
    delete: tuple[JSONObject, ...] = ()
    """Sets that are forgotten."""
    status: JSONObject | None = None
    """The deployment with its new status and revision; None where both are as they should be."""
    again_in_s: float | None = None
    """When it is to be looked at again, if nothing happens before."""


def plan_deployment(
    deployment: JSONObject, sets: Sequence[JSONObject], pods: Sequence[PodView], now: float
) -> DeploymentPlan:
    """The next step of the deployment.

    Args:
        sets: the ReplicaSets that it controls.
        pods: those that these control; only looked at where the strategy is Recreate.
        now: Unix time in seconds.
    """
    return _Step(deployment, sets, pods, now).plan()


@final
class _Step:
    """One decision in the making: the sets as they will be once what is planned was written."""

    def __init__(self, deployment: JSONObject, sets: Sequence[JSONObject], pods: Sequence[PodView], now: float) -> None:
        self.deployment = deployment
        self.sets = list(sets)
        self.pods = pods
        self.now = now
        self.status = statuses.with_pause_told(deployment, now)
        self.annotations = dict(annotations_of(deployment))
        self.new: JSONObject | None = revisions.find_new(deployment, sets)
        self.old = revisions.all_but(sets, self.new)
        self.create: JSONObject | None = None
        self.updates: dict[str, JSONObject] = {}
        self.forgotten: list[JSONObject] = []

    def plan(self) -> DeploymentPlan:
        deployment = self.deployment
        if is_terminating(deployment):
            self.status = status_of(deployment)
            return self._written(rollout=False)
        is_paused = bool(spec_of(deployment).get("paused"))
        wanted = revisions.rollback_wanted(deployment)
        if wanted is not None and not is_paused:
            return DeploymentPlan(roll_back=revisions.rolled_back(deployment, self.sets, wanted))
        if is_paused or sizes.is_scaling(deployment, self.sets):
            self._renew()
            self._resize(sizes.scale(deployment, self.old, self.new))
            if is_paused and wanted is None:
                self.forgotten = revisions.forgotten(deployment, self.old)
            return self._written(rollout=False)
        if sizes.is_rolling(deployment):
            self._roll()
        else:
            self._recreate()
        return self._written(rollout=True)

    # --- strategies ---------------------------------------------------------------------------------------------------

    def _roll(self) -> None:
        new = self._renew_or_make()
        grown = sizes.resize_new_set(self.deployment, [*self.old, new], new)
        if grown is not None:
            self._resize([grown])
            return
        shrunk = sizes.shrink_old_sets(self.deployment, self.old, new)
        self._resize(shrunk)
        if not shrunk:
            self._forget_if_complete()

    def _recreate(self) -> None:
        self._renew()
        down = [sizes.Resize(one, 0) for one in sizes.active(self.old)]
        if down or self._has_old_pods():
            self._resize(down)
            return
        new = self._renew_or_make()
        up = sizes.resize_new_set(self.deployment, [*self.old, new], new)
        self._resize([up] if up is not None else [])
        if up is None:
            self._forget_if_complete()

    def _has_old_pods(self) -> bool:
        """A pod that has ended runs no more; one of a lost node may still run."""
        if any(status_of(one).get("replicas") for one in self.old):
            return True
        new_uid = uid_of(self.new) if self.new is not None else ""
        return any(pod.owner_uid != new_uid and not pod.is_finished for pod in self.pods)

    # --- the new set --------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        """The new set's annotations and revision, where there is one; and what the deployment says of it."""
        if self.new is None:
            return
        found = revisions.renewed(self.deployment, self.new, self.old)
        if found != self.new:
            self._update(found)
        self.annotations[revisions.REVISION] = annotations_of(found)[revisions.REVISION]
        self.status = statuses.with_set_told(self.deployment, self.status, found, is_made=False, now=self.now)

    def _renew_or_make(self) -> JSONObject:
        self._renew()
        if self.new is None:
            self.new = self.create = revisions.new_set(self.deployment, self.old)
            self.annotations[revisions.REVISION] = annotations_of(self.new)[revisions.REVISION]
            self.status = statuses.with_set_told(self.deployment, self.status, self.new, is_made=True, now=self.now)
        return self.new

    def _forget_if_complete(self) -> None:
        if statuses.is_complete(self.deployment, self.status):
            self.forgotten = revisions.forgotten(self.deployment, self.old)

    # --- what is written ----------------------------------------------------------------------------------------------

    def _resize(self, resizes: Sequence[sizes.Resize]) -> None:
        """Each set with its size, and with the number that it was sized for."""
        remembered = sizes.size_annotations(self.deployment)
        for one in resizes:
            annotations = annotations_of(one.replica_set) | remembered
            sized = with_spec(with_metadata(one.replica_set, annotations=annotations), replicas=one.size)
            if sized != one.replica_set:
                self._update(sized)

    def _update(self, changed: JSONObject) -> None:
        if self.new is not None and uid_of(changed) == uid_of(self.new):
            self.new = changed
        else:
            self.old = [changed if uid_of(one) == uid_of(changed) else one for one in self.old]
        self.updates[uid_of(changed)] = changed

    def _written(self, *, rollout: bool) -> DeploymentPlan:
        make = statuses.rolled_out if rollout else statuses.counted
        status = make(self.deployment, self.status, self.old, self.new, self.now)
        changed = {**with_metadata(self.deployment, annotations=self.annotations), "status": status}
        return DeploymentPlan(
            create=self.create,
            update=tuple(self.updates.values()),
            delete=tuple(self.forgotten),
            status=None if changed == self.deployment else changed,
            again_in_s=statuses.late_in_s(self.deployment, status, self.now) if rollout else None,
        )
