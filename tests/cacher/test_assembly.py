"""The door that users come in by, over a whole embedded etcd: lists and watches in the API's words."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from cacher import CacherStorage, Cluster, ResourceWatch, open_cluster
from cacher._assembly import open_server
from cacher._clock import Clock
from cacher.storage.etcd import (
    CompactedError,
    EmbeddedEtcd,
    KeyValue,
    Snapshot,
    UnavailableError,
    open_embedded_etcd,
)
from tests.cacher.upstream import run, settle
from watch import Event, Expired, InvalidSelector, ServerTimeout, TooLargeResourceVersion


@asynccontextmanager
async def cluster_of(**options: Any) -> AsyncIterator[Cluster]:
    async with open_cluster(random=Random(7), **options) as cluster:
        yield cluster


async def put(cluster: Cluster, name: str, namespace: str = "default", *, node: str = "", **labels: str) -> int:
    value = {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {"nodeName": node}}
    return (await cluster.etcd.put(f"/registry/pods/{namespace}/{name}", json.dumps(value))).revision


async def take(watch: ResourceWatch, count: int) -> list[tuple[str, str, int]]:
    """So many events; more within a second fail the test."""
    found: list[Event] = [await watch.receive() for _ in range(count)]
    with trio.move_on_after(1) as scope:
        found.append(await watch.receive())
    assert scope.cancelled_caught, found
    return [(event.type.value, event.object.name, event.revision) for event in found]


# ---- the door --------------------------------------------------------------------------------------------------------


def test_the_example_of_the_design_works():
    async def main() -> None:
        async with open_cluster() as cluster:
            pods = cluster.resource("v1", "pods")
            async with pods.watch(namespace="default", labels="app=web") as watch:
                revision = await put(cluster, "web-1", app="web")
                async for event in watch:
                    assert (event.type, event.object.name, event.resource_version) == ("ADDED", "web-1", str(revision))
                    break

    run(main)


def test_a_resource_has_one_door_and_one_cache_that_starts_with_its_first_use():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            assert cluster.resource("v1", "pods") is cluster.resource_at("/registry/pods/") is pods
            nodes = cluster.resource_at("/registry/minions/")
            assert cluster.resources() == [pods, nodes]
            await settle()
            assert not pods.statistics().is_ready
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(pods.list)
            assert (pods.statistics().lists, nodes.statistics().lists) == (1, 0)
            with pytest.raises(ValueError, match="no resource"):
                cluster.resource("v1", "pod")

    run(main)


def test_a_cluster_may_begin_from_a_snapshot():
    async def main() -> None:
        kv = KeyValue(b"/registry/pods/default/a", b'{"metadata":{"name":"a"}}', 40, 70, 3)
        async with cluster_of(snapshot=Snapshot(100, [kv])) as cluster:
            listed = await cluster.resource("v1", "pods").list()
            assert [(each.name, each.revision) for each in listed.objects] == [("a", 70)]
            assert listed.revision == 100
            assert await put(cluster, "b") == 101

    run(main)


def test_leaving_the_cluster_ends_its_watches():
    async def main() -> None:
        async with cluster_of() as cluster:
            manager = cluster.resource("v1", "pods").watch()
            watch = await manager.__aenter__()
            await settle()
        with pytest.raises(trio.EndOfChannel):
            await watch.receive()
        await manager.__aexit__(None, None, None)

    run(main)


# ---- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_is_not_older_than_its_call():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.list()
            for number in range(20):
                revision = await put(cluster, f"p{number}")
                listed = await pods.list()
                assert len(listed.objects) == number + 1
                assert listed.revision >= revision
                assert listed.resource_version == str(listed.revision)
                found = await pods.find(f"p{number}", "default")
                assert found is not None
                assert found.revision == revision

    run(main)


def test_a_list_is_not_older_than_its_call_though_only_others_were_written():
    """The cache hears nothing of other keys and has to ask how far the store is."""

    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.list()
            other = (await cluster.etcd.put("/elsewhere", "x")).revision
            began = trio.current_time()
            assert (await pods.list()).revision >= other
            assert trio.current_time() - began <= 0.2

    run(main)


def test_a_list_selects_by_namespace_name_labels_and_fields():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await put(cluster, "a", node="n1", app="web")
            await put(cluster, "b", "other", node="n1", app="db")
            await put(cluster, "c", node="n2", app="web")

            async def names(**selects: Any) -> list[str]:
                return [each.name for each in (await pods.list(**selects)).objects]

            assert await names() == ["a", "c", "b"], "in key order: the namespace comes first"
            assert await names(namespace="other") == ["b"]
            assert await names(name="c") == ["c"]
            assert await names(labels="app in (web)") == await names(labels={"app": "web"}) == ["a", "c"]
            assert await names(fields="spec.nodeName=n1") == await names(fields={"spec.nodeName": "n1"}) == ["a", "b"]
            assert await names(namespace="default", labels="app=web", fields="spec.nodeName!=n1") == ["c"]
            assert await names(labels="app=web,app=db") == []

    run(main)


def test_a_list_at_a_revision_is_exact_or_not_older_as_was_asked():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            first = (await pods.list()).revision
            second, third = await put(cluster, "a"), await put(cluster, "b")
            assert len((await pods.list(resource_version=third)).objects) == 2
            for revision, count in ((first, 0), (second, 1), (third, 2)):
                exact = await pods.list(resource_version=str(revision), match="Exact")
                assert (exact.revision, len(exact.objects)) == (revision, count)
                newer = await pods.list(resource_version=revision, match="NotOlderThan")
                assert (newer.revision, len(newer.objects)) == (third, 2)
            assert len((await pods.list(resource_version="0")).objects) == 2

    run(main)


def test_what_was_before_the_cache_is_the_stores_for_exact_lists_and_expired_for_watches():
    async def main() -> None:
        async with cluster_of() as cluster:
            before = await put(cluster, "a")
            await put(cluster, "b")
            pods = cluster.resource("v1", "pods")
            found = await pods.list(resource_version=before, match="Exact")
            assert ([obj.name for obj in found.objects], found.revision) == (["a"], before)
            await cluster.etcd.compact(before + 1)
            with pytest.raises(Expired):
                await pods.list(resource_version=before, match="Exact")
            with pytest.raises(Expired):
                async with pods.watch(resource_version=before):
                    raise AssertionError("it was opened")

    run(main)


def test_a_list_of_the_future_waits_three_seconds_and_is_too_large():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            revision = (await pods.list()).revision
            for match in ("", "Exact", "NotOlderThan"):
                began = trio.current_time()
                with pytest.raises(TooLargeResourceVersion):
                    await pods.list(resource_version=revision + 5, match=match)
                assert trio.current_time() - began == pytest.approx(3)
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def comes_in_time() -> None:
                    assert len((await pods.list(resource_version=revision + 1, match="Exact")).objects) == 1

                await trio.sleep(2)
                await put(cluster, "a")

    run(main)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"labels": "app in web"}, InvalidSelector),
        ({"fields": "spec.image=x"}, InvalidSelector),
        ({"resource_version": "yesterday"}, ValueError),
        ({"resource_version": -1}, ValueError),
        ({"resource_version": "5", "match": "exact"}, ValueError),
        ({"match": "Exact"}, ValueError),
        ({"match": "NotOlderThan"}, ValueError),
        ({"resource_version": "0", "match": "Exact"}, ValueError),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, error):
    async def main() -> None:
        async with cluster_of() as cluster:
            with pytest.raises(error):
                await cluster.resource("v1", "pods").list(**arguments)

    run(main)


def test_a_namespace_is_refused_where_there_is_none():
    async def main() -> None:
        async with cluster_of() as cluster:
            nodes = cluster.resource("v1", "nodes")
            with pytest.raises(ValueError, match="leave it out"):
                await nodes.list(namespace="default")
            with pytest.raises(ValueError, match="leave it out"):
                await nodes.find("n1", "default")
            assert await nodes.find("n1") is None

    run(main)


# ---- watches: the table of Kubernetes' watch parameters --------------------------------------------------------------


@pytest.mark.parametrize("resource_version", [None, "", "0", 0])
def test_a_watch_from_no_revision_first_shows_the_state(resource_version):
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await put(cluster, "b")
            await put(cluster, "a")
            await pods.list()
            async with pods.watch(resource_version=resource_version) as watch:
                assert await take(watch, 2) == [("ADDED", "a", 3), ("ADDED", "b", 2)]
                await put(cluster, "b")
                assert await take(watch, 1) == [("MODIFIED", "b", 4)]
            assert watch.is_ended

    run(main)


@pytest.mark.parametrize("send_initial_events", [None, False])
def test_a_watch_from_a_revision_tells_what_came_after_it(send_initial_events):
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            listed = await pods.list()
            await put(cluster, "a")
            await put(cluster, "b")
            async with pods.watch(
                resource_version=listed.revision + 1, send_initial_events=send_initial_events
            ) as watch:
                assert await take(watch, 1) == [("ADDED", "b", 3)]

    run(main)


@pytest.mark.parametrize("resource_version", [None, "0"])
def test_a_watch_without_initial_events_begins_now(resource_version):
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.list()
            await put(cluster, "a")
            await pods.list()
            async with pods.watch(resource_version=resource_version, send_initial_events=False) as watch:
                await put(cluster, "b")
                assert await take(watch, 1) == [("ADDED", "b", 3)]

    run(main)


def test_a_watch_without_initial_events_suppresses_what_the_store_already_has(monkeypatch):
    """The store says that it has `a`, of which the cache hears only after the watch was opened: it is not news."""

    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.list()

            async def store_is_ahead() -> int:
                await trio.lowlevel.checkpoint()
                return cluster.etcd.revision + 1

            assert isinstance(pods.storage, CacherStorage)
            monkeypatch.setattr(pods.storage._underlying, "current_resource_version", store_is_ahead)
            async with pods.watch(send_initial_events=False) as watch:
                await put(cluster, "a")
                await put(cluster, "b")
                assert await take(watch, 1) == [("ADDED", "b", 3)]

    run(main)


@pytest.mark.parametrize("bookmarks", [False, True])
def test_a_watch_with_initial_events_shows_a_state_that_is_fresh_and_marks_its_end_for_who_asked(bookmarks):
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.list()
            await put(cluster, "a")
            async with pods.watch(send_initial_events=True, bookmarks=bookmarks) as watch:
                expected = [("ADDED", "a", 2), ("BOOKMARK", "", 2)]
                assert await take(watch, 1 + bookmarks) == expected[: 1 + bookmarks]

    run(main)


def test_only_who_asked_for_initial_events_is_told_where_they_end():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await put(cluster, "a")
            async with pods.watch(bookmarks=True) as watch:
                assert await take(watch, 1) == [("ADDED", "a", 2)]

    run(main)


def test_a_watch_with_initial_events_from_a_revision_waits_for_it():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await put(cluster, "a")
            async with pods.watch(resource_version=1, send_initial_events=True) as watch:
                assert await take(watch, 1) == [("ADDED", "a", 2)]
            with pytest.raises(TooLargeResourceVersion):
                async with pods.watch(resource_version=50, send_initial_events=True):
                    pass

    run(main)


def test_a_watch_from_the_future_is_told_nothing_before_it():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            async with pods.watch(resource_version=3) as watch:
                for name in "abc":
                    await put(cluster, name)
                assert await take(watch, 1) == [("ADDED", "c", 4)]

    run(main)


def test_a_watch_that_asked_gets_bookmarks_and_may_resume_from_them():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.list()
            newest = 0
            async with pods.watch(labels="app=web", send_initial_events=False, bookmarks=True) as watch:
                for _ in range(130):
                    await trio.sleep(1)
                    newest = await put(cluster, "busy", app="db")
                await settle()
                assert watch.receive_nowait().type == "BOOKMARK"
                assert watch.revision == newest
            async with pods.watch(resource_version=watch.revision, labels="app=web") as resumed:
                await put(cluster, "x", app="web")
                assert (await resumed.receive()).object.name == "x"

    run(main)


def test_the_errors_of_a_watch_come_on_entering():
    async def main() -> None:
        async with cluster_of() as cluster:
            pods = cluster.resource("v1", "pods")
            refused: list[tuple[dict[str, Any], type[Exception]]] = [
                ({"labels": "!"}, InvalidSelector),
                ({"resource_version": "x"}, ValueError),
                ({"fields": "no.such=1"}, InvalidSelector),
            ]
            for arguments, error in refused:
                with pytest.raises(error):
                    async with pods.watch(**arguments):
                        raise AssertionError("it was opened")
            for _ in range(300):
                await put(cluster, "a")
                await trio.sleep(1)
            with pytest.raises(Expired):
                async with pods.watch(resource_version="2"):
                    raise AssertionError("it was opened")
            assert pods.statistics().watches == 0

    run(main)


# ---- compaction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period_s", [10, 0])
def test_the_store_keeps_one_to_two_periods_of_history(period_s):
    async def main() -> None:
        async with cluster_of(compaction_period_s=period_s) as cluster:
            assert isinstance(cluster.etcd, EmbeddedEtcd)
            pods = cluster.resource("v1", "pods")
            async with pods.watch() as watch:
                for _ in range(100):
                    await put(cluster, "a")
                    await trio.sleep(1)
                newest = cluster.etcd.revision
                await cluster.etcd.range("/registry/pods/default/a", revision=newest - 9)
                if period_s:
                    # A period has eleven revisions: the compactor's own word is one, and may be the newest.
                    assert newest - 22 <= cluster.etcd.compact_revision <= newest - 9
                    with pytest.raises(CompactedError):
                        await cluster.etcd.range("/registry/pods/default/a", revision=newest - 30)
                else:
                    assert cluster.etcd.compact_revision <= 0
                assert len(await take(watch, 100)) == 100
                assert pods.statistics().relists == 0

    run(main)


# ---- a store that answers nobody -------------------------------------------------------------------------------------


class Away:
    """An etcd that answers no read for its first seconds."""

    def __init__(self, etcd: EmbeddedEtcd, until_s: float) -> None:
        self._etcd = etcd
        self._until_s = until_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._etcd, name)

    async def range(self, *args: Any, **kwargs: Any) -> Any:
        if trio.current_time() < self._until_s:
            await trio.lowlevel.checkpoint()
            raise UnavailableError("etcd: connection refused: try again")
        return await self._etcd.range(*args, **kwargs)


@pytest.mark.parametrize("watch_cache", [True, False])
def test_a_server_that_begins_while_its_store_answers_nobody_waits_for_it(watch_cache):
    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd:
            store: Any = Away(etcd, 20)
            async with open_server(
                store, random=Random(7), clock=Clock(0), compaction_period_s=0, watch_cache=watch_cache
            ) as cluster:
                with trio.fail_after(120):
                    await cluster.prepare()
                assert trio.current_time() >= 20

    run(main)


def test_a_write_to_what_is_not_known_does_not_wait_for_a_store_that_answers_nobody():
    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd:
            store: Any = Away(etcd, math.inf)
            async with open_server(
                store, random=Random(7), clock=Clock(0), compaction_period_s=0, watch_cache=False
            ) as cluster:
                with pytest.raises(ServerTimeout), trio.fail_after(60):
                    await cluster.resource("example.com/v1", "widgets").get("a", "default")

    run(main)
