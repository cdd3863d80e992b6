"""What a view keeps for those who lag, and the readers that the publisher calls: sinks."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing

from tests.watch.naive import Cache, everything, put, revisions, run, selects
from watch import Batch, Event, Expired, Selector, View, Watch, bookmark
from watch._view import DEAD_BATCHES_MAX

ALL = Selector()
APP_A, IS_APP_A = selects(labels={"app": "a"})
APP_B, IS_APP_B = selects(labels={"app": "b"})


def view_of(cache: Cache) -> View:
    (view,) = cache.router.views()
    return view


def take_all(watch: Watch) -> list[int]:
    """The revisions of all that is there."""
    found = []
    while True:
        try:
            found += revisions(watch.receive_batch_nowait())
        except trio.WouldBlock:
            return found


# ---- the log ---------------------------------------------------------------------------------------------------------


def test_nothing_is_logged_while_every_reader_waits():
    async def main() -> None:
        cache = Cache()
        watches = [cache.watch() for _ in range(3)]
        got: list[Event] = []

        async def read(watch: Watch) -> None:
            async for event in watch:
                got.append(event)

        async with trio.open_nursery() as nursery:
            for watch in watches:
                nursery.start_soon(read, watch)
            for _ in range(5):
                await trio.testing.wait_all_tasks_blocked()
                cache.publish("a")
                assert view_of(cache).log == []
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert len(got) == 15

    run(main)


def test_a_batch_is_logged_once_for_any_number_of_readers_who_lag():
    cache = Cache()
    watches = [cache.watch() for _ in range(9)]
    batch = cache.publish("a", "b")
    assert view_of(cache).log == [batch]
    assert view_of(cache).log_events() == 2
    assert len({id(watch.receive_batch_nowait()) for watch in watches}) == 1


def test_the_log_is_trimmed_with_the_ring():
    cache = Cache(capacity=5)
    cache.watch()
    for _ in range(30):
        cache.publish("a", "b")
        assert view_of(cache).log_events() <= 5
    assert [batch[0].revision for batch in view_of(cache).log] == [39, 40]


def test_a_batch_of_several_revisions_is_trimmed_with_its_first():
    cache = Cache(capacity=3)
    lags = cache.watch()
    world = cache.world
    cache.router.publish(world.commit(put("a")) + world.commit(put("b")), revision=12, oldest_revision=0)
    cache.publish("c", "d")
    assert [batch[0].revision for batch in view_of(cache).log] == [13]
    with pytest.raises(Expired):
        lags.receive_nowait()


def test_a_reader_that_waits_is_handed_the_newest_batch_though_others_lag():
    async def main() -> None:
        cache = Cache()
        lags, waits = cache.watch(), cache.watch()
        got: list[int] = []

        async def read() -> None:
            async for event in waits:
                got.append(event.revision)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for _ in range(3):
                await trio.testing.wait_all_tasks_blocked()
                cache.publish("a")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert got == take_all(lags) == [11, 12, 13]

    run(main)


def test_more_at_once_than_the_ring_holds_is_not_kept_for_those_who_lag():
    async def main() -> None:
        cache = Cache(capacity=2)
        lags, waits = cache.watch(), cache.watch()
        got: list[Batch] = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read() -> None:
                got.append(await waits.receive_batch())

            await trio.testing.wait_all_tasks_blocked()
            batch = cache.publish("a", "b", "c")
        assert got == [batch]
        assert view_of(cache).log_events() == 0
        with pytest.raises(Expired):
            lags.receive_nowait()
        assert revisions(cache.publish("d")) == take_all(waits)

    run(main)


def test_the_log_is_emptied_when_all_have_taken_everything_and_wait():
    async def main() -> None:
        cache = Cache()
        watches = [cache.watch() for _ in range(2)]
        cache.publish("a")
        cache.publish("b")
        async with trio.open_nursery() as nursery:
            for watch in watches:
                assert take_all(watch) == [11, 12]
                nursery.start_soon(watch.receive)
            await trio.testing.wait_all_tasks_blocked()
            cache.publish("c")
            assert view_of(cache).log == []

    run(main)


def test_a_single_reader_leaves_only_a_bounded_part_of_what_it_took():
    cache = Cache()
    watch = cache.watch()
    for _ in range(DEAD_BATCHES_MAX * 3):
        cache.publish("a")
    for taken in range(1, DEAD_BATCHES_MAX * 3 + 1):
        watch.receive_batch_nowait()
        assert len(view_of(cache).log) <= DEAD_BATCHES_MAX * 3 - taken + DEAD_BATCHES_MAX
    assert view_of(cache).log == []


@pytest.mark.parametrize("way", ["close", "sink"])
def test_what_only_one_reader_had_not_taken_goes_with_it(way):
    """[9.3 TestCacheWatcherCleanupNotBlockedByResult]"""

    async def main() -> None:
        cache = Cache()
        lags, waits = cache.watch(), cache.watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits.receive)
            await trio.testing.wait_all_tasks_blocked()
            cache.publish("a")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(waits.receive)
            await trio.testing.wait_all_tasks_blocked()
            assert view_of(cache).log_events() == 1
            if way == "close":
                lags.close()
            else:
                lags.pipe_to(lambda batch: None)
            assert view_of(cache).log_events() == 0
            cache.publish("b")

    run(main)


def test_one_reader_that_lags_does_not_make_the_others_expire():
    """[9.3 TestDispatchEventWillNotBeBlockedByTimedOutWatcher]"""
    cache = Cache(capacity=3)
    lags, reads = cache.watch(), cache.watch()
    for _ in range(20):
        batch = cache.publish("a")
        assert take_all(reads) == revisions(batch)
    with pytest.raises(Expired):
        lags.receive_nowait()
    assert cache.router.expired == 1


def test_a_quiet_watch_is_never_expired_by_the_events_of_others():
    cache = Cache(capacity=3)
    quiet, read_long_ago = cache.watch(APP_A), cache.watch(APP_A)
    cache.publish("x", app="a")
    for watch in (quiet, read_long_ago):
        assert take_all(watch) == [11]
    for _ in range(100):
        cache.publish("y", app="b")
    batch = cache.publish("x", app="a")
    for watch in (quiet, read_long_ago):
        assert take_all(watch) == revisions(batch)


def test_a_view_lives_as_long_as_its_last_watch():
    """[9.3 TestForgetWatcher]"""
    cache = Cache()
    first, second = cache.watch(APP_A), cache.watch(APP_A)
    view = view_of(cache)
    first.close()
    assert cache.router.views() == [view]
    second.close()
    assert cache.router.views() == []
    cache.watch(APP_A)
    assert view_of(cache) is not view


# ---- sinks -----------------------------------------------------------------------------------------------------------


def test_a_sink_has_every_batch_before_the_publish_returns_and_first_what_came_before_it():
    cache = Cache()
    past = cache.publish("a")
    watch = cache.watch(after=10)
    live = cache.publish("b")
    got: list[Batch] = []
    watch.pipe_to(got.append)
    assert got == [past, live]
    later = cache.publish("c", "d")
    assert got == [past, live, later]
    assert watch.revision == 13


def test_a_sink_of_a_watch_from_the_future_is_not_told_what_comes_before_its_start():
    cache = Cache()
    got: list[Event] = []
    watch = cache.watch(after=11)
    watch.pipe_to(got.extend)
    cache.publish("a")
    assert got == []
    assert watch.revision == 11
    last = cache.publish("b")
    assert tuple(got) == last


def test_a_sink_gets_bookmarks_and_the_last_events_before_the_end():
    cache = Cache()
    got: list[Event] = []
    watch, ended = cache.watch(APP_A), cache.watch()
    watch.pipe_to(got.extend)
    cache.publish("b")
    cache.router.offer_bookmarks([watch])
    assert got == [bookmark(11)]
    cache.router.end_all()
    cache.publish("x", app="a")
    assert got == [bookmark(11)]
    ended.pipe_to(got.extend)
    assert revisions(got) == [11, 11]


def test_a_watch_that_has_ended_is_not_piped_beyond_its_end():
    cache = Cache()
    ended, goes_on = cache.watch(), cache.watch()
    last = cache.publish("a")
    ended.end()
    got: list[Event] = []
    ended.pipe_to(got.extend)
    cache.publish("b")
    assert tuple(got) == last
    assert revisions(goes_on.receive_batch_nowait()) == [11]


def test_a_watch_that_has_lost_an_event_is_not_piped_on_over_the_gap():
    cache = Cache(capacity=1)
    watch = cache.watch()
    cache.publish("a")
    cache.publish("b")
    got: list[Event] = []
    with pytest.raises(Expired):
        watch.pipe_to(got.extend)
    cache.publish("c")
    assert got == []


def test_a_watch_that_is_piped_is_read_in_no_other_way():
    cache = Cache()
    watch = cache.watch()
    watch.pipe_to(lambda batch: None)
    with pytest.raises(trio.BusyResourceError):
        watch.receive_nowait()
    with pytest.raises(trio.BusyResourceError):
        watch.pipe_to(lambda batch: None)
    watch.close()
    with pytest.raises(trio.ClosedResourceError):
        watch.pipe_to(lambda batch: None)


def test_a_sink_that_raises_ends_its_own_watch_and_disturbs_nobody():
    cache = Cache()
    got: list[Event] = []
    before, bad, after, cursor = (cache.watch() for _ in range(4))
    before.pipe_to(got.extend)

    def raises(_: Batch) -> None:
        raise LookupError("a sink's own mistake")

    bad.pipe_to(raises)
    after.pipe_to(got.extend)
    batch = cache.publish("a")
    assert tuple(got) == batch + batch
    assert cursor.receive_batch_nowait() == batch
    assert isinstance(bad.error, LookupError)
    assert bad.is_ended
    assert cache.router.watches() == 3
    with pytest.raises(trio.ClosedResourceError) as caught:
        bad.receive_nowait()
    assert caught.value.__cause__ is bad.error


def test_a_sink_that_raises_on_what_came_before_it_ends_its_watch():
    cache = Cache()
    watch = cache.watch()
    cache.publish("a")
    cache.publish("b")
    calls = []

    def raises(batch: Batch) -> None:
        calls.append(batch)
        raise LookupError

    watch.pipe_to(raises)
    assert len(calls) == 1
    assert cache.router.views() == []


# ---- what a sink may do inside the publish ---------------------------------------------------------------------------


def test_a_sink_may_close_its_own_watch():
    cache = Cache()
    got: list[Event] = []
    watch, other = cache.watch(), cache.watch()

    def once(batch: Batch) -> None:
        got.extend(batch)
        watch.close()

    watch.pipe_to(once)
    other_got: list[Event] = []
    other.pipe_to(other_got.extend)
    first, second = cache.publish("a"), cache.publish("b")
    assert tuple(got) == first
    assert tuple(other_got) == first + second


@pytest.mark.parametrize("selector", [ALL, APP_A], ids=["same view", "another view"])
@pytest.mark.parametrize("reader", ["cursor", "sink"])
def test_a_sink_may_close_anothers_watch(selector, reader):
    cache = Cache()
    victim, bystander = cache.watch(selector), cache.watch(selector)
    got: list[Event] = []
    closes = cache.watch()
    closes.pipe_to(lambda batch: victim.close())
    if reader == "sink":
        victim.pipe_to(got.extend)
    bystander_got: list[Event] = []
    bystander.pipe_to(bystander_got.extend)
    first, second = cache.publish("x", app="a"), cache.publish("x", app="a")
    assert got == []
    assert tuple(bystander_got) == first + second
    with pytest.raises(trio.ClosedResourceError):
        victim.receive_nowait()


@pytest.mark.parametrize("selector", [ALL, APP_A, APP_B], ids=["same view", "view before", "view after"])
@pytest.mark.parametrize("reader", ["cursor", "sink"])
@pytest.mark.parametrize("start", [10, None], ids=["from the past", "from now"])
def test_a_sink_may_open_a_watch_and_it_gets_everything_once(selector, reader, start):
    """The publish in which it is opened is in its history already, and must not come again when its view's turn comes."""
    cache = Cache()
    matches = {ALL: everything, APP_A: IS_APP_A, APP_B: IS_APP_B}[selector]
    keeps = [cache.watch(APP_A), cache.watch(), cache.watch(APP_B)]  # the order in which the views are sealed
    opened: list[Watch] = []
    got: list[Event] = []

    def opens(_: Batch) -> None:
        if not opened:
            opened.append(cache.watch(selector, after=start))
            if reader == "sink":
                opened[0].pipe_to(got.extend)

    keeps[1].pipe_to(opens)
    cache.world.commit(put("x", app="a"), put("y", app="b"))
    events = cache.world.told(everything, after=10)
    cache.router.publish(events, revision=11, oldest_revision=0)
    cache.publish("x", "y", app="a")
    cache.publish("x", "y", app="b")
    if reader == "cursor":
        while True:
            try:
                got += opened[0].receive_batch_nowait()
            except trio.WouldBlock:
                break
    assert got == cache.world.told(matches, after=10 if start == 10 else 11)


def test_a_sink_that_reads_another_watch_gets_no_bookmark_before_an_event_of_the_publish():
    """The other view's turn is still to come: its events are older than the bookmark that is due there would be."""
    cache = Cache()
    first, second = cache.watch(), cache.watch(APP_A)
    cache.publish("y")
    cache.router.offer_bookmarks([second])
    seen: list[Event] = []

    def peeks(_: Batch) -> None:
        with suppress(trio.WouldBlock):
            seen.append(second.receive_nowait())

    first.receive_batch_nowait()
    first.pipe_to(peeks)
    batch = cache.publish("x", app="a")
    assert seen == []
    assert second.receive_batch_nowait() == batch
    assert second.receive_nowait() == bookmark(12)
