"""A registry over an embedded etcd, straight or through a cache, with a clock that stands at an hour of the tests' own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

import trio
import trio.testing

from cacher import RESOURCES, CacherStorage, ResourceInfo
from cacher.registry import ConfigMapStrategy, Context, Environment, Registry, RegistryStore, Strategy
from cacher.storage import Codec, Interface
from cacher.storage.etcd import EmbeddedEtcd, EtcdStorage, open_embedded_etcd

EPOCH = 1_700_000_000
"""2023-11-14T22:13:20Z: what the virtual clock's 0 is."""
TEAM = Context("team-a")


def run(main: Callable[[], Awaitable[None]]) -> None:
    """To the end of `main`, on a virtual clock that starts at 0."""
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class World:
    """One etcd, and storages over it; `environment` is what its registries draw from."""

    def __init__(self, etcd: EmbeddedEtcd, nursery: trio.Nursery, *, cached: bool) -> None:
        self.etcd = etcd
        self.nursery = nursery
        self.cached = cached
        self.random = Random(7)
        self.environment = Environment(now=now, random=Random(8))
        self.storages: dict[str, EtcdStorage] = {}
        self.opened: list[str] = []
        """The versions of custom resources whose storages are open."""

    async def storage(self, info: ResourceInfo) -> Interface:
        """A storage of the resource, ready to be read."""
        codec = Codec(
            group_version=info.group_version,
            kind=info.kind,
            fields=info.fields,
            absent=dict(info.absent),
            read_from=dict(info.read_from),
        )
        below = self.storages[info.plural] = self.below(info, codec)
        if not self.cached:
            return below
        storage = CacherStorage(below, random=self.random, indexed=info.indexed)
        await self.nursery.start(storage.run)
        return storage

    def below(self, info: ResourceInfo, codec: Codec) -> EtcdStorage:
        """A storage without a cache."""
        prefix = info.prefix.rstrip("/").removeprefix("/registry")
        return EtcdStorage(self.etcd, resource_prefix=prefix, resource=info.plural, codec=codec, random=self.random)

    @asynccontextmanager
    async def open_storage(self, info: ResourceInfo, codec: Codec) -> AsyncIterator[Interface]:
        """A storage of a custom resource, as long as it is open."""
        below = self.below(info, codec)
        self.opened.append(info.group_version)
        try:
            if not self.cached:
                yield below
                return
            storage = CacherStorage(below, random=self.random)
            async with trio.open_nursery() as nursery:
                await nursery.start(storage.run)
                yield storage
                nursery.cancel_scope.cancel()
        finally:
            self.opened.remove(info.group_version)


def now() -> str:
    """The virtual clock's time as objects carry it."""
    return datetime.fromtimestamp(EPOCH + trio.current_time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@asynccontextmanager
async def open_world(*, cached: bool = False) -> AsyncIterator[World]:
    """A world of its own."""
    async with open_embedded_etcd(random=Random(6)) as etcd, trio.open_nursery() as nursery:
        yield World(etcd, nursery, cached=cached)
        nursery.cancel_scope.cancel()


def configmap(name: str = "a", **members: Any) -> dict[str, Any]:
    """A config map of that name; `meta` is more metadata."""
    meta = members.pop("meta", {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, **members}


def deployment(name: str = "web", *, replicas: int | None = None, **members: Any) -> dict[str, Any]:
    """A small deployment of that name."""
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "example.com/app:1"}]},
        },
        **({} if replicas is None else {"replicas": replicas}),
        **members.pop("spec", {}),
    }
    meta = members.pop("meta", {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, **meta},
        "spec": spec,
        **members,
    }


CONFIGMAPS = RESOURCES["v1", "configmaps"]
DEPLOYMENTS = RESOURCES["apps/v1", "deployments"]


async def configmaps(world: World, strategy: Strategy | None = None, **options: Any) -> RegistryStore:
    """A store of config maps; by their own rules, where no strategy is given."""
    storage = await world.storage(CONFIGMAPS)
    return RegistryStore(storage, CONFIGMAPS, strategy or ConfigMapStrategy(), environment=world.environment, **options)


async def registry_of(world: World, *infos: ResourceInfo, **options: Any) -> Registry:
    """A registry over storages of these resources, without a check of namespaces."""
    storages = {info.prefix: await world.storage(info) for info in infos}
    options.setdefault("checks_namespaces", False)
    return Registry(lambda info: storages[info.prefix], environment=world.environment, **options)
