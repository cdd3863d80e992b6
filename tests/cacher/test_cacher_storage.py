"""A cached storage: which reads it answers, what it passes on and with what, what becomes of what goes wrong."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher.storage import (
    InternalError,
    InvalidKey,
    InvalidResourceVersion,
    KeyNotFound,
    ListOptions,
    Preconditions,
    Semantics,
    Unreachable,
    Update,
)
from cacher.storage._metrics import CacheMetrics, MetricsRegistry
from cacher.storage.etcd import Put
from tests.cacher.layers import ALL_PODS, ROOT, later, layers, names, put_later, run, settle, value
from watch import Expired, NotReady, Object, TooLargeResourceVersion

NEWEST, V1_22 = Semantics.NEWEST, Semantics.V1_22
BOTH = pytest.mark.parametrize("semantics", [NEWEST, V1_22])


# ---- get -------------------------------------------------------------------------------------------------------------


def test_a_get_at_any_revision_is_the_caches_and_one_without_is_the_stores():
    """[9.3 TestGetCacheBypass] "0" from the cache; unset from the store, whose error is told."""

    async def main() -> None:
        async with layers("a/one") as all_:
            found = await all_.storage.get("/pods/a/one", resource_version="0")
            assert found is not None
            assert (found.name, found.key) == ("one", f"{ROOT}/pods/a/one")
            assert all_.below.asked == []
            all_.below.errors["get"] = Unreachable("/pods/a/one")
            with pytest.raises(Unreachable):
                await all_.storage.get("/pods/a/one")
            assert await all_.storage.get("/pods/a/one", resource_version="0") == found

    run(main)


def test_a_get_of_a_revision_waits_until_the_cache_has_it():
    """[9.3 TestWaitUntilFreshAndGet] Not older than asked for; the cache is asked to hurry; 3 s are the most."""

    async def main() -> None:
        async with layers("a/one") as all_:
            all_.below.hold()
            written = await all_.put("a/one", node="n2")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(later, 1.0, all_.below.flow)
                found = await all_.storage.get("/pods/a/one", resource_version=str(written))
            assert found is not None
            assert (found.revision, trio.current_time()) == (written, 1.0)
            with pytest.raises(TooLargeResourceVersion) as caught:
                await all_.storage.get("/pods/a/one", resource_version=str(written + 10))
            assert (caught.value.retry_after_s, trio.current_time()) == (1, 4.0)
            assert all_.below.asked == []

    run(main)


def test_a_get_of_nothing_and_of_nonsense():
    async def main() -> None:
        async with layers("a/one") as all_:
            get = all_.storage.get
            with pytest.raises(KeyNotFound) as caught:
                await get("/pods/a/two", resource_version="0")
            assert caught.value.revision == all_.etcd.revision
            assert await get("/pods/a/two", resource_version="0", ignore_not_found=True) is None
            for version in ("abc", "-1"):
                with pytest.raises(InvalidResourceVersion, match=f'^resourceVersion: Invalid value: "{version}"'):
                    await get("/pods/a/one", resource_version=version)
            with pytest.raises(InvalidKey, match="lacks resource prefix"):
                await get("/nodes/one", resource_version="0")
            with trio.testing.assert_checkpoints():
                await get("/pods/a/one", resource_version="0")
            await all_.etcd.put(f"{ROOT}/pods/a/..", all_.below.storage.codec.encode({"metadata": {"name": ".."}}))
            await settle()
            assert all_.storage.cacher.get(f"{ROOT}/pods/a/..") is not None
            for climbing in ("/pods/a/..", "/pods/a/../a/one"):
                with pytest.raises(InvalidKey):
                    await get(climbing, resource_version="0")

    run(main)


# ---- not ready, stopped ----------------------------------------------------------------------------------------------


def test_a_cache_that_is_not_ready_refuses_lists_and_says_when_to_come_back():
    """[9.3 TestRetryAfterForUnreadyCache] After 14 s: 429, in 2 s."""

    async def main() -> None:
        async with layers("a/one", is_started=False) as all_:
            all_.below.errors["get_list"] = OSError("no route")
            all_.nursery.start_soon(all_.storage.run)
            await trio.sleep(14)
            with pytest.raises(NotReady) as caught:
                await all_.list(resource_version="0")
            assert (caught.value.code, caught.value.retry_after_s) == (429, 2)
            assert caught.value.message == "storage is (re)initializing: failed to list pods: OSError: no route"
            with pytest.raises(NotReady) as caught:
                async with all_.storage.watch(ALL_PODS, ListOptions()):
                    pass
            assert caught.value.retry_after_s == 2
            with pytest.raises(NotReady):
                all_.storage.readiness_check()

    run(main)


def test_a_watch_of_a_cache_that_cannot_fill_itself_does_not_hang():
    """[9.3 TestWatchNotHangingOnStartupFailure] It is refused at once; v1.22 waits until the caller gives up."""

    async def main(semantics: Semantics) -> None:
        async with layers("a/one", is_started=False, semantics=semantics) as all_:
            all_.below.errors["get_list"] = OSError("no route")
            all_.nursery.start_soon(all_.storage.run)
            with trio.move_on_after(5) as gave_up:
                with pytest.raises(NotReady):
                    async with all_.storage.watch(ALL_PODS, ListOptions(resource_version="0")):
                        pass
            assert gave_up.cancelled_caught is (semantics is V1_22)

    run(lambda: main(NEWEST))
    run(lambda: main(V1_22))


@BOTH
def test_reads_of_a_cache_that_is_not_ready_are_the_stores_where_they_cost_it_little(semantics):
    async def main() -> None:
        async with layers("a/one", is_started=False, semantics=semantics) as all_:
            for version in ("", "0"):
                assert await all_.storage.get("/pods/a/one", resource_version=version) is not None
            page = await all_.list(limit=500)
            assert names(page) == ["one"]
            assert all_.below.asked == ["get", "get", "get_list"]
            if semantics is NEWEST:
                assert await all_.storage.get("/pods/a/one", resource_version="2") is not None
                return
            assert names(await all_.list(resource_version="0")) == ["one"]
            assert names(await all_.list()) == ["one"]
            assert all_.below.asked[3:] == ["get_list"] * 2
            waiting: list[object] = []

            async def get() -> None:
                waiting.append(await all_.storage.get("/pods/a/one", resource_version="2"))

            async def list_() -> None:
                waiting.append(names(await all_.list(resource_version="2")))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(get)
                nursery.start_soon(list_)
                await trio.sleep(100)
                assert waiting == []
                await all_.start()
            assert len(waiting) == 2
            assert "get" not in all_.below.asked

    run(main)


def test_a_stopped_cache_refuses_watches_and_the_store_still_answers():
    """[9.3 TestCacherDontAcceptRequestsStopped] [9.3 TestCacheWatcherStoppedOnDestroy] Open watches end without an error; gets
    and pages are the store's."""

    async def main() -> None:
        async with layers("a/one") as all_:
            async with all_.storage.watch(ALL_PODS, ListOptions(resource_version="1")) as stream:
                all_.stop()
                await settle()
                with pytest.raises(trio.EndOfChannel):
                    while True:
                        await stream.receive()
            with trio.CancelScope(shield=True):
                with pytest.raises(NotReady, match="stopped"):
                    async with all_.storage.watch(ALL_PODS, ListOptions(resource_version="1")):
                        pass
                assert await all_.storage.get("/pods/a/one", resource_version="1") is not None
                assert names(await all_.list(resource_version="1", limit=500)) == []
                assert all_.below.asked == ["get", "get_list"]

    async def shielded() -> None:
        with trio.CancelScope():
            await main()

    run(shielded)


# ---- writes ----------------------------------------------------------------------------------------------------------


def test_writes_pass_through_with_the_cached_object_for_a_suggestion_and_not_the_callers():
    async def main() -> None:
        async with layers("a/one") as all_:
            storage, below = all_.storage, all_.below
            created = await storage.create("/pods/a/two", value("a/two"))
            cached = await storage.get("/pods/a/one", resource_version="0")
            stranger = Object(f"{ROOT}/pods/a/one", 1, b"{}", "one", "a")
            updated = await storage.guaranteed_update(
                "/pods/a/one", lambda _, __: Update(value("a/one", node="n7")), suggestion=stranger
            )
            below.hold()
            await all_.elsewhere()
            with pytest.raises(KeyNotFound):
                await storage.delete("/pods/a/none", suggestion=stranger)
            deleted = await storage.delete(
                "/pods/a/two", preconditions=Preconditions(resource_version=str(created.revision))
            )
            assert deleted is not None
            assert below.suggestions == [cached, None, created]
            assert deleted == created.at_revision(all_.etcd.revision)
            await storage.delete("/pods/a/one")
            assert below.suggestions[-1] in (cached, updated)
            with pytest.raises(InvalidKey):
                await storage.delete("nonsense")

    run(main)


def test_a_stale_suggestion_of_the_cache_costs_a_write_nothing_but_a_second_try():
    async def main() -> None:
        async with layers("a/one") as all_:
            all_.below.hold()
            await all_.put("a/one", labels={"version": "2"})
            seen: list[dict[str, str]] = []

            def change(present: Object | None, _: object) -> Update:
                assert present is not None
                seen.append(present.labels)
                return Update(value("a/one", labels={**present.labels, "mine": "yes"}))

            written = await all_.storage.guaranteed_update("/pods/a/one", change)
            assert written.labels == {"version": "2", "mine": "yes"}
            assert seen == [{}, {"version": "2"}]

    run(main)


@BOTH
def test_a_deleted_object_carries_the_deletions_revision_but_in_v1_22(semantics):
    async def main() -> None:
        async with layers("a/one", semantics=semantics) as all_:
            before = all_.etcd.revision
            deleted = await all_.storage.delete("/pods/a/one")
            assert deleted is not None
            assert deleted.revision == (before if semantics is V1_22 else all_.etcd.revision)
            assert all_.etcd.revision == before + 1

    run(main)


# ---- the store itself ------------------------------------------------------------------------------------------------


def test_questions_about_the_store_are_the_stores():
    async def main() -> None:
        async with layers("a/one") as all_:
            storage = all_.storage
            assert storage.resource_prefix == "/pods"
            assert (await storage.stats()).object_count == 1
            assert await storage.current_resource_version() == all_.etcd.revision
            await storage.request_watch_progress()
            assert len(all_.below.progress_asked) == 1
            all_.below.compacted = 7
            assert storage.compact_revision() == 7
            storage.readiness_check()

    run(main)


# ---- progress --------------------------------------------------------------------------------------------------------


def test_progress_is_asked_for_at_once_then_every_100_ms_and_only_while_somebody_waits():
    """[9.3 TestConditionalProgressRequester] Also where asking fails."""

    async def main() -> None:
        async with layers("a/one") as all_:
            await trio.sleep(10)
            assert all_.below.progress_asked == []
            all_.below.errors["request_watch_progress"] = OSError("lost")
            with pytest.raises(TooLargeResourceVersion):
                await all_.list(resource_version="99")
            assert all_.below.progress_asked[:30] == pytest.approx([10 + turn / 10 for turn in range(30)])
            await trio.sleep(10)
            assert len(all_.below.progress_asked) <= 31

    run(main)


@BOTH
def test_progress_wakes_who_waits_for_it_but_in_v1_22_where_they_sleep_on(semantics):
    """An event woke everybody in v1.22 too, and who had slept for 3 s found what had come by then."""

    async def main() -> None:
        async with layers("a/one", semantics=semantics) as all_:
            revision = await all_.elsewhere()
            assert (await all_.list(resource_version=str(revision))).revision == revision
            assert trio.current_time() == (3 if semantics is V1_22 else 0)
            revision = await all_.elsewhere()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(put_later, 1.0, all_, "a/two")
                began = trio.current_time()
                assert (await all_.list(resource_version=str(revision))).revision >= revision
                assert trio.current_time() - began == (1 if semantics is V1_22 else 0.1), "one request every 100 ms"

    run(main)


def test_how_long_readers_wait_is_counted_where_they_asked_for_a_revision():
    """[9.3 TestHistogramCacheReadWait] A read of whatever there is waits for nothing, and is not in it."""

    async def main() -> None:
        registry = MetricsRegistry()
        metrics = CacheMetrics(registry, resource="pods")
        async with layers("a/one", metrics=metrics) as all_:
            await all_.list(resource_version="0")
            await all_.storage.get("/pods/a/one", resource_version="0")
            assert metrics.read_wait_s.count == 0
            await all_.list(resource_version="2")
            await all_.storage.get("/pods/a/one", resource_version="2")
            assert (metrics.read_wait_s.count, metrics.read_wait_s.sum) == (2, 0)
            all_.below.hold()
            written = await all_.put("a/one")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(later, 0.5, all_.below.flow)
                await all_.list(resource_version=str(written))
            assert (metrics.read_wait_s.count, metrics.read_wait_s.sum) == (3, 0.5)

    run(main)


# ---- filling ---------------------------------------------------------------------------------------------------------


def test_a_watch_that_fails_inside_the_store_is_opened_again_for_30_s_before_the_cache_lists_anew():
    async def main() -> None:
        async with layers("a/one") as all_:
            all_.below.break_watch(InternalError("a hiccup"))
            await trio.sleep(60)
            assert all_.below.asked == ["watch"]
            assert all_.storage.cacher.statistics().initializations == 1
            written = await all_.put("a/two")
            assert names(await all_.list(resource_version=str(written))) == ["one", "two"]
            began_s = trio.current_time()
            await all_.etcd.put(f"{ROOT}/pods/a/bad", b"no object")
            await trio.sleep(began_s + 30.5 - trio.current_time())
            assert all_.storage.cacher.is_ready
            await trio.sleep(1)
            assert not all_.storage.cacher.is_ready
            with pytest.raises(NotReady):
                await all_.list(resource_version="0")
            await trio.sleep(20)
            assert not all_.storage.cacher.is_ready
            await all_.drop("a/bad")
            await trio.sleep(1)
            assert names(await all_.list(resource_version="0")) == ["one", "two"], "a second after the store is well"

    run(main)


def test_a_watch_that_expired_below_makes_the_cache_list_anew():
    """[9.3 TestReflectorForWatchCache] Its revision is then the new list's."""

    async def main() -> None:
        async with layers("a/one") as all_:
            assert all_.storage.cacher.revision == all_.etcd.revision
            all_.below.hold()
            await all_.put("a/two")
            all_.below.break_watch(Expired(1, 2))
            await trio.sleep(2)
            assert all_.storage.cacher.statistics().initializations == 2
            assert all_.storage.cacher.cache.list_revision == all_.etcd.revision
            assert names(await all_.list(resource_version="0")) == ["one", "two"]

    run(main)


@pytest.mark.parametrize("snapshots", [True, False])
def test_lists_race_with_writes_and_show_no_state_that_never_was(snapshots):
    """[9.3 TestWatchCacheSnapshotConcurrency] Each write keeps two pods on the same node; every list sees them so, and has
    nothing newer than it says."""

    async def main() -> None:
        async with layers(snapshots=snapshots) as all_:
            encode = all_.below.storage.codec.encode

            async def write() -> None:
                for turn in range(100):
                    puts = [
                        Put(f"{ROOT}/pods/a/{name}".encode(), encode(value(f"a/{name}", node=f"n{turn}")))
                        for name in "xy"
                    ]
                    await all_.etcd.txn(success=puts)

            async def read() -> None:
                for _ in range(100):
                    result = await all_.list()
                    revision = max(2, result.revision - 3)
                    past = await all_.list(resource_version=str(revision), match="Exact")
                    assert past.revision == revision
                    for each in (result, past):
                        assert len({obj.fields["spec.nodeName"] for obj in each.objects}) <= 1
                        assert len(each.objects) in (0, 2)
                        assert all(obj.revision <= each.revision for obj in each.objects)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                nursery.start_soon(read)
                nursery.start_soon(read)

    run(main)


def test_a_watch_refuses_what_is_no_key_and_no_revision_on_entering():
    async def main() -> None:
        async with layers("a/one") as all_:
            for key, version, error in (("/nodes", "", InvalidKey), (ALL_PODS, "abc", InvalidResourceVersion)):
                with pytest.raises(error):
                    async with all_.storage.watch(key, ListOptions(resource_version=version)):
                        pass

    run(main)
