"""Hunting: seed after seed, in several processes, until a guarantee is broken, or seeds or time are used up.

    hunt ─ forks ─► worker k plays the seeds k, k + jobs, k + 2 jobs, … ─ a Trophy each ─► hunt takes them in the order of seeds

What is found does not depend on how many processes look for it: the find is the lowest seed that breaks what is looked for.
The one file, with the meter, that reads the real clock: a hunt has a time of its own to keep.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from ._play import NO_FINDS, RunResult, check_variant, run_seed
from ._scenario import Scenario
from ._tape import Tape

POLL_S = 0.2


class Trophy(msgspec.Struct, frozen=True):
    """What one seed came to, small enough to be sent."""

    seed: int
    outcome: str
    broken: tuple[str, ...]
    facts: tuple[str, ...]
    digest: str
    sometimes: dict[str, int]
    steps: int
    virtual_s: float
    checks: dict[str, int] = msgspec.field(default_factory=dict)
    """Of each guarantee, how many were made."""
    tape: str = ""
    """As JSON, where something was found."""
    failure: str = ""

    @property
    def is_find(self) -> bool:
        """Whether something is wrong."""
        return self.outcome not in NO_FINDS

    def load(self) -> Tape:
        """The tape of a find."""
        return Tape.from_json(self.tape)


class HuntResult(msgspec.Struct):
    """What a hunt came to."""

    scenario: str
    variant: str
    seeds: int = 0
    """Played, from the first one on without a gap."""
    seconds: float = 0.0
    found: Trophy | None = None
    """The first seed that broke what was looked for."""
    others: list[Trophy] = msgspec.field(default_factory=list)
    """Seeds up to there that broke something else, the first few."""
    others_count: int = 0
    inconclusive: int = 0
    """Seeds that broke nothing and are no evidence: their users gave up, or what the scenario wants to have met was not met."""
    sometimes: dict[str, int] = msgspec.field(default_factory=dict)
    """What was met in all seeds together."""
    checks: dict[str, int] = msgspec.field(default_factory=dict)
    """Of each guarantee, how many were made in all seeds together."""
    steps: int = 0
    virtual_s: float = 0.0

    def line(self, guarantee: str = "") -> str:
        """The one line that tells it."""
        if self.found is not None:
            what = guarantee if guarantee in self.found.broken else ", ".join(self.found.broken) or self.found.outcome
            return f"found: {what} after {self.seeds} seeds, {self.seconds:.1f} seconds, seed {self.found.seed}"
        if self.seeds and self.inconclusive == self.seeds:
            return f"inconclusive: none of {self.seeds} seeds is evidence, {self.seconds:.1f} seconds"
        besides = f" ({self.inconclusive} inconclusive)" if self.inconclusive else ""
        return f"clean: {self.seeds} seeds{besides}, {self.seconds:.1f} seconds"


OTHERS_KEPT = 20


def hunt(
    scenario: Scenario,
    variant: str,
    *,
    seeds: int,
    first_seed: int = 0,
    jobs: int = 1,
    budget_s: float = float("inf"),
    until: str | None = None,
    on_seed: Callable[[HuntResult], None] | None = None,
) -> HuntResult:
    """Play seeds until one breaks something, or all are played, or `budget_s` is used up.

    Args:
        seeds: how many, from `first_seed` on.
        jobs: processes. Where the system cannot fork there is one.
        until: stop only at this guarantee; "": at anything that is wrong; None: at the scenario's own in its first variant,
            and at anything in the others.
        on_seed: told after each seed how far the hunt is.
    Raises:
        ValueError: no such variant, or nothing to do.
    """
    if seeds < 1 or jobs < 1:
        raise ValueError(f"seeds is {seeds} and jobs {jobs}: choose at least one of each")
    check_variant(scenario, variant)
    if until is None:
        until = scenario.guarantee if variant == scenario.variants[0] and len(scenario.variants) > 1 else ""
    result = HuntResult(scenario.name, variant)
    began_s = time.monotonic()
    for trophy in _trophies(scenario, variant, range(first_seed, first_seed + seeds), jobs, began_s + budget_s):
        _add(result, trophy)
        result.seconds = time.monotonic() - began_s
        if on_seed is not None:
            on_seed(result)
        if trophy.is_find and (not until or until in trophy.broken):
            result.found = trophy
            break
        if trophy.is_find:
            result.others_count += 1
            if len(result.others) < OTHERS_KEPT:
                result.others.append(trophy)
    result.seconds = time.monotonic() - began_s
    return result


def _add(result: HuntResult, trophy: Trophy) -> None:
    result.seeds += 1
    result.inconclusive += trophy.outcome == "inconclusive"
    result.steps += trophy.steps
    result.virtual_s += trophy.virtual_s
    for name, number in trophy.checks.items():
        result.checks[name] = result.checks.get(name, 0) + number
    for name, number in trophy.sometimes.items():
        result.sometimes[name] = result.sometimes.get(name, 0) + number


def trophy_of(result: RunResult) -> Trophy:
    """What is sent of a result."""
    is_find = result.is_find
    tape = msgspec.structs.replace(result.tape, digest=result.digest, broken=result.broken)
    return Trophy(
        seed=result.tape.seed,
        outcome=result.outcome,
        broken=result.broken,
        facts=result.facts,
        digest=result.digest,
        sometimes=result.sometimes,
        steps=result.steps,
        virtual_s=result.virtual_s,
        checks={verdict.name: verdict.checks for verdict in result.verdicts},
        tape=tape.to_json() if is_find else "",
        failure=result.failure,
    )


def _trophies(scenario: Scenario, variant: str, seeds: range, jobs: int, deadline_s: float) -> Iterator[Trophy]:
    """In the order of the seeds, until time is up."""

    def one(number: int) -> bytes:
        return msgspec.msgpack.encode(trophy_of(run_seed(scenario, seeds[number], variant)))

    for raw in spread(one, len(seeds), jobs, deadline_s=deadline_s):
        yield msgspec.msgpack.decode(raw, type=Trophy)


def spread(
    one: Callable[[int], bytes], number: int, jobs: int = 1, *, deadline_s: float = float("inf")
) -> Iterator[bytes]:
    """`one(0)`, `one(1)`, …, made in `jobs` processes that are forks of this one, in order, until `deadline_s`.

    Args:
        deadline_s: on the real, monotonic clock.
    Raises:
        RuntimeError: a process ended before its work did.
    """
    jobs = min(jobs, number)
    if jobs <= 1 or "fork" not in multiprocessing.get_all_start_methods():
        for each in range(number):
            if time.monotonic() >= deadline_s:
                return
            yield one(each)
        return
    with _Pack(one, number, jobs) as pack:
        yield from pack.answers(deadline_s)


class _Pack:
    """The processes that share a work; number k of them does k, k + jobs, …. They end with the block."""

    def __init__(self, one: Callable[[int], bytes], number: int, jobs: int) -> None:
        self._number = number
        context = multiprocessing.get_context("fork")
        self._ends: list[Connection] = []
        self._processes: list[Any] = []
        for offset in range(jobs):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(one, range(offset, number, jobs), theirs), daemon=True)
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)

    def __enter__(self) -> _Pack:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process, end in zip(self._processes, self._ends, strict=True):
            process.join()
            end.close()

    def answers(self, deadline_s: float) -> Iterator[bytes]:
        """In order. Each worker answers in its own order, so the next one is always at the end of its own pipe."""
        for each in range(self._number):
            end = self._ends[each % len(self._ends)]
            while not end.poll(POLL_S):
                if time.monotonic() >= deadline_s:
                    return
            try:
                yield end.recv_bytes()
            except EOFError:
                raise RuntimeError(f"the process of number {each} ended: do it in this process to see why") from None


def _work(one: Callable[[int], bytes], numbers: range, end: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the hunter's, who ends this process
    with suppress(BrokenPipeError):
        for number in numbers:
            end.send_bytes(one(number))
    end.close()
