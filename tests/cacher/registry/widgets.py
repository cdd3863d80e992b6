"""A definition of widgets, and a registry that follows definitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio

from cacher import RESOURCES
from cacher.registry import Definitions, NotFound, Registry, ResourceDoor
from tests.cacher.registry.world import World, open_world

DEFINITIONS = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
GROUP = "example.com"
NAME = "widgets.example.com"
V1, V2 = f"{GROUP}/v1", f"{GROUP}/v2"
TEXT, INTEGER = {"type": "string"}, {"type": "integer"}


def version(
    name: str = "v1", *, spec: Any = None, status: Any = None, storage: bool = True, **more: Any
) -> dict[str, Any]:
    """A version whose objects have `spec` (a schema of properties; None: color and size) and `status`."""
    properties: dict[str, Any] = {
        "spec": {"type": "object", "properties": {"color": TEXT, "size": INTEGER} if spec is None else spec},
    }
    if status is not None:
        properties["status"] = {"type": "object", "properties": status}
    root = {"type": "object", "properties": properties, **more.pop("root", {})}
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": root}, **more}


def crd(*versions: dict[str, Any], plural: str = "widgets", scope: str = "Namespaced", **names: Any) -> dict[str, Any]:
    """A definition; of widgets, in version v1, where nothing is said."""
    kind = names.pop("kind", plural.removesuffix("s").capitalize())
    return {
        "apiVersion": DEFINITIONS[0],
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"plural": plural, "kind": kind, **names},
            "versions": list(versions) or [version()],
        },
    }


def widget(name: str = "a", api_version: str = V1, *, meta: Any = None, **members: Any) -> dict[str, Any]:
    """A widget of that name."""
    return {"apiVersion": api_version, "kind": "Widget", "metadata": {"name": name, **(meta or {})}, **members}


class Server:
    """A registry that follows definitions."""

    def __init__(self, world: World, registry: Registry, definitions: Definitions) -> None:
        self.world = world
        self.registry = registry
        self.definitions = definitions
        self.crds = registry.resource(*DEFINITIONS)

    async def define(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Create or replace a definition, and wait until it is served; the definition as it is then."""
        name = definition["metadata"]["name"]
        try:
            present = await self.crds.get(name)
        except NotFound:
            await self.crds.create(definition)
        else:
            meta = {**present["metadata"]}
            await self.crds.update({**present, "metadata": meta, "spec": {**present["spec"], **definition["spec"]}})
        await self.definitions.settled()
        return await self.crds.get(name)

    async def gone(self, name: str = NAME) -> None:
        """Wait until there is no such definition."""
        while True:
            try:
                await self.crds.get(name)
            except NotFound:
                return
            await trio.sleep(0.1)

    def widgets(self, api_version: str = V1) -> ResourceDoor:
        """The door to widgets."""
        return self.registry.resource(api_version, "widgets")


@asynccontextmanager
async def open_server(*, cached: bool = False, world: World | None = None) -> AsyncIterator[Server]:
    """A server; over the etcd of `world`, or over one of its own."""
    if world is None:
        async with open_world(cached=cached) as own, open_server(world=own) as server:
            yield server
        return
    storages = {info.prefix: await world.storage(info) for info in (RESOURCES[DEFINITIONS],)}
    registry = Registry(lambda info: storages[info.prefix], environment=world.environment, checks_namespaces=False)
    definitions = Definitions(registry, world.open_storage, random=Random(9))
    async with trio.open_nursery() as nursery:
        await nursery.start(definitions.run)
        yield Server(world, registry, definitions)
        nursery.cancel_scope.cancel()


def condition(definition: dict[str, Any], type_: str) -> dict[str, Any]:
    """A condition of a definition's status; empty where it has none."""
    found = (one for one in definition["status"].get("conditions") or [] if one["type"] == type_)
    return next(found, {})


async def stored(world: World) -> list[str]:
    """All keys that there are."""
    result = await world.etcd.range("/registry/", b"/registry0")
    return [kv.key.decode() for kv in result.kvs]
