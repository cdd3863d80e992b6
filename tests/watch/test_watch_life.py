"""Where a watch may begin, what makes it expire, and how bookmarks tell a quiet one how far it is."""

from __future__ import annotations

import pytest
import trio
import trio.abc
import trio.testing

from tests.watch.naive import (
    Cache,
    everything,
    expect,
    gone,
    put,
    read_into,
    receive,
    receive_batch,
    run,
    selects,
    settle,
)
from watch import Event, EventType, Expired, Selector, bookmark

ALL = Selector()
APP_A, IS_APP_A = selects(labels={"app": "a"})


BOTH = pytest.mark.parametrize("read", [receive, receive_batch])


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
        assert got == [events]

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
        assert cache.publish("c") == watch.receive_batch_nowait()

    run(main)


def test_a_watch_from_the_future_is_ended_after_an_unwanted_event_before_its_task_runs():
    async def main() -> None:
        cache = Cache()
        watch = cache.watch(after=11)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, trio.EndOfChannel, receive, watch)
            await settle()
            cache.publish("a")
            cache.router.end_all()

    run(main)


@pytest.mark.parametrize("turn", ["read", "end", "sink"])
def test_a_batch_that_spans_a_start_in_the_future_is_cut_there(turn):
    cache = Cache()
    watch = cache.watch(after=11)
    first, second = cache.world.commit(put("a")), cache.world.commit(put("b"))
    cache.publish_events(first + second)
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
    for _ in range(6):
        cache.publish("a")
    assert cache.world.evicted == 14
    assert [watch.receive_nowait().revision, watch.receive_nowait().revision] == [15, 16]


# ---- expiry ----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_watch_expires_at_its_next_receive_once_the_ring_dropped_an_event_it_had_not_taken(read):
    """[9.3 TestCacheIntervalInvalidationStopsWatch]"""

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
    """[9.3 TestCacheIntervalNextFromWatchCache]"""
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
    """[9.3 TestCacheWatcherDraining]"""
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
    """[9.3 TestCachingDeleteEvents]"""
    cache = Cache()
    watch = cache.watch(APP_A)
    cache.publish("x", app="a")
    cache.publish_events(cache.world.commit(gone("x")))
    watch.receive_nowait()
    event = watch.receive_nowait()
    assert (event.type, event.object.raw, event.object.revision) == (EventType.DELETED, b"x@11", 12)
