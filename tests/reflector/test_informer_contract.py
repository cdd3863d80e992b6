"""The informer contract over every world that there is: this process' cache and store, recordings of a real server, a liar."""

from __future__ import annotations

from random import Random

import pytest
import trio

from reflector import BrokenPromise, SharedInformer
from tests.reflector.informer_contract import CASES, HONEST, caught_up, running
from tests.reflector.informer_worlds import WORLDS, Liar

SHORT = ("cache", "store", "liar", "recorded pods-node")
ON_ALL = ("it_shows_and_tells_all_that_is_true", "what_is_missed_is_made_up_for", "lists_and_streams_show_the_same")
RUNS = [
    pytest.param(world, case, marks=[] if world in SHORT else pytest.mark.slow)
    for world in WORLDS
    for case in CASES
    if (world in SHORT and (world != "liar" or case not in HONEST)) or case in ON_ALL
]


@pytest.mark.parametrize(("world", "case"), RUNS)
def test_an_informer_keeps_its_contract(run_trio, world, case):
    """[9.5 TestHammerController] [9.5 TestUpdate] [9.5 TestReflectorDataConsistencyDetector]

    [9.5 TestTransformingInformer*] [9.5 TestSharedInformerTransformer] [9.5 TestReflectorRespectStoreTransformer]
    """

    async def main() -> None:
        random = Random(f"{world} {case}")
        async with WORLDS[world](random) as opened:
            await CASES[case](opened, Random(random.getrandbits(32)))

    run_trio(main)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_liar_says_is_not_shown_and_the_truth_is_in_the_end(run_trio, seed):
    async def main() -> dict[str, int]:
        world = Liar(Random(seed), lies=30)
        failures: list[Exception] = []
        informer = SharedInformer(
            world, random=Random(seed), kind="Pod", objects_max=100, on_failure=failures.append, streams=bool(seed % 2)
        )
        async with running(informer):
            await informer.wait_until_synced()
            await world.play()
            while world.left:
                await informer.wait_until_revision(world.revision)
                world.lie_again()
                await trio.sleep(1)
            await caught_up(informer, world)
            assert not any("ghost" in key for key, _ in informer.store.items())
            lies = sum(
                count for way, count in world.told.items() if way not in ("gone", "lost", "lost state", "silent state")
            )
            assert sum(isinstance(failure, BrokenPromise) for failure in failures) >= min(lies, 1)
        return world.told

    told = run_trio(main)
    assert sum(told.values()) == 30


@pytest.mark.long
@pytest.mark.parametrize("seed", range(150))
def test_an_informer_keeps_its_contract_whatever_happens(run_trio, seed):
    """Every case over every short world, with stories and chances of its own."""

    async def main(world: str, case: str) -> None:
        random = Random(f"{world} {case} {seed}")
        async with WORLDS[world](random) as opened:
            await CASES[case](opened, Random(random.getrandbits(32)))

    for world in SHORT:
        for case in CASES:
            if world != "liar" or case not in HONEST:
                run_trio(main, world, case)
