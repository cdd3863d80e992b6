"""cacher.simulation._crowd: light clients end as the store is, at their own speed, through either fan-out; or it shows."""

from __future__ import annotations

import msgspec
import pytest

from cacher.simulation import (
    At,
    BlockEvents,
    Evict,
    Fault,
    Habits,
    HalfOpen,
    Lag,
    Reconnect,
    RestartServer,
    Scale,
    Scenario,
    Topology,
    load_scenario,
    run_seed,
)
from cacher.simulation._fan_out import ShippedFanOut

MAPS = "v1/configmaps"


async def turn_settings(world):
    for number in range(30):
        name = f"m-{number % 5}"
        obj = {"metadata": {"name": name, "namespace": "default"}, "data": {"turn": str(number)}}
        await world.write(MAPS, obj)
        await world.wait(1)


def scenario_with(*faults, slow_per_s=0.25, jitter_s=0.5):
    def start(world, variant):
        world.dispatches_as_kubernetes = variant == "double"

        async def crowd(site):
            quick, slow = Habits(jitter_s=jitter_s), Habits(events_per_s=slow_per_s, is_slow=True)
            await site.crowd("v1", "configmaps", [quick] * 8 + [slow] * 2).run()

        world.start(crowd)

    return Scenario(
        name="crowds",
        title="ten clients",
        variants=("shipped", "double"),
        workload=turn_settings,
        start=start,
        script=faults,
        topology=Topology(servers=2, ring_capacity=100, ring_capacity_max=200),
        scale=Scale(clients=10),
    )


@pytest.mark.parametrize("variant", ["shipped", "double"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(At(100), Evict("api-1", "*")),
        Fault(At(5), Evict("api-1", "*")),
        Fault(At(5), RestartServer("api-1", down_s=4)),
        Fault(At(5), Reconnect("crowd", "api-2")),
        Fault(At(5), BlockEvents("crowd", "*"), for_s=10),
        Fault(At(5), HalfOpen("crowd", "*")),
    ],
)
def test_whatever_strikes_all_clients_end_as_the_store_is_and_the_quick_ones_are_not_late(variant, fault):
    result = run_seed(scenario_with(fault), 1, variant, hunting=False, keep=True)
    assert (result.outcome, result.facts, result.failure) == ("held", (), "")

    assert result.history is not None
    lights = result.history.acts.light
    assert len(lights) == 10
    assert all(light.opened >= 1 and light.lag_max_s < 0.1 for light in lights if not light.slow)


def test_who_was_on_the_way_to_a_server_that_was_left_goes_to_the_next():
    """Where it watched at the old one, nobody would hear of its events: it would find them when it looks, every 5 s."""
    late = Fault(At(1), Lag("store", "api-1", 0.5))  # so that what api-2 has to tell wakes nobody for it
    scenario = scenario_with(Fault(At(0.45), Reconnect("crowd", "api-2")), late)
    topology = Topology(servers=2, ring_capacity=100, ring_capacity_max=200, latency_s=0.1)
    result = run_seed(msgspec.structs.replace(scenario, topology=topology), 1, "shipped", hunting=False, keep=True)
    assert (result.outcome, result.facts, result.failure) == ("held", (), "")

    assert result.history is not None
    assert all(light.lag_max_s < 0.1 for light in result.history.acts.light if not light.slow)


def test_what_left_the_history_while_a_fault_kept_it_from_a_client_is_not_the_fan_outs_doing():
    scenario = scenario_with(Fault(At(5), BlockEvents("crowd", "*"), for_s=10))
    tight = msgspec.structs.replace(scenario, topology=Topology(servers=2, ring_capacity=4, ring_capacity_max=4))
    result = run_seed(tight, 1, "shipped", hunting=False, keep=True)
    assert (result.outcome, result.facts, result.failure) == ("held", (), "")

    assert result.history is not None
    quick = [light for light in result.history.acts.light if not light.slow]
    assert all(light.cut_off == 1 and light.expired == 0 for light in quick)
    assert result.sometimes["expired"] >= 8


def test_an_event_that_a_fan_out_loses_shows(monkeypatch):
    real = ShippedFanOut.watch

    def forgetful(self, selector, *, after):
        watch = real(self, selector, after=after)
        take, taken = watch.receive_nowait, []

        class Feed:
            revision = property(lambda _: watch.revision)
            close = staticmethod(watch.close)

            def receive_nowait(self):
                taken.append(take())
                return taken[-1] if len(taken) != 3 else take()

        return Feed()

    monkeypatch.setattr(ShippedFanOut, "watch", forgetful)
    result = run_seed(scenario_with(), 1, "shipped", hunting=False)

    assert result.outcome == "not-converged"
    assert "light clients are not as the store is" in result.facts[0]


def test_a_slow_client_is_done_when_its_speed_lets_it_be():
    result = run_seed(scenario_with(), 1, "shipped", hunting=False, keep=True)
    assert result.history is not None
    quick, slow = [[one for one in result.history.acts.light if one.slow is is_slow] for is_slow in (False, True)]

    assert {one.events for one in quick} == {one.events for one in slow}
    assert result.virtual_s > 100  # an event in four seconds


def test_the_same_crowd_is_evicted_by_the_double_and_not_by_the_library():
    scenario = load_scenario("eviction-cascade")
    small = msgspec.structs.replace(scenario, scale=Scale(clients=60, objects=28, writes_per_s=8.0, duration_s=30.0))
    buggy, fixed = (run_seed(small, 1, variant, hunting=False) for variant in ("buggy", "fixed"))

    assert buggy.broken == ("Isolated",)
    assert buggy.sometimes["evicted"] > 57
    assert (fixed.broken, fixed.sometimes["evicted"], fixed.sometimes["relist"]) == ((), 0, 0)


@pytest.mark.long
@pytest.mark.parametrize("name", ["410-herd", "eviction-cascade", "never-catches-up"])
def test_five_thousand_clients_show_the_same(name):
    scenario = load_scenario(name)
    assert scenario.scale is not None
    seconds = 11.0 if name == "eviction-cascade" else scenario.scale.duration_s  # two bursts: who is evicted costs more
    scale = msgspec.structs.replace(scenario.scale, clients=5_000, duration_s=seconds)
    large = msgspec.structs.replace(scenario, scale=scale)
    buggy, fixed = (run_seed(large, 1, variant, hunting=False) for variant in scenario.variants)

    assert scenario.guarantee in buggy.broken
    assert (fixed.outcome, fixed.broken) == ("held", ())
