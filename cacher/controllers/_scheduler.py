"""The scheduler: gives each pod without a node one that has room for it.

    pods, nodes ── handlers ──► NodeTable ─ choose ─► put there at once ─► POST pods/binding
                                        └─ nowhere ─► condition PodScheduled=False; parked until something becomes free

Choosing a node and counting the pod on it is one step without awaiting: two pods never get the same room, however many bindings are
under way. A binding that fails gives the room back.

Source: kubernetes pkg/scheduler/schedule_one.go, eventhandlers.go, internal/queue/scheduling_queue.go.
Differs: see NodeTable; parked pods are tried again together, a while after something became free.
"""

from __future__ import annotations

from random import Random
from typing import final

import msgspec
import trio

from reflector import Client, Controller, ExponentialLimiter, JSONObject, Result, SharedInformers, object_key
from watch import APIError, Conflict, NotFound, Object

from .._clock import Clock
from ._conditions import Condition, find_condition, with_conditions
from ._node_table import COMPARED, NodeTable
from ._placement import PodWants, read_node, read_pod
from ._reads import Feed

FINISHED = ("Succeeded", "Failed")


class SchedulerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """For whom it works, and how fast."""

    scheduler_name: str = "default-scheduler"
    workers: int = 16
    """Bindings that may be under way at once."""
    compared: int = COMPARED
    retry_s: float = 1.0
    """So long after something became free, pods that found no place look again. Source: podInitialBackoffSeconds."""
    field_manager: str = "kube-scheduler"


@final
class Scheduler:
    """Runs until cancelled. One for a cluster and a `scheduler_name`: two would not know what the other is about to use."""

    name = "scheduler"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: SchedulerOptions = SchedulerOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self.table = NodeTable(options.compared)
        self.controller = Controller(
            self.name, self.reconcile, random=random, concurrency=options.workers, limiter=ExponentialLimiter()
        )
        self._clock = clock
        self._pods = client.resource("v1", "pods")
        self._pod_informer = informers.informer("v1", "pods")
        self._node_informer = informers.informer("v1", "nodes")
        self._parked: dict[str, None] = {}
        self._freed = trio.Event()

    async def run(self) -> None:
        """Know all nodes and what is on them, then schedule until cancelled."""
        for registration in (
            self._node_informer.add_handler(
                Feed(self.name, lambda _, new: self._see_node(new), lambda last: self.table.remove_node(last.name))
            ),
            self._pod_informer.add_handler(
                Feed(self.name, lambda _, new: self._see_pod(new), lambda last: self._forget_pod(last.uid))
            ),
        ):
            await registration.wait_until_synced()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.controller.run)
            nursery.start_soon(self._retry)

    @property
    def parked(self) -> tuple[str, ...]:
        """The keys of pods that found no place."""
        return tuple(self._parked)

    # ---- one pod -----------------------------------------------------------------------------------------------------

    async def reconcile(self, key: str) -> Result | None:
        """Give the pod a node, if it needs one and there is one."""
        self._parked.pop(key, None)
        obj = self._pod_informer.store.get(key)
        pod = read_pod(obj.raw) if obj is not None else None
        if obj is None or pod is None or not self._is_mine(pod) or self.table.node_of(pod.uid):
            return None
        chosen = self.table.choose(pod)
        if not chosen.node:
            self._parked[key] = None
            return await self._tell(obj, chosen.why)
        self.table.put_pod(pod, chosen.node)
        return await self._bind(key, obj, chosen.node)

    def _is_mine(self, pod: PodWants) -> bool:
        is_pending = not (pod.node or pod.is_gated or pod.is_going or pod.is_over)
        return is_pending and pod.scheduler == self.options.scheduler_name

    async def _bind(self, key: str, obj: Object, node: str) -> Result | None:
        binding: JSONObject = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": obj.name, "namespace": obj.namespace, "uid": obj.uid},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._pods.subresource("binding").create(binding, obj.namespace)
        except NotFound:
            self._take_back(key, obj.uid, node)
        except Conflict:
            # It has a node, goes, or is another one by now. The copy is about to show which; until then it is tried again.
            self._take_back(key, obj.uid, node)
            return Result(requeue=True)
        except APIError:
            self._take_back(key, obj.uid, node)
            raise
        return None

    def _take_back(self, key: str, uid: str, node: str) -> None:
        """The pod is not there after all, unless it was seen there."""
        seen = self._pod_informer.store.get(key)
        is_there = seen is not None and seen.uid == uid and read_pod(seen.raw).node == node
        if not is_there and self.table.node_of(uid) == node:
            self.table.remove_pod(uid)
            self._free()

    async def _tell(self, obj: Object, why: str) -> Result | None:
        """Write into the pod's status why it has no node, if it does not say so yet."""
        pod = obj.to_dict()
        status = pod.get("status") or {}
        conditions = status.get("conditions") or []
        said = find_condition(conditions, "PodScheduled") or {}
        if (said.get("reason"), said.get("message")) == ("Unschedulable", why):
            return None
        wanted = Condition("PodScheduled", "False", "Unschedulable", why)
        told = with_conditions(conditions, (wanted,), self._clock.rfc3339(), {"lastProbeTime": None})
        pod["status"] = {**status, "conditions": told}
        try:
            await self._pods.subresource("status").update(pod, obj.namespace, field_manager=self.options.field_manager)
        except NotFound:
            return None
        except Conflict:
            return Result(requeue=True)
        return None

    # ---- what the cluster has ----------------------------------------------------------------------------------------

    def _free(self) -> None:
        """Something became free: pods that found no place may find one."""
        self._freed.set()

    async def _retry(self) -> None:
        while True:
            await self._freed.wait()
            await trio.sleep(self.options.retry_s)
            self._freed = trio.Event()
            for key in self._parked:
                self.controller.queue.add(key)

    def _see_node(self, obj: Object) -> None:
        if self.table.put_node(read_node(obj.raw)):
            self._free()

    def _see_pod(self, obj: Object) -> None:
        """Count the pod where it is, or see that it gets a node."""
        node = self.table.node_of(obj.uid)
        if node and obj.field("spec.nodeName") == node and obj.field("status.phase") not in FINISHED:
            return  # most events change nothing here, and need not be read
        pod = read_pod(obj.raw)
        if pod.is_over:
            self._forget_pod(pod.uid)
        elif pod.node:
            self.table.put_pod(pod, pod.node)
        elif self._is_mine(pod):
            self.controller.queue.add(object_key(obj))

    def _forget_pod(self, uid: str) -> None:
        """The pod takes no room any more."""
        if self.table.remove_pod(uid):
            self._free()
