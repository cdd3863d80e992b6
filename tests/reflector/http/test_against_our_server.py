"""The client against a server of ours: verbs as in the same process, informers whose stores end equal to what is served."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio

from reflector import Client, Reflector, SharedInformer, SharedInformers, Store
from tests.reflector.http.our_server import open_both
from watch import (
    AlreadyExists,
    APIError,
    ApplyConflict,
    BadRequest,
    Conflict,
    Invalid,
    InvalidSelector,
    MethodNotAllowed,
    NotFound,
    Object,
    PatchType,
    ServiceUnavailable,
    UnknownResource,
)


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }


DEPLOYMENT = {
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
    },
}


# --- verbs -----------------------------------------------------------------------------------------------------------


async def story(client: Client) -> list[Any]:
    """What a client sees of a life, without what chance and time put in: the same over HTTP and in the same process."""
    told: list[Any] = []

    def tell(obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        kept = {key: meta.get(key) for key in ("name", "namespace", "labels", "generation", "resourceVersion")}
        told.append((obj.get("kind"), obj.get("apiVersion"), kept, obj.get("spec"), obj.get("status")))

    async def refused(error, call) -> None:
        with pytest.raises(error) as caught:
            await call
        told.append((type(caught.value), caught.value.code, caught.value.reason, caught.value.message))

    deployments = client.resource("apps/v1", "deployments")
    pods = client.resource("v1", "pods")
    made = await deployments.create(DEPLOYMENT, "default", field_manager="me")
    tell(made)
    await refused(AlreadyExists, deployments.create(DEPLOYMENT, "default"))
    await refused(Invalid, deployments.create({**DEPLOYMENT, "metadata": {"name": "Bad Name"}}, "default"))
    tell(await deployments.patch("web", {"spec": {"replicas": 3}}, "default"))
    tell(
        await deployments.patch(
            "web", [{"op": "replace", "path": "/spec/replicas", "value": 4}], "default", type=PatchType.JSON
        )
    )
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}}}
    tell(await deployments.patch("web", strategic, "default", type=PatchType.STRATEGIC))
    applied = {"metadata": {"name": "web"}, "spec": {"replicas": 9}}
    applied = {"apiVersion": "apps/v1", "kind": "Deployment", **applied}
    await refused(
        ApplyConflict if not hasattr(client, "get_path") else Exception,
        deployments.patch("web", applied, "default", type=PatchType.APPLY, field_manager="you"),
    )
    told.pop()  # of one class in the process, of another over HTTP: see the test below
    tell(await deployments.patch("web", applied, "default", type=PatchType.APPLY, field_manager="you", force=True))
    await refused(Conflict, deployments.update({**made, "spec": {**made["spec"], "paused": True}}))
    scale = await deployments.subresource("scale").get("web", "default")
    tell(scale)
    tell(await deployments.subresource("scale").update({**scale, "spec": {"replicas": 2}}))
    tell(await deployments.subresource("status").patch("web", {"status": {"replicas": 2}}, "default"))
    tell(await pods.create(pod("a", app="web"), "default"))
    await pods.subresource("binding").create(
        {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}, "default"
    )
    tell(await pods.get("a", "default"))
    told.append(await pods.delete("a", "default"))  # it is given time
    told.append(await pods.delete("a", "default", grace_period_s=0))
    await refused(NotFound, pods.get("a", "default"))
    await refused(NotFound, pods.delete("a", "default"))
    configmaps = client.resource("v1", "configmaps")
    held = await configmaps.create({"metadata": {"name": "held", "finalizers": ["example.com/x"]}}, "default")
    await refused(Conflict, configmaps.delete("held", "default", uid="another"))
    told.append(await configmaps.delete("held", "default", uid=held["metadata"]["uid"]))
    await configmaps.patch("held", {"metadata": {"finalizers": None}}, "default")
    await refused(NotFound, configmaps.get("held", "default"))
    told.append(await deployments.delete("web", "default", propagation_policy="Background"))
    nodes = client.resource("v1", "nodes")
    tell(await nodes.create({"metadata": {"name": "n1"}}))
    told.append(await nodes.delete("n1"))
    namespaces = client.resource("v1", "namespaces")
    tell(await namespaces.create({"metadata": {"name": "team-a"}}))
    told.append(await namespaces.delete("team-a"))
    return told


def test_a_life_is_the_same_over_http_and_in_the_same_process(run_trio):
    async def main(over_http: bool) -> list[Any]:
        async with open_both() as both:
            return await story(both.client if over_http else both.cluster)

    here, there = run_trio(main, False), run_trio(main, True)
    assert len(there) > 20
    for mine, theirs in zip(here, there, strict=True):
        assert mine == theirs


def test_errors_of_the_client_itself_are_api_errors_too(run_trio):
    async def main() -> None:
        async with open_both() as both:
            pods = both.client.resource("v1", "pods")
            with pytest.raises(BadRequest, match="pods live in a namespace: say which"):
                await pods.get("a")
            with pytest.raises(UnknownResource):
                await both.client.resource("v1", "widgets").create({"metadata": {"name": "a"}}, "default")
            with pytest.raises(NotFound):
                await both.client.resource("example.com/v1", "widgets").get("a", "default")
            with pytest.raises(MethodNotAllowed):
                await both.client.resource("v1", "namespaces").subresource("finalize").patch("default", {})
            assert (await both.client.get_path("/version"))["major"] == "1"

    run_trio(main)


# --- informers -------------------------------------------------------------------------------------------------------


def shown(objects) -> list[tuple[str, int, dict[str, Any]]]:
    return sorted((obj.name, obj.revision, obj.parse()) for obj in objects)


async def settle(informer: SharedInformer, revision: int) -> None:
    with trio.fail_after(300):
        await informer.wait_until_revision(revision)


def test_an_informer_over_http_ends_equal_to_what_is_served(run_trio):
    async def main() -> tuple[Any, Any, Any]:
        async with open_both() as both, trio.open_nursery() as nursery:
            pods = both.cluster.resource("v1", "pods")
            for number in range(30):
                await pods.create(pod(f"p{number:02}", app="web" if number % 2 else "db"), "default")
            informers = SharedInformers(both.client, random=Random(3))
            every = informers.informer("v1", "pods")
            some = informers.informer("v1", "pods", namespace="default", labels="app=web")
            bound = informers.informer("v1", "pods", fields="spec.nodeName=n1")
            nursery.start_soon(informers.run)
            await informers.wait_until_synced()
            for number in range(30):
                if number % 3 == 0:
                    await pods.delete(f"p{number:02}", "default", grace_period_s=0)
                elif number % 3 == 1:
                    await pods.patch(f"p{number:02}", {"metadata": {"labels": {"app": "web"}}}, "default")
                else:
                    binding = {"metadata": {"name": f"p{number:02}"}, "target": {"kind": "Node", "name": "n1"}}
                    await pods.subresource("binding").create(binding, "default")
            last = await pods.create(pod("last", app="web"), "default")
            for informer in (every, some):
                await settle(informer, int(last["metadata"]["resourceVersion"]))
            await settle(bound, int(last["metadata"]["resourceVersion"]))  # by a bookmark
            wanted = [
                (await pods.list()).objects,
                (await pods.list(labels="app=web")).objects,
                (await pods.list(fields="spec.nodeName=n1")).objects,
            ]
            nursery.cancel_scope.cancel()
            return [shown(one.store.objects()) for one in (every, some, bound)], [shown(one) for one in wanted], every

    held, served, every = run_trio(main)
    assert held == served
    assert [len(one) for one in held] == [21, 16, 10]
    assert all(obj.fields["spec.hostNetwork"] == "false" for obj in every.store.objects())


def test_an_object_over_http_is_the_one_that_is_in_the_cache(run_trio):
    async def main() -> tuple[Object, Object, Object]:
        async with open_both() as both:
            pods = both.cluster.resource("v1", "pods")
            await pods.create(pod("a", app="web"), "default")
            here = (await pods.list()).objects[0]
            source = both.client.resource("v1", "pods").lister_watcher()
            there = (await source.list()).objects[0]
            async with source.watch_list() as stream:
                streamed = (await stream.receive()).events[0].object
            return here, there, streamed

    here, there, streamed = run_trio(main)
    for found in (there, streamed):
        assert found.key == "default/a"
        assert (found.revision, found.name, found.namespace, found.uid) == (here.revision, "a", "default", here.uid)
        assert (found.labels, found.fields, found.parse()) == (here.labels, here.fields, here.parse())


@pytest.mark.parametrize("streams", [False, True])
def test_a_reflector_over_http_resumes_after_every_loss_and_lists_once(run_trio, streams):
    async def main():
        async with open_both() as both, trio.open_nursery() as nursery:
            pods = both.cluster.resource("v1", "pods")
            store = Store()
            source = both.client.resource("v1", "pods").lister_watcher()
            reflector = Reflector(source, store, random=Random(5), streams=streams, first_list="0")
            await nursery.start(reflector.run)
            for number in range(10):
                await pods.create(pod(f"p{number}"), "default")
                for stream in both.streams:
                    await trio.aclose_forcefully(stream)  # the client's end: its watch is lost
                both.streams.clear()
                await pods.create(pod(f"q{number}"), "default")  # nobody watches
                await trio.sleep(120)
            served = shown((await pods.list()).objects)
            nursery.cancel_scope.cancel()
            return shown(store.objects()), served, reflector.statistics()

    held, served, told = run_trio(main)
    assert held == served
    assert len(held) == 20
    assert told.lists == 1
    assert told.resumes >= 9  # the first may still have been on its way


def test_a_reflector_over_http_lists_again_after_a_compaction_and_finds_what_is_gone(run_trio):
    async def main():
        async with open_both(watch_cache=False) as both, trio.open_nursery() as nursery:
            pods = both.cluster.resource("v1", "pods")
            await pods.create(pod("gone"), "default")
            store = Store()
            source = both.client.resource("v1", "pods").lister_watcher()
            reflector = Reflector(source, store, random=Random(5))
            await nursery.start(reflector.run)
            was_there = [obj.name for obj in store.objects()]
            for stream in both.streams:
                await trio.aclose_forcefully(stream)
            both.streams.clear()
            await pods.delete("gone", "default", grace_period_s=0)
            await pods.create(pod("new"), "default")
            await both.cluster.etcd.compact(both.cluster.etcd.revision)
            await trio.sleep(200)
            nursery.cancel_scope.cancel()
            return was_there, [obj.name for obj in store.objects()], reflector.statistics()

    was_there, names, told = run_trio(main)
    assert (was_there, names) == (["gone"], ["new"])
    assert told.relists == 1


def test_a_quiet_hour_costs_no_list(run_trio):
    async def main():
        async with open_both() as both, trio.open_nursery() as nursery:
            pods = both.cluster.resource("v1", "pods")
            await pods.create(pod("a"), "default")
            store = Store()
            reflector = Reflector(both.client.resource("v1", "pods").lister_watcher(), store, random=Random(5))
            await nursery.start(reflector.run)
            for _ in range(3):
                await trio.sleep(1200)
                await both.cluster.resource("v1", "configmaps").create({"metadata": {"generateName": "x-"}}, "default")
            made = await pods.create(pod("b"), "default")
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
            return store.revision == int(made["metadata"]["resourceVersion"]), reflector.statistics()

    is_fresh, told = run_trio(main)
    assert is_fresh
    assert told.lists == 1


def test_a_reflector_waits_for_a_server_that_is_not_there_yet_and_for_a_resource_that_is_not_defined_yet(run_trio):
    async def main():
        async with open_both() as both, trio.open_nursery() as nursery:
            store = Store()
            source = both.client.resource("example.com/v1", "widgets").lister_watcher()
            reflector = Reflector(source, store, random=Random(5))
            nursery.start_soon(reflector.run)
            await trio.sleep(60)
            before = reflector.statistics()
            await both.cluster.resource("apiextensions.k8s.io/v1", "customresourcedefinitions").create(DEFINITION)
            await trio.sleep(5)
            widgets = both.client.resource("example.com/v1", "widgets")
            await widgets.create({"metadata": {"name": "w"}, "spec": {"color": "red"}}, "default")
            await trio.sleep(120)
            nursery.cancel_scope.cancel()
            return before, [(obj.key, obj.parse()["kind"]) for obj in store.objects()]

    before, held = run_trio(main)
    assert before.lists == 0
    assert "404" in before.last_error
    assert held == [("default/w", "Widget")]


DEFINITION = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
        ],
    },
}


def test_a_field_that_the_server_does_not_select_by_ends_the_reflector(run_trio):
    async def main() -> None:
        async with open_both() as both:
            source = both.client.resource("v1", "configmaps").lister_watcher(fields="data.x=1")
            with pytest.raises(InvalidSelector, match="not a known field selector"):
                await Reflector(source, Store(), random=Random(5)).run()

    run_trio(main)


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def test_a_path_is_asked_for_in_another_form_and_watched_line_by_line(run_trio):
    async def main() -> None:
        async with open_both() as both:
            maps, path = both.client.resource("v1", "configmaps"), "/api/v1/namespaces/team/configmaps"
            made = await maps.create({"metadata": {"name": "a"}}, "team")
            table = await both.client.get_path(path, {"limit": 5}, accept=TABLE)
            assert (table["kind"], [row["cells"][0] for row in table["rows"]]) == ("Table", ["a"])
            revision = int(made["metadata"]["resourceVersion"])
            watch = both.client.lines_of(path, {"watch": True, "resourceVersion": revision}, accept=TABLE)
            async with watch as lines:
                await maps.create({"metadata": {"name": "b"}}, "team")
                event = await anext(aiter(lines))
                assert (event["type"], event["object"]["rows"][0]["cells"][0]) == ("ADDED", "b")
            with pytest.raises(APIError, match="invalid syntax"):
                async with both.client.lines_of(path, {"watch": True, "resourceVersion": "none"}):
                    pytest.fail("it was opened")

    run_trio(main)


def test_a_watch_that_breaks_off_is_told_as_the_servers_absence(run_trio):
    async def main() -> None:
        async with open_both() as both:
            with pytest.raises(ServiceUnavailable):
                async with both.client.lines_of("/api/v1/configmaps", {"watch": True}) as lines:
                    await trio.aclose_forcefully(both.streams[-1])
                    async for _ in lines:
                        pytest.fail("nothing happened")

    run_trio(main)
