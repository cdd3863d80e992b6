"""cacher.simulation._timers: they do in each step what trio's own do, and stop where those stop."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher.simulation import Scenario, World, run_deterministic, run_seed
from cacher.simulation import _timers as timers
from tests.cacher.simulation.test_determinism import ScheduleHash
from tests.cacher.simulation.worlds import ALL, ZOMBIE


def test_this_trio_has_what_the_fast_ways_need():
    assert timers.IS_FAST
    assert timers.HAS_CHEAP_SCOPES


@pytest.mark.determinism
@pytest.mark.parametrize("scenario", ALL, ids=[scenario.name for scenario in ALL])
def test_a_run_comes_to_the_same_digest_with_trios_own_clock_and_sleep(scenario: Scenario, monkeypatch):
    def digests() -> list[str]:
        return [run_seed(scenario, seed, "buggy").digest for seed in range(3)]

    fast = digests()
    monkeypatch.setattr(timers, "IS_FAST", False)
    assert digests() == fast


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0, 2.5])
def test_a_sleep_lasts_as_long_as_was_asked_for(seconds: float):
    async def main() -> float:
        await timers.sleep(seconds)
        return trio.current_time()

    assert run_deterministic(main, seed=1) == seconds


def test_a_time_that_is_past_is_a_checkpoint_and_no_wait():
    async def main() -> None:
        await trio.sleep(5)
        before = trio.lowlevel.current_statistics().tasks_living
        with trio.testing.assert_checkpoints():
            await timers.sleep_until(1.0)
        assert trio.current_time() == 5.0
        assert trio.lowlevel.current_statistics().tasks_living == before

    run_deterministic(main, seed=1)


def test_a_sleeper_that_is_cancelled_leaves_no_deadline_behind():
    async def main() -> float:
        with trio.move_on_after(1):
            await timers.sleep(10)
        assert trio.current_time() == 1.0
        return trio.lowlevel.current_statistics().seconds_to_next_deadline

    assert run_deterministic(main, seed=1) == float("inf")


def test_what_is_over_at_the_very_time_of_waking_is_not_gone_on_with():
    """As with trio.sleep: where the scope around it ends in the same instant, the sleep does not return."""

    async def main() -> list[str]:
        log = []
        for sleep in (trio.sleep, timers.sleep):
            with trio.move_on_after(1) as scope:
                await sleep(1)
                log.append("went on")
            log.append(f"caught {scope.cancelled_caught}")
        return log

    assert run_deterministic(main, seed=1) == ["caught True", "caught True"]


def test_one_that_is_cancelled_by_another_task_in_the_step_of_its_waking_does_not_go_on():
    async def main() -> list[str]:
        log: list[str] = []
        scope = trio.CancelScope()

        async def sleeper() -> None:
            with scope:
                await timers.sleep(1)
                log.append("went on")

        async def killer() -> None:
            await timers.sleep(1)
            if not log:
                scope.cancel()
                log.append("killed")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper)
            nursery.start_soon(killer)
        return log

    assert {tuple(run_deterministic(main, seed=seed)) for seed in range(16)} == {("killed",), ("went on",)}


def test_time_goes_as_under_trios_clock_where_steps_are_not_round(monkeypatch):
    def steps() -> str:
        instrument = ScheduleHash()

        async def one(number: int) -> None:
            for turn in range(20):
                await (trio.sleep if turn % 2 else timers.sleep)(0.1 + number / 7)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(one, number, name=f"n{number}")

        run_deterministic(main, seed=3, instruments=[instrument])
        return instrument.hash.hexdigest()

    fast = steps()
    monkeypatch.setattr(timers, "IS_FAST", False)
    assert steps() == fast


def test_a_world_that_stops_for_good_is_still_ended_by_its_time_limit():
    async def main() -> bool:
        with trio.move_on_after(1e9) as scope:
            await timers.sleep_until(float("inf"))
        return scope.cancelled_caught

    assert run_deterministic(main, seed=1)


def test_a_user_of_a_world_sleeps_by_it():
    waited = []

    async def workload(world: World) -> None:
        before = world.now_s
        await world.wait(12.5)
        waited.append(world.now_s - before)

    run_seed(
        Scenario(
            name="waits", title="", start=lambda _world, _variant: None, workload=workload, variants=("only",),
            topology=ZOMBIE.topology,
        ),
        0,
        "only",
        hunting=False,
    )  # fmt: skip
    assert waited == [12.5]


def test_where_a_scope_and_its_sleeper_are_due_at_one_time_the_steps_are_trios(monkeypatch):
    """The scope goes first, wherever in memory it is: else the sleeper wakes, looks, and takes steps more."""

    def steps() -> int:
        instrument = ScheduleHash()

        async def main() -> None:
            for _ in range(5):
                with trio.move_on_after(1):
                    await timers.sleep(1)

        run_deterministic(main, seed=1, instruments=[instrument])
        return instrument.steps

    fast = steps()
    monkeypatch.setattr(timers, "IS_FAST", False)
    assert steps() == fast


# ---- trio's own names within a run -----------------------------------------------------------------------------------


def test_within_a_run_trios_sleep_is_the_cheap_one_and_outside_its_own_again():
    async def main() -> tuple[object, ...]:
        return trio.sleep, trio.sleep_until, getattr(trio.CancelScope, timers._REGISTERING)

    own = (trio.sleep, trio.sleep_until, getattr(trio.CancelScope, timers._REGISTERING))
    within = run_deterministic(main, seed=1)
    assert within[:2] == (timers.sleep, timers.sleep_until)
    assert within[2] is not own[2]
    assert (trio.sleep, trio.sleep_until, getattr(trio.CancelScope, timers._REGISTERING)) == own


def test_trios_own_names_come_back_also_where_a_run_fails():
    async def main() -> None:
        raise ValueError("on purpose")

    own = (trio.sleep, getattr(trio.CancelScope, timers._REGISTERING))
    with pytest.raises(ValueError, match="on purpose"):
        run_deterministic(main, seed=1)
    assert (trio.sleep, getattr(trio.CancelScope, timers._REGISTERING)) == own


@pytest.mark.determinism
@pytest.mark.parametrize("scenario", ALL, ids=[scenario.name for scenario in ALL])
def test_a_run_comes_to_the_same_digest_with_trios_own_scopes(scenario: Scenario, monkeypatch):
    def digests() -> list[str]:
        return [run_seed(scenario, seed, "buggy").digest for seed in range(3)]

    fast = digests()
    monkeypatch.setattr(timers, "HAS_CHEAP_SCOPES", False)
    assert digests() == fast


def test_a_scope_whose_deadline_is_moved_and_taken_away_ends_as_trios_own_does(monkeypatch):
    """Moved later, then sooner, then away, then cancelled by hand; after it nothing is left to wait for."""

    def log() -> list[object]:
        told: list[object] = []

        async def main() -> None:
            for deadlines in ((5.0, 9.0), (9.0, 5.0), (5.0, float("inf")), (float("inf"), 7.0)):
                with trio.CancelScope() as scope:
                    for deadline in deadlines:
                        scope.deadline = trio.current_time() + deadline
                        await trio.sleep(1)
                    with trio.move_on_after(20):
                        await trio.sleep_forever()
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
                told.append((trio.current_time(), scope.cancelled_caught))
                told.append(trio.lowlevel.current_statistics().seconds_to_next_deadline)

        run_deterministic(main, seed=1)
        return told

    fast = log()
    monkeypatch.setattr(timers, "HAS_CHEAP_SCOPES", False)
    assert log() == fast
    monkeypatch.setattr(timers, "IS_FAST", False)
    assert log() == fast


def test_a_trio_that_does_something_else_there_does_it_itself(monkeypatch):
    def other(scope: trio.CancelScope) -> None:
        """Another trio's."""

    monkeypatch.setattr(trio.CancelScope, timers._REGISTERING, other)
    assert not timers._is_as_written_for()
    monkeypatch.delattr(trio.CancelScope, timers._REGISTERING)
    assert not timers._is_as_written_for()
