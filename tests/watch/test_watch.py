"""A Watch as a ReceiveChannel; over 600 lines because the rules of trio's channels are one contract and stay together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.abc
import trio.testing

from tests.watch.naive import World, everything, gone, put, revisions, run, selects
from watch import Event, EventType, Expired, Router, Selector, Watch, bookmark

ALL = Selector()
APP_A, IS_APP_A = selects(labels={"app": "a"})
Read = Callable[[Watch], Awaitable[object]]


class Cache:
    """A router with a naive ring of `capacity` events behind it."""

    def __init__(self, capacity: int = 1_000_000) -> None:
        self.world = World(capacity=capacity)
        self.router = Router(revision=self.world.revision)

    def watch(self, selector: Selector = ALL, *, after: int = 10) -> Watch:
        return self.router.watch(selector, after=after)

    def publish(self, *keys: str, **labels: str) -> list[Event]:
        """One revision."""
        return self.publish_revisions(self.world.commit(*(put(key, **labels) for key in keys)))

    def publish_revisions(self, events: list[Event]) -> list[Event]:
        self.router.publish(events, revision=self.world.revision, oldest_revision=self.world.oldest_kept)
        return events


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def receive(watch: Watch) -> object:
    return await watch.receive()


async def receive_batch(watch: Watch) -> object:
    return await watch.receive_batch()


BOTH = pytest.mark.parametrize("read", [receive, receive_batch])


async def read_into(got: list[object], read: Read, watch: Watch) -> None:
    got.append(await read(watch))


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
        assert watch.receive_batch_nowait() == tuple(events)

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
        assert watch.receive_batch_nowait() == tuple(events)
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
def test_closing_a_watch_wakes_who_waits_for_it_and_refuses_who_comes_after(read):
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect, trio.ClosedResourceError, read, watch)
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


async def _expect(kind: type[Exception], read: Read, watch: Watch) -> None:
    with pytest.raises(kind):
        await read(watch)


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
        assert got == events

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
    async def main() -> None:
        cache = Cache()
        watch = cache.watch()
        first, second = cache.publish("a"), cache.publish("b")
        cache.router.end_all()
        cache.publish("c")
        assert [await watch.receive(), await watch.receive()] == first + second
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
            nursery.start_soon(_expect, trio.EndOfChannel, read, watch)
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
        assert watch.receive_batch_nowait() == tuple(third)

    run(main)


def test_watches_of_one_selector_share_their_batches_and_their_wake():
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
    cache.publish_revisions(
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


# ---- starts in the past and in the future ----------------------------------------------------------------------------


def test_a_watch_from_the_future_is_not_told_what_comes_before_its_start():
    async def main() -> None:
        cache = Cache()
        watch = cache.watch(after=12)
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, receive_batch, watch)
            await settle()
            cache.publish("a")
            await settle()
            cache.publish("b")
            await settle()
            assert got == []
            events = cache.publish("c")
        assert got == [tuple(events)]

    run(main)


def test_a_watch_from_the_future_gets_what_follows_an_unwanted_event_before_its_task_runs():
    """The task is woken for an event before its start, and has not run when the one that it wants is published."""

    async def main() -> None:
        cache = Cache()
        watch = cache.watch(after=11)
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, receive_batch, watch)
            await settle()
            cache.publish("a")
            (event,) = cache.publish("b")
            await settle()
            assert got == [(event,)]
        assert cache.publish("c") == list(watch.receive_batch_nowait())

    run(main)


def test_a_watch_from_the_future_is_ended_after_an_unwanted_event_before_its_task_runs():
    async def main() -> None:
        cache = Cache()
        watch = cache.watch(after=11)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect, trio.EndOfChannel, receive, watch)
            await settle()
            cache.publish("a")
            cache.router.end_all()

    run(main)


@pytest.mark.parametrize("turn", ["read", "end", "sink"])
def test_a_batch_that_spans_a_start_in_the_future_is_cut_there(turn):
    cache = Cache()
    watch = cache.watch(after=11)
    first, second = cache.world.commit(put("a")), cache.world.commit(put("b"))
    cache.publish_revisions(first + second)
    got: list[Event] = []
    if turn == "sink":
        watch.pipe_to(got.extend)
    else:
        if turn == "end":
            cache.router.end_all()
        got.extend(watch.receive_batch_nowait())
    assert got == second


def test_a_watch_from_the_future_does_not_expire_for_what_it_did_not_want():
    cache = Cache(capacity=2)
    watch = cache.watch(after=14)
    for _ in range(5):
        cache.publish("a")
    assert watch.receive_batch_nowait()[0].revision == 15


# ---- expiry ----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_watch_expires_at_its_next_receive_once_the_ring_dropped_an_event_it_had_not_taken(read):
    async def main() -> None:
        cache = Cache(capacity=3)
        watch = cache.watch()
        for _ in range(3):
            cache.publish("a")
        assert (await watch.receive()).revision == 11
        for _ in range(2):
            cache.publish("a")
        for _ in range(2):
            with pytest.raises(Expired) as caught:
                await read(watch)
            assert (caught.value.asked, caught.value.oldest) == (11, 12)
        assert cache.router.expired == 1
        assert watch.is_ended
        assert cache.router.watches() == 0

    run(main)


def test_a_watch_with_its_oldest_event_still_in_the_ring_does_not_expire():
    cache = Cache(capacity=3)
    watch = cache.watch()
    for _ in range(3):
        cache.publish("a")
    assert [watch.receive_nowait().revision for _ in range(3)] == [11, 12, 13]


def test_a_revision_that_was_dropped_in_part_is_dropped():
    cache = Cache(capacity=2)
    watch = cache.watch()
    cache.publish("a", "b")
    cache.publish("c")
    with pytest.raises(Expired):
        watch.receive_nowait()


def test_what_was_taken_as_a_batch_is_given_out_one_by_one_though_the_ring_moves_on():
    cache = Cache(capacity=3)
    watch = cache.watch()
    cache.publish("a", "b", "c")
    assert watch.receive_nowait().key == "a"
    for _ in range(9):
        cache.publish("d")
    assert [watch.receive_nowait().key, watch.receive_nowait().key] == ["b", "c"]
    with pytest.raises(Expired):
        watch.receive_nowait()


def test_an_initial_state_never_expires_and_a_history_does():
    cache = Cache(capacity=3)
    cache.publish("a", app="a")
    state, history = cache.world.state(IS_APP_A), tuple(cache.world.told(IS_APP_A, after=10))
    from_state = cache.router.watch(APP_A, after=11, initial=state, initial_revision=11)
    from_history = cache.router.watch(APP_A, after=10, history=history)
    for _ in range(9):
        cache.publish("b")
    assert from_state.receive_batch_nowait() == state
    with pytest.raises(Expired) as caught:
        from_history.receive_nowait()
    assert caught.value.asked == 10


def test_what_was_published_before_the_end_outlives_the_ring():
    cache = Cache(capacity=2)
    cache.publish("a")
    watch = cache.router.watch(ALL, after=10, history=tuple(cache.world.told(everything, after=10)))
    cache.publish("b")
    cache.router.end_all()
    for _ in range(9):
        cache.publish("c")
    assert [watch.receive_nowait().revision, watch.receive_nowait().revision] == [11, 12]
    with pytest.raises(trio.EndOfChannel):
        watch.receive_nowait()


def test_a_watch_that_had_lost_an_event_when_its_cache_ended_it_expires():
    """EndOfChannel would tell its reader to resume, and hide the gap."""
    cache = Cache(capacity=1)
    watch = cache.watch()
    cache.publish("a")
    cache.publish("a")
    cache.router.end_all()
    with pytest.raises(Expired):
        watch.receive_nowait()


# ---- bookmarks -------------------------------------------------------------------------------------------------------


def test_a_waiting_reader_gets_a_bookmark_at_once():
    async def main() -> None:
        cache = Cache()
        watch = cache.watch(APP_A)
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, receive, watch)
            await settle()
            cache.publish("b")
            cache.router.offer_bookmarks([watch])
        assert got == [bookmark(11)]
        assert (watch.revision, cache.router.bookmarks) == (11, 1)

    run(main)


def test_a_watch_that_began_in_the_past_gets_a_bookmark_of_the_revision_at_which_it_was_opened():
    async def main() -> None:
        cache = Cache()
        cache.publish("b")
        watch = cache.watch(APP_A, after=10)
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_into, got, receive, watch)
            await settle()
            cache.router.offer_bookmarks([watch])
            await settle()
            assert got == [bookmark(11)]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_bookmark_waits_until_what_is_before_it_was_taken_and_then_speaks_of_the_present():
    cache = Cache()
    watch = cache.watch(APP_A)
    (event,) = cache.publish("x", app="a")
    cache.router.offer_bookmarks([watch])
    cache.publish("b")
    assert watch.receive_nowait() == event
    assert watch.receive_nowait() == bookmark(12)
    with pytest.raises(trio.WouldBlock):
        watch.receive_nowait()


def test_a_bookmark_that_would_say_no_more_than_the_start_is_not_given():
    cache = Cache()
    watch, future, closed = cache.watch(), cache.watch(after=20), cache.watch()
    cache.router.offer_bookmarks([watch])
    cache.publish("a")
    closed.close()
    cache.router.offer_bookmarks([future, closed])
    assert cache.router.bookmarks == 0
    assert watch.receive_nowait().type is not EventType.BOOKMARK
    with pytest.raises(trio.WouldBlock):
        watch.receive_nowait()


def test_the_end_comes_instead_of_a_bookmark_that_is_due():
    cache = Cache()
    watch = cache.watch(APP_A)
    cache.publish("x", app="a")
    cache.router.offer_bookmarks([watch])
    cache.router.end_all()
    watch.receive_nowait()
    with pytest.raises(trio.EndOfChannel):
        watch.receive_nowait()


def test_a_deletion_carries_the_last_version_at_the_revision_of_the_deletion():
    cache = Cache()
    watch = cache.watch(APP_A)
    cache.publish("x", app="a")
    cache.publish_revisions(cache.world.commit(gone("x")))
    watch.receive_nowait()
    event = watch.receive_nowait()
    assert (event.type, event.object.raw, event.object.revision) == (EventType.DELETED, b"x@11", 12)
