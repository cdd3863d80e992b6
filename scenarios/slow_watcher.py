"""A reader that falls behind: it loses an event to the ring, is told so (410), lists again, and is equal to the store again.

    python scenarios/slow_watcher.py [--seed N]

The cache keeps the last 75 seconds of changes, more or less, in a ring. A reader slower than the writer has its next event
further and further back in it, until the ring drops just that event. From there no watch can go on without a gap, so the
cache says Expired instead of leaving one out. Nobody else notices: the quick reader beside it gets everything.

The clock is virtual: these four minutes take a second.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import msgspec
import trio

from cacher import Cluster, Resource, ResourceWatch, open_cluster
from cacher.simulation import Streams, run_deterministic
from cacher.storage.etcd import prefix_end
from watch import EventType, Expired, Object

WRITES = 2400
WRITE_PERIOD_S = 0.1
"""Ten writes a second, for four minutes."""
READ_PERIOD_S = 1.0
"""The slow reader takes one batch a second: a tenth of what is written."""
OBJECTS = 50


class Reader:
    """A copy of the config maps, kept by list and watch as any controller keeps one."""

    def __init__(self, name: str, pause_s: float) -> None:
        self.name = name
        self.pause_s = pause_s
        self.objects: dict[str, Object] = {}
        self.events = 0
        self.lists = 0
        self.expired = 0

    async def run(self, configmaps: Resource, until_revision: int) -> None:
        """Follow until the copy shows `until_revision`. Whenever the watch expires, list and watch again."""
        revision = 0
        while revision < until_revision:
            found = await configmaps.list()
            self.lists += 1
            self.objects = {obj.key: obj for obj in found.objects}
            revision = found.revision
            self._say(f"listed {len(found.objects)} objects at revision {revision}, watches from there")
            try:
                async with configmaps.watch(resource_version=revision, bookmarks=True) as watch:
                    revision = await self._follow(watch, until_revision)
            except Expired as expired:  # 410: the next event is gone, so only a list can help
                self.expired += 1
                oldest = f"the ring now begins after {expired.oldest}"
                self._say(f"EXPIRED after {self.events:,} events, at revision {expired.asked}: {oldest}")

    async def _follow(self, watch: ResourceWatch, until_revision: int) -> int:
        while watch.revision < until_revision:
            for event in await watch.receive_batch():
                if event.type is EventType.DELETED:
                    del self.objects[event.key]
                elif event.type is not EventType.BOOKMARK:
                    self.objects[event.key] = event.object
                    self.events += 1
            await trio.sleep(self.pause_s)
        return watch.revision

    def _say(self, what: str) -> None:
        print(f"{trio.current_time():7.1f} s  {self.name:5}  {what}")


async def write(cluster: Cluster) -> None:
    """Change one config map after the other, at an even pace."""
    for number in range(WRITES):
        name = f"settings-{number % OBJECTS:02}"
        body = {"metadata": {"name": name, "namespace": "default"}, "data": {"turn": str(number)}}
        await cluster.etcd.put(f"/registry/configmaps/default/{name}", msgspec.json.encode(body))
        await trio.sleep(WRITE_PERIOD_S)


async def story(seed: int) -> bool:
    """Tell it; True if both readers end equal to the store, and only the slow one ever expired."""
    async with open_cluster(random=Streams(seed).stream("cluster")) as cluster:
        configmaps = cluster.resource("v1", "configmaps")
        quick, slow = Reader("quick", 0.0), Reader("slow", READ_PERIOD_S)
        last_revision = cluster.etcd.revision + WRITES
        async with trio.open_nursery() as nursery:
            for reader in (quick, slow):
                nursery.start_soon(reader.run, configmaps, last_revision)
            await write(cluster)
            ring = configmaps.statistics()
            print(f"{trio.current_time():7.1f} s  wrote {WRITES:,} times; the ring holds {ring.ring_length:,} of them")

        stored = await cluster.etcd.range("/registry/configmaps/", prefix_end(b"/registry/configmaps/"))
        truth = {kv.key.decode(): kv.value for kv in stored.kvs}
        for reader in (quick, slow):
            is_equal = truth == {key: obj.raw for key, obj in reader.objects.items()}
            print(
                f"           {reader.name:5}  {'equal to' if is_equal else 'DIFFERENT FROM'} the store: {reader.events:,} events,"
                f" {reader.lists} lists, expired {reader.expired} times"
            )
            if not is_equal:
                return False
        return slow.expired > 0 and quick.expired == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenario; 0 if it went as told above, else 1."""
    parser = argparse.ArgumentParser(description="A slow reader expires, lists again, and is equal to the store again.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    return 0 if run_deterministic(story, options.seed, seed=options.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
