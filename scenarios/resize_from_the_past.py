"""resize-from-the-past: what differs from the wish is made anew, and the wish was read from a cache of the past.

    api-2  Vault v wants 10 ─────────── frozen here ────────────────────┐
    api-1  v wants 10, v wants 15, its disk has 15 ──────── controller ─┘ restarts on api-2: "10 is wanted, the disk has 15",
                                                                          deletes the set, and tries to make the disk smaller
A set cannot be given another size of disk, so it is deleted, the disk is enlarged, and the set is made again (rabbitmq
cluster-operator issue 653). Whether to begin is asked by `!=`, and disks only grow. To ask by `>` instead, as is near at hand, is
not enough: where it is the copy of the disk that is old, 15 is more than 10 once again, and a whole set is taken down.
The fix asks by `>`, and asks the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

from cacher.simulation import (
    AnyOperation,
    Crash,
    Create,
    Fault,
    Later,
    Patch,
    PauseCache,
    Scenario,
    Topology,
    Until,
    Upon,
    Wait,
    World,
    custom_resource,
    keen_controller,
)
from reflector import Manager, controller_reference, delete_exactly, owner_key, update_exactly
from watch import AlreadyExists, NotFound, Object

VAULTS = "example.com/v1/vaults"
DISKS = "example.com/v1/disks"
SETS = "apps/v1/statefulsets"


def vaults(manager: Manager, *, fixed: bool) -> None:
    """A Vault has a disk and a StatefulSet of its name, which is down while the disk is made larger."""
    owners = manager.informers.informer("example.com/v1", "vaults")
    disks = manager.informers.informer("example.com/v1", "disks")
    sets = manager.informers.informer("apps/v1", "statefulsets")
    api = manager.client.resource("example.com/v1", "vaults")
    disk_api, set_api = (
        manager.client.resource("example.com/v1", "disks"),
        manager.client.resource("apps/v1", "statefulsets"),
    )

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        vault, disk, owned = (each.lister.find(name, namespace) for each in (owners, disks, sets))
        if vault is None:
            return
        if disk is None:
            with suppress(AlreadyExists):
                await disk_api.create(disk_of(vault), namespace)
            return
        wanted, has = size(vault.parse()), size(disk.parse())
        if wanted > has if fixed else wanted != has:
            if not fixed or await is_still_small(name, namespace):
                await resize(disk, wanted, owned)
        elif owned is None:
            with suppress(AlreadyExists):
                await set_api.create(set_of(vault), namespace)

    async def is_still_small(name: str, namespace: str) -> bool:
        with suppress(NotFound):
            return size(await api.get(name, namespace)) > size(await disk_api.get(name, namespace))
        return False

    async def resize(disk: Object, wanted: int, owned: Object | None) -> None:
        if owned is not None:
            with suppress(NotFound):
                await delete_exactly(set_api, owned, any_version=True)
        if wanted < size(disk.parse()):
            raise ValueError(f"{disk.name} cannot be made smaller")
        await update_exactly(disk_api, disk, {**disk.to_dict(), "spec": {"gigabytes": wanted}})

    controller = keen_controller("vaults", reconcile)
    of_vault = owner_key("Vault")
    manager.add(controller.watches(owners).watches(disks, of_vault).watches(sets, of_vault))


def size(obj: dict[str, Any]) -> int:
    """How many gigabytes a Vault wants, or a disk has."""
    return int(obj["spec"]["gigabytes"])


def disk_of(vault: Object) -> dict[str, Any]:
    """The disk of a Vault."""
    owner = controller_reference(vault, "example.com/v1", "Vault")
    return {"metadata": {"name": vault.name, "ownerReferences": [owner]}, "spec": {"gigabytes": size(vault.parse())}}


def set_of(vault: Object) -> dict[str, Any]:
    """The StatefulSet of a Vault."""
    labels = {"vault": vault.name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "vault", "image": "vault:1"}]}}
    spec = {"serviceName": vault.name, "selector": {"matchLabels": labels}, "template": template}
    owner = controller_reference(vault, "example.com/v1", "Vault")
    return {"metadata": {"name": vault.name, "ownerReferences": [owner]}, "spec": spec}


def vaults_have_what_they_want(world: World) -> str:
    """Once all is quiet, each Vault has its set, and a disk of the size that is wanted."""
    wanted = {vault.name: size(vault.parse()) for vault in world.objects(VAULTS)}
    has = {disk.name: size(disk.parse()) for disk in world.objects(DISKS)}
    sets = {owned.name for owned in world.objects(SETS)}
    return (
        f"{wanted} is wanted, and there are disks {has} and sets {sorted(sets)}"
        if wanted != has or sets != {*wanted}
        else ""
    )


def start(world: World, variant: str) -> None:
    """One operator, which talks to the first server until it is told otherwise."""
    world.at_rest(vaults_have_what_they_want)
    world.start(partial(vaults, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A Vault that is to grow once."""
    vault = {"metadata": {"name": "v", "namespace": "default"}, "spec": {"gigabytes": 10}}
    return [
        Create(VAULTS, vault),
        Until(SETS, "v"),
        Wait(random.uniform(1, 5)),
        Patch(VAULTS, "v", {"spec": {"gigabytes": 15}}),
        Until(DISKS, "v", where={"spec.gigabytes": 15}),
        Until(SETS, "v"),
        Wait(25),
    ]


SCENARIO = Scenario(
    name="resize-from-the-past",
    title="what differs from the wish is made anew, and the wish was read from a cache of the past",
    source="rabbitmq/cluster-operator#653",
    guarantee="NoStaleDestruction",
    topology=Topology(servers=2, definitions=(custom_resource(VAULTS, "Vault"), custom_resource(DISKS, "Disk"))),
    workload=workload,
    start=start,
    script=(
        Fault(Upon("server-received", VAULTS, change="created", who="api-2"), PauseCache("api-2", VAULTS), for_s=30),
        Fault(
            Later(Upon("server-received", SETS, change="created", who="api-1", occurrence=2), 5),
            Crash("operator", restart_on="api-2"),
        ),
    ),
)
