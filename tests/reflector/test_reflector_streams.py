"""The Reflector where its source can stream its state, where it is silent, and where it is not to be believed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from reflector import (
    BackoffPolicy,
    BrokenPromise,
    Changes,
    EndlessList,
    ListerWatcher,
    ObjectCheck,
    ObjectOfAnotherKind,
    ObjectWithoutUid,
    Page,
    Reflector,
    ReflectorStatistics,
    Replacement,
    WatchSilent,
)
from reflector._reflector import STATE_SILENCE_S
from tests.reflector.scripted import (
    Asked,
    DictStore,
    Script,
    ScriptedSource,
    StreamingSource,
    deleted,
    mark,
    obj,
    page,
    put,
)
from watch import Event, EventType, Expired, NotReady, Object, TooLargeResourceVersion, WatchError

PLAIN = BackoffPolicy(jitter=0)
EXPIRED = Expired(1, 20)
TOO_LARGE = TooLargeResourceVersion(9, 5, retry_after_s=0.5)


def state(*objects: Object) -> Changes:
    """Part of a state: its revisions are in no order, and it has none itself."""
    return Changes(tuple(Event(EventType.ADDED, each, each.revision) for each in objects), 0)


def play(source: ListerWatcher, store: DictStore, *, seconds: float = 100.0, **options: Any) -> Reflector:
    options = {"random": Random(1), "backoff": PLAIN, "streams": True, **options}
    reflector = Reflector(source, store, **options)

    async def main() -> None:
        with trio.move_on_after(seconds):
            await reflector.run()

    run(main)
    return reflector


def run(main: Callable[[], Any]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def figures_of(played: Reflector) -> ReflectorStatistics:
    return played.statistics()


# States that come as streams.


def test_a_state_that_is_streamed_is_put_into_the_store_whole_and_watched_on_in_the_same_stream() -> None:
    """[9.5 TestWatchList*] [9.5 TestWatchListResourceVersion]"""
    source = StreamingSource([[state(obj("c", 3)), state(obj("a", 7), obj("b", 1)), mark(9), put(10, "d"), mark(20)]])
    store = DictStore()
    played = play(source, store)
    assert source.asked == [Asked(0, stream="")]
    assert store.writes == [Replacement((obj("a", 7), obj("b", 1), obj("c", 3)), 9, ()), put(10, "d"), 20]
    figures = figures_of(played)
    assert (figures.state, figures.lists, figures.pages, figures.last_revision) == ("Watching", 1, 0, 20)


def test_changes_within_a_streamed_state_are_part_of_it_and_its_end_may_come_with_the_last_of_them() -> None:
    gone = Changes((Event(EventType.DELETED, obj("a", 8), 8),), 0)
    newer = Changes((Event(EventType.MODIFIED, obj("b", 9), 9),), 9)
    store = DictStore()
    play(StreamingSource([[state(obj("a", 7), obj("b", 1)), gone, newer]]), store)
    assert store.writes == [Replacement((obj("b", 9),), 9, ())]


def test_nothing_is_in_the_store_before_the_state_is_complete() -> None:
    """[9.5 TestWatchList*] A stream that is lost in its midst is begun anew after a wait, thrice; then the state is listed."""
    lost: Script = [state(obj("a", 1)), trio.EndOfChannel()]
    source = StreamingSource([lost, lost, lost], [page(9, b=2)])
    store = DictStore()
    played = play(source, store, first_list="0")
    assert [each.at_s for each in source.asked] == pytest.approx([0, 0.8, 2.4, 5.6, 5.6])
    assert [each.stream for each in source.asked] == ["", "", "", None, None]
    assert source.asked[3] == Asked(source.asked[3].at_s, "0", 500)
    assert store.writes == [Replacement((obj("b", 2),), 9, ())]
    assert figures_of(played).failures == 3


@pytest.mark.parametrize("error", [WatchError("422"), BrokenPromise("no"), EXPIRED, TOO_LARGE])
def test_a_source_that_cannot_stream_is_listed_at_once(error: Exception) -> None:
    """[9.5 TestWatchList*] Of an unset version there is nothing less to ask for, so 410 and 504 are that, too."""
    source = StreamingSource([error], [page(9, a=1)])
    store = DictStore()
    play(source, store)
    assert source.asked == [Asked(0, stream=""), Asked(0, "", 500), Asked(0, watch_from=9)]


@pytest.mark.parametrize("error", [NotReady("starting", retry_after_s=1), ConnectionRefusedError()])
def test_a_source_that_is_not_there_yet_is_asked_for_the_stream_again_after_a_wait(error: Exception) -> None:
    """[9.5 TestReflectorListAndWatchInitConnBackoff] [9.5 TestWatchList*]"""
    source = StreamingSource([error, error, [state(obj("a", 1)), mark(9)]])
    store = DictStore()
    play(source, store)
    assert [each.stream for each in source.asked] == ["", "", ""]
    assert source.asked[1].at_s >= 0.8
    assert [type(each) for each in store.writes] == [Replacement]


@pytest.mark.parametrize("refusal", [EXPIRED, TOO_LARGE])
def test_a_relist_streams_not_older_than_what_was_seen_and_asks_for_the_latest_where_that_cannot_be_had(
    refusal: Exception,
) -> None:
    source = StreamingSource([[mark(9), put(12, "a"), EXPIRED], refusal, [mark(30)]])
    store = DictStore()
    play(source, store)
    assert [(each.at_s, each.stream) for each in source.asked] == [(0, ""), (0.8, "12"), (0.8, "")]
    assert store.writes[2] == Replacement((), 30, (obj("a", 12),))


def test_a_stream_that_never_ends_its_state_is_listed_instead_within_a_minute() -> None:
    """[9.5 TestInitialEventsEndBookmarkTicker] There a warning every ten seconds; here an end."""
    source = StreamingSource([[state(obj("a", 1))]], [page(9, a=1)])
    store = DictStore()
    played = play(source, store)
    assert source.asked[1:] == [Asked(STATE_SILENCE_S, "", 500), Asked(STATE_SILENCE_S, watch_from=9)]
    assert isinstance(played.last_failure, WatchSilent)
    assert store.revisions == {"a": 1}


def test_a_stream_whose_state_grows_for_ever_is_given_up_and_what_came_is_dropped() -> None:
    endless = [item for number in range(50) for item in (state(obj(f"o{number}", 1)), 1.0)]
    source = StreamingSource([endless], [page(9, a=1)])
    store = DictStore()
    played = play(source, store, objects_max=30)
    assert source.asked[1] == Asked(30, "", 500)
    assert isinstance(played.last_failure, EndlessList)
    assert store.revisions == {"a": 1}


def test_a_stream_that_says_the_same_object_for_ever_is_given_up() -> None:
    endless = [item for number in range(50) for item in (state(obj("a", number)), 1.0)]
    source = StreamingSource([endless], [page(99, a=1)])
    played = play(source, DictStore(), objects_max=10)
    assert source.asked[1] == Asked(20, "", 500)
    assert isinstance(played.last_failure, EndlessList)


def test_who_is_not_told_to_stream_lists() -> None:
    source = StreamingSource([[mark(9)]], [page(9)])
    play(source, DictStore(), streams=False)
    assert source.asked == [Asked(0, "", 500), Asked(0, watch_from=9)]
    plain = ScriptedSource([page(9)])
    play(plain, DictStore())
    assert plain.asked == [Asked(0, "", 500), Asked(0, watch_from=9)]


# Silence, and the length of a watch.


def test_a_watch_that_is_silent_for_too_long_is_resumed_where_it_was() -> None:
    """A connection whose other end went away without a word: no error ever comes."""
    source = ScriptedSource([page(9)], [[5.0, put(12, "a")], [mark(30), 60.0, mark(31)]])
    played = play(source, DictStore(), inactivity_s=70, seconds=210)
    watches = [(each.at_s, each.watch_from) for each in source.asked[1:]]
    assert watches == [(0, 9), (pytest.approx(75, abs=70 / 64), 12), (pytest.approx(205, abs=2 * 70 / 64), 31)]
    figures = figures_of(played)
    assert (figures.resumes, figures.relists, figures.failures) == (2, 0, 2)
    assert isinstance(played.last_failure, WatchSilent)
    assert figures.last_error.startswith("WatchSilent: nothing came for 70 s")


def test_a_busy_watch_is_never_silent() -> None:
    """Its deadline is moved only now and then, and still in time."""
    ticks = [item for number in range(10, 400) for item in (0.5, mark(number))]
    source = ScriptedSource([page(9)], [ticks])
    play(source, DictStore(), inactivity_s=2, seconds=194)
    assert len(source.asked) == 2


def test_the_end_of_a_state_gives_its_stream_the_silence_of_a_watch() -> None:
    source = StreamingSource([[mark(9), STATE_SILENCE_S + 10, put(10, "a")]])
    play(source, DictStore(), inactivity_s=70)
    assert len(source.asked) == 1


def test_a_list_and_an_opening_that_hang_are_failures_too() -> None:
    source = ScriptedSource([page(9)], delay_s=100)
    played = play(source, DictStore(), inactivity_s=70, seconds=75)
    assert [each.at_s for each in source.asked] == [0, pytest.approx(70.8)]
    assert figures_of(played).lists == 0
    hanging = StreamingSource(delay_s=100)
    played = play(hanging, DictStore(), inactivity_s=70, seconds=31)
    assert [each.at_s for each in hanging.asked] == [0, 30]
    assert isinstance(played.last_failure, WatchSilent)


def test_a_watch_is_left_in_order_after_a_time_that_was_drawn() -> None:
    """[9.5 TestWatchTimeout] From five to ten minutes by chance; the source is told, and its reader leaves by itself anyway."""
    # Each watch goes on where the one before was left: a bookmark every ten seconds.
    source = StreamingSource([[mark(9), *(item for number in range(10, 200) for item in (10.0, mark(number)))]])
    source._watches = [
        [item for number in range(200 * at, 200 * at + 100) for item in (10.0, mark(number))] for at in (1, 2, 3)
    ]
    played = play(source, DictStore(), watch_timeout_s=300, inactivity_s=70, seconds=1500)
    lasted = [b.at_s - a.at_s for a, b in zip(source.asked, source.asked[1:], strict=False)]
    assert len(lasted) >= 2
    for asked, seconds in zip(source.asked, lasted, strict=False):
        assert 300 <= seconds <= 600
        assert asked.timeout_s == pytest.approx(seconds)
    assert len(set(lasted)) == len(lasted)
    assert (figures_of(played).failures, figures_of(played).relists) == (0, 0)


@pytest.mark.parametrize("wrong", [{"inactivity_s": 0}, {"watch_timeout_s": -1}, {"page_size": -1}])
def test_limits_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="choose"):
        Reflector(ScriptedSource(), DictStore(), random=Random(1), **wrong)
    Reflector(ScriptedSource(), DictStore(), random=Random(1), inactivity_s=inf)


# Pages.


def test_a_list_at_a_revision_is_whole_until_the_source_has_shown_that_it_is_no_cache() -> None:
    """[9.5 TestReflectorPaginatingNonConsistentReadsIfWatchCacheDisabled] [9.5 TestReflectorResyncWithResourceVersion]"""
    source = ScriptedSource([page(9), page(30)], [[EXPIRED]])
    play(source, DictStore(), first_list="0")
    assert [(each.resource_version, each.page_size) for each in source.asked if each.watch_from is None] == [
        ("0", 500),
        ("9", 0),
    ]
    paged = ScriptedSource([page(9, "p2"), page(9), page(30)], [[EXPIRED]])
    play(paged, DictStore(), first_list="0")
    assert paged.asked[3] == Asked(0.8, "9", 500)


# What is not to be believed.


def said(uid: str = "u", kind: str = "Pod", revision: int = 3) -> Object:
    return Object("/pods/a", revision, b'{"kind":"%b"}' % kind.encode(), name="a", uid=uid)


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (said(uid=""), ObjectWithoutUid),
        (said(kind="Node"), ObjectOfAnotherKind),
        (said(revision=10), BrokenPromise),
    ],
)
def test_a_list_with_an_object_that_cannot_be_is_dropped_whole_and_asked_for_again(
    lie: Object, error: type[BrokenPromise]
) -> None:
    """[9.5 TestIsUnsupportedTableObject]"""
    honest = Page((said(),), 9)
    source = ScriptedSource([Page((lie,), 9), honest])
    store = DictStore()
    played = play(source, store, check=ObjectCheck(kind="Pod"))
    assert isinstance(played.last_failure, error)
    assert store.writes == [Replacement((said(),), 9, ())]
    assert source.asked[1].at_s == 0.8


@pytest.mark.parametrize("lie", [said(uid="", revision=10), said(kind="Node", revision=10)])
def test_an_event_with_an_object_that_cannot_be_is_not_applied_but_listed_again(lie: Object) -> None:
    source = ScriptedSource(
        [Page((said(),), 9), Page((said(),), 30)], [[Changes((Event(EventType.MODIFIED, lie, 10),), 10)]]
    )
    store = DictStore()
    played = play(source, store, check=ObjectCheck(kind="Pod"))
    assert isinstance(played.last_failure, BrokenPromise)
    assert [type(each) for each in store.writes] == [Replacement, Replacement]


def test_a_state_with_an_object_that_cannot_be_is_dropped_and_listed() -> None:
    source = StreamingSource([[state(said(kind="Node")), mark(9)]], [Page((said(),), 9)])
    store = DictStore()
    played = play(source, store, check=ObjectCheck(kind="Pod"))
    assert isinstance(played.last_failure, ObjectOfAnotherKind)
    assert store.writes == [Replacement((said(),), 9, ())]


@pytest.mark.parametrize(
    "pages",
    [
        [page(9, f"p{number}", **{f"o{number}": 1}) for number in range(40)],
        [page(9, f"p{number}") for number in range(150)],
        [page(9, "p1", a=1), page(9, "p1", a=1)],
    ],
    ids=["more objects than are held", "pages without an object", "a page that is its own next"],
)
def test_a_list_without_an_end_is_dropped_and_asked_for_again(pages: list[Page]) -> None:
    source = ScriptedSource([*pages], [])
    source._lists.insert(min(len(pages), 31 if len(pages) == 40 else 101), page(9, a=1))
    store = DictStore()
    played = play(source, store, objects_max=30, seconds=20)
    assert isinstance(played.last_failure, EndlessList)
    assert store.revisions == {"a": 1}
    assert source.asked[-1].watch_from == 9


def test_lies_are_waited_out_with_growing_waits_and_never_in_a_hot_loop() -> None:
    source = ScriptedSource([Page((said(uid=""),), 9)] * 500)
    played = play(source, DictStore(), check=ObjectCheck(), seconds=3600)
    assert len(source.asked) < 3600 / 30 + 10
    assert figures_of(played).lists == 0


def test_deletions_are_checked_like_all_else() -> None:
    source = ScriptedSource([Page((said(),), 9), Page((), 30)], [[deleted(10, "/pods/a")]])
    played = play(source, DictStore(), check=ObjectCheck())
    assert isinstance(played.last_failure, ObjectWithoutUid)


# The check itself.


def test_a_check_takes_what_says_nothing_of_its_kind_and_what_begins_in_any_way() -> None:
    check = ObjectCheck(kind="Pod", requires_uid=False)
    for raw in [
        b"{}",
        b'{"metadata":{}}',
        b'{"kind":"Pod","x":1}',
        b'{"kind": "Pod"}',
        b'{"apiVersion":"v1","kind":"Pod"}',
        b'{"apiVersion": "v1", "kind": "Pod"}',
        b'{"metadata":{"kind":"Node"},"kind":"Pod"}',
    ]:
        for _ in range(2):
            check(Object("k", 1, raw))
    assert len(check._known) == 4  # each way is learned once
    for raw in [
        b'{"kind":"Node"}',
        b'{"apiVersion":"v1","kind":"Node"}',
        b'{"apiVersion":"v1","kind":"PodList"}',
        b'{"kind":"PodTemplate"}',
        b'{"metadata":{},"kind":"Node"}',
    ]:
        with pytest.raises(ObjectOfAnotherKind):
            check(Object("k", 1, raw))
    with pytest.raises(BrokenPromise, match="cannot be read"):
        check(Object("k", 1, b'{"metadata":'))


def test_a_check_learns_no_more_ways_than_it_has_room_for() -> None:
    check = ObjectCheck(kind="Pod", requires_uid=False)
    for number in range(100):
        check(Object("k", 1, b'{"apiVersion":"v%d","kind":"Pod"}' % number))
    assert len(check._known) == 8
