"""A campaign: all plans of one scenario, played, and compared with the run in which nothing went wrong.

reference, twice ─► what they do not agree on is the controllers' own chance
                └─► derive_plans ─► each played, in several processes ─► judged; end states and counts compared
"""

from __future__ import annotations

import time

import msgspec

from ._acts import EndState
from ._end_state import agreed
from ._hunt import spread
from ._plans import Plan, derive_plans
from ._play import NO_FINDS, RunResult, draw, play
from ._scenario import Scenario
from ._tape import Tape
from .judges import difference

DIFFERENCES_KEPT = 10
QUIET_LATENCY_S = 0.001
"""Of a campaign: so that what follows from what comes after it, and plans meet what the reference showed."""


class PlanResult(msgspec.Struct, frozen=True):
    """What one plan came to."""

    plan: Plan
    outcome: str
    broken: tuple[str, ...]
    differences: tuple[str, ...]
    """Between its end and the reference's, in words."""
    met: int
    """How many of its faults were: a plan of which none was says nothing."""
    digest: str
    tape: str = ""

    @property
    def is_find(self) -> bool:
        """Whether something is wrong."""
        return self.outcome not in NO_FINDS or bool(self.differences)


class CampaignResult(msgspec.Struct):
    """What all came to."""

    scenario: str
    variant: str
    plans: int
    results: list[PlanResult]
    unstable: tuple[str, ...]
    """What two faultless runs did not agree on: not compared."""
    seconds: float

    @property
    def inconclusive(self) -> list[PlanResult]:
        """The plans under which the workload was not done: they show nothing."""
        return [result for result in self.results if result.outcome == "inconclusive" and not result.is_find]

    @property
    def finds(self) -> list[PlanResult]:
        """The plans under which something is wrong."""
        return [result for result in self.results if result.is_find]


def reference_of(scenario: Scenario, variant: str, seed: int = 0) -> tuple[Tape, RunResult, EndState]:
    """The faultless run of a seed, and its end state, with what a second one does not agree on marked.

    Raises:
        RuntimeError: something is wrong without any fault; the message says what.
    """
    tape = draw(scenario, seed, variant, hunting=False)
    calm = msgspec.structs.replace(
        tape, faults=(), topology=msgspec.structs.replace(tape.topology, latency_s=QUIET_LATENCY_S)
    )
    first = play(scenario, calm, keep=True)
    if first.outcome != "held":
        told = [violation.message for verdict in first.verdicts for violation in verdict.violations[:1]]
        raise RuntimeError(f"{scenario.name} {variant} is {first.outcome} without a fault: {(*first.facts, *told)[:3]}")
    second = play(scenario, msgspec.structs.replace(calm, schedule=calm.schedule + 1), keep=True)
    ends = [result.history.acts.end_state for result in (first, second) if result.history is not None]
    one, other = ends
    assert one is not None, "a run that is kept has its end state"
    assert other is not None, "a run that is kept has its end state"
    return calm, first, agreed(one, other)


def campaign(
    scenario: Scenario, variant: str, *, seed: int = 0, jobs: int = 1, plans_max: int | None = None
) -> CampaignResult:
    """Derive all plans and play them.

    Args:
        plans_max: only the first so many.
    Raises:
        RuntimeError: see `reference_of`.
    """
    began_s = time.monotonic()
    tape, first, reference = reference_of(scenario, variant, seed)
    assert first.history is not None, "it was kept"
    servers = [f"api-{number}" for number in range(1, tape.topology.servers + 1)]
    plans = derive_plans(first.history, server=servers[-1])[:plans_max]

    def one(number: int) -> bytes:
        return msgspec.msgpack.encode(_played(scenario, tape, plans[number], reference))

    results = [msgspec.msgpack.decode(raw, type=PlanResult) for raw in spread(one, len(plans), jobs)]
    return CampaignResult(scenario.name, variant, len(plans), results, reference.unstable, time.monotonic() - began_s)


def _played(scenario: Scenario, tape: Tape, plan: Plan, reference: EndState) -> PlanResult:
    result = play(
        scenario, msgspec.structs.replace(tape, faults=plan.faults), keep=True, reference=reference, plan=plan.pattern
    )
    assert result.history is not None, "it was to be kept"
    acts = result.history.acts
    differences: tuple[str, ...] = ()
    if acts.end_state is not None and acts.phases.settled_s is not None:
        differences = tuple(difference(reference, acts.end_state)[:DIFFERENCES_KEPT])
    is_find = result.is_find or bool(differences)
    kept = msgspec.structs.replace(result.tape, digest=result.digest, broken=result.broken)
    return PlanResult(
        plan,
        result.outcome,
        result.broken,
        differences,
        len(acts.faults),
        result.digest,
        kept.to_json() if is_find else "",
    )
