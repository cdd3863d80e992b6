"""delete-lost-at-compaction: a client that goes on where the history begins has lost the deletions before it.

A watch is to go on from a revision that is no longer in the history, is refused (410), and is told from where on there is some.
It is tempting to take that: nothing has to be listed again. But what was deleted in between is told of nowhere any more; the
copy keeps a ghost until somebody lists. etcd itself lost a deletion so, just at the compacted revision (etcd issue 18089), and
clients that resume at the compacted revision do it as well (cn-infra issue 265).

    store    a b c   ✗b   a'   │ compacted │            copy     a b c  ─ 410, "from a'" ─►  a' b c      b is a ghost
The fix is what the answer asks for: list again, then watch from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random

import trio

from cacher.simulation import (
    AnyOperation,
    Create,
    Delete,
    Fault,
    Later,
    Patch,
    RestartServer,
    Scenario,
    Site,
    Upon,
    Wait,
    World,
)
from watch import EventType, Expired, Object, WatchError

MAPS = "v1/configmaps"
RETRY_S = 1.0
SILENT_S = 70.0
Copy = Callable[[], dict[str, int]]
"""What a mirror holds now: the revision of each object, by its key."""
LOST = (WatchError, OSError, trio.BrokenResourceError, trio.EndOfChannel, trio.TooSlowError)


class Thrifty:
    """Lists once, and then only watches, from wherever it can."""

    def __init__(self) -> None:
        self.held: dict[str, Object] = {}
        self.revision = 0

    async def run(self, site: Site, copies: dict[str, Copy]) -> None:
        """Mirror for ever."""
        source = site.remote.resource("v1", "configmaps").lister_watcher()
        copies[site.name] = lambda: revisions(self.held.values())
        while True:
            try:
                if not self.revision:
                    page = await source.list()
                    self.held, self.revision = {obj.key: obj for obj in page.objects}, page.revision
                async with source.watch(self.revision) as stream:
                    while True:
                        with trio.fail_after(SILENT_S):
                            changes = await stream.receive()
                        for event in changes.events:
                            if event.type is EventType.DELETED:
                                self.held.pop(event.key, None)
                            else:
                                self.held[event.key] = event.object
                        self.revision = changes.revision
            except Expired as expired:
                self.revision = expired.oldest
            except LOST:
                await trio.sleep(RETRY_S)


async def thrifty(site: Site, copies: dict[str, Copy]) -> None:
    """A mirror that begins with nothing in each life."""
    await Thrifty().run(site, copies)


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
    """One mirror of the config maps."""
    copies: dict[str, Copy] = {}

    def no_ghosts(world: World) -> str:
        there = revisions(world.objects(MAPS))
        ghosts = [f"{name} has {key}" for name, copy in copies.items() for key in copy() if key not in there]
        return f"{', '.join(ghosts)}, which the store has not" if ghosts else ""

    world.at_rest(no_ghosts)
    world.start(partial(shipped if variant == "fixed" else thrifty, copies=copies), name="mirror")


def workload(random: Random) -> Sequence[AnyOperation]:
    """Settings that are deleted one by one, and one that stays and is turned."""
    settings = [{"metadata": {"name": name, "namespace": "default"}, "data": {"value": "0"}} for name in "abcd"]
    done: list[AnyOperation] = [Create(MAPS, one) for one in settings]
    for turn, name in enumerate("bcd"):
        done += [Wait(random.uniform(2, 6)), Delete(MAPS, name), Patch(MAPS, "a", {"data": {"value": str(turn)}})]
    return [*done, Wait(5)]


SCENARIO = Scenario(
    name="delete-lost-at-compaction",
    title="a client that goes on where the history begins has lost the deletions before it",
    source="etcd-io/etcd#18089",
    guarantee="Checks",
    workload=workload,
    start=start,
    script=(
        Fault(
            Later(Upon("received", MAPS, change="created", who="mirror", occurrence=4), 1), RestartServer("api-1", 20)
        ),
    ),
)
