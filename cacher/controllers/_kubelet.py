"""Kubelets of nodes that are not there: all of them in one place, so that thousands cost little more than their objects.

    KubeletOptions(nodes=5000) ── for each: Node, Lease renewed every 10 s, status every 5 min   controller "kubelet-nodes"
    pods bound to these ── next_step(pod, plan) ──► pods/status, and at last DELETE with grace 0   controller "kubelet-pods"

What takes time waits in the controllers' queues, which are heaps: no task and no timer a pod or a node. A node can be made to fail:
its lease is renewed no more, and its pods are left as they are.

A pod's status is written on the version that it was decided on, and a pod is removed by its uid: a kubelet whose copy is old
resurrects nothing.

Source: kubernetes pkg/kubelet; recorded kubelets.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from math import inf
from random import Random
from typing import final

import msgspec
import trio

from reflector import Client, Controller, ExponentialLimiter, JSONObject, Reconcile, Result, SharedInformers, object_key
from watch import AlreadyExists, Conflict, NotFound, Object

from .._clock import Clock
from . import _pod_runs as runs
from ._pod_runs import Act, Host, Plan, Stage
from ._simulated_nodes import LEASES, NodeAddresses, NodeShape, PodAddresses, new_lease, new_node, node_status, renewed
from ._times import rfc3339, seconds

_PAGE = 500
_NO_ADDRESS_S = 1.0
"""A pod on a node without a free address waits for one that another gives back."""
Range = tuple[float, float]
"""Seconds, drawn evenly from here to there."""


class KubeletOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How many nodes, and how fast things go on them."""

    nodes: int = 3
    node_name: str = "node-{}"
    """With the node's number in place of the braces."""
    shape: NodeShape = NodeShape()
    start_s: Range = (1.0, 3.0)
    """From when a pod is accepted until it runs and is ready."""
    stop_s: Range = (0.5, 2.0)
    """From when it is deleted until it is over, if its grace period is not shorter."""
    run_s: Range = (1.0, 3.0)
    """How long a pod runs whose containers are not always started again. All others run until they are deleted."""
    run_annotation: str = "simulated-kubelet/run-seconds"
    """On a pod: how long it runs, whatever its policy; `inf`: until it is deleted."""
    exit_annotation: str = "simulated-kubelet/exit-code"
    """On a pod: how its containers end; 0 if it says nothing."""
    missing_images: tuple[str, ...] = ()
    """Images that cannot be pulled, as in a shell: `*:bad`."""
    lease_renew_s: float = 10.0
    lease_duration_s: int = 40
    status_period_s: float = 300.0
    """How often a node's status says that it is well. Source: nodeStatusReportFrequency."""
    workers: int = 64
    field_manager: str = "kubelet"


class _Node:
    """One kubelet's memory."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.addresses = NodeAddresses(number)
        self.pods = PodAddresses(self.addresses)
        self.is_up = True
        self.lease: JSONObject | None = None
        self.status_due_s = inf
        """When its status is said again; infinite before it is registered."""


class _Run:
    """What is remembered of one pod."""

    def __init__(self, uid: str, node: _Node, plan: Plan) -> None:
        self.uid = uid
        self.node = node
        self.plan = plan
        self.at: tuple[Stage, int] | None = None
        self.since_s = 0.0
        self.going_since_s: float | None = None
        self.written = 0
        """The revision of its last status of ours: older ones are not acted on."""


@final
class SimulatedKubelets:
    """Run until cancelled. Their nodes are registered at the start, or adopted where they are there already."""

    name = "kubelet"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: KubeletOptions = KubeletOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._clock = clock
        self._random = random
        self._client = client
        self._pods = client.resource("v1", "pods")
        self._pod_informer = informers.informer("v1", "pods")
        self._node_informer = informers.informer("v1", "nodes")
        self._nodes: dict[str, _Node] = {}
        self._runs: dict[str, _Run] = {}
        self.pod_controller = self._controller("kubelet-pods", self.reconcile_pod).watches(
            self._pod_informer, self._key_of_mine
        )
        self.node_controller = self._controller("kubelet-nodes", self.reconcile_node).watches(
            self._node_informer, lambda node: None
        )
        self.add_nodes(options.nodes)

    def _controller(self, name: str, reconcile: Reconcile) -> Controller:
        # A pod's writes are not to wait for other pods': only those that fail are slowed down, each by itself.
        return Controller(
            name,
            reconcile,
            random=self._random,
            concurrency=self.options.workers,
            limiter=ExponentialLimiter(),
        )

    async def run(self) -> None:
        """Keep the nodes and their pods until cancelled."""
        await self._know_pods()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pod_controller.run)
            nursery.start_soon(self.node_controller.run)

    async def _know_pods(self) -> None:
        """Which pod has which address, as kubelets before these have written it: no other may get it.

        It is asked of the API. A copy may not show yet what a kubelet that ended a moment ago wrote last.
        """
        source, page = self._pods.lister_watcher(), ""
        while True:
            listed = await source.list(page_size=_PAGE, page=page)
            for obj in listed.objects:
                if obj.field("spec.nodeName") in self._nodes:
                    self._adopt(object_key(obj), obj)
            page = listed.next_page
            if not page:
                break
        await self._pod_informer.wait_until_revision(listed.revision)
        for key, run in tuple(self._runs.items()):
            if self._pod_informer.store.get(key) is None:  # it went meanwhile, and nobody is going to tell
                run.node.pods.release(run.uid)
                del self._runs[key]

    # ---- nodes -------------------------------------------------------------------------------------------------------

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """What they work with."""
        return self.node_controller, self.pod_controller

    @property
    def nodes(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._nodes)

    def add_nodes(self, count: int) -> tuple[str, ...]:
        """That many more nodes. Their first heartbeats are spread over the time between two.

        Raises:
            ValueError: there are no addresses for so many.
        """
        added = []
        for _ in range(count):
            number = len(self._nodes)
            name = self.options.node_name.format(number)
            if name in self._nodes:
                raise ValueError(f"there is a node {name!r} already: put {{}} where its number goes into node_name")
            self._nodes[name] = _Node(name, number)
            self.node_controller.queue.add(name)
            added.append(name)
        return tuple(added)

    def fail(self, node: str) -> None:
        """The node stops: no heartbeats, and nothing happens to its pods. Raises KeyError: there is none of that name."""
        self._nodes[node].is_up = False

    def recover(self, node: str) -> None:
        """The node is well again, and looks after the pods that it finds. Raises KeyError: there is none of that name."""
        found = self._nodes[node]
        found.is_up, found.lease, found.status_due_s = True, None, inf
        self.node_controller.queue.add(node)
        for key, run in self._runs.items():
            if run.node is found:
                self.pod_controller.queue.add(key)
        for obj in self._pod_informer.store.objects():
            if obj.field("spec.nodeName") == node:
                self.pod_controller.queue.add(object_key(obj))

    async def reconcile_node(self, name: str) -> Result | None:
        """Register the node, or say that it is well."""
        node = self._nodes[name]
        if not node.is_up:
            return None
        now = self._clock.unix()
        # The bytes are searched, not read: thousands of nodes are looked at every ten seconds.
        seen = self._node_informer.store.get(name)
        is_doubted = seen is not None and b'"NodeStatusUnknown"' in seen.raw
        if now >= node.status_due_s or node.status_due_s == inf or is_doubted:
            await self._say_status(node)
        if node.lease is None:
            node.lease = await self._take_lease(node)
            # Nodes that were registered together do not renew together.
            return Result(requeue_after_s=self.options.lease_renew_s * (0.5 + 0.5 * self._random.random()))
        node.lease = await self._renew(node.lease)
        return Result(requeue_after_s=self.options.lease_renew_s if node.lease is not None else 0.001)

    async def _say_status(self, node: _Node) -> None:
        options, now = self.options, self._clock.unix()
        nodes = self._client.resource("v1", "nodes")
        try:
            found = await nodes.get(node.name)
        except NotFound:
            made = new_node(node.name, node.addresses, options.shape, now)
            await nodes.create(made, field_manager=options.field_manager)
        else:
            status = node_status(found.get("status") or {}, node.name, node.addresses, options.shape, now)
            await nodes.subresource("status").update({**found, "status": status}, field_manager=options.field_manager)
        node.status_due_s = now + options.status_period_s

    async def _take_lease(self, node: _Node) -> JSONObject:
        leases, options = self._client.resource("coordination.k8s.io/v1", "leases"), self.options
        owner = await self._client.resource("v1", "nodes").get(node.name)
        lease = new_lease(node.name, owner["metadata"]["uid"], self._clock.unix(), options.lease_duration_s)
        try:
            return await leases.create(lease, LEASES, field_manager=options.field_manager)
        except AlreadyExists:
            found = await leases.get(node.name, LEASES)
        except NotFound:
            # Nobody has made the namespace: its kubelets need it before anything else is there.
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LEASES}}
            with suppress(AlreadyExists):
                await self._client.resource("v1", "namespaces").create(made, field_manager=options.field_manager)
            return await leases.create(lease, LEASES, field_manager=options.field_manager)
        kept = {**found, "metadata": {**found["metadata"], "ownerReferences": lease["metadata"]["ownerReferences"]}}
        renewed_now = renewed(kept, self._clock.unix())
        return await leases.update(renewed_now, LEASES, field_manager=options.field_manager)

    async def _renew(self, lease: JSONObject) -> JSONObject | None:
        """The lease as renewed; None: somebody changed or deleted it, and it is to be taken anew."""
        leases = self._client.resource("coordination.k8s.io/v1", "leases")
        try:
            return await leases.update(
                renewed(lease, self._clock.unix()), LEASES, field_manager=self.options.field_manager
            )
        except (Conflict, NotFound):
            return None

    # ---- pods --------------------------------------------------------------------------------------------------------

    def _key_of_mine(self, pod: Object) -> str | None:
        return object_key(pod) if pod.field("spec.nodeName") in self._nodes else None

    async def reconcile_pod(self, key: str) -> Result | None:
        """Take the pod one step further, or say when to look again."""
        obj = self._pod_informer.store.get(key)
        run = self._runs.get(key)
        if run is not None and (obj is None or obj.uid != run.uid):
            run.node.pods.release(run.uid)
            del self._runs[key]
            run = None
        if obj is None or obj.field("spec.nodeName") not in self._nodes:
            return None  # gone, or another one of its name, which has no node yet
        if run is None:
            run = self._adopt(key, obj)
        if not run.node.is_up or obj.revision < run.written:
            return None
        return await self._step(obj, run)

    def _adopt(self, key: str, obj: Object) -> _Run:
        pod = obj.parse()
        node = self._nodes[pod["spec"]["nodeName"]]
        run = self._runs[key] = _Run(obj.uid, node, self._plan(pod))
        if address := (pod.get("status") or {}).get("podIP"):
            node.pods.of(obj.uid, address)
        return run

    async def _step(self, obj: Object, run: _Run) -> Result | None:
        pod, now = obj.to_dict(), self._clock.unix()
        self._note(pod, run, now)
        going_s = now - run.going_since_s if run.going_since_s is not None else 0.0
        step = runs.next_step(pod, run.plan, now - run.since_s, going_s)
        if step.act is Act.NOTHING:
            return None
        if step.in_s > 0:
            return Result(requeue_after_s=step.in_s)
        if step.act is Act.REMOVE:
            await self._remove(obj)
            return None
        if step.act is Act.START and not run.node.pods.of(run.uid):
            return Result(requeue_after_s=_NO_ADDRESS_S)
        pod["status"] = self._status(step.act, pod, run, rfc3339(now))
        try:
            stored = await self._pods.subresource("status").update(
                pod, obj.namespace, field_manager=self.options.field_manager
            )
        except NotFound:
            return None
        except Conflict:
            return Result(requeue=True)  # somebody else wrote, and the informer is about to tell
        run.written = int(stored["metadata"]["resourceVersion"])
        self._note(stored, run, self._clock.unix())
        if step.act is Act.STOP:
            await self._remove(obj)
        return None

    def _note(self, pod: JSONObject, run: _Run, now: float) -> None:
        """Since when the pod has been where it is. One that was there before this kubelet tells it in its status."""
        at = runs.stage_of(pod), runs.restarts_of(pod)
        if at != run.at:
            told = runs.stage_began(pod) if run.at is None else None
            run.at, run.since_s = at, now if told is None else min(now, told)
        if run.going_since_s is None and (deletion := pod["metadata"].get("deletionTimestamp")):
            grace_s = pod["metadata"].get("deletionGracePeriodSeconds") or 0
            run.going_since_s = min(now, (seconds(deletion) or now) - grace_s) if run.written == 0 else now

    def _status(self, act: Act, pod: JSONObject, run: _Run, now: str) -> JSONObject:
        host_ip = run.node.addresses.host
        match act:
            case Act.ACCEPT:
                return runs.accepted(pod, Host(host_ip, ""), now)
            case Act.FAIL_PULL:
                return runs.pull_failed(pod, now)
            case Act.START:
                on_host = pod["spec"].get("hostNetwork")
                return runs.started(pod, Host(host_ip, host_ip if on_host else run.node.pods.of(run.uid)), now)
            case Act.REPORT:
                return runs.reported(pod, now)
            case Act.END:
                return runs.ended(pod, run.plan.exit_code, now)
            case _:
                return runs.stopped(pod, 0, now)

    async def _remove(self, obj: Object) -> None:
        with suppress(NotFound, Conflict):  # it is gone; there may be another one of its name
            await self._pods.delete(obj.name, obj.namespace, grace_period_s=0, uid=obj.uid)

    def _plan(self, pod: JSONObject) -> Plan:
        options, spec = self.options, pod["spec"]
        annotations = pod["metadata"].get("annotations") or {}
        drawn = self._random.uniform(*options.run_s) if spec.get("restartPolicy") != "Always" else inf
        images = [container.get("image") or "" for container in spec.get("containers") or ()]
        return Plan(
            start_s=self._random.uniform(*options.start_s),
            run_s=_number(annotations.get(options.run_annotation), drawn),
            exit_code=int(_number(annotations.get(options.exit_annotation), 0)),
            stop_s=self._random.uniform(*options.stop_s),
            has_image=not _any_matches(images, options.missing_images),
        )


def _any_matches(images: Iterable[str], patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(image, pattern) for image in images for pattern in patterns)


def _number(text: str | None, default: float) -> float:
    """The number that an annotation says; `default` where it says none."""
    try:
        number = float(text) if text is not None else default
    except ValueError:
        return default
    return number if number >= 0 else default
