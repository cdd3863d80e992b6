"""The endpointslice controller: keeps each service's slices as its pods are.

    services, pods, slices, nodes ─► reconcile(service) ─ desired, plan ─► create, update, delete

Before it plans, it waits until its copy of the slices shows what it wrote last: on an older one it would make slices twice.

Source: kubernetes pkg/controller/endpointslice/endpointslice_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import final

import msgspec
import trio

from reflector import Client, Controller, ExponentialLimiter, JSONObject, Result, SharedInformers, object_key
from watch import Conflict, Forbidden, LabelSelector, NotFound, Object

from ._endpoints import MANAGED_BY, MANAGER, PER_SLICE, SERVICE_NAME, Plan, belongs, desired, plan
from ._placement import ZONE


class EndpointSliceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How large slices are, and how fast they follow."""

    per_slice: int = PER_SLICE
    batch_s: float = 0.0
    """A service is looked at so long after its last look at the earliest: more changes go into one write.
    Source: --endpointslice-updates-batch-period."""
    workers: int = 5
    """Source: --concurrent-service-endpoint-syncs."""
    field_manager: str = "kube-controller-manager"


class _Written(msgspec.Struct):
    """What was written for one service."""

    revision: int = 0
    deleted: set[str] = msgspec.field(default_factory=set)
    """Uids of slices that the copy may still show."""
    at_s: float = float("-inf")


@final
class EndpointSliceController:
    """Runs until cancelled. Services without a selector, and slices of others, are left alone."""

    name = "endpointslice"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        options: EndpointSliceOptions = EndpointSliceOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._resource = client.resource("discovery.k8s.io/v1", "endpointslices")
        self._services = informers.informer("v1", "services")
        self._pods = informers.informer("v1", "pods")
        self._nodes = informers.informer("v1", "nodes")
        self._slices = informers.informer("discovery.k8s.io/v1", "endpointslices", labels={MANAGED_BY: MANAGER})
        self._selectors: dict[str, tuple[int, LabelSelector | None]] = {}
        self._parsed: dict[str, dict[str, tuple[Object, JSONObject]]] = {}  # by service, then by the pod's uid
        self._written: dict[str, _Written] = {}
        limiter = ExponentialLimiter[str](first_s=1.0)
        self.controller = (
            Controller(self.name, self.reconcile, random=random, concurrency=options.workers, limiter=limiter)
            .watches(self._services)
            .watches(self._slices, _service_key)
            .watches(self._pods, self._services_of)
            .watches(self._nodes, self._none)
        )

    async def run(self) -> None:
        """Keep slices until cancelled."""
        await self.controller.run()

    # ---- one service -------------------------------------------------------------------------------------------------

    async def reconcile(self, key: str) -> Result | None:
        """Write the service's slices as they are to be."""
        obj = self._services.store.get(key)
        selector = self._selector_of(obj) if obj is not None else None
        if obj is None or selector is None or b'"ExternalName"' in obj.raw:
            # Slices of a service that is gone are the garbage collector's.
            for memory in (self._written, self._parsed, self._selectors if obj is None else {}):
                memory.pop(key, None)
            return None
        written = self._written.setdefault(key, _Written())
        early_s = written.at_s + self.options.batch_s - trio.current_time()
        if early_s > 0:
            return Result(requeue_after_s=early_s)
        await self._slices.wait_until_revision(written.revision)
        service = obj.to_dict()
        pods = [pod for pod in self._pods_of(key, obj.namespace, selector) if belongs(pod)]
        zones = {name: self._zone(name) for name in {pod["spec"].get("nodeName") or "": None for pod in pods}}
        pools = desired(service, sorted(pods, key=_age), zones)
        await self._carry_out(plan(service, pools, self._present(obj, written), self.options.per_slice), written)
        return None

    def _present(self, service: Object, written: _Written) -> list[JSONObject]:
        """Its slices that are not going."""
        found = self._slices.lister.list(service.namespace, labels={SERVICE_NAME: service.name})
        written.deleted &= {one.uid for one in found}
        slices = [one.to_dict() for one in sorted(found, key=lambda one: one.name) if one.uid not in written.deleted]
        return [one for one in slices if _is_owned(one, service.uid) and not one["metadata"].get("deletionTimestamp")]

    async def _carry_out(self, decided: Plan, written: _Written) -> None:
        manager = self.options.field_manager
        if decided != Plan():
            written.at_s = trio.current_time()
        for one in decided.create:
            try:
                stored = await self._resource.create(one, one["metadata"]["namespace"], field_manager=manager)
            except (NotFound, Forbidden):
                return  # the namespace is gone, or about to go
            written.revision = max(written.revision, int(stored["metadata"]["resourceVersion"]))
        for one in decided.update:
            stored = await self._resource.update(one, one["metadata"]["namespace"], field_manager=manager)
            written.revision = max(written.revision, int(stored["metadata"]["resourceVersion"]))
        for one in decided.delete:
            metadata = one["metadata"]
            written.deleted.add(metadata["uid"])
            try:
                await self._resource.delete(metadata["name"], metadata["namespace"], uid=metadata["uid"])
            except (NotFound, Conflict):
                continue

    # ---- what it reads -----------------------------------------------------------------------------------------------

    def _selector_of(self, service: Object) -> LabelSelector | None:
        """The service's selector, read once a version; None: it has none."""
        key = object_key(service)
        known = self._selectors.get(key)
        if known is not None and known[0] == service.revision:
            return known[1]
        wanted = (service.parse().get("spec") or {}).get("selector") or None
        selector = LabelSelector.from_api({"matchLabels": wanted}) if wanted else None
        self._selectors[key] = service.revision, selector
        return selector

    def _services_of(self, pod: Object) -> Iterator[str]:
        """The services that want this pod."""
        for service in self._services.lister.list(pod.namespace):
            selector = self._selector_of(service)
            if selector is not None and selector.matches(pod.labels):
                yield object_key(service)

    def _pods_of(self, key: str, namespace: str, selector: LabelSelector) -> list[JSONObject]:
        """The pods that a service wants, each parsed once a version: nearly all are what they were a moment ago."""
        known = self._parsed.get(key, {})
        now: dict[str, tuple[Object, JSONObject]] = {}
        for obj in self._pods.lister.list(namespace, labels=selector):
            held = known.get(obj.uid)
            now[obj.uid] = held if held is not None and held[0] is obj else (obj, obj.parse())
        self._parsed[key] = now
        return [pod for _, pod in now.values()]

    def _none(self, node: Object) -> None:
        """Nodes are waited for, so that zones are known; a node that moves to another zone is not followed."""

    def _zone(self, node: str) -> str:
        found = self._nodes.store.get(node)
        return found.labels.get(ZONE, "") if found is not None else ""


def _service_key(one: Object) -> str | None:
    name = one.labels.get(SERVICE_NAME)
    return f"{one.namespace}/{name}" if name else None


def _is_owned(one: JSONObject, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in one["metadata"].get("ownerReferences") or ())


def _age(pod: JSONObject) -> tuple[str, str]:
    metadata = pod["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["name"]
