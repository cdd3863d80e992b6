"""A whole controller on a whole cluster, in process and in virtual time: with copies that are late, broken, and relisted."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

import cacher
from reflector import ControllerStatistics, Manager
from tests.reflector.faulty import FaultyClient
from tests.reflector.settings_keeper import KEPT, SettingsKeeper
from watch import APIError, EventType

NAMESPACES = [f"n{number}" for number in range(4)]
TEAMS = [None, "red", "blue"]


class World:
    """A cluster, the keeper behind faults, and what really happened to the ConfigMaps that it keeps."""

    def __init__(self, cluster, seed, **options):
        self.cluster = cluster
        self.random = Random(seed)
        self.client = FaultyClient(cluster, Random(seed + 1), lag_s=self.random.choice([0.01, 1.0, 5.0]))
        self.client.breaks = self.random.choice([0.0, 0.05, 0.2])
        self.manager = Manager(self.client, random=Random(seed + 2), clock=cluster.clock)
        options.setdefault("own_writes_s", 300)  # with these faults copies may be behind for a minute
        self.keeper = SettingsKeeper(self.manager, Random(seed + 3), concurrency=2, **options)
        self.maps = cluster.resource("v1", "configmaps")
        self.namespaces = cluster.resource("v1", "namespaces")
        self.teams = {}
        self.most_at_once = 0
        self.statistics: ControllerStatistics

    async def see(self, *, task_status):
        """The truth: how many there ever were of a namespace at once."""
        now: dict[str, dict[str, None]] = {}
        async with self.maps.watch(labels=KEPT) as watch:
            task_status.started()
            async for event in watch:
                names = now.setdefault(event.object.namespace, {})
                if event.type is EventType.DELETED:
                    names.pop(event.object.name, None)
                else:
                    names[event.object.name] = None
                self.most_at_once = max(self.most_at_once, len(names))

    async def prepare(self):
        for name in NAMESPACES:
            await self.namespaces.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def trouble(self):
        """Users who relabel namespaces, and who delete and edit what is kept."""
        name = self.random.choice(NAMESPACES)
        if self.random.random() < 0.6:
            self.teams[name] = self.random.choice(TEAMS)
            await self.namespaces.patch(name, {"metadata": {"labels": {"team": self.teams[name]}}})
            return
        kept = await self.maps.list(namespace=name, labels=KEPT)
        for one in kept.objects:
            try:
                if self.random.random() < 0.5:
                    await self.maps.delete(one.name, name)
                else:
                    await self.maps.patch(one.name, {"data": {"team": "whoever"}}, name)
            except APIError:
                pass  # the keeper was faster

    async def teams_kept(self):
        kept = await self.maps.list(labels=KEPT)
        found: dict[str, list] = {}
        for one in kept.objects:
            found.setdefault(one.namespace, []).append(one.parse()["data"])
        return found


def play(seed, steps=60, **options):
    """One history, to the end of its faults and 200 s beyond."""

    async def main():
        async with (
            cacher.open_cluster(random=Random(seed), epoch_s=0) as cluster,
            trio.open_nursery() as nursery,
        ):
            world = World(cluster, seed, **options)
            await nursery.start(world.see)
            await world.prepare()
            nursery.start_soon(world.manager.run)
            for _ in range(steps):
                await trio.sleep(world.random.expovariate(1.0))
                await world.trouble()
            world.client.is_healed = True
            await trio.sleep(200)
            kept = await world.teams_kept()
            world.statistics = world.keeper.controller.statistics()
            nursery.cancel_scope.cancel()
            return world, kept

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_each_labelled_namespace_has_its_one_object_in_the_end_and_never_two(seed):
    world, kept = play(seed)
    wanted = {name: [{"team": team}] for name, team in world.teams.items() if team is not None}
    assert kept == wanted
    assert world.most_at_once == 1
    statistics = world.statistics
    assert (statistics.panics, statistics.waits_given_up, statistics.held) == (0, 0, 0), statistics.last_error
    assert statistics.queue.depth == statistics.queue.processing == 0


@pytest.mark.slow
def test_without_the_gate_of_its_own_writes_the_keeper_makes_two():
    """So the histories above are about something."""
    assert any(play(seed, own_writes_s=0)[0].most_at_once > 1 for seed in range(12))


@pytest.mark.slow
def test_the_histories_are_troubled():
    """There are faults, waits for own writes and conflicts in them."""
    worlds = [play(seed)[0] for seed in range(6)]
    statistics = [world.statistics for world in worlds]
    assert sum(world.client.faults for world in worlds) > 20
    assert sum(one.waits for one in statistics) > 5
    assert sum(one.conflicts for one in statistics) > 5


@pytest.mark.slow
def test_every_write_tells_what_it_was_decided_on():
    world, _ = play(3)
    writes = world.manager.journal.writes(controller="settings")
    assert len(writes) > 20
    for write in writes:
        lists = [read for read in write.reads if read.verb == "list"]
        (namespace,) = [read for read in write.reads if read.source == "copy cluster/v1/namespaces/everything"]
        assert namespace.key == write.reconcile_key
        assert lists, "and the ConfigMaps that it found, or none"
        if write.verb == "create":
            assert [read.found for read in lists] == [0]
        else:
            assert write.demanded_uid, "no write but to what was seen"
            assert f"@{write.demanded_revision}" in lists[0].members or write.verb == "delete"


def test_a_controller_that_requires_live_copies_stops_while_they_are_silent():
    async def main():
        async with (
            cacher.open_cluster(random=Random(1), epoch_s=0) as cluster,
            trio.open_nursery() as nursery,
        ):
            world = World(cluster, 1, require_live=True)
            world.client.is_healed = True
            nursery.start_soon(world.manager.run)
            await world.prepare()
            await trio.sleep(5)
            world.client.is_healed, world.client.lag_s, world.client.breaks = False, 10_000, 0
            await trio.sleep(120)
            await world.namespaces.patch("n1", {"metadata": {"labels": {"team": "red"}}})
            world.keeper.controller.queue.add("n1")
            await trio.sleep(300)
            statistics = world.manager.statistics().controllers[0]
            assert statistics.state == "paused"
            assert set(statistics.waiting_for) == {one.name for one in world.keeper.controller.informers}
            assert await world.teams_kept() == {}
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
