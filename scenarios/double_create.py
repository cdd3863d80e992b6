"""double-create: a controller counts its children in a copy that lags, and makes them twice.

It wants three pods, sees none, makes three; the copy has yet to show them when it looks again, so it makes three more. ReplicaSets
have expectations against that; where these expire before the copy has caught up (Kubernetes: five minutes) they do it too:
kubernetes issue 129795, and many an operator of these years.

    want 3 ─► copy: 0 ─► create 3 ─► copy still: 0 ─► create 3 ─► copy: 6

Waiting until the copy shows one's own writes (KEP-5647; a Controller's `own_writes_s`) is a cure as long as the controller lives:
one that crashes and comes back to a server of the past has forgotten what to wait for. The fix here needs no memory: each
child has a name that follows from its number, and a create that was done already is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random

from cacher.simulation import (
    AnyOperation,
    BlockEvents,
    Create,
    Fault,
    Patch,
    Scenario,
    Topology,
    Upon,
    Wait,
    World,
    custom_resource,
)
from reflector import Controller, ExponentialLimiter, Manager, controller_reference, owner_key
from watch import AlreadyExists

FLOCKS = "example.com/v1/flocks"
PODS = "v1/pods"
PATIENCE_S = 10.0


def flocks(manager: Manager, *, fixed: bool) -> None:
    """A Flock has as many pods as its spec says, each with a name of its own."""
    owners = manager.informers.informer("example.com/v1", "flocks")
    pods = manager.informers.informer("v1", "pods")
    pod_api = manager.client.resource("v1", "pods")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        flock = owners.lister.find(name, namespace)
        if flock is None:
            return
        mine = {pod.name for pod in pods.lister.list(namespace, labels={"flock": name})}
        owner = controller_reference(flock, "example.com/v1", "Flock")
        metadata = {"labels": {"flock": name}, "ownerReferences": [owner]}
        spec = {"containers": [{"name": "bird", "image": "bird:1"}]}
        wanted = [f"{name}-{number}" for number in range(flock.parse()["spec"]["birds"])]
        missing = [one for one in wanted if one not in mine] if fixed else wanted[len(mine) :]
        for one in missing:
            named = {"name": one} if fixed else {"generateName": f"{name}-"}
            with suppress(AlreadyExists):
                await pod_api.create({"metadata": {**metadata, **named}, "spec": spec}, namespace)

    # Neither variant waits for its own writes: most controllers of today do not. And without a bound of its own the wait after
    # many failures is longer than a world is watched once all is quiet.
    limiter = ExponentialLimiter[str](cap_s=PATIENCE_S)
    controller = Controller("flocks", reconcile, random=Random(1), limiter=limiter, own_writes_s=0)
    manager.add(controller.watches(owners).watches(pods, owner_key("Flock")))


def start(world: World, variant: str) -> None:
    """One controller; NoOvershoot is told whose number it is."""
    world.wants(FLOCKS, "spec.birds", PODS)
    world.start(partial(flocks, fixed=variant == "fixed"), name="flocks")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A Flock of three, that becomes one of four, and is touched now and then."""
    flock = {"metadata": {"name": "geese", "namespace": "default"}, "spec": {"birds": 3}}
    touches = [Patch(FLOCKS, "geese", {"metadata": {"annotations": {"seen": str(turn)}}}) for turn in range(3)]
    return [Create(FLOCKS, flock), Wait(5), touches[0], Wait(5), Patch(FLOCKS, "geese", {"spec": {"birds": 4}}), Wait(1),
            *touches[1:], Wait(20)]  # fmt: skip


SCENARIO = Scenario(
    name="double-create",
    title="a controller counts its children in a copy that lags, and makes them twice",
    source="kubernetes/kubernetes#129795",
    guarantee="NoOvershoot",
    topology=Topology(servers=2, definitions=(custom_resource(FLOCKS, "Flock"),)),
    workload=workload,
    start=start,
    script=(
        Fault(Upon("before-received", PODS, change="created", who="flocks"), BlockEvents("flocks", PODS), for_s=15),
    ),
)
