"""Writes to exactly what was read, over a cluster: what a store refuses when that is no longer what is there."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

import cacher
from reflector import controller_reference, delete_exactly, patch_exactly, update_exactly
from tests.reflector.controlled import made
from watch import Conflict, Object, PatchType


def run(async_fn):
    async def main():
        async with cacher.open_cluster(random=Random(1), epoch_s=0, checks_namespaces=False) as cluster:
            await async_fn(cluster, cluster.resource("v1", "configmaps"))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def config(name="a", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def both_sights(cluster, maps) -> list[Object | dict]:
    """The same object as a verb answers it, and as a copy has it."""
    answered = await maps.get("a", "shop")
    return [answered, await maps.find("a", "shop")]


WRITES = [
    lambda maps, seen: update_exactly(maps, seen, config(x="2")),
    lambda maps, seen: patch_exactly(maps, seen, {"data": {"x": "2"}}),
    lambda maps, seen: patch_exactly(maps, seen, {"data": {"x": "2"}}, type=PatchType.STRATEGIC),
    delete_exactly,
]


@pytest.mark.parametrize("sight", [0, 1])
@pytest.mark.parametrize("write", WRITES)
def test_what_was_seen_and_is_still_there_is_written(write, sight):
    async def main(cluster, maps):
        await maps.create(config(x="1"), "shop")
        seen = (await both_sights(cluster, maps))[sight]
        await write(maps, seen)
        found = await maps.find("a", "shop")
        assert found is None or found.parse()["data"] == {"x": "2"}

    run(main)


@pytest.mark.parametrize("sight", [0, 1])
@pytest.mark.parametrize("write", WRITES)
def test_what_has_changed_since_it_was_seen_is_left_alone(write, sight):
    async def main(cluster, maps):
        await maps.create(config(x="1"), "shop")
        seen = (await both_sights(cluster, maps))[sight]
        await maps.patch("a", {"data": {"x": "another's"}}, "shop")
        with pytest.raises(Conflict):
            await write(maps, seen)
        assert (await maps.get("a", "shop"))["data"] == {"x": "another's"}

    run(main)


@pytest.mark.parametrize("sight", [0, 1])
@pytest.mark.parametrize("write", [*WRITES, lambda maps, seen: delete_exactly(maps, seen, any_version=True)])
def test_another_object_of_the_name_is_left_alone(write, sight):
    async def main(cluster, maps):
        await maps.create(config(x="1"), "shop")
        seen = (await both_sights(cluster, maps))[sight]
        await maps.delete("a", "shop")
        await maps.create(config(x="another"), "shop")
        with pytest.raises(Conflict):
            await write(maps, seen)
        assert (await maps.get("a", "shop"))["data"] == {"x": "another"}

    run(main)


def test_an_object_can_be_deleted_in_whatever_version_it_is():
    async def main(cluster, maps):
        seen = await maps.create(config(x="1"), "shop")
        await maps.patch("a", {"data": {"x": "2"}}, "shop")
        assert await delete_exactly(maps, seen, any_version=True)
        assert await maps.find("a", "shop") is None

    run(main)


def test_what_is_handed_in_is_not_changed():
    async def main(cluster, maps):
        seen = await maps.create(config(x="1"), "shop")
        changed, patch = config(x="2"), {"data": {"x": "3"}, "metadata": {"labels": {"a": "b"}}}
        stored = await update_exactly(maps, seen, changed)
        await patch_exactly(maps, stored, patch)
        assert changed == config(x="2")
        assert patch == {"data": {"x": "3"}, "metadata": {"labels": {"a": "b"}}}

    run(main)


@pytest.mark.parametrize("missing", ["uid", "resourceVersion", "name"])
def test_what_was_not_read_cannot_be_written_exactly(missing):
    async def main(cluster, maps):
        seen = await maps.create(config(x="1"), "shop")
        del seen["metadata"][missing]
        with pytest.raises(ValueError, match="read it before it is written"):
            await delete_exactly(maps, seen)

    run(main)


def test_an_update_of_another_name_and_a_json_patch_are_refused_with_what_to_do():
    async def main(cluster, maps):
        seen = await maps.create(config(x="1"), "shop")
        with pytest.raises(ValueError, match="hand in what was seen"):
            await update_exactly(maps, seen, config("b"))
        with pytest.raises(ValueError, match="`test` operations"):
            await patch_exactly(maps, seen, {}, type=PatchType.JSON)

    run(main)


def test_a_controller_reference_names_its_owner_and_makes_it_found():
    owner = made("web", uid="u7")
    reference = controller_reference(owner, "apps/v1", "ReplicaSet")
    assert reference == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "web",
        "uid": "u7",
        "controller": True,
        "blockOwnerDeletion": True,
    }
