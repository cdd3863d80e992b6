"""frozen-watch: a client that trusts an open connection follows one that nobody is at the other end of.

A server's address moves to another machine: no FIN comes, no byte, no error. The server's own timeout is at the server; a read
without one here waits for ever, and the copy goes on calling itself complete (OpenSandbox issue 1534: every request refused for
six hours, and not a line in the log; kopf 585, kubernetes-reflector 228 and kubeclient 273 are of the family).

    watch ──────────── ✂ ·····························  nothing, and it waits
                       └─ 70 s of silence ─► lost: watch again from the last revision

The fix is what SharedInformer does: bookmarks come at least once a minute, so a stream that is silent for longer is dead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random

import trio

from cacher.simulation import AnyOperation, At, Create, Fault, HalfOpen, Patch, Scenario, Site, Wait, World
from watch import EventType, Object, WatchError

MAPS = "v1/configmaps"
RETRY_S = 1.0
Copy = Callable[[], dict[str, int]]
"""What a mirror holds now: the revision of each object, by its key."""
LOST = (WatchError, OSError, trio.BrokenResourceError, trio.EndOfChannel, trio.TooSlowError)


async def patient(site: Site, copies: dict[str, Copy]) -> None:
    """List and watch, and do it again whenever something is said to have gone wrong."""
    source = site.remote.resource("v1", "configmaps").lister_watcher()
    held: dict[str, Object] = {}
    copies[site.name] = lambda: revisions(held.values())
    while True:
        try:
            page = await source.list()
            held.clear()
            held.update({obj.key: obj for obj in page.objects})
            async with source.watch(page.revision) as stream:
                while True:
                    for event in (await stream.receive()).events:  # as long as it takes
                        if event.type is EventType.DELETED:
                            held.pop(event.key, None)
                        else:
                            held[event.key] = event.object
        except LOST:
            await trio.sleep(RETRY_S)


async def shipped(site: Site, copies: dict[str, Copy]) -> None:
    """The same by the library."""
    informers = site.informers()
    informer = informers.informer("v1", "configmaps")
    copies[site.name] = lambda: revisions(obj for _, obj in informer.store.items())
    await informers.run()


def revisions(objects: Iterable[Object]) -> dict[str, int]:
    """The revision of each, by its key."""
    return {obj.key: obj.revision for obj in objects}


def start(world: World, variant: str) -> None:
    """Two mirrors of the config maps, each on a server of its own."""
    copies: dict[str, Copy] = {}

    def copies_are_the_store(world: World) -> str:
        wanted = revisions(world.objects(MAPS))
        stale = [name for name, copy in copies.items() if copy() != wanted]
        return f"{', '.join(stale)}: not what the store holds, and nothing goes wrong any more" if stale else ""

    world.at_rest(copies_are_the_store)
    program = shipped if variant == "fixed" else patient
    for number in (1, 2):
        world.start(partial(program, copies=copies), name=f"mirror-{number}", server=f"api-{number}")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A setting that is turned every few seconds."""
    setting = {"metadata": {"name": "setting", "namespace": "default"}, "data": {"value": "0"}}
    turns = [Patch(MAPS, "setting", {"data": {"value": str(turn)}}) for turn in range(1, 7)]
    return [Create(MAPS, setting), *(one for turn in turns for one in (Wait(random.uniform(1, 8)), turn))]


SCENARIO = Scenario(
    name="frozen-watch",
    title="a client that trusts an open connection follows one that nobody is at the other end of",
    source="opensandbox-group/OpenSandbox#1534",
    guarantee="Checks",
    workload=workload,
    start=start,
    script=(Fault(At(5), HalfOpen("mirror-1", "*")),),
)
