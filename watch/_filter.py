"""What a selector makes of an event: an object that comes into it is ADDED, one that goes out of it is DELETED.

It sits between the cacher's events, which are about all objects, and a view, which is about those of one selector. An
object may come in or go out without being created or deleted, by an update of the labels or fields that decide:

    matched before   matches now   delivered
    no               yes           ADDED, the object
    yes              yes           MODIFIED, the object
    yes              no            DELETED, the object as it was when it matched, at the revision of the event
    no               no            nothing

A create has no before and a deletion no now. Pure.

Source: kubernetes/apiserver pkg/storage/cacher/cache_watcher.go, convertToWatchEvent. There as here it is the previous
object that tells a create from an update, not the name of the event.
"""

from __future__ import annotations

from collections.abc import Callable

from ._event import Event, EventType
from ._object import Object

# An enum's member costs a look-up in its class each time; here they are read for every event and every view.
_ADDED, _MODIFIED, _DELETED, _BOOKMARK = EventType.ADDED, EventType.MODIFIED, EventType.DELETED, EventType.BOOKMARK

_TRANSITIONS: dict[tuple[bool, bool], EventType | None] = {
    (False, True): _ADDED,
    (True, True): _MODIFIED,
    (True, False): _DELETED,
    (False, False): None,
}


def transition(was: bool, now: bool) -> EventType | None:
    """The type delivered where the object did (`was`) and does (`now`) match; None where nothing is to be delivered."""
    return _TRANSITIONS[was, now]


def entered(event: Event) -> Event:
    """The ADDED of an object that came into a selector: the watcher knew no version before."""
    return Event(_ADDED, event.object, event.revision)


def left(event: Event) -> Event:
    """The DELETED of an object that an update took out of a selector: the version before it, at the update's revision.

    Args:
        event: an update, with the previous version.
    """
    previous = event.previous
    assert previous is not None, "only an object that was there can leave"
    return Event(_DELETED, previous.at_revision(event.revision), event.revision, previous)


def filter_event(predicate: Callable[[Object], bool] | None, event: Event) -> Event | None:
    """What is to be delivered for `event` to those who select by `predicate`; None where it does not concern them.

    The event itself is returned where it says the right thing already, so that all who see it alike share it.

    Args:
        predicate: None matches everything.
        event: an event about the object as such, not yet filtered. A BOOKMARK concerns everybody.
    """
    named, previous = event.type, event.previous
    if named is _BOOKMARK:
        return event
    if named is _DELETED:  # its object is the previous version
        return event if predicate is None or predicate(event.object) else None
    was = previous is not None and (predicate is None or predicate(previous))
    now = predicate is None or predicate(event.object)
    delivered = _TRANSITIONS[was, now]
    if delivered is _MODIFIED:
        return event if named is _MODIFIED else Event(_MODIFIED, event.object, event.revision, previous)
    if delivered is _ADDED:
        return event if named is _ADDED and previous is None else entered(event)
    return left(event) if delivered is _DELETED else None
