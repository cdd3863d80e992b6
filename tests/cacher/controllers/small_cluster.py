"""A deployment, its ReplicaSets and their pods, without a cluster: the decisions of controllers carried out at once, one by one.

Whoever drives it says who acts next, so that every interleaving of controllers, pods and users can be tried.
"""

from __future__ import annotations

import copy
from typing import Any

from cacher.controllers._deployment_decision import DeploymentPlan, plan_deployment
from cacher.controllers._deployment_revisions import rolled_back
from cacher.controllers._replica_set_decision import plan_replica_set, replica_set_status
from cacher.controllers._workload_pods import PodView
from tests.cacher.controllers.objects import EPOCH, at, pod

JSONObject = dict[str, Any]


class SmallCluster:
    """State, and who may change it."""

    def __init__(self, deployment: JSONObject) -> None:
        self.deployment = deployment
        self.sets: dict[str, JSONObject] = {}
        self.pods: dict[str, JSONObject] = {}
        """By name: owner, ready."""
        self.now = 0.0
        self._made = 0

    # --- controllers --------------------------------------------------------------------------------------------------

    def plan(self) -> DeploymentPlan:
        views = [view for uid in self.sets for view in self.views(uid)]
        return plan_deployment(copy.deepcopy(self.deployment), list(self.sets.values()), views, EPOCH + self.now)

    def step_deployment(self) -> DeploymentPlan:
        """The deployment's controller looks once, and what it decides is written."""
        plan = self.plan()
        if plan.roll_back is not None:
            self._change(plan.roll_back)
            return plan
        if plan.create is not None:
            self._made += 1
            uid = f"rs-{self._made}"
            made = copy.deepcopy(plan.create)
            made["metadata"] |= {"uid": uid, "creationTimestamp": at(self.now), "generation": 1}
            self.sets[uid] = {**made, "status": {"replicas": 0}}
        for one in plan.update:
            uid = one["metadata"]["uid"]
            generation = self.sets[uid]["metadata"]["generation"] + (one["spec"] != self.sets[uid]["spec"])
            self.sets[uid] = {**one, "metadata": {**one["metadata"], "generation": generation}}
        for one in plan.delete:
            del self.sets[one["metadata"]["uid"]]
        if plan.status is not None:
            self.deployment = copy.deepcopy(plan.status)
        return plan

    def step_set(self, uid: str) -> None:
        """A set's controller looks once. Pods that it deletes are gone at once."""
        one = self.sets[uid]
        plan = plan_replica_set(one, self.views(uid), self.views(uid), EPOCH + self.now)
        for _ in range(plan.create):
            self._made += 1
            self.pods[f"pod-{self._made}"] = {"owner": uid, "ready": False, "created": self.now}
        for view in plan.delete:
            del self.pods[view.name]
        self.count(uid)

    def count(self, uid: str) -> None:
        self.sets[uid] = {
            **self.sets[uid],
            "status": replica_set_status(self.sets[uid], self.views(uid), EPOCH + self.now),
        }

    # --- pods and users -----------------------------------------------------------------------------------------------

    def views(self, uid: str) -> list[PodView]:
        return [
            pod(name, owner=uid, ready=one["created"] if one["ready"] else False, created=one["created"])
            for name, one in self.pods.items()
            if one["owner"] == uid
        ]

    def set_image(self, image: str) -> None:
        changed = copy.deepcopy(self.deployment)
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = image
        self._change(changed)

    def set_spec(self, **changes: Any) -> None:
        self._change({**self.deployment, "spec": {**self.deployment["spec"], **changes}})

    def undo(self) -> None:
        self._change(rolled_back(self.deployment, list(self.sets.values()), 0))

    def _change(self, changed: JSONObject) -> None:
        if changed["spec"] != self.deployment["spec"]:
            metadata = changed["metadata"]
            changed = {**changed, "metadata": {**metadata, "generation": metadata["generation"] + 1}}
        self.deployment = copy.deepcopy(changed)

    def settle(self, *, pods_start: bool = True, most: int = 300) -> None:
        """Everybody acts in turn, until nobody has anything to do."""
        for _ in range(most):
            before = (copy.deepcopy(self.deployment), copy.deepcopy(self.sets), copy.deepcopy(self.pods))
            self.now += 1
            self.step_deployment()
            for uid in list(self.sets):
                self.step_set(uid)
            for one in self.pods.values():
                one["ready"] = one["ready"] or pods_start
            for uid in self.sets:
                self.count(uid)
            if before == (self.deployment, self.sets, self.pods):
                return
        raise AssertionError("it never came to rest")

    # --- what is looked at --------------------------------------------------------------------------------------------

    def sizes(self) -> dict[str, int]:
        """Image → how many pods its set is to have, where that is more than none."""
        return {image_of(one): one["spec"]["replicas"] for one in self.sets.values() if one["spec"]["replicas"]}

    def condition(self, type_: str) -> tuple[str, str] | None:
        for one in self.deployment["status"].get("conditions", ()):
            if one["type"] == type_:
                return one["status"], one["reason"]
        return None

    def revision(self) -> int:
        return int(self.deployment["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", 0))


def image_of(one: JSONObject) -> str:
    return str(one["spec"]["template"]["spec"]["containers"][0]["image"])
