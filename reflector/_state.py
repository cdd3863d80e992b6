"""Where a Reflector stands, and what each thing that happens makes of it: one table. Pure.

Everything that decides lives in this file; `_reflector` asks the source, writes the store and sleeps. What to ask next
follows from the state alone, what to do on the way from the table:

    state      the question it stands for              leaves with
    Empty      (none: it begins at once)               BEGUN, STREAM_BEGUN
    Listing    list(...), the page that it names       a page, or why there was none
    Streaming  watch_list(...), up to its state's end  the whole state, or why there was none
    Listed     watch(revision), opened                 WATCH_OPENED, or why it was not
    Watching   receive() on the open stream            changes, or why there are no more

            BEGUN            LIST_COMPLETE          WATCH_OPENED
    Empty ─────────► Listing ─────────────► Listed ─────────────► Watching ──┐ CHANGES_ARRIVED
     ▲ ▲             │ │  ▲   / REPLACE     │ ▲ ▲ │               │ │  ▲     │ / APPLY
     │ └─────────────┘ └──┘                 │ │ └─┘               │ │  └─────┘
     │  LIST_FAILED     PAGE_ARRIVED        │ │ WATCH_REFUSED     │ │
     │  / PAUSE         PAGE_EXPIRED *      │ │ / BACK_OFF        │ │
     │                  LIST_EXPIRED *      │ └───────────────────┘ │
     │                  LIST_TOO_LARGE *    │   STREAM_ENDED        │
     │                                      │   STREAM_CUT_SHORT / PAUSE, WATCH_REFUSED / BACK_OFF
     └──────────────────────────────────────┴───────────────────────┘
        WATCH_EXPIRED, WATCH_FAILED / INTERRUPT, PAUSE

    and where the source can stream its state:

    Empty ── STREAM_BEGUN ──► Streaming ── STATE_COMPLETE / REPLACE ──► Watching
      ▲                       │  │ ▲ │
      └── STATE_LOST / PAUSE ─┘  │ └─┘ STATE_REFUSED / BACK_OFF, LIST_EXPIRED *, LIST_TOO_LARGE *
          (CUTS_MAX times)       └── STATE_REFUTED ──► Listing

    * a retry at once, which is to be had once.

A state that cannot be had as a stream is listed: at once, where the source says so, breaks a promise, or never comes to an
end; after CUTS_MAX streams that were lost in the midst of it. The next relist tries a stream again.

There are two waits. BACK_OFF is for a source that cannot serve a watch now, and says nothing of the list, which still stands.
PAUSE is what stands between one round of list and watch and the next; a server's cache keeps it short, since it is not
ready meanwhile, and that does not depend on how often a watch was refused before.

A resource version that a list could not be had at is forgotten for "" (the latest) once and at once; "" then stays
until a list succeeds. A relist after 410 asks "not older than what I have seen": so that a herd of clients is served by
caches and not by etcd, and that nobody travels back in time.

Source: client-go tools/cache/reflector.go (list, watch, watchList, handleAnyWatch) and tools/pager/pager.go.
Differs: a state that is streamed and lost is asked for CUTS_MAX times, there without end; a lost stream, or one that ends
within a second, resumes and never relists; a "" list that is refused is not repeated at once, since there is nothing less to
ask for.
"""

from __future__ import annotations

import enum
from typing import ClassVar

import msgspec

from watch import Expired, NotReady, Object, TooLargeResourceVersion, WatchError

from ._lister_watcher import Changes, Page
from ._promises import BrokenPromise as BrokenPromise
from ._promises import EndlessList, WatchSilent

PAGE_SIZE = 500
"""Objects a page where nobody chose. Source: client-go tools/pager/pager.go, defaultPageSize."""
CUTS_MAX = 3
"""Streams that were lost before their state was complete; then it is listed. About 6 s of waits go by until then."""


class Kind(enum.Enum):
    EMPTY = "Empty"
    LISTING = "Listing"
    STREAMING = "Streaming"
    LISTED = "Listed"
    WATCHING = "Watching"


class Input(enum.Enum):
    """What can happen to a Reflector."""

    BEGUN = "the list begins"
    PAGE_ARRIVED = "a page came, and another is to follow"
    LIST_COMPLETE = "the last page came"
    PAGE_EXPIRED = "the revision of the list was compacted between two of its pages"
    LIST_EXPIRED = "the resource version asked for was compacted"
    LIST_TOO_LARGE = "the source has not reached the resource version asked for"
    LIST_FAILED = "the list failed, and asking for less would not help"
    STREAM_BEGUN = "the state is asked for as a stream"
    STATE_COMPLETE = "the state has come, and its stream goes on"
    STATE_REFUSED = "the source cannot be asked now"
    STATE_LOST = "the stream ended, or was lost, before its state was complete"
    STATE_REFUTED = "the state cannot be had as a stream"
    WATCH_OPENED = "the watch is open"
    WATCH_REFUSED = "the source cannot serve the watch now; the list still stands"
    WATCH_EXPIRED = "the history after the watched revision is gone"
    WATCH_FAILED = "the watch brought what cannot be used"
    CHANGES_ARRIVED = "changes, or a bookmark, came"
    STREAM_ENDED = "the stream ended or was lost"
    STREAM_CUT_SHORT = "the stream ended within a second and had brought nothing new"


class Action(enum.Enum):
    """What a transition does on its way, in the table's order."""

    REPLACE = "put the complete list into the store"
    APPLY = "put the changes into the store"
    INTERRUPT = "tell the owner that the store will fall behind until a relist"
    BACK_OFF = "wait before the watch is asked for again"
    PAUSE = "wait before the next round"


class Empty(msgspec.Struct, frozen=True):
    """No list to build on; whatever the store holds is old."""

    kind: ClassVar[Kind] = Kind.EMPTY
    resource_version: str
    """What the next list asks for."""
    cuts: int = 0
    """Streams that were lost since the last complete state, each before its own was complete."""


class Listing(msgspec.Struct, frozen=True):
    """Between the pages of one list."""

    kind: ClassVar[Kind] = Kind.LISTING
    resource_version: str
    """What page one asks for, and asked for."""
    is_whole: bool = False
    """True of the one retry in a single page, after the revision of a paged list was compacted under it."""
    next_page: str = ""
    """The page to ask for; "" is the first."""
    revision: int = 0
    """The revision that page one has pinned all others to; 0 before it."""
    pages: tuple[tuple[Object, ...], ...] = ()

    def objects(self, last: Page) -> tuple[Object, ...]:
        """All objects of the list that `last` completes, in key order. Cost: O(n)."""
        return tuple(found for page in (*self.pages, last.objects) for found in page)


class Streaming(msgspec.Struct, frozen=True):
    """A stream is to bring the state; what it brought so far is nobody's yet."""

    kind: ClassVar[Kind] = Kind.STREAMING
    resource_version: str
    """As a list's."""
    cuts: int = 0

    @property
    def asked_for(self) -> str:
        """What the stream is not to be older than. "0", whatever there is, saves a source nothing here, and is not asked for."""
        return "" if self.resource_version == "0" else self.resource_version


class Listed(msgspec.Struct, frozen=True):
    """The store holds everything up to `revision`; no watch is open."""

    kind: ClassVar[Kind] = Kind.LISTED
    revision: int
    has_watched: bool = False
    """True where a watch has been open since the list: the next one is a resume."""


class Watching(msgspec.Struct, frozen=True):
    """The store holds everything up to `revision`; the open watch brings what comes after."""

    kind: ClassVar[Kind] = Kind.WATCHING
    revision: int


State = Empty | Listing | Streaming | Listed | Watching


class Step(msgspec.Struct, frozen=True):
    """What `step` decided: do `actions` in order, then be in `state`."""

    state: State
    actions: tuple[Action, ...] = ()


class IllegalTransition(RuntimeError):
    """A bug in the driver: `seen` cannot happen in this state. Nothing was done."""

    def __init__(self, state: State, seen: Input) -> None:
        self.state = state
        self.seen = seen
        super().__init__(f"{seen.name} ({seen.value}) cannot happen to {state.kind.value}: correct the driver")


_RELIST = (Action.INTERRUPT, Action.PAUSE)

TABLE: dict[tuple[Kind, Input], tuple[Kind, tuple[Action, ...]]] = {
    (Kind.EMPTY, Input.BEGUN): (Kind.LISTING, ()),
    (Kind.LISTING, Input.PAGE_ARRIVED): (Kind.LISTING, ()),
    (Kind.LISTING, Input.PAGE_EXPIRED): (Kind.LISTING, ()),
    (Kind.LISTING, Input.LIST_EXPIRED): (Kind.LISTING, ()),
    (Kind.LISTING, Input.LIST_TOO_LARGE): (Kind.LISTING, ()),
    (Kind.LISTING, Input.LIST_COMPLETE): (Kind.LISTED, (Action.REPLACE,)),
    (Kind.LISTING, Input.LIST_FAILED): (Kind.EMPTY, (Action.PAUSE,)),
    (Kind.EMPTY, Input.STREAM_BEGUN): (Kind.STREAMING, ()),
    (Kind.STREAMING, Input.STATE_COMPLETE): (Kind.WATCHING, (Action.REPLACE,)),
    (Kind.STREAMING, Input.STATE_REFUSED): (Kind.STREAMING, (Action.BACK_OFF,)),
    (Kind.STREAMING, Input.LIST_EXPIRED): (Kind.STREAMING, ()),
    (Kind.STREAMING, Input.LIST_TOO_LARGE): (Kind.STREAMING, ()),
    (Kind.STREAMING, Input.STATE_LOST): (Kind.EMPTY, (Action.PAUSE,)),
    (Kind.STREAMING, Input.STATE_REFUTED): (Kind.LISTING, ()),
    (Kind.LISTED, Input.WATCH_OPENED): (Kind.WATCHING, ()),
    (Kind.LISTED, Input.WATCH_REFUSED): (Kind.LISTED, (Action.BACK_OFF,)),
    (Kind.LISTED, Input.WATCH_EXPIRED): (Kind.EMPTY, _RELIST),
    (Kind.LISTED, Input.WATCH_FAILED): (Kind.EMPTY, _RELIST),
    (Kind.WATCHING, Input.CHANGES_ARRIVED): (Kind.WATCHING, (Action.APPLY,)),
    (Kind.WATCHING, Input.STREAM_ENDED): (Kind.LISTED, ()),
    (Kind.WATCHING, Input.STREAM_CUT_SHORT): (Kind.LISTED, (Action.PAUSE,)),
    (Kind.WATCHING, Input.WATCH_REFUSED): (Kind.LISTED, (Action.BACK_OFF,)),
    (Kind.WATCHING, Input.WATCH_EXPIRED): (Kind.EMPTY, _RELIST),
    (Kind.WATCHING, Input.WATCH_FAILED): (Kind.EMPTY, _RELIST),
}
"""(state, input) → (next state, what to do on the way). A pair that is not here cannot happen."""

# The row of the table that is taken for all that a watch brings. A look-up in an enum, or by one, is a call in CPython 3.11:
# reading the whole table each time took 2 µs of the 11 that an informer needs for an event.
_CHANGES_ARRIVED = Input.CHANGES_ARRIVED
_ACTIONS_OF_CHANGES = TABLE[Kind.WATCHING, Input.CHANGES_ARRIVED][1]


def step(state: State, seen: Input, payload: Page | Changes | None = None) -> Step:
    """What `seen` makes of `state`, and what is to be done about it.

    Args:
        payload: the Page of PAGE_ARRIVED and LIST_COMPLETE, and that of a whole state for STATE_COMPLETE; the Changes of
            CHANGES_ARRIVED; else None.
    Raises:
        IllegalTransition: the pair is not in the table, or is a retry that `state` has had already.
    """
    if seen is _CHANGES_ARRIVED and isinstance(state, Watching) and payload is not None:
        return Step(Watching(payload.revision), _ACTIONS_OF_CHANGES)
    if (state.kind, seen) not in TABLE:
        raise IllegalTransition(state, seen)
    kind, actions = TABLE[state.kind, seen]
    if kind is Kind.EMPTY:
        return Step(_empty(state), actions)
    if kind is Kind.LISTING:
        return Step(_listing(state, seen, payload), actions)
    if kind is Kind.STREAMING:
        return Step(_streaming(state, seen), actions)
    revision = payload.revision if payload is not None else _revision(state)
    if kind is Kind.LISTED:
        return Step(Listed(revision, has_watched=_has_watched(state)), actions)
    return Step(Watching(revision), actions)


def begin(state: Empty, *, can_stream: bool) -> Input:
    """How the next state is asked for."""
    return Input.STREAM_BEGUN if can_stream and state.cuts < CUTS_MAX else Input.BEGUN


def page_size(state: Listing, chosen: int | None, *, is_paged: bool) -> int:
    """Objects that the next page may have; 0: all.

    Where nobody chose, a list at a revision is asked for whole, since a cache answers it then, and would pass pages on to its
    store; unless it has shown that it is none. Source: client-go tools/cache/reflector.go, list.

    Args:
        is_paged: a list at "0" was answered in pages before: there is no cache.
    """
    if state.is_whole:
        return 0
    if chosen is not None:
        return chosen
    return PAGE_SIZE if is_paged or state.resource_version in ("", "0") else 0


def list_failure(state: Listing, error: Exception) -> Input:
    """What a list that raised `error` is to the table.

    A retry at once is offered only where it asks for something else than before, so no more than three can follow each
    other: the whole list in one page, the latest in pages, the latest in one page.
    """
    if isinstance(error, EndlessList):
        return Input.LIST_FAILED
    is_expired = isinstance(error, Expired | BrokenPromise)
    if is_expired and state.next_page and not state.is_whole:
        return Input.PAGE_EXPIRED
    if state.resource_version == "":
        return Input.LIST_FAILED
    if isinstance(error, TooLargeResourceVersion):
        return Input.LIST_TOO_LARGE
    return Input.LIST_EXPIRED if is_expired else Input.LIST_FAILED


def state_failure(state: Streaming, error: Exception, *, is_open: bool) -> Input:
    """What a stream that raised `error` before its state was complete is to the table.

    Args:
        is_open: whether it had been opened.
    """
    if state.asked_for and isinstance(error, Expired):
        return Input.LIST_EXPIRED
    if state.asked_for and isinstance(error, TooLargeResourceVersion):
        return Input.LIST_TOO_LARGE
    if isinstance(error, NotReady):
        return Input.STATE_REFUSED
    if isinstance(error, WatchError | WatchSilent):
        return Input.STATE_REFUTED
    return Input.STATE_LOST if is_open else Input.STATE_REFUSED


def open_failure(error: Exception) -> Input:
    """What a watch that could not be opened, because of `error`, is to the table."""
    return _watch_failure(error, Input.WATCH_REFUSED)


def stream_failure(error: Exception, *, is_short: bool) -> Input:
    """What an open stream that raised `error` is to the table.

    Args:
        is_short: it lived less than a second and brought nothing new.
    """
    return _watch_failure(error, Input.STREAM_CUT_SHORT if is_short else Input.STREAM_ENDED)


def _watch_failure(error: Exception, lost: Input) -> Input:
    if isinstance(error, Expired):
        return Input.WATCH_EXPIRED
    if isinstance(error, NotReady):
        return Input.WATCH_REFUSED
    # Any other answer of the source is about the watch itself, and the same watch would get it again. What is not an
    # answer is a lost connection, and says nothing against the revision that was reached.
    return Input.WATCH_FAILED if isinstance(error, WatchError) else lost


def check_page(state: Listing, page: Page) -> None:
    """Returns where `page` belongs to the list of `state`.

    Raises:
        BrokenPromise: it shows another revision than page one: objects could be missing, or be there twice.
        EndlessList: what follows it is itself.
    """
    if not state.next_page:
        return
    if page.revision != state.revision:
        raise BrokenPromise(f"a page at revision {page.revision} in a list at revision {state.revision}: list again")
    if page.next_page == state.next_page:
        raise EndlessList(f"the page after {page.next_page!r} is that page again: have the source mended")


def check_changes(state: Watching, changes: Changes) -> None:
    """Returns where `changes` continue what `state` has seen. Cost: O(1), the first and the last event are looked at.

    Raises:
        BrokenPromise: they go back, or speak of a revision beyond the one they claim to reach.
    """
    first, last = (changes.events[0].revision, changes.events[-1].revision) if changes.events else (0, 0)
    if changes.revision < state.revision:
        raise BrokenPromise(f"the stream fell from revision {state.revision} to {changes.revision}: list again")
    if changes.events and first <= state.revision:
        raise BrokenPromise(f"an event at revision {first} after revision {state.revision} was complete: list again")
    if last > changes.revision:
        raise BrokenPromise(f"an event at revision {last} in changes up to {changes.revision}: list again")


def _empty(state: State) -> Empty:
    """Remembers what to ask for: what the failed list asked for, or not less than the watch had reached."""
    if isinstance(state, Streaming):
        return Empty(state.resource_version, state.cuts + 1)
    if isinstance(state, Listing):
        return Empty(state.resource_version)
    return Empty(str(_revision(state)))


def _streaming(state: State, seen: Input) -> Streaming:
    if isinstance(state, Empty):
        return Streaming(state.resource_version, state.cuts)
    assert isinstance(state, Streaming), state.kind
    if seen is Input.STATE_REFUSED:
        return state
    if not state.asked_for:
        raise IllegalTransition(state, seen)
    return Streaming("", state.cuts)


def _listing(state: State, seen: Input, payload: Page | Changes | None) -> Listing:
    if isinstance(state, Empty | Streaming):
        return Listing(state.resource_version)
    assert isinstance(state, Listing), state.kind
    if seen is Input.PAGE_ARRIVED:
        assert isinstance(payload, Page), "PAGE_ARRIVED brings its Page"
        assert payload.next_page, "the last page is LIST_COMPLETE"
        return Listing(
            state.resource_version, state.is_whole, payload.next_page, payload.revision, (*state.pages, payload.objects)
        )
    if seen is Input.PAGE_EXPIRED:
        if state.is_whole or not state.next_page:
            raise IllegalTransition(state, seen)
        return Listing(state.resource_version, is_whole=True)
    if state.resource_version == "":
        raise IllegalTransition(state, seen)
    return Listing("")


def _revision(state: State) -> int:
    assert isinstance(state, Listed | Watching), f"{state.kind.value} has reached no revision"
    return state.revision


def _has_watched(state: State) -> bool:
    return isinstance(state, Watching) or (isinstance(state, Listed) and state.has_watched)
