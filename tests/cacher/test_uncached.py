"""A cluster with its caches switched off: the same answers, from the store alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing

from cacher import Cluster, ResourceWatch, open_cluster
from cacher._store_watch import BUFFER_EVENTS_MAX, StoreWatch
from cacher.storage import InternalError
from tests.cacher.upstream import pod, run, settle
from watch import Event, EventType, Expired, TooLargeResourceVersion, Watch, bookmark

EITHER = pytest.mark.parametrize("watch_cache", [True, False])


@asynccontextmanager
async def cluster_of(watch_cache: bool | Mapping[str, bool]) -> AsyncIterator[Cluster]:
    async with open_cluster(random=Random(7), watch_cache=watch_cache) as cluster:
        yield cluster


async def put(cluster: Cluster, name: str, namespace: str = "a", *, node: str = "", **labels: str) -> int:
    value = {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {"nodeName": node}}
    return (await cluster.etcd.put(f"/registry/pods/{namespace}/{name}", json.dumps(value))).revision


async def taken(watch: ResourceWatch) -> list[tuple[str, str, int]]:
    """What is there, one by one."""
    found: list[Event] = []
    await settle()
    while True:
        try:
            found.append(watch.receive_nowait())
        except trio.WouldBlock:
            return [(event.type.value, event.object.name, event.revision) for event in found]


# ---- the same answers ------------------------------------------------------------------------------------------------


@EITHER
def test_lists_and_gets_are_answered_alike(watch_cache):
    async def main() -> None:
        async with cluster_of(watch_cache) as cluster:
            pods = cluster.resource("v1", "pods")
            first = await put(cluster, "one", node="n1", app="web")
            second = await put(cluster, "two", node="n2", app="web")
            third = await put(cluster, "three", "b", node="n1")
            shown = {
                "all": await pods.list(),
                "zero": await pods.list(resource_version="0"),
                "namespace": await pods.list(namespace="a"),
                "name": await pods.list(name="two"),
                "labels": await pods.list(labels="app=web"),
                "fields": await pods.list(fields="spec.nodeName=n1"),
                "exact": await pods.list(resource_version=second, match="Exact"),
                "not older": await pods.list(resource_version=first, match="NotOlderThan"),
            }
            assert {name: [obj.name for obj in found.objects] for name, found in shown.items()} == {
                "all": ["one", "two", "three"], "zero": ["one", "two", "three"], "namespace": ["one", "two"],
                "name": ["two"], "labels": ["one", "two"], "fields": ["one", "three"], "exact": ["one", "two"],
                "not older": ["one", "two", "three"],
            }  # fmt: skip
            assert {found.revision for name, found in shown.items() if name != "exact"} == {third}
            assert shown["exact"].revision == second
            found = await pods.find("two", "a")
            assert found is not None
            assert (found.key, found.revision) == ("/registry/pods/a/two", second)
            assert await pods.find("none", "a") is None
            with pytest.raises(TooLargeResourceVersion):
                await pods.list(resource_version=99)
            for garbage in ({"resource_version": "abc"}, {"match": "Exact"}, {"match": "Nonsense"}):
                with pytest.raises(ValueError, match=r"abc|Exact|Nonsense"):
                    await pods.list(**garbage)

    run(main)


@EITHER
@pytest.mark.parametrize(
    ("version", "initial", "bookmarks", "begins", "resumes"),
    [
        (None, None, False, "one two", 3), (None, True, True, "one two END", 3), (None, True, False, "one two", 3),
        (None, False, True, "", 3), ("0", None, True, "one two", 3), (2, None, False, "two", 3),
        (2, True, True, "one two END", 3), (3, None, False, "", 3), (3, False, False, "", 3), (9, None, False, "", 9),
    ],
)  # fmt: skip
def test_watches_begin_and_go_on_alike(watch_cache, version, initial, bookmarks, begins, resumes):
    async def main() -> None:
        async with cluster_of(watch_cache) as cluster:
            pods = cluster.resource("v1", "pods")
            await put(cluster, "one", app="web")
            await pods.list()  # a cache has its list from here, so that history begins here too
            await put(cluster, "two", app="web")
            options = {"resource_version": version, "send_initial_events": initial, "bookmarks": bookmarks}
            async with pods.watch(labels="app=web", **options) as watch:
                assert isinstance(watch, Watch) is watch_cache
                begun = await taken(watch)
                assert " ".join(name or "END" for _, name, _ in begun) == begins
                assert watch.revision == resumes
                await put(cluster, "one", app="db")
                await put(cluster, "three", app="web")
                (await cluster.etcd.delete("/registry/pods/a/two"))
                live = await taken(watch)
                follows = [("DELETED", "one", 4), ("ADDED", "three", 5), ("DELETED", "two", 6)]
                assert live == [each for each in follows if each[2] > resumes]
                assert watch.revision == max(6, resumes)

    run(main)


@EITHER
def test_a_watch_is_resumed_where_another_stopped(watch_cache):
    async def main() -> None:
        async with cluster_of(watch_cache) as cluster:
            pods = cluster.resource("v1", "pods")
            await put(cluster, "one")
            seen: list[int] = []
            revision = None
            for turn in range(5):
                async with pods.watch(namespace="a", resource_version=revision) as watch:
                    for _ in range(2):
                        await put(cluster, f"p{turn}")
                    seen += [revision for _, _, revision in (await taken(watch))]
                    revision = watch.revision
            assert seen == list(range(2, 13))

    run(main)


@EITHER
def test_a_watch_of_what_was_compacted_is_expired(watch_cache):
    async def main() -> None:
        async with cluster_of(watch_cache) as cluster:
            pods = cluster.resource("v1", "pods")
            for _ in range(5):
                await put(cluster, "one")
            await cluster.etcd.compact(cluster.etcd.revision)
            with pytest.raises(Expired):
                async with pods.watch(resource_version=2) as watch:
                    await watch.receive()
            with pytest.raises(Expired):
                await pods.list(resource_version=2, match="Exact")

    run(main)


def test_caches_are_switched_off_by_name_and_those_not_named_stay_on():
    async def main() -> None:
        async with cluster_of({"events": False, "deployments.apps": False, "pods": True}) as cluster:
            cached = {}
            for version, plural in (("v1", "events"), ("apps/v1", "deployments"), ("v1", "pods"), ("v1", "nodes")):
                resource = cluster.resource(version, plural)
                await resource.ready()
                async with resource.watch() as watch:
                    cached[plural] = isinstance(watch, Watch)
                figures = resource.statistics()
                assert (figures.prefix, figures.is_ready) == (resource.info.prefix, True)
                assert bool(figures.initializations) is cached[plural]
            assert cached == {"events": False, "deployments": False, "pods": True, "nodes": True}

    run(main)


def test_who_waits_for_a_revision_then_finds_all_up_to_it_on_every_open_watch_with_a_cache_or_without():
    async def main() -> None:
        for watch_cache in (True, False):
            async with cluster_of(watch_cache) as cluster:
                pods = cluster.resource("v1", "pods")
                assert pods.is_cached is watch_cache
                async with pods.watch() as first, pods.watch(namespace="b") as second:
                    await put(cluster, "x")
                    last = await put(cluster, "y")
                    await pods.wait_until_fresh(last)
                    assert [first.receive_nowait().object.name for _ in range(2)] == ["x", "y"]
                    await cluster.etcd.put("/elsewhere", b"x")
                    with trio.fail_after(5):
                        await pods.wait_until_fresh(cluster.etcd.revision)
                    with pytest.raises(trio.WouldBlock):
                        second.receive_nowait()
                    assert watch_cache or second.revision == cluster.etcd.revision, (
                        "resumed from there, it misses nothing"
                    )

    run(main)


def test_without_a_cache_who_waits_for_a_revision_waits_for_a_reader_whose_buffer_is_full():
    async def main() -> None:
        async with cluster_of(False) as cluster:
            pods = cluster.resource("v1", "pods")
            async with pods.watch(send_initial_events=False) as full, pods.watch(send_initial_events=False) as quiet:
                for number in range(2 * BUFFER_EVENTS_MAX):
                    await put(cluster, f"p{number}")
                last = cluster.etcd.revision
                with trio.move_on_after(10) as waiting:
                    await pods.wait_until_fresh(last, watch=full)
                assert waiting.cancelled_caught

                async def read(watch: ResourceWatch) -> None:
                    count = 0
                    while count < 2 * BUFFER_EVENTS_MAX:
                        count += len(await watch.receive_batch())

                with trio.fail_after(60):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(read, full)
                        nursery.start_soon(read, quiet)
                        await pods.wait_until_fresh(last)

    run(main)


def test_what_storages_and_caches_count_is_there_for_whoever_looks():
    async def main() -> None:
        async with cluster_of({"nodes": False}) as cluster:
            pods, nodes = cluster.resource("v1", "pods"), cluster.resource("v1", "nodes")
            await put(cluster, "one")
            await pods.list()
            await nodes.list()
            await put(cluster, "two")
            await pods.list()
            seen = cluster.metrics()
            assert seen.value("apiserver_watch_cache_events_received_total", resource="pods") == 1
            assert seen.value("apiserver_watch_cache_initializations_total", resource="pods") == 1
            assert seen.value("apiserver_watch_cache_resource_version", resource="pods") == cluster.etcd.revision
            assert seen.value("watch_cache_capacity", resource="pods") == pods.statistics().ring_capacity
            assert seen.value("apiserver_storage_list_total", resource="pods", storage="watchcache") == 2
            assert seen.value("apiserver_storage_list_total", resource="nodes", storage="etcd") == 1
            assert not seen.find("apiserver_watch_cache_events_received_total", resource="nodes")
            assert seen.value("etcd_requests_total", resource="nodes", operation="list") == 1

    run(main)


def test_any_prefix_can_be_read_without_a_cache_if_it_is_a_path():
    async def main() -> None:
        async with cluster_of(False) as cluster:
            odd = cluster.resource_at("/elsewhere/things/")
            await cluster.etcd.put("/elsewhere/things/x", b'{"metadata": {"name": "x"}}')
            assert [obj.key for obj in (await odd.list()).objects] == ["/elsewhere/things/x"]
            with pytest.raises(ValueError, match="start it with"):
                cluster.resource_at("things/")

    run(main)


def test_a_list_by_an_indexed_field_is_the_same_as_without_the_index():
    async def main() -> None:
        async with cluster_of(True) as cluster:
            pods = cluster.resource("v1", "pods")
            assert pods.info.indexed == ("spec.nodeName",)
            for turn in range(9):
                await put(cluster, f"p{turn}", node=f"n{turn % 3}")
            await put(cluster, "p4", node="n2")
            found = await pods.list(fields="spec.nodeName=n1")
            assert [obj.name for obj in found.objects] == ["p1", "p7"]
            assert [obj.name for obj in (await pods.list(fields="spec.nodeName!=n1")).objects] == [
                "p0", "p2", "p3", "p4", "p5", "p6", "p8",
            ]  # fmt: skip

    run(main)


# ---- the stream itself -----------------------------------------------------------------------------------------------


class Scripted:
    """Brings what a test put in."""

    def __init__(self, *batches: tuple[Event, ...]) -> None:
        self.batches = list(batches)
        self.end: Exception = trio.EndOfChannel()

    async def receive(self) -> Event:
        raise AssertionError("it is taken in batches")

    async def receive_batch(self) -> tuple[Event, ...]:
        await trio.lowlevel.checkpoint()
        if not self.batches:
            raise self.end
        return self.batches.pop(0)


def change(revision: int) -> Event:
    return Event(EventType.MODIFIED, pod("a", revision), revision)


def test_the_revision_to_resume_from_never_passes_over_what_was_not_taken():
    async def main() -> None:
        state = (Event(EventType.ADDED, pod("a", 9), 9), Event(EventType.ADDED, pod("b", 3), 3))
        end = bookmark(10, initial_events_end=True)
        for shows_end in (True, False):
            watch = StoreWatch(after=0, shows_end=shows_end)
            await watch.pump(Scripted((*state, end), (change(11), change(13), change(13))))
            seen = []
            while True:
                try:
                    seen.append((watch.receive_nowait().revision, watch.revision))
                except trio.EndOfChannel:
                    break
            told = [(10, 10)] if shows_end else []
            assert seen == [(9, 0), (3, 0), *told, (11, 11), (13, 12), (13, 13)]
            assert watch.is_ended

    run(main)


def test_a_reader_that_lags_leaves_the_rest_with_the_store():
    async def main() -> None:
        stream = Scripted(*((change(revision),) for revision in range(1, 3 * BUFFER_EVENTS_MAX)))
        watch = StoreWatch(after=1, shows_end=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.pump, stream)
            await settle()
            assert len(stream.batches) == 2 * BUFFER_EVENTS_MAX - 1
            assert len(await watch.receive_batch()) == BUFFER_EVENTS_MAX
            await settle()
            assert len(stream.batches) == BUFFER_EVENTS_MAX - 1
            rest = [event async for event in watch]
            assert len(rest) == 2 * BUFFER_EVENTS_MAX - 1

    run(main)


def test_it_keeps_the_rules_of_a_channel():
    async def main() -> None:
        watch = StoreWatch(after=1, shows_end=False)
        with pytest.raises(trio.WouldBlock):
            watch.receive_batch_nowait()
        async with trio.open_nursery() as nursery:

            async def closed() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await watch.receive()

            nursery.start_soon(closed)
            await settle()
            for read in (watch.receive, watch.receive_batch):
                with pytest.raises(trio.BusyResourceError):
                    await read()
            with pytest.raises(trio.BusyResourceError):
                watch.receive_nowait()
            await watch.aclose()
        watch.close()
        stream = Scripted((change(5),))
        stream.end = InternalError("spoilt")
        watch = StoreWatch(after=1, shows_end=False)
        await watch.pump(stream)
        with trio.CancelScope() as scope:
            scope.cancel()
            await watch.receive()
        assert scope.cancelled_caught, "and nothing was taken"
        with trio.testing.assert_checkpoints():
            assert (await watch.receive()).revision == 5
        for _ in range(2):
            with pytest.raises(InternalError):
                await watch.receive()

    run(main)
