"""A state machine of Hypothesis whose rules are what a user and misfortune do to a world, and whose invariants are the judges.

Rules write down; when the steps of an example are over the world is played by them, from beginning to end, and judged. So a rule
cannot look into the world: `start` can, by `world.never`, `world.always` and `world.at_rest`. In return an example is a tape, and
what Hypothesis has made small, a tape that `shrink(Mine.scenario(), tape)` makes smaller still.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, Protocol

import msgspec
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.errors import StopTest, UnsatisfiedAssumption
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from hypothesis.strategies import SearchStrategy

from .._faults import AnyAction, At, Fault, Kind
from .._operations import AnyOperation, JSONObject, Wait
from .._play import RunResult, play
from .._scenario import SETTLE_S, Scenario, Topology
from .._story import explain
from .._tape import Tape
from .._world import World
from ..judges import Judge
from ._fault_strategies import KINDS, actions, faults
from ._strategies import operations

VARIANT = "machine"
SEEDS_MAX = 1 << 16
LASTING_MAX_S = 60


class BrokenWorld(AssertionError):
    """What the rules of a machine did to its world broke a guarantee. The message is its story; `result` has all of it."""

    def __init__(self, machine: type[WorldMachine], result: RunResult) -> None:
        self.result = result
        tape = msgspec.structs.replace(result.tape, digest=result.digest, broken=result.broken)
        kept = msgspec.json.encode(tape).decode()
        again = f"again: play({machine.__name__}.scenario(), Tape.from_json(TAPE)), where TAPE is"
        super().__init__("\n".join(("", *explain(result), again, kept)))


class _Named(Protocol):
    """What a machine's class says of its world."""

    resources: ClassVar[Mapping[str, SearchStrategy[JSONObject]]]
    patches: ClassVar[Mapping[str, SearchStrategy[JSONObject]]]
    processes: ClassVar[Sequence[str]]
    kinds: ClassVar[Sequence[Kind]]
    topology: ClassVar[Topology]


# A strategy is made once for each machine: Hypothesis knows by the object what it has tried.


@functools.cache
def _operations(machine: type[_Named]) -> SearchStrategy[AnyOperation]:
    return operations(machine.resources, patches=machine.patches)


@functools.cache
def _actions(machine: type[_Named]) -> SearchStrategy[AnyAction | None]:
    if not machine.kinds:
        return st.none()
    return actions(
        processes=machine.processes, servers=_servers(machine), resources=tuple(machine.resources), kinds=machine.kinds
    )


@functools.cache
def _faults(machine: type[_Named]) -> SearchStrategy[Fault | None]:
    if not machine.kinds:
        return st.none()
    return faults(
        processes=machine.processes, servers=_servers(machine), resources=tuple(machine.resources), kinds=machine.kinds
    )


def _servers(machine: type[_Named]) -> tuple[str, ...]:
    return tuple(f"api-{number}" for number in range(1, machine.topology.servers + 1))


def _class_of(machine: object) -> Hashable:
    found: object = type(machine)
    assert isinstance(found, Hashable), "every class is"
    return found


class WorldMachine(RuleBasedStateMachine):
    """A world that Hypothesis does things to. Subclass it, say what there is, and have pytest find `Mine.TestCase`.

    The rules that it comes with are `do` (an operation), `strikes` (an action, at once) and `waits_for` (a fault, with its
    trigger); `initialize` draws the seed. Further rules call `do` or `inject` themselves.
    """

    resources: ClassVar[Mapping[str, SearchStrategy[JSONObject]]] = {}
    """What the user writes: see `operations`."""
    patches: ClassVar[Mapping[str, SearchStrategy[JSONObject]]] = {}
    processes: ClassVar[Sequence[str]] = ()
    """The names of what `start` starts: without them only servers and the store are struck."""
    kinds: ClassVar[Sequence[Kind]] = KINDS
    """What may go wrong; (): nothing."""
    topology: ClassVar[Topology] = Topology(ring_capacity=8, ring_capacity_max=32, latency_s=0.002)
    """With a number for everything: a machine draws its faults, and not its servers."""
    judges: ClassVar[Sequence[Judge]] = ()
    """Beyond WORLD_JUDGES."""
    ignores: ClassVar[Sequence[str]] = ()
    settle_s: ClassVar[float] = SETTLE_S
    linger_s: ClassVar[float] = 60.0
    """How long faults go on after the last operation, where there are any: what controllers make of it is then still struck."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = 0
        self.operations: list[AnyOperation] = []
        self.faults: list[Fault] = []
        self.elapsed_s = 0.0
        """How long the operations so far wait."""

    @classmethod
    def start(cls, world: World) -> None:
        """Start the processes, and say what must never be. Called once, before the operations."""

    @classmethod
    def scenario(cls) -> Scenario:
        """The machine as a scenario, by which its tapes are played again."""
        return Scenario(
            name=cls.__name__,
            title=(cls.__doc__ or cls.__name__).strip().partition("\n")[0],
            start=lambda world, _variant: cls.start(world),
            workload=(),
            variants=(VARIANT,),
            topology=cls.topology,
            judges=tuple(cls.judges),
            ignores=tuple(cls.ignores),
            settle_s=cls.settle_s,
        )

    # ---- rules -------------------------------------------------------------------------------------------------------

    @initialize(seed=st.integers(0, SEEDS_MAX - 1))
    def draws(self, seed: int) -> None:
        """The seed of the world: its scheduler, its network, its names."""
        self.seed = seed

    @rule(operation=st.runner().flatmap(lambda machine: _operations(_class_of(machine))))
    def does(self, operation: AnyOperation) -> None:
        """The user does something."""
        self.do(operation)

    @rule(
        action=st.runner().flatmap(lambda machine: _actions(_class_of(machine))),
        for_s=st.integers(1, LASTING_MAX_S).map(float),
    )
    def strikes(self, action: AnyAction | None, for_s: float) -> None:
        """Something goes wrong here, for a while."""
        if action is not None:
            self.inject(Fault(At(self.elapsed_s), action, for_s))

    @rule(fault=st.runner().flatmap(lambda machine: _faults(_class_of(machine))))
    def waits_for(self, fault: Fault | None) -> None:
        """Something will go wrong when its trigger is met, before this or after."""
        if fault is not None:
            self.inject(fault)

    # ---- what rules do -----------------------------------------------------------------------------------------------

    def do(self, operation: AnyOperation) -> None:
        """The next operation."""
        self.operations.append(operation)
        if isinstance(operation, Wait):
            self.elapsed_s += operation.seconds

    def inject(self, fault: Fault) -> None:
        """One more fault."""
        self.faults.append(fault)

    def tape(self) -> Tape:
        """What the rules have written down so far."""
        return Tape(
            scenario=type(self).__name__,
            variant=VARIANT,
            seed=self.seed,
            schedule=self.seed,
            topology=self.topology,
            operations=(*self.operations, Wait(self.linger_s)) if self.faults else tuple(self.operations),
            faults=tuple(self.faults),
            settle_s=self.settle_s,
        )

    def teardown(self) -> None:
        """Play what was written down, and judge it.

        Raises:
            BrokenWorld: a guarantee was broken, or the world did not come to rest.
        """
        if isinstance(sys.exc_info()[1], StopTest | UnsatisfiedAssumption):
            return  # Hypothesis gave the example up halfway
        result = play(self.scenario(), self.tape(), keep=True)
        if result.outcome == "inconclusive":
            event(f"no evidence: {result.facts[0].partition(' s: ')[2] or result.facts[0]}")
        if result.is_find:
            raise BrokenWorld(type(self), result)
