"""Manager under the virtual clock: several controllers over one cluster, one of them failing, and who of two processes acts."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

import cacher
from reflector import BackoffPolicy, Controller, LeaderElector, Manager, SharedInformer
from tests.reflector.lease_api import LeaseApi, LeaseClient

settled = trio.testing.wait_all_tasks_blocked


def run(async_fn):
    async def main():
        async with cacher.open_cluster(random=Random(1), epoch_s=0, checks_namespaces=False) as cluster:
            await async_fn(cluster)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def config(name="a", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def manager_of(cluster, **more):
    return Manager(cluster, random=Random(2), clock=cluster.clock, **more)


class Noting:
    """A controller that notes its keys."""

    def __init__(self, manager, name="noting", plural="configmaps"):
        self.keys: list[str] = []
        self.began = 0
        self.controller = manager.add(Controller(name, self.reconcile, random=Random(3)))
        self.controller.watches(manager.informers.informer("v1", plural))

    async def reconcile(self, key):
        self.keys.append(key)


def test_controllers_share_a_client_and_its_informers():
    async def main(cluster):
        manager = manager_of(cluster)
        one, other = Noting(manager, "one"), Noting(manager, "other")
        assert one.controller.informers == other.controller.informers
        assert manager.controllers == (one.controller, other.controller)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.run)
            await manager.informers.wait_until_synced()
            await manager.client.resource("v1", "configmaps").create(config(), "shop")
            await trio.sleep(1)
            assert (one.keys, other.keys) == (["shop/a"], ["shop/a"])
            assert [write.key for write in manager.journal.writes()] == ["shop/a"]
            statistics = manager.statistics()
            assert [one.name for one in statistics.controllers] == ["one", "other"]
            assert (statistics.restarts, statistics.leader) == (0, None)
            nursery.cancel_scope.cancel()

    run(main)


def test_a_controller_that_fails_as_a_whole_is_run_again_and_the_others_go_on(caplog):
    async def main(cluster):
        manager = manager_of(cluster, restart=BackoffPolicy(first_s=5, jitter=0))
        good, bad = Noting(manager, "good"), Noting(manager, "bad")
        failures = [ZeroDivisionError("first"), ZeroDivisionError("second")]
        informer = bad.controller.informers[0]
        assert isinstance(informer, SharedInformer)

        async def wait_until_synced():
            if failures:
                raise failures.pop(0)

        class Failing:
            def __getattr__(self, name):
                return wait_until_synced if name == "wait_until_synced" else getattr(informer, name)

        bad.controller.reads(Failing())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.run)
            await trio.sleep(6)
            await cluster.resource("v1", "configmaps").create(config(), "shop")
            await trio.sleep(1)
            assert (good.keys, bad.keys) == (["shop/a"], [])
            assert manager.statistics().restarts == 2
            assert manager.statistics().last_error == "bad: ZeroDivisionError: second"
            await trio.sleep(9)
            assert bad.keys == ["shop/a"]
            nursery.cancel_scope.cancel()

    run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "bad failed as a whole, and is run again in 5.0 s",
        "bad failed as a whole, and is run again in 10.0 s",
    ]


def test_a_controller_that_fails_too_often_ends_the_manager_with_its_error():
    async def main(cluster):
        manager = manager_of(cluster, restarts_max=1)
        bad = Noting(manager)
        informer = bad.controller.informers[0]

        class Failing:
            def __getattr__(self, name):
                if name == "wait_until_synced":
                    raise ZeroDivisionError("always")
                return getattr(informer, name)

        bad.controller.reads(Failing())
        with pytest.raises(ExceptionGroup) as caught:
            await manager.run()
        assert caught.group_contains(ZeroDivisionError, match="always")
        assert manager.statistics().restarts == 1

    run(main)


def test_a_controller_that_fails_while_it_drains_is_not_run_again():
    async def main(cluster):
        manager = manager_of(cluster)
        bad = Noting(manager)
        informer = bad.controller.informers[0]

        class Failing:
            def __getattr__(self, name):
                if name == "wait_until_synced":
                    bad.controller.queue.shut_down()
                    raise ZeroDivisionError("at last")
                return getattr(informer, name)

        bad.controller.reads(Failing())
        with pytest.raises(ExceptionGroup) as caught:
            await manager.run()
        assert caught.group_contains(ZeroDivisionError, match="at last")

    run(main)


def test_a_controller_that_was_drained_stays_so_in_the_next_term():
    async def main(cluster):
        process = Process(cluster, LeaseApi(), "a", 1)
        other = Noting(process.manager, "other")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.run)
            await trio.sleep(5)
            await other.controller.drain()
            process.leases.is_down = True
            await trio.sleep(20)
            process.leases.is_down = False
            await trio.sleep(20)
            assert process.manager.statistics().leader.terms == 2
            assert process.state == "running"
            assert other.controller.statistics().state == "ended"
            nursery.cancel_scope.cancel()

    run(main)


def test_a_drained_manager_ends():
    async def main(cluster):
        manager = manager_of(cluster)
        noting = Noting(manager)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.run)
            await settled()
            noting.controller.queue.add("last")
            await manager.drain()
        assert noting.keys == ["last"]

    run(main)


def test_a_manager_that_is_cancelled_leaves_no_task():
    async def main(cluster):
        manager = manager_of(cluster)

        async def never(key):
            await trio.sleep_forever()

        stuck = manager.add(Controller("stuck", never, random=Random(3)))
        with trio.move_on_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(manager.run)
                await settled()
                stuck.queue.add("a")
                await trio.sleep_forever()
        assert stuck.statistics().state == "ended"
        assert stuck.statistics().running == ()
        with pytest.raises(RuntimeError, match="make another"):
            await manager.run()

    run(main)


def test_controllers_are_added_before_and_under_names_of_their_own():
    async def main(cluster):
        manager = manager_of(cluster)
        Noting(manager, "one")
        with pytest.raises(ValueError, match="choose another name"):
            Noting(manager, "one")
        with pytest.raises(ValueError, match="choose 0 or more"):
            manager_of(cluster, restarts_max=-1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.run)
            await settled()
            with pytest.raises(RuntimeError, match="before run"):
                Noting(manager, "late")
            nursery.cancel_scope.cancel()

    run(main)


class Process:
    """One of several processes with the same controller, of which one may act."""

    def __init__(self, cluster, api, name, seed):
        self.leases = LeaseClient(api, name)
        elector = LeaderElector(self.leases, "shop", name, random=Random(seed), clock=cluster.clock)
        self.manager = manager_of(cluster, elector=elector)
        self.noting = Noting(self.manager)
        self.scope = trio.CancelScope()

    @property
    def state(self):
        return self.noting.controller.statistics().state

    async def run(self):
        with self.scope:
            await self.manager.run()


def test_of_two_managers_one_acts_and_the_other_has_its_copies_ready():
    async def main(cluster):
        api = LeaseApi()
        two = [Process(cluster, api, name, seed) for seed, name in enumerate("ab")]
        async with trio.open_nursery() as nursery:
            for process in two:
                nursery.start_soon(process.run)
                await trio.sleep(0.1)
            await trio.sleep(30)
            assert [process.state for process in two] == ["running", "idle"]
            standby = two[1].noting.controller.informers[0]
            assert standby.has_synced
            await cluster.resource("v1", "configmaps").create(config(), "shop")
            await trio.sleep(1)
            assert [process.noting.keys for process in two] == [["shop/a"], []]
            assert two[1].manager.statistics().leader.holder == "a"
            two[0].scope.cancel()
            await trio.sleep(4.5)
            assert [process.state for process in two] == ["ended", "running"]
            assert two[1].noting.keys == ["shop/a"]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_manager_that_loses_its_lease_stops_its_controllers_first_and_campaigns_anew():
    async def main(cluster):
        api = LeaseApi()
        two = [Process(cluster, api, name, seed) for seed, name in enumerate("ab")]
        acting = []

        async def watch_them():
            while True:
                acting.append(tuple(process.state in ("syncing", "running") for process in two))
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_them)
            for process in two:
                nursery.start_soon(process.run)
                await trio.sleep(0.1)
            await trio.sleep(20)
            two[0].leases.is_down = True
            await trio.sleep(40)
            assert [process.state for process in two] == ["ended", "running"]
            two[0].leases.is_down, two[1].leases.is_down = False, True
            await trio.sleep(40)
            assert [process.state for process in two] == ["running", "ended"]
            assert two[0].manager.statistics().leader.terms == 2
            nursery.cancel_scope.cancel()
        assert (True, True) not in acting
        assert {(True, False), (False, True), (False, False)} == set(acting)

    run(main)
