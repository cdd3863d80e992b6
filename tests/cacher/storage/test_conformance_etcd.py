"""The contract of Storage.Interface, asked of the store itself: EtcdStorage over the embedded etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing

from cacher.storage import Codec, Semantics, conformance
from cacher.storage.etcd import Compactor, EtcdStorage, open_embedded_etcd

CASES = [case for case in conformance.CASES if case.runs_on(is_cached=False)]


@asynccontextmanager
async def open_storage(semantics: Semantics) -> AsyncIterator[conformance.Fixture]:
    async with open_embedded_etcd(random=Random(1)) as etcd, trio.open_nursery() as nursery:
        tapped = conformance.TappedEtcd(etcd)
        compactor = Compactor(tapped)
        nursery.start_soon(compactor.run)
        await trio.testing.wait_all_tasks_blocked()
        codec = Codec(group_version="v1", kind="Pod", fields=("spec.nodeName",))
        storage = EtcdStorage(tapped, codec=codec, compactor=compactor, random=Random(2), semantics=semantics)
        yield conformance.Fixture(storage, etcd=tapped, semantics=semantics)
        nursery.cancel_scope.cancel()


async def check(case: conformance.Case, semantics: Semantics) -> None:
    async with open_storage(semantics) as store:
        await case(store)


@pytest.mark.parametrize("semantics", Semantics, ids=lambda each: each.value)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_store_keeps_the_contract(run_trio, case, semantics):
    """[9.4 RunTest*]"""
    run_trio(check, case, semantics)
