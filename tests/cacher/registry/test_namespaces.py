"""Namespaces: a deletion only begins, and ends with the last finalizer of the spec."""

from __future__ import annotations

import pytest

from cacher import RESOURCES
from cacher.registry import APIError, Registry
from tests.cacher.registry.world import configmap, open_world, registry_of, run

NAMESPACES = RESOURCES["v1", "namespaces"]
CONFIGMAPS = RESOURCES["v1", "configmaps"]


async def of_namespaces(world) -> Registry:
    return await registry_of(world, NAMESPACES, CONFIGMAPS, checks_namespaces=True)


def test_a_namespace_is_active_and_holds_its_contents():
    async def main():
        async with open_world() as world:
            door = (await of_namespaces(world)).resource("v1", "namespaces")
            made = await door.create({"metadata": {"name": "a"}, "status": {"phase": "Terminating"}})
            assert (made["spec"], made["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
            assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}
            made = await door.create({"metadata": {"generateName": "b-"}, "spec": {"finalizers": ["example.com/f"]}})
            assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": made["metadata"]["name"]}
            assert made["spec"]["finalizers"] == ["example.com/f", "kubernetes"]

    run(main)


def test_a_namespace_goes_when_its_last_finalizer_has_gone():
    async def main():
        async with open_world() as world:
            registry = await of_namespaces(world)
            door = registry.resource("v1", "namespaces")
            await door.create({"metadata": {"name": "a"}})
            await registry.resource("v1", "configmaps").create(configmap(), "a")
            answer, is_gone = await door.delete("a")
            assert (answer["status"]["phase"], is_gone) == ("Terminating", False)
            assert answer["metadata"]["deletionTimestamp"]
            # Again: the same answer, and nothing is written.
            before = world.etcd.revision
            assert await door.delete("a") == (answer, False)
            assert world.etcd.revision == before
            with pytest.raises(APIError, match="because it is being terminated") as caught:
                await registry.resource("v1", "configmaps").create(configmap("b"), "a")
            assert caught.value.code == 403
            # What holds it goes; and it with it.
            part = door.subresource("finalize")
            await part.update({**answer, "spec": {"finalizers": []}})
            with pytest.raises(APIError) as caught:
                await door.get("a")
            assert caught.value.code == 404

    run(main)


def test_finalizers_of_a_namespace_that_stays_are_only_written():
    async def main():
        async with open_world() as world:
            door = (await of_namespaces(world)).resource("v1", "namespaces")
            made = await door.create({"metadata": {"name": "a"}})
            answer = await door.subresource("finalize").update({**made, "spec": {"finalizers": []}})
            assert not answer["spec"].get("finalizers")
            assert (await door.get("a"))["status"] == {"phase": "Active"}
            # Nothing holds it: a deletion is the end.
            _, is_gone = await door.delete("a")
            assert not is_gone, "the first deletion marks it"
            _, is_gone = await door.delete("a")
            assert is_gone
            with pytest.raises(APIError, match="not found"):
                await door.get("a")

    run(main)


def test_an_update_changes_neither_finalizers_nor_status_and_a_status_is_that_of_the_deletion():
    async def main():
        async with open_world() as world:
            door = (await of_namespaces(world)).resource("v1", "namespaces")
            made = await door.create({"metadata": {"name": "a"}})
            changed = await door.update({**made, "spec": {"finalizers": []}, "status": {"phase": "Terminating"}})
            assert (changed["spec"], changed["status"]) == (made["spec"], made["status"])
            with pytest.raises(APIError) as caught:
                await door.subresource("status").update({**changed, "status": {"phase": "Terminating"}})
            assert caught.value.message == (
                'Namespace "a" is invalid: status.Phase: Invalid value: "Terminating": '
                "may only be 'Active' if `deletionTimestamp` is empty"
            )

    run(main)


def test_a_deletion_that_is_only_tried_or_meant_for_another_marks_nothing():
    async def main():
        async with open_world() as world:
            door = (await of_namespaces(world)).resource("v1", "namespaces")
            await door.create({"metadata": {"name": "a"}})
            before = world.etcd.revision
            answer, _ = await door.delete("a", dry_run=True)
            assert answer["status"]["phase"] == "Terminating"
            with pytest.raises(APIError, match="Precondition failed: UID in precondition: other") as caught:
                await door.delete("a", uid="other")
            assert caught.value.code == 409
            assert world.etcd.revision == before

    run(main)


def test_namespaces_are_not_deleted_together_and_finalize_takes_only_a_put():
    async def main():
        async with open_world() as world:
            door = (await of_namespaces(world)).resource("v1", "namespaces")
            await door.create({"metadata": {"name": "a"}})
            with pytest.raises(APIError) as caught:
                await door.delete_collection()
            assert caught.value.code == 405
            with pytest.raises(APIError) as caught:
                await door.subresource("finalize").get("a")
            assert caught.value.code == 405

    run(main)


@pytest.mark.parametrize(
    ("finalizer", "why"),
    [
        ("plain", "name is neither a standard finalizer name nor is it fully qualified"),
        ("a/b/c", "a qualified name must consist of"),
    ],
)
def test_a_finalizer_of_the_spec_is_a_qualified_name(finalizer, why):
    async def main():
        async with open_world() as world:
            door = (await of_namespaces(world)).resource("v1", "namespaces")
            with pytest.raises(APIError, match=why) as caught:
                await door.create({"metadata": {"name": "a"}, "spec": {"finalizers": [finalizer]}})
            assert caught.value.code == 422

    run(main)
