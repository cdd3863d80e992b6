"""The contract of Storage.Interface, asked of CacherStorage: it cannot be told from the store below it.

Plain, and with the cache slowed, restarted and made to start over at random points (see `unruly`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import pytest
import trio
import trio.testing

from cacher import CacherStorage
from cacher.simulation import run_deterministic
from cacher.storage import Codec, conformance
from cacher.storage.etcd import Compactor, EtcdStorage, open_embedded_etcd
from tests.cacher.unruly import Household, PatientStorage, Troubles

CASES = [case for case in conformance.CASES if case.runs_on(is_cached=True)]
SEEDS = range(3)
SEEDS_LONG = range(3, 300)


@asynccontextmanager
async def open_store() -> AsyncIterator[tuple[EtcdStorage, conformance.TappedEtcd, trio.Nursery]]:
    async with open_embedded_etcd(random=Random(1)) as etcd, trio.open_nursery() as nursery:
        tapped = conformance.TappedEtcd(etcd)
        compactor = Compactor(tapped)
        nursery.start_soon(compactor.run)
        await trio.testing.wait_all_tasks_blocked()
        codec = Codec(group_version="v1", kind="Pod", fields=("spec.nodeName",))
        yield EtcdStorage(tapped, codec=codec, compactor=compactor, random=Random(2)), tapped, nursery
        nursery.cancel_scope.cancel()


async def check_plain(case: conformance.Case, *, supports_progress: bool = True) -> None:
    async with open_store() as (store, tapped, nursery):
        storage = CacherStorage(
            store, random=Random(3), indexed=("spec.nodeName",), supports_progress=supports_progress
        )
        await nursery.start(storage.run)
        await case(conformance.Fixture(storage, etcd=tapped, is_cached=True, supports_progress=supports_progress))


async def check_unruly(case: conformance.Case, seed: int, troubles: Troubles) -> Household:
    async with open_store() as (store, tapped, nursery):
        household = Household(store, Random(seed), troubles)
        await nursery.start(household.run)
        await case(conformance.Fixture(PatientStorage(household), etcd=tapped, is_cached=True, is_prompt=False))
    return household


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cache_keeps_the_contract(run_trio, case):
    run_trio(check_plain, case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cache_keeps_the_contract_without_progress(run_trio, case):
    """The store's word on its progress is not to be trusted: consistent reads are the store's."""
    run_trio(partial(check_plain, supports_progress=False), case)


def on_a_bad_day(case: conformance.Case, seed: int, troubles: Troubles) -> Household:
    """The same seed is the same day, to the last turn of the scheduler."""
    try:
        return run_deterministic(check_unruly, case, seed, troubles, seed=seed)
    except Exception as error:
        error.add_note(f"on_a_bad_day of seed {seed}")
        raise


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cache_keeps_the_contract_slowed_restarted_and_started_over(case):
    for seed in SEEDS:
        on_a_bad_day(case, seed, Troubles())


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cache_keeps_the_contract_on_many_bad_days(case):
    for seed in SEEDS_LONG:
        on_a_bad_day(case, seed, Troubles())


def test_a_bad_day_has_everything_in_it():
    """Each kind of trouble comes, and yet caches do most of the work: the patient client seldom has to."""
    troubles, served, recovered = Troubles(), 0, 0
    for seed, case in enumerate(CASES):
        if case.rows[0].startswith("9.2 "):
            household = on_a_bad_day(case, seed, troubles)
            served += household.cached_events > 0
            recovered += household.recovered_events > 0
    rare = [what for what, times in troubles.counts.items() if times < 5]
    assert not rare, f"hardly ever: {rare} of {troubles.counts}"
    assert served > 3 * recovered > 0
