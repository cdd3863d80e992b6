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
from cacher.storage import Codec, Semantics, conformance
from cacher.storage.etcd import Compactor, EtcdStorage, open_embedded_etcd
from tests.cacher.unruly import Household, PatientStorage, Troubles
from watch import NotReady

CASES = [case for case in conformance.CASES if case.runs_on(is_cached=True)]
SEEDS = range(3)
SEEDS_LONG = range(3, 300)


BOTH = pytest.mark.parametrize("semantics", Semantics, ids=lambda each: each.value)


@asynccontextmanager
async def open_store(semantics: Semantics) -> AsyncIterator[tuple[EtcdStorage, conformance.TappedEtcd, trio.Nursery]]:
    async with open_embedded_etcd(random=Random(1)) as etcd, trio.open_nursery() as nursery:
        tapped = conformance.TappedEtcd(etcd)
        compactor = Compactor(tapped)
        nursery.start_soon(compactor.run)
        await trio.testing.wait_all_tasks_blocked()
        codec = Codec(group_version="v1", kind="Pod", fields=("spec.nodeName",))
        yield (
            EtcdStorage(tapped, codec=codec, compactor=compactor, random=Random(2), semantics=semantics),
            tapped,
            nursery,
        )
        nursery.cancel_scope.cancel()


async def check_plain(
    case: conformance.Case, semantics: Semantics, *, supports_progress: bool = True, claims: Semantics | None = None
) -> None:
    """A storage with the rules of `semantics`; `claims`: the case is asked about the rules of another release."""
    async with open_store(semantics) as (store, tapped, nursery):
        storage = CacherStorage(
            store,
            random=Random(3),
            indexed=("spec.nodeName",),
            supports_progress=supports_progress,
            semantics=semantics,
        )
        await nursery.start(storage.run)
        fixture = conformance.Fixture(
            storage, etcd=tapped, is_cached=True, supports_progress=supports_progress, semantics=claims or semantics
        )
        await case(fixture)


async def check_unruly(case: conformance.Case, seed: int, troubles: Troubles, semantics: Semantics) -> Household:
    async with open_store(semantics) as (store, tapped, nursery):
        household = Household(store, Random(seed), troubles, semantics)
        await nursery.start(household.run)
        patient = PatientStorage(household)
        await case(conformance.Fixture(patient, etcd=tapped, is_cached=True, is_prompt=False, semantics=semantics))
    return household


@BOTH
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cache_keeps_the_contract(run_trio, case, semantics):
    run_trio(check_plain, case, semantics)


@BOTH
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cache_keeps_the_contract_without_progress(run_trio, case, semantics):
    """The store's word on its progress is not to be trusted: consistent reads are the store's."""
    run_trio(partial(check_plain, supports_progress=False), case, semantics)


DIFFER = [
    "a_deletion_returns_the_last_state_at_its_own_revision",
    "reads_of_a_cache_that_is_not_ready_are_the_store_s_where_they_cost_it_little",
    "what_a_cache_that_is_not_ready_would_have_to_serve_itself_is_refused",
    "the_end_of_the_initial_events_is_told_at_once",
    "a_list_that_waits_is_woken_by_the_store_s_progress",
    "a_state_without_resource_version_is_the_store_s",
]
"""Cases of what v1.22 does otherwise. How it counts the ring's events from zero again after a list shows nowhere."""


@BOTH
@pytest.mark.parametrize("case", [case for case in CASES if case.name in DIFFER], ids=str)
def test_a_cache_with_the_rules_of_another_release_is_convicted(run_trio, case, semantics):
    (other,) = set(Semantics) - {semantics}
    with pytest.raises((AssertionError, NotReady, ExceptionGroup)):
        run_trio(partial(check_plain, claims=other), case, semantics)


def test_every_case_that_differs_is_there():
    assert {case.name for case in CASES} >= set(DIFFER)


def on_a_bad_day(
    case: conformance.Case, seed: int, troubles: Troubles, semantics: Semantics = Semantics.NEWEST
) -> Household:
    """The same seed is the same day, to the last turn of the scheduler."""
    try:
        return run_deterministic(check_unruly, case, seed, troubles, semantics, seed=seed)
    except Exception as error:
        error.add_note(f"on_a_bad_day of seed {seed}")
        raise


@BOTH
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cache_keeps_the_contract_slowed_restarted_and_started_over(case, semantics):
    for seed in SEEDS:
        on_a_bad_day(case, seed, Troubles(), semantics)


@pytest.mark.long
@BOTH
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cache_keeps_the_contract_on_many_bad_days(case, semantics):
    for seed in SEEDS_LONG:
        on_a_bad_day(case, seed, Troubles(), semantics)


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
