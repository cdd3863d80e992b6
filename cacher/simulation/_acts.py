"""What happened in a world beside the watches: who asked for what, what each write was, copies, handlers, processes, phases.

The second half of a History, for the judges of handlers and controllers. The words are those of `watch` alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from watch import Object, Selector

NOBODY = -1
"""Instead of the number of a request: nobody in the world asked for it."""


MOMENTS = ("/registry/events/", "/registry/leases/")
"""Prefixes of what is about moments: heartbeats and reports. A world that writes nothing else stands still."""


class Belief(msgspec.Struct, frozen=True, gc=False):
    """One object that was read before a write, as it was shown: part of what the write was decided on."""

    key: str
    uid: str
    revision: int
    server: str = ""
    """Who showed it."""
    at_s: float = 0.0
    """When it was read."""


class Request(msgspec.Struct, gc=False):
    """One call of the API by a process."""

    number: int
    at_s: float
    process: str
    incarnation: int
    server: str
    verb: str
    """get, create, update, patch, delete, delete-collection; those of parts have it behind: `update/status`."""
    resource: str
    namespace: str
    name: str
    key: str
    """The storage key of the object; "" of a collection, or where the name was yet to be made."""
    outcome: str = "pending"
    """`ok`; the class of the error that the process got; `crashed`: it did not live to learn it."""
    done_s: float = 0.0
    uid: str = ""
    """The uid that it was limited to; "": none."""
    version: str = ""
    """The resource version that it was limited to; "": none."""
    answer_uid: str = ""
    answer_revision: int = 0
    """Of the object that the process got for an answer; "" and 0: of none."""
    beliefs: tuple[Belief, ...] = ()


class Written(msgspec.Struct, frozen=True, gc=False):
    """One change in the store. What was there and what is there: by uid; "" is nothing."""

    revision: int
    at_s: float
    key: str
    prefix: str
    uid: str
    previous_uid: str
    request: int = NOBODY
    """The number of the request that it was written for."""

    @property
    def is_deletion(self) -> bool:
        return not self.uid


class Handled(msgspec.Struct, frozen=True, gc=False):
    """A handler was called."""

    at_s: float
    handler: str
    """Process, incarnation and informer: it begins anew with each."""
    kind: str
    """add, update or delete."""
    key: str
    uid: str
    revision: int
    previous_uid: str = ""
    is_initial: bool = False
    is_tombstone: bool = False


class SyncedAt(msgspec.Struct, frozen=True, gc=False):
    """A handler was first seen to be called synced. Its name is that of the client that its informer is."""

    at_s: float
    handler: str
    handled_before: int
    """How many calls of handlers, of all of them, had been recorded by then."""


class Copy(msgspec.Struct, frozen=True):
    """One look at a copy that some process keeps of a resource."""

    at_s: float
    holder: str
    prefix: str
    selector: Selector
    revision: int
    has_synced: bool
    is_live: bool
    heard_s: float | None
    """When it last heard anything from its source; None: never."""
    objects: tuple[Object, ...] | None = None
    """In key order; None: not looked at."""
    is_final: bool = False
    """The look at the end of the liveness phase."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A server asked the store for something that costs it."""

    at_s: float
    server: str
    what: str
    """list, get or watch."""
    prefix: str
    objects: int = 0
    value_bytes: int = 0


class Lived(msgspec.Struct, frozen=True, gc=False):
    """A process began or ended."""

    at_s: float
    process: str
    incarnation: int
    server: str
    what: str
    """started, crashed, died, ended."""
    why: str = ""


class Mistake(msgspec.Struct, frozen=True, gc=False):
    """What the reconciles of one controller raised in one life of its process, and was no answer of the API."""

    at_s: float
    """When it was looked at: at the end of that life, or of the run."""
    process: str
    incarnation: int
    controller: str
    count: int
    last: str
    """The last one in words, its key first."""


class Struck(msgspec.Struct, gc=False):
    """A fault that was met: `targets` are the names that it was aimed at, "*" for all; `mended_s` is None while it lasts."""

    at_s: float
    what: str
    targets: tuple[str, ...]
    is_lasting: bool
    """Whether there is something to mend: else it was over at once."""
    mended_s: float | None = None


class Looked(msgspec.Struct, frozen=True, gc=False):
    """A check of the scenario's own found something wrong."""

    at_s: float
    name: str
    facts: str
    revision: int


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """Who is to have how many of what: the owner's prefix, where its number stands, and its children's prefix."""

    owner_prefix: str
    path: str
    child_prefix: str
    surge: int = 0
    """So many more are allowed at a time."""


class EndState(msgspec.Struct, frozen=True):
    """What a run came to, under names that do not depend on it: see `_end_state`."""

    objects: Mapping[str, bytes]
    """Canonical name of each object → its canonical JSON."""
    creations: Mapping[str, int]
    deletions: Mapping[str, int]
    """How often each canonical name was created and deleted."""
    unstable: tuple[str, ...] = ()
    """What two runs without a fault did not agree on: the controllers' own chance, and not compared."""


class LightClient(msgspec.Struct, gc=False):
    """What came of one light client in one life of its process. See `_crowd`."""

    name: str
    prefix: str
    slow: bool
    """It was told to lag, so its delays are its own doing."""
    waits_since_s: float | None
    """Since when it has had no watch, from its start on; None: it has one."""
    opened: int = 0
    """Watches."""
    lists: int = 0
    expired: int = 0
    """Watches that lost an event of their own to the ring."""
    cut_off: int = 0
    """As `expired`, where a fault had kept the event from the client for so long."""
    refused: int = 0
    """Watches that were not opened, for want of history."""
    evicted: int = 0
    """Watches that the server ended because they took too slowly."""
    lost: int = 0
    """Watches that ended for any other reason."""
    events: int = 0
    lag_max_s: float = 0.0
    """From when its server had an event, and it was free to take it, to when it got it, at most."""
    waited_max_s: float = 0.0
    """From its start, or the end of a watch, to the next watch, at most, of those times that are over."""

    def waited_s(self, now_s: float) -> float:
        """The same, with the present time."""
        return self.waited_max_s if self.waits_since_s is None else max(self.waited_max_s, now_s - self.waits_since_s)


class Phases(msgspec.Struct):
    """When what began, in seconds of the run's clock."""

    workload_s: float = 0.0
    faults_end_s: float | None = None
    """When faults stopped and what they did was mended; None: never, the run ended before."""
    settled_s: float | None = None
    """When everything had converged and nobody had written for a while; None: it did not in time."""
    end_s: float = 0.0
    lagging: tuple[str, ...] = ()
    """What had not converged when time was up."""


class Acts(msgspec.Struct):
    """All of it."""

    requests: list[Request] = msgspec.field(default_factory=list)
    written: list[Written] = msgspec.field(default_factory=list)
    handled: list[Handled] = msgspec.field(default_factory=list)
    synced: list[SyncedAt] = msgspec.field(default_factory=list)
    copies: list[Copy] = msgspec.field(default_factory=list)
    asked: list[Asked] = msgspec.field(default_factory=list)
    lives: list[Lived] = msgspec.field(default_factory=list)
    mistakes: list[Mistake] = msgspec.field(default_factory=list)
    looked: list[Looked] = msgspec.field(default_factory=list)
    wanted: list[Wanted] = msgspec.field(default_factory=list)
    light: list[LightClient] = msgspec.field(default_factory=list)
    phases: Phases = msgspec.field(default_factory=Phases)
    faults: list[str] = msgspec.field(default_factory=list)
    """Each that was met: when and what, in words."""
    struck: list[Struck] = msgspec.field(default_factory=list)
    """The same, each with where it struck and until when."""
    reference: EndState | None = None
    """What the same workload comes to without a fault, where somebody played it."""
    end_state: EndState | None = None
    plan: str = ""
    """Which kind of plan the faults follow, where they follow one: intermediate-state, stale-state, unobserved-state."""
