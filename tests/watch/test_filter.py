"""What a selector makes of an event: the table, and which Event object comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watch import Event, EventType, Object, bookmark, filter_event, transition
from watch._filter import entered, left

ADDED, MODIFIED, DELETED = EventType.ADDED, EventType.MODIFIED, EventType.DELETED


def version(revision: int, *, matching: bool) -> Object:
    return Object("/pods/a", revision, b'{"r":%d}' % revision, labels={"in": "yes"} if matching else {})


def matches(obj: Object) -> bool:
    return "in" in obj.labels


def created(*, now: bool) -> Event:
    return Event(ADDED, version(5, matching=now), 5)


def updated(*, was: bool, now: bool) -> Event:
    return Event(MODIFIED, version(5, matching=now), 5, version(3, matching=was))


def deleted(*, was: bool) -> Event:
    before = version(3, matching=was)
    return Event(DELETED, before.at_revision(5), 5, before)


def test_the_table_is_whole():
    """[9.3 TestCacheWatcherHandlesFiltering]"""
    assert transition(False, False) is None
    assert transition(False, True) is ADDED
    assert transition(True, True) is MODIFIED
    assert transition(True, False) is DELETED


@pytest.mark.parametrize(
    "event", [created(now=True), updated(was=True, now=True), deleted(was=True)], ids=["create", "update", "delete"]
)
def test_an_event_that_says_it_already_is_shared_not_copied(event: Event):
    assert filter_event(matches, event) is event
    assert filter_event(None, event) is event


@pytest.mark.parametrize(
    "event", [created(now=False), updated(was=False, now=False), deleted(was=False)], ids=["create", "update", "delete"]
)
def test_an_object_that_never_matched_is_not_mentioned(event):
    assert filter_event(matches, event) is None


def test_an_update_into_the_selector_is_added_without_a_previous_version():
    event = updated(was=False, now=True)
    delivered = filter_event(matches, event)
    assert delivered is not None
    assert delivered == Event(ADDED, event.object, 5, None)
    assert delivered.object is event.object
    assert entered(event) == delivered


def test_an_update_out_of_the_selector_is_deleted_with_the_last_matching_version_at_the_new_revision():
    """[9.3 TestCacheWatcherHandlesFiltering]"""
    event = updated(was=True, now=False)
    delivered = filter_event(matches, event)
    assert delivered is not None
    assert (delivered.type, delivered.revision) == (DELETED, 5)
    assert (delivered.object.raw, delivered.object.revision) == (b'{"r":3}', 5)
    assert delivered.previous is event.previous
    assert left(event) == delivered


def test_everybody_who_selects_everything_gets_the_event_itself():
    for event in (created(now=False), updated(was=False, now=False), deleted(was=False)):
        assert filter_event(None, event) is event


@pytest.mark.parametrize("predicate", [None, matches])
def test_the_previous_object_tells_a_create_from_an_update_not_the_name_of_the_event(predicate):
    before, after = version(3, matching=True), version(5, matching=True)
    assert filter_event(predicate, Event(ADDED, after, 5, before)) == Event(MODIFIED, after, 5, before)
    assert filter_event(predicate, Event(MODIFIED, after, 5)) == Event(ADDED, after, 5)


def test_an_added_that_had_an_unselected_version_before_does_not_show_it():
    after = version(5, matching=True)
    assert filter_event(matches, Event(ADDED, after, 5, version(3, matching=False))) == Event(ADDED, after, 5, None)


def test_a_bookmark_concerns_everybody():
    event = bookmark(7)
    assert filter_event(lambda obj: False, event) is event


@given(st.lists(st.sampled_from(["in", "out", "gone"]), max_size=30))
def test_what_is_delivered_leads_a_reader_to_exactly_the_objects_that_match(states):
    """[9.3 TestCacheWatcherHandlesFiltering] Goal: a reader who applies the delivered events holds, after each, the matching
    object and nothing else."""
    before: Object | None = None
    held: Object | None = None
    for revision, state in enumerate(states, 1):
        after = None if state == "gone" else version(revision, matching=state == "in")
        if after is not None:
            event = Event(MODIFIED if before else ADDED, after, revision, before)
        elif before is not None:
            event = Event(DELETED, before.at_revision(revision), revision, before)
        else:
            continue
        delivered = filter_event(matches, event)
        if delivered is not None:
            assert delivered.revision == delivered.object.revision == revision
            assert (delivered.type is ADDED) == (held is None)
            assert delivered.previous is held
            held = None if delivered.type is DELETED else delivered.object
        assert held is (after if state == "in" else None)
        before = after
