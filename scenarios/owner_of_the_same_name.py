"""owner-of-the-same-name: what a controller waits for on behalf of an owner outlives it, and its successor of the name waits too.

A ReplicaSet's controller notes how many pods it makes and does nothing more until its copy shows them, so that it makes none twice.
It notes them under the set's name. A set that is deleted and made again at once is never seen to be gone; pods of the old set do
not count for the new one, which waits for pods that will not come, for five minutes (kubernetes issue 69376).

    web (uid 1): make 3, wait for 3 │ web (uid 2) takes its place │ 3 pods of uid 1 are shown: not web's │ web still waits for 3

The fix notes under the uid.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

from cacher.simulation import (
    AnyOperation,
    BlockEvents,
    Create,
    Delete,
    Fault,
    Scenario,
    Topology,
    Upon,
    Wait,
    World,
)
from reflector import (
    Controller,
    Expectations,
    ExponentialLimiter,
    Manager,
    Result,
    Tombstone,
    controller_reference,
    owner_key,
)
from watch import Object

SETS = "apps/v1/replicasets"
PODS = "v1/pods"
LOOK_AGAIN_S = 1.0
PATIENCE_S = 10.0


def owner_uid(pod: Object) -> str:
    """The uid of the set that controls a pod; "" where none does."""
    owners = pod.parse()["metadata"].get("ownerReferences", [])
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")


class Counting:
    """Tells expectations which pods have been seen."""

    def __init__(self, manager: Manager, expectations: Expectations, *, fixed: bool) -> None:
        self._sets = manager.informers.informer("apps/v1", "replicasets")
        self._expectations = expectations
        self._fixed = fixed

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        """A pod has come: one of those that were waited for, if its set is the one of that name."""
        uid = owner_uid(obj)
        if self._fixed:
            self._expectations.creation_observed(uid)
            return
        for key in owner_key("ReplicaSet")(obj) or ():
            known = self._sets.store.get(key)
            if known is not None and known.uid == uid:
                self._expectations.creation_observed(key)

    def on_update(self, old: Object, new: Object) -> None:
        """That a pod changes is nothing that is waited for."""

    def on_delete(self, obj: Object | Tombstone) -> None:
        """Nor that it goes."""


def replica_sets(manager: Manager, *, fixed: bool) -> None:
    """A ReplicaSet has as many pods as its spec says: here it only ever makes some."""
    sets = manager.informers.informer("apps/v1", "replicasets")
    pods = manager.informers.informer("v1", "pods")
    pod_api = manager.client.resource("v1", "pods")
    expectations = Expectations()
    pods.add_handler(Counting(manager, expectations, fixed=fixed))

    async def reconcile(key: str) -> Result | None:
        namespace, name = key.split("/")
        owner = sets.lister.find(name, namespace)
        if owner is None:
            expectations.forget(key)
            return None
        noted = owner.uid if fixed else key
        if not expectations.is_satisfied(noted):
            return Result(requeue_after_s=LOOK_AGAIN_S)
        spec = owner.parse()["spec"]
        missing = spec["replicas"] - sum(owner_uid(pod) == owner.uid for pod in pods.lister.list(namespace))
        if missing > 0:
            await make(owner, spec["template"], missing, noted)
        return None

    async def make(owner: Object, template: dict[str, dict[str, object]], number: int, noted: str) -> None:
        reference = controller_reference(owner, "apps/v1", "ReplicaSet")
        metadata = {**template["metadata"], "generateName": f"{owner.name}-", "ownerReferences": [reference]}
        expectations.expect_creations(noted, number)
        for left in range(number, 0, -1):
            try:
                await pod_api.create({"metadata": metadata, "spec": template["spec"]}, owner.namespace)
            except Exception:
                expectations.lower_by(noted, creations=left)  # these will not come
                raise

    # It waits in a way of its own; and without a bound of its own the wait after many failures is longer than a world is watched
    # once all is quiet.
    limiter = ExponentialLimiter[str](cap_s=PATIENCE_S)
    controller = Controller("replica-sets", reconcile, random=Random(1), limiter=limiter, own_writes_s=0)
    manager.add(controller.watches(sets).watches(pods, owner_key("ReplicaSet")))


def sets_have_their_pods(world: World) -> str:
    """Once all is quiet, no set has fewer pods of its own than it wants."""
    have: dict[str, int] = {}
    for pod in world.objects(PODS):
        have[owner_uid(pod)] = have.get(owner_uid(pod), 0) + 1
    wanted = {one.uid: (one.name, one.parse()["spec"]["replicas"]) for one in world.objects(SETS)}
    poor = [f"{name} wants {number} pods and has {have.get(uid, 0)}" for uid, (name, number) in wanted.items()
            if have.get(uid, 0) < number]  # fmt: skip
    return ", ".join(poor)


def start(world: World, variant: str) -> None:
    """One controller; there is no garbage collector, so the pods of those that are gone stay."""
    world.at_rest(sets_have_their_pods)
    world.start(partial(replica_sets, fixed=variant == "fixed"), name="replica-sets")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A set is replaced by another one of its name, and that by a third."""
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    one = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    done: list[AnyOperation] = [Create(SETS, one)]
    for _ in range(2):
        done += [Wait(random.uniform(1, 6)), Delete(SETS, "web"), Create(SETS, one)]
    return [*done, Wait(20)]


SCENARIO = Scenario(
    name="owner-of-the-same-name",
    title="what a controller waits for on behalf of an owner outlives it, and its successor of the name waits too",
    source="kubernetes/kubernetes#69376",
    guarantee="Checks",
    topology=Topology(servers=2),
    workload=workload,
    start=start,
    script=(
        Fault(
            Upon("after-write", PODS, change="created", who="replica-sets"), BlockEvents("replica-sets", "*"), for_s=15
        ),
    ),
)
