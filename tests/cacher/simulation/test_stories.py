"""cacher.simulation._stories: a controller of a story is tried again for as long as anybody looks."""

from __future__ import annotations

import itertools

from cacher.simulation import Create, Scenario, Swarm, Wait, World, keen_controller, run_seed
from cacher.simulation._stories import KEEN_S
from reflector import Manager
from tests.cacher.simulation.worlds import PARENTS, config_map


def test_a_reconcile_that_always_fails_is_tried_again_every_ten_seconds_at_last():
    times: list[float] = []

    def start(world: World, _variant: str) -> None:
        def failing(manager: Manager) -> None:
            async def reconcile(key: str) -> None:
                times.append(world.now_s)
                raise ValueError("on purpose")

            manager.add(keen_controller("failing", reconcile).watches(manager.informers.informer("v1", "configmaps")))

        world.start(failing, name="failing")

    workload = (Create(PARENTS, config_map("a")), Wait(200.0))
    story = Scenario(name="keen", title="", start=start, workload=workload, variants=("only",), swarm=Swarm(kinds=()))
    run_seed(story, 0, "only", hunting=False)

    waits = [after - before for before, after in itertools.pairwise(times)]
    assert len(waits) > 15
    assert max(waits) <= KEEN_S * 1.01
    assert min(waits[-5:]) > KEEN_S / 2
