"""Events and bookmarks as values."""

from __future__ import annotations

import json

import msgspec
import pytest

from watch import (
    INITIAL_EVENTS_END,
    Event,
    EventType,
    Expired,
    InvalidSelector,
    NotReady,
    Object,
    ObjectDecodeError,
    TooLargeResourceVersion,
    WatchError,
    bookmark,
)


def test_an_event_names_its_key_and_its_revision_as_the_api_writes_it():
    event = Event(EventType.ADDED, Object("/registry/pods/a/b", 41, b"{}"), 42)
    assert (event.key, event.resource_version, event.previous) == ("/registry/pods/a/b", "42", None)
    assert not event.is_initial_events_end


def test_an_event_cannot_be_changed_and_is_equal_to_its_like():
    event = Event(EventType.ADDED, Object("k", 1, b"{}"), 1)
    with pytest.raises(AttributeError):
        event.revision = 2  # type: ignore[misc]
    assert event == Event(EventType.ADDED, Object("k", 1, b"{}"), 1)
    assert event != Event(EventType.ADDED, Object("k", 2, b"{}"), 1)


def test_the_types_are_the_words_of_the_watch_stream():
    assert [str(word) for word in EventType] == ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


def test_a_bookmark_has_nothing_but_a_revision():
    event = bookmark(7)
    assert (event.type, event.revision, event.resource_version) == (EventType.BOOKMARK, 7, "7")
    assert event.object.to_dict() == {"metadata": {"resourceVersion": "7"}}
    assert not event.is_initial_events_end


def test_the_bookmark_that_ends_the_initial_events_says_so_in_its_annotation():
    event = bookmark(7, initial_events_end=True)
    assert event.is_initial_events_end
    assert json.loads(event.object.raw) == {"metadata": {"annotations": {INITIAL_EVENTS_END: "true"}}}
    assert INITIAL_EVENTS_END == "k8s.io/initial-events-end"


def test_an_ordinary_object_with_the_annotation_does_not_end_the_initial_events():
    raw = msgspec.json.encode({"metadata": {"annotations": {INITIAL_EVENTS_END: "true"}}})
    assert not Event(EventType.ADDED, Object("k", 1, raw), 1).is_initial_events_end


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (Expired(5, 9), 410, "too old resource version: 5 (9)"),
        (TooLargeResourceVersion(9, 5), 504, "Timeout: Too large resource version: 9, current: 5"),
        (NotReady("listing"), 429, "storage is (re)initializing: listing"),
        (InvalidSelector("a b", "no"), 400, "invalid selector 'a b': no"),
        (ObjectDecodeError("/k", 3, "no"), 500, "the value of /k at revision 3 is not an object: no"),
    ],
)
def test_every_error_is_a_watch_error_with_the_status_that_kubernetes_answers(error, code, says):
    assert isinstance(error, WatchError)
    assert error.code == code
    assert str(error).startswith(says)
