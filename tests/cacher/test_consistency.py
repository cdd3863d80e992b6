"""The consistency checker finds what a cache missed, tells the cache, and says nothing where it could not look."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio

from cacher._consistency import (
    PAGE_SIZE,
    PERIOD_JITTER,
    PERIOD_S,
    ConsistencyChecker,
    Difference,
    digest_of,
    fnv1_64,
)
from cacher.storage._interface import ListOptions, ListResult
from cacher.storage._metrics import CacheMetrics, MetricsRegistry
from watch import Expired, NotReady, Object


def pod(name: str, revision: int, namespace: str = "default") -> Object:
    return Object(f"/registry/pods/{namespace}/{name}", revision, b"{}", name, namespace)


class Store:
    """All versions, and lists exactly at a revision by pages; what a checker asks of a storage, and no more."""

    resource_prefix = "/pods"

    def __init__(self, *pods: Object, revision: int = 10) -> None:
        self.states = {revision: tuple(pods)}
        self.asked: list[ListOptions] = []
        self.error: Exception | None = None
        self.answers_at: int | None = None

    def at(self, revision: int, *pods: Object) -> None:
        self.states[revision] = tuple(pods)

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        await trio.lowlevel.checkpoint()
        assert key == "/pods/"
        self.asked.append(options)
        if self.error is not None:
            raise self.error
        token = options.continue_token or f"{options.resource_version}:0"
        revision, start = (int(part) for part in token.split(":"))
        state = self.states[revision]
        end = start + options.limit
        more = f"{revision}:{end}" if end < len(state) else ""
        return ListResult(state[start:end], self.answers_at or revision, more)


class Cache:
    """A cache that holds what a test says, right or wrong; and what it was told of itself."""

    resource_prefix = "/pods"

    def __init__(self, revision: int, *pods: Object) -> None:
        self.revision = revision
        self.pods = pods
        self.told: list[bool] = []
        self.is_ready = True

    def readiness_check(self) -> None:
        if not self.is_ready:
            raise NotReady()

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        await trio.lowlevel.checkpoint()
        assert (key, options.resource_version, options.match, options.limit) == ("/pods/", "0", "NotOlderThan", 0)
        return ListResult(self.pods, self.revision)

    def mark_consistent(self, is_consistent: bool, /) -> None:
        self.told.append(is_consistent)


def checker_of(cache: Cache, store: Store, *, page_size: int = PAGE_SIZE, metrics: CacheMetrics | None = None) -> Any:
    own: Any = cache
    below: Any = store
    return ConsistencyChecker(own, below, mark=cache, random=Random(7), metrics=metrics, page_size=page_size)


# ---- the digest ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "digest"),
    [(b"", "cbf29ce484222325"), (b"a", "af63bd4c8601b7be"), (b"foobar", "340d8765a4dda9c2")],
)
def test_the_hash_is_fnv_1_of_64_bits(text, digest):
    """Vectors of the FNV reference, http://www.isthe.com/chongo/tech/comp/fnv. FNV-1a of b"a" would end in ...4c8601ec8c."""
    assert f"{fnv1_64(text):016x}" == digest


def test_a_hash_goes_on_where_it_stopped():
    assert fnv1_64(b"bar", fnv1_64(b"foo")) == fnv1_64(b"foobar")


@pytest.mark.parametrize(
    ("objects", "digest"),
    [
        ([], "cbf29ce484222325"),
        ([pod("pod", 2)], "86bf3a5e80d1c5cb"),
        ([pod("pod", 2, "kube-system")], "4ae4e750bd825b17"),
        ([pod("pod", 2, "kube-public")], "f940a60af965b03"),
        ([pod("pod2", 2)], "c9120494e4c1897d"),
        ([pod("pod3", 2)], "c9156494e4c46274"),
        ([pod("pod", 3)], "86bf3a5e80d1c5ca"),
        ([pod("pod", 4)], "86bf3a5e80d1c5cd"),
        ([pod("pod", 2, "Default"), pod("pod", 3, "Default")], "11d147fc800df0e0"),
    ],
)
def test_namespace_name_and_revision_are_in_the_digest(objects, digest):
    """[9.3 TestConsistencyCheckerDigest] The digests that Kubernetes computes for the same objects."""
    assert f"{digest_of(objects):x}" == digest


def test_a_name_that_is_not_utf_8_has_a_digest():
    assert digest_of([pod("\udcff", 2)]) != digest_of([pod("\udcfe", 2)])


# ---- comparing -------------------------------------------------------------------------------------------------------

A, B, C = pod("a", 3), pod("b", 4), pod("c", 5)
B2 = pod("b", 9)


@pytest.mark.parametrize(
    ("cached", "stored", "difference"),
    [
        ((A, B, C), (A, B, C), None),
        ((), (), None),
        ((A, B, C), (A, B2, C), Difference(1, B, B2)),  # a write was missed
        ((A, B, C), (A, C), Difference(1, B, C)),  # a deletion was missed
        ((A, B, C), (A, B), Difference(2, C, None)),  # the deletion of the last
        ((A, B), (A, B, C), Difference(2, None, C)),  # a creation at the end
        ((), (A,), Difference(0, None, A)),
        ((B, A), (A, B), Difference(0, B, A)),  # order counts
    ],
)
@pytest.mark.parametrize("page_size", [1, 2, 10_000])
def test_a_cache_that_is_not_what_the_store_was_is_found(run_trio, cached, stored, difference, page_size):
    """[9.3 TestConsistencyCheckerDigestMatches] The first difference is named, on whichever page it is."""

    async def main() -> None:
        cache, store = Cache(9, *cached), Store(*stored, revision=9)
        store.at(12, pod("later", 12))
        result = await checker_of(cache, store, page_size=page_size).check()
        assert result.revision == 9
        assert (result.difference, result.is_consistent) == (difference, difference is None)
        assert (result.cached, result.stored) == (len(cached), len(stored))
        assert cache.told == [difference is None]

    run_trio(main)


def test_the_store_is_read_exactly_at_the_revision_of_the_cache_page_by_page(run_trio):
    """[9.3 TestConsistencyCheckerListOpts]"""

    async def main() -> None:
        store = Store(*(pod(f"p{number}", number) for number in range(1, 6)), revision=9)
        cache = Cache(9, *store.states[9])
        assert (await checker_of(cache, store, page_size=2).check()).is_consistent
        asked = [(o.resource_version, o.match, o.limit, o.continue_token) for o in store.asked]
        assert asked == [("9", "Exact", 2, ""), ("", "", 2, "9:2"), ("", "", 2, "9:4")]

    run_trio(main)


@pytest.mark.parametrize("trouble", ["not ready", "compacted", "other revision", "store gone"])
def test_a_check_that_cannot_be_made_is_an_error_and_tells_the_cache_nothing(run_trio, trouble):
    async def main() -> None:
        cache, store = Cache(9, A), Store(A, revision=9)
        metrics = CacheMetrics(MetricsRegistry(), resource="pods")
        if trouble == "not ready":
            cache.is_ready = False
        elif trouble == "compacted":
            store.error = Expired(9, 11)
        elif trouble == "store gone":
            store.error = trio.BrokenResourceError()
        else:
            store.answers_at = 10
        checker = checker_of(cache, store, metrics=metrics)
        assert await checker.check() is None
        assert (checker.successes, checker.failures, checker.errors) == (0, 0, 1)
        assert checker.last_error is not None
        assert cache.told == []
        assert metrics.consistency_checks("error") == 1

    run_trio(main)


def test_outcomes_are_counted_and_a_later_success_is_told_too(run_trio):
    """[9.3 TestMarkConsistent] Whether past revisions are served follows the newest check."""

    async def main() -> None:
        registry = MetricsRegistry()
        metrics = CacheMetrics(registry, group="", resource="pods")
        cache, store = Cache(9, A, B), Store(A, B2, revision=9)
        checker = checker_of(cache, store, metrics=metrics)
        await checker.check()
        cache.pods = (A, B2)
        await checker.check()
        assert cache.told == [False, True]
        assert (checker.successes, checker.failures, checker.errors) == (1, 1, 0)
        assert checker.last is not None
        assert checker.last.is_consistent
        seen = registry.snapshot()
        name = "apiserver_storage_consistency_checks_total"
        assert seen.value(name, status="success", resource="pods") == seen.value(name, status="failure") == 1

    run_trio(main)


def test_the_difference_can_be_read():
    assert str(Difference(1, B, None)) == "object 1: cache has default/b at 4, store has nothing"


# ---- periods ---------------------------------------------------------------------------------------------------------


def test_the_first_check_comes_after_a_period_and_each_period_is_drawn_anew(run_trio):
    async def main() -> None:
        cache, store = Cache(9), Store(revision=9)
        times: list[float] = []
        checker = checker_of(cache, store)
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checker.run)
            for _ in range(8):
                seen = checker.successes
                while checker.successes == seen:
                    await trio.sleep(1)
                times.append(trio.current_time() - start)
            nursery.cancel_scope.cancel()
        gaps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
        assert all(PERIOD_S <= gap <= PERIOD_S * (1 + PERIOD_JITTER) + 2 for gap in gaps)
        assert max(gaps) - min(gaps) > 30

    run_trio(main)


def test_a_big_list_is_digested_in_slices_so_that_others_run_meanwhile(run_trio):
    async def main() -> None:
        pods = tuple(pod(f"p{number:05}", number) for number in range(1, 5001))
        cache, store = Cache(9, *pods), Store(*pods, revision=9)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            assert (await checker_of(cache, store).check()).is_consistent
            nursery.cancel_scope.cancel()
        assert turns >= 20

    run_trio(main)
