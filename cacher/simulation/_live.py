"""What a live view shows of a run at one moment: caches, watchers, deliveries, faults, guarantees. Looks, and changes nothing.

    TraceRun ─┐
    World ────┴─► Frame ─► a terminal

Guarantees are judged anew, over what has been recorded so far, as long as that takes little of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from .. import CacherStorage, Resource
from ._history import History, Received
from ._meter import wall_s
from .judges import ALL_JUDGES, WORLD_JUDGES, BrokenRecord, Judge, Verdict, judge_with

if TYPE_CHECKING:
    from ._trace_run import TraceRun
    from ._world import World

FAULTS_SHOWN = 6
SELECTORS_SHOWN = 8
JUDGING_SHARE = 20
"""After judging for a second there is none for so many seconds."""
JUDGING_S_MAX = 0.5
"""Where judging takes longer than this, what was found last stands until the end."""


class CacheLine(msgspec.Struct, frozen=True):
    """One cache."""

    name: str
    revision: int
    behind: int
    """Revisions of the store that it has not heard of; to one that nothing happens to, nobody says much."""
    ring_length: int
    ring_capacity: int
    watches: int
    views: int
    events: int


class Frame(msgspec.Struct, frozen=True):
    """One moment of a run."""

    title: str
    at_s: float
    revision: int
    deliveries: int
    deliveries_by_second: tuple[int, ...]
    """On the run's clock."""
    caches: tuple[CacheLine, ...]
    selectors: tuple[tuple[str, str, int], ...]
    """Cache, selector and how many watch by it, the most watched first."""
    faults: tuple[str, ...] = ()
    faults_left_out: int = 0
    guarantees: tuple[Verdict, ...] = ()
    judged_at_s: float = 0.0


class RunningVerdicts:
    """Verdicts on a history that still grows."""

    def __init__(self, judges: Iterable[Judge]) -> None:
        self.verdicts: tuple[Verdict, ...] = ()
        self.at_s = 0.0
        self._judges = tuple(judges)
        self._ended_s = 0.0
        self._cost_s = 0.0

    def look(self, history: History, at_s: float, *, is_last: bool = False) -> None:
        """Judge, if it is time to. Cost: as `judge_with`, and seldom."""
        now_s = wall_s()
        is_dear = self._cost_s > JUDGING_S_MAX or now_s - self._ended_s < JUDGING_SHARE * self._cost_s
        if is_dear and not is_last:
            return
        try:
            self.verdicts, self.at_s = judge_with(self._judges, history), at_s
        except BrokenRecord:
            return  # in the midst of a step: what was found before stands
        finally:
            self._ended_s = wall_s()
            self._cost_s = self._ended_s - now_s


class TraceFrames:
    """The frames of a trace's run."""

    def __init__(self) -> None:
        self._verdicts = RunningVerdicts(ALL_JUDGES)

    def frame(self, run: TraceRun) -> Frame:
        """The run now."""
        revision = run.trace.start_revision + run.played.revisions
        self._verdicts.look(run.history, run.played.t)
        by_second = run.recorder.deliveries_by_second
        resources = [(one.info.qualified_name, one) for one in run.resources]
        return Frame(
            title=f"{run.trace.name}, {run.options.clients:,} clients, seed {run.options.seed}",
            at_s=run.played.t,
            revision=revision,
            deliveries=run.meter.deliveries,
            deliveries_by_second=tuple(by_second.get(second, 0) for second in range(max(by_second, default=-1) + 1)),
            caches=tuple(_cache_lines(resources, revision)),
            selectors=_selectors(resources),
            guarantees=self._verdicts.verdicts,
            judged_at_s=self._verdicts.at_s,
        )


class WorldFrames:
    """The frames of a world."""

    def __init__(self, judges: Iterable[Judge] = WORLD_JUDGES) -> None:
        self._verdicts = RunningVerdicts(judges)
        self._taken: dict[int, int] = {}
        """Steps counted so far, by client."""
        self._by_second: dict[int, int] = {}

    def frame(self, world: World) -> Frame:
        """The world now."""
        revision, faults = world.store.revision, world.history.acts.faults
        self._verdicts.look(world.history, world.now_s)
        self._count(world.history)
        resources = [
            (f"{server.name} {one.info.qualified_name}", one)
            for server in world.servers.values()
            if server.cluster is not None
            for one in server.cluster.resources()
        ]
        seconds = range(max(self._by_second, default=-1) + 1)
        return Frame(
            title=f"{world.tape.scenario}, {world.tape.variant}, seed {world.tape.seed}",
            at_s=world.now_s,
            revision=revision,
            deliveries=sum(self._by_second.values()),
            deliveries_by_second=tuple(self._by_second.get(second, 0) for second in seconds),
            caches=tuple(_cache_lines(resources, revision)),
            selectors=_selectors(resources),
            faults=tuple(faults[-FAULTS_SHOWN:]),
            faults_left_out=max(0, len(faults) - FAULTS_SHOWN),
            guarantees=self._verdicts.verdicts,
            judged_at_s=self._verdicts.at_s,
        )

    def _count(self, history: History) -> None:
        for number, client in enumerate(history.clients):
            for step in client.steps[self._taken.get(number, 0) :]:
                if isinstance(step, Received):
                    second = int(step.at_s)
                    self._by_second[second] = self._by_second.get(second, 0) + len(step.batch)
            self._taken[number] = len(client.steps)


def _cache_lines(resources: Iterable[tuple[str, Resource]], revision: int) -> Iterator[CacheLine]:
    for name, resource in resources:
        figures = resource.statistics()
        if not resource.is_cached or not (figures.events or figures.objects or figures.watches):
            continue
        yield CacheLine(
            name,
            figures.revision,
            max(0, revision - figures.revision),
            figures.ring_length,
            figures.ring_capacity,
            figures.watches,
            figures.views,
            figures.events,
        )


def _selectors(resources: Iterable[tuple[str, Resource]]) -> tuple[tuple[str, str, int], ...]:
    found: list[tuple[str, str, int]] = []
    for name, resource in resources:
        storage = resource.storage
        if isinstance(storage, CacherStorage):
            for view in storage.cacher.router.views():
                watches = len(view.readers) + len(view.sinks) + sum(map(len, view.groups.values()))
                found.append((name, str(view.selector), watches))
    return tuple(sorted(found, key=lambda one: (-one[2], one[0], one[1]))[:SELECTORS_SHOWN])
