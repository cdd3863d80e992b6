"""lying-bookmark: a store that says how far a watch is before it has sent what it speaks of makes every cache above it lie.

Asked for progress, etcd up to 3.4.24 and 3.5.7 answered beside the stream of the watch: "you are at 7", and then came the event
of 7 (etcd issue 15220; "silent corruption that cannot be automatically detected", says KEP-2340). A cache that serves a consistent
list asks just that, believes the answer, and hands out a state of 7 without what 7 did.

    store    7: b is there          "you are at 7"  ──►  cache: at 7, without b  ──►  list "at 7": a        b comes later
                                    event 7: b      ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─►

The fix is not to ask a store that lies: without progress, consistent reads go to the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random

import trio

from cacher.simulation import AnyOperation, At, Create, Fault, Kind, LieProgress, Scenario, Site, Swarm, Wait, World
from watch import WatchError

MAPS = "v1/configmaps"
ASKING_S = 0.7


async def asker(site: Site) -> None:
    """Asks for the latest state again and again."""
    source = site.remote.resource("v1", "configmaps").lister_watcher()
    while True:
        with suppress(WatchError, OSError, trio.TooSlowError):  # it asks again anyway
            await source.list()
        await trio.sleep(ASKING_S)


async def mirror(site: Site) -> None:
    """Keeps a copy, as any controller does."""
    informers = site.informers()
    informers.informer("v1", "configmaps")
    await informers.run()


def start(world: World, variant: str) -> None:
    """Who lists and who watches, on two servers, over a store whose word on progress is taken or not."""
    world.trusts_progress = variant == "buggy"
    world.start(asker, name="asker")
    world.start(mirror, name="mirror", server="api-2")


def workload(random: Random) -> Sequence[AnyOperation]:
    """Settings are made, one a second or so."""
    settings = [{"metadata": {"name": f"s-{number}", "namespace": "default"}} for number in range(10)]
    return [one for setting in settings for one in (Create(MAPS, setting), Wait(random.uniform(0.2, 2)))]


SCENARIO = Scenario(
    name="lying-bookmark",
    title="a store that says how far a watch is before it has sent what it speaks of makes every cache above it lie",
    source="etcd-io/etcd#15220",
    guarantee="Coherent",
    workload=workload,
    start=start,
    script=(Fault(At(1), LieProgress("api-1", 0.5)),),
    swarm=Swarm(kinds=(*Swarm().kinds, Kind.LIE_PROGRESS)),
)
