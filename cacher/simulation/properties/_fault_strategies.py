"""Faults as Hypothesis draws them: when, what, for how long. They shrink towards few, early, short and plain ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from .._faults import (
    ALL,
    STORE,
    AnyAction,
    AnyTrigger,
    At,
    BlockEvents,
    Change,
    Compact,
    Crash,
    Cut,
    DropBookmarks,
    Duplicate,
    EndlessList,
    Evict,
    ExpireLeases,
    Fault,
    HalfOpen,
    JumpClock,
    Kind,
    Lag,
    LateBookmarks,
    Later,
    LieProgress,
    Lose,
    LoseLeader,
    PauseCache,
    Reconnect,
    RestartServer,
    RestartStore,
    RestoreBackup,
    ShrinkRing,
    Swizzle,
    Upon,
)
from .._scenario import Swarm

SERVERS = ("api-1", "api-2")
KINDS = Swarm().kinds
WITHIN_S = 60
FAULTS_MAX = 6
OCCURRENCE_MAX = 5

_CHANGES = tuple(change for change in get_args(Change) if change)
_SHARES = st.sampled_from((1.0, 0.5, 0.1))
_NEEDS_PROCESS = {
    Kind.CRASH, Kind.RECONNECT, Kind.BLOCK_EVENTS, Kind.LAG, Kind.LOSE, Kind.DUPLICATE, Kind.HALF_OPEN, Kind.CUT, Kind.SWIZZLE
}  # fmt: skip


def triggers(
    *,
    processes: Sequence[str] = (),
    servers: Sequence[str] = SERVERS,
    resources: Sequence[str] = (),
    within_s: int = WITHIN_S,
) -> SearchStrategy[AnyTrigger]:
    """A time, or the first few changes of some resource as the store, a server or a process sees them, or a moment later."""
    what = st.sampled_from(("", *resources))
    change = st.sampled_from(_CHANGES)
    times = st.integers(1, OCCURRENCE_MAX)
    seen: list[SearchStrategy[Upon]] = [
        st.builds(Upon, st.just("written"), what, change, occurrence=times),
        st.builds(
            Upon, st.just("server-received"), what, change, who=st.sampled_from(tuple(servers)), occurrence=times
        ),
    ]
    if processes:
        points = st.sampled_from(("after-write", "before-write", "received", "before-received"))
        seen.append(st.builds(Upon, points, what, change, who=st.sampled_from(tuple(processes)), occurrence=times))
    upon = st.one_of(seen)
    at = st.builds(At, st.integers(0, within_s).map(float))
    later = st.builds(Later, upon, st.integers(1, 10).map(float))
    return st.one_of(at, upon, later)


def actions(
    *,
    processes: Sequence[str] = (),
    servers: Sequence[str] = SERVERS,
    resources: Sequence[str] = (),
    kinds: Sequence[Kind] = KINDS,
) -> SearchStrategy[AnyAction]:
    """What goes wrong, of the `kinds` given; without processes, only what strikes servers and the store.

    Raises:
        ValueError: no kind is left.
    """
    left = [kind for kind in kinds if processes or kind not in _NEEDS_PROCESS]
    if not left:
        raise ValueError("no kind of fault is left: name kinds, and processes where they are to be struck")
    known = {**_on_servers(servers, resources), **_anywhere(servers)}
    if processes:
        known.update(_on_processes(processes, servers, resources))
    return st.one_of([known[kind]() for kind in left])


def faults(
    *,
    processes: Sequence[str] = (),
    servers: Sequence[str] = SERVERS,
    resources: Sequence[str] = (),
    kinds: Sequence[Kind] = KINDS,
    within_s: int = WITHIN_S,
) -> SearchStrategy[Fault]:
    """One fault: a trigger, an action, and up to `within_s` seconds until it is mended. Half of them are as Sieve aims them, where
    their kinds are on: a crash right after a write, a cache that stops at a change, a change that is not seen."""
    lasting = st.integers(1, within_s).map(float)
    plain = st.builds(
        Fault,
        triggers(processes=processes, servers=servers, resources=resources, within_s=within_s),
        actions(processes=processes, servers=servers, resources=resources, kinds=kinds),
        lasting,
    )
    aimed = _aimed(processes, servers, resources, kinds, lasting)
    return st.one_of(plain, st.one_of(aimed)) if aimed else plain


def fault_plans(
    *,
    processes: Sequence[str] = (),
    servers: Sequence[str] = SERVERS,
    resources: Sequence[str] = (),
    kinds: Sequence[Kind] = KINDS,
    within_s: int = WITHIN_S,
    faults_max: int = FAULTS_MAX,
) -> SearchStrategy[tuple[Fault, ...]]:
    """All faults of a run, none to `faults_max` of them: what a Tape holds, and Scenario.script."""
    one = faults(processes=processes, servers=servers, resources=resources, kinds=kinds, within_s=within_s)
    return st.lists(one, max_size=faults_max).map(tuple)


# ---- inside ----------------------------------------------------------------------------------------------------------


def _aimed(
    processes: Sequence[str],
    servers: Sequence[str],
    resources: Sequence[str],
    kinds: Sequence[Kind],
    lasting: SearchStrategy[float],
) -> list[SearchStrategy[Fault]]:
    """Sieve's patterns: intermediate, unobserved and stale state."""
    times, what = st.integers(1, OCCURRENCE_MAX), st.sampled_from(("", *resources))
    found: list[SearchStrategy[Fault]] = []
    for process in processes:
        if Kind.CRASH in kinds:
            wrote = st.builds(Upon, st.just("after-write"), who=st.just(process), occurrence=times)
            crash = st.builds(Crash, st.just(process), _seconds(5), st.sampled_from(("", *servers)))
            found.append(st.builds(Fault, wrote, crash))
        if Kind.BLOCK_EVENTS in kinds:
            comes = st.builds(Upon, st.just("before-received"), what, who=st.just(process), occurrence=times)
            block = st.builds(BlockEvents, st.just(process), st.sampled_from((ALL, *resources)))
            found.append(st.builds(Fault, comes, block, lasting))
    for server in servers:
        if Kind.PAUSE_CACHE in kinds:
            heard = st.builds(Upon, st.just("server-received"), what, who=st.just(server), occurrence=times)
            pause = st.builds(PauseCache, st.just(server), st.sampled_from((ALL, *resources)))
            found.append(st.builds(Fault, heard, pause, lasting))
    return found


_Kinds = dict[Kind, Callable[[], SearchStrategy[AnyAction]]]


def _seconds(most: int) -> SearchStrategy[float]:
    return st.integers(1, most).map(float)


def _on_processes(processes: Sequence[str], servers: Sequence[str], resources: Sequence[str]) -> _Kinds:
    process, server = st.sampled_from(tuple(processes)), st.sampled_from(tuple(servers))
    resource = st.sampled_from((*resources, ALL))
    ends = st.one_of(
        st.tuples(process, server), st.tuples(server, process), st.tuples(server, st.just(STORE))
    )  # what is on its way has a direction

    return {
        Kind.CRASH: lambda: st.builds(Crash, process, _seconds(5), st.sampled_from(("", *servers))),
        Kind.RECONNECT: lambda: st.builds(Reconnect, process, server),
        Kind.BLOCK_EVENTS: lambda: st.builds(BlockEvents, process, resource),
        Kind.LAG: lambda: ends.flatmap(lambda pair: st.builds(Lag, st.just(pair[0]), st.just(pair[1]), _seconds(5))),
        Kind.LOSE: lambda: st.builds(Lose, process, st.just(ALL), _SHARES, st.booleans()),
        Kind.DUPLICATE: lambda: st.builds(Duplicate, process, st.just(ALL), _SHARES),
        Kind.HALF_OPEN: lambda: st.builds(HalfOpen, process, st.just(ALL)),
        Kind.CUT: lambda: ends.flatmap(
            lambda pair: st.builds(Cut, st.just(pair[0]), st.just(pair[1]), st.sampled_from(("both", "to", "from")))
        ),
        Kind.SWIZZLE: lambda: st.builds(
            Swizzle,
            st.lists(st.sampled_from((*processes, *servers)), min_size=1, unique=True).map(tuple),
            _seconds(5),
        ),
    }


def _on_servers(servers: Sequence[str], resources: Sequence[str]) -> _Kinds:
    server, resource = st.sampled_from(tuple(servers)), st.sampled_from((*resources, ALL))
    return {
        Kind.PAUSE_CACHE: lambda: st.builds(PauseCache, server, resource),
        Kind.SHRINK_RING: lambda: st.builds(ShrinkRing, server, resource, st.sampled_from((1, 2, 5))),
        Kind.EVICT: lambda: st.builds(Evict, server, resource),
        Kind.DROP_BOOKMARKS: lambda: st.builds(DropBookmarks, server),
        Kind.LATE_BOOKMARKS: lambda: st.builds(LateBookmarks, _seconds(90), server),
        Kind.ENDLESS_LIST: lambda: st.builds(EndlessList, server),
        Kind.LIE_PROGRESS: lambda: st.builds(LieProgress, server),
        Kind.RESTART_SERVER: lambda: st.builds(RestartServer, server, _seconds(20)),
    }


def _anywhere(servers: Sequence[str]) -> _Kinds:
    jumps = st.sampled_from((5.0, -5.0, 3600.0, -3600.0, 86400.0, -86400.0))
    return {
        Kind.COMPACT: lambda: st.builds(Compact, st.sampled_from((0, 1, 5, 20))),
        Kind.EXPIRE_LEASES: lambda: st.builds(ExpireLeases),
        Kind.JUMP_CLOCK: lambda: st.builds(JumpClock, st.sampled_from(tuple(servers)), jumps),
        Kind.LOSE_LEADER: lambda: st.builds(LoseLeader),
        Kind.RESTART_STORE: lambda: st.builds(RestartStore, _seconds(10)),
        Kind.RESTORE_BACKUP: lambda: st.builds(RestoreBackup, st.sampled_from((1, 2, 5, 30)), _seconds(10)),
    }
