"""The contract of Storage.Interface on real etcds: EtcdStorage, and CacherStorage above it, over RemoteEtcd.

The same cases as on the embedded etcd, under a clock 20 times as fast as the server's: what may take five minutes may take
15 s of the server's time. Every etcd that was found is asked; where one's progress cannot be believed, consistent reads go
to etcd, as they do in production.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from cacher import CacherStorage
from cacher.storage import Codec, conformance
from cacher.storage.etcd import Compactor, EtcdStorage
from tests.etcd_server import EtcdServer
from tests.remote_etcd import frequent_progress, open_emptied, run_fast, shared_server

pytestmark = pytest.mark.slow

server = shared_server(flags=frequent_progress)

RAW = [case for case in conformance.CASES if case.runs_on(is_cached=False)]
CACHED = [case for case in conformance.CASES if case.runs_on(is_cached=True)]


@asynccontextmanager
async def open_store(server: EtcdServer) -> AsyncIterator[tuple[EtcdStorage, conformance.TappedEtcd, trio.Nursery]]:
    async with open_emptied(server) as etcd, trio.open_nursery() as nursery:
        tapped = conformance.TappedEtcd(etcd)
        compactor = Compactor(tapped)
        nursery.start_soon(compactor.run)
        codec = Codec(group_version="v1", kind="Pod", fields=("spec.nodeName",))
        supports_progress = etcd.supports_progress
        store = EtcdStorage(
            tapped, codec=codec, compactor=compactor, random=Random(2), supports_progress=supports_progress
        )
        yield store, tapped, nursery
        nursery.cancel_scope.cancel()


async def check_raw(server: EtcdServer, case: conformance.Case) -> None:
    async with open_store(server) as (store, tapped, _):
        await case(conformance.Fixture(store, etcd=tapped, supports_progress=store.supports_progress))


async def check_cached(server: EtcdServer, case: conformance.Case) -> None:
    async with open_store(server) as (store, tapped, nursery):
        supports_progress = store.supports_progress
        storage = CacherStorage(
            store, random=Random(3), indexed=("spec.nodeName",), supports_progress=supports_progress
        )
        await nursery.start(storage.run)
        await case(conformance.Fixture(storage, etcd=tapped, is_cached=True, supports_progress=supports_progress))


@pytest.mark.parametrize("case", RAW, ids=str)
def test_the_store_on_a_real_etcd_keeps_the_contract(server, case):
    """[9.4 RunTest*]"""
    run_fast(check_raw, server, case)


@pytest.mark.parametrize("case", CACHED, ids=str)
def test_the_cache_on_a_real_etcd_keeps_the_contract(server, case):
    run_fast(check_cached, server, case)
