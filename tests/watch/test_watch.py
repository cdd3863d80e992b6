"""A Watch as trio's users know a ReceiveChannel, and what it adds: batches, and a revision to resume from."""

from __future__ import annotations

import pytest
import trio
import trio.abc
import trio.testing

from tests.watch.naive import (
    Cache,
    everything,
    expect,
    put,
    read_into,
    receive,
    receive_batch,
    revisions,
    run,
    selects,
    settle,
)
from watch import Event, Selector, bookmark

ALL = Selector()
APP_A, IS_APP_A = selects(labels={"app": "a"})


BOTH = pytest.mark.parametrize("read", [receive, receive_batch])


# ---- trio's rules of channels ----------------------------------------------------------------------------------------


def test_a_watch_is_a_receive_channel():
    assert isinstance(Cache().watch(), trio.abc.ReceiveChannel)


@BOTH
def test_receiving_what_is_there_already_is_a_checkpoint(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        for _ in range(2):  # from the log, from a view of one reader that is emptied
            cache.publish("a")
            with trio.testing.assert_checkpoints():
                await read(watch)
        state = cache.world.state(everything)
        from_state = cache.router.watch(ALL, after=12, initial=state, initial_revision=12)
        with trio.testing.assert_checkpoints():
            await read(from_state)

    run(main)


@BOTH
def test_receiving_what_is_yet_to_come_is_a_checkpoint(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_publish_when_settled, cache)
            with trio.testing.assert_checkpoints():
                await read(watch)

    run(main)


async def _publish_when_settled(cache: Cache) -> None:
    await settle()
    cache.publish("a")


def test_every_event_of_a_batch_that_is_given_out_one_by_one_is_a_checkpoint():
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        cache.publish("a", "b", "c")
        for _ in range(3):
            with trio.testing.assert_checkpoints():
                await watch.receive()

    run(main)


def test_closing_is_a_checkpoint_and_closes_also_where_it_is_cancelled():
    async def main() -> None:
        watch = Cache().watch()
        with trio.testing.assert_checkpoints():
            await watch.aclose()
        cancelled = Cache().watch()
        with trio.CancelScope() as scope:
            scope.cancel()
            await cancelled.aclose()
        for each in (watch, cancelled):
            with pytest.raises(trio.ClosedResourceError):
                each.receive_nowait()

    run(main)


@BOTH
def test_a_cancelled_receive_with_events_at_hand_takes_nothing(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        events = cache.publish("a", "b")
        with trio.CancelScope() as scope:
            scope.cancel()
            await read(watch)
        assert scope.cancelled_caught
        assert watch.revision == 10
        assert watch.receive_batch_nowait() == events

    run(main)


@BOTH
def test_a_receive_that_is_cancelled_while_it_waits_takes_nothing(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        with trio.move_on_after(1) as scope:
            await read(watch)
        assert scope.cancelled_caught
        events = cache.publish("a")
        assert watch.receive_batch_nowait() == events
        with pytest.raises(trio.WouldBlock):
            watch.receive_batch_nowait()

    run(main)


@BOTH
def test_a_receive_that_is_cancelled_after_it_was_handed_an_event_still_returns_it(read):
    """The publisher's wake comes first, then the cancellation, before the task runs: the event is neither lost nor doubled."""

    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def reader() -> None:
                with scope:
                    got.append(await read(watch))

            nursery.start_soon(reader)
            await settle()
            (event,) = cache.publish("a")
            scope.cancel()
        assert got in ([event], [(event,)])
        with pytest.raises(trio.WouldBlock):
            watch.receive_nowait()
        (later,) = cache.publish("a")
        assert watch.receive_nowait() == later

    run(main)


@BOTH
def test_a_receive_that_is_cancelled_just_before_the_publish_leaves_the_event_for_the_next(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def reader() -> None:
                with scope:
                    got.append(await read(watch))

            nursery.start_soon(reader)
            await settle()
            scope.cancel()
            (event,) = cache.publish("a")
        assert got == []
        assert watch.receive_batch_nowait() == (event,)

    run(main)


@BOTH
def test_a_receive_that_is_cancelled_in_its_checkpoint_after_it_took_an_event_still_returns_it(read):
    async def main() -> None:
        for _ in range(30):  # the scheduler decides who runs first
            cache = Cache()
            watch = cache.watch()
            events = cache.publish("a")
            got: list[object] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_into, got, read, watch)
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            if got:
                assert got in ([*events], [events])
                with pytest.raises(trio.WouldBlock):
                    watch.receive_nowait()
            else:
                assert watch.receive_batch_nowait() == events

    run(main)


@BOTH
def test_closing_a_watch_wakes_who_waits_for_it_and_refuses_who_comes_after(read):
    """[9.3 TestCacheWatcherStoppedInAnotherGoroutine]"""

    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, trio.ClosedResourceError, read, watch)
            await settle()
            watch.close()
            watch.close()
        await watch.aclose()
        cache.publish("a")
        with pytest.raises(trio.ClosedResourceError):
            await read(watch)
        assert watch.is_ended
        assert watch.error is None

    run(main)


def test_a_batch_that_was_handed_over_before_the_close_is_still_received():
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, receive, watch)
            await settle()
            events = cache.publish("a")
            watch.close()
        assert got == [*events]

    run(main)


@BOTH
def test_a_second_receiver_is_refused_and_the_first_goes_on(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, read, watch)
            await settle()
            for other in (receive, receive_batch):
                with pytest.raises(trio.BusyResourceError):
                    await other(watch)
            with pytest.raises(trio.BusyResourceError):
                watch.receive_nowait()
            (event,) = cache.publish("a")
            with pytest.raises(trio.BusyResourceError):  # handed over, and its task has not run yet
                watch.receive_batch_nowait()
        assert got in ([event], [(event,)])

    run(main)


def test_the_nowait_twins_say_so_where_there_is_nothing():
    watch = Cache().watch()
    with pytest.raises(trio.WouldBlock):
        watch.receive_nowait()
    with pytest.raises(trio.WouldBlock):
        watch.receive_batch_nowait()


def test_a_watch_is_iterated_until_its_cache_ends_it_and_closed_by_its_context():
    async def main() -> None:
        cache = Cache()
        cache_ends = trio.Event()
        got: list[Event] = []
        watch = cache.watch()

        async def client() -> None:
            async with watch:
                async for event in watch:
                    got.append(event)
                cache_ends.set()
            with pytest.raises(trio.ClosedResourceError):
                watch.receive_nowait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            await settle()
            cache.publish("a", "b")
            cache.publish("c")
            cache.router.end_all()
            await cache_ends.wait()
        assert revisions(got) == [11, 11, 12]
        assert cache.router.watches() == 0

    run(main)


@BOTH
def test_what_was_published_before_the_end_comes_before_the_end(read):
    """[9.3 TestCacheWatcherDraining]"""

    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        first, second = cache.publish("a"), cache.publish("b")
        cache.router.end_all()
        cache.publish("c")
        assert (await watch.receive(), await watch.receive()) == first + second
        for _ in range(2):
            with pytest.raises(trio.EndOfChannel):
                await read(watch)
        assert watch.revision == 12

    run(main)


@BOTH
def test_the_end_wakes_who_waits(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, trio.EndOfChannel, read, watch)
            await settle()
            cache.router.end_all()

    run(main)


@BOTH
def test_the_end_after_a_wake_comes_after_what_it_brought(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, read, watch)
            await settle()
            (event,) = cache.publish("a")
            (later,) = cache.publish("b")
            cache.router.end_all()
        assert got in ([event], [(event,)])
        assert watch.receive_nowait() == later
        with pytest.raises(trio.EndOfChannel):
            await read(watch)

    run(main)


# ---- one by one and by the batch -------------------------------------------------------------------------------------


def test_receive_and_receive_batch_may_be_mixed():
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        first, second, third = cache.publish("a", "b", "c"), cache.publish("d", "e"), cache.publish("f")
        assert await watch.receive() == first[0]
        assert watch.receive_nowait() == first[1]
        assert await watch.receive_batch() == (first[2],)
        assert watch.receive_nowait() == second[0]
        assert watch.receive_batch_nowait() == (second[1],)
        assert watch.receive_batch_nowait() == third

    run(main)


def test_watches_of_one_selector_share_their_batches_and_their_wake():
    """[9.3 TestCachingObjects]"""

    async def main() -> None:
        cache = Cache()
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read_into, got, receive_batch, cache.watch(APP_A))
            await settle()
            cache.publish("x", "y", app="a")
        assert len(got) == 3
        assert got[0] is got[1] is got[2]

    run(main)


def test_the_revision_to_resume_from_never_passes_over_what_was_not_given_out():
    """`receive` takes a batch and gives it out one by one; a client that stops in between must find the rest again."""
    cache = Cache()
    watch = cache.watch()
    world = cache.world
    cache.publish_events(
        world.commit(put("a")) + world.commit(put("b"), put("c")) + world.commit() + world.commit(put("d"))
    )
    seen = []
    for _ in range(4):
        watch.receive_nowait()
        seen.append(watch.revision)
    assert seen == [11, 11, 13, 14]


@pytest.mark.parametrize("marked", [False, True])
def test_a_state_cannot_be_resumed_within(marked):
    cache = Cache()
    cache.publish("b")
    cache.publish("a")
    state = cache.world.state(everything)
    watch = cache.router.watch(ALL, after=12, initial=state, initial_revision=12, initial_bookmark=marked)
    assert watch.revision == 0
    assert watch.receive_nowait().key == "a"
    assert watch.revision == 0
    assert watch.receive_nowait().key == "b"
    assert watch.revision == 12
    if marked:
        assert watch.receive_nowait() == bookmark(12, initial_events_end=True)
        assert watch.revision == 12


def test_an_empty_state_has_been_taken_as_soon_as_the_watch_is_open():
    cache = Cache()
    assert cache.router.watch(ALL, after=10, initial=(), initial_revision=10).revision == 10
    marked = cache.router.watch(ALL, after=10, initial=(), initial_revision=10, initial_bookmark=True)
    assert marked.revision == 0
    assert marked.receive_nowait().is_initial_events_end
    assert marked.revision == 10
