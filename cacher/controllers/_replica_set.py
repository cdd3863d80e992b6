"""The ReplicaSet controller: as many pods of one template as are wanted.

    replicasets, pods ──► key ──► claim pods ─ plan ─► make or delete pods ─► status

Source: kubernetes pkg/controller/replicaset/replica_set.go.
"""

from __future__ import annotations

from random import Random
from typing import final

import msgspec

from reflector import Client, Controller, JSONObject, Result, SharedInformers, controller_reference
from watch import APIError, NotFound

from .._clock import Clock
from ._replica_set_decision import BURST, Failure, available_in_s, plan_replica_set, replica_set_status
from ._workload_heads import find, no_key, owned_by, with_owner_index
from ._workload_objects import (
    MANAGER,
    controller_of,
    name_of,
    namespace_of,
    selector_of,
    spec_of,
    status_of,
    with_status,
)
from ._workload_pod_control import PodControl
from ._workload_pods import PodView
from ._workload_template import generate_name, pod_from


class ReplicaSetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it works."""

    workers: int = 5
    burst: int = BURST
    """Pods that one reconcile makes or deletes at most."""
    batch_s: float = 0.0
    """What happens to pods within this time is looked at together: a status for a second's pods instead of one for each."""


@final
class ReplicaSetController:
    """Runs until cancelled. It makes no pods of a set whose last ones it has yet to see."""

    name = "replicaset-controller"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: ReplicaSetOptions = ReplicaSetOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._clock = clock
        self._sets = client.resource("apps/v1", "replicasets")
        self._informer = with_owner_index(informers.informer("apps/v1", "replicasets"))
        self.controller = Controller(self.name, self.reconcile, random=random, concurrency=options.workers)
        self.controller.watches(self._informer)
        self.pods = PodControl(
            client,
            informers,
            self._informer,
            self.controller.queue,
            api_version="apps/v1",
            kind="ReplicaSet",
            resource="replicasets",
            batch_s=options.batch_s,
        )
        self.controller.watches(self.pods.informer, no_key)

    async def run(self) -> None:
        """Know all pods, then reconcile until cancelled."""
        await self._informer.wait_until_synced()
        await self.pods.follow()
        await self.controller.run()

    async def reconcile(self, key: str) -> Result | None:
        """Bring the set nearer to its number of pods."""
        found = find(self._informer, key)
        if found is None:
            self.pods.forget(key)
            return None
        replica_set = found.to_dict()
        selector = selector_of(replica_set)
        if selector is None:
            return None
        wait_s = self.pods.wait_s(key, replica_set)
        pods = await self.pods.claimed(replica_set, selector)
        failure = None
        if wait_s <= 0:
            failure = await self._manage(key, replica_set, pods)
        await self._tell(replica_set, pods, failure)
        if failure is not None:
            raise failure[1]
        return self._again(replica_set, pods, wait_s)

    async def _manage(self, key: str, replica_set: JSONObject, pods: list[PodView]) -> tuple[str, APIError] | None:
        """Make or delete pods. What could not be done, and why."""
        now = self._clock.unix()
        plan = plan_replica_set(replica_set, pods, self._related(replica_set, pods), now, burst=self.options.burst)
        if plan.create:
            reference = controller_reference(replica_set, "apps/v1", "ReplicaSet")
            template = spec_of(replica_set).get("template") or {}
            base = generate_name(f"{name_of(replica_set)}-")
            body = pod_from(template, replica_set, reference, generateName=base)
            error = await self.pods.create(key, [body] * plan.create)
            return ("FailedCreate", error) if error is not None else None
        if plan.delete:
            error = await self.pods.delete(key, plan.delete)
            return ("FailedDelete", error) if error is not None else None
        return None

    def _related(self, replica_set: JSONObject, pods: list[PodView]) -> list[PodView]:
        """The pods of all sets of the same deployment."""
        owner = controller_of(replica_set)
        if owner is None:
            return pods
        siblings = owned_by(self._informer, owner["uid"])
        return [pod for one in siblings for pod in self.pods.owned(one.uid)]

    async def _tell(self, replica_set: JSONObject, pods: list[PodView], failure: tuple[str, APIError] | None) -> None:
        told = Failure(failure[0], failure[1].message) if failure is not None else None
        status = replica_set_status(replica_set, pods, self._clock.unix(), told)
        if status == status_of(replica_set):
            return
        changed = with_status(replica_set, status)
        try:
            await self._sets.subresource("status").update(changed, namespace_of(changed), field_manager=MANAGER)
        except NotFound:
            return

    def _again(self, replica_set: JSONObject, pods: list[PodView], wait_s: float) -> Result | None:
        """When time alone changes something: a pod becomes available, or what was expected did not come."""
        waits = [available_in_s(replica_set, pods, self._clock.unix()), wait_s or None]
        times = [wait for wait in waits if wait is not None]
        return Result(requeue_after_s=max(min(times), 0.001)) if times else None
