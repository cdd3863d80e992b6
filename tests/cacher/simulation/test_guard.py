"""A program that uses the real clock, module-level chance or threads in a simulation is stopped, and named."""

from __future__ import annotations

import random
import threading
import time
import uuid
from random import randint
from time import monotonic

import pytest
import trio

from cacher.simulation import NotSimulated, Scenario, Site, Topology, Wait, World, run_seed
from cacher.simulation._guard import guarded


def nothing() -> None:
    return


OFFENCES = {
    "time.time": lambda: time.time(),  # noqa: PLW0108 - looked up when it is called
    "time.sleep": lambda: time.sleep(0),
    "time.monotonic by a name of its own": lambda: monotonic(),  # noqa: PLW0108 - looked up when it is called
    "random.random": lambda: random.random(),  # noqa: PLW0108 - looked up when it is called
    "random.randint by a name of its own": lambda: randint(1, 6),
    "uuid.uuid4": lambda: uuid.uuid4(),  # noqa: PLW0108 - looked up when it is called
    "threading.Thread.start": lambda: threading.Thread(target=nothing).start(),
}


@pytest.mark.parametrize("call", OFFENCES)
def test_what_cannot_be_repeated_is_refused_with_its_name_and_place(call: str):
    with guarded(__name__) as refusals, pytest.raises(NotSimulated) as refused:
        OFFENCES[call]()
    name = call.removesuffix(" by a name of its own")
    assert refused.value.call == name
    assert refused.value in refusals
    assert "test_guard.py:" in refused.value.where
    assert f"calls {name}, which no simulation can repeat: " in str(refused.value)


@pytest.mark.parametrize("call", OFFENCES)
def test_outside_of_a_run_everything_is_as_it_was(call: str):
    before = (time.time, random.random, uuid.uuid4, threading.Thread.start, monotonic, trio.to_thread.run_sync)
    with guarded(__name__):
        pass
    assert before == (time.time, random.random, uuid.uuid4, threading.Thread.start, monotonic, trio.to_thread.run_sync)
    OFFENCES[call]()


def test_a_generator_of_ones_own_and_the_library_are_let_through():
    with guarded(__name__) as refusals:
        assert random.Random(7).random() == random.Random(7).random()
        assert uuid.UUID(int=5).int == 5
        import logging

        logging.getLogger("quiet").warning("a record takes the time")
    assert refusals == []


def offend_in(call: str) -> Scenario:
    async def careless(site: Site) -> None:
        OFFENCES[call]()

    def start(world: World, variant: str) -> None:
        world.start(careless, name="careless")

    return Scenario(
        name="careless",
        title="",
        start=start,
        workload=[Wait(1.0)],
        variants=("only",),
        topology=Topology(latency_s=0.0),
    )


@pytest.mark.parametrize("call", OFFENCES)
def test_a_run_of_an_offending_program_is_stopped_and_says_who_did_what(call: str):
    result = run_seed(offend_in(call), 0, "only", hunting=False)
    assert result.outcome == "stopped"
    assert f"calls {call.removesuffix(' by a name of its own')}," in result.facts[0]


def test_an_offence_that_a_controller_contains_stops_the_run_all_the_same():
    """A reconcile that raises is tried again: without a word, a run would go on that nobody can repeat."""

    async def hides_it(site: Site) -> None:
        try:
            time.time()
        except RuntimeError:
            return

    def start(world: World, variant: str) -> None:
        world.start(hides_it, name="hides it")

    scenario = Scenario(name="hidden", title="", start=start, workload=[Wait(1.0)], variants=("only",))
    assert run_seed(scenario, 0, "only", hunting=False).outcome == "stopped"
