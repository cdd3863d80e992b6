"""What others write between a controller's look and its write: each is given the moment in which it does the most harm."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from cacher.controllers import (
    EvictionRates,
    GarbageCollectorOptions,
    KubeletOptions,
    NamespaceOptions,
    NodeLifecycleOptions,
)
from tests.cacher.controllers.live import Live, live
from tests.cacher.controllers.test_live import is_gone, is_ready, owner_of, pod_of
from watch import Conflict, GroupResource, ServiceUnavailable, error_from_status


async def owned(world: Live, name: str, *owners: Any) -> Any:
    references = [owner_of(owner, blocks=None) for owner in owners]
    return await world.create("configmaps", name, metadata={"ownerReferences": references})


# ---- the garbage collector -----------------------------------------------------------------------------------------------


def test_an_object_that_gets_another_owner_at_the_last_moment_is_not_collected(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            old, new = await world.create("configmaps", "old"), await world.create("configmaps", "new")
            await owned(world, "child", old)

            async def adopt() -> None:
                await world["configmaps"].patch("child", {"metadata": {"ownerReferences": [owner_of(new)]}}, "default")

            world.api.once("delete", "configmaps", adopt)
            await world["configmaps"].delete("old", "default")
            await trio.sleep(10)
            assert await world.get("configmaps", "child") is not None

    run_trio(main)


def test_an_object_that_takes_the_name_of_what_is_to_be_collected_stays(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            owner = await world.create("configmaps", "owner")
            await owned(world, "child", owner)

            async def replace() -> None:
                await world["configmaps"].delete("child", "default")
                await world.create("configmaps", "child")

            world.api.once("delete", "configmaps", replace)
            await world["configmaps"].delete("owner", "default")
            await trio.sleep(10)
            assert await world.get("configmaps", "child") is not None

    run_trio(main)


def test_an_owner_that_is_added_while_another_is_taken_away_is_kept(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            a, b, c = [await world.create("configmaps", name) for name in "abc"]
            await owned(world, "child", a, b)

            async def adopt() -> None:
                owners = [owner_of(one, blocks=None) for one in (a, b, c)]
                await world["configmaps"].patch("child", {"metadata": {"ownerReferences": owners}}, "default")

            world.api.once("patch", "configmaps", adopt)
            await world["configmaps"].delete("a", "default")
            await trio.sleep(10)
            child = await world.get("configmaps", "child")
            assert child is not None
            assert [one["name"] for one in child["metadata"]["ownerReferences"]] == ["b", "c"]

    run_trio(main)


def test_a_server_that_says_404_of_no_object_in_particular_says_nothing_of_an_owner(run_trio):
    async def main() -> None:
        async with live(kubelets=None, collector=GarbageCollectorOptions(ignored=("events", "secrets"))) as world:
            secret = await world["secrets"].create(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, "default"
            )

            async def unknown() -> None:
                raise error_from_status({"code": 404, "reason": "NotFound", "message": "no such resource here"})

            world.api.once("get", "secrets", unknown)
            await owned(world, "child", secret)
            await trio.sleep(10)
            assert await world.get("configmaps", "child") is not None

    run_trio(main)


def test_an_owner_that_goes_unseen_takes_along_what_it_owns_all_the_same(run_trio):
    async def main() -> None:
        async with live(kubelets=None, collector=GarbageCollectorOptions(ignored=("events", "secrets"))) as world:
            secret = await world["secrets"].create(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, "default"
            )
            await owned(world, "child", secret)
            await trio.sleep(10)
            assert await world.get("configmaps", "child") is not None
            await world["secrets"].delete("s", "default")
            await world.until(lambda: is_gone(world, "configmaps", "child"))

    run_trio(main)


# ---- the scheduler -------------------------------------------------------------------------------------------------------


def test_nodes_never_get_more_than_they_have_however_many_bindings_are_under_way(run_trio):
    async def main() -> None:
        async with live(kubelets=KubeletOptions(nodes=2)) as world:
            wants = [{"name": "main", "image": "app", "resources": {"requests": {"cpu": "1"}}}]
            async with trio.open_nursery() as nursery:
                for at in range(20):
                    nursery.start_soon(lambda at=at: world.pod(f"p{at}", containers=wants))  # type: ignore[misc]
            await trio.sleep(5)
            pods = [obj.to_dict() for obj in (await world["pods"].list(namespace="default")).objects]
            on = [pod["spec"].get("nodeName") for pod in pods]
            assert [on.count(name) for name in (*world.kubelets.nodes, None)] == [8, 8, 4]
            world.scheduler.table.check()

    run_trio(main)


def test_a_binding_that_fails_gives_the_room_back_and_is_tried_again(run_trio):
    async def main() -> None:
        for failure in (Conflict(GroupResource("", "pods"), "p", "busy"), ServiceUnavailable("not now")):
            async with live(kubelets=KubeletOptions(nodes=1)) as world:

                async def fail(failure: Exception = failure) -> None:
                    raise failure

                world.api.once("create", "pods/binding", fail)
                wants = [{"name": "main", "image": "app", "resources": {"requests": {"cpu": "8"}}}]
                await world.pod("p", containers=wants)
                await world.until(lambda world=world: is_ready(world, "p"), within_s=10)  # type: ignore[misc]
                world.scheduler.table.check()

    run_trio(main)


# ---- kubelets, nodes, namespaces ---------------------------------------------------------------------------------------------


def test_a_pod_that_takes_the_name_of_one_that_ended_is_not_removed_for_it(run_trio):
    async def main() -> None:
        async with live() as world:
            await world.pod("p")
            await world.until(lambda: is_ready(world, "p"))
            new: list[Any] = []

            async def replace() -> None:
                await world["pods"].delete("p", "default", grace_period_s=0)
                new.append(await world.pod("p"))

            world.api.once("delete", "pods", replace)
            await world["pods"].delete("p", "default")
            await trio.sleep(20)
            assert (await pod_of(world, "p"))["metadata"]["uid"] == new[0]["metadata"]["uid"]
            assert await is_ready(world, "p")

    run_trio(main)


@pytest.mark.slow
def test_a_pod_that_takes_the_name_of_one_that_is_evicted_stays(run_trio):
    async def main() -> None:
        options = NodeLifecycleOptions(rates=EvictionRates(normal=1), default_toleration_s=0)
        async with live(nodes=options) as world:
            await world.pod("p")
            await world.until(lambda: is_ready(world, "p"))
            new: list[Any] = []

            async def replace() -> None:
                await world["pods"].delete("p", "default", grace_period_s=0)
                new.append(await world.pod("p"))

            world.api.once("delete", "pods", replace)
            world.kubelets.fail((await pod_of(world, "p"))["spec"]["nodeName"])
            await trio.sleep(90)
            assert (await pod_of(world, "p"))["metadata"]["uid"] == new[0]["metadata"]["uid"]
            assert not (await pod_of(world, "p"))["metadata"].get("deletionTimestamp")

    run_trio(main)


def test_what_came_late_into_a_namespace_is_not_taken_for_what_is_in_the_next_one_of_its_name(run_trio):
    async def main() -> None:
        async with live(kubelets=None, namespaces=NamespaceOptions(delay_s=1)) as world:
            await world.create("namespaces", "team", None)
            await world.until(lambda: world.get("configmaps", "kube-root-ca.crt", "team"))
            await world["namespaces"].delete("team")
            await world.until(lambda: is_gone(world, "namespaces", "team", None))
            raw = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"team","uid":"late-uid"}}'
            await world.cluster.etcd.put("/registry/configmaps/team/c", raw)

            async def begin_anew() -> None:
                await world["configmaps"].delete("c", "team")
                await world.create("namespaces", "team", None)
                await world.create("configmaps", "c", "team")

            world.api.once("delete", "configmaps", begin_anew)
            await trio.sleep(20)
            assert await world.get("configmaps", "c", "team") is not None

    run_trio(main)


# ---- slices --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_copy_that_is_behind_makes_no_slice_twice(run_trio):
    async def main() -> None:
        async with live() as world:
            world.api.slow_s["endpointslices"] = 2.0
            ports = [{"name": "http", "port": 80, "targetPort": "http"}]
            await world.create("services", "web", spec={"selector": {"app": "web"}, "ports": ports})
            for at in range(5):
                await world.pod(f"web-{at}", labels={"app": "web"})
                await trio.sleep(0.3)
            seen: list[list[int]] = []
            for _ in range(100):
                await trio.sleep(0.5)
                listed = await world["endpointslices"].list(labels={"kubernetes.io/service-name": "web"})
                seen.append([len(obj.parse()["endpoints"] or ()) for obj in listed.objects])
            # At most the empty slice and the one that takes its place.
            assert max(map(len, seen)) <= 2
            assert seen[-1] == [5]

    run_trio(main)


# ---- what cannot be read ---------------------------------------------------------------------------------------------------


def test_what_has_not_the_shape_of_its_kind_is_passed_over_and_stops_nobody(run_trio, caplog):
    async def main() -> None:
        async with live() as world:
            meta = b'"metadata":{"name":"odd","namespace":"default","uid":"odd","ownerReferences":[{"uid":5}]}'
            pod = b'{"apiVersion":"v1","kind":"Pod",' + meta + b',"spec":{"containers":"none"},"status":{}}'
            await world.cluster.etcd.put("/registry/pods/default/odd", pod)
            node = b'{"apiVersion":"v1","kind":"Node","metadata":{"name":"odd","uid":"n"},"status":{"allocatable":[]}}'
            await world.cluster.etcd.put("/registry/minions/odd", node)
            owner = await world.create("configmaps", "owner")
            await owned(world, "child", owner)
            await world.pod("p")
            await world.until(lambda: is_ready(world, "p"), within_s=10)
            await world["configmaps"].delete("owner", "default")
            await world.until(lambda: is_gone(world, "configmaps", "child"))
            told = [record.message for record in caplog.records if "passes over" in record.message]
            assert any("/registry/pods/default/odd" in line for line in told)
            assert any("/registry/minions/odd" in line for line in told)

    run_trio(main)
