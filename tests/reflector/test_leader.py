"""LeaderElector under the virtual clock: who leads when, and what has ended before another starts."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import cacher
from reflector import LeaderElector, LeadershipLost
from tests.reflector.lease_api import LeaseApi, LeaseClient

settled = trio.testing.wait_all_tasks_blocked


def run(async_fn, *args):
    return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))


class Day:
    """A clock that is wrong by as much as a test wants."""

    def __init__(self, wrong_by_s=0.0):
        self.wrong_by_s = wrong_by_s

    def unix(self):
        return 1e9 + self.wrong_by_s + trio.current_time()


class Candidate:
    """A process that leads when it may, for ever and again, and notes when it did."""

    def __init__(self, name, api, *, wrong_by_s=0.0, seed=0):
        self.name = name
        self.client = LeaseClient(api, name)
        self.elector = LeaderElector(self.client, "shop", name, random=Random(seed), clock=Day(wrong_by_s))
        self.terms = []
        self.is_acting = False
        self.scope = trio.CancelScope()
        self.lost = 0
        self.rivals = [self]
        self.winds_up_s = 0.0

    async def lead(self):
        began_at = trio.current_time()
        assert self.elector.is_leader
        acting = [one.name for one in self.rivals if one.is_acting]
        assert not acting, f"{self.name} starts while {acting} act"
        self.is_acting = True
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.winds_up_s)
            self.is_acting = False
            self.terms.append((began_at, trio.current_time()))

    async def run(self):
        with self.scope:
            while True:
                try:
                    await self.elector.run(self.lead)
                except LeadershipLost:
                    self.lost += 1


def candidates(api, *names, **more):
    made = [Candidate(name, api, seed=number, **more) for number, name in enumerate(names)]
    for one in made:
        one.rivals = made
    return made


def test_one_of_three_leads_and_the_others_stand_by():
    async def main():
        api = LeaseApi()
        three = candidates(api, "a", "b", "c")
        async with trio.open_nursery() as nursery:
            for one in three:
                nursery.start_soon(one.run)
            await trio.sleep(300)
            assert [one.is_acting for one in three].count(True) == 1
            assert {one.elector.leader for one in three} == {api.holder()}
            leader = next(one for one in three if one.is_acting)
            statistics = leader.elector.statistics()
            assert (statistics.is_leader, statistics.terms, statistics.losses) == (True, 1, 0)
            assert 140 <= statistics.renewals <= 151
            assert 0 <= statistics.renewed_s_ago <= 2
            nursery.cancel_scope.cancel()

    run(main)


def test_a_leader_renews_without_reading():
    """[9.5 leaderelection: fast path]"""

    async def main():
        api = LeaseApi()
        (one,) = candidates(api, "a")
        with trio.move_on_after(20):
            await one.run()
        verbs = [verb for _, _, verb in api.asked]
        assert verbs[:3] == ["get", "create", "update"]
        assert "get" not in verbs[1:]

    run(main)


def test_a_leader_that_is_cancelled_releases_the_lease_after_its_work_has_ended():
    async def main():
        api = LeaseApi()
        first, second = candidates(api, "a", "b")
        first.winds_up_s = 3.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run)
            await trio.sleep(1)
            nursery.start_soon(second.run)
            await trio.sleep(9)
            first.scope.cancel()
            await trio.sleep(2.9)
            assert api.holder() == "a"
            await trio.sleep(0.2)
            assert api.holder() == ""
            assert api.leases["shop"]["spec"]["leaseDurationSeconds"] == 1
            await trio.sleep(4.4)
            assert second.is_acting
            nursery.cancel_scope.cancel()

    run(main)


def test_the_leases_end_of_a_leader_that_crashed_is_waited_for():
    async def main():
        api = LeaseApi()
        first, second = candidates(api, "a", "b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run)
            await trio.sleep(10.5)
            first.client.hangs = True  # it says nothing more
            first.scope.cancel()
            nursery.start_soon(second.run)
            await trio.sleep(14.9)
            assert not second.is_acting
            await trio.sleep(0.1 + 4.4)
            assert second.is_acting
            assert api.leases["shop"]["spec"]["leaseTransitions"] == 1
            nursery.cancel_scope.cancel()

    run(main)


@pytest.mark.parametrize("how", ["is_down", "hangs"])
def test_a_leader_that_is_cut_off_stops_ten_seconds_after_its_last_renewal_and_before_another_starts(how):
    async def main():
        api = LeaseApi()
        first, second = candidates(api, "a", "b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run)
            await trio.sleep(0.5)
            nursery.start_soon(second.run)
            await trio.sleep(10)
            setattr(first.client, how, True)  # the last renewal was at 10
            await trio.sleep(30)
            assert first.terms == [(0, 20)]
            assert first.lost == 1
            assert second.is_acting
            setattr(first.client, how, False)
            await trio.sleep(30)
            assert not first.is_acting
            assert first.elector.leader == "b"
            nursery.cancel_scope.cancel()
        assert 25 <= second.terms[0][0] <= 25 + 4.4

    run(main)


def test_a_short_outage_costs_nobody_the_lead():
    async def main():
        api = LeaseApi()
        first, second = candidates(api, "a", "b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run)
            await trio.sleep(0.5)
            nursery.start_soon(second.run)
            await trio.sleep(10)
            first.client.is_down = second.client.is_down = True
            await trio.sleep(8.5)
            first.client.is_down = second.client.is_down = False
            await trio.sleep(60)
            assert first.is_acting
            assert first.elector.statistics().failures > 3
            nursery.cancel_scope.cancel()

    run(main)


@pytest.mark.parametrize("wrong_by_s", [-1e8, -60, 60, 1e9])
def test_what_the_time_of_day_is_to_anybody_makes_no_difference(wrong_by_s):
    """The observed-time rule: a lease that looks years old is held, and one from the future ends."""

    async def main():
        api = LeaseApi()
        (first,) = candidates(api, "a", wrong_by_s=wrong_by_s)
        (second,) = candidates(api, "b")
        first.rivals = second.rivals = [first, second]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run)
            await trio.sleep(0.5)
            nursery.start_soon(second.run)
            await trio.sleep(100)
            assert first.is_acting
            assert not second.is_acting
            first.client.hangs = True
            await trio.sleep(21)
            assert second.is_acting
            nursery.cancel_scope.cancel()

    run(main)


def test_a_leader_whose_lease_somebody_gave_to_another_stops_when_it_sees_that():
    """[9.5 leaderelection: renew conflict]"""

    async def main():
        api = LeaseApi()
        (one,) = candidates(api, "a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            await trio.sleep(10.5)
            lease = api.leases["shop"]
            metadata = {**lease["metadata"], "resourceVersion": "1000"}
            api.leases["shop"] = {**lease, "metadata": metadata, "spec": {**lease["spec"], "holderIdentity": "z"}}
            await trio.sleep(2)
            assert one.terms == [(0, 12)]
            nursery.cancel_scope.cancel()

    run(main)


def test_what_others_keep_in_the_lease_stays():
    async def main():
        api = LeaseApi()
        (one,) = candidates(api, "a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            await trio.sleep(10.5)
            lease = api.leases["shop"]
            metadata = {**lease["metadata"], "resourceVersion": "1000", "labels": {"team": "shop"}}
            api.leases["shop"] = {**lease, "metadata": metadata}
            await trio.sleep(20)
            assert one.is_acting
            assert api.leases["shop"]["metadata"]["labels"] == {"team": "shop"}
            assert one.elector.statistics().losses == 0
            nursery.cancel_scope.cancel()

    run(main)


def test_a_candidate_returns_when_its_work_does_and_lets_its_failure_through():
    async def main():
        api = LeaseApi()
        (one,) = candidates(api, "a")

        async def work():
            await trio.sleep(5)

        await one.elector.run(work)
        assert api.holder() == ""

        async def fail():
            await trio.sleep(5)
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            await one.elector.run(fail)
        assert api.holder() == ""

    run(main)


def test_a_release_that_meets_its_own_last_renewal_reads_it_and_releases():
    async def main():
        api = LeaseApi()
        (one,) = candidates(api, "a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            await trio.sleep(1)
            one.client.after_s = 0.5  # carried out at 2.0, answered at 2.5
            await trio.sleep(1.2)
            one.scope.cancel()
        assert api.holder() == ""

    run(main)


def test_a_candidate_runs_once_at_a_time():
    async def main():
        (one,) = candidates(LeaseApi(), "a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            await settled()
            with pytest.raises(RuntimeError, match="one run at a time"):
                await one.elector.run(one.lead)
            nursery.cancel_scope.cancel()

    run(main)


def test_candidates_agree_over_a_cluster_too():
    """The lease is one that the API takes."""

    async def main():
        async with cacher.open_cluster(random=Random(1), epoch_s=0, checks_namespaces=False) as cluster:
            acted: list[str] = []

            def candidate(name, seed):
                return LeaderElector(cluster, "shop", name, random=Random(seed), clock=cluster.clock)

            async def lead(name):
                acted.append(name)
                await trio.sleep(7)

            async with trio.open_nursery() as nursery:
                for seed, name in enumerate("abc"):
                    nursery.start_soon(candidate(name, seed).run, lambda name=name: lead(name))
            assert sorted(acted) == ["a", "b", "c"]
            lease = await cluster.resource("coordination.k8s.io/v1", "leases").get("shop", "kube-system")
            assert lease["spec"]["leaseTransitions"] == 2
            assert lease["spec"]["renewTime"].startswith("1970-01-01T00:00:")

    run(main)


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_nobody_starts_before_all_that_another_started_has_ended(seed):
    """Candidates are cut off, slowed down and cancelled at any time; `lead` asserts that no rival acts when it starts."""
    random = Random(seed)

    async def trouble(one):
        while True:
            await trio.sleep(random.uniform(0, 30))
            one.client.is_down = random.random() < 0.3
            one.client.hangs = random.random() < 0.2
            one.client.before_s = random.choice([0, 0.1, 3, 8])
            one.client.after_s = random.choice([0, 0.1, 3, 8])

    async def main():
        some = candidates(LeaseApi(), *"abc"[: random.randint(2, 3)], wrong_by_s=random.uniform(-1e6, 1e6))
        with trio.move_on_after(400):
            async with trio.open_nursery() as nursery:
                for one in some:
                    one.winds_up_s = random.choice([0, 1, 4])  # less than the five seconds between two leaders
                    nursery.start_soon(one.run)
                    nursery.start_soon(trouble, one)

    run(main)
