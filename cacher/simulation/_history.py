"""What happened in a run, as facts: what the store was told, what each client saw, what each cache admitted to.

A judge reads a History and nothing else. The types here speak the words of `watch` alone, so no judge can lean on the system
that it judges.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from watch import Event, Object, Selector

from ._acts import Acts


class StoreChange(msgspec.Struct, frozen=True, gc=False):
    """One write as the store acknowledged it. Several may share a revision (a transaction, an expired lease)."""

    revision: int
    key: str
    object: Object | None
    """What is there since; None: the key was deleted."""


class StoreHistory(msgspec.Struct):
    """One resource's truth: its objects at `start_revision` and every change after it, in revision order."""

    prefix: str
    start_revision: int
    start: Mapping[str, Object]
    changes: list[StoreChange]
    absent: Mapping[str, str] = {}
    """What a selectable field that an object lacks counts as, where that is not "": of the API, not of the cache."""
    read_from: Mapping[str, tuple[str, ...]] = {}
    """Where the value of a selectable field stands that is not called by its place: the first place that has something."""


class Listed(msgspec.Struct, frozen=True, gc=False):
    """The client listed. `minimum_revision`: the store's revision when it asked, where it asked for the latest; else 0."""

    at_s: float
    revision: int
    objects: tuple[Object, ...]
    minimum_revision: int = 0
    asked: str | None = None
    """The resource version that it asked for: "" the latest, "0" any; None: not recorded."""
    is_exact: bool = False
    """Whether it asked for just that version, and not for one that is no older."""
    minimum_restores: int = 0
    """How often the store had been restored from a backup when the latest was asked for."""


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The client opened a watch from `revision` (exclusive), or, with `initial`, with the state streamed first."""

    at_s: float
    revision: int
    initial: bool = False
    bookmarks: bool = True
    """Whether it asked for bookmarks. Without them nothing tells where the initial state ends."""
    is_ahead: bool = False
    """Whether its server was behind `revision`."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """One batch, exactly as the watch handed it over."""

    at_s: float
    batch: tuple[Event, ...]


class EndReason(enum.Enum):
    """Why a watch was over."""

    CLOSED_BY_CLIENT = "closed by the client"
    ENDED = "ended by the cache"
    EXPIRED = "expired"


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The watch ended. `oldest_revision`: of the cache's ring at that moment, for an EXPIRED one."""

    at_s: float
    reason: EndReason
    oldest_revision: int = 0
    drained: bool = False
    """CLOSED_BY_CLIENT at the end of the run, when everything published had been given to it: what it never got was lost."""
    refused: bool = False
    """EXPIRED by the opening itself, before the watch was established: the revision asked for was out of reach."""


Step = Listed | Opened | Received | Ended


class ClientHistory(msgspec.Struct):
    """All that one client did and saw, in its own order. `slow`: it was told to lag, so its delays are its own doing."""

    name: str
    prefix: str
    selector: Selector
    slow: bool
    steps: list[Step]
    resource: str = ""
    """As operations and faults name it."""
    process: str = ""
    """In a world: whose eyes these were, and in which of its lives."""
    incarnation: int = 0


class CacheSample(msgspec.Struct, frozen=True, gc=False):
    """What one cache held at one moment. `objects`, in key order, is set in samples taken for Coherent."""

    at_s: float
    prefix: str
    revision: int
    ring_length: int
    ring_capacity: int
    ring_capacity_max: int
    log_events: int
    """Events that views and watches keep for readers who have not taken them, each view's counted once."""
    objects: tuple[Object, ...] | None = None
    view_log_events_max: int = 0
    """Events in the longest log of any one view."""
    server: str = ""
    """Whose cache it is, where there are several servers."""


class Restored(msgspec.Struct, frozen=True):
    """The store was given back the state of a backup. What it was told before is one history, and what it was told since another.

    The same revision may stand for one write in the one, and for another in the other.
    """

    at_s: float
    revision: int
    """Where the store goes on from; the first write since then is above it."""
    last_revision: int
    """Of the last write before, also one that was undone."""
    start: Mapping[str, Mapping[str, Object]]
    """What the backup held, by prefix."""
    changes: Mapping[str, int]
    """How many changes had been recorded before, by prefix."""
    written: int
    """The same of `Acts.written`."""
    published_at_s: Mapping[int, float]
    """When each revision of the history that is over was written."""


class History(msgspec.Struct):
    """A whole run. `finished`: the run ended by itself and drained every watch, so what is missing was lost."""

    stores: dict[str, StoreHistory]
    clients: list[ClientHistory]
    samples: list[CacheSample]
    end_revision: int
    published_at_s: dict[int, float]
    """When each revision was written, on the run's clock."""
    finished: bool = True
    acts: Acts = msgspec.field(default_factory=Acts)
    """What happened beside the watches, where anybody recorded it."""
    restores: list[Restored] = msgspec.field(default_factory=list)
    """When the store was restored from a backup, each of which begins a history of its own; `published_at_s` is the last one's."""
