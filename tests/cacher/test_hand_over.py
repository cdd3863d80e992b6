"""Events that come soon after others go out together, none late by more than the interval, and nobody sees it but watches."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher import Ring
from cacher._hand_over import HELD_MAX
from tests.cacher.upstream import Upstream, pod, run, running, settle
from watch import Batch, Event, EventType, Expired, Selector, TooLargeResourceVersion

ALL = Selector()
INTERVAL_S = 0.5


class Got:
    """A sink that remembers when each batch came."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, list[int]]] = []

    def __call__(self, batch: Batch) -> None:
        self.batches.append((round(trio.current_time(), 6), [event.revision for event in batch]))


def revisions(batch: Batch) -> list[int]:
    return [event.revision for event in batch]


def test_an_event_that_comes_alone_goes_out_at_once():
    async def main() -> None:
        upstream, got = Upstream(), Got()
        async with running(upstream, batch_interval_s=INTERVAL_S) as cacher:
            cacher.watch(ALL, after=None).pipe_to(got)
            for _ in range(3):
                await trio.sleep(1)
                upstream.put("a")
                await settle()
        assert got.batches == [(1.0, [11]), (2.0, [12]), (3.0, [13])]

    run(main)


def test_what_comes_within_the_interval_goes_out_together_at_its_end():
    async def main() -> None:
        upstream, got = Upstream(), Got()
        async with running(upstream, batch_interval_s=INTERVAL_S) as cacher:
            cacher.watch(ALL, after=None).pipe_to(got)
            await trio.sleep(1)
            for _ in range(9):
                upstream.put("a")
                await trio.sleep(0.15)
            await trio.sleep(1)
        assert got.batches == [(1.0, [11]), (1.5, [12, 13, 14]), (2.0, [15, 16, 17]), (2.5, [18, 19])]

    run(main)


def test_reads_do_not_wait_and_a_watch_that_joins_gets_each_event_once():
    async def main() -> None:
        upstream, got = Upstream(), Got()
        async with running(upstream, batch_interval_s=INTERVAL_S) as cacher:
            cacher.watch(ALL, after=None).pipe_to(got)
            upstream.put("a")
            upstream.put("b")
            await settle()
            upstream.put("c")
            await settle()
            objects, revision = cacher.list(ALL)
            assert ([each.name for each in objects], revision) == (["a", "b", "c"], 13)
            late = cacher.watch(ALL, after=11)
            assert got.batches[-1] == (0.0, [12, 13]), "who joins has all that is held handed over first"
            assert revisions(late.receive_batch_nowait()) == [12, 13]
            stateful = cacher.watch(ALL, after=None, initial=True)
            assert revisions(stateful.receive_batch_nowait()) == [11, 12, 13]
            upstream.put("d")
            for watch in (late, stateful):
                assert revisions(await watch.receive_batch()) == [14]
        assert [each for _, batch in got.batches for each in batch] == [11, 12, 13, 14]

    run(main)


def test_a_bookmark_and_the_end_come_after_what_is_held():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream, batch_interval_s=INTERVAL_S) as cacher:
            watch = cacher.watch(ALL, after=None)
            upstream.put("a")
            await settle()
            upstream.put("b")
            upstream.mark(20)
            await settle()
            assert trio.current_time() == 0
            assert cacher.router.revision == 20, "upstream's word on how far it is releases what is held"
            upstream.put("c")
            await settle()
            upstream.say(Expired(21, 30))
            await settle()
            got = [revisions(watch.receive_batch_nowait()) for _ in range(3)]
            assert got == [[11], [12], [21]]
            with pytest.raises(trio.EndOfChannel):
                watch.receive_batch_nowait()

    run(main)


def test_a_watchs_own_bookmark_does_not_overtake_what_is_held():
    async def main() -> None:
        upstream, seen = Upstream(), list[Event]()
        async with running(upstream, batch_interval_s=40.0) as cacher:
            watch = cacher.watch(ALL, after=None, bookmarks=True)
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    async for event in watch:
                        seen.append(event)

                nursery.start_soon(read)
                for _ in range(20):
                    upstream.put("a")
                    await trio.sleep(7)
                await trio.sleep(40)
                nursery.cancel_scope.cancel()
        assert sum(event.type is EventType.BOOKMARK for event in seen) >= 2
        assert [event.revision for event in seen if event.type is not EventType.BOOKMARK] == list(range(11, 31))
        assert [event.revision for event in seen] == sorted(event.revision for event in seen)

    run(main)


def test_no_more_than_a_thousand_events_are_held():
    async def main() -> None:
        upstream, got = Upstream(), Got()
        async with running(upstream, batch_interval_s=3600.0) as cacher:
            cacher.watch(ALL, after=None).pipe_to(got)
            upstream.put("a")
            await settle()
            for _ in range(HELD_MAX + 1):
                upstream.put("a")
            await settle()
            assert [len(batch) for _, batch in got.batches] == [1, HELD_MAX + 1]

    run(main)


def test_a_reader_that_waits_is_not_expired_by_what_the_ring_drops_meanwhile():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream, ring=Ring(capacity_min=4, capacity_max=4), batch_interval_s=INTERVAL_S) as cacher:
            watch = cacher.watch(ALL, after=None)
            batches = []

            async def read() -> None:
                while True:
                    batches.append(revisions(await watch.receive_batch()))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await settle()
                for _ in range(21):
                    upstream.put("a")
                    await settle()
                await trio.sleep(1)
                nursery.cancel_scope.cancel()
            assert batches == [[11], list(range(12, 32))]

    run(main)


def test_a_sink_may_open_a_watch_while_it_is_given_what_was_held():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream, batch_interval_s=INTERVAL_S) as cacher:
            opened = []
            first = cacher.watch(ALL, after=None)
            first.pipe_to(lambda batch: opened.append(cacher.watch(ALL, after=batch[0].revision - 1)))
            for _ in range(3):
                upstream.put("a")
                await settle()
            await trio.sleep(1)
            assert [revisions(each.receive_batch_nowait()) for each in opened[1:]] == [[12, 13]]

    run(main)


def test_freshness_is_the_caches_and_not_the_watches():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream, batch_interval_s=3600.0) as cacher:
            cacher.watch(ALL, after=None)
            for _ in range(2):
                upstream.put("a")
                await settle()
            await cacher.wait_until_fresh(12)
            with pytest.raises(TooLargeResourceVersion):
                await cacher.wait_until_fresh(13)

    run(main)


def test_a_negative_interval_is_refused():
    async def main() -> None:
        with pytest.raises(ValueError, match="-1"):
            async with running(Upstream(pod("a", 3)), batch_interval_s=-1):
                pass

    run(main)
