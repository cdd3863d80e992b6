"""What a cache holds: Coherent (its state is the store's, at the revision that it claims) and Bounded (its memory has limits).

Source: kubernetes/apiserver pkg/storage/cacher/compare.go, the consistency check; watch_cache.go for the ring's capacities.
"""

from __future__ import annotations

from collections.abc import Iterable

from watch import Object, Selector

from .._history import CacheSample
from ._case import Case, Reading
from ._judge import Judge
from ._truth import SelectorTruth
from ._verdict import Tally

# ---- Coherent ------------------------------------------------------------------------------------------------------


def _lists(reading: Reading, tally: Tally) -> None:
    for listed in reading.lists:
        tally.checked(1)
        if fault := _incoherent(reading.case, reading.truth, listed.revision, listed.objects):
            facts = f"a list of {reading.client.selector} at {listed.revision}: {fault}"
            tally.broke(reading.client.name, facts, revision=listed.revision, at_s=listed.at_s)


def _samples(case: Case, tally: Tally) -> None:
    for sample in case.history.samples:
        if sample.objects is None:
            continue
        tally.checked(1)
        truth = case.truth(sample.prefix, Selector())
        if fault := _incoherent(case, truth, sample.revision, sample.objects):
            facts = f"the cache of {sample.prefix} at {sample.revision}: {fault}"
            tally.broke(sample.prefix, facts, revision=sample.revision, at_s=sample.at_s)


def _incoherent(case: Case, truth: SelectorTruth, revision: int, objects: Iterable[Object]) -> str:
    """What is wrong with `objects` as the state at `revision`; "" where nothing is."""
    store = truth.store
    if revision < store.start_revision:
        return f"it claims a revision before the store's first one, {store.start_revision}"
    if revision > (last := max(case.history.end_revision, store.last_revision)):
        return f"it claims a revision that the store never reached, the last was {last}"
    return store.fault_in_list(truth.state(revision), objects)


COHERENT = Judge(
    "Coherent",
    "what a cache holds or lists at a revision is what the store held at that revision, in key order",
    of_client=_lists,
    of_caches=_samples,
)

# ---- Bounded -------------------------------------------------------------------------------------------------------


def _bounded(case: Case, tally: Tally) -> None:
    for sample in case.history.samples:
        tally.checked(1)
        for fault in _excesses(sample):
            tally.broke(
                sample.prefix, f"the cache of {sample.prefix}: {fault}", revision=sample.revision, at_s=sample.at_s
            )


def _excesses(sample: CacheSample) -> Iterable[str]:
    if sample.ring_length > sample.ring_capacity:
        yield f"{sample.ring_length} events in a ring of {sample.ring_capacity}"
    if sample.ring_capacity > sample.ring_capacity_max:
        yield f"a ring of {sample.ring_capacity}, and {sample.ring_capacity_max} is the most it may have"
    # A log keeps only what is still in the ring, and an event of the ring at most once.
    if sample.view_log_events_max > sample.ring_length:
        yield f"{sample.view_log_events_max} events in the log of a view, and {sample.ring_length} in the ring behind it"


BOUNDED = Judge(
    "Bounded",
    "no ring outgrows its capacity, no capacity its maximum, and no view's log the ring",
    of_caches=_bounded,
)
