"""Many watches of a cached storage that come, go, and outlive restarts of the cache."""

from __future__ import annotations

from random import Random

import pytest
import trio

from cacher.storage import ListOptions
from tests.cacher.layers import ALL_PODS, layers, run
from watch import Expired, TooLargeResourceVersion


def test_watches_that_come_and_go_leave_nothing_behind():
    """[9.3 TestCacherNoLeakWithMultipleWatchers] [9.3 TestForgetWatcher] No view, no watch, no turn for a bookmark."""

    async def main() -> None:
        async with layers("a/one") as all_:
            chance = Random(7)

            async def come_and_go() -> None:
                for _ in range(20):
                    options = ListOptions(
                        resource_version=chance.choice(["", "0", "2", "99", "1"]),
                        allow_bookmarks=chance.random() < 0.5,
                        send_initial_events=chance.choice([None, True, False]),
                        deadline=trio.current_time() + chance.random() * 5,
                    )
                    with trio.move_on_after(chance.random()):
                        async with all_.storage.watch(chance.choice(["/pods", "/pods/a"]), options) as stream:
                            while True:
                                try:
                                    await stream.receive()
                                except (Expired, TooLargeResourceVersion, trio.EndOfChannel):
                                    break

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(come_and_go)
                for turn in range(30):
                    await all_.put(f"a/{turn % 3}")
                    await trio.sleep(0.2)
            await trio.sleep(70)
            figures = all_.storage.cacher.statistics()
            assert (figures.watches, figures.views, figures.log_events) == (0, 0, 0)
            assert len(all_.storage.cacher._bookmarks) == 0

    run(main)


@pytest.mark.slow
def test_no_watch_goes_back_in_time_wherever_it_starts():
    """[9.3 TestWatcherNotGoingBackInTime] Many watches opened at revisions that move, under writes."""

    async def main() -> None:
        async with layers("a/0") as all_:
            chance = Random(11)
            seen = 0

            async def watch() -> None:
                nonlocal seen
                version = all_.etcd.revision
                with trio.move_on_after(8):
                    while True:
                        await trio.sleep(chance.random())
                        last = version
                        async with all_.storage.watch("/pods", ListOptions(resource_version=str(version))) as stream:
                            for _ in range(chance.randrange(1, 6)):
                                event = await stream.receive()
                                assert event.revision > last
                                last, seen = event.revision, seen + 1
                        version = last

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(watch)
                for turn in range(200):
                    await all_.put(f"a/{turn % 7}")
                    await trio.sleep(0.03)
            assert seen > 500

    run(main)


@pytest.mark.slow
def test_a_cache_that_lists_anew_makes_no_watch_miss_an_event():
    """[9.3 TestCacherDontMissEventsOnReinitialization] Revisions are consecutive until the watch is ended."""

    async def main() -> None:
        async with layers("a/0") as all_:
            start = all_.etcd.revision
            watched = ends = 0

            async def watch() -> None:
                nonlocal watched, ends
                async with all_.storage.watch(ALL_PODS, ListOptions(resource_version=str(start))) as stream:
                    revision = start
                    while True:
                        try:
                            event = await stream.receive()
                        except (Expired, trio.EndOfChannel):
                            ends += 1
                            return
                        assert event.revision == revision + 1
                        revision, watched = event.revision, watched + 1

            async with trio.open_nursery() as nursery:
                for turn in range(100):
                    if turn % 20 == 10:
                        all_.below.break_watch(trio.BrokenResourceError())
                    if turn == 60:
                        all_.below.break_watch(Expired(1, 2))
                    if turn < 50:
                        nursery.start_soon(watch)
                    await all_.put(f"a/{turn % 5}")
                    await trio.sleep(0.05)
            assert ends == 50
            assert watched > 500
            assert all_.storage.cacher.statistics().initializations == 2

    run(main)
