"""Plays one tape: a world, its workload, the liveness phase, the judges, the sum of it all.

play(scenario, tape) -> RunResult          run_seed(scenario, seed, variant) -> RunResult
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, cast

import msgspec
import trio

from ._acts import EndState
from ._chronicle import Chronicle
from ._determinism import Streams, run_deterministic
from ._digest import digest
from ._end_state import agreed, end_state
from ._faults import STORE, Change, Point
from ._guard import NotSimulated, guarded
from ._history import History
from ._injector import Sight
from ._on_line import OnLine
from ._operations import AnyOperation
from ._scale import draw_scale
from ._scenario import Scenario
from ._sometimes import counts_of
from ._swarm import Survey, draw_faults, draw_restores, draw_topology, moments_of, servers_of
from ._tape import Tape
from ._world import NotConverged, World
from .judges import WORLD_JUDGES, Judge, Verdict, judge_with

IN_THE_END = ("Convergent", "Settles", "Lively")
"""Guarantees that are broken by what never happens: with nothing else broken, the world has not converged."""

Outcome = Literal["held", "inconclusive", "broken", "not-converged", "stopped"]
"""`inconclusive`: nothing was broken, but the workload was not done, or what the scenario wants to have met was not met. Such a run
is no find, and no evidence either."""


NO_FINDS: tuple[Outcome, ...] = ("held", "inconclusive")


class RunResult(msgspec.Struct):
    """What one run came to."""

    tape: Tape
    outcome: Outcome
    verdicts: tuple[Verdict, ...]
    digest: str
    sometimes: dict[str, int]
    """What was met, and how often."""
    virtual_s: float
    steps: int
    """Lines of the chronicle: things that happened."""
    facts: tuple[str, ...] = ()
    """Checks of the scenario's own that were broken, what had not converged, why it was stopped, or is no evidence."""
    failure: str = ""
    """The traceback of what failed outside of every program: in the library, or in the simulator."""
    notes: tuple[str, ...] = ()
    history: History | None = None
    chronicle: Chronicle | None = None

    @property
    def is_find(self) -> bool:
        """Whether something is wrong."""
        return self.outcome not in NO_FINDS

    @property
    def broken(self) -> tuple[str, ...]:
        """The names of the guarantees that were broken, and `Checks` for those of the scenario's own."""
        names = [verdict.name for verdict in self.verdicts if verdict.broken]
        return (*names, *(("Checks",) if self.outcome == "broken" and self.facts else ()))

    def verdict(self, name: str) -> Verdict:
        """The verdict on a guarantee. Raises KeyError."""
        for verdict in self.verdicts:
            if verdict.name == name:
                return verdict
        raise KeyError(name)


class UnknownVariant(ValueError):
    """The scenario has no variant of that name; the message says which it has."""


def check_variant(scenario: Scenario, variant: str) -> None:
    """Returns where the scenario has such a variant. Raises UnknownVariant."""
    if variant not in scenario.variants:
        raise UnknownVariant(
            f"{scenario.name} has no variant {variant!r}: choose one of {', '.join(scenario.variants)}"
        )


def draw(scenario: Scenario, seed: int, variant: str, *, hunting: bool = True) -> Tape:
    """The tape of a seed. `hunting`: its faults come from the swarm; else from the scenario's script.

    Raises:
        UnknownVariant: the scenario has no such variant.
    """
    check_variant(scenario, variant)
    streams = Streams(seed)
    tape = Tape(
        scenario=scenario.name,
        variant=variant,
        seed=seed,
        schedule=seed,
        topology=draw_topology(scenario.topology, streams.stream("topology")),
        operations=operations_of(scenario, streams),
        scale=None if scenario.scale is None else draw_scale(scenario.scale, streams.stream("scale")),
        settle_s=scenario.settle_s,
        place=scenario.place,
    )
    if not hunting:
        return msgspec.structs.replace(tape, faults=scenario.script)
    calm = survey(scenario, variant)
    faults = draw_faults(scenario.swarm, calm, streams.stream("faults"))
    restores = draw_restores(scenario.swarm, calm, streams.stream("restores"))
    return msgspec.structs.replace(tape, faults=(*faults, *restores))


def operations_of(scenario: Scenario, streams: Streams) -> tuple[AnyOperation, ...] | None:
    """The scenario's workload for a seed; None where it is an async function."""
    workload: Any = scenario.workload
    if not callable(workload):
        return tuple(workload)
    if inspect.iscoroutinefunction(workload):
        return None
    return tuple(workload(streams.stream("workload")))


Watcher = Callable[[World], None]
"""Looks at a world whenever something has happened in it, and changes nothing."""


def run_seed(
    scenario: Scenario,
    seed: int,
    variant: str,
    *,
    hunting: bool = True,
    keep: bool = False,
    watcher: Watcher | None = None,
) -> RunResult:
    """The run of a seed; see `draw` and `play`. Compared with its reference where the scenario's guarantee needs one."""
    tape = draw(scenario, seed, variant, hunting=hunting)
    reference = reference_for(scenario, tape) if scenario.guarantee in COMPARED else None
    return play(scenario, tape, keep=keep, reference=reference, watcher=watcher)


COMPARED = ("CrashProof", "CoalesceProof")
REFERENCES_KEPT = 64
_references: dict[bytes, EndState] = {}


def reference_for(scenario: Scenario, tape: Tape) -> EndState:
    """What the operations of `tape` come to without a fault; played twice, and remembered in this process.

    Raises:
        ValueError: the workload is an async function, whose operations are not known before.
    """
    if tape.operations is None:
        raise ValueError(f"{scenario.name}: only a workload that is data can be compared with a reference")
    key = msgspec.json.encode((scenario.name, tape.variant, tape.operations, tape.skipped))
    if key not in _references:
        if len(_references) >= REFERENCES_KEPT:
            _references.clear()
        calm = msgspec.structs.replace(tape, faults=())
        ends = []
        for schedule in (tape.schedule, tape.schedule + 1):
            result = play(scenario, msgspec.structs.replace(calm, schedule=schedule), keep=True)
            assert result.history is not None, "it was to be kept"
            end = result.history.acts.end_state
            assert end is not None, f"without a fault a world ends: {result.failure}"
            ends.append(end)
        _references[key] = agreed(*ends)
    return _references[key]


def play(
    scenario: Scenario,
    tape: Tape,
    *,
    keep: bool = False,
    reference: EndState | None = None,
    plan: str = "",
    watcher: Watcher | None = None,
    stops_at: Sequence[str] = (),
) -> RunResult:
    """Play `tape` and judge it. The same tape comes to the same digest, in every process.

    Args:
        keep: keep history and chronicle in the result.
        reference: what the same comes to without a fault, for CrashProof and CoalesceProof.
        plan: the pattern that the faults follow, where they follow one.
        watcher: looks at the world while it runs.
        stops_at: guarantees that are judged while it runs. Soon after the first breach of one of them the run ends, and its
            verdicts are on these alone, its digest on what was until then. Those of NOT_ON_LINE are not looked at.
    """
    run = _Run(scenario, tape, stops_at)
    run.listen(watcher)
    run.world.history.acts.reference = reference
    run.world.history.acts.plan = plan
    is_compared = keep or reference is not None
    failure = ""
    with quiet(), guarded(*_modules_of(scenario)) as refusals:
        try:
            run_deterministic(run.main, seed=tape.schedule)
        except Exception as error:  # noqa: BLE001 - whatever failed in a world is a finding, told with its traceback
            failure = "".join(traceback.format_exception(error))
    return run.result(refusals, failure, keep=keep, is_compared=is_compared)


@contextmanager
def quiet() -> Iterator[None]:
    """No log of the library's own within: a world's troubles are made on purpose, and its chronicle has them."""
    logger = logging.getLogger("reflector")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _modules_of(scenario: Scenario) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            module for thing in (scenario.start, scenario.workload) if (module := getattr(thing, "__module__", None))
        )
    )


class _Run:
    """One tape being played."""

    def __init__(self, scenario: Scenario, tape: Tape, stops_at: Sequence[str] = ()) -> None:
        self.scenario = scenario
        self.tape = tape
        self.world = World(tape)
        self.scope = trio.CancelScope()
        sought = [judge for judge in self._judges() if judge.name in stops_at]
        self.on_line = OnLine(sought, self.scope.cancel) if sought else None
        self.lagging: tuple[str, ...] = ()
        self.seen: list[tuple[Point, str, str, Change]] = []

    def listen(self, watcher: Watcher | None) -> None:
        """Have all that is told looked at: by who watches, and by the judges on line."""
        world, on_line = self.world, self.on_line
        if on_line is None:
            world.chronicle.listener = None if watcher is None else partial(watcher, world)
            return

        def told() -> None:
            on_line.look(world.history, len(world.chronicle.lines), world.revision)
            if watcher is not None:
                watcher(world)

        world.chronicle.listener = told

    async def main(self) -> None:
        """The world from beginning to end, or to where the judges on line end it."""
        with self.scope if self.on_line is not None else nullcontext():
            await self._main()

    async def _main(self) -> None:
        world, scenario = self.world, self.scenario
        scenario.start(world, self.tape.variant)
        async with world.opened():
            if self.tape.operations is not None:
                await world.run(self.tape.operations)
            else:
                await cast("Callable[[World], Awaitable[None]]", scenario.workload)(world)
            if not world.has_settled:
                try:
                    await world.settle()
                except NotConverged as error:
                    self.lagging = (str(error),)
        world.history.finished = not self.lagging

    def result(self, refusals: Sequence[NotSimulated], failure: str, *, keep: bool, is_compared: bool) -> RunResult:
        """Everything, judged."""
        world, history = self.world, self.world.history
        if self.on_line is not None and self.on_line.has_stopped:
            del world.chronicle.lines[self.on_line.stopped_after :]
        if is_compared and not failure:
            history.acts.end_state = end_state(history)
        verdicts = self._judge(history)
        looked = tuple(f"{one.name}: {one.facts} at {one.at_s:g} s" for one in history.acts.looked)
        outcome: Outcome = "held"
        facts = looked
        if refusals:
            outcome, facts = "stopped", tuple(map(str, refusals))
        elif failure:
            outcome, facts = "stopped", (failure.strip().rpartition("\n")[2],)
        elif looked or any(verdict.broken and verdict.name not in IN_THE_END for verdict in verdicts):
            outcome = "broken"
        elif self.lagging or any(verdict.broken for verdict in verdicts):
            outcome, facts = "not-converged", self.lagging
        sometimes = counts_of(history, world.counts)
        if outcome == "held" and (missing := self._missing(sometimes)):
            outcome, facts = "inconclusive", missing
        return RunResult(
            tape=self.tape,
            outcome=outcome,
            verdicts=verdicts,
            digest=f"{world.chronicle.digest()[:16]}{digest(history)[:16]}",
            sometimes=sometimes,
            virtual_s=history.acts.phases.end_s,
            steps=len(world.chronicle.lines),
            facts=facts,
            failure=failure,
            notes=(*world.notes, *self._ended_early()),
            history=history if keep else None,
            chronicle=world.chronicle if keep else None,
        )

    def _missing(self, sometimes: dict[str, int]) -> tuple[str, ...]:
        """Why the run shows nothing; nothing where it does."""
        never = (f"never met: {name}" for name in self.scenario.wants if not sometimes.get(name))
        return (*self.world.undone, *never)

    def _ended_early(self) -> tuple[str, ...]:
        if self.on_line is None or not self.on_line.has_stopped:
            return ()
        return (f"{self.world.history.acts.phases.end_s:.3f} s: ended at the first breach that was seen",)

    def _judge(self, history: History) -> tuple[Verdict, ...]:
        on_line = self.on_line
        return judge_with(on_line.judges if on_line is not None and on_line.has_stopped else self._judges(), history)

    def _judges(self) -> list[Judge]:
        ignored = self.scenario.ignores
        own = {judge.name for judge in self.scenario.judges}  # a guarantee with a budget of the scenario's own
        shared = [judge for judge in WORLD_JUDGES if judge.name not in own]
        return [judge for judge in (*shared, *self.scenario.judges) if judge.name not in ignored]


# ---- what there is to aim at -----------------------------------------------------------------------------------------

_surveys: dict[tuple[str, str], Survey] = {}
SURVEY_SEED = 0


def survey(scenario: Scenario, variant: str) -> Survey:
    """What the scenario does when nothing goes wrong. Played once a process, and remembered."""
    key = (scenario.name, variant)
    if key not in _surveys:
        _surveys[key] = _survey(scenario, variant)
    return _surveys[key]


def _survey(scenario: Scenario, variant: str) -> Survey:
    run = _Run(scenario, draw(scenario, SURVEY_SEED, variant, hunting=False))
    run = _Run(scenario, msgspec.structs.replace(run.tape, faults=()))
    seen: list[tuple[Point, str, str, Change]] = []

    def note(point: Point, who: str, sight: Sight) -> None:
        seen.append((point, who, sight.resource, sight.change))

    run.world.injector.listen(note)
    with quiet(), guarded(*_modules_of(scenario)):
        run_deterministic(run.main, seed=SURVEY_SEED)
    phases = run.world.history.acts.phases
    resources = dict.fromkeys(resource for _, who, resource, _ in seen if who != STORE)
    return Survey(
        servers=servers_of(run.tape.topology),
        processes=tuple(run.world.processes),
        resources=tuple(resources),
        moments=moments_of(seen),
        duration_s=round((phases.faults_end_s or phases.end_s) - phases.workload_s, 2),
    )
