"""What goes wrong, as data: a Fault is a trigger and an action. Pure; `_injector` waits for the ones and does the others.

The triggers, their points and the first actions are Sieve's (OSDI 2022): aimed at what a component sees and does, since a window
of a millisecond is never met by a fault at a random time. `"*"` stands for all names of its kind.

    Fault(Upon("after-write", who="rabbit", occurrence=3), Crash("rabbit"))
    Fault(At(12.5), PauseCache("api-2", "v1/pods"), for_s=20)
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

ALL = "*"
STORE = "store"
"""The store's name, at the end of a link."""

Point = Literal["written", "server-received", "before-received", "received", "before-write", "after-write"]
"""Where a change is seen: the store has it; its bytes have reached server `who`; a watch of process `who` is about to hand it over,
or has; process `who` is about to ask for a write, or has its answer before it knows it itself."""

Change = Literal["", "created", "updated", "deleted"]


# ---- when ------------------------------------------------------------------------------------------------------------


class Trigger(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Something that happens once in a run, or never."""


class At(Trigger, frozen=True):
    """So many seconds after the workload began."""

    s: float


class Upon(Trigger, frozen=True):
    """The `occurrence`-th change of this kind that is seen at `point`. What is left empty is not looked at."""

    point: Point
    resource: str = ""
    change: Change = ""
    name: str = ""
    namespace: str = ""
    field: str = ""
    """A dotted path whose value this change changed."""
    becomes: Any = None
    """With `field`: what stands there now. None: anything."""
    who: str = ""
    occurrence: int = 1


class Later(Trigger, frozen=True):
    """`s` seconds after another trigger."""

    trigger: AnyTrigger
    s: float


class AnyOf(Trigger, frozen=True):
    """The first of several."""

    triggers: tuple[AnyTrigger, ...]


class AllOf(Trigger, frozen=True):
    """The last of several: all have happened, in whatever order."""

    triggers: tuple[AnyTrigger, ...]


AnyTrigger = At | Upon | Later | AnyOf | AllOf


# ---- what ------------------------------------------------------------------------------------------------------------


class Kind(enum.StrEnum):
    """The kinds of faults that a swarm turns on or leaves out. Each is the name of its action in lower case."""

    PAUSE_CACHE = "pause-cache"
    CRASH = "crash"
    RECONNECT = "reconnect"
    BLOCK_EVENTS = "block-events"
    LAG = "lag"
    LOSE = "lose"
    DUPLICATE = "duplicate"
    HALF_OPEN = "half-open"
    CUT = "cut"
    SWIZZLE = "swizzle"
    SHRINK_RING = "shrink-ring"
    COMPACT = "compact"
    EXPIRE_LEASES = "expire-leases"
    DROP_BOOKMARKS = "drop-bookmarks"
    LATE_BOOKMARKS = "late-bookmarks"
    ENDLESS_LIST = "endless-list"
    EVICT = "evict"
    JUMP_CLOCK = "jump-clock"
    LIE_PROGRESS = "lie-progress"
    LOSE_LEADER = "lose-leader"
    RESTART_SERVER = "restart-server"
    RESTART_STORE = "restart-store"
    RESTORE_BACKUP = "restore-backup"


class Action(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Something that is done to a world, and perhaps undone later."""


class PauseCache(Action, frozen=True):
    """The cache of `resource` on `server` hears nothing from the store, and no progress, until mended; then all at once."""

    server: str = ALL
    resource: str = ALL


class Crash(Action, frozen=True):
    """`process` is killed between two steps: it sends nothing more and forgets all. It comes back after `restart_s`."""

    process: str
    restart_s: float = 1.0
    restart_on: str = ""
    """The server that it talks to from then on; "": the same."""


class Reconnect(Action, frozen=True):
    """The connections of `process` break, and it goes on with `server`."""

    process: str
    server: str


class BlockEvents(Action, frozen=True):
    """Watches and lists of `resource` bring `process` nothing until mended; then all that it missed."""

    process: str
    resource: str = ALL


class Lag(Action, frozen=True):
    """What goes from `a` to `b` takes `s` seconds, and up to `jitter_s` more. One connection keeps its order."""

    a: str
    b: str
    s: float
    jitter_s: float = 0.0


class Lose(Action, frozen=True):
    """A `share` of the requests from `a` to `b` is lost, or, with `reply`, of the answers: the write may then have been done."""

    a: str
    b: str
    share: float
    reply: bool = False


class Duplicate(Action, frozen=True):
    """A `share` of the writes from `a` arrives twice at `b`, and the second answer is the one that comes back. Not of those
    that leave the name to the server: no transport sends them again."""

    a: str
    b: str
    share: float


class HalfOpen(Action, frozen=True):
    """The watches that `a` has open at `b` go silent for ever, and nobody is told. New ones work."""

    a: str
    b: str


class Cut(Action, frozen=True):
    """Nothing passes between `a` and `b` until mended: requests are not answered, open watches are silent."""

    a: str
    b: str
    way: Literal["both", "to", "from"] = "both"
    """"to": only what goes from `a` to `b` is lost; "from": only what comes back."""


class Swizzle(Action, frozen=True):
    """Every link of each of `names` is cut, one of them every `step_s`, and then mended in the reverse order but for the first."""

    names: tuple[str, ...]
    step_s: float = 1.0


class ShrinkRing(Action, frozen=True):
    """The caches of `resource` on `server` keep so few events from now on."""

    server: str = ALL
    resource: str = ALL
    capacity: int = 1


class Compact(Action, frozen=True):
    """The store forgets its history but for the last `keep` revisions."""

    keep: int = 0


class ExpireLeases(Action, frozen=True):
    """Every lease of the store runs out now."""


class DropBookmarks(Action, frozen=True):
    """No watch gets a bookmark from `server`, but for the end of an initial state, until mended."""

    server: str = ALL


class LateBookmarks(Action, frozen=True):
    """Bookmarks from `server` come `s` seconds late; events do not wait for them."""

    s: float
    server: str = ALL


class EndlessList(Action, frozen=True):
    """The bookmark that ends a streamed initial state is not sent by `server` until mended."""

    server: str = ALL


class Evict(Action, frozen=True):
    """`server` ends every watch of `resource`."""

    server: str = ALL
    resource: str = ALL


class JumpClock(Action, frozen=True):
    """The time of day on `server` (or at a process) jumps by `s` seconds; mended, it jumps back."""

    who: str = ALL
    s: float = 3600.0


class LieProgress(Action, frozen=True):
    """The store tells `server` that its watches are as far as the store is, whatever they have been sent. Source: etcd#15220."""

    server: str = ALL
    held_s: float = 0.2
    """So long events are behind what was told of them."""


class LoseLeader(Action, frozen=True):
    """The store has no leader: it answers nobody and its watches are silent until mended."""


class RestartServer(Action, frozen=True):
    """`server` ends, with its connections and caches, and is back after `down_s` with empty caches."""

    server: str
    down_s: float = 2.0


class RestartStore(Action, frozen=True):
    """The store's connections end; it is back, with all that it held, after `down_s`."""

    down_s: float = 1.0


class RestoreBackup(Action, frozen=True):
    """The store ends, and comes back after `down_s` as a backup of it has it that was made `back` revisions ago.

    Its past counts as compacted. Which revision it goes on from, `World.bumps_restored` says. Source: etcdutl snapshot restore.
    """

    back: int = 1
    down_s: float = 1.0


AnyAction = (
    PauseCache
    | Crash
    | Reconnect
    | BlockEvents
    | Lag
    | Lose
    | Duplicate
    | HalfOpen
    | Cut
    | Swizzle
    | ShrinkRing
    | Compact
    | ExpireLeases
    | DropBookmarks
    | LateBookmarks
    | EndlessList
    | Evict
    | JumpClock
    | LieProgress
    | LoseLeader
    | RestartServer
    | RestartStore
    | RestoreBackup
)


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """When something is met, something is done. It is mended after `for_s`, or when `until` is met from then on, whichever
    comes first; with neither, when the world settles."""

    when: AnyTrigger
    do: AnyAction
    for_s: float = 0.0
    until: AnyTrigger | None = None


def leaves(trigger: AnyTrigger) -> Iterator[At | Upon]:
    """The triggers that `trigger` is made of."""
    match trigger:
        case Later(inner, _):
            yield from leaves(inner)
        case AnyOf(several) | AllOf(several):
            for each in several:
                yield from leaves(each)
        case At() | Upon():
            yield trigger


def kind_of(action: AnyAction) -> Kind:
    """Which kind of fault an action is."""
    return _KINDS[type(action)]


def tell_fault(fault: Fault) -> str:
    """The fault as a person reads it: `upon after-write #3 of rabbit: crash rabbit`."""
    lasting = f", for {fault.for_s:g} s" if fault.for_s else ""
    lasting += f", until {tell_trigger(fault.until)}" if fault.until is not None else ""
    return f"{tell_trigger(fault.when)}: {tell_action(fault.do)}{lasting}"


def tell_trigger(trigger: AnyTrigger) -> str:
    """A trigger in words."""
    match trigger:
        case At(s):
            return f"at {s:g} s"
        case Later(inner, s):
            return f"{s:g} s after {tell_trigger(inner)}"
        case AnyOf(several):
            return " or ".join(map(tell_trigger, several))
        case AllOf(several):
            return " and ".join(map(tell_trigger, several))
        case Upon():
            what = " ".join(
                part for part in (trigger.change, trigger.resource, trigger.namespace, trigger.name) if part
            )
            field = f" {trigger.field}" if trigger.field else ""
            value = "" if trigger.becomes is None else f"={trigger.becomes!r}"
            who = f" by {trigger.who}" if trigger.who else ""
            return f"upon {trigger.point}{who} #{trigger.occurrence} {what}{field}{value}".rstrip()
    raise AssertionError(trigger)


def targets_of(action: AnyAction) -> tuple[str, ...]:
    """The servers, processes or the store that an action is aimed at, by name; "*" where it is all of them."""
    named = [getattr(action, name) for name in ("server", "process", "a", "b") if getattr(action, name, "")]
    if isinstance(action, Swizzle):
        return action.names
    return tuple(dict.fromkeys(named)) or (STORE,)


def tell_action(action: AnyAction) -> str:
    """An action in words: its kind, and what it was given."""
    given = [f"{value:g}" if isinstance(value, float) else str(value) for value in msgspec.structs.astuple(action)]
    return " ".join([kind_of(action).value, *(text for text in given if text)])


_KINDS: dict[type[AnyAction], Kind] = {
    PauseCache: Kind.PAUSE_CACHE,
    Crash: Kind.CRASH,
    Reconnect: Kind.RECONNECT,
    BlockEvents: Kind.BLOCK_EVENTS,
    Lag: Kind.LAG,
    Lose: Kind.LOSE,
    Duplicate: Kind.DUPLICATE,
    HalfOpen: Kind.HALF_OPEN,
    Cut: Kind.CUT,
    Swizzle: Kind.SWIZZLE,
    ShrinkRing: Kind.SHRINK_RING,
    Compact: Kind.COMPACT,
    ExpireLeases: Kind.EXPIRE_LEASES,
    DropBookmarks: Kind.DROP_BOOKMARKS,
    LateBookmarks: Kind.LATE_BOOKMARKS,
    EndlessList: Kind.ENDLESS_LIST,
    Evict: Kind.EVICT,
    JumpClock: Kind.JUMP_CLOCK,
    LieProgress: Kind.LIE_PROGRESS,
    LoseLeader: Kind.LOSE_LEADER,
    RestartServer: Kind.RESTART_SERVER,
    RestartStore: Kind.RESTART_STORE,
    RestoreBackup: Kind.RESTORE_BACKUP,
}
