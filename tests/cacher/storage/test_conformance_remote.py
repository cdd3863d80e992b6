"""The contract of Storage.Interface on real etcds: EtcdStorage, and CacherStorage above it, over RemoteEtcd.

The same cases as on the embedded etcd, under a clock 20 times as fast as the server's: what may take five minutes may take
15 s of the server's time. Every etcd that was found is asked; where one's progress cannot be believed, consistent reads go
to etcd, as they do in production. A real etcd delays what it tells, and so is not `is_prompt`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import NamedTuple

import pytest
import trio

from cacher import CacherStorage
from cacher.storage import Codec, conformance
from cacher.storage.etcd import Compactor, EtcdStorage, RemoteEtcd
from tests.etcd_server import EtcdServer
from tests.remote_etcd import frequent_progress, open_emptied, run_fast, shared_server

pytestmark = pytest.mark.slow

server = shared_server(flags=frequent_progress)

RAW = [case for case in conformance.CASES if case.runs_on(is_cached=False)]
CACHED = [case for case in conformance.CASES if case.runs_on(is_cached=True)]


class Store(NamedTuple):
    etcd: RemoteEtcd
    tapped: conformance.TappedEtcd
    storage: EtcdStorage
    nursery: trio.Nursery


@asynccontextmanager
async def open_store(server: EtcdServer) -> AsyncIterator[Store]:
    async with open_emptied(server) as etcd, trio.open_nursery() as nursery:
        tapped = conformance.TappedEtcd(etcd)
        compactor = Compactor(tapped)
        nursery.start_soon(compactor.run)
        codec = Codec(group_version="v1", kind="Pod", fields=("spec.nodeName",))
        supports_progress = etcd.supports_progress
        store = EtcdStorage(
            tapped, codec=codec, compactor=compactor, random=Random(2), supports_progress=supports_progress
        )
        yield Store(etcd, tapped, store, nursery)
        nursery.cancel_scope.cancel()


async def until_watching(etcd: RemoteEtcd) -> None:
    """Returns when etcd knows of the cache's watch, and of the compactor's.

    A cache is ready when it has listed, and opens its watch in the background. A case that compacts meanwhile would make it
    list again; that it does, and waits, is for other tests to show.
    """
    while len(etcd._watches) < 2:
        await trio.sleep(0.01)
    for watch in list(etcd._watches):
        await watch._has_begun.wait()


async def check_raw(server: EtcdServer, case: conformance.Case) -> None:
    async with open_store(server) as (_, tapped, store, _):
        await case(conformance.Fixture(store, etcd=tapped, supports_progress=store.supports_progress, is_prompt=False))


async def check_cached(server: EtcdServer, case: conformance.Case) -> None:
    async with open_store(server) as (etcd, tapped, store, nursery):
        supports_progress = store.supports_progress
        storage = CacherStorage(
            store, random=Random(3), indexed=("spec.nodeName",), supports_progress=supports_progress
        )
        await nursery.start(storage.run)
        await until_watching(etcd)
        await case(
            conformance.Fixture(
                storage, etcd=tapped, is_cached=True, supports_progress=supports_progress, is_prompt=False
            )
        )


@pytest.mark.parametrize("case", RAW, ids=str)
def test_the_store_on_a_real_etcd_keeps_the_contract(server, case):
    """[9.4 RunTest*]"""
    run_fast(check_raw, server, case)


@pytest.mark.parametrize("case", CACHED, ids=str)
def test_the_cache_on_a_real_etcd_keeps_the_contract(server, case):
    run_fast(check_cached, server, case)
