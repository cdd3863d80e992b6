"""The node lifecycle controller: marks nodes that are not heard any more, and evicts their pods.

    leases, nodes ──► Heartbeats ── each `period_s`, each node ──► status Unknown, taints; pods no longer ready
    pods on nodes with NoExecute taints ──► condition DisruptionTarget, DELETE by uid, when their tolerations have run out
    pods on nodes that are gone ──► deleted with grace 0: no kubelet will

Source: kubernetes pkg/controller/nodelifecycle/node_lifecycle_controller.go, pkg/controller/tainteviction/taint_eviction.go,
pkg/controller/podgc/gc_controller.go.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import final

import msgspec
import trio

from reflector import (
    Client,
    Controller,
    ExponentialLimiter,
    JSONObject,
    Reconcile,
    Result,
    SharedInformers,
    object_key,
)
from watch import APIError, Conflict, NotFound, Object

from .._clock import Clock
from ._conditions import Condition, with_conditions
from ._node_health import (
    DEFAULT_TOLERATION_S,
    EvictionRates,
    Evictions,
    Heartbeats,
    ZoneHealth,
    ready_status,
    silenced,
    stays_s,
    taints,
)
from ._placement import ZONE, read_node, read_pod
from ._reads import Feed
from ._simulated_nodes import LEASES
from ._times import rfc3339


class NodeLifecycleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long nodes may be silent, and how fast their pods leave. Source: kube-controller-manager's flags."""

    period_s: float = 5.0
    """--node-monitor-period."""
    grace_s: float = 50.0
    """--node-monitor-grace-period."""
    rates: EvictionRates = EvictionRates()
    default_toleration_s: float = DEFAULT_TOLERATION_S
    """Of pods that say nothing of nodes that are not ready: an API server would have written it into them."""
    gone_s: float = 40.0
    """So long after a node is gone, pods that are bound to it are deleted. Source: podgc, quarantineTime."""
    workers: int = 8
    field_manager: str = "kube-controller-manager"


@final
class NodeLifecycleController:
    """Runs until cancelled."""

    name = "node-lifecycle"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: NodeLifecycleOptions = NodeLifecycleOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self.heartbeats = Heartbeats()
        self._clock = clock
        self._random = random
        self._nodes = client.resource("v1", "nodes")
        self._pods = client.resource("v1", "pods")
        self._node_informer = informers.informer("v1", "nodes")
        self._pod_informer = informers.informer("v1", "pods")
        self._lease_informer = informers.informer("coordination.k8s.io/v1", "leases", namespace=LEASES)
        self._on_node: dict[str, dict[str, None]] = {}
        self._zones = ZoneHealth()
        self._settled: dict[str, Object] = {}
        """Nodes that were well, and marked as they should be: as long as they are heard, there is nothing to do."""
        self._may_evict_s: dict[str, float] = {}
        """When a node of a zone may be given NoExecute next."""
        self._missing_since_s: dict[str, float] = {}
        self.node_controller = self._controller("nodes", self.reconcile_node).watches(self._node_informer)
        self.pod_controller = self._controller("evictions", self.reconcile_pod)

    def _controller(self, name: str, reconcile: Reconcile) -> Controller:
        return Controller(
            f"{self.name}-{name}",
            reconcile,
            random=self._random,
            concurrency=self.options.workers,
            limiter=ExponentialLimiter(),
        )

    async def run(self) -> None:
        """Look after the nodes until cancelled."""
        registrations = [
            self._lease_informer.add_handler(Feed(self.name, lambda _, new: self._see_lease(new))),
            self._node_informer.add_handler(Feed(self.name, self._see_node)),
            self._pod_informer.add_handler(
                Feed(self.name, lambda _, new: self._see_pod(new), lambda last: self._see_pod(last, is_gone=True))
            ),
        ]
        for registration in registrations:
            await registration.wait_until_synced()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.node_controller.run)
            nursery.start_soon(self.pod_controller.run)

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """What it works with."""
        return self.node_controller, self.pod_controller

    # ---- nodes -------------------------------------------------------------------------------------------------------

    async def reconcile_node(self, name: str) -> Result | None:
        """Mark the node as what it is, and look again a period later."""
        obj = self._node_informer.store.get(name)
        if obj is None:
            self.heartbeats.forget(name)
            self._zones.forget(name)
            self._settled.pop(name, None)
            self._look_at_pods(name)
            return None
        again = Result(requeue_after_s=self.options.period_s)
        is_silent = self.heartbeats.silent_s(name, self._clock.unix()) > self.options.grace_s
        if self._settled.get(name) is obj and not is_silent:
            return again
        node = obj.to_dict()
        try:
            if is_silent and ready_status(node) != "Unknown":
                node = await self._silence(node)
            if not await self._taint(node) and ready_status(node) == "True":
                self._settled[name] = obj
        except (Conflict, NotFound):
            return again  # somebody else wrote, or it is gone: the informer tells
        if ready_status(node) != "True":
            await self._mark_pods(name)
        return again

    async def _silence(self, node: JSONObject) -> JSONObject:
        status = node.get("status") or {}
        told = silenced(status.get("conditions") or [], self._clock.rfc3339())
        return await self._nodes.subresource("status").update(
            {**node, "status": {**status, "conditions": told}}, field_manager=self.options.field_manager
        )

    async def _taint(self, node: JSONObject) -> bool:
        """Whether there was something to write."""
        name, zone = node["metadata"]["name"], (node["metadata"].get("labels") or {}).get(ZONE) or ""
        self._zones.note(name, zone, is_ready=ready_status(node) == "True")
        spec, now_s = node.get("spec") or {}, self._clock.unix()
        present, now = spec.get("taints") or [], rfc3339(now_s)
        if self._zones.are_all_silent:
            told = taints(node, now, Evictions.STOPPED)
        else:
            told = taints(node, now, Evictions.ALLOWED)
            if _evicting(told) > _evicting(present):
                rate = self._zones.evictions_per_s(zone, self.options.rates)
                if rate > 0 and now_s >= self._may_evict_s.get(zone, now_s):
                    self._may_evict_s[zone] = now_s + 1 / rate
                else:
                    told = taints(node, now, Evictions.HELD)
        if told == present:
            return False
        changed = {**node, "spec": {**spec, "taints": told}}
        await self._nodes.update(changed, field_manager=self.options.field_manager)
        return True

    async def _mark_pods(self, node: str) -> None:
        """Pods of a node that is not ready are not ready, so that services send nothing there."""
        for key in tuple(self._on_node.get(node, ())):
            obj = self._pod_informer.store.get(key)
            if obj is None:
                continue
            pod = obj.to_dict()
            status = pod.get("status") or {}
            conditions = status.get("conditions") or []
            if not any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions):
                continue
            told = _with_unready(conditions, self._clock.rfc3339())
            try:
                await self._write_status(obj, pod, told)
            except APIError:
                continue  # the next look at the node finds it again

    # ---- pods --------------------------------------------------------------------------------------------------------

    async def reconcile_pod(self, key: str) -> Result | None:
        """See that the pod leaves its node, when it has to."""
        obj = self._pod_informer.store.get(key)
        pod = read_pod(obj.raw) if obj is not None else None
        if obj is None or pod is None or not pod.node:
            return None
        found = self._node_informer.store.get(pod.node)
        if found is None:
            return await self._orphaned(key, obj, pod.node)
        self._missing_since_s.pop(pod.node, None)
        if pod.is_going or pod.is_over:
            return None
        node = read_node(found.raw)
        left_s = stays_s(pod.placement.tolerations, node.taints, self._clock.unix(), self.options.default_toleration_s)
        if left_s == float("inf"):
            return None
        if left_s > 0:
            return Result(requeue_after_s=left_s)
        await self._evict(obj)
        return None

    async def _orphaned(self, key: str, obj: Object, node: str) -> Result | None:
        """Its node is gone, by the copy. It goes too, if that is still so a while later, and true."""
        now_s = self._clock.unix()
        since_s = self._missing_since_s.setdefault(node, now_s)
        if now_s - since_s < self.options.gone_s:
            return Result(requeue_after_s=self.options.gone_s - (now_s - since_s))
        try:
            await self._nodes.get(node)
        except NotFound:
            await self._delete(obj, grace_period_s=0)
            return None
        return Result(requeue_after_s=self.options.period_s)

    async def _evict(self, obj: Object) -> None:
        pod = obj.to_dict()
        conditions = (pod.get("status") or {}).get("conditions") or []
        why = Condition(
            "DisruptionTarget", "True", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
        )
        others = [one for one in conditions if one.get("type") != why.type]
        told = others + with_conditions(conditions, (why,), self._clock.rfc3339(), {"lastProbeTime": None})[:1]
        try:
            await self._write_status(obj, pod, told)
            await self._delete(obj)
        except NotFound:
            pass

    async def _write_status(self, obj: Object, pod: JSONObject, conditions: list[JSONObject]) -> None:
        changed = {**pod, "status": {**(pod.get("status") or {}), "conditions": conditions}}
        await self._pods.subresource("status").update(changed, obj.namespace, field_manager=self.options.field_manager)

    async def _delete(self, obj: Object, *, grace_period_s: int | None = None) -> None:
        with suppress(NotFound, Conflict):
            await self._pods.delete(obj.name, obj.namespace, grace_period_s=grace_period_s, uid=obj.uid)

    # ---- what is seen ------------------------------------------------------------------------------------------------

    def _see_node(self, old: Object | None, new: Object) -> None:
        """The node says something: a sign of life, and perhaps other taints."""
        if old is None or old.raw != new.raw:
            ready = _ready_of(new)
            self.heartbeats.hear(new.name, "status", ready.last_heartbeat_time or "", self._clock.unix())
            self._zones.note(new.name, new.labels.get(ZONE, ""), is_ready=ready.status == "True")
        if old is None or read_node(old.raw).taints != read_node(new.raw).taints:
            self._look_at_pods(new.name)

    def _see_lease(self, obj: Object) -> None:
        """The lease says something: a sign of life."""
        self.heartbeats.hear(obj.name, "lease", _LEASE.decode(obj.raw).spec.renew_time or "", self._clock.unix())

    def _see_pod(self, obj: Object, *, is_gone: bool = False) -> None:
        """Which pods are on which node."""
        node, key = obj.field("spec.nodeName"), object_key(obj)
        if not node:
            return
        there = self._on_node.setdefault(node, {})
        if is_gone:
            there.pop(key, None)
            if not there:
                del self._on_node[node]
        elif key not in there:
            there[key] = None
            self.pod_controller.queue.add(key)

    def _look_at_pods(self, node: str) -> None:
        for key in self._on_node.get(node, ()):
            self.pod_controller.queue.add(key)


class _LeaseSpec(msgspec.Struct, rename="camel"):
    renew_time: str | None = None


class _Lease(msgspec.Struct):
    spec: _LeaseSpec = msgspec.field(default_factory=_LeaseSpec)


class _Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""
    last_heartbeat_time: str | None = None


class _Status(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _Node(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


_LEASE, _NODE = msgspec.json.Decoder(_Lease), msgspec.json.Decoder(_Node)


def _ready_of(node: Object) -> _Condition:
    """The condition Ready, whose heartbeat only the kubelet writes."""
    conditions = _NODE.decode(node.raw).status.conditions or ()
    return next((one for one in conditions if one.type == "Ready"), _Condition())


def _evicting(told: list[JSONObject]) -> int:
    return sum(one.get("effect") == "NoExecute" for one in told)


def _with_unready(conditions: list[JSONObject], now: str) -> list[JSONObject]:
    """Ready is false, where it stands."""
    return [
        {**one, "status": "False", "lastTransitionTime": now} if one.get("type") == "Ready" else one
        for one in conditions
    ]
