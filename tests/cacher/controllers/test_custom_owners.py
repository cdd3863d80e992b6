"""Custom resources are owners, dependents and contents of namespaces like all others, from when they are defined."""

from __future__ import annotations

import pytest
import trio

from tests.cacher.controllers.live import Live, live
from tests.cacher.controllers.test_live import is_gone, owner_of
from tests.cacher.registry.widgets import DEFINITIONS, NAME, crd, widget


async def define(world: Live) -> None:
    await world.cluster.resource(*DEFINITIONS).create(crd())
    await trio.sleep(2)


@pytest.mark.slow
def test_a_custom_object_takes_along_what_it_owns_and_goes_with_its_owner(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            await define(world)
            root = await world.create("configmaps", "root")
            middle = await world["widgets"].create(
                widget("middle", meta={"ownerReferences": [owner_of(root)]}), "default"
            )
            await world.create("configmaps", "leaf", metadata={"ownerReferences": [owner_of(middle)]})
            await trio.sleep(5)
            assert await world.get("configmaps", "leaf") is not None
            await world["configmaps"].delete("root", "default", propagation_policy="Foreground")
            await world.until(lambda: is_gone(world, "configmaps", "root"))
            assert await world.get("widgets", "middle") is None
            assert await world.get("configmaps", "leaf") is None

    run_trio(main)


@pytest.mark.slow
def test_what_a_custom_object_owns_stays_while_nobody_serves_its_kind(run_trio):
    """Its definition is gone, and its objects with it: but who cannot be asked about is not taken for absent."""

    async def main() -> None:
        async with live(kubelets=None) as world:
            await define(world)
            owner = await world["widgets"].create(widget("w"), "default")
            await world.cluster.resource(*DEFINITIONS).delete(NAME)
            await trio.sleep(10)
            await world.create("configmaps", "kept", metadata={"ownerReferences": [owner_of(owner)]})
            await trio.sleep(60)
            assert await world.get("configmaps", "kept") is not None
            await define(world)
            await world.until(
                lambda: is_gone(world, "configmaps", "kept"), within_s=300
            )  # now it is known: it is absent

    run_trio(main)


@pytest.mark.slow
def test_custom_objects_of_a_namespace_go_with_it(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            await define(world)
            await world.create("namespaces", "team", None)
            await world["widgets"].create(widget("w"), "team")
            await world["namespaces"].delete("team")
            await world.until(lambda: is_gone(world, "namespaces", "team", None))
            assert await world.names("widgets", "team") == []

    run_trio(main)
