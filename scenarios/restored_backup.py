"""restored-backup: a store that goes on from a backup gives out its revisions a second time, and who remembers the first is misled.

Somebody restores etcd from the backup of an hour ago, and does not stop the API servers. They come back to a store that is behind
them, notice, and list anew; but their clients remember revisions too. One that was at 9 goes on at 9, where there has been no 9
yet, hears nothing of what becomes 7, 8 and 9 this time, and keeps for ever what was undone (etcd issues 16028 and 14303).

    store     … 6 ─ 7 ─ 8 ─ 9 ┐ restored: 6
                └─────────────┴► 7' ─ 8' ─ 9' ─ 10'
    client          7   8   9   ······ "after 9" ······ 10'       has 7, 8 and 9; lacks 7', 8' and 9'

The fix is what `etcdutl snapshot restore --bump-revision --mark-compacted` does since: the store goes on far above all that
it ever told, so that every revision that anybody remembers is one of the past, and is refused with 410.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from cacher.simulation import AnyOperation, At, Create, Delete, Fault, RestoreBackup, Scenario, Site, Swarm, Wait, World

MAPS = "v1/configmaps"
NAMES = 12


async def mirror(site: Site) -> None:
    """Keeps a copy, as any controller does."""
    informers = site.informers()
    informers.informer("v1", "configmaps")
    await informers.run()


def start(world: World, variant: str) -> None:
    """Two who mirror, on two servers, over a store whose operator knows of the flags, or does not."""
    world.bumps_restored = variant == "fixed"
    world.start(mirror, name="mirror-1", server="api-1")
    world.start(mirror, name="mirror-2", server="api-2")


def workload(random: Random) -> Sequence[AnyOperation]:
    """Settings are made, and some of them taken back, one a second or so."""
    operations: list[AnyOperation] = []
    for number in range(NAMES):
        operations.append(Create(MAPS, {"metadata": {"name": f"s-{number}", "namespace": "default"}}))
        operations.append(Wait(random.uniform(0.2, 2)))
        if random.random() < 0.3:
            operations.append(Delete(MAPS, f"s-{random.randrange(number + 1)}", "default"))
    return operations


SCENARIO = Scenario(
    name="restored-backup",
    title="a store that goes on from a backup gives its revisions out a second time, and who remembers the first is misled",
    source="etcd-io/etcd#16028",
    guarantee="Convergent",
    workload=workload,
    start=start,
    script=(Fault(At(6), RestoreBackup(back=3, down_s=1)),),
    swarm=Swarm(restores=1.0),
    wants=("restored",),
)
