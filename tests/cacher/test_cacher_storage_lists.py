"""Lists of a cached storage: which it answers and which the store, and what the answers say."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher import Ring
from cacher.storage import (
    BadRequest,
    InvalidKey,
    ListOptions,
    Semantics,
    Unreachable,
    decode_continue,
)
from cacher.storage._metrics import CacheMetrics, MetricsRegistry
from tests.cacher.layers import ALL_PODS, ON_NODE_1, ROOT, layers, names, put_later, run, settle, taken, told, value
from watch import Expired, Selector, TooLargeResourceVersion

NEWEST, V1_22 = Semantics.NEWEST, Semantics.V1_22
BOTH = pytest.mark.parametrize("semantics", [NEWEST, V1_22])


# ---- lists: who answers ----------------------------------------------------------------------------------------------


def test_a_list_without_a_revision_is_the_caches_once_it_has_reached_the_stores():
    """[9.3 TestConsistentReadFallback] Success: one request, for the revision."""

    async def main() -> None:
        async with layers("a/one", "a/two") as all_:
            other = await all_.elsewhere()  # the cache hears of it only by asking
            result = await all_.list()
            assert (names(result), result.revision) == (["one", "two"], other)
            assert all_.below.asked == ["current_resource_version"]
            assert len(all_.below.progress_asked) == 1

    run(main)


@pytest.mark.parametrize("fails", [False, True])
def test_a_consistent_list_that_the_cache_cannot_answer_in_time_is_the_stores(fails):
    """[9.3 TestConsistentReadFallback] Fallback: two requests, the second with the caller's options; it may fail as well."""

    async def main() -> None:
        registry = MetricsRegistry()
        async with layers("a/one", metrics=CacheMetrics(registry, resource="pods")) as all_:
            await all_.list()
            all_.below.asked.clear()
            all_.below.hold()
            written = await all_.put("a/two")
            options = ListOptions(limit=1)
            if fails:
                all_.below.errors["get_list"] = Unreachable("/pods/")
                with pytest.raises(Unreachable):
                    await all_.storage.get_list(ALL_PODS, options)
            else:
                result = await all_.storage.get_list(ALL_PODS, options)
                assert (names(result), result.revision, result.remaining) == (["one"], written, 1)
            assert trio.current_time() == 3
            assert all_.below.asked == ["current_resource_version", "get_list"]
            assert all_.below.options[-1:] == ([] if fails else [options])
            counted = "apiserver_watch_cache_consistent_read_total"
            seen = registry.snapshot()
            assert seen.value(counted, success="true", fallback="false") == 1
            assert seen.value(counted, success=str(not fails).lower(), fallback="true") == 1

    run(main)


def test_a_consistent_list_fails_where_the_store_does_not_say_how_far_it_is():
    async def main() -> None:
        async with layers("a/one") as all_:
            all_.below.errors["current_resource_version"] = Unreachable("/pods")
            with pytest.raises(Unreachable):
                await all_.list()

    run(main)


def test_without_progress_consistent_lists_and_revisions_to_come_are_the_stores():
    async def main() -> None:
        async with layers("a/one", supports_progress=False) as all_:
            assert names(await all_.list()) == ["one"]
            with pytest.raises(TooLargeResourceVersion) as caught:
                await all_.list(resource_version="99", match="Exact")
            assert caught.value.retry_after_s == 0
            assert (all_.below.asked, all_.below.progress_asked) == (["get_list", "get_list"], [])
            with pytest.raises(TooLargeResourceVersion):
                await all_.list(resource_version="99")
            assert all_.below.progress_asked == [], "the store's word is not to be trusted"

    run(main)


@pytest.mark.parametrize("snapshots", [True, False])
def test_an_exact_list_is_the_caches_as_far_as_its_history_reaches(snapshots):
    """[9.3 TestMatchExactResourceVersionFallback] Else the store's; the list's revision is the one asked for."""

    async def main() -> None:
        async with layers("a/one", snapshots=snapshots) as all_:
            listed = all_.etcd.revision
            await all_.put("a/two")
            other = await all_.elsewhere()
            await all_.put("a/three")
            for at, found in ((listed, ["one"]), (other, ["one", "two"])):
                result = await all_.list(resource_version=str(at), match="Exact")
                assert (names(result), result.revision) == (found, at)
            assert all_.below.asked == ([] if snapshots else ["get_list"] * 2)
            result = await all_.list(resource_version=str(listed - 1), match="Exact")
            assert (names(result), result.revision) == ([], listed - 1)
            assert all_.below.asked == ["get_list"] * (1 if snapshots else 3)

    run(main)


def test_an_exact_list_of_a_revision_to_come_waits_for_it():
    async def main() -> None:
        async with layers("a/one") as all_:
            asked = all_.etcd.revision + 2
            async with trio.open_nursery() as nursery:
                nursery.start_soon(put_later, 1.0, all_, "a/two")
                nursery.start_soon(put_later, 1.5, all_, "a/three")
                nursery.start_soon(put_later, 1.5, all_, "a/four")
                result = await all_.list(resource_version=str(asked), match="Exact")
            assert (names(result), result.revision) in (
                (["three", "two"], asked),
                (["one", "three", "two"], asked),
                (["four", "one", "two"], asked),
            )
            with pytest.raises(TooLargeResourceVersion) as caught:
                await all_.list(resource_version="99", match="Exact")
            assert caught.value.retry_after_s == 1

    run(main)


def test_what_the_store_has_compacted_the_cache_does_not_show_either():
    """[9.3 TestWatchCacheStorageSnapshots] [9.3 TestWatchCacheStorageMatchExactResourceVersionFallback] From there on it does."""

    async def main() -> None:
        async with layers("a/one") as all_:
            first = all_.etcd.revision
            last = await all_.put("a/two")
            await all_.etcd.compact(last)
            all_.below.compacted = last
            with pytest.raises(Expired) as caught:
                await all_.list(resource_version=str(first), match="Exact")
            assert caught.value.message == "The resourceVersion for the provided list is too old."
            assert names(await all_.list(resource_version=str(last), match="Exact")) == ["one", "two"]
            assert all_.below.asked == ["get_list"]

    run(main)


def test_a_cache_that_was_found_wrong_shows_no_past_until_it_is_found_right():
    """[9.3 TestWatchCacheStorageMarkConsistent] Then from there on; the present is shown all along."""

    async def main() -> None:
        async with layers("a/one") as all_:
            first = str(all_.etcd.revision)
            all_.storage.mark_consistent(False)
            assert names(await all_.list(resource_version=first, match="Exact")) == ["one"]
            assert names(await all_.list(resource_version=first)) == ["one"]
            assert all_.below.asked == ["get_list"]
            second = str(await all_.put("a/two"))
            all_.storage.mark_consistent(True)
            all_.storage.mark_consistent(True)
            await all_.put("a/three")
            assert names(await all_.list(resource_version=second, match="Exact")) == ["one", "two"]
            assert all_.below.asked == ["get_list"]
            assert names(await all_.list(resource_version=first, match="Exact")) == ["one"]
            assert all_.below.asked == ["get_list"] * 2

    run(main)


def test_a_list_that_would_undo_too_much_is_the_stores(monkeypatch):
    monkeypatch.setattr("cacher._watch_cache.UNDO_EVENTS_MAX", 3)

    async def main() -> None:
        async with layers("a/one") as all_:
            first = all_.etcd.revision
            for _ in range(4):
                await all_.put("a/two")
            for at, asked in ((first + 1, []), (first, ["get_list"])):
                result = await all_.list(resource_version=str(at), match="Exact")
                assert result.revision == at
                assert all_.below.asked == asked

    run(main)


def test_a_consistent_page_is_the_caches_also_where_it_has_no_past():
    """[9.3 TestGetListNonRecursiveCacheWithConsistentListFromCache] Of a namespace, whole, at the store's revision.

    Kubernetes' test asks so, in spite of its name.
    """

    async def main() -> None:
        async with layers("a/one", "a/two", "b/three", snapshots=False) as all_:
            other = await all_.elsewhere()
            result = await all_.list("/pods/a", limit=500)
            assert (names(result), result.revision, result.continue_token) == (["one", "two"], other, "")
            assert all_.below.asked == ["current_resource_version"]

    run(main)


def test_a_list_of_one_key_is_the_caches_but_at_an_exact_revision():
    """[9.3 TestGetListNonRecursiveCacheWithConsistentListFromCache] The cache's revision is the list's."""

    async def main() -> None:
        async with layers("a/one", "a/one-more") as all_:
            other = await all_.elsewhere()
            result = await all_.list("/pods/a/one", recursive=False)
            assert (names(result), result.revision, all_.below.asked) == (["one"], other, ["current_resource_version"])
            for version in ("0", str(other)):
                result = await all_.list("/pods/a/one", recursive=False, resource_version=version)
                assert (names(result), result.revision) == (["one"], other)
            assert (
                names(await all_.list("/pods/a/one", recursive=False, resource_version="0", selector=ON_NODE_1)) == []
            )
            assert names(await all_.list("/pods/a/none", recursive=False, resource_version="0")) == []
            assert names(await all_.list("/pods/a/", recursive=False, resource_version="0")) == []
            assert names(await all_.list("/pods/a/one", resource_version="0")) == [], "nothing is below an object"
            assert "get_list" not in all_.below.asked
            await all_.list("/pods/a/one", recursive=False, resource_version=str(other), match="Exact")
            await all_.list("/pods/a/one", recursive=False, resource_version=str(other), limit=1)
            assert all_.below.asked[-2:] == ["get_list"] * 2

    run(main)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"resource_version": "abc"}, BadRequest, "invalid resource version"),
        ({"continue_token": "!"}, BadRequest, "invalid continue token"),
        ({"continue_token": "ok", "resource_version": "5"}, BadRequest, "not allowed when using continue"),
    ],
)
def test_nonsense_is_refused_before_anybody_is_asked(options, error, message):
    async def main() -> None:
        async with layers("a/one", "a/two") as all_:
            if options.get("continue_token") == "ok":
                options["continue_token"] = (await all_.list(limit=1)).continue_token
            all_.below.asked.clear()
            with pytest.raises(error, match=message):
                await all_.list(**options)
            with pytest.raises(InvalidKey):
                await all_.list("/nodes")
            assert all_.below.asked == []

    run(main)


# ---- lists: what is answered -----------------------------------------------------------------------------------------


def test_a_page_ends_with_a_token_and_the_next_one_shows_the_same_revision():
    async def main() -> None:
        async with layers("a/1", "a/2", "a/3", "b/4") as all_:
            first = await all_.list(limit=2)
            revision = all_.etcd.revision
            assert (names(first), first.revision, first.remaining) == (["1", "2"], revision, 2)
            assert decode_continue(first.continue_token, f"{ROOT}/pods/") == (f"{ROOT}/pods/a/2\0", revision)
            await all_.put("a/25")
            await all_.drop("a/3")
            second = await all_.list(limit=2, continue_token=first.continue_token)
            assert (names(second), second.revision) == (["3", "4"], revision)
            assert (second.continue_token, second.remaining) == ("", None)
            rest = await all_.list(continue_token=first.continue_token, resource_version="0", limit=1)
            assert names(rest) == ["3", "4"], "at '0' a cache knows no limit"
            assert "get_list" not in all_.below.asked

    run(main)


def test_tokens_of_the_cache_and_of_the_store_are_good_for_either():
    async def main() -> None:
        async with layers("a/1", "a/2", "b/3") as all_:
            for key in ("/pods", "/pods/", "/pods/a", "/pods/a/"):
                mine = await all_.list(key, limit=1)
                theirs = await all_.below.storage.get_list(key, ListOptions(limit=1))
                for token in (mine.continue_token, theirs.continue_token):
                    one = await all_.list(key, continue_token=token)
                    other = await all_.below.storage.get_list(key, ListOptions(continue_token=token))
                    assert one == other
                    assert names(one) == (["2"] if key.startswith("/pods/a") else ["2", "3"])

    run(main)


def test_a_token_too_old_for_the_cache_is_the_stores_and_its_answer_goes_on_at_the_latest():
    async def main() -> None:
        async with layers("a/1", "a/2", "a/3", ring=Ring(capacity_min=2, capacity_max=2)) as all_:
            first = await all_.list(limit=1)
            for name in ("a/3", "a/4", "a/5"):
                await all_.put(name)
            page = await all_.list(limit=1, continue_token=first.continue_token)
            assert (names(page), page.revision) == (["2"], first.revision)
            assert all_.below.asked[-1] == "get_list"
            await all_.etcd.compact(all_.etcd.revision)
            with pytest.raises(Expired) as caught:
                await all_.list(limit=1, continue_token=first.continue_token)
            all_.below.asked.clear()
            rest = await all_.list(limit=2, continue_token=caught.value.continue_token)
            assert (names(rest), rest.revision, rest.remaining) == (["2", "3"], all_.etcd.revision, 2)
            assert all_.below.asked == ["current_resource_version"], "the latest is the cache's"

    run(main)


def test_where_a_selector_is_given_nobody_knows_how_many_remain():
    async def main() -> None:
        async with layers() as all_:
            for name in "abcdef":
                await all_.put(f"x/{name}", node="n1" if name in "bdf" else "n2", labels={"app": "web"})
            for selector in (
                ON_NODE_1,
                Selector.of(fields="spec.nodeName!=n2"),
                Selector.of("x", fields="spec.nodeName=n1"),
            ):
                page = await all_.list(limit=2, selector=selector)
                assert (names(page), page.remaining, bool(page.continue_token)) == (["b", "d"], None, True)
                rest = await all_.list(limit=2, selector=selector, continue_token=page.continue_token)
                assert (names(rest), rest.continue_token) == (["f"], "")

    run(main)


@pytest.mark.parametrize(
    ("options", "limited"),
    [
        ({"limit": 0}, 0),
        ({"limit": 1}, 1),
        ({"limit": 1, "resource_version": "0"}, 0),
        ({"limit": 1, "resource_version": "0", "match": "NotOlderThan"}, 0),
        ({"limit": 1, "resource_version": "2"}, 1),
        ({"limit": 1, "resource_version": "2", "match": "NotOlderThan"}, 1),
        ({"limit": 1, "resource_version": "3", "match": "Exact"}, 1),
        ({"limit": -1}, 0),
    ],
)
def test_the_limit_counts_but_at_any_revision(options, limited):
    """[9.3 TestComputeListLimit] At "0" it is ignored, as caches did when their clients came to rely on it."""

    async def main() -> None:
        async with layers("a/1", "a/2") as all_:
            result = await all_.list(**options)
            assert len(result.objects) == (limited or 2) or result.revision < 3

    run(main)


def test_an_old_way_of_asking_for_an_exact_revision_is_understood():
    async def main() -> None:
        async with layers("a/1", "a/2") as all_:
            revision = all_.etcd.revision
            await all_.put("a/3")
            page = await all_.list(limit=1, resource_version=str(revision))
            assert (names(page), page.revision, page.remaining) == (["1"], revision, 1)
            assert names(await all_.list(resource_version=str(revision))) == ["1", "2", "3"]
            assert names(await all_.list(limit=3, resource_version=str(revision), match="NotOlderThan")) == [
                "1",
                "2",
                "3",
            ]

    run(main)


def test_a_key_below_the_resource_shows_its_namespace_and_no_other():
    """[9.3 TestHasPathPrefix] A prefix ends at a "/"."""

    async def main() -> None:
        async with layers("a/1", "ab/2", "a-b/3") as all_:
            for key in ("/pods/a", "/pods/a/"):
                assert names(await all_.list(key)) == ["1"]
            assert names(await all_.list(selector=Selector.of("ab"))) == ["2"]
            assert names(await all_.list("/pods/a", selector=Selector.of("ab"))) == []

    run(main)


def test_an_object_whose_key_and_namespace_disagree_is_listed_by_the_one_and_watched_by_the_other():
    """Only a raw put can make one. Nobody who lists or watches everything misses it."""

    async def main() -> None:
        async with layers("a/1", "b/2") as all_:
            opened = [
                all_.storage.watch(key, ListOptions(send_initial_events=False))
                for key in (ALL_PODS, "/pods/a", "/pods/b")
            ]
            async with opened[0] as everything, opened[1] as by_key, opened[2] as by_namespace:
                raw = all_.below.storage.codec.encode(value("b/stray"))
                written = (await all_.etcd.put(f"{ROOT}/pods/a/stray", raw)).revision
                await settle()
                assert names(await all_.list()) == ["1", "stray", "2"]
                assert names(await all_.list("/pods/a")) == ["1", "stray"]
                assert names(await all_.list("/pods/b")) == ["2"]
                for stream, seen in ((everything, True), (by_key, False), (by_namespace, True)):
                    assert told(await taken(stream)) == ([("ADDED", "stray", written)] if seen else [])

    run(main)


def test_a_list_by_an_indexed_field_looks_at_what_it_finds():
    """[9.3 TestListIndexer] [9.3 TestListMetrics] [9.3 TestWaitUntilFreshAndGetList] One object fetched, one returned, by the
    index."""

    async def main() -> None:
        registry = MetricsRegistry()
        async with layers(metrics=CacheMetrics(registry, resource="pods")) as all_:
            for turn in range(20):
                await all_.put(f"ns{turn % 2}/p{turn:02}", node=f"n{turn % 5}", labels={"app": "web"})
            before = registry.snapshot()
            found = await all_.list("/pods/ns1", selector=ON_NODE_1, resource_version="0")
            assert names(found) == ["p01", "p11"]
            mixed = Selector.of(fields="spec.nodeName=n1", labels="app=db")
            assert names(await all_.list(selector=mixed, resource_version="0")) == []
            after = registry.snapshot()
            stem = "apiserver_storage_list"
            for name, grown in (
                (f"{stem}_total", 2),
                (f"{stem}_fetched_objects_total", 6),
                (f"{stem}_evaluated_objects_total", 0),
            ):
                labels = {"index": "f:spec.nodeName", "storage": "watchcache"}
                assert after.value(name, **labels) - before.value(name, **labels) == grown
            assert after.value(f"{stem}_returned_objects_total", storage="watchcache") == 2

    run(main)


# ---- lists: cut into steps -------------------------------------------------------------------------------------------


@pytest.fixture
def short_steps(monkeypatch):
    monkeypatch.setattr("cacher._watch_cache.STEP_KEYS_MAX", 3)


@pytest.mark.usefixtures("short_steps")
def test_a_long_list_lets_others_run_and_shows_one_revision_all_the_same():
    async def main() -> None:
        async with layers(*(f"a/{turn:02}" for turn in range(20))) as all_:
            revision = all_.etcd.revision

            async def disturb() -> None:
                for turn in range(19, 0, -2):
                    await all_.etcd.delete(f"{ROOT}/pods/a/{turn:02}")
                    await all_.etcd.put(
                        f"{ROOT}/pods/a/{turn:02}x", all_.below.storage.codec.encode(value(f"a/{turn:02}x"))
                    )

            async with trio.open_nursery() as nursery:
                nursery.start_soon(disturb)
                result = await all_.list(resource_version=str(revision), match="Exact")
            assert result.revision == revision
            assert names(result) == [f"{turn:02}" for turn in range(20)]
            assert "get_list" not in all_.below.asked
            async with trio.open_nursery() as nursery:
                nursery.start_soon(disturb)
                result = await all_.list(resource_version="0")
            exact = await all_.below.storage.get_list(
                ALL_PODS, ListOptions(resource_version=str(result.revision), match="Exact")
            )
            assert result.objects == exact.objects

    run(main)


@pytest.mark.usefixtures("short_steps")
def test_a_long_list_whose_history_goes_by_meanwhile_is_the_stores():
    async def main() -> None:
        async with layers(*(f"a/{turn:02}" for turn in range(40)), ring=Ring(capacity_min=2, capacity_max=2)) as all_:
            async with trio.open_nursery() as nursery:
                for turn in range(39, 30, -1):  # more between two steps than the ring holds
                    nursery.start_soon(all_.etcd.delete, f"{ROOT}/pods/a/{turn:02}")
                result = await all_.list(resource_version="0")
            assert all_.below.asked == ["get_list"]
            assert names(result)[:31] == [f"{turn:02}" for turn in range(31)]

    run(main)


@pytest.mark.usefixtures("short_steps")
def test_a_long_list_that_keeps_up_with_a_short_history_is_the_caches():
    """Each step takes back what came since the one before, so that the history need not reach back to the first."""

    async def main() -> None:
        async with layers(*(f"a/{turn:02}" for turn in range(40)), ring=Ring(capacity_min=2, capacity_max=2)) as all_:

            async def disturb() -> None:
                for turn in range(39, 30, -1):
                    await all_.etcd.delete(f"{ROOT}/pods/a/{turn:02}")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(disturb)
                result = await all_.list(resource_version="0")
            assert all_.below.asked == []
            assert names(result) == [f"{turn:02}" for turn in range(40)]
            assert all_.storage.cacher.cache.ring.oldest_watchable > result.revision

    run(main)
