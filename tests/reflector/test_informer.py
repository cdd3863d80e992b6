"""SharedInformer over the cache in this process and over scripted sources."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio

from cacher import open_cluster
from reflector import Functions, SharedInformer, SharedInformers, Tombstone
from watch import Object


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }


class Diary:
    """A handler that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        self.told.append(("add", obj.name, is_in_initial_list))

    def on_update(self, old: Object, new: Object) -> None:
        self.told.append(("update", old.name, old.revision < new.revision))

    def on_delete(self, obj: Object | Tombstone) -> None:
        self.told.append(("delete", obj.name, isinstance(obj, Tombstone)))


def test_an_informer_over_the_cache_tells_what_was_there_and_what_comes(run_trio):
    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False) as cluster, trio.open_nursery() as nursery:
            pods = cluster.resource("v1", "pods")
            await pods.create(pod("a"), "team-a")
            informers = SharedInformers(cluster, random=Random(2))
            informer = informers.informer("v1", "pods")
            assert informers.informer("v1", "pods", labels={}, fields="") is informer
            early, late = Diary(), Diary()
            first = informer.add_handler(early)
            nursery.start_soon(informers.run)
            await informers.wait_until_synced()
            await first.wait_until_synced()
            made = await pods.create(pod("b"), "team-a")
            await informer.wait_until_revision(int(made["metadata"]["resourceVersion"]))
            await pods.patch("b", {"metadata": {"labels": {"x": "y"}}}, "team-a")
            await pods.delete("a", "team-a", grace_period_s=0)
            await informer.wait_until_revision(cluster.etcd.revision)
            second = informer.add_handler(late)
            await second.wait_until_synced()
            assert early.told == [
                ("add", "a", True),
                ("add", "b", False),
                ("update", "b", True),
                ("update", "a", True),  # the registry marks it as terminating first
                ("delete", "a", False),
            ]
            assert late.told == [("add", "b", True)]
            assert informer.is_live()
            await second.remove()
            await first.remove()
            nursery.cancel_scope.cancel()

    run_trio(main)


def test_functions_are_a_handler_and_one_may_be_async(run_trio):
    async def main() -> None:
        seen: list[str] = []

        async def slowly(obj: Object, _: bool) -> None:
            await trio.sleep(1)
            seen.append(obj.name)

        async with open_cluster(random=Random(1), checks_namespaces=False) as cluster, trio.open_nursery() as nursery:
            pods = cluster.resource("v1", "pods")
            await pods.create(pod("a"), "team-a")
            informer = SharedInformer(pods.lister_watcher(), random=Random(2))
            registration = informer.add_handler(Functions(on_add=slowly))
            await nursery.start(informer.run)
            assert informer.has_synced
            assert not registration.has_synced
            await registration.wait_until_synced()
            assert seen == ["a"]
            nursery.cancel_scope.cancel()

    run_trio(main)


def test_an_informer_runs_once(run_trio):
    async def main() -> None:
        async with open_cluster(random=Random(1)) as cluster, trio.open_nursery() as nursery:
            informer = SharedInformer(cluster.resource("v1", "pods").lister_watcher(), random=Random(2))
            await nursery.start(informer.run)
            with pytest.raises(RuntimeError, match="run before"):
                await informer.run()
            nursery.cancel_scope.cancel()

    run_trio(main)


@pytest.mark.parametrize("cached", [True, False])
def test_who_waits_for_a_revision_of_something_else_does_not_wait_for_a_bookmark(run_trio, cached):
    """The source is asked meanwhile: what was written is nothing that this informer mirrors."""

    async def main() -> None:
        async with (
            open_cluster(random=Random(1), checks_namespaces=False, watch_cache=cached) as cluster,
            trio.open_nursery() as nursery,
        ):
            informer = SharedInformer(cluster.resource("v1", "pods").lister_watcher(), random=Random(2))
            await nursery.start(informer.run)
            made = await cluster.resource("v1", "configmaps").create({"metadata": {"name": "other"}}, "team-a")
            begun_s = trio.current_time()
            await informer.wait_until_revision(int(made["metadata"]["resourceVersion"]))
            assert trio.current_time() - begun_s < 1
            with trio.move_on_after(1) as gives_up:
                await informer.wait_until_revision(cluster.etcd.revision + 1)
            assert gives_up.cancelled_caught
            assert not informer._waiting, "who has given up is not waited for"
            nursery.cancel_scope.cancel()

    run_trio(main)
