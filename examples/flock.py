"""A controller of one's own: a Flock has as many pods as its spec says. It has a bug that every test without faults misses."""

from __future__ import annotations

from random import Random

from reflector import Controller, Manager, controller_reference, owner_key


def flocks(manager: Manager) -> None:
    """Add the controller to a manager: of a real cluster, or of a simulated one."""
    owners = manager.informers.informer("example.com/v1", "flocks")
    pods = manager.informers.informer("v1", "pods")
    api = manager.client.resource("v1", "pods")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        flock = owners.lister.find(name, namespace)
        if flock is None:
            return
        wanted = flock.parse()["spec"]["birds"]
        mine = pods.lister.list(namespace, labels={"flock": name})
        for _ in range(wanted - len(mine)):
            await api.create(bird(name, controller_reference(flock, "example.com/v1", "Flock")), namespace)

    # own_writes_s=0: act on the copy as it is, whether or not it shows what was just written.
    controller = Controller("flocks", reconcile, random=Random(1), own_writes_s=0)
    manager.add(controller.watches(owners).watches(pods, owner_key("Flock")))


def bird(flock: str, owner: dict[str, object]) -> dict[str, object]:
    """A pod of a flock."""
    metadata = {"generateName": f"{flock}-", "labels": {"flock": flock}, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"containers": [{"name": "bird", "image": "bird:1"}]}}
