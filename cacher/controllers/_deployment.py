"""The deployment controller: templates become ReplicaSets, and one takes over from the other.

    deployments, replicasets, pods that go ──► key ──► claim sets ─ plan ─► make, size and forget sets ─► status

Source: kubernetes pkg/controller/deployment/deployment_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import final

import msgspec

from reflector import Client, Controller, JSONObject, Result, SharedInformers, controller_reference, object_key
from watch import AlreadyExists, APIError, LabelSelector, NotFound, Object, PatchType

from .._clock import Clock
from ._conditions import with_condition
from ._deployment_decision import DeploymentPlan, plan_deployment
from ._deployment_revisions import undo_patch
from ._deployment_status import has_deadline, progressing
from ._workload_heads import candidate, find, nobodys, owned_by, read_head, with_owner_index
from ._workload_objects import (
    MANAGER,
    generation_of,
    is_controlled_by,
    meta,
    name_of,
    namespace_of,
    selector_of,
    spec_of,
    status_of,
    uid_of,
    with_metadata,
    with_status,
)
from ._workload_ownership import claim
from ._workload_pod_control import is_namespace_going
from ._workload_pods import PodView, PodViews
from ._workload_template import is_same_template


class DeploymentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it works."""

    workers: int = 5


@final
class DeploymentController:
    """Runs until cancelled."""

    name = "deployment-controller"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: DeploymentOptions = DeploymentOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._clock = clock
        self._deployments = client.resource("apps/v1", "deployments")
        self._sets = client.resource("apps/v1", "replicasets")
        self._informer = informers.informer("apps/v1", "deployments")
        self._set_informer = with_owner_index(informers.informer("apps/v1", "replicasets"))
        self._pod_informer = with_owner_index(informers.informer("v1", "pods"))
        self.controller = Controller(self.name, self.reconcile, random=random, concurrency=options.workers)
        self.controller.watches(self._informer).watches(self._set_informer, self._keys_of_set)
        self.controller.watches(self._pod_informer, self._keys_of_pod, when=lambda _, new: new is None)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        await self._informer.wait_until_synced()  # whose turn a set's event is, only the deployments say
        await self.controller.run()

    async def reconcile(self, key: str) -> Result | None:
        """Take the deployment's next step."""
        found = find(self._informer, key)
        if found is None:
            return None
        deployment = found.to_dict()
        selector = selector_of(deployment)
        if selector is None:
            await self._tell_observed(deployment)
            return None
        sets = await self._claimed(deployment, selector)
        plan = plan_deployment(deployment, sets, self._pods_of(deployment, sets), self._clock.unix())
        await self._carry_out(deployment, plan)
        return Result(requeue_after_s=plan.again_in_s) if plan.again_in_s else None

    async def _carry_out(self, deployment: JSONObject, plan: DeploymentPlan) -> None:
        """Write what was decided. A write that comes too late is a Conflict, and everything is looked at again."""
        namespace = namespace_of(deployment)
        if plan.roll_back is not None:
            await self._deployments.update(plan.roll_back, namespace, field_manager=MANAGER)
            return
        if plan.create is not None and not await self._created(deployment, plan.create):
            return
        for one in plan.update:
            await self._sets.update(one, namespace, field_manager=MANAGER)
        for one in plan.delete:
            await self._deleted(one)
        if plan.status is not None:
            await self._tell(plan.status)

    async def _created(self, deployment: JSONObject, new: JSONObject) -> bool:
        """Make the new set; False: not now, and the deployment says why. Source: getNewReplicaSet."""
        try:
            await self._sets.create(new, namespace_of(new), field_manager=MANAGER)
        except AlreadyExists:
            return await self._is_met(deployment, new)
        except APIError as error:
            if is_namespace_going(error):
                return False
            if has_deadline(deployment):
                message = f'Failed to create new replica set "{name_of(new)}": {error.message}'
                told = progressing("False", "ReplicaSetCreateError", message, self._clock.unix())
                await self._tell(with_status(deployment, with_condition(status_of(deployment), told)))
            raise
        return True

    async def _is_met(self, deployment: JSONObject, new: JSONObject) -> bool:
        """Whether what has the name is what was to be made; if not, the next one gets another name."""
        try:
            found = await self._sets.get(name_of(new), namespace_of(new))
        except NotFound:
            found = {}
        template = spec_of(found).get("template") or {}
        if is_controlled_by(found, deployment) and is_same_template(template, spec_of(new)["template"]):
            return True
        status = status_of(deployment)
        collisions = int(status.get("collisionCount") or 0) + 1
        await self._tell(with_status(deployment, {**status, "collisionCount": collisions}))
        return False

    async def _deleted(self, one: JSONObject) -> None:
        version = meta(one).get("resourceVersion")
        try:
            await self._sets.delete(name_of(one), namespace_of(one), uid=uid_of(one), resource_version=version)
        except NotFound:
            return

    async def _tell(self, deployment: JSONObject) -> None:
        """Status and annotations: both go through the status, so that the deployment's generation stays."""
        try:
            part = self._deployments.subresource("status")
            await part.update(deployment, namespace_of(deployment), field_manager=MANAGER)
        except NotFound:
            return

    async def _tell_observed(self, deployment: JSONObject) -> None:
        """A deployment that selects everything, or nothing that can be said, is left alone."""
        status = {**status_of(deployment), "observedGeneration": generation_of(deployment)}
        if status != status_of(deployment):
            await self._tell(with_status(deployment, status))

    # ---- reading -----------------------------------------------------------------------------------------------------

    async def _claimed(self, deployment: JSONObject, selector: LabelSelector) -> list[JSONObject]:
        sets = (
            *owned_by(self._set_informer, uid_of(deployment)),
            *nobodys(self._set_informer, namespace_of(deployment)),
        )
        reference = controller_reference(deployment, "apps/v1", "Deployment")
        own = await claim(sets, candidate, self._sets, deployment, self._deployments, selector, reference)
        return [one.to_dict() for one in own]

    def _pods_of(self, deployment: JSONObject, sets: list[JSONObject]) -> list[PodView]:
        """The pods of all its sets, where the strategy asks for them."""
        if not _is_recreated(deployment):
            return []
        views = PodViews()
        return [view for one in sets for view in views.of_all(owned_by(self._pod_informer, uid_of(one)))]

    def _keys_of_set(self, replica_set: Object) -> Iterable[str]:
        owner, _ = read_head(replica_set)
        if owner is not None:
            return (f"{replica_set.namespace}/{owner.name}",) if owner.kind == "Deployment" else ()
        return [
            object_key(one) for one in self._informer.lister.list(replica_set.namespace) if _selects(one, replica_set)
        ]

    def _keys_of_pod(self, pod: Object) -> Iterable[str]:
        """A deployment that waits for its old pods to be gone is told of each."""
        owner, _ = read_head(pod)
        found = self._set_informer.store.get(f"{pod.namespace}/{owner.name}") if owner is not None else None
        keys = self._keys_of_set(found) if found is not None and owner is not None and found.uid == owner.uid else ()
        known = [(key, self._informer.store.get(key)) for key in keys]
        return [key for key, one in known if one is not None and _is_recreated(one.parse())]


def _is_recreated(deployment: JSONObject) -> bool:
    return (spec_of(deployment).get("strategy") or {}).get("type") == "Recreate"


def _selects(owner: Object, other: Object) -> bool:
    selector = selector_of(owner.parse())
    return selector is not None and selector.matches(other.labels)


async def undo_rollout(
    client: Client, name: str, namespace: str, *, to_revision: int = 0, field_manager: str = "kubectl"
) -> JSONObject:
    """The deployment after what `kubectl rollout undo` does: it has the template of `to_revision`, or of the one before.

    Raises:
        NotFound: there is no such deployment.
        LookupError: it has no such revision; the message has the choice.
        ValueError: it is paused: resume it first.
    Source: kubernetes/kubectl pkg/polymorphichelpers/rollback.go, DeploymentRollbacker.
    """
    deployments = client.resource("apps/v1", "deployments")
    deployment = await deployments.get(name, namespace)
    if spec_of(deployment).get("paused"):
        raise ValueError(f"deployment {namespace}/{name} is paused: resume it before its rollout is undone")
    page = await client.resource("apps/v1", "replicasets").lister_watcher(namespace=namespace).list()
    sets = [one.to_dict() for one in page.objects]
    own = [one for one in sets if is_controlled_by(one, deployment)]
    patch = undo_patch(deployment, own, to_revision)
    if patch is None:
        return deployment
    return await deployments.patch(name, patch, namespace, type=PatchType.JSON, field_manager=field_manager)


async def restart_rollout(client: Client, name: str, namespace: str, moment: str) -> JSONObject:
    """The deployment after what `kubectl rollout restart` does: its template bears the moment, so that all pods are made anew."""
    deployments = client.resource("apps/v1", "deployments")
    deployment = await deployments.get(name, namespace)
    template = spec_of(deployment).get("template") or {}
    annotations = {**(meta(template).get("annotations") or {}), "kubectl.kubernetes.io/restartedAt": moment}
    patch = {"spec": {"template": {"metadata": meta(with_metadata(template, annotations=annotations))}}}
    return await deployments.patch(name, patch, namespace, field_manager="kubectl-rollout")
