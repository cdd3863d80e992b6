"""A resource as what an informer mirrors: its lists, streamed states, watches and heartbeats; and a cluster as a Client."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from cacher import CacherStorage, Cluster, Resource, open_cluster
from cacher._resource_source import HEARTBEAT_S, _Stream
from cacher.storage.etcd import EmbeddedEtcd
from reflector import Changes, Client, PartClient, ResourceClient, SharedInformer, StreamingListerWatcher
from watch import Event, EventType, InvalidSelector, Object, WatchError, bookmark


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }


def told(changes: Changes) -> list[tuple[str, str]]:
    return [(str(event.type), event.object.name) for event in changes.events]


BOTH = pytest.mark.parametrize("cached", [True, False])


def as_client(cluster: Cluster) -> Client:
    return cluster


def as_resource_client(resource: Resource) -> ResourceClient:
    return resource


def test_a_cluster_is_a_client_with_resources_and_parts(run_trio):
    """mypy holds the types; here are the values, and what a part's verbs bring."""

    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False, name="here") as cluster:
            client = as_client(cluster)
            pods = client.resource("v1", "pods")
            assert (client.name, pods.group_version, pods.plural) == ("here", "v1", "pods")
            assert as_resource_client(cluster.resource("v1", "pods")) is pods
            source: StreamingListerWatcher = cluster.resource("v1", "pods").lister_watcher()
            assert isinstance(source, StreamingListerWatcher)
            made = await pods.create(pod("a"), "team-a")
            status: PartClient = pods.subresource("status")
            patched = await status.patch("a", {"status": {"phase": "Running"}}, "team-a")
            assert patched["status"]["phase"] == "Running"
            assert (await status.get("a", "team-a"))["metadata"]["uid"] == made["metadata"]["uid"]
            binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}
            await pods.subresource("binding").create(binding, "team-a")
            bound = await pods.get("a", "team-a")
            assert bound["spec"]["nodeName"] == "n1"
            changed = await status.update({**bound, "status": {"phase": "Failed"}}, "team-a", field_manager="me")
            assert changed["status"]["phase"] == "Failed"

    run_trio(main)


def test_a_selector_that_cannot_be_is_refused_before_anything_is_asked(run_trio):
    async def main() -> None:
        async with open_cluster(random=Random(1)) as cluster:
            with pytest.raises(InvalidSelector):
                cluster.resource("v1", "pods").lister_watcher(labels="a=(")
            with pytest.raises(InvalidSelector, match="nothing"):
                cluster.resource("v1", "pods").lister_watcher(fields="spec.nothing=1")
            with pytest.raises(ValueError, match="no namespace"):
                cluster.resource("v1", "nodes").lister_watcher(namespace="team-a")

    run_trio(main)


@BOTH
def test_lists_in_pages_are_of_one_revision_and_of_the_selection_alone(run_trio, cached):
    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False, watch_cache=cached) as cluster:
            pods = cluster.resource("v1", "pods")
            for name in ("a", "b", "c", "d"):
                await pods.create(pod(name, app="x" if name != "c" else "y"), "team-a")
            await pods.create(pod("z", app="x"), "team-b")
            source = pods.lister_watcher(namespace="team-a", labels="app=x")
            first = await source.list(page_size=2)
            assert [obj.name for obj in first.objects] == ["a", "b"]
            await pods.delete("d", "team-a", grace_period_s=0)
            rest = await source.list(page_size=2, page=first.next_page)
            assert ([obj.name for obj in rest.objects], rest.revision) == (["d"], first.revision)
            assert rest.next_page == ""
            newer = await source.list(resource_version=str(first.revision + 1))
            assert [obj.name for obj in newer.objects] == ["a", "b"]
            assert newer.revision >= first.revision + 1
            part = await source.list(resource_version=str(first.revision), page_size=2)
            assert part.revision > first.revision, "not older than, and not just at"

    run_trio(main)


@BOTH
def test_a_streamed_state_ends_with_its_revision_and_goes_on(run_trio, cached):
    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False, watch_cache=cached) as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.create(pod("a", app="x"), "team-a")
            await pods.create(pod("b", app="y"), "team-a")
            async with pods.lister_watcher(labels={"app": "x"}).watch_list() as stream:
                state: list[tuple[str, str]] = []
                while True:
                    changes = await stream.receive()
                    state += told(changes)
                    if changes.revision:
                        break
                assert (state, changes.revision) == ([("ADDED", "a")], cluster.etcd.revision)
                await pods.create(pod("c", app="x"), "team-a")
                after = await stream.receive()
                assert (told(after), after.revision) == ([("ADDED", "c")], cluster.etcd.revision)

    run_trio(main)


def test_what_comes_with_the_end_of_a_state_is_told_after_it(run_trio):
    """A store brings all that is there at once."""

    def at(revision: int) -> Event:
        return Event(EventType.ADDED, Object(f"/p{revision}", revision, b"{}", name=f"p{revision}"), revision)

    class AtOnce:
        async def receive_batch(self) -> tuple[Event, ...]:
            return (at(3), bookmark(7, initial_events_end=True), at(8), at(9))

    async def main() -> None:
        stream = _Stream(AtOnce(), 0, None)  # type: ignore[arg-type]
        assert await stream.receive() == Changes((at(3),), 7)
        assert await stream.receive() == Changes((at(8), at(9)), 9)

    run_trio(main)


@BOTH
def test_a_quiet_watch_says_where_it_is_in_time_and_when_asked(run_trio, cached):
    """Nothing at all is written: the cache has no bookmark to give."""

    async def main() -> None:
        async with open_cluster(random=Random(1), watch_cache=cached, compaction_period_s=0) as cluster:
            source = cluster.resource("v1", "pods").lister_watcher()
            listed = await source.list(resource_version="0")
            async with source.watch(listed.revision, timeout_s=1000) as stream:
                begun_s = trio.current_time()
                assert await stream.receive() == Changes((), listed.revision)
                assert trio.current_time() - begun_s == pytest.approx(HEARTBEAT_S)
                await cluster.etcd.put("/registry/elsewhere/x", b"{}")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(source.request_progress)
                    assert await stream.receive() == Changes((), cluster.etcd.revision)
                assert trio.current_time() - begun_s < HEARTBEAT_S + 2
            async with source.watch(cluster.etcd.revision, timeout_s=100) as stream:
                begun_s = trio.current_time()
                for due_s in (HEARTBEAT_S, 98.0, 98.0 + HEARTBEAT_S):  # its reader leaves after 100 s
                    assert await stream.receive() == Changes((), cluster.etcd.revision)
                    assert trio.current_time() - begun_s == pytest.approx(due_s)

    run_trio(main)


@BOTH
def test_a_stream_that_is_asked_in_the_midst_of_news_does_not_pass_it_over(run_trio, cached):
    """To say that it is as far as its cache, it must have brought all that the cache had by then."""

    async def main() -> None:
        async with open_cluster(random=Random(1), watch_cache=cached) as cluster, trio.open_nursery() as nursery:
            source = cluster.resource("v1", "pods").lister_watcher()
            reached = (await source.list()).revision
            events = 0

            async def write() -> None:
                for number in range(200):
                    await cluster.etcd.put(f"/registry/pods/team-a/p{number % 7}", b"{}")

            async def ask() -> None:
                while True:
                    await source.request_progress()
                    await trio.lowlevel.checkpoint()
                    stream.tell()

            async with source.watch(reached) as stream:
                nursery.start_soon(write)
                nursery.start_soon(ask)
                while events < 200:
                    changes = await stream.receive()
                    assert all(reached < event.revision <= changes.revision for event in changes.events)
                    assert changes.revision >= reached
                    reached = changes.revision
                    events += len(changes.events)
                nursery.cancel_scope.cancel()

    run_trio(main)


def test_what_is_said_to_be_complete_is_complete_when_asked_in_the_midst_of_writes(run_trio):
    """An event is published between the asking and the answer: it goes first, or the answer is a lie."""

    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False) as cluster, trio.open_nursery() as nursery:
            pods = cluster.resource("v1", "pods")
            source = pods.lister_watcher()
            await pods.create(pod("a"), "team-a")

            async def ask() -> None:
                while True:
                    await source.request_progress()
                    await trio.lowlevel.checkpoint()

            async def write() -> None:
                for number in range(200):
                    await pods.patch("a", {"metadata": {"labels": {"n": str(number)}}}, "team-a")

            complete = (await source.list()).revision
            async with source.watch(complete) as stream:
                nursery.start_soon(ask)
                nursery.start_soon(write)
                while complete < 200:
                    changes = await stream.receive()
                    assert all(event.revision > complete for event in changes.events)
                    complete = changes.revision
            nursery.cancel_scope.cancel()

    run_trio(main)


def test_what_comes_just_when_a_stream_is_asked_how_far_it_is_comes_before_the_answer(run_trio):
    """Between the question and the stream's turn the cache may publish: its place by then is beyond what was not told."""

    async def main():
        async with open_cluster(random=Random(1), epoch_s=0) as cluster:
            pods = cluster.resource("v1", "pods")
            await cluster.resource("v1", "namespaces").create({"metadata": {"name": "a"}})
            await pods.create(pod("first"), "a")
            source = pods.lister_watcher()
            page = await source.list()
            seen: list[Changes] = []

            async def read() -> None:
                async with source.watch(page.revision) as stream:
                    while True:
                        seen.append(await stream.receive())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
                (stream,) = source._open
                storage = pods.storage
                assert isinstance(storage, CacherStorage)
                added = Event(
                    EventType.ADDED, Object("/registry/pods/a/second", page.revision + 1, b"{}"), page.revision + 1
                )
                stream.tell()
                storage.cacher.apply(Changes((added,), page.revision + 1))  # no task has run in between
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            assert [len(changes.events) for changes in seen] == [1]

    run_trio(main)


def test_over_a_store_whose_progress_is_not_to_be_trusted_the_state_is_listed(run_trio, monkeypatch):
    """A streamed state has no end there. Who mirrors is told by a failure that it acts on, and not by one that ends it."""
    monkeypatch.setattr(EmbeddedEtcd, "supports_progress", False)

    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False) as cluster, trio.open_nursery() as nursery:
            pods = cluster.resource("v1", "pods")
            await pods.create(pod("a"), "team-a")
            with pytest.raises(WatchError, match="RequestWatchProgress"):
                async with pods.lister_watcher().watch_list() as stream:
                    await stream.receive()
            informer = SharedInformer(pods.lister_watcher(), random=Random(2))
            await nursery.start(informer.run)
            assert [obj.name for obj in informer.lister.list("team-a")] == ["a"]
            nursery.cancel_scope.cancel()

    run_trio(main)
