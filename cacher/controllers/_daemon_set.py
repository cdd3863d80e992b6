"""The daemon set controller: one pod on each node that fits.

    daemonsets, pods, nodes ──► key ──► claim pods, find revision ─ plan ─► make or delete pods ─► status

Source: kubernetes pkg/controller/daemon/daemon_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import final

import msgspec

from reflector import Client, Controller, JSONObject, Result, SharedInformers, object_key
from watch import APIError, NotFound, Object

from .._clock import Clock
from ._daemon_set_decision import by_node, daemon_pod, daemon_set_status, plan_daemon_set
from ._workload_heads import find, no_key
from ._workload_history import HASH_LABEL, REVISION_LABEL
from ._workload_objects import (
    MANAGER,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    selector_of,
    spec_of,
    status_of,
    with_status,
)
from ._workload_pod_control import PodControl
from ._workload_pods import PodView
from ._workload_revisions import NameTaken, Revisions


class DaemonSetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it works."""

    workers: int = 2
    burst: int = 250
    """Pods that one reconcile makes, or deletes, at most. Source: BurstReplicas."""


@final
class DaemonSetController:
    """Runs until cancelled. It makes and deletes nothing while it has yet to see what it did last."""

    name = "daemon-set-controller"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: DaemonSetOptions = DaemonSetOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._clock = clock
        self._daemon_sets = client.resource("apps/v1", "daemonsets")
        self._informer = informers.informer("apps/v1", "daemonsets")
        self._nodes = informers.informer("v1", "nodes")
        self._revisions = Revisions(client, informers, api_version="apps/v1", kind="DaemonSet")
        self.controller = Controller(self.name, self.reconcile, random=random, concurrency=options.workers)
        self.controller.watches(self._informer).watches(self._nodes, self._all, when=_matters)
        self.pods = PodControl(
            client,
            informers,
            self._informer,
            self.controller.queue,
            api_version="apps/v1",
            kind="DaemonSet",
            resource="daemonsets",
        )
        self.controller.watches(self.pods.informer, no_key).watches(self._revisions.informer, no_key)

    async def run(self) -> None:
        """Know all nodes, pods and revisions, then reconcile until cancelled."""
        await self._informer.wait_until_synced()
        await self._nodes.wait_until_synced()
        await self._revisions.wait_until_synced()
        await self.pods.follow()
        await self.controller.run()

    def _all(self, node: Object) -> Iterable[str]:
        return [object_key(one) for one in self._informer.store.objects()]

    async def reconcile(self, key: str) -> Result | None:
        """Bring the set nearer to one pod on each node."""
        found = find(self._informer, key)
        if found is None:
            self.pods.forget(key)
            return None
        daemon_set = found.to_dict()
        selector = selector_of(daemon_set)
        if selector is None or is_terminating(daemon_set):
            return None
        known = self._revisions.of(daemon_set)
        try:
            present = await self._revisions.present(daemon_set, known)
        except NameTaken as taken:
            await self._tell(daemon_set, {**status_of(daemon_set), "collisionCount": taken.collisions})
            return None
        wait_s = self.pods.wait_s(key, daemon_set)
        pods = await self.pods.claimed(daemon_set, selector)
        nodes = sorted((one.to_dict() for one in self._nodes.lister.list()), key=name_of)
        revision_hash = labels_of(present)[HASH_LABEL]
        error = None
        if wait_s <= 0:
            error = await self._manage(key, daemon_set, nodes, pods, revision_hash)
        status = daemon_set_status(daemon_set, nodes, by_node(pods), revision_hash, self._clock.unix())
        collisions = status_of(daemon_set).get("collisionCount")
        await self._tell(daemon_set, status if collisions is None else {**status, "collisionCount": collisions})
        await self._forget(daemon_set, pods, present)
        if error is not None:
            raise error
        return self._again(daemon_set, pods, wait_s)

    async def _manage(
        self, key: str, daemon_set: JSONObject, nodes: list[JSONObject], pods: list[PodView], revision_hash: str
    ) -> APIError | None:
        plan = plan_daemon_set(daemon_set, nodes, by_node(pods), revision_hash, self._clock.unix())
        burst = self.options.burst
        if plan.delete:
            return await self.pods.delete(key, plan.delete[:burst])  # when these were seen to go, the others are made
        bodies = [daemon_pod(daemon_set, node, revision_hash) for node in plan.create[:burst]]
        return await self.pods.create(key, bodies) if bodies else None

    async def _tell(self, daemon_set: JSONObject, status: JSONObject) -> None:
        present = status_of(daemon_set)
        if status == present:
            return
        changed = with_status(daemon_set, status)
        try:
            part = self._daemon_sets.subresource("status")
            await part.update(changed, namespace_of(changed), field_manager=MANAGER)
        except NotFound:
            return

    async def _forget(self, daemon_set: JSONObject, pods: list[PodView], present: JSONObject) -> None:
        hashes = {pod.labels.get(REVISION_LABEL, "") for pod in pods}
        known = self._revisions.of(daemon_set)
        live = {name_of(present)} | {name_of(one) for one in known if labels_of(one).get(HASH_LABEL) in hashes}
        await self._revisions.forget(daemon_set, known, live)

    def _again(self, daemon_set: JSONObject, pods: list[PodView], wait_s: float) -> Result | None:
        min_ready_s = int(spec_of(daemon_set).get("minReadySeconds") or 0)
        now = self._clock.unix()
        waits = [pod.available_in_s(min_ready_s, now) for pod in pods if pod.is_active]
        times = [wait for wait in (*waits, wait_s or None) if wait is not None]
        return Result(requeue_after_s=max(min(times), 0.001)) if times else None


def _matters(old: Object | None, new: Object | None) -> bool:
    """A node whose labels and spec are as they were is no other node, whatever its kubelet says every few seconds."""
    if old is None or new is None or old.labels != new.labels:
        return True
    return spec_of(old.parse()) != spec_of(new.parse())
