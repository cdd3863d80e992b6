"""Both sides of each edge at which a judge changes its mind, on histories of a few steps written out."""

from __future__ import annotations

import msgspec
import pytest

from cacher.simulation._history import (
    CacheSample,
    ClientHistory,
    Ended,
    EndReason,
    History,
    Listed,
    Opened,
    Received,
    Step,
    StoreChange,
    StoreHistory,
)
from cacher.simulation.judges import (
    ALL_JUDGES,
    ATOMIC,
    BOUNDED,
    COHERENT,
    FAITHFUL,
    ISOLATED,
    MONOTONIC,
    ORDERED,
    RELIABLE,
    UNIQUE,
    VIOLATIONS_KEPT,
    BrokenRecord,
    Judge,
    isolated,
    judge_all,
)
from tests.cacher.simulation.doubles import PREFIX, START_REVISION, Pod, stored
from watch import Event, EventType, Selector, bookmark

BASE = START_REVISION
OLD = stored(0, Pod(), BASE)
A = stored(1, Pod(), BASE + 1)
B = stored(2, Pod(), BASE + 2)
A2 = stored(1, Pod(note=1), BASE + 3)
A_MADE = Event(EventType.ADDED, A, A.revision)
B_MADE = Event(EventType.ADDED, B, B.revision)
A_CHANGED = Event(EventType.MODIFIED, A2, A2.revision, A)
END = A2.revision
CLOSED = Ended(9.0, EndReason.CLOSED_BY_CLIENT)
DRAINED = Ended(9.0, EndReason.CLOSED_BY_CLIENT, drained=True)


def history(*steps: Step, slow: bool = False, finished: bool = True, samples: tuple[CacheSample, ...] = ()) -> History:
    """One client that watches everything in a store where A and B are made and A is changed, a second apart."""
    changes = [StoreChange(obj.revision, obj.key, obj) for obj in (A, B, A2)]
    store = StoreHistory(PREFIX, BASE, {OLD.key: OLD}, changes)
    client = ClientHistory("one", PREFIX, Selector(), slow, list(steps))
    published = {obj.revision: float(obj.revision - BASE) for obj in (A, B, A2)}
    return History({PREFIX: store}, [client], list(samples), END, published, finished)


def got(*events: Event, at_s: float = 3.0) -> Received:
    return Received(at_s, events)


def opened(revision: int = BASE, *, at_s: float = 0.0, initial: bool = False, bookmarks: bool = True) -> Opened:
    return Opened(at_s, revision, initial, bookmarks)


def expired(oldest: int, *, at_s: float = 9.0, refused: bool = False) -> Ended:
    return Ended(at_s, EndReason.EXPIRED, oldest, refused=refused)


def broken(judge: Judge, told: History) -> int:
    return judge.judge(told).broken


# ---- verdicts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", ALL_JUDGES, ids=lambda judge: judge.name)
def test_who_had_nothing_to_look_at_has_tested_nothing_and_holds_nothing(judge):
    verdict = judge.judge(history())
    assert (verdict.checks, verdict.broken) == (0, 0)
    assert not verdict.tested
    assert not verdict.held


def test_a_quiet_watch_that_was_not_drained_gives_no_occasion_for_a_check():
    checks = {verdict.name: verdict.checks for verdict in judge_all(history(opened(), CLOSED))}
    assert set(checks.values()) == {0}


@pytest.mark.parametrize("violations", [VIOLATIONS_KEPT, VIOLATIONS_KEPT + 1])
def test_all_violations_are_counted_and_the_first_are_told(violations):
    verdict = UNIQUE.judge(history(opened(), got(*[A_MADE] * (violations + 1)), CLOSED))
    assert verdict.broken == violations
    assert len(verdict.violations) == VIOLATIONS_KEPT


def test_violations_name_the_client_the_revision_and_the_time():
    violation = RELIABLE.judge(history(opened(), got(B_MADE), CLOSED)).violations[0]
    assert (violation.where, violation.revision, violation.at_s) == ("one", A.revision, 9.0)
    assert A.key in violation.message


# ---- Ordered and Monotonic -----------------------------------------------------------------------------------------


def test_a_bookmark_may_repeat_the_last_revision_and_not_fall_below_it():
    assert not broken(ORDERED, history(opened(), got(A_MADE, B_MADE), got(bookmark(B.revision))))
    assert broken(ORDERED, history(opened(), got(A_MADE, B_MADE), got(bookmark(B.revision - 1)))) == 1


def test_an_event_may_not_be_below_the_bookmark_before_it():
    assert broken(ORDERED, history(opened(), got(bookmark(B.revision)), got(A_MADE))) == 1
    assert not broken(ORDERED, history(opened(), got(bookmark(A.revision)), got(B_MADE)))


def test_bookmarks_may_stand_still_and_not_fall():
    assert not broken(ORDERED, history(opened(), got(bookmark(BASE)), got(bookmark(BASE))))
    assert broken(ORDERED, history(opened(), got(bookmark(BASE + 1)), got(bookmark(BASE)))) == 1


def test_one_event_out_of_place_is_one_violation():
    assert broken(ORDERED, history(opened(), got(B_MADE, A_CHANGED, A_MADE))) == 1


def test_initial_events_may_carry_any_revisions_in_key_order():
    newer = Event(EventType.ADDED, A, A.revision)
    older = Event(EventType.ADDED, stored(3, Pod(), BASE), BASE)
    assert not broken(ORDERED, history(opened(0, initial=True), got(newer, older, end_at(A.revision))))
    assert broken(ORDERED, history(opened(0, initial=True), got(older, newer, end_at(A.revision)))) == 1


def test_after_the_initial_events_revisions_start_at_their_end():
    steps = (opened(0, initial=True), got(OLD_SHOWN, end_at(BASE)))
    assert not broken(ORDERED, history(*steps, got(A_MADE)))
    late = (opened(0, initial=True), got(OLD_SHOWN, end_at(A.revision + 1)))
    assert broken(ORDERED, history(*late, got(A_MADE))) == 1


def test_a_list_may_repeat_what_was_seen_and_not_go_below_it():
    steps = (opened(), got(A_MADE, B_MADE), CLOSED)
    assert not broken(MONOTONIC, history(*steps, Listed(9.0, B.revision, (OLD, A, B))))
    assert broken(MONOTONIC, history(*steps, Listed(9.0, A.revision, (OLD, A)))) == 1


def test_a_list_of_the_latest_may_be_what_the_store_had_when_asked_and_nothing_older():
    assert not broken(MONOTONIC, history(Listed(9.0, A.revision, (OLD, A), A.revision)))
    assert broken(MONOTONIC, history(Listed(9.0, A.revision, (OLD, A), A.revision + 1))) == 1


def test_a_watch_that_showed_nothing_makes_nobody_forget():
    steps = (opened(), got(A_MADE, B_MADE), CLOSED, opened(B.revision), CLOSED)
    assert broken(MONOTONIC, history(*steps, Listed(9.0, A.revision, (OLD, A)))) == 1


def test_a_bookmark_after_a_reconnect_may_not_go_back():
    steps = (opened(), got(A_MADE, B_MADE), CLOSED, opened(B.revision))
    assert not broken(MONOTONIC, history(*steps, got(bookmark(B.revision))))
    assert broken(MONOTONIC, history(*steps, got(bookmark(A.revision)))) == 1


def test_a_state_streamed_first_may_not_be_older_than_asked_for():
    assert not broken(MONOTONIC, history(opened(A.revision, initial=True), got(OLD_SHOWN, end_at(A.revision))))
    assert broken(MONOTONIC, history(opened(A.revision + 1, initial=True), got(OLD_SHOWN, end_at(A.revision)))) == 1


def test_a_state_that_was_cut_before_its_end_was_shown_to_nobody():
    """Who waits for the end throws away what came before it; who does not, acts on it."""
    cut = got(A_MADE), CLOSED, Listed(9.0, BASE, (OLD,))
    waits, acts = opened(0, initial=True, bookmarks=True), opened(0, initial=True, bookmarks=False)
    assert not broken(MONOTONIC, history(waits, *cut))
    assert broken(MONOTONIC, history(acts, *cut)) == 1
    assert broken(MONOTONIC, history(Listed(1.0, A.revision, (OLD, A)), waits, *cut)) == 1, (
        "it remembers what it had before"
    )


def test_each_step_back_is_told_once():
    steps = (Listed(1.0, END, ()), Listed(2.0, BASE, ()), Listed(3.0, BASE + 1, ()), Listed(4.0, BASE, ()))
    assert broken(MONOTONIC, history(*steps)) == 2


def test_a_watch_that_goes_back_is_told_once_and_its_successors_not_again():
    steps = (
        opened(),
        got(A_MADE, B_MADE),
        CLOSED,
        opened(),
        got(A_MADE),
        CLOSED,
        opened(A.revision),
        got(bookmark(A.revision)),
    )
    assert broken(MONOTONIC, history(*steps)) == 1


# ---- Unique and Atomic ---------------------------------------------------------------------------------------------


def test_a_new_watch_may_deliver_what_an_earlier_one_did():
    assert UNIQUE.judge(history(opened(), got(A_MADE), CLOSED, opened(), got(A_MADE), CLOSED)).held


def test_an_event_that_comes_again_in_a_later_batch_is_repeated_and_not_split():
    told = history(opened(), got(A_MADE), got(A_MADE, B_MADE))
    assert broken(UNIQUE, told) == 1
    assert ATOMIC.judge(told).held


def test_a_revision_is_split_however_far_apart_its_parts_come():
    told = history(opened(), got(A_MADE), got(B_MADE), got(C_MADE))
    assert broken(ATOMIC, told) == 1
    assert ATOMIC.judge(history(opened(), got(B_MADE), got(A_MADE, C_MADE))).held


# ---- Reliable ------------------------------------------------------------------------------------------------------


def test_a_watch_answers_for_all_up_to_where_it_spoke_and_no_further():
    assert not broken(RELIABLE, history(opened(), got(A_MADE), CLOSED))
    assert broken(RELIABLE, history(opened(), got(B_MADE), CLOSED)) == 1


def test_a_bookmark_speaks_for_all_up_to_it():
    assert broken(RELIABLE, history(opened(), got(bookmark(A.revision - 1)), CLOSED)) == 0
    assert broken(RELIABLE, history(opened(), got(bookmark(A.revision)), CLOSED)) == 1


def test_an_event_may_follow_a_bookmark_below_it_and_not_one_at_it():
    assert not broken(RELIABLE, history(opened(), got(A_MADE), got(bookmark(A.revision)), got(B_MADE)))
    assert broken(RELIABLE, history(opened(), got(A_MADE), got(bookmark(B.revision)), got(B_MADE))) == 1


@pytest.mark.parametrize(("end", "finished", "missing"), [(DRAINED, True, 1), (DRAINED, False, 0), (CLOSED, True, 0)])
def test_a_drained_watch_of_a_finished_run_answers_for_all(end, finished, missing):
    assert broken(RELIABLE, history(opened(), got(A_MADE, B_MADE), end, finished=finished)) == missing


def test_a_drained_watch_that_heard_nothing_where_nothing_was_to_hear_was_checked():
    assert RELIABLE.judge(history(opened(END), DRAINED)).held


def test_the_opening_revision_itself_was_not_asked_for():
    assert broken(RELIABLE, history(opened(A.revision), got(A_MADE), CLOSED)) == 1
    assert not broken(RELIABLE, history(opened(A.revision - 1), got(A_MADE), CLOSED))


def test_a_watch_may_resume_further_on_if_nothing_of_its_own_lies_between():
    steps = (opened(), got(A_MADE), CLOSED)
    assert not broken(RELIABLE, history(*steps, opened(A.revision), CLOSED))
    assert broken(RELIABLE, history(*steps, opened(B.revision), CLOSED)) == 1
    assert broken(RELIABLE, history(Listed(1.0, A.revision, (OLD, A)), opened(END), CLOSED)) == 2


def test_events_of_one_revision_may_come_in_any_order():
    two = StoreHistory(PREFIX, BASE, {}, [StoreChange(A.revision, A.key, A), StoreChange(A.revision, C.key, C)])
    client = ClientHistory("one", PREFIX, Selector(), False, [opened(), got(C_MADE, A_MADE), DRAINED])
    told = History({PREFIX: two}, [client], [], A.revision, {A.revision: 3.0})
    assert not any(verdict.broken for verdict in judge_all(told))


@pytest.mark.parametrize(("oldest", "wrong"), [(B.revision, 1), (B.revision + 1, 0)])
def test_a_watch_expires_only_if_the_ring_lost_an_event_of_its_own_not_taken(oldest, wrong):
    assert broken(RELIABLE, history(opened(), got(A_MADE), expired(oldest))) == wrong


def test_a_watch_that_has_taken_all_never_expires_however_far_the_ring_moved():
    assert broken(RELIABLE, history(opened(), got(A_MADE, B_MADE), got(A_CHANGED), expired(END + 1000))) == 1


def test_what_a_bookmark_spoke_for_counts_as_taken():
    assert broken(RELIABLE, history(opened(END), got(bookmark(END + 5)), expired(END + 1000))) >= 1


@pytest.mark.parametrize(("oldest", "wrong"), [(END + 1, 1), (END + 2, 0)])
def test_a_watch_is_refused_only_below_the_revision_before_the_ring(oldest, wrong):
    assert broken(RELIABLE, history(opened(END), expired(oldest, refused=True))) == wrong
    assert broken(RELIABLE, history(opened(END, at_s=9.0), expired(oldest, at_s=9.0))) == wrong


def test_an_expiry_of_a_quiet_watch_later_on_is_no_refusal():
    assert broken(RELIABLE, history(opened(END), expired(END + 1000, at_s=8.0))) == 1


def test_a_watch_that_delivered_was_not_refused():
    events = got(A_MADE, B_MADE, A_CHANGED, at_s=9.0)
    assert broken(RELIABLE, history(opened(at_s=9.0), events, expired(END + 1000, at_s=9.0))) == 1


def test_a_bookmark_may_reach_the_end_of_the_run_and_not_beyond():
    assert not broken(RELIABLE, history(opened(END), got(bookmark(END)), CLOSED))
    assert broken(RELIABLE, history(opened(END), got(bookmark(END + 1)), CLOSED)) == 1


# ---- Faithful ------------------------------------------------------------------------------------------------------


def end_at(revision: int) -> Event:
    return bookmark(revision, initial_events_end=True)


C = stored(3, Pod(), BASE + 1)
C_MADE = Event(EventType.ADDED, C, C.revision)
OLD_SHOWN = Event(EventType.ADDED, OLD, OLD.revision)


def test_the_state_streamed_first_is_that_of_the_revision_at_its_end():
    shown = got(OLD_SHOWN, A_MADE, end_at(A.revision))
    assert FAITHFUL.judge(history(opened(0, initial=True), shown)).held
    early = got(OLD_SHOWN, A_MADE, end_at(A.revision - 1))
    assert broken(FAITHFUL, history(opened(0, initial=True), early)) == 1
    late = got(OLD_SHOWN, A_MADE, end_at(A2.revision))
    assert broken(FAITHFUL, history(opened(0, initial=True), late)) == 2  # A is old, B is missing


@pytest.mark.parametrize(
    "shown",
    [
        Event(EventType.MODIFIED, OLD, BASE),
        Event(EventType.ADDED, OLD, BASE, OLD),
        Event(EventType.ADDED, OLD, BASE + 1),
        Event(EventType.ADDED, OLD.at_revision(BASE + 1), BASE),
    ],
    ids=["type", "previous", "revision", "the object's revision"],
)
def test_an_initial_event_is_an_added_one_of_the_objects_own_revision_and_no_more(shown):
    assert broken(FAITHFUL, history(opened(0, initial=True), got(shown, end_at(BASE)))) == 1


@pytest.mark.parametrize(
    "lie",
    [{"name": "x"}, {"namespace": "x"}, {"uid": "x"}, {"labels": {"x": "y"}}, {"fields": {"spec.nodeName": "x"}}],
    ids=lambda lie: next(iter(lie)),
)
def test_a_head_says_what_the_json_says(lie):
    wrong = Event(EventType.ADDED, msgspec.structs.replace(A, **lie), A.revision)
    assert broken(FAITHFUL, history(opened(), got(wrong), CLOSED)) == 1
    listed = Listed(1.0, A.revision, (OLD, wrong.object))
    assert broken(COHERENT, history(listed)) == 1


def test_a_state_cut_before_its_end_is_judged_event_by_event():
    assert FAITHFUL.judge(history(opened(0, initial=True), got(OLD_SHOWN), CLOSED)).held
    assert broken(FAITHFUL, history(opened(0, initial=True), got(C_MADE), CLOSED)) == 1
    assert broken(FAITHFUL, history(opened(0, initial=True), got(OLD_SHOWN, A_CHANGED), CLOSED)) == 1


def test_without_bookmarks_changes_may_follow_the_state_unmarked():
    steps = (opened(0, initial=True, bookmarks=False), got(OLD_SHOWN, A_MADE), got(A_CHANGED), DRAINED)
    assert not any(verdict.broken for verdict in judge_all(history(*steps)))


def test_an_object_made_anew_after_a_deletion_has_no_previous():
    gone, again = StoreChange(BASE + 1, OLD.key, None), stored(0, Pod(note=2), BASE + 2)
    store = StoreHistory(PREFIX, BASE, {OLD.key: OLD}, [gone, StoreChange(BASE + 2, again.key, again)])
    events = (
        Event(EventType.DELETED, OLD.at_revision(BASE + 1), BASE + 1, OLD),
        Event(EventType.ADDED, again, BASE + 2),
    )
    client = ClientHistory("one", PREFIX, Selector(), False, [opened(), got(*events), DRAINED])
    assert FAITHFUL.judge(History({PREFIX: store}, [client], [], BASE + 2, {})).held


def test_equal_events_of_another_instance_are_as_good():
    copy = Event(EventType.MODIFIED, stored(1, Pod(note=1), A2.revision), A2.revision, stored(1, Pod(), A.revision))
    told = history(opened(), got(A_MADE, B_MADE, A_CHANGED), CLOSED, opened(B.revision), got(copy), CLOSED)
    assert FAITHFUL.judge(told).held


# ---- caches --------------------------------------------------------------------------------------------------------


def sample(*, revision: int = BASE, length: int = 0, capacity: int = 100, most: int = 100, log: int = 0, objects=None):
    return CacheSample(1.0, PREFIX, revision, length, capacity, most, log, objects, view_log_events_max=log)


@pytest.mark.parametrize(
    ("taken", "wrong"),
    [
        (sample(length=100), 0),
        (sample(length=101), 1),
        (sample(capacity=100, most=100), 0),
        (sample(capacity=101, most=100), 1),
        (sample(length=7, log=7), 0),
        (sample(length=7, log=8), 1),
        (sample(length=102, capacity=101, most=100, log=103), 3),
    ],
)
def test_a_cache_may_be_full_and_not_overfull(taken, wrong):
    verdict = BOUNDED.judge(history(samples=(taken,)))
    assert (verdict.checks, verdict.broken) == (1, wrong)


@pytest.mark.parametrize(
    ("revision", "objects", "wrong"),
    [
        (BASE, (OLD,), 0),
        (BASE - 1, (OLD,), 1),
        (A.revision, (OLD, A), 0),
        (A.revision, (A, OLD), 1),
        (A.revision, (OLD, A, A), 1),
        (B.revision, (OLD, A), 1),
        (END, (OLD, A2, B), 0),
        (END, (OLD, A2.at_revision(A.revision), B), 1),
        (END + 1, (OLD, A2, B), 1),
    ],
)
def test_a_cache_holds_what_the_store_held_from_its_first_revision_to_its_last(revision, objects, wrong):
    assert broken(COHERENT, history(samples=(sample(revision=revision, objects=objects),))) == wrong
    assert broken(COHERENT, history(Listed(1.0, revision, objects))) == wrong


def test_a_sample_without_objects_is_no_check_of_coherence():
    assert not COHERENT.judge(history(samples=(sample(),))).tested


# ---- Isolated ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_s", "wrong"), [(A.revision - BASE + 1.0, 0), (A.revision - BASE + 1.01, 1)])
def test_an_event_may_take_as_long_as_allowed_and_no_longer(at_s, wrong):
    assert broken(ISOLATED, history(opened(), got(A_MADE, at_s=at_s))) == wrong


def test_what_is_allowed_can_be_chosen():
    told = history(opened(), got(A_MADE, at_s=A.revision - BASE + 3.0))
    assert broken(isolated(2.0), told) == 1
    assert broken(isolated(3.0), told) == 0
    assert {verdict.name for verdict in judge_all(told, delay_max_s=3.0) if verdict.broken} == set()


@pytest.mark.parametrize(("at_s", "wrong"), [(51.0, 0), (51.5, 1)])
def test_a_watch_opened_later_is_counted_from_its_opening(at_s, wrong):
    assert broken(ISOLATED, history(opened(at_s=50.0), got(A_MADE, at_s=at_s))) == wrong


def test_a_slow_client_may_be_late_and_expire():
    steps = (opened(), got(A_MADE, at_s=100.0), expired(END))
    assert broken(ISOLATED, history(*steps)) == 2
    assert not ISOLATED.judge(history(*steps, slow=True)).tested


def test_a_refused_opening_has_nothing_to_do_with_slowness():
    assert not broken(ISOLATED, history(opened(), expired(END, refused=True)))


# ---- records that cannot be judged ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps", [(got(A_MADE),), (CLOSED,), (opened(), CLOSED, got(A_MADE)), (opened(), CLOSED, CLOSED)]
)
def test_steps_outside_a_watch_are_a_broken_record(steps):
    with pytest.raises(BrokenRecord, match="record its opening"):
        judge_all(history(*steps))


def test_a_client_of_a_store_that_was_not_recorded_is_a_broken_record():
    told = history(opened(), CLOSED)
    told.stores.clear()
    with pytest.raises(BrokenRecord, match="record every store"):
        judge_all(told)


@pytest.mark.parametrize(
    "changes",
    [
        [StoreChange(B.revision, B.key, B), StoreChange(A.revision, A.key, A)],
        [StoreChange(BASE, OLD.key, OLD)],
        [StoreChange(A.revision, A.key, A), StoreChange(A.revision, A.key, None)],
        [StoreChange(A.revision, A.key, None)],
        [StoreChange(A.revision, B.key, A)],
        [StoreChange(B.revision, A.key, A)],
    ],
    ids=["out of order", "at the start", "twice", "deleted unmade", "another key", "another revision"],
)
def test_a_store_that_contradicts_itself_is_a_broken_record(changes):
    told = history(opened(), CLOSED)
    told.stores[PREFIX].changes[:] = changes
    with pytest.raises(BrokenRecord, match="record"):
        judge_all(told)
