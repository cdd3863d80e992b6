"""The informer contract over HTTP: a server of ours, over a way that holds, and over one that breaks every few seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from reflector import ListerWatcher
from tests.reflector.http.our_server import Both, open_both
from tests.reflector.informer_contract import CASES, HONEST
from tests.reflector.informer_worlds import ClusterWorld, World


class HTTPWorld(ClusterWorld):
    """Pods of a cluster, seen through its server."""

    def __init__(self, both: Both, random: Random) -> None:
        super().__init__(both.cluster, random)
        self.source: ListerWatcher = both.client.resource("v1", "pods").lister_watcher()


@asynccontextmanager
async def holds(random: Random) -> AsyncIterator[World]:
    async with open_both(seed=random.getrandbits(32)) as both:
        world = HTTPWorld(both, random)
        for _ in range(20):
            await world.write()
        yield world


@asynccontextmanager
async def breaks(random: Random) -> AsyncIterator[World]:
    """Every 3 to 20 s all connections are gone, for the first ten minutes."""

    async def tear(both: Both) -> None:
        while trio.current_time() < 600:
            await trio.sleep(random.uniform(3, 20))
            for stream in both.streams:
                await trio.aclose_forcefully(stream)
            both.streams.clear()

    async with open_both(seed=random.getrandbits(32)) as both, trio.open_nursery() as nursery:
        world = HTTPWorld(both, random)
        for _ in range(20):
            await world.write()
        nursery.start_soon(tear, both)
        yield world
        nursery.cancel_scope.cancel()


WORLDS = {"a way that holds": holds, "a way that breaks": breaks}


RUNS = [(world, case) for world in WORLDS for case in CASES if world == "a way that holds" or case not in HONEST]
"""A way that breaks again and again is not live, and its informer says so."""


@pytest.mark.slow
@pytest.mark.parametrize(("world", "case"), RUNS)
def test_an_informer_keeps_its_contract_over_http(run_trio, world, case):
    async def main() -> None:
        random = Random(f"{world} {case}")
        async with WORLDS[world](random) as opened:
            await CASES[case](opened, Random(random.getrandbits(32)))

    run_trio(main)
