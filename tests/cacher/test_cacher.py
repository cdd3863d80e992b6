"""One resource served from one upstream watch: readiness, lists, watches without a gap, bookmarks, progress."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

from cacher import Cacher, Ring
from reflector import Changes, Replacement
from tests.cacher.upstream import PREFIX, Upstream, pod, run, running, settle
from watch import Batch, Event, EventType, Expired, NotReady, Selector, TooLargeResourceVersion, Watch, WatchSet

ALL = Selector()
WEB = Selector.of(labels="app=web")
ADDED, MODIFIED, DELETED, BOOKMARK = EventType.ADDED, EventType.MODIFIED, EventType.DELETED, EventType.BOOKMARK


def told(events: list[Event] | Batch) -> list[tuple[str, int]]:
    return [(event.type.value, event.revision) for event in events]


def taken(watch: Watch) -> list[Event]:
    found: list[Event] = []
    while True:
        try:
            found += watch.receive_batch_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return found


async def timed(watch: Watch, got: list[tuple[float, Event]]) -> None:
    """Writes down what comes, and when."""
    async for event in watch:
        got.append((trio.current_time(), event))


# ---- readiness -------------------------------------------------------------------------------------------------------


def test_nothing_is_served_before_the_first_list_is_in():
    async def main() -> None:
        upstream = Upstream(pod("a", 3))
        upstream.list_error = OSError("no route to the store")
        cacher = Cacher(upstream, prefix=PREFIX, random=Random(7))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cacher.run)
            await settle()
            assert not cacher.is_ready
            for ask in (lambda: cacher.list(ALL), lambda: cacher.watch(ALL, after=None), lambda: cacher.get("k")):
                with pytest.raises(NotReady, match="failed to list pods: OSError: no route to the store") as caught:
                    ask()
                assert (caught.value.code, caught.value.retry_after_s) == (429, 1.0)
            upstream.list_error = None
            await cacher.wait_until_ready()
            assert cacher.list(ALL) == ((pod("a", 3),), 10)
            nursery.cancel_scope.cancel()

    run(main)


def test_run_has_started_when_the_first_list_is_in():
    async def main() -> None:
        async with running(Upstream(pod("a", 3))) as cacher:
            assert cacher.is_ready
            assert cacher.get(f"{PREFIX}default/a") == pod("a", 3)
            assert cacher.get(f"{PREFIX}default/b") is None

    run(main)


def test_a_state_that_is_lost_again_before_its_reader_runs_is_waited_for_anew():
    async def main() -> None:
        cacher = Cacher(Upstream(), prefix=PREFIX, random=Random(7))
        served = trio.Event()

        async def reader() -> None:
            await cacher.wait_until_ready()
            assert cacher.list(ALL) == ((), 12)
            served.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader)
            await settle()
            cacher.replace(Replacement((), 11, ()))
            cacher._interrupted("it was lost again")
            await settle()
            assert not served.is_set()
            cacher.replace(Replacement((), 12, ()))

    run(main)


def test_every_watch_ends_when_the_cache_must_list_again_and_its_reader_then_resumes_or_lists_again():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            unread, set_of_watches = cacher.watch(ALL, after=None), WatchSet()
            set_of_watches.add(cacher.watch(ALL, after=None))
            waiting: list[tuple[float, Event]] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(timed, cacher.watch(ALL, after=None), waiting)
                await settle()
                upstream.put("a")
                await settle()
                upstream.is_live = False
                upstream.put("b")  # the stream is lost before it tells of this
                upstream.list_error = OSError("still away")
                upstream.say(Expired(10, 11))
                await settle()
                assert not cacher.is_ready
                with pytest.raises(NotReady):
                    cacher.list(ALL)
            # The nursery closed: the waiting reader's `async for` came to its end.
            assert told([event for _, event in waiting]) == [("ADDED", 11)]
            assert told(taken(unread)) == [("ADDED", 11)]
            with pytest.raises(trio.EndOfChannel):
                unread.receive_nowait()
            assert [told(batch) for _, batch in await set_of_watches.receive()] == [[("ADDED", 11)], []]
            upstream.list_error = None
            await cacher.wait_until_ready()
            assert cacher.list(ALL) == ((pod("a", 11), pod("b", 12)), 12)
            with pytest.raises(Expired):
                cacher.watch(ALL, after=unread.revision)
            assert cacher.watch(ALL, after=12).revision == 12
            figures = cacher.statistics()
            assert (figures.initializations, figures.relists, figures.watches) == (2, 1, 1)

    run(main)


def test_a_lost_stream_that_can_be_resumed_ends_no_watch():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            watch = cacher.watch(ALL, after=None)
            upstream.put("a")
            await trio.sleep(5)
            upstream.say(trio.BrokenResourceError())
            await trio.sleep(5)
            upstream.put("b")
            await settle()
            assert told(taken(watch)) == [("ADDED", 11), ("ADDED", 12)]
            assert (upstream.watched_from, upstream.lists) == ([10, 11], 1)
            assert cacher.statistics().resumes == 1

    run(main)


def test_stopping_ends_every_watch_and_says_why_nothing_is_served():
    async def main() -> None:
        async with running(Upstream()) as cacher:
            watch = cacher.watch(ALL, after=None)
        with pytest.raises(trio.EndOfChannel):
            watch.receive_nowait()
        with pytest.raises(NotReady, match="stopped"):
            cacher.watch(ALL, after=None)

    run(main)


# ---- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_shows_what_its_selector_lets_through_in_key_order():
    async def main() -> None:
        upstream = Upstream(pod("b", 4, app="web"), pod("a", 5, app="db"), pod("c", 3, "other", app="web"))
        async with running(upstream) as cacher:
            assert [each.name for each in cacher.list(ALL)[0]] == ["a", "b", "c"]
            assert [each.name for each in cacher.list(WEB)[0]] == ["b", "c"]
            assert [each.name for each in cacher.list(Selector.of("other"))[0]] == ["c"]
            assert [each.name for each in cacher.list(Selector.of("default", labels="app=web"))[0]] == ["b"]
            assert [each.name for each in cacher.list(Selector.of(name="a"))[0]] == ["a"]

    run(main)


def test_a_list_at_an_old_revision_shows_exactly_that_revision_and_says_so():
    async def main() -> None:
        upstream = Upstream(pod("a", 3, app="web"))
        async with running(upstream, ring=Ring(capacity_min=4, capacity_max=4)) as cacher:
            states = {10: ["a@3"]}
            for name, label in (("b", "web"), ("a", "db"), ("c", "web"), ("b", "web")):
                upstream.put(name, app=label)
                await settle()
                states[upstream.revision] = [each.raw.decode().split("/")[1] for each in cacher.list(WEB)[0]]
            assert states == {
                10: ["a@3"],
                11: ["a@3", "b@11"],
                12: ["b@11"],
                13: ["b@11", "c@13"],
                14: ["b@14", "c@13"],
            }
            for revision, expected in states.items():
                objects, shown = cacher.list(WEB, revision=revision)
                assert (shown, [each.raw.decode().split("/")[1] for each in objects]) == (revision, expected)
            upstream.put("z")
            await settle()
            with pytest.raises(Expired):
                cacher.list(WEB, revision=10)
            with pytest.raises(TooLargeResourceVersion):
                cacher.list(WEB, revision=99)

    run(main)


# ---- where watches start ---------------------------------------------------------------------------------------------


def test_a_watch_from_the_revision_of_a_list_goes_on_where_the_list_ends():
    async def main() -> None:
        upstream = Upstream(pod("a", 3))
        async with running(upstream) as cacher:
            upstream.put("b")
            await settle()
            _, revision = cacher.list(ALL)
            upstream.put("c")
            await settle()
            upstream.write(gone=("default/b",))
            watch = cacher.watch(ALL, after=revision)
            await settle()
            assert told(taken(watch)) == [("ADDED", 12), ("DELETED", 13)]
            assert watch.revision == 13

    run(main)


@pytest.mark.parametrize("after", range(10, 15))
def test_a_watch_may_start_at_any_revision_of_the_history_and_misses_nothing(after):
    async def main() -> None:
        upstream = Upstream(pod("a", 3, app="web"))
        async with running(upstream) as cacher:
            for name, label in (("a", "db"), ("a", "web"), ("b", "web"), ("a", "db")):
                upstream.put(name, app=label)
            await settle()
            watch = cacher.watch(WEB, after=after)
            upstream.put("b", app="db")
            await settle()
            everything = [("DELETED", 11), ("ADDED", 12), ("ADDED", 13), ("DELETED", 14), ("DELETED", 15)]
            assert told(taken(watch)) == [each for each in everything if each[1] > after]

    run(main)


def test_a_watch_from_below_the_history_is_expired_at_once():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream, ring=Ring(capacity_min=2, capacity_max=2)) as cacher:
            with pytest.raises(Expired) as caught:
                cacher.watch(ALL, after=9)
            assert (caught.value.asked, caught.value.oldest) == (9, 10)
            for _ in range(4):
                upstream.put("a")
            await settle()
            with pytest.raises(Expired) as caught:
                cacher.watch(WEB, after=11)
            assert (caught.value.asked, caught.value.oldest) == (11, 12)
            assert told(taken(cacher.watch(ALL, after=12))) == [("MODIFIED", 13), ("MODIFIED", 14)]
            assert cacher.statistics().watches == 1, "who was refused left nothing behind"

    run(main)


def test_a_watch_from_the_future_is_not_told_of_what_comes_before():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            watch = cacher.watch(ALL, after=12)
            for _ in range(4):
                upstream.put("a")
                await settle()
            assert told(taken(watch)) == [("MODIFIED", 13), ("MODIFIED", 14)]

    run(main)


def test_a_watch_with_initial_events_shows_the_state_in_key_order_then_the_bookmark_then_what_follows():
    async def main() -> None:
        upstream = Upstream(pod("b", 7), pod("a", 9, app="web"), pod("c", 2, app="web"))
        async with running(upstream) as cacher:
            upstream.put("d", app="web")
            await settle()
            watch = cacher.watch(WEB, after=None, initial=True, initial_bookmark=True)
            upstream.put("a", app="db")
            await settle()
            events = taken(watch)
            assert told(events) == [("ADDED", 9), ("ADDED", 2), ("ADDED", 11), ("BOOKMARK", 11), ("DELETED", 12)]
            assert [event.is_initial_events_end for event in events] == [False, False, False, True, False]
            assert [event.object.name for event in events[:3]] == ["a", "c", "d"]
            assert all(event.previous is None for event in events[:3])

    run(main)


def test_a_watch_cannot_be_resumed_within_its_initial_events_and_a_bookmark_does_not_repeat_their_revision():
    async def main() -> None:
        upstream = Upstream(pod("a", 9), pod("c", 10))
        async with running(upstream) as cacher:
            upstream.put("b")
            await settle()
            watch = cacher.watch(ALL, after=None, initial=True, bookmarks=True)
            assert [(watch.receive_nowait().revision, watch.revision) for _ in range(3)] == [(9, 0), (11, 0), (10, 11)]
            await trio.sleep(120)
            assert taken(watch) == []

    run(main)


def test_a_watch_with_initial_events_of_an_empty_state_still_says_that_it_is_whole():
    async def main() -> None:
        async with running(Upstream()) as cacher:
            watch = cacher.watch(WEB, after=None, initial=True, initial_bookmark=True)
            (event,) = taken(watch)
            assert event.is_initial_events_end
            assert (event.revision, watch.revision) == (10, 10)

    run(main)


# ---- the whole path, a step at a time --------------------------------------------------------------------------------


def test_a_revision_is_seen_whole_or_not_at_all():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            seen: list[tuple[list[str], int, list[int]]] = []
            watch = cacher.watch(ALL, after=None)

            def look(batch: Batch) -> None:
                objects, revision = cacher.list(ALL)
                seen.append(([each.name for each in objects], revision, [event.revision for event in batch]))

            watch.pipe_to(look)
            upstream.write(pod("a", 11), pod("b", 11))
            await settle()
            assert seen == [(["a", "b"], 11, [11, 11])]

    run(main)


def test_a_sink_that_opens_a_watch_in_the_midst_of_a_publish_loses_and_doubles_nothing():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            inner: list[Event] = []
            later: list[Event] = []
            outer = cacher.watch(ALL, after=None)

            def opens(batch: Batch) -> None:
                if not later:
                    cacher.watch(WEB, after=10).pipe_to(inner.extend)
                    cacher.watch(WEB, after=None).pipe_to(later.extend)
                    later.extend(batch)

            keeps_the_view = cacher.watch(WEB, after=None)
            outer.pipe_to(opens)
            upstream.put("a", app="web")
            upstream.put("b", app="web")
            await settle()
            assert told(inner) == told(later) == told(taken(keeps_the_view)) == [("ADDED", 11), ("ADDED", 12)]

    run(main)


# ---- freshness -------------------------------------------------------------------------------------------------------


def test_upstream_is_asked_how_far_it_is_only_while_somebody_waits():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            await trio.sleep(10)
            assert upstream.progress_asked == []
            with pytest.raises(TooLargeResourceVersion) as caught:
                await cacher.wait_until_fresh(12)
            assert (caught.value.asked, caught.value.current) == (12, 10)
            assert trio.current_time() == 13
            assert upstream.progress_asked[:30] == pytest.approx([10 + 0.1 * turn for turn in range(30)])
            await trio.sleep(10)
            assert len(upstream.progress_asked) <= 31

    run(main)


def test_a_reader_is_served_as_soon_as_upstream_says_how_far_it_is():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            for _ in range(2):
                upstream.revision += 2
                upstream.progress_asked.clear()
                upstream.answers_progress_after = 2
                began = trio.current_time()
                await cacher.wait_until_fresh(upstream.revision)
                assert trio.current_time() - began == pytest.approx(0.2)
                assert cacher.revision == upstream.revision
                await trio.sleep(1)
                assert len(upstream.progress_asked) <= 4

    run(main)


def test_a_reader_of_what_is_here_asks_nobody():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            with trio.testing.assert_checkpoints():
                await cacher.wait_until_fresh(10)
            assert upstream.progress_asked == []

    run(main)


def test_progress_is_asked_for_as_long_as_one_of_several_readers_waits():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher, trio.open_nursery() as nursery:
            nursery.start_soon(cacher.wait_until_fresh, 11)
            nursery.start_soon(cacher.wait_until_fresh, 12)
            await trio.sleep(0.55)
            upstream.mark(11)
            await settle()
            asked = len(upstream.progress_asked)
            await trio.sleep(0.5)
            assert len(upstream.progress_asked) == asked + 5
            upstream.mark(12)
            await settle()
            asked = len(upstream.progress_asked)
            await trio.sleep(0.5)
            assert len(upstream.progress_asked) == asked

    run(main)


# ---- bookmarks -------------------------------------------------------------------------------------------------------


def test_a_watch_that_asked_for_bookmarks_gets_one_about_every_minute_and_no_other_does():
    """[9.3 TestCacherSendsMultipleWatchBookmarks]"""

    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher, trio.open_nursery() as nursery:
            await trio.sleep(0.3)
            asked, other = cacher.watch(WEB, after=None, bookmarks=True), cacher.watch(WEB, after=None)
            got: list[tuple[float, Event]] = []
            nursery.start_soon(timed, asked, got)
            for _ in range(50):
                upstream.put("x", app="db")
                await trio.sleep(3)
            times = [at for at, _ in got]
            assert [event.type for _, event in got] == [BOOKMARK] * 2
            assert 59.3 <= times[0] <= 61.6
            assert 59.0 <= times[1] - times[0] <= 61.3
            assert [event.revision for _, event in got] == [10 + 1 + int(at / 3) for at in times]
            assert taken(other) == []
            assert asked.revision == got[-1][1].revision
            nursery.cancel_scope.cancel()

    run(main)


def test_there_is_no_bookmark_where_nothing_moved_since_the_start():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            watch = cacher.watch(ALL, after=None, bookmarks=True)
            await trio.sleep(200)
            assert taken(watch) == []
            upstream.mark(17)
            await trio.sleep(62)
            assert told(taken(watch)) == [("BOOKMARK", 17)]
            assert cacher.statistics().bookmarks == 1

    run(main)


def test_a_bookmark_never_overtakes_an_event_that_was_not_taken():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            cursor, member = (cacher.watch(WEB, after=None, bookmarks=True) for _ in range(2))
            members = WatchSet()
            members.add(member)
            upstream.put("a", app="web")
            await trio.sleep(62)
            upstream.put("b", app="web")
            upstream.put("c", app="db")
            await settle()
            assert told(taken(cursor)) == [("ADDED", 11), ("ADDED", 12), ("BOOKMARK", 13)]
            found = [event for _, batch in await members.receive() for event in batch]
            assert told(found) == [("ADDED", 11), ("BOOKMARK", 11), ("ADDED", 12)]

    run(main)


def test_the_last_bookmark_comes_two_seconds_before_the_deadline():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher, trio.open_nursery() as nursery:
            watch = cacher.watch(ALL, after=None, bookmarks=True, deadline=30)
            got: list[tuple[float, Event]] = []
            nursery.start_soon(timed, watch, got)
            upstream.mark(12)
            await trio.sleep(300)
            ((at, event),) = got
            assert 27 <= at <= 29.3
            assert event.revision == 12
            nursery.cancel_scope.cancel()

    run(main)


def test_a_watch_that_has_gone_is_forgotten_by_the_schedule_of_bookmarks():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            for _ in range(20):
                cacher.watch(ALL, after=None, bookmarks=True).close()
            kept = cacher.watch(ALL, after=None, bookmarks=True)
            await trio.sleep(70)
            assert len(cacher._bookmarks) == 1
            assert kept in cacher._bookmarks

    run(main)


# ---- figures ---------------------------------------------------------------------------------------------------------


def test_the_figures_say_what_there_is():
    async def main() -> None:
        upstream = Upstream(pod("a", 3))
        async with running(upstream, ring=Ring(capacity_min=2, capacity_max=2)) as cacher:
            cacher.watch(ALL, after=None)
            cacher.watch(WEB, after=None)
            for _ in range(3):
                upstream.put("b", app="web")
            await settle()
            figures = cacher.statistics()
            assert (figures.prefix, figures.is_ready, figures.revision, figures.objects) == (PREFIX, True, 13, 2)
            assert (figures.ring_length, figures.ring_capacity, figures.ring_evictions) == (2, 2, 1)
            assert figures.ring_oldest_revision == 11
            assert (figures.watches, figures.views, figures.events, figures.lists) == (2, 2, 3, 1)
            assert (figures.log_events, figures.view_log_events_max) == (4, 2)

    run(main)


# ---- many and quiet --------------------------------------------------------------------------------------------------

WATCHERS, WAITING, EVENTS, KINDS = 10_000, 1_000, 100_000, 3


@pytest.mark.slow
def test_ten_thousand_watchers_of_an_event_an_hour_never_expire_though_the_ring_wraps_a_thousand_times():
    """28 virtual hours, an event a second, a ring of 100. A tenth of the watchers are tasks that wait; the others are
    cursors that look once after each event of their own and are never woken.
    """
    per_label = -(-WATCHERS // KINDS)  # every event bears three labels, each of which one watcher selects
    got = [0] * WATCHERS

    async def wait_for_all(which: int, watch: Watch) -> None:
        async for event in watch:
            assert event.object.labels[f"l{which % KINDS}"] == str(which // KINDS)
            got[which] += 1

    async def main() -> None:
        clock = trio.testing.MockClock()
        async with running(Upstream()) as cacher, trio.open_nursery() as nursery:
            clock = trio.lowlevel.current_clock()  # type: ignore[assignment]
            watches = [
                cacher.watch(Selector.of(labels={f"l{which % KINDS}": str(which // KINDS)}), after=None)
                for which in range(WATCHERS)
            ]
            for which in range(WAITING):
                nursery.start_soon(wait_for_all, which, watches[which])
            await settle()
            for second in range(EVENTS):
                turn = second % per_label
                clock.jump(1)
                obj = pod(f"p{turn}", 11 + second, **{f"l{kind}": str(turn) for kind in range(KINDS)})
                cacher.apply(Changes((Event(MODIFIED, obj, obj.revision),), obj.revision))
                for which in range(turn * KINDS, min(turn * KINDS + KINDS, WATCHERS)):
                    if which >= WAITING:
                        got[which] += len(watches[which].receive_batch_nowait())
                await trio.lowlevel.checkpoint()
            figures = cacher.statistics()
            assert (figures.ring_capacity, figures.ring_evictions) == (100, EVENTS - 100)
            assert (figures.expired, figures.watches, figures.log_events) == (0, WATCHERS, 0)
            assert not any(watch.is_ended for watch in watches)
            await settle()
            wanted = [len(range(which // KINDS, EVENTS, per_label)) for which in range(WATCHERS)]
            assert got == wanted
            nursery.cancel_scope.cancel()

    run(main)
