"""Simulated worlds: how much of them a second of this machine plays, and how many plans of a Sieve-like campaign a minute.

world      two servers, a user who writes ConfigMaps, and so many processes that each keep a copy
campaign   the plans derived from faultless runs of all shipped scenarios, each a world of its own, played and judged
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from random import Random

import msgspec
import trio

from cacher.simulation import (
    AnyOperation,
    Create,
    Delete,
    Patch,
    RunResult,
    Scenario,
    Site,
    Topology,
    Wait,
    World,
    campaign,
    draw,
    load_scenario,
    play,
    shipped_scenarios,
)

CONFIG_MAPS = "v1/configmaps"
CLIENTS = (1, 20, 100)
WRITES = 1_000
NAMES = 40
SIEVE_PLANS = 2_380
SIEVE_HOURS = 316
"""What Sieve's evaluation played, and how long machines took for it. Source: Sun et al., OSDI 2022."""
JOBS = 2


class Worlds(msgspec.Struct, frozen=True):
    """A world of so many clients."""

    clients: int
    writes: int = WRITES

    @property
    def name(self) -> str:
        return f"worlds, {self.clients} client{'s' if self.clients > 1 else ''}"


class Plans(msgspec.Struct, frozen=True):
    """All plans of all shipped scenarios' buggy variants, seed after seed, until so many have been played."""

    plans: int = SIEVE_PLANS
    jobs: int = JOBS

    @property
    def name(self) -> str:
        return f"worlds, {self.plans:,} plans"


class WorldSpeed(msgspec.Struct, frozen=True):
    """One world, played and judged."""

    virtual_s: float
    steps: int
    """Times that some task ran, from one await to the next. Counted in a run that is not timed."""
    cpu_s: float
    """Of it all, the judges included."""


class PlanSpeed(msgspec.Struct, frozen=True):
    """One campaign. What it took to derive the plans, two faultless runs a scenario and seed, is in its time."""

    plans: int
    finds: int
    seconds: float
    cpu_s: float
    """Of all processes together."""


def world_cases(*, quick: bool = False) -> Iterator[Worlds]:
    """The worlds. `quick`: a tenth of the writes."""
    for clients in CLIENTS:
        yield Worlds(clients, WRITES // 10 if quick else WRITES)


def plan_cases(*, quick: bool = False) -> Iterator[Plans]:
    """The campaigns. `quick`: a tenth of the plans."""
    yield Plans(SIEVE_PLANS // 10 if quick else SIEVE_PLANS)


class _Steps(trio.abc.Instrument):
    """Counts how often a task ran."""

    def __init__(self) -> None:
        self.count = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


def measure_world(case: Worlds, *, seed: int = 0) -> WorldSpeed:
    """Play a seed's world twice, once to count its steps and once for the time."""
    steps = _Steps()
    counted = _played(case, seed, steps)
    began = time.process_time()
    timed = _played(case, seed, None)
    seconds = time.process_time() - began
    assert counted.digest == timed.digest, "counting steps must not move them"
    return WorldSpeed(timed.virtual_s, steps.count, seconds)


def _played(case: Worlds, seed: int, steps: _Steps | None) -> RunResult:
    def start(world: World, _variant: str) -> None:
        if steps is not None:
            trio.lowlevel.add_instrument(steps)
        for number in range(case.clients):
            world.start(_read, name=f"client-{number}", server=f"api-{number % 2 + 1}")

    scenario = Scenario(
        name="bench-world",
        title="clients that each keep a copy",
        start=start,
        workload=lambda random: workload(random, case.writes),
        variants=("bench",),
        topology=Topology(ring_capacity=100, ring_capacity_max=1000, latency_s=0.002),
    )
    result = play(scenario, draw(scenario, seed, "bench", hunting=False))
    assert result.outcome == "held", result.facts
    return result


async def _read(site: Site) -> None:
    """A client: an informer on all ConfigMaps, for ever."""
    informers = site.informers()
    informers.informer("v1", "configmaps")
    await informers.run()


def workload(random: Random, writes: int) -> list[AnyOperation]:
    """Half of all writes change an object that is there, the others make one or remove one; one a tenth of a second."""
    alive: list[str] = []
    operations: list[AnyOperation] = []
    for number in range(writes):
        name = f"map-{number}"
        dice = random.random()
        if len(alive) < NAMES // 4 or (dice < 0.25 and len(alive) < NAMES):
            alive.append(name)
            body = {"metadata": {"name": name, "namespace": "default"}, "data": {"n": str(number)}}
            operations.append(Create(CONFIG_MAPS, body))
        elif dice < 0.75:
            operations.append(Patch(CONFIG_MAPS, random.choice(alive), {"data": {"n": str(number)}}, "default"))
        else:
            operations.append(Delete(CONFIG_MAPS, alive.pop(random.randrange(len(alive))), "default"))
        operations.append(Wait(0.1))
    return operations


def measure_plans(case: Plans) -> PlanSpeed:
    """Derive plans and play them, each scenario's in `case.jobs` processes."""
    scenarios = [load_scenario(name) for name in shipped_scenarios()]
    plans = finds = seed = 0
    began, began_cpu = time.perf_counter(), _cpu_s()
    while plans < case.plans:
        for scenario in scenarios:
            result = campaign(scenario, "buggy", seed=seed, jobs=case.jobs, plans_max=case.plans - plans)
            plans, finds = plans + result.plans, finds + len(result.finds)
        seed += 1
    return PlanSpeed(plans, finds, time.perf_counter() - began, _cpu_s() - began_cpu)


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
