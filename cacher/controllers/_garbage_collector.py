"""The garbage collector: deletes what only absent owners own, keeps the order of foreground deletions, and lets orphans go.

    every resource served ── informers ──► OwnerGraph ── uids worth a look ──► reconcile(uid) ─ live reads ─ verdict ─► one write

Nothing is deleted on the word of a copy: the object and each of its owners are read from the API first, and every write names the
uid and the version that it was decided on. What cannot be read, or is of a kind that nobody serves, is left alone and tried again.

Source: kubernetes pkg/controller/garbagecollector/garbagecollector.go, operations.go, patch.go.
Differs: an owner's dependents are those that have been seen, as in Kubernetes: one that is made while its owner is being orphaned
may come too late to be let go, and is then collected.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from random import Random
from typing import Any, final

import msgspec
import trio

from reflector import Client, Controller, JSONObject, Registration, ResourceClient, Result, SharedInformers
from watch import NotFound, UnknownResource

from ._metadata import FOREGROUND, ORPHAN, Metadata, OwnerReference, metadata_of, read_metadata
from ._owner_graph import Fate, Node, OwnerGraph, OwnerState, Verdict, owner_state, verdict
from ._reads import Feed
from ._served import BUILT_IN, DEFINITIONS, Kinds, ServedResource, served_by

LOG = logging.getLogger("cacher.controllers")

ABSENT_MAX = 500
"""Owners known to be absent, which are not asked about again: a uid never comes back. Source: graph_builder.go."""


class GarbageCollectorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What it looks at, and how fast."""

    resources: tuple[ServedResource, ...] = BUILT_IN
    """Beside these, what customresourcedefinitions define, if those are among them."""
    ignored: tuple[str, ...] = ("events",)
    """Plurals of what owns nothing and is owned by nothing, and is many."""
    workers: int = 20
    """Source: --concurrent-gc-syncs."""
    sync_timeout_s: float = 30.0
    """So long it waits for all resources to be mirrored before it starts with those that are."""
    field_manager: str = "kube-controller-manager"


@final
class GarbageCollector:
    """Runs until cancelled. One for a cluster: two only do the work twice."""

    name = "garbage-collector"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        options: GarbageCollectorOptions = GarbageCollectorOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.graph = OwnerGraph()
        self.options = options
        self.controller = Controller(self.name, self.reconcile, random=random, concurrency=options.workers)
        self._client = client
        self._informers = informers
        self._kinds = Kinds(options.resources)
        self._custom: dict[str, ServedResource] = {}  # by the name of the definition
        self._absent: dict[tuple[str, OwnerReference], None] = {}

    async def run(self) -> None:
        """Mirror everything, then collect until cancelled."""
        mirrored = [one for one in self._kinds.served if one.plural not in self.options.ignored]
        with trio.move_on_after(self.options.sync_timeout_s):
            for registration in [self._mirror(resource) for resource in mirrored]:
                await registration.wait_until_synced()
        if DEFINITIONS in self._kinds.served:
            definitions = self._informers.informer(DEFINITIONS.version, DEFINITIONS.plural)
            definitions.add_handler(
                Feed(
                    self.name,
                    lambda _, new: self.serve(new.name, served_by(new.parse())),
                    lambda last: self.serve(last.name, None),
                )
            )
        await self.controller.run()

    def _mirror(self, resource: ServedResource) -> Registration:
        feed = Feed(
            self.name,
            lambda _, new: self.look_at(self.graph.observe(resource, read_metadata(new.raw))),
            lambda last: self.look_at(self.graph.forget(last.uid)),
        )
        return self._informers.informer(resource.version, resource.plural).add_handler(feed)

    def look_at(self, uids: Iterable[str]) -> None:
        """Have these looked at."""
        for uid in uids:
            self.controller.queue.add(uid)

    def serve(self, definition: str, resource: ServedResource | None) -> None:
        """A definition makes the API serve this from now on, or nothing."""
        before = self._custom.pop(definition, None)
        if resource is not None:
            self._custom[definition] = resource
        if before == resource:
            return
        self._kinds = Kinds((*self.options.resources, *self._custom.values()))
        if resource is not None:
            self._mirror(resource)

    # ---- one object --------------------------------------------------------------------------------------------------

    async def reconcile(self, uid: str) -> Result | None:
        """Do with one object what its owners, or its own deletion, ask for."""
        node = self.graph.node(uid)
        if node is None:
            return None
        latest = await self._latest(node)
        if latest is None:
            self.look_at(self.graph.forget(uid))
            return None
        metadata = metadata_of(latest)
        if metadata.orphans_dependents:
            await self._orphan(node)
            return None
        if metadata.waits_for_dependents:
            await self._finish_foreground(node)
            return None
        if metadata.is_going or not metadata.owners:
            return None
        states = {owner: await self._state(owner, metadata.namespace) for owner in metadata.owners}
        await self._carry_out(node, latest, verdict(metadata, states, self.graph.dependents(uid)))
        # An owner that is there and was not seen may go unseen as well: only a later look would tell.
        unseen = any(
            state is not OwnerState.ABSENT and self.graph.node(owner.uid) is None for owner, state in states.items()
        )
        return Result(requeue=True) if unseen else None

    async def _latest(self, node: Node) -> JSONObject | None:
        """The object as it is now; None: it is gone, though another may have its name."""
        found = await self._read(node.resource, node.metadata.name, node.metadata.namespace)
        return found if found is not None and metadata_of(found).uid == node.uid else None

    async def _read(self, resource: ServedResource, name: str, namespace: str) -> JSONObject | None:
        """Raises APIError: whether it is there cannot be told, because nobody serves such objects now, for one."""
        try:
            return await self._resource(resource).get(name, namespace or None)
        except NotFound as error:
            # A server that does not know the resource says 404 as well, and names no object.
            if error.details is None or error.details.name != name:
                raise
            return None

    async def _state(self, owner: OwnerReference, namespace: str) -> OwnerState:
        """Raises UnknownResource: its kind is not served: whether it is there cannot be told."""
        if (namespace, owner) in self._absent:
            return OwnerState.ABSENT
        resource = self._kinds.find(owner.api_version, owner.kind)
        if resource is None:
            raise UnknownResource(f"{owner.kind} of {owner.api_version}, which owns something")
        if resource.is_namespaced and not namespace:
            # What belongs to no namespace cannot be owned by what does: in which one would it be?
            found = None
        else:
            found = await self._read(resource, owner.name, namespace if resource.is_namespaced else "")
        state = owner_state(owner, metadata_of(found) if found is not None else None)
        if state is OwnerState.ABSENT:
            self._absent[namespace, owner] = None
            if len(self._absent) > ABSENT_MAX:
                del self._absent[next(iter(self._absent))]
        return state

    # ---- writes ------------------------------------------------------------------------------------------------------

    async def _carry_out(self, node: Node, latest: JSONObject, decided: Verdict) -> None:
        if decided.fate is Fate.DETACH:
            await self._change(node, latest, {"ownerReferences": _without(latest, decided.owners)})
        elif decided.fate is Fate.DELETE:
            if decided.unblocks:
                latest = await self._change(node, latest, {"ownerReferences": _unblocking(latest)})
            LOG.debug("%s deletes %s %s", self.name, node.resource.kind, node.metadata.name)
            await self._delete(node, metadata_of(latest), decided.policy)

    async def _orphan(self, owner: Node) -> None:
        """Let go of what it owns, then of itself."""
        for dependent in self.graph.dependents(owner.uid):
            latest = await self._latest(dependent)
            if latest is None:
                continue
            references = [one for one in metadata_of(latest).owners if one.uid == owner.uid]
            if references:
                await self._change(dependent, latest, {"ownerReferences": _without(latest, references)})
        await self._release(owner, ORPHAN)

    async def _finish_foreground(self, owner: Node) -> None:
        """Let it go if nothing holds it; else see that what does is on its way."""
        blocking = self.graph.blocking(owner.uid)
        if not blocking:
            await self._release(owner, FOREGROUND)
        self.look_at(node.uid for node in blocking if not node.metadata.waits_for_dependents)

    async def _release(self, node: Node, finalizer: str) -> None:
        """Take the finalizer from it, whatever else changes meanwhile."""
        latest = await self._latest(node)
        if latest is not None and finalizer in (kept := list(metadata_of(latest).finalizers or ())):
            kept.remove(finalizer)
            await self._change(node, latest, {"finalizers": kept})

    async def _change(self, node: Node, latest: JSONObject, changes: Mapping[str, Any]) -> JSONObject:
        """Raises Conflict: somebody was faster, and what was decided may be wrong now. It is looked at again."""
        metadata = latest["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"], **changes}}
        return await self._resource(node.resource).patch(
            node.metadata.name, patch, node.metadata.namespace or None, field_manager=self.options.field_manager
        )

    async def _delete(self, node: Node, latest: Metadata, policy: str) -> None:
        """Raises Conflict: it is another version by now, perhaps with another owner."""
        with suppress(NotFound):
            await self._resource(node.resource).delete(
                latest.name,
                latest.namespace or None,
                uid=latest.uid,
                resource_version=latest.resource_version,
                propagation_policy=policy,
            )

    def _resource(self, resource: ServedResource) -> ResourceClient:
        return self._client.resource(resource.version, resource.plural)


def _without(obj: JSONObject, owners: Iterable[OwnerReference]) -> list[JSONObject]:
    """The object's references, but these."""
    leaving = set(owners)
    return [
        one
        for one in obj["metadata"].get("ownerReferences") or ()
        if msgspec.convert(one, OwnerReference) not in leaving
    ]


def _unblocking(obj: JSONObject) -> list[JSONObject]:
    """The object's references, none of which blocks its owner."""
    return [{**one, "blockOwnerDeletion": False} for one in obj["metadata"].get("ownerReferences") or ()]
