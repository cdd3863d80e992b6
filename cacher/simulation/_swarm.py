"""Faults drawn for a seed: first which kinds are on at all, then how often and where. Pure.

A kind that is left out makes room for the others: faults that always come together hide what each of them shows. What a fault
is aimed at comes from a Survey: what the workload did when nothing went wrong. A scenario adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ._faults import (
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
    Point,
    Reconnect,
    RestartServer,
    RestartStore,
    RestoreBackup,
    ShrinkRing,
    Swizzle,
    Upon,
)
from ._scenario import Swarm, Topology

if TYPE_CHECKING:
    from random import Random

RING_MIN = 1
GESTURES_MAX = 3


class Moment(msgspec.Struct, frozen=True):
    """Something that a faultless run showed at some point, and how often."""

    point: Point
    who: str
    resource: str
    change: Change
    times: int


class Survey(msgspec.Struct, frozen=True):
    """What there is to aim at: names, resources, and what happens when nothing goes wrong."""

    servers: tuple[str, ...]
    processes: tuple[str, ...]
    resources: tuple[str, ...]
    moments: tuple[Moment, ...] = ()
    duration_s: float = 60.0
    """How long the workload took."""


def draw_topology(topology: Topology, random: Random) -> Topology:
    """`topology` with one number for each pair. Small rings and no latency at all are as likely as all others together."""
    least = _draw_int(topology.ring_capacity, random)
    most = max(least, _draw_int(topology.ring_capacity_max, random))
    latency = topology.latency_s
    if isinstance(latency, tuple):
        latency = 0.0 if random.random() < 0.5 else random.uniform(*latency)
    return msgspec.structs.replace(topology, ring_capacity=least, ring_capacity_max=most, latency_s=round(latency, 4))


def draw_faults(swarm: Swarm, survey: Survey, random: Random) -> tuple[Fault, ...]:
    """The faults of one seed, none to `swarm.faults_max` of them."""
    kinds = [kind for kind in swarm.kinds if random.random() < swarm.share_on]
    hand = _Hand(survey, random, swarm.horizon_s or survey.duration_s)
    faults: list[Fault] = []
    if kinds:
        for _ in range(random.randint(0, max(1, swarm.faults_max // 2))):
            faults.append(hand.fault(random.choice(kinds)))
    gestures = [gesture for needs, gesture in hand.gestures() if needs <= set(swarm.kinds)]
    if gestures:
        for _ in range(random.randint(0, GESTURES_MAX)):
            faults.extend(random.choice(gestures)())
    random.shuffle(faults)
    del faults[swarm.faults_max :]
    if swarm.refills:
        for _ in range(random.randint(0, swarm.refills)):
            faults.extend(hand.refill())
    return tuple(faults)


def draw_restores(swarm: Swarm, survey: Survey, random: Random) -> tuple[Fault, ...]:
    """That the store is restored from a backup, or not. `random` is a stream of its own: it moves no other fault."""
    if not swarm.restores or random.random() >= swarm.restores:
        return ()
    return (_Hand(survey, random, swarm.horizon_s or survey.duration_s).restore(),)


class _Hand:
    """Draws one fault after the other."""

    def __init__(self, survey: Survey, random: Random, horizon_s: float) -> None:
        self._survey = survey
        self._random = random
        self._horizon_s = max(1.0, horizon_s)

    def fault(self, kind: Kind) -> Fault:
        """A fault of that kind."""
        return Fault(self.trigger(), self._action(kind), self._lasting())

    def gestures(self) -> list[tuple[set[Kind], Callable[[], list[Fault]]]]:
        """Faults that only together do what one of Sieve's patterns does, and which kinds each takes."""
        return [
            ({Kind.PAUSE_CACHE, Kind.CRASH}, self._stale_state),
            ({Kind.CRASH}, self._intermediate_state),
            ({Kind.BLOCK_EVENTS}, self._unobserved_state),
        ]

    def _stale_state(self) -> list[Fault]:
        """A server's cache stops somewhere; later a process starts anew on that server, and believes what it is shown."""
        random, server = self._random, self._server()
        lasting_s = round(random.uniform(10.0, 60.0), 1)
        resource = self._resource()
        paused = Fault(self.trigger("server-received", server), PauseCache(server, resource), lasting_s)
        when = self.trigger() if random.random() < 0.7 else Later(self.trigger(), round(random.uniform(0.5, 15.0), 1))
        crash = Crash(self._process(), restart_s=round(random.uniform(0.1, 3.0), 1), restart_on=server)
        return [paused, Fault(when, crash)]

    def _intermediate_state(self) -> list[Fault]:
        """A process ends right after one of its writes."""
        return [
            Fault(
                self.trigger("after-write"), Crash(self._process(), restart_s=round(self._random.uniform(0.1, 5.0), 1))
            )
        ]

    def _unobserved_state(self) -> list[Fault]:
        """A process sees nothing of a resource for a while: the states in between are merged, or never seen."""
        random = self._random
        action = BlockEvents(self._process(), self._resource())
        return [Fault(self.trigger("before-received"), action, round(random.uniform(0.5, 40.0), 1))]

    def refill(self) -> list[Fault]:
        """A cache stops; the store forgets what it has missed, and is lost from sight: where it was is too old to go on from."""
        random, server = self._random, self._server()
        begins_s, lasting_s = random.uniform(0.0, self._horizon_s), random.uniform(2.0, 20.0)
        forgotten_s, lost_s = (round(begins_s + lasting_s * share, 2) for share in (0.7, 0.8))
        return [
            Fault(At(round(begins_s, 2)), PauseCache(server, self._resource()), round(lasting_s, 1)),
            Fault(At(forgotten_s), Compact(0)),
            Fault(At(lost_s), RestartStore(0.1)),
        ]

    def restore(self) -> Fault:
        """A backup is brought back: of what was just written, or of some time ago."""
        return Fault(self.trigger(), self._action_on_servers(Kind.RESTORE_BACKUP))

    def trigger(self, point: Point | None = None, who: str = "") -> AnyTrigger:
        """A moment like one of the survey's, or a time."""
        random = self._random
        moments = [m for m in self._survey.moments if point in (None, m.point) and who in ("", m.who)]
        if not moments or (point is None and random.random() < 0.3):
            return At(round(random.uniform(0.0, self._horizon_s), 2))
        moment = random.choice(moments)
        return Upon(
            moment.point,
            moment.resource,
            moment.change,
            who=moment.who if moment.who != STORE else "",
            occurrence=random.randint(1, max(1, moment.times)),
        )

    def _lasting(self) -> float:
        """Mostly short; sometimes longer than a watch, a bookmark and a backoff."""
        random = self._random
        return round(random.choice((1.0, 5.0, 20.0, 90.0)) * random.uniform(0.5, 1.5), 1)

    def _server(self) -> str:
        return self._random.choice(self._survey.servers)

    def _process(self) -> str:
        return self._random.choice(self._survey.processes or ("#0", "#1"))

    def _resource(self) -> str:
        return self._random.choice((*self._survey.resources, ALL))

    def _ends(self) -> tuple[str, str]:
        """A process and its server, or a server and the store, in either direction."""
        random = self._random
        pair = (self._process(), ALL) if random.random() < 0.6 else (self._server(), STORE)
        return pair if random.random() < 0.5 else (pair[1], pair[0])

    def _action(self, kind: Kind) -> AnyAction:
        random = self._random
        match kind:
            case Kind.PAUSE_CACHE:
                return PauseCache(self._server(), self._resource())
            case Kind.CRASH:
                elsewhere = self._server() if random.random() < 0.6 else ""
                return Crash(self._process(), round(random.uniform(0.1, 5.0), 1), elsewhere)
            case Kind.RECONNECT:
                return Reconnect(self._process(), self._server())
            case Kind.BLOCK_EVENTS:
                return BlockEvents(self._process(), self._resource())
            case Kind.LAG:
                a, b = self._ends()
                return Lag(a, b, round(random.choice((0.05, 0.5, 5.0)) * random.uniform(0.5, 1.5), 3), 0.05)
            case Kind.LOSE:
                return Lose(self._process(), ALL, random.choice((0.1, 0.5, 1.0)), random.random() < 0.6)
            case Kind.DUPLICATE:
                return Duplicate(self._process(), ALL, random.choice((0.1, 0.5, 1.0)))
            case Kind.HALF_OPEN:
                return HalfOpen(self._process(), ALL)
            case Kind.CUT:
                a, b = self._ends()
                return Cut(a, b, random.choice(("both", "to", "from")))
            case Kind.SWIZZLE:
                names = [*self._survey.processes, *self._survey.servers]
                random.shuffle(names)
                return Swizzle(tuple(names[: random.randint(1, len(names))]), round(random.uniform(0.2, 5.0), 1))
            case _:
                return self._action_on_servers(kind)

    def _action_on_servers(self, kind: Kind) -> AnyAction:
        random = self._random
        match kind:
            case Kind.SHRINK_RING:
                return ShrinkRing(self._server(), self._resource(), random.choice((1, 2, 5)))
            case Kind.COMPACT:
                return Compact(random.choice((0, 0, 1, 5, 20)))
            case Kind.EXPIRE_LEASES:
                return ExpireLeases()
            case Kind.DROP_BOOKMARKS:
                return DropBookmarks(self._server())
            case Kind.LATE_BOOKMARKS:
                return LateBookmarks(round(random.uniform(1.0, 90.0), 1), self._server())
            case Kind.ENDLESS_LIST:
                return EndlessList(self._server())
            case Kind.EVICT:
                return Evict(self._server(), self._resource())
            case Kind.JUMP_CLOCK:
                who = self._server() if random.random() < 0.5 else self._process()
                return JumpClock(who, random.choice((-1.0, 1.0)) * random.choice((5.0, 3600.0, 86400.0)))
            case Kind.LIE_PROGRESS:
                return LieProgress(self._server(), round(random.uniform(0.05, 2.0), 2))
            case Kind.LOSE_LEADER:
                return LoseLeader()
            case Kind.RESTART_SERVER:
                return RestartServer(self._server(), round(random.uniform(0.1, 20.0), 1))
            case Kind.RESTART_STORE:
                return RestartStore(round(random.uniform(0.1, 10.0), 1))
            case Kind.RESTORE_BACKUP:
                return RestoreBackup(random.choice((1, 2, 5, 10, 30)), round(random.uniform(0.1, 5.0), 1))
            case _:
                raise AssertionError(kind)


def _draw_int(pair: int | tuple[int, int], random: Random) -> int:
    if isinstance(pair, int):
        return pair
    low, high = pair
    return low if random.random() < 0.3 else random.randint(low, high)


def servers_of(topology: Topology) -> tuple[str, ...]:
    """The names of a world's servers."""
    return tuple(f"api-{number}" for number in range(1, topology.servers + 1))


def moments_of(seen: Sequence[tuple[Point, str, str, Change]]) -> tuple[Moment, ...]:
    """What was seen, counted, in the order of its first sight."""
    counts: dict[tuple[Point, str, str, Change], int] = {}
    for one in seen:
        counts[one] = counts.get(one, 0) + 1
    return tuple(Moment(*one, times) for one, times in counts.items())
