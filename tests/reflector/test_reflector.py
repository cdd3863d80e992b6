"""The Reflector over a source that answers from a script: what it asks, when, and what it makes of each answer."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing

from reflector import (
    BackoffPolicy,
    Changes,
    ChangeStream,
    ListerWatcher,
    Page,
    Reflector,
    ReflectorStatistics,
    ReflectorStore,
    Replacement,
)
from tests.reflector.scripted import Asked, DictStore, Script, ScriptedSource, deleted, mark, obj, page, put
from watch import (
    Event,
    EventType,
    Expired,
    InvalidSelector,
    NotReady,
    ObjectDecodeError,
    TooLargeResourceVersion,
    WatchError,
)

PLAIN = BackoffPolicy(jitter=0)  # waits of exactly 0.8, 1.6, 3.2 … seconds
EXPIRED = Expired(1, 20)
TOO_LARGE = TooLargeResourceVersion(9, 5, retry_after_s=0.5)


class Played(NamedTuple):
    """What is left after a run."""

    statistics: ReflectorStatistics
    interruptions: list[str]


def play(source: ListerWatcher, store: ReflectorStore, *, seconds: float = 100.0, **options: Any) -> Played:
    """Runs a Reflector for so long on the virtual clock, then cancels it."""
    interruptions: list[str] = []
    options = {"random": Random(1), "backoff": PLAIN, "on_interrupted": interruptions.append, **options}
    reflector = Reflector(source, store, **options)

    async def main() -> None:
        with trio.move_on_after(seconds):
            await reflector.run()

    run(main)
    return Played(reflector.statistics(), interruptions)


def run(main: Callable[[], Any]) -> None:
    """Time begins at 0."""
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# The doubles keep their word.


def test_the_scripted_source_answers_in_order_and_writes_down_what_it_was_asked() -> None:
    async def main() -> None:
        source = ScriptedSource(
            [page(5, a=1), EXPIRED], [[put(6, "a"), 2.0, trio.EndOfChannel()], OSError()], delay_s=1
        )
        assert await source.list(resource_version="0", page_size=3) == page(5, a=1)
        with pytest.raises(Expired):
            await source.list(page="p2")
        with pytest.raises(AssertionError, match="no further list"):
            await source.list()
        async with source.watch(5) as stream:
            assert source.open_watches == 1
            assert await stream.receive() == put(6, "a")
            with pytest.raises(trio.EndOfChannel):
                await stream.receive()
        assert source.open_watches == 0
        assert trio.current_time() == 6
        with pytest.raises(OSError):
            await source.watch(6).__aenter__()
        async with source.watch(6) as stream:
            with trio.move_on_after(1000) as scope:
                await stream.receive()
            assert scope.cancelled_caught
        assert source.asked[:3] == [Asked(0, "0", 3), Asked(1, "", 0, "p2"), Asked(2, "", 0)]
        assert [each.watch_from for each in source.asked[3:]] == [5, 6, 6]

    run(main)


def test_the_dict_store_holds_what_was_written_last() -> None:
    store = DictStore(obj("z", 1))
    store.replace(Replacement((obj("a", 2), obj("b", 3)), 3, (obj("z", 1),)))
    store.apply(put(4, "b", "c"))
    store.apply(deleted(5, "a"))
    store.bookmark(9)
    assert store.revisions == {"b": 4, "c": 4}
    with pytest.raises(AssertionError):
        store.bookmark(8)


# List, then watch from there.


def test_a_list_in_pages_is_put_into_the_store_whole_and_watched_from_its_revision() -> None:
    source = ScriptedSource([page(9, "p2", a=3), page(9, "p3", b=7, c=1), page(9, d=9)])
    store = DictStore()
    played = play(source, store, page_size=2)
    assert source.asked == [Asked(0, "", 2), Asked(0, "", 2, "p2"), Asked(0, "", 2, "p3"), Asked(0, watch_from=9)]
    assert store.writes == [Replacement((obj("a", 3), obj("b", 7), obj("c", 1), obj("d", 9)), 9, ())]
    assert (played.statistics.state, played.statistics.last_revision) == ("Watching", 9)


@pytest.mark.parametrize("first_list", ["", "0"])
def test_the_first_list_asks_for_what_its_owner_chose_and_for_500_objects_a_page(first_list: str) -> None:
    source = ScriptedSource([page(9)])
    play(source, DictStore(), first_list=first_list)
    assert source.asked[0] == Asked(0, first_list, 500)


def test_changes_are_applied_whole_and_in_order_and_bookmarks_move_the_revision() -> None:
    """[9.5 TestReflectorListAndWatch*]"""
    source = ScriptedSource([page(9, a=3)], [[put(10, "b", "c"), mark(15), deleted(16, "a"), mark(16), 5.0]])
    store = DictStore()
    played = play(source, store)
    assert store.writes[1:] == [put(10, "b", "c"), 15, deleted(16, "a"), 16]
    assert store.revisions == {"b": 10, "c": 10}
    assert played.statistics.last_revision == 16


def test_changes_of_thousands_of_events_are_handed_on_as_they_came() -> None:
    many = Changes(tuple(Event(EventType.ADDED, obj(f"k{n:05}", n), n) for n in range(10, 5010)), 5010)
    store = DictStore()
    play(ScriptedSource([page(9)], [[many]]), store)
    assert store.writes[1] is many


def test_objects_that_the_store_held_and_the_list_does_not_are_gone_in_key_order() -> None:
    held = [obj("d", 1), obj("b", 2), obj("c", 3), obj("a", 4)]
    store = DictStore(*held)
    play(ScriptedSource([page(9, c=3, e=8)]), store)
    assert store.writes == [Replacement((obj("c", 3), obj("e", 8)), 9, (obj("a", 4), obj("b", 2), obj("d", 1)))]


def test_started_is_told_when_the_first_list_is_in_the_store() -> None:
    """Not at page one, not after a failure; and once only, relists or not."""
    source = ScriptedSource(
        [OSError("down"), page(9, "p2", a=1), page(9, b=2), page(30)], [[put(10, "a"), EXPIRED]], delay_s=1
    )
    store = DictStore()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(Reflector(source, store, random=Random(1), backoff=PLAIN).run)
            assert trio.current_time() == pytest.approx(3.8)
            assert [type(each) for each in store.writes] == [Replacement]
            await trio.sleep(50)
            assert store.revision == 30
            nursery.cancel_scope.cancel()

    run(main)


# A stream that is lost is resumed.


@pytest.mark.parametrize(
    "lost", [trio.EndOfChannel(), trio.BrokenResourceError(), ConnectionResetError(), trio.TooSlowError()]
)
def test_a_lost_stream_is_opened_again_at_once_from_the_last_revision_without_a_list(lost: Exception) -> None:
    """[9.5 TestReflectorHandleWatch*]"""
    source = ScriptedSource([page(9)], [[put(10, "a"), mark(17), lost], [put(18, "b"), 3.0, lost]])
    store = DictStore()
    played = play(source, store)
    assert source.asked == [Asked(0, "", 500), Asked(0, watch_from=9), Asked(0, watch_from=17), Asked(3, watch_from=18)]
    assert store.revisions == {"a": 10, "b": 18}
    assert (played.statistics.resumes, played.statistics.relists, played.interruptions) == (2, 0, [])
    assert source.open_watches == 0


@pytest.mark.parametrize(("lived_s", "again_s"), [(0.0, 0.8), (0.99, 1.79), (1.0, 1.0)])
@pytest.mark.parametrize("brought", [[], [mark(9)]])
def test_a_stream_that_ends_within_a_second_with_nothing_new_is_waited_for(
    lived_s: float, again_s: float, brought: list[Changes | Exception | float]
) -> None:
    """Else a source that hangs up at once would be asked without a pause. Both sides of the second.

    [9.5 TestReflectorHandleWatch*]
    """
    source = ScriptedSource([page(9)], [[*brought, lived_s, trio.EndOfChannel()]])
    play(source, DictStore())
    assert [each.at_s for each in source.asked[1:]] == pytest.approx([0, again_s])
    assert source.asked[2].watch_from == 9


def test_an_ordered_end_is_no_failure_and_a_broken_one_is() -> None:
    played = play(ScriptedSource([page(9)], [[300.0, trio.EndOfChannel()]]), DictStore(), seconds=400)
    assert (played.statistics.failures, played.statistics.last_error) == (0, "")
    played = play(ScriptedSource([page(9)], [[300.0, trio.BrokenResourceError("cut")]]), DictStore(), seconds=400)
    assert (played.statistics.failures, played.statistics.last_error) == (1, "BrokenResourceError: cut")


@pytest.mark.parametrize("refusal", [ConnectionRefusedError(), NotReady("starting", retry_after_s=0.1)])
def test_a_watch_that_is_refused_is_asked_for_again_after_a_wait_without_a_list(refusal: Exception) -> None:
    source = ScriptedSource([page(9)], [refusal, refusal, [put(10, "a")]])
    store = DictStore()
    played = play(source, store)
    assert [each.watch_from for each in source.asked[1:]] == [9, 9, 9]
    assert [each.at_s for each in source.asked[1:]] == pytest.approx([0, 0.8, 0.8 + 1.6])
    assert (played.statistics.lists, played.statistics.resumes, played.interruptions) == (1, 0, [])
    assert store.revisions == {"a": 10}


def test_a_source_that_says_when_to_come_back_is_not_asked_sooner_nor_later_than_a_minute() -> None:
    patience = [NotReady("starting", retry_after_s=each) for each in (7.0, 0.1, 86400.0)]
    source = ScriptedSource([*patience, page(9)])
    play(source, DictStore())
    assert [each.at_s for each in source.asked] == pytest.approx([0, 7, 7 + 1.6, 7 + 1.6 + 60, 7 + 1.6 + 60])


def test_a_source_that_becomes_unready_while_it_is_watched_is_resumed_after_a_wait() -> None:
    """[9.5 TestNoRelistOnTooManyRequests] [9.5 TestBackoffOnTooManyRequests]"""
    source = ScriptedSource([page(9)], [[put(10, "a"), NotReady("restarting")]])
    played = play(source, DictStore())
    assert [(each.at_s, each.watch_from) for each in source.asked[1:]] == [(0, 9), (1.0, 10)]
    assert played.interruptions == []


# History that is gone is listed again.


def test_an_expired_watch_is_listed_again_not_older_than_it_had_seen() -> None:
    source = ScriptedSource([page(9, a=1, b=2, c=3), page(30, b=2, d=25)], [[put(12, "e"), EXPIRED], [put(31, "f")]])
    store = DictStore()
    played = play(source, store)
    assert source.asked[2:] == [Asked(0.8, "12", 0), Asked(0.8, watch_from=30)]
    assert store.writes[2] == Replacement((obj("b", 2), obj("d", 25)), 30, (obj("a", 1), obj("c", 3), obj("e", 12)))
    assert store.revisions == {"b": 2, "d": 25, "f": 31}
    assert played.interruptions == [f"Expired: {EXPIRED}"]
    assert (played.statistics.lists, played.statistics.relists, played.statistics.resumes) == (2, 1, 0)


def test_a_watch_that_has_expired_before_it_opens_is_listed_again() -> None:
    source = ScriptedSource([page(9), page(30)], [EXPIRED])
    played = play(source, DictStore())
    assert source.asked[2:] == [Asked(0.8, "9", 0), Asked(0.8, watch_from=30)]
    assert len(played.interruptions) == 1


def test_the_owner_is_told_of_an_interruption_once_however_many_lists_fail_after_it() -> None:
    """And at the moment of it, before any wait."""
    told_s: list[float] = []
    source = ScriptedSource([page(9), OSError(), OSError(), page(30)], [[50.0, EXPIRED]])
    play(source, DictStore(), on_interrupted=lambda _: told_s.append(trio.current_time()))
    assert told_s == [50.0]


def test_the_owner_is_told_of_each_list_that_failed_before_the_wait_for_the_next() -> None:
    """A list that is asked for in another way at once has not failed yet."""
    told: list[tuple[float, str]] = []
    source = ScriptedSource([OSError("down"), page(9), EXPIRED, OSError("again"), page(30)], [[50.0, EXPIRED]])
    play(source, DictStore(), on_list_failed=lambda why: told.append((trio.current_time(), why)))
    assert told == [(0, "OSError: down"), (pytest.approx(0.8 + 50.0 + 1.6), "OSError: again")]


def test_the_owner_is_not_told_of_failures_before_the_first_list() -> None:
    assert play(ScriptedSource([OSError(), page(9)]), DictStore()).interruptions == []


@pytest.mark.parametrize(
    "answer",
    [
        ObjectDecodeError("a", 10, "not JSON"),
        TOO_LARGE,
        WatchError("500"),
        mark(8),  # it falls
        Changes((Event(EventType.ADDED, obj("a", 9), 9),), 10),  # it repeats
    ],
)
def test_what_cannot_be_used_is_not_applied_but_listed_again(answer: Changes | Exception) -> None:
    """[9.5 TestReflectorReplacesStoreOnUnsafeDelete]"""
    store = DictStore()
    source = ScriptedSource([page(9), page(12, a=11)], [[answer]])
    played = play(source, store)
    assert source.asked[2] == Asked(0.8, "9", 0)
    assert [type(each) for each in store.writes] == [Replacement, Replacement]
    assert len(played.interruptions) == 1


# Lists that fail.


@pytest.mark.parametrize("refusal", [EXPIRED, TOO_LARGE])
def test_a_resource_version_that_cannot_be_had_is_dropped_for_the_latest_once_at_once(refusal: Exception) -> None:
    """The latest is then what is asked for until a list succeeds; after it, "not older than" counts again.

    [9.5 TestReflectorExpiredExactResourceVersion] [9.5 TestReflectorFullListIfTooLarge]
    """
    source = ScriptedSource(
        [page(9), refusal, refusal, OSError(), page(30), page(40)], [[put(12, "a"), EXPIRED], [35.0, EXPIRED]]
    )
    play(source, DictStore())
    lists = [(each.at_s, each.resource_version) for each in source.asked if each.watch_from is None]
    assert lists == [
        (0, ""),
        (0.8, "12"),
        (0.8, ""),
        (pytest.approx(0.8 + 1.6), ""),
        (pytest.approx(0.8 + 1.6 + 3.2), ""),
        (pytest.approx(0.8 + 1.6 + 3.2 + 35.0 + 6.4), "30"),
    ]


def test_a_revision_compacted_between_two_pages_is_listed_whole_at_once_at_the_same_resource_version() -> None:
    """[9.5 TestReflectorFullListIfExpired]"""
    source = ScriptedSource([page(9, "p2", a=1), EXPIRED, page(14, a=1, b=13)])
    store = DictStore()
    play(source, store, first_list="0")
    assert source.asked[:3] == [Asked(0, "0", 500), Asked(0, "", 500, "p2"), Asked(0, "0", 0)]
    assert store.writes == [Replacement((obj("a", 1), obj("b", 13)), 14, ())]


def test_pages_of_two_revisions_are_not_put_together() -> None:
    source = ScriptedSource([page(9, "p2", a=1), page(10, b=1), page(14, a=1, b=13)])
    store = DictStore()
    play(source, store)
    assert source.asked[2] == Asked(0, "", 0)
    assert store.writes == [Replacement((obj("a", 1), obj("b", 13)), 14, ())]


@pytest.mark.parametrize(
    "error", [OSError("down"), NotReady("x", retry_after_s=0.1), ObjectDecodeError("a", 1, "bad"), trio.EndOfChannel()]
)
def test_a_list_that_fails_is_asked_for_again_after_a_wait(error: Exception) -> None:
    source = ScriptedSource([page(9, "p2", a=1), error, page(9, "p2", a=1), page(9, b=2)])
    store = DictStore()
    play(source, store, page_size=1)
    assert [each.page for each in source.asked[:-1]] == ["", "p2", "", "p2"]
    assert [each.at_s for each in source.asked[:-1]] == [0, 0, 0.8, 0.8]
    assert store.revisions == {"a": 1, "b": 2}


# Waits.


def test_the_waits_grow_and_begin_anew_after_two_quiet_minutes() -> None:
    """[9.5 TestNewReflectorWithCustomBackoff]"""
    failures = [OSError() for _ in range(8)]
    source = ScriptedSource([*failures, page(9), page(30)], [[120.1, EXPIRED]])
    play(source, DictStore(), seconds=1000)
    asked_s = [each.at_s for each in source.asked if each.watch_from is None]
    waits = [after - before for before, after in itertools.pairwise(asked_s)]
    assert waits == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 120.1 + 0.8])


def test_the_waits_are_stretched_by_the_chance_that_was_handed_in() -> None:
    def waits(seed: int) -> list[float]:
        source = ScriptedSource([*(OSError() for _ in range(5)), page(9)])
        play(source, DictStore(), random=Random(seed), backoff=None)
        return [each.at_s for each in source.asked]

    assert waits(1) == waits(1)
    assert waits(1) != waits(2)
    # The first and the last question at the edges: 0.8 · (1 + 2 + 4 + 8 + 16) seconds, or up to twice that.
    assert 24.8 <= waits(1)[5] < 49.6


def test_refused_watches_and_failed_lists_make_each_others_waits_grow_where_nothing_else_is_said() -> None:
    """As with client-go's one manager of both."""
    source = ScriptedSource([OSError(), page(9), page(30)], [ConnectionRefusedError(), [EXPIRED]])
    play(source, DictStore())
    assert [each.at_s for each in source.asked] == pytest.approx([0, 0.8, 0.8, 2.4, 5.6, 5.6])


def test_a_pause_of_its_own_is_the_wait_between_rounds_and_no_refused_watch_makes_it_grow() -> None:
    """A server's cache: a second, after however many failures; watches that are refused wait longer and longer."""
    refused, pause = ConnectionRefusedError(), BackoffPolicy(first_s=1, factor=1, cap_s=1, jitter=0, reset_after_s=1)
    source = ScriptedSource(
        [page(9), OSError(), OSError(), page(30)],
        [refused, refused, refused, [EXPIRED], refused, [trio.EndOfChannel()]],
    )
    play(source, DictStore(), pause=pause)
    watches = [each.at_s for each in source.asked if each.watch_from is not None]
    lists = [each.at_s for each in source.asked if each.watch_from is None]
    expired_s = 0.8 + 1.6 + 3.2
    assert lists == pytest.approx([0, expired_s + 1, expired_s + 2, expired_s + 3])
    # The stream of the last but one ended at once, and is opened again after a pause.
    assert watches == pytest.approx([0, 0.8, 2.4, 5.6, 8.6, 8.6 + 6.4, 8.6 + 6.4 + 1])


def test_no_watch_is_held_open_during_a_wait() -> None:
    """[9.5 TestReflectorWatchHandler*]"""
    source = ScriptedSource([page(9), page(30)], [[EXPIRED]])
    reflector = Reflector(source, DictStore(), random=Random(1), backoff=PLAIN)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reflector.run)
            await trio.sleep(0.4)
            assert (source.open_watches, reflector.statistics().state) == (0, "Empty")
            await trio.sleep(0.5)
            assert (source.open_watches, reflector.statistics().state) == (1, "Watching")
            nursery.cancel_scope.cancel()

    run(main)


# Errors that come in groups, and errors that are nobody's to wait out.


class PumpedSource(ScriptedSource):
    """Its watch runs a task of its own, which fails after `seconds`: errors leave it in groups, as from every nursery."""

    def __init__(self, *args: Any, failure: Exception, seconds: float) -> None:
        super().__init__(*args)
        self._failure = failure
        self._seconds = seconds

    @asynccontextmanager
    async def _watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        async with super()._watch(revision) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(self._pump)
            yield stream
            nursery.cancel_scope.cancel()

    async def _pump(self) -> None:
        await trio.sleep(self._seconds)
        raise self._failure


def test_a_lost_connection_in_a_task_of_the_source_is_resumed() -> None:
    source = PumpedSource([page(9)], [[put(10, "a")]], failure=BrokenPipeError(), seconds=3)
    played = play(source, DictStore(), seconds=5)
    assert source.asked[2] == Asked(3, watch_from=10)
    assert (played.statistics.resumes, played.statistics.last_error) == (1, "BrokenPipeError")


def test_an_answer_counts_more_than_the_lost_connection_beside_it() -> None:
    source = ScriptedSource([page(9), page(30)], [[ExceptionGroup("", [OSError(), ExceptionGroup("", [EXPIRED])])]])
    assert len(play(source, DictStore()).interruptions) == 1


@pytest.mark.parametrize("bug", [KeyError("x"), trio.ClosedResourceError(), InvalidSelector("a=", "x"), IndexError()])
@pytest.mark.parametrize("where", ["list", "open", "stream", "group"])
def test_a_bug_ends_the_run(bug: Exception, where: str) -> None:
    lists: list[Page | Exception] = [bug] if where == "list" else [page(9)]
    group = ExceptionGroup("", [OSError(), bug])
    watches: dict[str, list[Script]] = {"list": [], "open": [bug], "stream": [[bug]], "group": [[group]]}
    with pytest.raises(type(group) if where == "group" else type(bug)) as raised:
        play(ScriptedSource(lists, watches[where]), DictStore())
    assert raised.value is (group if where == "group" else bug)


@pytest.mark.parametrize("bug", [OSError("disk full"), trio.BrokenResourceError(), KeyError("a")])
def test_a_store_that_fails_ends_the_run_and_is_not_taken_for_the_source(bug: Exception) -> None:
    class FailingStore(DictStore):
        def apply(self, changes: Changes) -> None:
            raise bug

    source = ScriptedSource([page(9)], [[put(10, "a")]])
    with pytest.raises((RuntimeError, KeyError)) as raised:
        play(source, FailingStore())
    assert bug in (raised.value, raised.value.__cause__)
    assert len(source.asked) == 2


def test_a_reflector_runs_once() -> None:
    reflector = Reflector(ScriptedSource([page(9)]), DictStore(), random=Random(1), name="pods")

    async def main() -> None:
        with trio.move_on_after(1):
            await reflector.run()
        with pytest.raises(RuntimeError, match="'pods' has been run before: make another"):
            await reflector.run()

    run(main)


@pytest.mark.parametrize("wrong", [{"first_list": "7"}, {"page_size": -1}])
def test_what_cannot_be_meant_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Reflector(ScriptedSource(), DictStore(), random=Random(1), **wrong)


# Cancellation, and what can be known from outside.


def test_a_cancellation_at_any_await_leaves_the_store_as_one_of_the_writes_left_it() -> None:
    """Each answer takes a second, so each half second is another await; nothing is written after the end.

    [9.5 TestReflectorWatchStopped*]
    """

    def source() -> ScriptedSource:
        return ScriptedSource(
            [page(9, "p2", a=3), page(9, b=4), OSError(), page(20, "p2", b=4), page(20, c=15)],
            [[1.0, put(10, "x", "y"), 1.0, trio.EndOfChannel()], [1.0, EXPIRED], [1.0, deleted(21, "c"), mark(22)]],
            delay_s=1.0,
        )

    class Remembering(DictStore):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[int, dict[str, int]]] = [(0, {})]

        def _wrote(self, written: Replacement | Changes | int, revision: int) -> None:
            super()._wrote(written, revision)
            self.seen.append((revision, self.revisions))

    whole = Remembering()
    play(source(), whole)
    assert whole.seen[-1] == (22, {"b": 4})
    found = []
    for half_seconds in range(1, 40):
        cut_off, cut_source = Remembering(), source()
        play(cut_source, cut_off, seconds=half_seconds / 2 + 0.01)
        found.append((cut_off.revision, cut_off.revisions))
        assert cut_off.seen == whole.seen[: len(cut_off.seen)]
        assert cut_source.open_watches == 0
    assert [each for index, each in enumerate(found) if each not in found[:index]] == [
        each
        for each in whole.seen
        if each[0] != 21  # the deletion and the bookmark after it are of one moment
    ]


def test_the_statistics_count_what_was_done() -> None:
    source = ScriptedSource(
        [page(9, "p2", a=3), page(9, b=4), page(30)],
        [[put(10, "x", "y"), mark(11), 2.0, trio.BrokenResourceError()], [put(12, "x"), 1.0, EXPIRED], [3.0, mark(33)]],
    )
    reflector = Reflector(source, DictStore(), random=Random(1), backoff=PLAIN, name="pods")
    before = reflector.statistics()
    assert (before.state, before.last_heard_s, before.lists, before.relists) == ("Empty", None, 0, 0)

    async def main() -> None:
        with trio.move_on_after(50):
            await reflector.run()

    run(main)
    after = reflector.statistics()
    assert after.last_heard_s == pytest.approx(2.0 + 1.0 + 0.8 + 3.0)
    assert after == ReflectorStatistics(
        name="pods",
        state="Watching",
        last_revision=33,
        lists=2,
        relists=1,
        resumes=1,
        pages=3,
        changes=2,
        events=3,
        bookmarks=2,
        failures=2,
        backoff_s=0.8,
        last_error=f"Expired: {EXPIRED}",
        last_heard_s=after.last_heard_s,
    )
