"""A cluster's resources written to by the API's verbs, and read from their caches: one door."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio

from cacher import Cluster, open_cluster
from cacher.registry import AlreadyExists, Conflict, Invalid, NotFound, PatchType, UnknownResource
from cacher.storage import ListOptions
from tests.etcd_binaries import each_etcd
from tests.etcd_server import open_etcd_server

EPOCH_S = 1_700_000_000.0
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"k": "v"}}


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            **spec,
        },
    }


async def namespaced(cluster: Cluster, name: str = "team") -> None:
    await cluster.resource("v1", "namespaces").create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )


@pytest.mark.parametrize("watch_cache", [True, False])
def test_what_is_written_by_the_verbs_is_watched_and_listed(run_trio, watch_cache):
    async def main() -> None:
        async with open_cluster(random=Random(1), epoch_s=EPOCH_S, watch_cache=watch_cache) as cluster:
            await namespaced(cluster)
            configs = cluster.resource("v1", "configmaps")
            async with configs.watch(namespace="team") as watch:
                made = await configs.create(CONFIG, "team")
                made["data"] = {"k": "w"}
                changed = await configs.update(made)
                patched = await configs.patch("one", {"data": {"l": "x"}}, "team")
                assert await configs.delete("one", "team")
                seen = [await watch.receive() for _ in range(4)]
            assert [event.type.value for event in seen] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
            assert [event.resource_version for event in seen][:3] == [
                each["metadata"]["resourceVersion"] for each in (made, changed, patched)
            ]
            assert patched["data"] == {"k": "w", "l": "x"}
            assert made["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
            assert (await configs.list(namespace="team")).objects == ()
            assert await configs.find("one", "team") is None
            with pytest.raises(NotFound):
                await configs.get("one", "team")

    run_trio(main)


def test_a_resource_keeps_its_rules_and_says_what_is_wrong(run_trio):
    async def main() -> None:
        async with open_cluster(random=Random(1)) as cluster:
            with pytest.raises(NotFound, match="namespaces"):
                await cluster.resource("v1", "configmaps").create(CONFIG, "nowhere")
            await namespaced(cluster)
            deployments = cluster.resource("apps/v1", "deployments")
            made = await deployments.create(deployment("web"), "team")
            assert (made["spec"]["replicas"], made["metadata"]["generation"]) == (1, 1)
            with pytest.raises(AlreadyExists):
                await deployments.create(deployment("web"), "team")
            with pytest.raises(Invalid, match=r"spec\.replicas"):
                await deployments.patch("web", {"spec": {"replicas": -1}}, "team")
            scale = deployments.subresource("scale")
            await scale.update({**await scale.get("web", "team"), "spec": {"replicas": 3}}, "team")
            now = await deployments.get("web", "team")
            assert (now["spec"]["replicas"], now["metadata"]["generation"]) == (3, 2)
            with pytest.raises(Conflict):
                await deployments.update(made)
            applied = await deployments.patch(
                "web",
                {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"paused": True}},
                "team",
                type=PatchType.APPLY,
                field_manager="me",
            )
            assert {entry["manager"] for entry in applied["metadata"]["managedFields"]} >= {"me"}
            with pytest.raises(UnknownResource):
                await cluster.resource("example.com/v1", "widgets").get("x", "team")

    run_trio(main)


def test_the_first_read_through_the_api_starts_the_cache_and_waits_for_it(run_trio):
    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False) as cluster:
            configs = cluster.resource("v1", "configmaps")
            await configs.create(CONFIG, "team")
            assert not configs.statistics().is_ready
            page = await configs.api.list("team", resource_version="0")
            assert [obj.name for obj in page.objects] == ["one"]
            assert configs.statistics().is_ready
            async with configs.api.watch("team") as stream:
                assert (await stream.receive()).object.name == "one"
            assert (await configs.storage.get_list("/configmaps/", ListOptions())).revision == cluster.etcd.revision

    run_trio(main)


def test_the_same_seed_gives_the_same_objects(run_trio):
    async def made() -> dict[str, Any]:
        async with open_cluster(random=Random(5), epoch_s=EPOCH_S, checks_namespaces=False) as cluster:
            generated = {**CONFIG, "metadata": {"generateName": "c-"}}
            return await cluster.resource("v1", "configmaps").create(generated, "team")

    first, second = run_trio(made), run_trio(made)
    assert first == second
    assert first["metadata"]["name"].startswith("c-")


@each_etcd()
def test_writers_on_a_real_etcd_lose_no_update(binary, tmp_path):
    async def main() -> None:
        async with (
            open_etcd_server(binary, tmp_path, random=Random(1)) as server,
            open_cluster(etcd=server.endpoint) as cluster,
        ):
            await namespaced(cluster)
            configs = cluster.resource("v1", "configmaps")
            await configs.create({**CONFIG, "data": {}}, "team")

            async def write(number: int) -> None:
                for turn in range(5):
                    await configs.patch("one", {"data": {f"{number}-{turn}": "x"}}, "team")

            async with trio.open_nursery() as nursery:
                for number in range(8):
                    nursery.start_soon(write, number)
            assert len((await configs.get("one", "team"))["data"]) == 40

    trio.run(main)


# ---- custom resources ------------------------------------------------------------------------------------------------

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer", "minimum": 1, "default": 3}},
                            }
                        },
                    }
                },
            }
        ],
    },
}
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {}}


@pytest.mark.parametrize("watch_cache", [True, False])
def test_what_is_defined_is_a_resource_as_any_other_until_its_definition_goes(run_trio, watch_cache):
    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False, watch_cache=watch_cache) as cluster:
            definitions = cluster.resource("apiextensions.k8s.io/v1", "customresourcedefinitions")
            widgets = cluster.resource("example.com/v1", "widgets")
            with pytest.raises(UnknownResource):
                await widgets.create(WIDGET, "team")
            await definitions.create(DEFINITION)
            made = await widgets.create(WIDGET, "team")
            assert made["spec"] == {"size": 3}
            with pytest.raises(Invalid, match="greater than or equal to 1"):
                await widgets.patch("w", {"spec": {"size": 0}}, "team")
            async with widgets.watch(namespace="team") as watch:
                assert (await watch.receive()).object.to_dict()["spec"] == {"size": 3}
                await widgets.patch("w", {"spec": {"size": 5}}, "team")
                assert (await watch.receive()).object.to_dict()["spec"] == {"size": 5}
                await definitions.delete("widgets.example.com")
                with trio.fail_after(60):
                    assert (await watch.receive()).type == "DELETED"
                    with pytest.raises(trio.EndOfChannel):
                        await watch.receive()
            with trio.fail_after(60):
                while await definitions.find("widgets.example.com") is not None:
                    await trio.sleep(1)
            with pytest.raises(UnknownResource):
                await widgets.get("w", "team")

    run_trio(main)


def test_definitions_that_a_store_holds_are_served_at_the_first_use(tmp_path):
    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False, data_dir=tmp_path) as cluster:
            await cluster.resource("apiextensions.k8s.io/v1", "customresourcedefinitions").create(DEFINITION)
            await cluster.resource("example.com/v1", "widgets").create(WIDGET, "team")
        async with open_cluster(random=Random(2), checks_namespaces=False, data_dir=tmp_path) as cluster:
            widgets = cluster.resource("example.com/v1", "widgets")
            await widgets.ready()
            assert widgets.api.kind == ("example.com/v1", "Widget")
            assert [obj.name for obj in (await widgets.list()).objects] == ["w"]

    trio.run(main)
