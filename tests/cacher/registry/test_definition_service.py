"""What becomes of a definition: its names, its objects' doors, its changes under live watches, its end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from cacher import RESOURCES
from cacher.registry import (
    BuiltInSchemas,
    Definitions,
    MethodNotAllowed,
    NotFound,
    PatchType,
    RegistryStore,
    UnknownResource,
)
from cacher.storage import Unreachable, Update
from tests.cacher.registry.widgets import (
    DEFINITIONS,
    INTEGER,
    NAME,
    TEXT,
    V1,
    V2,
    condition,
    crd,
    open_server,
    stored,
    version,
    widget,
)
from tests.cacher.registry.world import open_world, registry_of, run
from watch import Event, Expired

MERGE = PatchType.MERGE
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
both = pytest.mark.parametrize("cached", [False, True])


async def drained(stream: Any) -> list[str]:
    """The types and names of what a watch still brings, until it ends."""
    found: list[str] = []
    while True:
        try:
            event = await stream.receive()
        except trio.EndOfChannel:
            return found
        found.append(f"{event.type} {event.object.name}")


# ---- names ------------------------------------------------------------------------------------------------------------


@both
def test_who_sees_a_definition_established_finds_its_objects_served(cached):
    async def main():
        async with open_server(cached=cached) as server:
            async with server.crds.watch(resource_version="0") as stream:
                await server.crds.create(crd())
                while True:
                    found = (await stream.receive()).object.parse()
                    if condition(found, "Established").get("status") == "True":
                        break
                assert server.widgets().info.kind == "Widget"
                await server.widgets().create(widget(), "team-a")

    run(main)


def test_names_and_establishment_are_written_to_the_status_one_after_the_other():
    async def main():
        async with open_server() as server:
            reasons = []
            async with server.crds.watch(resource_version="0") as stream:
                await server.define(crd(shortNames=["w"], categories=["all"]))
                for _ in range(3):
                    found = (await stream.receive()).object.parse()
                    reasons.append([one["reason"] for one in found["status"].get("conditions") or []])
            assert reasons == [[], ["NoConflicts", "Installing"], ["NoConflicts", "InitialNamesAccepted"]]
            found = await server.crds.get(NAME)
            assert found["status"]["acceptedNames"]["shortNames"] == ["w"]
            owners = {(one["manager"], one.get("subresource")) for one in found["metadata"]["managedFields"]}
            assert owners == {("unknown", None), ("kube-apiserver", "status")}
            store = server.widgets().storage
            assert isinstance(store, RegistryStore)
            assert (store.singular_name, store.short_names, store.categories) == ("widget", ("w",), ("all",))
            assert store.list_kind == "WidgetList"

    run(main)


def test_of_two_definitions_that_want_a_name_one_is_served_and_the_other_once_that_is_gone():
    async def main():
        async with open_server() as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.crds.create, crd(plural="gadgets", kind="Thing"))
                nursery.start_soon(server.crds.create, crd(plural="widgets", kind="Thing"))
            await server.definitions.settled()
            found = [await server.crds.get(f"{plural}.example.com") for plural in ("gadgets", "widgets")]
            accepted = [condition(one, "NamesAccepted")["status"] for one in found]
            assert sorted(accepted) == ["False", "True"]
            loser, winner = sorted(found, key=lambda one: condition(one, "NamesAccepted")["status"])
            assert condition(loser, "NamesAccepted")["reason"] == "ListKindConflict"
            with pytest.raises(UnknownResource):
                server.registry.resource(V1, loser["spec"]["names"]["plural"])
            await server.crds.delete(winner["metadata"]["name"])
            await server.gone(winner["metadata"]["name"])
            await server.definitions.settled()
            assert server.registry.resource(V1, loser["spec"]["names"]["plural"]).info.kind == "Thing"

    run(main)


def test_what_was_established_is_served_again_by_the_next_server():
    async def main():
        async with open_world() as world:
            async with open_server(world=world) as server:
                await server.define(crd())
                await server.widgets().create(widget(), "team-a")
                door = server.widgets()
            with pytest.raises(UnknownResource):
                await door.get("a", "team-a")
            with pytest.raises(UnknownResource):
                server.widgets()
            revision = world.etcd.revision
            async with open_server(world=world) as server:
                assert (await server.widgets().get("a", "team-a"))["kind"] == "Widget"
                assert world.etcd.revision == revision, "there was nothing to write"
            assert world.opened == []

    run(main)


def test_without_the_service_definitions_are_stored_and_not_served():
    async def main():
        async with open_world() as world:
            registry = await registry_of(world, RESOURCES[DEFINITIONS])
            await registry.resource(*DEFINITIONS).create(crd())
            await trio.sleep(60)
            with pytest.raises(UnknownResource):
                registry.resource(V1, "widgets")

    run(main)


def test_a_stored_definition_that_cannot_be_served_is_named_and_harms_no_other():
    async def main():
        async with open_server() as server:
            await server.define(crd(plural="gadgets"))
            bad = await server.define(crd())
            bad["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "strin"}}
            storage = server.world.storages["customresourcedefinitions"]
            await storage.delete(f"{storage.resource_prefix}/{NAME}")
            await server.definitions.settled()
            bad["metadata"].pop("resourceVersion")
            bad["metadata"]["uid"] = "another"
            await storage.create(f"{storage.resource_prefix}/{NAME}", bad)
            await server.definitions.settled()
            assert list(server.definitions.problems) == [NAME]
            with pytest.raises(UnknownResource):
                server.widgets()
            await server.registry.resource(V1, "gadgets").list()

    run(main)


# ---- changes under live watches -----------------------------------------------------------------------------------------


@both
def test_a_changed_definition_ends_watches_and_what_was_seen_is_gone_on_from(cached):
    async def main():
        async with open_server(cached=cached) as server:
            await server.define(crd())
            made = await server.widgets().create(widget(), "team-a")
            async with server.widgets().watch(resource_version=made["metadata"]["resourceVersion"]) as stream:
                await server.widgets().create(widget("b"), "team-a")
                assert (await stream.receive()).object.name == "b"
                await server.define(crd(version(spec={"color": {**TEXT, "default": "red"}})))
                assert await drained(stream) == []
            made = await server.widgets().create(widget("c"), "team-a")
            async with server.widgets().watch(
                resource_version=str(int(made["metadata"]["resourceVersion"]) - 1)
            ) as stream:
                assert (await stream.receive()).object.name == "c"
            with pytest.raises(UnknownResource):
                server.widgets(V2)

    run(main)


@both
def test_a_change_that_objects_do_not_notice_leaves_watches_alone(cached):
    async def main():
        async with open_server(cached=cached) as server:
            await server.define(crd())
            async with server.widgets().watch(resource_version="0") as stream:
                await server.crds.patch(NAME, {"metadata": {"labels": {"l": "1"}}}, type=MERGE)
                await server.definitions.settled()
                await trio.sleep(5)
                await server.widgets().create(widget(), "team-a")
                assert (await stream.receive()).object.name == "a"

    run(main)


@both
def test_reads_and_writes_follow_the_changed_schema(cached):
    async def main():
        async with open_server(cached=cached) as server:
            await server.define(crd())
            door = server.widgets()
            await door.create(widget(spec={"color": "red", "size": 3}), "team-a")
            await server.define(crd(version(spec={"color": TEXT, "weight": {**INTEGER, "default": 7}})))
            assert server.widgets() is door, "who holds a door goes on through it"
            for found in (await door.get("a", "team-a"), (await door.list()).objects[0].to_dict()):
                assert found["spec"] == {"color": "red", "weight": 7}
            async with door.watch(resource_version="0") as stream:
                assert (await stream.receive()).object.parse()["spec"] == {"color": "red", "weight": 7}
            made = await door.create(widget("b", spec={"size": 1}), "team-a")
            assert made["spec"] == {"weight": 7}

    run(main)


@both
def test_an_object_that_only_the_schema_changed_is_stored_anew_by_a_write_that_changes_nothing(cached):
    """That is how objects are migrated."""

    async def main():
        async with open_server(cached=cached) as server:
            await server.define(crd())
            made = await server.widgets().create(widget(spec={"color": "red"}), "team-a")
            await server.define(crd(version(spec={"color": TEXT, "size": {**INTEGER, "default": 7}})))
            found = await server.widgets().get("a", "team-a")
            assert found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
            once = await server.widgets().update(found)
            assert once["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]
            assert once["metadata"]["generation"] == 1, "to a reader nothing changed"
            twice = await server.widgets().update(once)
            assert twice == once

    run(main)


@both
def test_a_version_that_is_served_no_more_ends_its_watches_and_its_door(cached):
    async def main():
        async with open_server(cached=cached) as server:
            await server.define(crd(version(), version("v2", storage=False)))
            held = server.widgets(V2)
            async with AsyncExitStack() as stack:
                stream = await stack.enter_async_context(held.watch(resource_version="0"))
                await server.widgets().create(widget(), "team-a")
                assert (await stream.receive()).object.parse()["apiVersion"] == V2
                await server.define(crd(version(), version("v2", storage=False, served=False)))
                assert await drained(stream) == []
            with pytest.raises(UnknownResource):
                server.widgets(V2)
            with pytest.raises(UnknownResource):
                await held.get("a", "team-a")
            await server.define(crd(version(), version("v2", storage=False)))
            assert server.widgets(V2) is held, "a door that was kept leads there again"
            assert (await held.get("a", "team-a"))["apiVersion"] == V2
            await trio.sleep(1)
            assert sorted(server.world.opened) == [V1, V2]

    run(main)


def test_a_status_that_becomes_a_subresource_is_one_through_doors_that_are_held():
    async def main():
        async with open_server() as server:
            await server.define(crd(version(status={"phase": TEXT})))
            door = server.widgets()
            await door.create(widget(status={"phase": "A"}), "team-a")
            with pytest.raises(UnknownResource):
                door.subresource("status")
            await server.define(crd(version(status={"phase": TEXT}, subresources={"status": {}})))
            status = door.subresource("status")
            obj, _ = await door.patch("a", {"status": {"phase": "B"}}, "team-a", type=MERGE)
            assert obj["status"] == {"phase": "A"}
            await server.define(crd(version(status={"phase": TEXT, "n": INTEGER}, subresources={"status": {}})))
            obj, _ = await status.patch("a", {"status": {"n": 1}}, "team-a", type=MERGE)
            assert obj["status"] == {"phase": "A", "n": 1}
            await server.define(crd(version(status={"phase": TEXT})))
            for _ in range(2):
                with pytest.raises(UnknownResource):
                    await status.get("a", "team-a")
                with pytest.raises(UnknownResource):
                    await status.patch("a", {}, "team-a", type=MERGE)
            await server.define(crd(version(status={"phase": TEXT}, subresources={"status": {}})))
            assert (await status.get("a", "team-a"))["status"] == {"phase": "A"}

    run(main)


# ---- the end --------------------------------------------------------------------------------------------------------


@both
def test_a_deletion_takes_the_objects_then_ends_their_watches_then_the_definition(cached):
    async def main():
        async with open_server(cached=cached) as server:
            await server.define(crd())
            for name, namespace in (("a", "team-a"), ("b", "team-b"), ("c", "team-b")):
                await server.widgets().create(widget(name), namespace)
            revision = str(server.world.etcd.revision)
            async with server.widgets().watch(resource_version=revision) as stream:
                answer, is_gone = await server.crds.delete(NAME)
                assert not is_gone
                assert answer["metadata"]["finalizers"] == [FINALIZER]
                assert condition(answer, "Terminating")["reason"] == "InstanceDeletionPending"
                told = await drained(stream)
                assert sorted(told) == ["DELETED a", "DELETED b", "DELETED c"]
            await server.gone()
            with pytest.raises(UnknownResource):
                server.widgets()
            assert server.world.opened == []
            keys = [key for key in await stored(server.world) if key.startswith("/registry/example.com/")]
            assert keys == []

    run(main)


@both
def test_who_reads_late_sees_every_deletion_before_the_end(cached):
    async def main():
        async with open_server(cached=cached) as server:
            await server.define(crd())
            await server.widgets().create(widget("a"), "team-a")
            revision = str(server.world.etcd.revision)
            async with server.widgets().watch(resource_version=revision) as stream:
                await server.widgets().create(widget("b"), "team-a")
                await server.crds.delete(NAME)
                await server.gone()
                await trio.sleep(60)
                assert await drained(stream) == ["ADDED b", "DELETED a", "DELETED b"]

    run(main)


def test_objects_that_finalizers_hold_hold_the_definition_and_nothing_new_is_made_meanwhile():
    async def main():
        async with open_server() as server:
            await server.define(crd())
            door = server.widgets()
            await door.create(widget(meta={"finalizers": ["example.com/hold"]}), "team-a")
            await door.create(widget("b"), "team-a")
            await server.crds.delete(NAME)
            await trio.sleep(30)
            found = await server.crds.get(NAME)
            assert condition(found, "Terminating")["reason"] == "InstanceDeletionInProgress"
            assert [obj.name for obj in (await door.list()).objects] == ["a"]
            with pytest.raises(
                MethodNotAllowed, match="create not allowed while custom resource definition is terminating"
            ):
                await door.create(widget("c"), "team-a")
            with pytest.raises(MethodNotAllowed):
                await door.patch("c", widget("c"), "team-a", type=PatchType.APPLY, field_manager="m")
            revision = server.world.etcd.revision
            await trio.sleep(30)
            assert server.world.etcd.revision == revision, "waiting writes nothing"
            await door.patch("a", {"metadata": {"finalizers": None}}, "team-a", type=MERGE)
            await server.gone()

    run(main)


def test_a_definition_with_a_finalizer_of_somebody_else_is_served_no_more_and_stays_until_that_is_gone():
    async def main():
        async with open_server() as server:
            definition = crd()
            definition["metadata"]["finalizers"] = ["example.com/mine"]
            await server.define(definition)
            await server.crds.delete(NAME)
            await trio.sleep(10)
            found = await server.crds.get(NAME)
            assert found["metadata"]["finalizers"] == ["example.com/mine"]
            assert condition(found, "Terminating")["reason"] == "InstanceDeletionCompleted"
            with pytest.raises(UnknownResource):
                server.widgets()
            await server.crds.patch(NAME, {"metadata": {"finalizers": None}}, type=MERGE)
            await server.gone()

    run(main)


def test_a_deletion_goes_on_where_the_last_server_left_it():
    async def main():
        async with open_world() as world:
            async with open_server(world=world) as server:
                await server.define(crd())
                await server.widgets().create(widget(meta={"finalizers": ["example.com/hold"]}), "team-a")
                await server.crds.delete(NAME)
                await trio.sleep(3)
            async with open_server(world=world) as server:
                await server.widgets().patch("a", {"metadata": {"finalizers": None}}, "team-a", type=MERGE)
                await server.gone()

    run(main)


def test_a_definition_that_was_never_established_goes_without_its_objects():
    async def main():
        async with open_server() as server:
            await server.define(crd(plural="gadgets", kind="Thing"))
            await server.define(crd(kind="Thing"))
            seen: list[Event] = []
            async with server.crds.watch(resource_version=str(server.world.etcd.revision)) as stream:
                await server.crds.delete(NAME)
                await server.gone()
                while not seen or seen[-1].type != "DELETED":
                    seen.append(await stream.receive())
            last = seen[-1].object.parse()
            assert condition(last, "Terminating")["reason"] in ("InstanceDeletionPending", "NeverEstablished")

    run(main)


def test_a_door_is_good_again_once_the_definition_is_made_anew():
    async def main():
        async with open_server() as server:
            await server.define(crd())
            door = server.widgets()
            await door.create(widget(), "team-a")
            await server.crds.delete(NAME)
            await server.gone()
            with pytest.raises(UnknownResource):
                await door.get("a", "team-a")
            await server.define(crd(scope="Namespaced"))
            assert server.widgets() is door
            with pytest.raises(NotFound):
                await door.get("a", "team-a")

    run(main)


def test_a_create_that_was_under_way_when_the_definition_was_deleted_is_deleted_too(monkeypatch):
    async def main():
        async with open_server() as server:
            await server.define(crd())
            etcd = server.world.etcd
            txn, gate = etcd.txn, trio.Event()
            outcome: list[Any] = []

            async def slow(compares, success, failure=()):
                if any(b"/example.com/widgets/" in getattr(step, "key", b"") for step in success):
                    await gate.wait()
                return await txn(compares, success, failure)

            async def create():
                outcome.append(await server.widgets().create(widget(), "team-a"))

            monkeypatch.setattr(etcd, "txn", slow)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(create)
                await trio.testing.wait_all_tasks_blocked()
                await server.crds.delete(NAME)
                await trio.sleep(20)
                await server.crds.get(NAME)
                gate.set()
                await server.gone()
            assert len(outcome) == 1
            assert not [key for key in await stored(server.world) if key.startswith("/registry/example.com/")]

    run(main)


def test_a_failing_store_is_asked_again(monkeypatch):
    async def main():
        async with open_server() as server:
            etcd, failures = server.world.etcd, 3
            txn = etcd.txn

            async def failing(compares, success, failure=()):
                nonlocal failures
                whole = b"".join(getattr(step, "value", b"") for step in success)
                if b"NoConflicts" in whole and failures:
                    failures -= 1
                    raise Unreachable("/registry/x")
                return await txn(compares, success, failure)

            monkeypatch.setattr(etcd, "txn", failing)
            await server.define(crd())
            assert failures == 0
            server.widgets()

    run(main)


def test_a_service_needs_definitions_kept_by_a_registry_store(monkeypatch):
    async def main():
        async with open_server() as server:
            registry = server.registry
            door = registry.resource(*DEFINITIONS)
            monkeypatch.setattr(door, "storage", object())
            with pytest.raises(TypeError, match="keep them by a RegistryStore"):
                await Definitions(registry, server.world.open_storage, random=server.world.random).run()

    run(main)


def test_an_expired_history_does_not_stop_the_service():
    async def main():
        async with open_server() as server:
            await server.define(crd())
            await server.world.etcd.compact(server.world.etcd.revision)
            await server.define(crd(version(spec={"n": INTEGER})))
            assert (await server.widgets().create(widget(spec={"n": 1, "color": "x"}), "team-a"))["spec"] == {"n": 1}
            with pytest.raises(Expired):
                async with server.widgets().watch(resource_version="2") as stream:
                    await stream.receive()

    run(main)


def test_a_registry_that_leaves_managed_fields_to_clients_does_so_for_custom_resources():
    async def main():
        async with open_world() as world:
            schemas = BuiltInSchemas(keeps_managed_fields=False)
            registry = await registry_of(world, RESOURCES[DEFINITIONS], schemas=schemas)
            definitions = Definitions(registry, world.open_storage, random=world.random)
            await world.nursery.start(definitions.run)
            await registry.resource(*DEFINITIONS).create(crd())
            await definitions.settled()
            made = await registry.resource(V1, "widgets").create(widget(spec={"size": 1}), "team-a")
            assert "managedFields" not in made["metadata"]

    run(main)


def test_objects_that_cannot_be_deleted_are_told_in_the_status_and_tried_again_later():
    async def main():
        async with open_server() as server:
            await server.define(crd())
            await server.world.etcd.put("/registry/example.com/widgets/team-a/a", b"garbage")
            await server.crds.delete(NAME)
            await trio.sleep(5)
            failed = condition(await server.crds.get(NAME), "Terminating")
            assert failed["reason"] == "InstanceDeletionFailed"
            assert failed["message"].startswith("could not issue all deletes: ")
            await server.widgets().delete("a", "team-a", ignore_read_errors=True)
            await server.gone()

    run(main)


def test_the_deletion_of_a_definition_that_cannot_be_served_says_so():
    async def main():
        async with open_world() as world:
            async with open_server(world=world) as server:
                definition = await server.define(crd())
            definition["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "strin"}}
            storage = world.storages["customresourcedefinitions"]
            definition["metadata"].pop("resourceVersion")
            await storage.guaranteed_update(f"{storage.resource_prefix}/{NAME}", lambda found, meta: Update(definition))
            async with open_server(world=world) as server:
                assert list(server.definitions.problems) == [NAME]
                await server.crds.delete(NAME)
                await trio.sleep(5)
                failed = condition(await server.crds.get(NAME), "Terminating")
                assert (failed["reason"], "strin" in failed["message"]) == ("InstanceDeletionFailed", True)

    run(main)
