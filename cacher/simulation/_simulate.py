"""`@simulate`: a test of a controller that is played under many seeds, each a world of its own with faults of its own.

    @simulate(seeds=200)
    async def test_a_flock_has_as_many_birds_as_it_wants(world: World) -> None:
        world.wants(FLOCKS, "spec.birds", "v1/pods")
        world.start(flocks)
        await world.create(FLOCKS, {...})
        await world.settle()

The test fails with the story of the first seed that broke anything, made as small as it gets, in `explain`'s words, and the
number to play it again by. Such a test is a scenario, too: `watchcache hunt test_flock.py:test_a_flock_has_as_many_birds_…`. A
seed in which the test's own calls were given up, because no server would do them, shows nothing; where all are such, it fails too.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from ._play import RunResult, play, run_seed
from ._scenario import SETTLE_S, Scenario, Swarm, Topology
from ._shrink import Shrunk, shrink
from ._story import explain
from ._tape import Tape, TapeError
from ._world import World

SimulatedTest = Callable[[World], Awaitable[None]]


SHRINK_STEPS = 300_000
"""What a failure is made smaller in: some five seconds, in steps of the scheduler, since seconds are not repeatable."""
SHRINK_PLAYS_MIN, SHRINK_PLAYS_MAX = 20, 300
VARIANT = "test"
"""Of the scenario that a test is."""


class Chosen(msgspec.Struct):
    """What a test run asks for beside what is written at a test: set by the pytest plugin."""

    seed: int | None = None
    """Play this one alone."""
    tape: Tape | None = None
    """Play this one alone, in the test that it is of."""
    tape_file: str = ""
    """Where it was read, for messages."""
    first: Callable[[str], Sequence[int]] = lambda _: ()
    """Seeds that failed the last time, by the test's name: they come first."""
    failed: Callable[[str, int | None], None] = lambda _name, _seed: None
    """Told of the seed that failed; None: none did."""
    keep: Callable[[Tape], str] = lambda _: ""
    """Given the tape of a failure, says in which file it is kept; "": in none."""
    shrinks: bool = True
    """Whether a failure is made smaller before it is told."""


CHOSEN = Chosen()


class Broken(AssertionError):
    """A simulated test failed. The message is its story; `result` has all of it, as small as it was made."""

    def __init__(self, result: RunResult, name: str, played: int, *, smaller: str = "", kept: str = "") -> None:
        self.result = result
        how = f"--sim-tape {CHOSEN.tape_file}" if CHOSEN.tape else f"--sim-seed {result.tape.seed}"
        lines = [f"{name} failed at the {_ordinal(played)} history{smaller}", *explain(result)]
        lines.append(f"again: pytest -k {name} {how}")
        if kept:
            lines.append(f"as a page: watchcache explain {kept} --html report.html")
        super().__init__("\n".join(lines))


def simulate(
    *,
    seeds: int = 100,
    faults: Swarm | None = None,
    topology: Topology | None = None,
    time_limit_s: float | None = None,
    settle_s: float = SETTLE_S,
    ignores: Sequence[str] = (),
) -> Callable[[SimulatedTest], Callable[[], None]]:
    """Make an async function of a World a test that plays it under `seeds` seeds.

    Args:
        faults: what may go wrong; everything that a cache can survive by default. `Swarm(kinds=())`: nothing.
        topology: servers, ring sizes, latencies, definitions.
        time_limit_s: begin no further history after so many seconds of real time; at least one is played.
        ignores: guarantees that are not promised.
    """
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}: choose 1 or more")

    def decorate(test: SimulatedTest) -> Callable[[], None]:
        scenario = Scenario(
            name=test.__name__,
            title=(test.__doc__ or test.__name__).strip().partition("\n")[0],
            start=lambda _world, _variant: None,
            workload=test,
            variants=(VARIANT,),
            swarm=faults if faults is not None else Swarm(),
            topology=topology if topology is not None else Topology(),
            settle_s=settle_s,
            ignores=tuple(ignores),
            place=_place(test),
        )

        @functools.wraps(test)
        def run() -> None:
            __tracebackhide__ = True
            _play_all(scenario, seeds, time_limit_s)

        del run.__wrapped__  # pytest would ask for a fixture `world`
        vars(run)["scenario"] = scenario  # for `load_scenario`
        return run

    return decorate


def _play_all(scenario: Scenario, seeds: int, time_limit_s: float | None) -> None:
    __tracebackhide__ = True  # a reader wants the story, and not this loop
    name = scenario.name
    if CHOSEN.tape is not None:
        _play_tape(scenario, CHOSEN.tape)
        return
    if CHOSEN.seed is not None:
        order: Sequence[int] = [CHOSEN.seed]
    else:
        order = list(dict.fromkeys([*CHOSEN.first(name), *range(seeds)]))
    began_s, evidence, undone = time.monotonic(), 0, None
    for played, seed in enumerate(order, 1):
        if played > 1 and time_limit_s is not None and time.monotonic() - began_s > time_limit_s:
            break
        result = run_seed(scenario, seed, VARIANT, keep=True)
        undone = result if result.outcome == "inconclusive" else None
        evidence += undone is None
        if result.is_find:
            CHOSEN.failed(name, seed)
            small = _smaller(scenario, result)
            if small is None:
                kept = CHOSEN.keep(msgspec.structs.replace(result.tape, digest=result.digest, broken=result.broken))
                raise Broken(result, name, played, kept=kept)
            kept = CHOSEN.keep(small.tape)
            smaller = f", of whose {small.before} faults it takes {small.after}"
            raise Broken(small.result, name, played, smaller=smaller, kept=kept)
    if undone is not None and not evidence:
        raise Broken(undone, name, played)
    CHOSEN.failed(name, None)


def _smaller(scenario: Scenario, found: RunResult) -> Shrunk | None:
    """The failure with what it takes, and no more; None: nobody wants that, or there is nothing to leave out."""
    if not CHOSEN.shrinks or not found.tape.faults:
        return None
    plays = max(SHRINK_PLAYS_MIN, min(SHRINK_PLAYS_MAX, SHRINK_STEPS // max(found.steps, 1)))
    return shrink(scenario, found.tape, plays_max=plays)


def _place(test: SimulatedTest) -> str:
    """Where `load_scenario` finds it; "": nowhere, since it is made by a function or belongs to a class."""
    if not test.__qualname__.isidentifier():
        return ""
    file, here = Path(inspect.getfile(inspect.unwrap(test))), Path.cwd()
    return f"{file.relative_to(here) if file.is_relative_to(here) else file}:{test.__name__}"


def _play_tape(scenario: Scenario, tape: Tape) -> None:
    """Play a tape in the test that it is of.

    Raises:
        TapeError: it is of another test or variant; the message says which test to run with it.
        Broken: something was broken.
    """
    __tracebackhide__ = True
    if tape.scenario != scenario.name:
        raise TapeError(
            f"{CHOSEN.tape_file} is a tape of {tape.scenario}, and this is {scenario.name}: add -k {tape.scenario}, or for a"
            f" scenario, watchcache replay {CHOSEN.tape_file}"
        )
    if tape.variant != VARIANT:
        raise TapeError(
            f"{CHOSEN.tape_file} is of the variant {tape.variant!r} of a scenario, and no @simulate test has one: watchcache replay"
            f" {CHOSEN.tape_file} plays it"
        )
    if tape.operations is not None:
        raise TapeError(
            f"{CHOSEN.tape_file} holds operations, and the test does its own: take a tape that a @simulate test has kept"
        )
    result = play(scenario, tape, keep=True)
    if result.is_find:
        raise Broken(result, scenario.name, 1)


def _ordinal(number: int) -> str:
    if number <= 3:
        return ("first", "second", "third")[number - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
