"""never-ending-list: a client waits for the end of a state that a server begins to send and never ends.

A streamed initial state (sendInitialEvents) ends with a bookmark that says so. A server, or a proxy before it, that knows the
parameter and not the bookmark sends everything but that; the client has all objects, calls none of them complete, and whoever
waits for it to be synced waits for ever (kubernetes issue 140890: the ResourceQuota controller never starts; since v1.35 clients
ask for such streams unless told otherwise).

    watch_list ─► a  b  c ·································  has not synced
                          └─ 30 s of silence ─► list instead ─► has synced

The fix gives the state a bound, and then asks for the list of old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random

import trio

from cacher.simulation import AnyOperation, At, Create, EndlessList, Fault, Patch, Scenario, Site, Wait, World
from watch import EventType, Object, WatchError

MAPS = "v1/configmaps"
RETRY_S = 1.0
Copy = Callable[[], dict[str, int] | None]
"""What a mirror holds now: the revision of each object, by its key; None where it has never been complete."""
LOST = (WatchError, OSError, trio.BrokenResourceError, trio.EndOfChannel, trio.TooSlowError)


async def trusting(site: Site, copies: dict[str, Copy]) -> None:
    """Stream the state and what follows; from the beginning again whenever that ends."""
    source = site.remote.resource("v1", "configmaps").lister_watcher()
    held: dict[str, Object] | None = None
    copies[site.name] = lambda: None if held is None else revisions(held.values())
    while True:
        coming: dict[str, Object] = {}
        try:
            async with source.watch_list() as stream:
                while True:
                    # A stream may be silent for a minute; one that is for two is dead.
                    with trio.fail_after(120 if held is coming else float("inf")):
                        changes = await stream.receive()
                    for event in changes.events:
                        if event.type is EventType.DELETED:
                            coming.pop(event.key, None)
                        else:
                            coming[event.key] = event.object
                    if changes.revision:  # the end of the state, and from then on all that follows
                        held = coming
        except LOST:
            await trio.sleep(RETRY_S)


async def shipped(site: Site, copies: dict[str, Copy]) -> None:
    """The same by the library."""
    informers = site.informers()
    informer = informers.informer("v1", "configmaps")
    copies[site.name] = lambda: revisions(obj for _, obj in informer.store.items()) if informer.has_synced else None
    await informers.run()


def revisions(objects: Iterable[Object]) -> dict[str, int]:
    """The revision of each, by its key."""
    return {obj.key: obj.revision for obj in objects}


def start(world: World, variant: str) -> None:
    """Two mirrors of the config maps, each on a server of its own."""
    copies: dict[str, Copy] = {}

    def copies_are_complete(world: World) -> str:
        waiting = [name for name, copy in copies.items() if copy() is None]
        return f"{', '.join(waiting)}: still waiting for the end of the state" if waiting else ""

    world.at_rest(copies_are_complete)
    program = shipped if variant == "fixed" else trusting
    for number in (1, 2):
        world.start(partial(program, copies=copies), name=f"mirror-{number}", server=f"api-{number}")


def workload(random: Random) -> Sequence[AnyOperation]:
    """A few settings, one of which is turned now and then."""
    settings = [{"metadata": {"name": name, "namespace": "default"}, "data": {"value": "0"}} for name in "abc"]
    turns = [Patch(MAPS, "a", {"data": {"value": str(turn)}}) for turn in range(1, 5)]
    return [
        *(Create(MAPS, one) for one in settings),
        *(one for turn in turns for one in (Wait(random.uniform(1, 10)), turn)),
    ]


SCENARIO = Scenario(
    name="never-ending-list",
    title="a client waits for the end of a state that a server begins to send and never ends",
    source="kubernetes/kubernetes#140890",
    guarantee="Checks",
    workload=workload,
    start=start,
    script=(Fault(At(0), EndlessList("api-1")),),
)
