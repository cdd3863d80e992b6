"""One controller's pods: which are whose, making and deleting them, and not doing so twice while the copy is behind.

    informer of pods ── handler ──► expectations: what was seen of what was done ──► queue: whose turn it is
    reconcile ── claimed, create, delete ──► expectations: what is about to be done

A controller that made pods waits until it sees them before it counts again, for five minutes at most. Pods are made in batches that
double, so that a quota, or a template that cannot be, costs one failed write and not five hundred.

Source: kubernetes pkg/controller/controller_utils.go (RealPodControl, slowStartBatch), pkg/controller/replicaset/replica_set.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar, final

import trio

from reflector import (
    Client,
    JSONObject,
    SharedInformer,
    SharedInformers,
    Tombstone,
    UidExpectations,
    WorkQueue,
    controller_reference,
    object_key,
)
from watch import APIError, Conflict, LabelSelector, NotFound, Object

from ._workload_claims import Candidate
from ._workload_heads import nobodys, owned_by, read_head, with_owner_index
from ._workload_objects import MANAGER, namespace_of, selector_of, uid_of
from ._workload_ownership import claim
from ._workload_pods import PodView, PodViews

T = TypeVar("T")


@final
class PodControl:
    """The pods of one kind of owners.

    Args:
        owners: the informer of the owners.
        resource: such as "replicasets".
        queue: gets the key of each owner whose pods change.
        batch_s: so long after the change, so that many are looked at together.
    """

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        owners: SharedInformer,
        queue: WorkQueue[str],
        *,
        api_version: str,
        kind: str,
        resource: str,
        batch_s: float = 0.0,
    ) -> None:
        self.api_version, self.kind = api_version, kind
        self.expectations = UidExpectations()
        self._noted_for: dict[str, str] = {}
        self.views = PodViews()
        self.informer = with_owner_index(informers.informer("v1", "pods"))
        self.owners = owners
        self._pods = client.resource("v1", "pods")
        self._owners = client.resource(api_version, resource)
        self._queue = queue
        self._batch_s = batch_s

    async def follow(self) -> None:
        """Return once all pods that there are were seen; from then on owners are queued for what happens to their pods."""
        await self.informer.add_handler(_Feed(self), name=f"pods of {self.kind}s").wait_until_synced()

    # ---- reading -----------------------------------------------------------------------------------------------------

    def owned(self, owner_uid: str) -> list[PodView]:
        """What the owner of that uid controls, whatever it selects."""
        return self.views.of_all(owned_by(self.informer, owner_uid))

    async def claimed(self, owner: JSONObject, selector: LabelSelector) -> list[PodView]:
        """The owner's pods, after adopting and letting go."""
        pods = (*owned_by(self.informer, uid_of(owner)), *nobodys(self.informer, namespace_of(owner)))
        reference = controller_reference(owner, self.api_version, self.kind)
        views = self.views.of_all(pods)
        return await claim(views, _candidate, self._pods, owner, self._owners, selector, reference)

    def wait_s(self, key: str, owner: JSONObject) -> float:
        """Seconds until all that was done for this very owner was seen, or is given up; 0: it may act. Ask before you read pods.

        What was done for another one of its name is not waited for: pods whose owner is gone are nobody's, and are not counted.
        Source: kubernetes pkg/controller/replicaset/replica_set.go, updateRS, which forgets where the uid is another (k#69376).
        """
        if self._noted_for.get(key) != uid_of(owner):
            self.expectations.forget(key)
            self._noted_for[key] = uid_of(owner)
        return self.expectations.expires_in_s(key)

    def forget(self, key: str) -> None:
        """The owner is gone."""
        self.expectations.forget(key)
        self._noted_for.pop(key, None)

    # ---- writing -----------------------------------------------------------------------------------------------------

    async def create(self, key: str, bodies: Sequence[JSONObject]) -> APIError | None:
        """Make these pods; the failure that ended it. Nothing is made in a namespace that goes, which is no failure."""
        self.expectations.expect_creations(key, len(bodies))
        return await self._create(key, bodies)

    async def delete(self, key: str, pods: Sequence[PodView]) -> APIError | None:
        """Delete these pods, if they are still those; the last failure."""
        self.expectations.expect_deletions(key, [pod.uid for pod in pods])

        async def delete(pod: PodView) -> None:
            try:
                await self._pods.delete(pod.name, pod.namespace, uid=pod.uid)
            except (NotFound, Conflict):
                self.expectations.deletion_observed(key, pod.uid)
            except APIError:
                self.expectations.deletion_observed(key, pod.uid)
                raise

        failures = await _all(delete, pods)
        return failures[-1] if failures else None

    async def _create(self, key: str, bodies: Sequence[JSONObject]) -> APIError | None:
        async def create(body: JSONObject) -> None:
            try:
                await self._pods.create(body, namespace_of(body), field_manager=MANAGER)
            except APIError as error:
                self.expectations.creation_observed(key)
                if not is_namespace_going(error):
                    raise

        done, size = 0, 1
        while done < len(bodies):
            batch = bodies[done : done + size]
            failures = await _all(create, batch)
            done += len(batch)
            size *= 2
            if failures:
                for _ in bodies[done:]:
                    self.expectations.creation_observed(key)  # they will not come
                return failures[-1]
        return None

    async def release(self, pod: PodView, finalizer: str) -> None:
        """The pod without that finalizer, if it is still there."""
        rest = [one for one in pod.finalizers if one != finalizer]
        patch = {"metadata": {"uid": pod.uid, "finalizers": rest or None}}
        try:
            await self._pods.patch(pod.name, patch, pod.namespace, field_manager=MANAGER)
        except (NotFound, Conflict):
            return

    # ---- what the informer tells -------------------------------------------------------------------------------------

    def keys_of(self, pod: Object) -> Iterable[str]:
        """The owner of the pod, if it is of this kind; of a pod that nobody has, all who would take it."""
        owner, _ = read_head(pod)
        if owner is not None:
            key = f"{pod.namespace}/{owner.name}"
            known = self.owners.store.get(key) if owner.kind == self.kind else None
            return (key,) if known is not None and known.uid == owner.uid else ()
        return [object_key(one) for one in self.owners.lister.list(pod.namespace) if _selects(one, pod)]

    def see(self, old: Object | None, new: Object) -> None:
        """A pod came, or changed."""
        owner, is_terminating = read_head(new)
        for key in self.keys_of(new):
            if owner is not None and old is None and not is_terminating:
                self.expectations.creation_observed(key)
            if is_terminating:
                self.expectations.deletion_observed(key, new.uid)
            self._look_at(key)
        if old is not None and read_head(old)[0] != owner:
            for key in self.keys_of(old):
                self._look_at(key)

    def _look_at(self, key: str) -> None:
        if self._batch_s:
            self._queue.add_after(key, self._batch_s)
        else:
            self._queue.add(key)

    def see_gone(self, pod: Object) -> None:
        """A pod is gone."""
        self.views.forget(pod.uid)
        for key in self.keys_of(pod):
            self.expectations.deletion_observed(key, pod.uid)
            self._look_at(key)


def _candidate(pod: PodView) -> Candidate:
    return Candidate(pod.owner_uid, pod.labels, pod.is_terminating, not pod.is_finished)


def is_namespace_going(error: APIError) -> bool:
    """Whether a write was refused because its namespace is about to go: then all else goes too."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)


def _selects(owner: Object, pod: Object) -> bool:
    selector = selector_of(owner.parse())
    return selector is not None and selector.matches(pod.labels)


async def _all(act: Callable[[T], Awaitable[None]], items: Iterable[T]) -> list[APIError]:
    """Do it for all of them at once, and return what the API refused."""
    failures: list[APIError] = []

    async def one(item: T) -> None:
        try:
            await act(item)
        except APIError as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        for item in items:
            nursery.start_soon(one, item)
    return failures


class _Feed:
    """The handler of pods."""

    def __init__(self, control: PodControl) -> None:
        self._control = control

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        self._control.see(None, obj)

    def on_update(self, old: Object, new: Object) -> None:
        self._control.see(old, new)

    def on_delete(self, obj: Object | Tombstone) -> None:
        self._control.see_gone(obj if isinstance(obj, Object) else obj.last_known)
