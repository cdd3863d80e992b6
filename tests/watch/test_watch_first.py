"""A call whose caller is asked before it is woken: what it takes wakes nobody, what it does not take is not lost."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.watch.naive import Cache, everything, put, revisions, run, selects, settle
from watch import Batch, Event, Expired, Selector, Watch, bookmark

ALL = Selector()
APP_A, _ = selects(labels={"app": "a"})


class Taker:
    """Takes batches while `takes` says so, and reads what it did not take."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.taken: list[Event] = []
        self.read: list[Event] = []
        self.all: list[Event] = []
        self.takes = True

    def first(self, batch: Batch) -> bool:
        if self.takes:
            self.taken += batch
            self.all += batch
        return self.takes

    async def run(self) -> None:
        try:
            while True:
                batch = await self.watch.receive_batch(first=self.first)
                self.read += batch
                self.all += batch
        except trio.EndOfChannel:
            return


def test_what_is_taken_wakes_nobody_and_what_is_not_is_received():
    async def main() -> None:
        cache = Cache()
        taker = Taker(cache.watch())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            await settle()
            cache.publish("a")
            assert revisions(taker.taken) == [11]  # before anybody could run
            cache.publish("b", "c")
            taker.takes = False
            cache.publish("d")
            taker.takes = True
            cache.publish("e")  # the task that was woken has not run: nobody is asked
            await settle()
            assert revisions(taker.taken) == [11, 12, 12]
            assert revisions(taker.read) == [13, 14]
            cache.publish("f")
            assert revisions(taker.taken) == [11, 12, 12, 15]
            assert taker.watch.revision == 15
            nursery.cancel_scope.cancel()

    run(main)


def test_what_was_there_before_is_received_and_not_offered():
    async def main() -> None:
        cache = Cache()
        taker = Taker(cache.watch())
        cache.publish("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            await settle()
            assert (taker.taken, revisions(taker.read)) == ([], [11])
            nursery.cancel_scope.cancel()

    run(main)


def test_only_what_the_selector_wants_is_offered_and_others_of_the_view_are_not_disturbed():
    async def main() -> None:
        cache = Cache()
        taker, sleeper, lagging = Taker(cache.watch(APP_A)), Taker(cache.watch(APP_A)), cache.watch(APP_A)
        sleeper.takes = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            nursery.start_soon(sleeper.run)
            await settle()
            cache.publish("a", app="a")
            cache.publish("b", app="b")
            await settle()
            cache.publish("c", app="a")
            await settle()
            assert revisions(taker.taken) == [11, 13]
            assert revisions(sleeper.read) == [11, 13]
            assert [revisions(lagging.receive_batch_nowait()) for _ in range(2)] == [[11], [13]]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_watch_that_starts_in_the_future_is_offered_what_it_wants_alone():
    async def main() -> None:
        cache = Cache()
        taker = Taker(cache.router.watch(ALL, after=12))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            await settle()
            for key in "abc":
                cache.publish(key)
            await settle()
            assert (revisions(taker.taken), taker.read) == ([13], [])
            nursery.cancel_scope.cancel()

    run(main)


@pytest.mark.parametrize("takes", [True, False])
def test_a_bookmark_is_offered_too(takes):
    async def main() -> None:
        cache = Cache()
        taker = Taker(cache.watch())
        taker.takes = takes
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            await settle()
            cache.publish("a")
            await settle()
            cache.router.offer_bookmarks([taker.watch])
            await settle()
            assert taker.all[-1] == bookmark(11)
            assert (taker.taken == []) is not takes
            nursery.cancel_scope.cancel()

    run(main)


def test_the_end_and_closing_reach_a_call_that_took_everything():
    async def main() -> None:
        cache = Cache()
        taker = Taker(cache.watch())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            await settle()
            cache.publish("a")
            taker.watch.end()
        closed = Taker(cache.watch())
        with pytest.RaisesGroup(trio.ClosedResourceError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(closed.run)
                await settle()
                closed.watch.close()
        assert cache.publish("b")
        assert closed.taken == []

    run(main)


def test_a_cancelled_call_is_asked_no_more():
    async def main() -> None:
        cache = Cache()
        taker = Taker(cache.watch())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            await settle()
            nursery.cancel_scope.cancel()
        cache.publish("a")
        assert taker.taken == []
        assert revisions(taker.watch.receive_batch_nowait()) == [11]

    run(main)


def test_what_was_taken_is_not_received_again_though_others_have_yet_to_take_it():
    async def main() -> None:
        cache = Cache()
        taker, lagging = Taker(cache.watch()), cache.watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            await settle()
            cache.publish("a")
            nursery.cancel_scope.cancel()
        assert revisions(taker.taken) == [11]
        with pytest.raises(trio.WouldBlock):
            taker.watch.receive_batch_nowait()
        assert revisions(lagging.receive_batch_nowait()) == [11]

    run(main)


def test_one_that_raises_ends_its_own_watch_and_nobody_elses():
    async def main() -> None:
        cache = Cache()
        bad, good = cache.watch(), Taker(cache.watch())

        def fail(batch: Batch) -> bool:
            raise RuntimeError("broken")

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await bad.receive_batch(first=fail)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(good.run)
            await settle()
            cache.publish("a")
            await settle()
            assert str(bad.error) == "broken"
            assert revisions(good.taken) == [11]
            nursery.cancel_scope.cancel()

    run(main)


def test_one_that_took_all_is_not_expired_however_far_the_ring_moves():
    async def main() -> None:
        cache = Cache(capacity=2)
        taker, lost = Taker(cache.watch()), cache.watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            await settle()
            for number in range(10):
                cache.publish(str(number))
            assert revisions(taker.taken) == list(range(11, 21))
            with pytest.raises(Expired):
                lost.receive_batch_nowait()
            nursery.cancel_scope.cancel()

    run(main)


STEPS = st.lists(st.sampled_from(["publish", "other", "take", "leave", "run", "bookmark"]), max_size=40)


@given(STEPS)
def test_however_it_takes_turns_nothing_is_lost_told_twice_or_out_of_order(steps):
    async def main() -> None:
        cache = Cache()
        taker = Taker(cache.watch(APP_A))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.run)
            for number, step in enumerate(steps):
                match step:
                    case "publish":
                        cache.publish(str(number), app="a")
                    case "other":
                        cache.publish_events(cache.world.commit(put(str(number))))
                    case "bookmark":
                        cache.router.offer_bookmarks([taker.watch])
                    case "run":
                        await settle()
                    case _:
                        taker.takes = step == "take"
            await settle()
            nursery.cancel_scope.cancel()
        wanted = [event for event in cache.world.told(everything, after=10) if event.object.labels]
        assert [event for event in taker.all if event.object.key] == wanted

    run(main)
