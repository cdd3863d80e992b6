"""One task for many watches: what it is given, how it ends, and that what it does not read stays bounded."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.watch.naive import Cache, everything, run, selects
from watch import Batch, Event, Expired, Selector, Watch, WatchSet, bookmark

ALL = Selector()
APP_A, IS_APP_A = selects(labels={"app": "a"})
APP_B, _ = selects(labels={"app": "b"})
Found = list[tuple[Watch, Batch]]


class Hosting(Cache):
    """With a set that hosts its watches."""

    def __init__(self, capacity: int = 1_000_000) -> None:
        super().__init__(capacity)
        self.set = WatchSet()

    def member(self, selector: Selector = ALL, *, after: int | None = None) -> Watch:
        watch = self.watch(selector, after=after)
        self.set.add(watch)
        return watch


async def nothing_comes(watch_set: WatchSet) -> bool:
    with trio.move_on_after(1) as scope:
        await watch_set.receive()
    return scope.cancelled_caught


async def read_into(got: list[Found], watch_set: WatchSet) -> None:
    got.append(await watch_set.receive())


def test_one_receive_gives_all_that_came_for_any_member_in_order():
    async def main() -> None:
        cache = Hosting()
        both, one, other = cache.member(), cache.member(APP_A), cache.member(APP_B)
        first, second = cache.publish("x", app="a"), cache.publish("y", "z", app="b")
        assert len(cache.set) == 3
        found = await cache.set.receive()
        assert sorted(found, key=lambda pair: [both, one, other].index(pair[0])) == [
            (both, first), (both, second), (one, first), (other, second),
        ]  # fmt: skip
        assert (both.revision, one.revision, other.revision) == (12, 11, 12)
        assert await nothing_comes(cache.set)

    run(main)


def test_one_wake_for_all_that_is_published_before_the_task_runs():
    async def main() -> None:
        cache = Hosting()
        watch = cache.member()
        got: list[Found] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, cache.set)
            await trio.testing.wait_all_tasks_blocked()
            first, second = cache.publish("a"), cache.publish("b")
        assert got == [[(watch, first), (watch, second)]]

    run(main)


def test_a_watch_brings_what_had_come_for_it_before_it_was_added():
    async def main() -> None:
        cache = Hosting()
        past = cache.publish("a")
        state = cache.world.state(everything)
        from_state = cache.router.watch(ALL, after=11, initial=state, initial_revision=11, initial_bookmark=True)
        from_history = cache.router.watch(ALL, after=10, history=past)
        live = cache.publish("b")
        for watch in (from_state, from_history):
            cache.set.add(watch)
        later = cache.publish("c")
        found = await cache.set.receive()
        end = bookmark(11, initial_events_end=True)
        assert [batch for watch, batch in found if watch is from_state] == [state, (end,), live, later]
        assert [batch for watch, batch in found if watch is from_history] == [past, live, later]
        assert from_state.revision == 13

    run(main)


def test_a_watch_from_the_future_is_not_told_what_comes_before_its_start():
    async def main() -> None:
        cache = Hosting()
        watch = cache.member(after=11)
        cache.publish("a")
        assert await nothing_comes(cache.set)
        event = cache.publish("b")
        assert await cache.set.receive() == [(watch, event)]

    run(main)


# ---- trio's rules ----------------------------------------------------------------------------------------------------


def test_receiving_is_a_checkpoint_with_data_and_without():
    async def main() -> None:
        cache = Hosting()
        cache.member()
        cache.publish("a")
        with trio.testing.assert_checkpoints():
            await cache.set.receive()
        with trio.testing.assert_checkpoints():
            assert await nothing_comes(cache.set)
        with trio.testing.assert_checkpoints():
            await cache.set.aclose()

    run(main)


def test_a_cancelled_receive_takes_nothing():
    async def main() -> None:
        cache = Hosting()
        watch = cache.member()
        first = cache.publish("a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await cache.set.receive()
        assert await cache.set.receive() == [(watch, first)]
        assert await nothing_comes(cache.set)
        second = cache.publish("b")
        assert await cache.set.receive() == [(watch, second)]

    run(main)


@pytest.mark.parametrize("cancel_first", [False, True])
def test_a_receive_that_is_cancelled_around_its_wake_loses_and_doubles_nothing(cancel_first):
    async def main() -> None:
        cache = Hosting()
        watch = cache.member()
        got: list[Found] = []
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def reader() -> None:
                with scope:
                    got.append(await cache.set.receive())

            nursery.start_soon(reader)
            await trio.testing.wait_all_tasks_blocked()
            if cancel_first:
                scope.cancel()
            first = cache.publish("a")
            scope.cancel()
        second = cache.publish("b")
        got.append(await cache.set.receive())
        assert [pair for found in got for pair in found] == [(watch, first), (watch, second)]

    run(main)


def test_a_second_receiver_is_refused():
    async def main() -> None:
        cache = Hosting()
        cache.member()
        got: list[Found] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, cache.set)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await cache.set.receive()
            cache.publish("a")
        assert len(got) == 1

    run(main)


def test_closing_the_set_closes_its_members_and_wakes_who_waits():
    async def main() -> None:
        cache = Hosting()
        async with cache.set as watch_set:
            member = cache.member()

            async def reader() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await watch_set.receive()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader)
                await trio.testing.wait_all_tasks_blocked()
                watch_set.close()
                watch_set.close()
        assert member.is_ended
        assert cache.router.views() == []
        with pytest.raises(trio.ClosedResourceError):
            await watch_set.receive()
        with pytest.raises(trio.ClosedResourceError):
            cache.member()

    run(main)


# ---- who may be added ------------------------------------------------------------------------------------------------


def test_a_member_is_read_by_its_set_alone():
    async def main() -> None:
        cache = Hosting()
        member = cache.member()
        for read in (member.receive, member.receive_batch):
            with pytest.raises(trio.BusyResourceError):
                await read()
        for refused in (WatchSet().add, cache.set.add):
            with pytest.raises(trio.BusyResourceError):
                refused(member)
        with pytest.raises(trio.BusyResourceError):
            member.pipe_to(print)

    run(main)


def test_a_watch_that_somebody_waits_for_or_that_piped_to_a_sink_is_refused():
    async def main() -> None:
        cache = Hosting()
        waited_for, piped, read = (cache.router.watch(ALL, after=10) for _ in range(3))
        piped.pipe_to(lambda batch: None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waited_for.receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                cache.set.add(waited_for)
            cache.publish("a", "b")
        with pytest.raises(trio.BusyResourceError):
            cache.set.add(piped)
        read.receive_nowait()  # the other event of its batch would come twice, or never
        with pytest.raises(trio.BusyResourceError):
            cache.set.add(read)

    run(main)


def test_a_set_hosts_watches_of_one_cache():
    cache = Hosting()
    cache.member()
    with pytest.raises(ValueError, match="another cache"):
        cache.set.add(Hosting().router.watch(ALL, after=10))


def test_a_watch_that_is_over_when_it_is_added_says_so():
    async def main() -> None:
        cache = Hosting(capacity=1)
        ended, expired, closed = (cache.router.watch(ALL, after=10) for _ in range(3))
        closed.close()
        event = cache.publish("a")
        ended.end()
        cache.publish("b")
        cache.set.add(ended)
        assert await cache.set.receive() == [(ended, event), (ended, ())]
        with pytest.raises(Expired):
            cache.set.add(expired)
        with pytest.raises(trio.ClosedResourceError):
            cache.set.add(closed)
        cache.publish("c")
        assert await nothing_comes(cache.set)
        assert len(cache.set) == 0

    run(main)


# ---- how members end -------------------------------------------------------------------------------------------------


def test_a_member_that_its_cache_ended_says_so_once_after_its_last_event():
    async def main() -> None:
        cache = Hosting()
        watch = cache.member()
        event = cache.publish("a")
        cache.router.end_all()
        assert await cache.set.receive() == [(watch, event), (watch, ())]
        assert watch.error is None
        assert len(cache.set) == 0
        assert await nothing_comes(cache.set)

    run(main)


def test_who_came_and_who_went_between_two_events_is_told_of_those_of_its_own_time():
    async def main() -> None:
        cache = Hosting()
        stays, goes = cache.member(), cache.member()
        first = cache.publish("a")
        goes.end()
        second = cache.publish("b")
        comes = cache.member()
        third = cache.publish("c")
        found = await cache.set.receive()
        assert [batch for watch, batch in found if watch is stays] == [first, second, third]
        assert [batch for watch, batch in found if watch is goes] == [first, ()]
        assert [batch for watch, batch in found if watch is comes] == [third]

    run(main)


def test_a_member_that_its_owner_closed_is_not_mentioned_again():
    async def main() -> None:
        cache = Hosting()
        watch, other = cache.member(), cache.member(APP_A)
        ended_and_closed = cache.member(APP_B)
        cache.publish("x")
        watch.close()
        ended_and_closed.end()
        ended_and_closed.close()
        event = cache.publish("y", app="a")
        assert await cache.set.receive() == [(other, event)]

    run(main)


def test_a_member_expires_for_its_own_loss_alone():
    async def main() -> None:
        cache = Hosting(capacity=3)
        quiet, busy = cache.member(APP_A), cache.member(APP_B)
        for _ in range(4):
            cache.publish("y", app="b")
        event = cache.publish("x", app="a")
        assert await cache.set.receive() == [(quiet, event), (busy, ())]
        assert isinstance(busy.error, Expired)
        assert busy.error.asked == 10
        assert len(cache.set) == 1

    run(main)


def test_a_member_that_took_all_of_its_own_does_not_expire_however_far_the_ring_moves():
    async def main() -> None:
        cache = Hosting(capacity=3)
        quiet = cache.member(APP_A)
        for turn in range(5):
            event = cache.publish("x", app="a")
            assert await cache.set.receive() == [(quiet, event)]
            for _ in range(10 * turn):
                cache.publish("y")
        assert cache.router.expired == 0

    run(main)


def test_a_member_whose_oldest_event_is_still_in_the_ring_does_not_expire_with_another():
    async def main() -> None:
        cache = Hosting(capacity=3)
        first, second = cache.member(APP_A), cache.member(APP_B)
        cache.publish("x", app="a")
        event = cache.publish("y", app="b")
        for _ in range(2):
            cache.publish("z")
        assert await cache.set.receive() == [(second, event), (first, ())]

    run(main)


def test_a_member_that_was_ended_shows_no_gap_where_the_ring_dropped_a_part_of_what_is_queued():
    async def main() -> None:
        cache = Hosting(capacity=2)
        watch = cache.member()
        cache.publish("a")
        cache.publish("b")
        cache.router.end_all()
        cache.publish("c")  # the first is dropped, the second is still in the ring
        assert await cache.set.receive() == [(watch, ())]
        assert isinstance(watch.error, Expired)

    run(main)


def test_more_at_once_than_the_ring_holds_is_lost_to_a_set_that_has_not_taken_it():
    async def main() -> None:
        cache = Hosting(capacity=2)
        watch = cache.member()
        cache.publish("a", "b", "c")
        assert cache.set.queued_events() == 0
        assert await cache.set.receive() == [(watch, ())]
        assert isinstance(watch.error, Expired)

    run(main)


# ---- what nobody reads -----------------------------------------------------------------------------------------------


def test_what_is_queued_is_no_more_than_the_ring_holds():
    cache = Hosting(capacity=5)
    for _ in range(3):
        cache.member()
    for _ in range(50):
        cache.publish("a", "b")
        assert cache.set.queued_events() <= 5


def test_a_set_that_nobody_reads_holds_one_bookmark_a_member():
    async def main() -> None:
        cache = Hosting()
        watch = cache.member(APP_A)
        for _ in range(5):
            cache.publish("b")
            cache.router.offer_bookmarks([watch])
        assert (cache.set.queued_events(), cache.router.bookmarks) == (1, 1)
        assert await cache.set.receive() == [(watch, (bookmark(11),))]
        cache.publish("b")
        cache.router.offer_bookmarks([watch])
        assert await cache.set.receive() == [(watch, (bookmark(16),))]
        assert watch.revision == 16

    run(main)


def test_a_bookmark_that_was_due_before_a_watch_was_added_does_not_stop_the_later_ones():
    async def main() -> None:
        cache = Hosting()
        watch = cache.router.watch(APP_A, after=10)
        cache.publish("b")
        cache.router.offer_bookmarks([watch])
        cache.set.add(watch)
        cache.router.offer_bookmarks([watch])
        assert await cache.set.receive() == [(watch, (bookmark(11),))]

    run(main)


def test_a_slow_set_delays_nobody_else():
    async def main() -> None:
        cache = Hosting(capacity=3)
        slow = cache.member()
        cursor = cache.router.watch(ALL, after=10)
        piped: list[Event] = []
        cache.router.watch(ALL, after=10).pipe_to(piped.extend)
        got: list[Event] = []
        for _ in range(20):
            cache.publish("a")
            got += cursor.receive_batch_nowait()
        assert got == piped == cache.world.told(everything, after=10)
        assert await cache.set.receive() == [(slow, ())]

    run(main)
