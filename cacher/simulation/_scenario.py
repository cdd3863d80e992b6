"""A scenario: what there is, what is done to it, who works in it in which variant, what goes wrong by script, what is judged.

`run` plays the script; `hunt` plays the same workload with faults drawn for each seed, and is told nothing of the script.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from ._faults import Fault, Kind
from ._operations import AnyOperation
from ._scale import Scale
from .judges import Judge

if TYPE_CHECKING:
    from ._world import World

JSONObject = dict[str, Any]
Draw = tuple[float, float]
"""A smallest and a greatest value, one of which, or something in between, is drawn for a seed."""

SETTLE_S = 600.0
"""What a world has to converge in once faults stop: many times the longest backoff (60 s), watch (10 min) left aside."""


class Topology(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a world consists of besides its processes. With a pair of numbers, each seed draws its own."""

    servers: int = 2
    ring_capacity: int | tuple[int, int] = (8, 128)
    """Events that the caches keep at first. Kubernetes begins with 100; small ones make a 410 likely."""
    ring_capacity_max: int | tuple[int, int] = (32, 1024)
    latency_s: float | Draw = (0.0, 0.02)
    """Each way between a process and its server."""
    ack_turns_max: int = 3
    """Scheduler turns between a write in the store and its acknowledgement, drawn for each from 1 up to this."""
    compaction_period_s: float = 300.0
    consistency_period_s: float = 0.0
    namespaces: tuple[str, ...] = ("default",)
    definitions: tuple[JSONObject, ...] = ()
    """CustomResourceDefinitions that are there before anything starts."""
    checks_namespaces: bool = True


BREAKING = (Kind.LIE_PROGRESS,)
"""No cache can keep its promises over a store that lies: only on where a scenario asks for it."""

OPT_IN = (Kind.RESTORE_BACKUP,)
"""What a workload is not written for: that what it did is undone. Drawn by `Swarm.restores` alone."""


class Swarm(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a hunt draws from. It names kinds of faults, never a time, an object or an occurrence."""

    kinds: tuple[Kind, ...] = tuple(kind for kind in Kind if kind not in (*BREAKING, *OPT_IN))
    """Which may be on. Each seed turns each of them on or leaves it out."""
    share_on: float = 0.4
    """How likely each kind is to be on."""
    faults_max: int = 12
    """The most that one seed draws."""
    horizon_s: float = 0.0
    """Faults by time are drawn up to here; 0: as long as the workload's waits say."""
    refills: int = 0
    """How often, at most, a cache is kept from its store until that has forgotten what it missed, so that it must list anew.
    These come on top of `faults_max`."""
    restores: float = 0.0
    """How likely it is that the store is restored from a backup, once. Drawn from a stream of its own, on top of all others."""


class Scenario(msgspec.Struct, frozen=True):
    """One story. `workload` is data, or made from a stream of the seed; or an async function of the world."""

    name: str
    title: str
    start: Callable[[World, str], None]
    """Starts processes, given the world and the variant. Called once, before the workload."""
    workload: Sequence[AnyOperation] | Callable[[Random], Sequence[AnyOperation]] | Callable[[World], Awaitable[None]]
    source: str = ""
    guarantee: str = ""
    """What the judges must convict the buggy variant of; "": of nothing."""
    variants: tuple[str, ...] = ("buggy", "fixed")
    topology: Topology = Topology()
    scale: Scale | None = None
    """The size of a scenario that is about size; see `World.scale`."""
    script: tuple[Fault, ...] = ()
    swarm: Swarm = Swarm()
    judges: tuple[Judge, ...] = ()
    """Beyond WORLD_JUDGES."""
    ignores: tuple[str, ...] = ()
    """Guarantees that neither variant promises, with a comment in the scenario that says why."""
    settle_s: float = SETTLE_S
    wants: tuple[str, ...] = ()
    """Sometimes-counts that a run must have met to count as evidence."""
    place: str = ""
    """Where it was found, as `load_scenario` takes it, for tapes to say; "": by its name."""
