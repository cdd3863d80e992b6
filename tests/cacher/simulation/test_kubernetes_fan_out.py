"""cacher.simulation._kubernetes_fan_out: how much a watcher may lag, who is waited for and evicted, and that nothing is lost."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from cacher import CacherStorage, open_cluster
from cacher.simulation._fan_out import Evicted
from cacher.simulation._kubernetes_fan_out import KubernetesFanOut
from watch import EventType, Expired, NotReady, Selector

HELD = 21
"""Two channels of 10, and the event between them."""


class Stage:
    """A cache of config maps with a double of Kubernetes' fan-out on it."""

    def __init__(self, cluster, fan_out, cacher):
        self.cluster = cluster
        self.fan_out = fan_out
        self.cacher = cacher

    async def write(self, number, *, namespace="default"):
        for _ in range(number):
            turn = self.cluster.etcd.revision
            body = f'{{"metadata":{{"name":"a","namespace":"{namespace}"}},"data":{{"turn":"{turn}"}}}}'
            await self.cluster.etcd.put(f"/registry/configmaps/{namespace}/a", body)
        await self.cluster.resource("v1", "configmaps").wait_until_fresh(self.cluster.etcd.revision)
        await trio.testing.wait_all_tasks_blocked(0.001)

    def watch(self, **terms):
        return self.fan_out.watch(Selector.of(**terms), after=self.cacher.revision)


@asynccontextmanager
async def staged():
    async with open_cluster() as cluster:
        await cluster.resource("v1", "configmaps").ready()
        storage = cluster.resource("v1", "configmaps").storage
        assert isinstance(storage, CacherStorage)
        cacher = storage.cacher
        fan_out = KubernetesFanOut(cacher)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fan_out.run)
            await trio.testing.wait_all_tasks_blocked()
            yield Stage(cluster, fan_out, cacher)
            nursery.cancel_scope.cancel()


def taken(watch):
    """All that is there, bookmarks left out, and how it ended."""
    revisions = []
    try:
        while True:
            event = watch.receive_nowait()
            if event.type is not EventType.BOOKMARK:
                revisions.append(event.revision)
    except (trio.WouldBlock, trio.EndOfChannel) as end:
        return revisions, type(end)


def test_a_watcher_that_takes_nothing_holds_21_events_and_is_evicted_at_the_next(run_trio):
    async def main():
        async with staged() as stage:
            watch = stage.watch()
            first = stage.cacher.revision + 1
            await stage.write(HELD)
            assert stage.fan_out.evictions == 0
            await stage.write(1)
            assert stage.fan_out.evictions == 1
            # The channel that it reads from can still be emptied; what was behind it is gone.
            assert taken(watch) == (list(range(first, first + 10)), Evicted)
            assert watch.revision == first + 9

    run_trio(main)


def test_who_was_evicted_and_comes_back_misses_nothing(run_trio):
    async def main():
        async with staged() as stage:
            watch, seen = stage.watch(), []
            first = stage.cacher.revision + 1
            for _ in range(6):
                await stage.write(HELD + 1)
                revisions, end = taken(watch)
                seen += revisions
                if end is Evicted:
                    watch = stage.fan_out.watch(Selector.of(), after=watch.revision)
            while taking := taken(watch)[0]:
                seen += taking
            assert stage.fan_out.evictions >= 2
            assert seen == list(range(first, stage.cacher.revision + 1))

    run_trio(main)


def test_a_watch_that_ends_amid_its_history_brings_no_more_of_it(run_trio):
    """Else it would skip the event that was between the channels."""

    async def main():
        async with staged() as stage:
            start = stage.cacher.revision
            await stage.write(40)
            watch = stage.fan_out.watch(Selector.of(), after=start)
            await stage.write(11)  # its input is not read before the history has been taken
            assert stage.fan_out.evictions == 1
            assert taken(watch) == (list(range(start + 1, start + 11)), Evicted)

    run_trio(main)


def test_one_slow_watcher_takes_the_waiting_from_one_that_only_needs_a_moment(run_trio):
    """The same reader, every 10 ms an event: it survives by itself, and not beside one that has used up the budget."""

    async def survives(*, with_a_slow_one):
        async with staged() as stage:
            await trio.sleep(10)  # the budget is full
            if with_a_slow_one:
                stage.watch()
                await stage.write(HELD)
            watch = stage.watch()
            is_over = False

            async def read():
                nonlocal is_over
                while True:
                    await trio.sleep(0.01)
                    try:
                        watch.receive_nowait()
                    except trio.WouldBlock:
                        continue
                    except trio.EndOfChannel:
                        is_over = True
                        return

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                for turn in range(HELD + 4):
                    await stage.cluster.etcd.put(
                        "/registry/configmaps/default/a",
                        f'{{"metadata":{{"name":"a","namespace":"default"}},"data":{{"t":"{turn}"}}}}',
                    )
                await trio.sleep(1)
                nursery.cancel_scope.cancel()
            return not is_over

    assert run_trio(lambda: survives(with_a_slow_one=False))
    assert not run_trio(lambda: survives(with_a_slow_one=True))


def test_a_watcher_hears_of_its_own_namespace_alone(run_trio):
    async def main():
        async with staged() as stage:
            here, there = stage.watch(namespace="default"), stage.watch(namespace="other")
            await stage.write(3, namespace="default")
            assert len(taken(here)[0]) == 3
            assert taken(there) == ([], trio.WouldBlock)

    run_trio(main)


def test_a_start_below_the_history_is_refused_and_so_is_one_before_the_cache_is_tapped(run_trio):
    async def main():
        async with staged() as stage:
            stage.cacher.cache.ring.limit(5)
            await stage.write(20)
            with pytest.raises(Expired):
                stage.fan_out.watch(Selector.of(), after=stage.cacher.revision - 10)
            with pytest.raises(NotReady):
                KubernetesFanOut(stage.cacher).watch(Selector.of(), after=stage.cacher.revision)

    run_trio(main)


def test_a_quiet_watch_gets_a_bookmark_at_the_last_event_that_was_dispatched(run_trio):
    async def main():
        async with staged() as stage:
            await stage.write(1)
            watch = stage.watch(namespace="other")
            await stage.write(3)
            await trio.sleep(65)
            event = watch.receive_nowait()
            assert (event.type, event.revision) == (EventType.BOOKMARK, stage.cacher.revision)

    run_trio(main)


def test_when_the_cache_ends_its_watches_those_here_end_too(run_trio):
    async def main():
        async with staged() as stage:
            watch = stage.watch()
            stage.cacher.router.end_all()
            await trio.testing.wait_all_tasks_blocked()
            assert taken(watch) == ([], trio.EndOfChannel)

    run_trio(main)
