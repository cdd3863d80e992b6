"""LeaseManager: when a lease is shared, and when not."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.storage._metrics import Histogram
from cacher.storage.etcd import LeaseManager, open_embedded_etcd
from cacher.storage.etcd._lease_manager import reuse_duration_s


def run(run_trio, body):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            await body(etcd)

    run_trio(main)


@pytest.mark.parametrize(
    ("ttl_s", "reuse_s"), [(3600, 60), (1200, 60), (1199, 59), (1000, 50), (20, 1), (19, 0), (1, 0)]
)
def test_get_reuse_duration_seconds_is_a_twentieth_and_at_most_a_minute(ttl_s, reuse_s):
    """[9.4 TestGetReuseDurationSeconds] how much longer than asked a lease may last"""
    assert reuse_duration_s(ttl_s) == reuse_s
    assert reuse_duration_s(ttl_s, 10) == min(reuse_s, 10)


def test_lease_max_object_count_bounds_the_objects_of_one_lease(run_trio):
    """[9.4 TestLeaseMaxObjectCount] two objects at most: 1, 2, then a new lease and 1"""

    async def body(etcd):
        counts = Histogram((1, 2, 3))
        leases = LeaseManager(etcd, objects_max=2, counts=counts)
        seen = []
        for _ in range(5):
            lease = await leases.lease_for(3600)
            seen.append((lease, leases.object_count))
        first, third, fifth = seen[0][0], seen[2][0], seen[4][0]
        assert len({first, third, fifth}) == 3
        assert seen == [(first, 1), (first, 2), (third, 1), (third, 2), (fifth, 1)]
        assert counts.count == 2, "each lease that was given up is counted once"

    run(run_trio, body)


def test_a_lease_is_granted_for_a_little_longer_and_shared_for_that_little(run_trio):
    async def body(etcd):
        leases = LeaseManager(etcd)
        first = await leases.lease_for(1000)
        assert (await etcd.lease_time_to_live(first)).granted_ttl_s == 1050
        await trio.sleep(49)
        assert await leases.lease_for(1000) == first
        await trio.sleep(1)
        assert await leases.lease_for(1000) != first, "it would end too early now"

    run(run_trio, body)


def test_a_lease_that_would_last_too_long_is_not_shared(run_trio):
    async def body(etcd):
        leases = LeaseManager(etcd)
        long = await leases.lease_for(3600)
        short = await leases.lease_for(1000)
        assert short != long
        assert await leases.lease_for(1000) == short
        assert await leases.lease_for(3600) not in (long, short), "only the last lease is remembered"

    run(run_trio, body)


def test_two_who_ask_at_once_share_one_lease(run_trio):
    async def body(etcd):
        leases = LeaseManager(etcd)
        got = []

        async def ask() -> None:
            got.append(await leases.lease_for(600))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
        assert len(set(got)) == 1
        assert etcd.statistics().leases == 1

    run(run_trio, body)


@settings(max_examples=50)
@given(
    asks=st.lists(st.tuples(st.integers(0, 100), st.sampled_from([1, 10, 100, 1000, 5000])), max_size=20),
    objects_max=st.integers(1, 4),
)
def test_an_object_lives_its_time_and_little_longer(asks, objects_max):
    """Whatever was asked before: not shorter, and longer by a twentieth or a minute at most; no lease is for too many."""

    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            leases = LeaseManager(etcd, objects_max=objects_max)
            uses: dict[int, int] = {}
            for pause_s, ttl_s in asks:
                await trio.sleep(pause_s)
                lease = await leases.lease_for(ttl_s)
                left_s = (await etcd.lease_time_to_live(lease)).ttl_s
                assert ttl_s <= left_s <= ttl_s + reuse_duration_s(ttl_s)
                uses[lease] = uses.get(lease, 0) + 1
                assert uses[lease] <= objects_max

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
