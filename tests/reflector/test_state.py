"""The table, exhaustively: every state with every input is in it or raises, and the values move as the drawing says."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reflector import Changes, Page
from reflector._promises import EndlessList, WatchSilent
from reflector._state import (
    CUTS_MAX,
    TABLE,
    Action,
    BrokenPromise,
    Empty,
    IllegalTransition,
    Input,
    Kind,
    Listed,
    Listing,
    State,
    Streaming,
    Watching,
    begin,
    check_changes,
    check_page,
    list_failure,
    open_failure,
    page_size,
    state_failure,
    step,
    stream_failure,
)
from watch import Event, EventType, Expired, NotReady, Object, ObjectDecodeError, TooLargeResourceVersion, WatchError


def _object(key: str, revision: int) -> Object:
    return Object(key, revision, b"{}", name=key)


def _event(revision: int) -> Event:
    return Event(EventType.ADDED, _object("/a", revision), revision)


def _changes(revision: int, *event_revisions: int) -> Changes:
    return Changes(tuple(_event(each) for each in event_revisions), revision)


PAGED = Listing("7", next_page="p2", revision=9, pages=((_object("/a", 3),),))
EXAMPLES: dict[Kind, State] = {
    Kind.EMPTY: Empty("7"),
    Kind.LISTING: PAGED,
    Kind.STREAMING: Streaming("7"),
    Kind.LISTED: Listed(9),
    Kind.WATCHING: Watching(9),
}
PAYLOADS: dict[Input, Page | Changes] = {
    Input.PAGE_ARRIVED: Page((_object("/b", 4),), 9, "p3"),
    Input.LIST_COMPLETE: Page((_object("/b", 4),), 9),
    Input.STATE_COMPLETE: Page((_object("/b", 4),), 9),
    Input.CHANGES_ARRIVED: _changes(12, 10, 12),
}


@pytest.mark.parametrize(("kind", "seen"), list(itertools.product(Kind, Input)))
def test_every_state_with_every_input_follows_the_table_or_raises(kind: Kind, seen: Input) -> None:
    state = EXAMPLES[kind]
    if (kind, seen) in TABLE:
        decided = step(state, seen, PAYLOADS.get(seen))
        assert (decided.state.kind, decided.actions) == TABLE[kind, seen]
    else:
        with pytest.raises(IllegalTransition, match=f"{seen.name} .* cannot happen to {kind.value}") as raised:
            step(state, seen, PAYLOADS.get(seen))
        assert (raised.value.state, raised.value.seen) == (state, seen)


def test_every_input_and_every_action_has_its_place_in_the_table() -> None:
    assert {seen for _, seen in TABLE} == set(Input)
    assert {action for _, actions in TABLE.values() for action in actions} == set(Action)


def test_every_state_can_be_reached_from_every_other() -> None:
    for start in Kind:
        reached = {start}
        for _ in Kind:
            reached |= {to for (kind, _), (to, _) in TABLE.items() if kind in reached}
        assert reached == set(Kind)


def test_the_owner_is_told_exactly_when_a_state_that_had_a_list_loses_it() -> None:
    for (kind, _), (to, actions) in TABLE.items():
        assert (Action.INTERRUPT in actions) == (kind in (Kind.LISTED, Kind.WATCHING) and to is Kind.EMPTY)


def test_whoever_returns_to_empty_waits() -> None:
    for to, actions in TABLE.values():
        if to is Kind.EMPTY:
            assert actions[-1] is Action.PAUSE


def test_only_a_stream_that_is_refused_backs_off_and_all_else_that_waits_pauses() -> None:
    """A cache's pause stays a second, however often a watch was refused before."""
    for (_, seen), (_, actions) in TABLE.items():
        assert (Action.BACK_OFF in actions) == (seen in (Input.WATCH_REFUSED, Input.STATE_REFUSED))
        assert not {Action.BACK_OFF, Action.PAUSE} <= set(actions)


# What the states carry.


def test_a_list_collects_its_pages_at_the_revision_of_page_one() -> None:
    state = step(Empty("0"), Input.BEGUN).state
    assert state == Listing("0")
    one, two = Page((_object("/a", 1),), 9, "p2"), Page((_object("/b", 4), _object("/c", 2)), 9, "p3")
    for page in (one, two):
        state = step(state, Input.PAGE_ARRIVED, page).state
    assert state == Listing("0", next_page="p3", revision=9, pages=(one.objects, two.objects))
    assert isinstance(state, Listing)
    last = Page((_object("/d", 3),), 9)
    assert [found.key for found in state.objects(last)] == ["/a", "/b", "/c", "/d"]
    assert step(state, Input.LIST_COMPLETE, last).state == Listed(9)


def test_a_list_that_expires_between_pages_is_asked_for_whole_at_the_same_resource_version() -> None:
    assert step(PAGED, Input.PAGE_EXPIRED).state == Listing("7", is_whole=True)


@pytest.mark.parametrize("seen", [Input.LIST_EXPIRED, Input.LIST_TOO_LARGE])
def test_a_resource_version_that_cannot_be_had_is_dropped_for_the_latest_at_once(seen: Input) -> None:
    decided = step(Listing("7"), seen)
    assert (decided.state, decided.actions) == (Listing(""), ())
    assert step(Listing("7", is_whole=True), seen).state == Listing("")


def test_the_latest_stays_what_is_asked_for_until_a_list_succeeds() -> None:
    failed = step(step(Listing("7"), Input.LIST_EXPIRED).state, Input.LIST_FAILED).state
    assert failed == Empty("")
    listed = step(step(failed, Input.BEGUN).state, Input.LIST_COMPLETE, Page((), 30)).state
    assert step(listed, Input.WATCH_EXPIRED).state == Empty("30")


def test_a_failed_list_asks_for_the_same_again() -> None:
    assert step(PAGED, Input.LIST_FAILED).state == Empty("7")


@pytest.mark.parametrize("seen", [Input.WATCH_EXPIRED, Input.WATCH_FAILED])
@pytest.mark.parametrize("state", [Listed(9), Watching(9)])
def test_a_relist_asks_for_no_less_than_was_seen(state: State, seen: Input) -> None:
    assert step(state, seen).state == Empty("9")


def test_changes_and_bookmarks_move_the_revision_and_a_lost_stream_keeps_it() -> None:
    state = step(Listed(9), Input.WATCH_OPENED).state
    state = step(state, Input.CHANGES_ARRIVED, _changes(12, 10)).state
    state = step(state, Input.CHANGES_ARRIVED, _changes(20)).state
    assert state == Watching(20)
    assert step(state, Input.STREAM_ENDED).state == Listed(20, has_watched=True)


def test_a_resume_that_is_refused_is_still_a_resume_and_a_relist_ends_it() -> None:
    resuming = Listed(9, has_watched=True)
    assert step(resuming, Input.WATCH_REFUSED).state == resuming
    assert step(Listed(9), Input.WATCH_REFUSED).state == Listed(9)
    again = step(step(resuming, Input.WATCH_EXPIRED).state, Input.BEGUN).state
    assert step(again, Input.LIST_COMPLETE, Page((), 11)).state == Listed(11)


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (Listing(""), Input.LIST_EXPIRED),
        (Listing(""), Input.LIST_TOO_LARGE),
        (Streaming(""), Input.LIST_EXPIRED),
        (Streaming("0"), Input.LIST_TOO_LARGE),
        (Listing("7"), Input.PAGE_EXPIRED),
        (Listing("7", is_whole=True, next_page="p2", revision=9), Input.PAGE_EXPIRED),
    ],
)
def test_a_retry_that_was_had_already_raises(state: State, seen: Input) -> None:
    """The edge of the limit: each retry without a wait is there once."""
    with pytest.raises(IllegalTransition):
        step(state, seen)


# States that are streamed.


def test_a_state_is_streamed_where_it_can_be_until_three_streams_were_lost_and_then_listed() -> None:
    state: State = Empty("7")
    for _ in range(CUTS_MAX):
        assert isinstance(state, Empty)
        assert begin(state, can_stream=True) is Input.STREAM_BEGUN
        assert begin(state, can_stream=False) is Input.BEGUN
        state = step(step(state, Input.STREAM_BEGUN).state, Input.STATE_LOST).state
    assert state == Empty("7", CUTS_MAX)
    assert begin(state, can_stream=True) is Input.BEGUN
    listed = step(step(state, Input.BEGUN).state, Input.LIST_COMPLETE, Page((), 30)).state
    assert step(listed, Input.WATCH_EXPIRED).state == Empty("30")  # and the next relist is streamed again


def test_a_streamed_state_is_watched_on_and_a_stream_that_is_lost_later_is_resumed() -> None:
    state = step(step(Empty("0"), Input.STREAM_BEGUN).state, Input.STATE_COMPLETE, Page((), 9)).state
    assert state == Watching(9)
    assert step(state, Input.STREAM_ENDED).state == Listed(9, has_watched=True)


def test_a_stream_that_cannot_be_had_at_a_revision_is_asked_for_at_the_latest_and_else_listed() -> None:
    assert step(Streaming("7", 2), Input.LIST_EXPIRED).state == Streaming("", 2)
    assert step(Streaming("7", 2), Input.STATE_REFUSED).state == Streaming("7", 2)
    assert step(Streaming("7", 2), Input.STATE_REFUTED).state == Listing("7")
    assert (Streaming("0").asked_for, Streaming("7").asked_for) == ("", "7")


@pytest.mark.parametrize(
    ("version", "chosen", "is_paged", "size"),
    [
        ("", None, False, 500),
        ("0", None, False, 500),
        ("7", None, False, 0),
        ("7", None, True, 500),
        ("7", 30, False, 30),
        ("0", 0, True, 0),
    ],
)
def test_a_list_at_a_revision_is_asked_for_whole_unless_somebody_chose_or_there_is_no_cache(
    version: str, chosen: int | None, is_paged: bool, size: int
) -> None:
    """[9.5 TestReflectorWatchListPageSize] [9.5 TestReflectorNotPaginatingNotConsistentReads]"""
    assert page_size(Listing(version), chosen, is_paged=is_paged) == size
    assert page_size(Listing(version, is_whole=True), chosen, is_paged=is_paged) == 0


# What errors are to the table.

EXPIRED = Expired(7, 20)
TOO_LARGE = TooLargeResourceVersion(7, 5)
NOT_READY = NotReady("starting")
DECODE = ObjectDecodeError("/a", 8, "not JSON")
PROMISE = BrokenPromise("fell")
LOST = ConnectionResetError()


@pytest.mark.parametrize(
    ("state", "error", "seen"),
    [
        (Listing("7"), EXPIRED, Input.LIST_EXPIRED),
        (Listing("7"), TOO_LARGE, Input.LIST_TOO_LARGE),
        (Listing("7"), NOT_READY, Input.LIST_FAILED),
        (Listing("7"), LOST, Input.LIST_FAILED),
        (Listing("7"), DECODE, Input.LIST_FAILED),
        (Listing(""), EXPIRED, Input.LIST_FAILED),
        (Listing(""), TOO_LARGE, Input.LIST_FAILED),
        (PAGED, EXPIRED, Input.PAGE_EXPIRED),
        (PAGED, PROMISE, Input.PAGE_EXPIRED),
        (PAGED, LOST, Input.LIST_FAILED),
        (Listing("7", is_whole=True), EXPIRED, Input.LIST_EXPIRED),
        (Listing("7", is_whole=True, next_page="p2"), PROMISE, Input.LIST_EXPIRED),
        (Listing("", is_whole=True, next_page="p2"), EXPIRED, Input.LIST_FAILED),
    ],
)
def test_a_failed_list_is_named_by_what_can_be_done_about_it(state: Listing, error: Exception, seen: Input) -> None:
    assert list_failure(state, error) is seen
    step(state, seen)


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize(
    ("state", "error", "opened", "unopened"),
    [
        (Streaming("7"), EXPIRED, Input.LIST_EXPIRED, Input.LIST_EXPIRED),
        (Streaming("7"), TOO_LARGE, Input.LIST_TOO_LARGE, Input.LIST_TOO_LARGE),
        (Streaming("0"), EXPIRED, Input.STATE_REFUTED, Input.STATE_REFUTED),
        (Streaming(""), TOO_LARGE, Input.STATE_REFUTED, Input.STATE_REFUTED),
        (Streaming("7"), NOT_READY, Input.STATE_REFUSED, Input.STATE_REFUSED),
        (Streaming("7"), PROMISE, Input.STATE_REFUTED, Input.STATE_REFUTED),
        (Streaming("7"), WatchError("422"), Input.STATE_REFUTED, Input.STATE_REFUTED),
        (Streaming("7"), WatchSilent(30), Input.STATE_REFUTED, Input.STATE_REFUTED),
        (Streaming("7"), LOST, Input.STATE_LOST, Input.STATE_REFUSED),
    ],
)
def test_a_failed_stream_is_named_by_what_can_be_done_about_it(
    state: Streaming, error: Exception, opened: Input, unopened: Input, is_open: bool
) -> None:
    seen = state_failure(state, error, is_open=is_open)
    assert seen is (opened if is_open else unopened)
    step(state, seen)


@pytest.mark.parametrize(
    ("error", "opening", "long", "short"),
    [
        (EXPIRED, Input.WATCH_EXPIRED, Input.WATCH_EXPIRED, Input.WATCH_EXPIRED),
        (NOT_READY, Input.WATCH_REFUSED, Input.WATCH_REFUSED, Input.WATCH_REFUSED),
        (TOO_LARGE, Input.WATCH_FAILED, Input.WATCH_FAILED, Input.WATCH_FAILED),
        (DECODE, Input.WATCH_FAILED, Input.WATCH_FAILED, Input.WATCH_FAILED),
        (PROMISE, Input.WATCH_FAILED, Input.WATCH_FAILED, Input.WATCH_FAILED),
        (LOST, Input.WATCH_REFUSED, Input.STREAM_ENDED, Input.STREAM_CUT_SHORT),
    ],
)
def test_a_failed_watch_is_named_by_what_can_be_done_about_it(
    error: Exception, opening: Input, long: Input, short: Input
) -> None:
    assert open_failure(error) is opening
    assert stream_failure(error, is_short=False) is long
    assert stream_failure(error, is_short=True) is short
    step(Listed(9), opening)
    step(Watching(9), long)
    step(Watching(9), short)


@given(
    st.sampled_from(["", "0", "7"]),
    st.lists(st.sampled_from([None, EXPIRED, TOO_LARGE, PROMISE, LOST, NOT_READY]), max_size=30),
)
@settings(deadline=None, max_examples=200)
def test_a_source_that_refuses_lists_is_asked_at_most_four_times_between_two_waits(
    resource_version: str, answers: list[Exception | None]
) -> None:
    """Pages that arrive (None) are progress and start the count anew, except that no retry is had twice."""
    state = step(Empty(resource_version), Input.BEGUN).state
    retries = 0
    for answer in answers:
        if answer is None:
            state = step(state, Input.PAGE_ARRIVED, Page((), 9, "more")).state
            continue
        assert isinstance(state, Listing)
        decided = step(state, list_failure(state, answer))
        retries = 0 if Action.PAUSE in decided.actions else retries + 1
        assert retries <= 3
        state = decided.state
        if isinstance(state, Empty):
            state = step(state, Input.BEGUN).state


# What a source must not say.


def test_a_page_of_another_revision_is_not_taken() -> None:
    check_page(PAGED, Page((), 9))
    check_page(Listing("7"), Page((), 3))
    for revision in (8, 10):
        with pytest.raises(BrokenPromise, match=f"a page at revision {revision} in a list at revision 9"):
            check_page(PAGED, Page((), revision))


def test_a_page_that_is_its_own_next_is_no_end_of_a_list() -> None:
    with pytest.raises(EndlessList, match="'p2' is that page again"):
        check_page(PAGED, Page((), 9, "p2"))
    assert list_failure(PAGED, EndlessList("x")) is Input.LIST_FAILED


@pytest.mark.parametrize("changes", [_changes(9), _changes(10), _changes(10, 10), _changes(12, 10, 10, 11)])
def test_changes_that_continue_the_revision_are_taken(changes: Changes) -> None:
    check_changes(Watching(9), changes)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (_changes(8), "fell from revision 9 to 8"),
        (_changes(8, 10), "fell from revision 9 to 8"),
        (_changes(10, 9, 10), "an event at revision 9 after revision 9 was complete"),
        (_changes(10, 10, 11), "an event at revision 11 in changes up to 10"),
    ],
)
def test_changes_that_go_back_or_beyond_their_revision_are_not_taken(changes: Changes, problem: str) -> None:
    with pytest.raises(BrokenPromise, match=problem):
        check_changes(Watching(9), changes)
