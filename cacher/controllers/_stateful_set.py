"""The stateful set controller: pods with names of their own, one after the other.

    statefulsets, pods ──► key ──► claim pods, find revisions ─ plan ─► claims, pods ─► status

Source: kubernetes pkg/controller/statefulset/stateful_set.go.
"""

from __future__ import annotations

from random import Random
from typing import final

import msgspec

from reflector import Client, Controller, JSONObject, Result, SharedInformers
from watch import AlreadyExists, NotFound

from .._clock import Clock
from ._stateful_set_decision import StatefulSetPlan, ordinal_of, plan_stateful_set
from ._workload_heads import find, no_key
from ._workload_history import REVISION_LABEL
from ._workload_objects import MANAGER, name_of, namespace_of, selector_of, status_of, with_status
from ._workload_pod_control import PodControl
from ._workload_pods import PodView
from ._workload_revisions import NameTaken, Revisions

NAME_TAKEN_RETRY_S = 1.0
"""How soon a pod is made again whose name another's pod had: nobody tells this set when that goes."""


class StatefulSetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it works."""

    workers: int = 5


@final
class StatefulSetController:
    """Runs until cancelled. It makes and deletes nothing while it has yet to see what it did last."""

    name = "stateful-set-controller"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: StatefulSetOptions = StatefulSetOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._clock = clock
        self._stateful_sets = client.resource("apps/v1", "statefulsets")
        self._claims = client.resource("v1", "persistentvolumeclaims")
        self._informer = informers.informer("apps/v1", "statefulsets")
        self._revisions = Revisions(client, informers, api_version="apps/v1", kind="StatefulSet")
        self.controller = Controller(self.name, self.reconcile, random=random, concurrency=options.workers)
        self.controller.watches(self._informer)
        self.pods = PodControl(
            client,
            informers,
            self._informer,
            self.controller.queue,
            api_version="apps/v1",
            kind="StatefulSet",
            resource="statefulsets",
        )
        self.controller.watches(self.pods.informer, no_key).watches(self._revisions.informer, no_key)

    async def run(self) -> None:
        """Know all pods and revisions, then reconcile until cancelled."""
        await self._informer.wait_until_synced()
        await self._revisions.wait_until_synced()
        await self.pods.follow()
        await self.controller.run()

    async def reconcile(self, key: str) -> Result | None:
        """Take the set's next step."""
        found = find(self._informer, key)
        if found is None:
            self.pods.forget(key)
            return None
        stateful_set = found.to_dict()
        selector = selector_of(stateful_set)
        if selector is None:
            return None
        wait_s = self.pods.wait_s(key, stateful_set)
        if wait_s > 0:
            return Result(requeue_after_s=wait_s)
        # What has another's name is nobody's member, whatever its labels say.
        pods = await self.pods.claimed(stateful_set, selector)
        members = [pod for pod in pods if ordinal_of(pod.name, name_of(stateful_set)) is not None]
        known = self._revisions.of(stateful_set)
        try:
            update = await self._revisions.present(stateful_set, known)
        except NameTaken as taken:
            await self._tell(stateful_set, {**status_of(stateful_set), "collisionCount": taken.collisions})
            return None
        wanted = status_of(stateful_set).get("currentRevision")
        current = next((one for one in known if name_of(one) == wanted), update)
        plan = plan_stateful_set(stateful_set, members, current, update, self._clock.unix())
        is_taken = await self._carry_out(key, stateful_set, plan)
        await self._forget(stateful_set, members, plan.status)
        waits = [wait for wait in (plan.available_in_s, NAME_TAKEN_RETRY_S if is_taken else None) if wait is not None]
        return Result(requeue_after_s=max(min(waits), 0.001)) if waits else None

    async def _carry_out(self, key: str, stateful_set: JSONObject, plan: StatefulSetPlan) -> bool:
        """Whether the name of a pod was taken."""
        for claim in plan.claims:
            try:
                await self._claims.create(claim, namespace_of(claim), field_manager=MANAGER)
            except AlreadyExists:
                continue
        error = await self.pods.create(key, plan.create) if plan.create else None
        if plan.delete and error is None:
            error = await self.pods.delete(key, plan.delete)
        await self._tell(stateful_set, plan.status)
        is_taken = isinstance(error, AlreadyExists)  # by one that was not seen yet, or goes, or is another's
        if error is not None and not is_taken:
            raise error
        return is_taken

    async def _tell(self, stateful_set: JSONObject, status: JSONObject) -> None:
        if status == status_of(stateful_set):
            return
        changed = with_status(stateful_set, status)
        try:
            part = self._stateful_sets.subresource("status")
            await part.update(changed, namespace_of(changed), field_manager=MANAGER)
        except NotFound:
            return

    async def _forget(self, stateful_set: JSONObject, members: list[PodView], status: JSONObject) -> None:
        live = {status.get("currentRevision", ""), status.get("updateRevision", "")}
        live |= {pod.labels.get(REVISION_LABEL, "") for pod in members}
        await self._revisions.forget(stateful_set, self._revisions.of(stateful_set), live)
