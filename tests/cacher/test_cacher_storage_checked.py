"""Where it is asked to, a running CacherStorage compares itself with its store, and hides the past where they differ."""

from __future__ import annotations

from random import Random

import trio

from cacher import CacherStorage
from cacher.storage import Codec, ListOptions
from cacher.storage.etcd import EtcdStorage, open_embedded_etcd

PODS = "/pods/"
HOUR_S = 3600.0


def test_a_running_cache_is_compared_with_its_store_every_few_minutes(run_trio):
    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd, trio.open_nursery() as nursery:
            store = EtcdStorage(etcd, codec=Codec(), random=Random(2))
            cached = CacherStorage(store, random=Random(3), consistency_period_s=300)
            assert cached.consistency is not None
            await nursery.start(cached.run)
            await cached.create("/pods/default/web", {"metadata": {"name": "web", "namespace": "default"}})
            await cached.get_list(PODS, ListOptions())
            await trio.sleep(HOUR_S)
            # Between 300 and 450 s each: 8 to 12 an hour.
            assert 8 <= cached.consistency.successes <= 12
            assert (cached.consistency.failures, cached.consistency.errors) == (0, 0)

            # A cache that lost an object: what it says of the past cannot be trusted any more.
            cached.cacher.cache.snapshot.remove("/registry/pods/default/web")
            await trio.sleep(450)
            assert cached.consistency.failures >= 1
            assert cached.cacher.cache.oldest_exact is None
            nursery.cancel_scope.cancel()

    run_trio(main)


def test_without_a_period_nothing_is_compared(run_trio):
    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd, trio.open_nursery() as nursery:
            store = EtcdStorage(etcd, codec=Codec(), random=Random(2))
            cached = CacherStorage(store, random=Random(3), consistency_period_s=0)
            await nursery.start(cached.run)
            await trio.sleep(HOUR_S)
            assert cached.consistency is None
            nursery.cancel_scope.cancel()

    run_trio(main)
