from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import types
from pathlib import Path
from random import Random

import pytest
import trio
import trio._core._run as trio_run
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.simulation import _determinism
from cacher.simulation._determinism import derive_seed, run_deterministic, streams

ROOT = Path(__file__).parents[3]


class ScheduleHash(trio.abc.Instrument):
    """Which task ran when, in order."""

    def __init__(self) -> None:
        self.hash = hashlib.blake2b(digest_size=16)
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        name = task.name.rpartition(".")[2]  # the module is called otherwise in another process
        self.hash.update(f"{name} {trio.current_time()!r}\n".encode())
        self.steps += 1


async def busy_world(random: Random) -> list[str]:
    """Tasks that meet in every way that trio orders by chance or by address: batches, equal deadlines, cancelled scopes."""
    log: list[str] = []
    send, receive = trio.open_memory_channel[str](3)
    gate, lock = trio.Event(), trio.Lock()

    async def worker(name: str) -> None:
        for turn in range(5):
            await trio.sleep(random.choice((0.0, 0.5, 1.0)))
            async with lock:
                log.append(f"{name} {turn} {trio.current_time()}")
                await trio.lowlevel.checkpoint()
            with trio.move_on_after(0.5):
                await send.send(name)
            with trio.move_on_after(1.0):
                await gate.wait()

    async def reader() -> None:
        async for name in receive:
            log.append(f"got {name}")
            if len(log) > 40:
                gate.set()

    async with trio.open_nursery() as outer:
        for _ in range(3):
            outer.start_soon(reader)
        async with trio.open_nursery() as inner:
            for number in range(12):
                inner.start_soon(worker, f"w{number}", name=f"w{number}")
        outer.cancel_scope.cancel()
    return log


def schedule(seed: int, *, world_seed: int = 1) -> tuple[str, list[str]]:
    instrument = ScheduleHash()
    log = run_deterministic(busy_world, Random(world_seed), seed=seed, instruments=[instrument])
    assert instrument.steps > 100
    return instrument.hash.hexdigest(), log


# --- the canary -----------------------------------------------------------------------------------------------------

CANARY = """
import random, sys
sys.path[:0] = [{root!r}, {here!r}]
# Another heap layout in each process: sets of tasks are ordered by address, and that must not show.
ballast = [bytearray(random.SystemRandom().randrange(16, 4096)) for _ in range(2000)]
del ballast[::2]
import test_determinism
print(test_determinism.schedule(7)[0])
"""


@pytest.mark.slow
@pytest.mark.determinism
def test_one_seed_is_one_schedule_in_every_process():
    """Under other hash seeds and other heap layouts; if this fails, trio's private scheduling has changed."""
    program = CANARY.format(root=str(ROOT), here=str(Path(__file__).parent))
    found = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2", "random")
    ]
    assert {*found, schedule(7)[0]} == {found[0]}


@pytest.mark.determinism
def test_one_seed_is_one_schedule_and_another_seed_another():
    assert schedule(7) == schedule(7)
    assert len({schedule(seed)[0] for seed in range(10)}) == 10


def test_without_the_switch_the_canary_would_sing(monkeypatch):
    """The dice alone do not make a schedule: the canary's world is one that tells the difference."""
    monkeypatch.setattr(_determinism, "_SWITCH", "_no_such_switch")
    monkeypatch.setattr(trio_run, "_no_such_switch", False, raising=False)
    monkeypatch.setattr(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", False)
    assert len({schedule(7)[0] for _ in range(20)}) > 1


@given(st.integers())
@settings(max_examples=10)
def test_the_seed_counts_also_where_hypothesis_has_seeded_trio_itself(other):
    before = schedule(7)[0]
    trio_run._r.seed(other)
    assert schedule(7)[0] == before


# --- leaving no trace -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("switch", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_a_run_leaves_trio_as_it_was(monkeypatch, switch, fails):
    monkeypatch.setattr(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", switch)
    trio_run._r.seed(99)
    before = trio_run._r.getstate()

    async def main():
        assert trio_run._ALLOW_DETERMINISTIC_SCHEDULING is True
        await trio.sleep(1)
        if fails:
            raise ZeroDivisionError

    if fails:
        with pytest.raises(ZeroDivisionError):
            run_deterministic(main, seed=1)
    else:
        run_deterministic(main, seed=1)
    assert trio_run._ALLOW_DETERMINISTIC_SCHEDULING is switch
    assert trio_run._r.getstate() == before


def test_an_hour_of_sleep_costs_nothing_and_the_result_is_returned():
    async def main(a, b):
        start = trio.current_time()
        await trio.sleep(3600)
        return a + b, trio.current_time() - start

    assert run_deterministic(main, 1, 2, seed=0) == (3, 3600)


@pytest.mark.parametrize("broken", ["_ALLOW_DETERMINISTIC_SCHEDULING", "_r"])
def test_another_trio_is_refused_by_name_and_version(monkeypatch, broken):
    other = types.SimpleNamespace(_ALLOW_DETERMINISTIC_SCHEDULING=False, _r=Random())
    delattr(other, broken)
    monkeypatch.setattr(_determinism, "trio_run", other)
    with pytest.raises(
        ImportError, match=rf"trio {trio.__version__} .*_ALLOW_DETERMINISTIC_SCHEDULING.*constraints\.txt"
    ):
        _determinism._check_trio()


# --- streams --------------------------------------------------------------------------------------------------------


def draws(seed, name, count=5):
    stream = streams(seed).stream(name)
    return [stream.random() for _ in range(count)]


def test_a_stream_is_the_same_for_the_same_seed_and_name_alone():
    assert draws(7, "clients") == draws(7, "clients")
    assert draws(7, "clients") != draws(8, "clients")
    assert draws(7, "clients") != draws(7, "etcd")


def test_a_draw_in_one_stream_moves_no_other():
    alone = draws(7, "clients")
    both = streams(7)
    found = []
    for _ in range(5):
        both.stream("etcd").random()
        found.append(both.stream("clients").random())
        both.stream(f"new-{len(found)}").random()
    assert found == alone


def test_a_stream_goes_on_wherever_it_is_asked_for():
    seeded = streams(7)
    assert [seeded.stream("x").random() for _ in range(5)] == draws(7, "x")


def test_a_seed_and_a_name_do_not_run_into_each_other():
    assert derive_seed(1, "1") != derive_seed(11, "")
    assert derive_seed(-1, "x") != derive_seed(1, "x")


@pytest.mark.determinism
def test_the_seed_of_a_name_never_changes():
    """A recorded seed must replay in a year, on another machine: this number is part of the format."""
    assert derive_seed(7, "clients") == 167880644164583363193218872701083245857
