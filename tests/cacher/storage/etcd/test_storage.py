"""EtcdStorage: what it writes and reads, key by key. The contract suite has what any storage must do; here is its own part."""

from __future__ import annotations

import math
from random import Random

import msgspec
import pytest
import trio

from cacher.storage import (
    BadRequest,
    Codec,
    InternalError,
    InvalidKey,
    InvalidValue,
    KeyExists,
    KeyNotFound,
    ListOptions,
    MetricsRegistry,
    RequestTooLarge,
    ResourceVersionSetOnCreate,
    Semantics,
    Stats,
    StorageReadError,
    UndecodableObject,
    Update,
)
from cacher.storage._metrics import EtcdMetrics
from cacher.storage.etcd import EtcdStorage, open_embedded_etcd
from tests.cacher.storage.etcd.pods import GARBAGE, create, exactly, open_storage, pod, pod_storage
from watch import TooLargeResourceVersion


def test_what_is_created_is_stored_under_the_root_without_a_resource_version(run_trio):
    async def main():
        async with open_storage(root="/custom/") as (storage, etcd):
            created = await storage.create("/pods/ns/a", pod("a"))
            kv = (await etcd.range("/custom/pods/ns/a")).kvs[0]
            assert (created.key, created.revision, created.raw) == ("/custom/pods/ns/a", kv.mod_revision, kv.value)
            stored = msgspec.json.decode(kv.value)
            assert stored == {"apiVersion": "v1", "kind": "Pod", **pod("a")}
            assert storage.prefix == "/custom/pods/"
            assert await storage.get("/pods/ns/a") == created

    run_trio(main)


def test_a_create_refuses_what_is_there_what_was_read_and_what_is_no_object(run_trio):
    async def main():
        async with open_storage() as (storage, etcd):
            await create(storage, "a")
            before = etcd.revision
            with pytest.raises(KeyExists) as caught:
                await storage.create("/pods/ns/a", pod("a"))
            assert (caught.value.key, caught.value.revision) == ("/registry/pods/ns/a", 0)
            with pytest.raises(ResourceVersionSetOnCreate):
                await storage.create("/pods/ns/b", {"metadata": {"name": "b", "resourceVersion": "3"}})
            with pytest.raises(InvalidValue):
                await storage.create("/pods/ns/b", b"[]")
            with pytest.raises(RequestTooLarge, match="too large"):
                await storage.create("/pods/ns/b", pod("b", image="x" * 2_000_000))
            assert etcd.revision == before

    run_trio(main)


@pytest.mark.parametrize("method", ["create", "get", "delete", "update", "list", "watch"])
def test_every_method_refuses_a_key_that_is_none(run_trio, method):
    async def main():
        async with open_storage() as (storage, _):
            with pytest.raises(InvalidKey, match="lacks resource prefix"):
                if method == "create":
                    await storage.create("/secrets/a", {})
                elif method == "get":
                    await storage.get("/secrets/a")
                elif method == "delete":
                    await storage.delete("/secrets/a")
                elif method == "update":
                    await storage.guaranteed_update("/secrets/a", lambda _object, _meta: Update({}))
                elif method == "list":
                    await storage.get_list("/secrets/a", exactly(1))
                else:
                    async with storage.watch("/secrets/a", exactly(1)):
                        raise AssertionError("not reached")

    run_trio(main)


def test_a_resource_prefix_that_is_none_is_refused(run_trio):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            with pytest.raises(InvalidKey, match="needs to start"):
                pod_storage(etcd, resource_prefix="pods")

    run_trio(main)


def test_a_get_is_of_now_and_tells_when_now_is_too_early(run_trio):
    async def main():
        async with open_storage() as (storage, etcd):
            (revision,) = await create(storage, "a")
            await etcd.put("/elsewhere", b"")
            for version in ("", "0", "1", str(revision), str(etcd.revision)):
                found = await storage.get("/pods/ns/a", resource_version=version)
                assert found is not None
                assert found.revision == revision
            for key in ("/pods/ns/a", "/pods/ns/missing"):
                with pytest.raises(TooLargeResourceVersion) as caught:
                    await storage.get(key, resource_version=str(etcd.revision + 1), ignore_not_found=True)
                assert (caught.value.current, caught.value.retry_after_s) == (etcd.revision, 0)
            with pytest.raises(BadRequest, match="invalid resource version"):
                await storage.get("/pods/ns/a", resource_version="x")

    run_trio(main)


def test_a_missing_key_is_an_error_unless_it_is_to_be_ignored(run_trio):
    async def main():
        async with open_storage() as (storage, _):
            with pytest.raises(KeyNotFound) as caught:
                await storage.get("/pods/ns/a")
            assert caught.value.key == "/registry/pods/ns/a"
            assert await storage.get("/pods/ns/a", ignore_not_found=True) is None

    run_trio(main)


def test_what_cannot_be_read_is_a_server_error_in_kubernetes_words(run_trio):
    """A get says of which key, as it was asked for; a delete and an update do not, and have no reason."""

    async def main():
        async with open_storage() as (storage, etcd):
            at = (await etcd.put("/registry/pods/ns/a", GARBAGE)).revision
            problem = f"object not decodable revision={at}: "
            with pytest.raises(InternalError) as of_get:
                await storage.get("/pods/ns/a")
            assert (of_get.value.code, of_get.value.reason) == (500, "InternalError")
            assert of_get.value.message.startswith(
                "Internal error occurred: StorageError: corrupt object, Code: 7, Key: /pods/ns/a, ResourceVersion: 0, "
                f"AdditionalErrorMsg: {problem}"
            )
            for refused in (
                storage.delete("/pods/ns/a"),
                storage.guaranteed_update("/pods/ns/a", lambda _object, _meta: Update(pod("a"))),
            ):
                with pytest.raises(UndecodableObject) as caught:
                    await refused
                assert (caught.value.code, caught.value.reason) == (500, "")
                assert caught.value.message.startswith(problem)
            assert storage.metrics.decode_errors.value == 3
            assert (await etcd.range("/registry/pods/ns/a")).count == 1

    run_trio(main)


# --- short-lived objects ----------------------------------------------------------------------------------------------


def test_an_object_with_a_time_to_live_dies_when_it_is_over(run_trio):
    async def main():
        async with open_storage() as (storage, etcd):
            await storage.create("/pods/ns/a", pod("a"), ttl_s=10)
            await trio.sleep(9)
            assert (await storage.stats()).object_count == 1
            await trio.sleep(2)
            assert (await storage.stats()).object_count == 0
            await storage.guaranteed_update(
                "/pods/ns/a", lambda _object, _meta: Update(pod("a"), ttl_s=5), ignore_not_found=True
            )
            await trio.sleep(6)
            assert (await storage.stats()).object_count == 0
            assert etcd.statistics().leases == 0

    run_trio(main)


def test_an_update_without_a_time_to_live_lets_the_object_live(run_trio):
    """Each put hangs on the lease that it names, and on none otherwise."""

    async def main():
        async with open_storage() as (storage, _):
            await storage.create("/pods/ns/a", pod("a"), ttl_s=10)
            await storage.guaranteed_update("/pods/ns/a", lambda _object, _meta: Update(pod("a", node="n")))
            await trio.sleep(100)
            assert await storage.get("/pods/ns/a") is not None

    run_trio(main)


# --- the store itself -------------------------------------------------------------------------------------------------


def test_prefix_get_keys_only_what_is_below_the_prefix_belongs_to_the_resource(run_trio):
    """[9.4 TestPrefixGetKeys] not what is beside it, begins alike, or is elsewhere"""

    async def main():
        async with open_storage() as (storage, etcd):
            await create(storage, "a", "b")
            for other in ("/registry/podskey", "/registry/pods", "/registry/key", "key", "/pods/ns/c"):
                await etcd.put(other, GARBAGE)
            listed = await storage.get_list("/pods", exactly(etcd.revision))
            assert [found.key for found in listed.objects] == ["/registry/pods/ns/a", "/registry/pods/ns/b"]

    run_trio(main)


def test_prefix_stats_count_the_resource_alone(run_trio):
    """[9.4 TestPrefixStats] number and average size of what is below the prefix"""

    async def main():
        async with open_storage() as (storage, etcd):
            assert await storage.stats() == Stats(0, 0)
            await create(storage, "a")
            await etcd.put("/registry/podskey", b"x" * 1000)
            await etcd.put("/registry/pods/ns/b", b"{}")
            size = len((await etcd.range("/registry/pods/ns/a")).kvs[0].value)
            assert await storage.stats() == Stats(2, (size + 2) // 2)
            assert storage.metrics.objects.value == 2

    run_trio(main)


def test_stats_cache_the_average_is_of_what_is_stored_now(run_trio):
    """[9.4 TestStatsCache] after creates, updates and deletes; a write that failed changes nothing"""

    async def main():
        async with open_storage() as (storage, etcd):
            await create(storage, "a")
            await storage.guaranteed_update("/pods/ns/a", lambda _object, _meta: Update(pod("a", image="x" * 99)))
            size = len((await etcd.range("/registry/pods/ns/a")).kvs[0].value)
            assert size > 99
            assert await storage.stats() == Stats(1, size)
            with pytest.raises(KeyNotFound):
                await storage.delete("/pods/ns/b")
            assert await storage.stats() == Stats(1, size)
            await storage.delete("/pods/ns/a")
            assert await storage.stats() == Stats(0, 0)

    run_trio(main)


def test_stats_read_a_large_resource_in_pages(run_trio, monkeypatch):
    monkeypatch.setattr("cacher.storage.etcd._storage.PAGE_SIZE_MAX", 3)

    async def main():
        async with open_storage() as (storage, _):
            await create(storage, *"abcdefgh")
            assert (await storage.stats()).object_count == 8

    run_trio(main)


def test_get_current_resource_version_moves_with_any_write(run_trio):
    """[9.4 TestGetCurrentResourceVersion] also with one outside of every prefix, while the object's own stays"""

    async def main():
        async with open_storage() as (storage, etcd):
            (revision,) = await create(storage, "a")
            assert await storage.current_resource_version() == revision
            await etcd.put("compact_rev_key", b"0")
            assert await storage.current_resource_version() == revision + 1
            found = await storage.get("/pods/ns/a")
            assert found is not None
            assert found.revision == revision

    run_trio(main)


def test_linearized_read_revision_invariant_reading_writes_nothing(run_trio):
    """[9.4 TestLinearizedReadRevisionInvariant] a quorum read does not move the revision"""

    async def main():
        async with open_storage() as (storage, etcd):
            await create(storage, "a")
            before = etcd.revision
            await storage.get("/pods/ns/a")
            await storage.get_list("/pods", exactly(before))
            await storage.stats()
            assert await storage.current_resource_version() == etcd.revision == before

    run_trio(main)


def test_a_storage_over_etcd_is_always_ready_and_has_seen_no_compaction_by_itself(run_trio):
    async def main():
        async with open_storage() as (storage, etcd):
            storage.readiness_check()
            await create(storage, "a")
            await etcd.compact(etcd.revision)
            assert storage.compact_revision() == 0
            assert storage.resource_prefix == "/pods"
            assert storage.semantics is Semantics.NEWEST

    run_trio(main)


def test_requests_are_counted_by_what_they_serve(run_trio):
    async def main():
        registry = MetricsRegistry()
        metrics = EtcdMetrics(registry, resource="pods")
        async with open_storage(metrics=metrics) as (storage, _):
            await create(storage, "a")
            await storage.get("/pods/ns/a")
            await storage.guaranteed_update("/pods/ns/a", lambda _object, _meta: Update(pod("a", node="n")))
            with pytest.raises(BadRequest):
                await storage.get_list("/pods", exactly(-1))
            with pytest.raises(TooLargeResourceVersion):
                await storage.get_list("/pods", exactly(1000))
            await storage.delete("/pods/ns/a")
        counted = {
            (sample.name, dict(sample.labels)["operation"]): sample.value
            for sample in registry.snapshot().samples
            if "operation" in dict(sample.labels) and sample.name != "etcd_request_duration_seconds"
        }
        assert counted == {
            ("etcd_requests_total", "create"): 1,
            ("etcd_requests_total", "get"): 3,
            ("etcd_requests_total", "list"): 1,
            ("etcd_requests_total", "update"): 1,
            ("etcd_requests_total", "delete"): 1,
            **{("etcd_request_errors_total", name): 0 for name in ("create", "get", "update", "delete")},
            ("etcd_request_errors_total", "list"): 1,
        }

    run_trio(main)


def test_two_storages_of_one_etcd_do_not_see_each_other(run_trio):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            services = EtcdStorage(etcd, resource_prefix="/services/specs", codec=Codec(), random=Random(2))
            endpoints = EtcdStorage(etcd, resource_prefix="/services/endpoints", codec=Codec(), random=Random(2))
            await services.create("/services/specs/ns/a", {"metadata": {"name": "a"}})
            assert services.prefix == "/registry/services/specs/"
            assert (await services.stats()).object_count == 1
            assert (await endpoints.stats()).object_count == 0
            assert math.isclose(endpoints.metrics.objects.value, 0)

    run_trio(main)


def test_a_storage_calls_its_resource_what_it_was_told_and_else_by_the_end_of_its_prefix(run_trio):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            for told, said in (("", "specs"), ("services", "services")):
                storage = EtcdStorage(
                    etcd, resource_prefix="/services/specs", codec=Codec(), random=Random(2), resource=told
                )
                await etcd.put("/registry/services/specs/a", b"junk")
                with pytest.raises(StorageReadError, match=said):
                    await storage.get_list("/services/specs", ListOptions(recursive=True))

    run_trio(main)
