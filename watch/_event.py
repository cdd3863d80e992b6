"""An Event: what changed, at which revision, and what was there before. Made once, shared by everybody who watches."""

from __future__ import annotations

import enum

import msgspec

from ._object import Object

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""The annotation on the one bookmark that ends a streamed initial list. Source: KEP-3157."""


class EventType(enum.StrEnum):
    """The words of the API's watch stream."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change as one watcher is to see it.

    For DELETED, also where an object only left the selector, `object` is its last matching version carrying the revision
    of the event. `previous` is the version before, as this watcher knew it: None for ADDED and BOOKMARK.
    A BOOKMARK's object has nothing but a revision: everything up to it has been delivered.
    """

    type: EventType
    object: Object
    revision: int
    previous: Object | None = None

    @property
    def key(self) -> str:
        """The storage key of the object."""
        return self.object.key

    @property
    def resource_version(self) -> str:
        """The revision as the API writes it; resume a watch from here."""
        return str(self.revision)

    @property
    def is_initial_events_end(self) -> bool:
        """True of the one bookmark that says: the whole initial state has been sent."""
        return self.object.raw is _END_RAW


_PLAIN_RAW = b'{"metadata":{}}'
_END_RAW = b'{"metadata":{"annotations":{"' + INITIAL_EVENTS_END.encode() + b'":"true"}}}'


def bookmark(revision: int, *, initial_events_end: bool = False) -> Event:
    """A BOOKMARK at `revision`, annotated where it ends the initial events."""
    raw = _END_RAW if initial_events_end else _PLAIN_RAW
    return Event(EventType.BOOKMARK, Object("", revision, raw), revision)
