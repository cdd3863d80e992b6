"""A tape: everything that a run depends on, as JSON. Made from a seed, made smaller by a shrinker, played by `play`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import msgspec

from ._determinism import Streams
from ._faults import Fault
from ._operations import AnyOperation
from ._scenario import Scenario, Topology
from ._swarm import Setting, draw_faults, draw_topology, horizon_of

VERSION = 1


class TapeError(ValueError):
    """A tape that cannot be played: the text says what to correct."""


class Tape(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run before it is played. Change it with `msgspec.structs.replace`."""

    scenario: str
    variant: str
    seed: int
    schedule: int
    """Seeds the scheduler's dice: a number of its own, so that it can be made smaller by itself."""
    topology: Topology
    operations: tuple[AnyOperation, ...] | None = None
    """None: the workload is an async function, and its operations are numbered as it does them."""
    skipped: tuple[int, ...] = ()
    """Operations that are left out, by number from 0."""
    faults: tuple[Fault, ...] = ()
    settle_s: float = 600.0
    digest: str = ""
    """What the run came to when the tape was kept; "" where nobody knows."""
    broken: tuple[str, ...] = ()
    """Guarantees that were broken then."""
    version: int = VERSION

    @classmethod
    def draw(cls, scenario: Scenario, seed: int, variant: str, *, hunting: bool = True) -> Tape:
        """The tape of a seed. `hunting`: faults come from the swarm; else from the scenario's script.

        Raises:
            ValueError: the scenario has no such variant.
        """
        if variant not in scenario.variants:
            raise ValueError(f"{scenario.name} has no variant {variant!r}: choose one of {', '.join(scenario.variants)}")
        streams = Streams(seed)
        topology = draw_topology(scenario.topology, streams.stream("topology"))
        operations = operations_of(scenario, streams)
        faults: Sequence[Fault] = scenario.script
        if hunting:
            setting = Setting.of(topology, scenario, operations)
            horizon_s = scenario.swarm.horizon_s or horizon_of(operations)
            faults = draw_faults(streams.stream("faults"), scenario.swarm, setting, horizon_s)
        return cls(
            scenario=scenario.name,
            variant=variant,
            seed=seed,
            schedule=seed,
            topology=topology,
            operations=operations,
            faults=tuple(faults),
            settle_s=scenario.settle_s,
        )

    def to_json(self) -> str:
        """The tape as text."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Tape:
        """The tape that `to_json` wrote.

        Raises:
            TapeError: it is none, or of a newer version.
        """
        try:
            tape = msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise TapeError(f"this is no tape: {error}") from error
        if tape.version != VERSION:
            raise TapeError(f"this tape is of version {tape.version}, and {VERSION} is played here: record it anew")
        return tape


def operations_of(scenario: Scenario, streams: Streams) -> tuple[AnyOperation, ...] | None:
    """The scenario's workload for a seed; None where it is an async function."""
    workload: Any = scenario.workload
    if not callable(workload):
        return tuple(workload)
    if inspect.iscoroutinefunction(workload):
        return None
    return tuple(workload(streams.stream("workload")))
