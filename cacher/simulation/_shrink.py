"""Shrinking: a tape that fails, made as small as it gets while it fails in the same way.

    scale ─► faults ─► operations ─► details of both ─► the world ─► schedule, and again while anything became smaller

Each candidate is played; it is kept where it breaks the same guarantee. Lists are halved first, then their halves.
Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (ddmin).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from ._faults import Fault
from ._operations import AnyOperation
from ._play import RunResult, play
from ._scale import FIGURES, smaller_scales
from ._scenario import Scenario
from ._simpler import simpler_faults, simpler_operations
from ._tape import Tape

T = TypeVar("T")

PLAYS_MAX = 500
"""Candidates that are played at most: a minute or so of runs."""


class NothingToShrink(ValueError):
    """The tape breaks nothing, or not what it was to be shrunk for: there is nothing to keep while it is made smaller."""


class Shrunk(msgspec.Struct, frozen=True):
    """What shrinking came to."""

    tape: Tape
    """With its digest, and what it breaks."""
    guarantee: str
    plays: int
    before: int
    """Operations and faults of the tape that was given."""
    result: RunResult
    """Of `tape`, with its history."""

    @property
    def after(self) -> int:
        """Operations and faults that are left."""
        return size(self.tape)


def size(tape: Tape) -> int:
    """Operations and faults of a tape; of a workload that is a function, its faults alone."""
    return len(tape.operations or ()) - len(tape.skipped) + len(tape.faults)


def shrink(
    scenario: Scenario,
    tape: Tape,
    *,
    guarantee: str = "",
    plays_max: int = PLAYS_MAX,
    on_play: Callable[[int, Tape], None] | None = None,
) -> Shrunk:
    """The smallest tape that was found to break `guarantee` as `tape` does.

    Args:
        guarantee: what must stay broken; the first that `tape` breaks, or its outcome where it breaks none by name.
        on_play: told before each candidate is played: the how manieth it is, and the smallest so far that fails.
    Raises:
        NothingToShrink: `tape` does not break it.
    """
    return _Shrinker(scenario, guarantee, plays_max, on_play).run(tape)


class _Shrinker:
    def __init__(
        self, scenario: Scenario, guarantee: str, plays_max: int, on_play: Callable[[int, Tape], None] | None
    ) -> None:
        self._scenario = scenario
        self._guarantee = guarantee
        self._plays_max = plays_max
        self._on_play = on_play
        self._plays = 0
        self._best: Tape | None = None
        """The smallest so far that fails; none before the first was played."""
        self._known: set[bytes] = set()

    def run(self, tape: Tape) -> Shrunk:
        first = self._play(tape)
        names = (*first.broken, *((first.outcome,) if first.is_find else ()))
        self._guarantee = self._guarantee or next(iter(names), "")
        if self._guarantee not in names or not self._guarantee:
            wanted = f"does not break {self._guarantee}" if self._guarantee else "breaks nothing"
            raise NothingToShrink(f"this tape {wanted}: it comes to {first.outcome} ({', '.join(names) or 'all held'})")
        best = tape = self._best = msgspec.structs.replace(tape, digest="", broken=())
        while self._plays < self._plays_max:
            for step in (self._scale, self._faults, self._operations, self._details, self._world):
                best = step(best)
            if best == tape:
                break
            tape = best
        result = play(self._scenario, best, keep=True)
        kept = msgspec.structs.replace(best, digest=result.digest, broken=result.broken)
        return Shrunk(kept, self._guarantee, self._plays, size(first.tape), result)

    def _scale(self, tape: Tape) -> Tape:
        """Clients, objects and rate first: what is small is played quickly."""
        if tape.scale is None:
            return tape
        for figure in FIGURES:
            assert tape.scale is not None, "a smaller one is one"
            smaller = smaller_scales(tape.scale, figure)
            tape = self._first(tape, [msgspec.structs.replace(tape, scale=scale) for scale in smaller])
        return tape

    def _faults(self, tape: Tape) -> Tape:
        def without(faults: Sequence[Fault]) -> Tape:
            return msgspec.structs.replace(tape, faults=tuple(faults))

        return without(self._fewest(tape.faults, lambda faults: self._fails(without(faults))))

    def _operations(self, tape: Tape) -> Tape:
        if tape.operations is None:
            return tape
        left = [one for number, one in enumerate(tape.operations) if number not in tape.skipped]

        def with_only(operations: Sequence[AnyOperation]) -> Tape:
            return msgspec.structs.replace(tape, operations=tuple(operations), skipped=())

        return with_only(self._fewest(left, lambda operations: self._fails(with_only(operations))))

    def _details(self, tape: Tape) -> Tape:
        """Waits and faults simpler in themselves, one detail after the other for as long as that helps."""
        for number in range(len(tape.operations or ())):
            tape = self._simplest(tape, partial(_with_simpler_operation, number=number))
        for number in range(len(tape.faults)):
            tape = self._simplest(tape, partial(_with_simpler_fault, number=number))
        return tape

    def _world(self, tape: Tape) -> Tape:
        simplest = {"latency_s": 0.0, "ack_turns_max": 1, "ring_capacity": 100, "ring_capacity_max": 1024}
        for name, value in simplest.items():
            if getattr(tape.topology, name) != value:
                tape = self._first(tape, [_with_topology(tape, **{name: value})])
        fewer = range(1, tape.topology.servers)
        tape = self._first(tape, (_with_topology(tape, servers=servers) for servers in fewer))
        return self._first(
            tape, (msgspec.structs.replace(tape, schedule=number) for number in range(min(tape.schedule, 3)))
        )

    # ---- how ---------------------------------------------------------------------------------------------------------

    def _first(self, tape: Tape, candidates: Iterator[Tape] | Sequence[Tape]) -> Tape:
        """The first candidate that fails; else `tape`."""
        return next((candidate for candidate in candidates if self._fails(candidate)), tape)

    def _simplest(self, tape: Tape, candidates: Callable[[Tape], Iterator[Tape]]) -> Tape:
        """The first candidate that fails, of that one again the first, until none does."""
        while (simpler := self._first(tape, candidates(tape))) != tape:
            tape = simpler
        return tape

    def _fewest(self, items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
        """A part of `items` that still fails, none of which can be left out by itself."""
        parts = 2
        while items:
            length = max(1, -(-len(items) // parts))
            chunks = range(0, len(items), length)
            for start in chunks:
                rest = [*items[:start], *items[start + length :]]
                if fails(rest):
                    items, parts = rest, max(parts - 1, 2)
                    break
            else:
                if length == 1:
                    return items
                parts = min(2 * parts, len(items))
        return items

    def _fails(self, tape: Tape) -> bool:
        key = msgspec.msgpack.encode(tape)
        if key in self._known or self._plays >= self._plays_max:
            return False  # what failed has been kept, so this one did not
        self._known.add(key)
        result = self._play(tape)
        if self._guarantee in result.broken or self._guarantee == result.outcome:
            self._best = tape
            return True
        return False

    def _play(self, tape: Tape) -> RunResult:
        self._plays += 1
        if self._on_play is not None:
            self._on_play(self._plays, self._best or tape)
        return play(self._scenario, tape, stops_at=(self._guarantee,) if self._guarantee else ())


def _with_simpler_operation(tape: Tape, number: int) -> Iterator[Tape]:
    operations = tape.operations or ()
    for simpler in simpler_operations(operations[number]):
        yield msgspec.structs.replace(tape, operations=(*operations[:number], simpler, *operations[number + 1 :]))


def _with_simpler_fault(tape: Tape, number: int) -> Iterator[Tape]:
    for simpler in simpler_faults(tape.faults[number]):
        yield msgspec.structs.replace(tape, faults=(*tape.faults[:number], simpler, *tape.faults[number + 1 :]))


def _with_topology(tape: Tape, **changed: object) -> Tape:
    return msgspec.structs.replace(tape, topology=msgspec.structs.replace(tape.topology, **changed))
