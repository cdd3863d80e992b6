"""The namespace controller: empties a namespace that was deleted, tells in its status what is left, and lets it go.

    deleted ── delay ──► pods first; once there are none, everything else ──┬─ something left: conditions, and again later
                                                                            └─ nothing: finalizers of the spec ─► it goes
    gone ── late ──► what was made in it after it had been found empty is deleted as well

What is in a namespace is listed from the API, not from a copy, and each object is deleted by its uid. What comes too late, by a
write that was under way while the namespace went, belongs to nothing: it was listed before the namespace was read and not found, so
it is of no later namespace of that name.

Source: kubernetes pkg/controller/namespace/namespace_controller.go, deletion/namespaced_resources_deleter.go.
Differs: in Kubernetes what comes too late stays for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import final

import msgspec

from reflector import Client, Controller, ExponentialLimiter, JSONObject, Result, SharedInformers
from watch import APIError, Conflict, MethodNotAllowed, NotFound, Object, UnknownResource, WatchError

from .._clock import Clock
from ._metadata import read_metadata
from ._namespace_contents import KUBERNETES, Left, Report, conditions, left_of, longest_grace_s, without_kubernetes
from ._served import BUILT_IN, DEFINITIONS, ServedResource, served_by
from ._times import seconds

_PODS = ("v1", "pods")


class NamespaceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What may be in a namespace, and how fast it goes."""

    resources: tuple[ServedResource, ...] = BUILT_IN
    """Beside these, what customresourcedefinitions define, if those are among them."""
    delay_s: float = 5.0
    """So long after its deletion it is left alone, so that all API servers know of it. Source: namespaceDeletionGracePeriod."""
    late_s: float = 5.0
    """So long after it went it is looked at once more."""
    page_size: int = 500
    workers: int = 10
    """Source: --concurrent-namespace-syncs."""
    field_manager: str = "kube-controller-manager"


@final
class NamespaceController:
    """Runs until cancelled."""

    name = "namespace"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: NamespaceOptions = NamespaceOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._client = client
        self._clock = clock
        self._namespaces = client.resource("v1", "namespaces")
        self._gone_s: dict[str, float] = {}
        informer = informers.informer("v1", "namespaces")
        self._store = informer.store
        limiter = ExponentialLimiter[str](cap_s=60.0)
        self.controller = Controller(
            self.name, self.reconcile, random=random, concurrency=options.workers, limiter=limiter
        ).watches(informer, when=_goes)

    async def run(self) -> None:
        """Empty namespaces until cancelled."""
        await self.controller.run()

    async def reconcile(self, name: str) -> Result | None:
        """Take the namespace one step nearer to its end, if it was deleted."""
        try:
            namespace = await self._namespaces.get(name)
        except NotFound:
            return await self._late(name)
        self._gone_s.pop(name, None)
        if not namespace["metadata"].get("deletionTimestamp"):
            return None
        if KUBERNETES not in ((namespace.get("spec") or {}).get("finalizers") or ()):
            return None  # what holds it now is somebody else's
        deleted_s = seconds(namespace["metadata"]["deletionTimestamp"]) or 0.0
        too_early_s = deleted_s + self.options.delay_s - self._clock.unix()
        if too_early_s > 0:
            return Result(requeue_after_s=too_early_s)
        report = await self._empty(name, deleted_s)
        namespace = await self._tell(namespace, report)
        if not report.is_empty:
            return Result(requeue_after_s=report.wait_s)
        with suppress(NotFound):
            await self._namespaces.subresource("finalize").update(
                without_kubernetes(namespace), field_manager=self.options.field_manager
            )
        return None

    async def _tell(self, namespace: JSONObject, report: Report) -> JSONObject:
        """The namespace with its conditions written, where they are others than before."""
        status = namespace.get("status") or {}
        present = status.get("conditions") or []
        told = conditions(present, report, self._clock.rfc3339())
        if told == present:
            return namespace
        changed = {**namespace, "status": {**status, "conditions": told}}
        return await self._namespaces.subresource("status").update(changed, field_manager=self.options.field_manager)

    # ---- what is in it -----------------------------------------------------------------------------------------------

    async def _empty(self, name: str, deleted_s: float) -> Report:
        """Delete all that is in the namespace: the pods, and once they are gone the rest."""
        left: list[Left] = []
        failures: list[str] = []
        for resource in await self._resources():
            if left and (left[-1].resource.version, left[-1].resource.plural) == _PODS:
                break
            try:
                found = await self._delete_all(resource, name, deleted_s)
            except (UnknownResource, MethodNotAllowed):
                continue  # nothing of it can be there
            except (APIError, WatchError) as error:
                failures.append(f"{resource.shown}: {error}")
                continue
            if found is not None:
                left.append(found)
        return Report(name, tuple(left), tuple(failures))

    async def _resources(self) -> list[ServedResource]:
        """All that may be in a namespace, pods first. Read anew: what was defined a moment ago may have objects."""
        served = list(self.options.resources)
        if DEFINITIONS in served:
            for definition in await self._list(DEFINITIONS, None):
                if (custom := served_by(definition.parse())) is not None:
                    served.append(custom)
        namespaced = [one for one in served if one.is_namespaced]
        return sorted(namespaced, key=lambda one: (one.version, one.plural) != _PODS)

    async def _delete_all(self, resource: ServedResource, name: str, deleted_s: float) -> Left | None:
        found = await self._list(resource, name)
        if not found:
            return None
        grace_s = longest_grace_s([obj.raw for obj in found]) if (resource.version, resource.plural) == _PODS else 0.0
        for obj in found:
            if not read_metadata(obj.raw).is_going:
                await self._delete(resource, obj)
        remaining = [read_metadata(obj.raw) for obj in await self._list(resource, name)]
        return left_of(resource, remaining, grace_s - (self._clock.unix() - deleted_s))

    async def _list(self, resource: ServedResource, namespace: str | None) -> Sequence[Object]:
        """What is there now, of the API and not of a copy."""
        source = self._client.resource(resource.version, resource.plural).lister_watcher(namespace=namespace)
        found: list[Object] = []
        page = ""
        while True:
            listed = await source.list(page_size=self.options.page_size, page=page)
            found += listed.objects
            page = listed.next_page
            if not page:
                return found

    async def _delete(self, resource: ServedResource, obj: Object) -> None:
        with suppress(NotFound, Conflict):  # it is gone; what has its name now is in the next list
            await self._client.resource(resource.version, resource.plural).delete(
                obj.name, obj.namespace, uid=obj.uid, propagation_policy="Background"
            )

    # ---- what came too late --------------------------------------------------------------------------------------------

    async def _late(self, name: str) -> Result | None:
        """The namespace is gone: once more, a while later, for what was being written into it when it went."""
        now = self._clock.unix()
        due_s = self._gone_s.setdefault(name, now + self.options.late_s)
        if now < due_s:
            return Result(requeue_after_s=due_s - now)
        found = [(one, obj) for one in await self._resources() for obj in await self._list_if_served(one, name)]
        if found:
            try:
                await self._namespaces.get(name)  # there is one again: what was found may be its own
            except NotFound:
                for resource, obj in found:
                    await self._delete(resource, obj)
        self._gone_s.pop(name, None)
        return None

    async def _list_if_served(self, resource: ServedResource, name: str) -> Sequence[Object]:
        try:
            return await self._list(resource, name)
        except UnknownResource:
            return ()


def _goes(old: Object | None, new: Object | None) -> bool:
    """Whether it is gone, or going."""
    return new is None or b'"deletionTimestamp"' in new.raw
