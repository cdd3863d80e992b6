"""Verbs of a registry in process, by one caller who waits for each: over a CacherStorage over the embedded etcd.

create   a body of 1 KB, through defaults, validation, managedFields, etcd
get      from the store, as without a resourceVersion
update   the whole object, one label changed
patch    a merge patch of one label
delete   without a body
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

import msgspec
import trio

from cacher import RESOURCES, CacherStorage, ResourceInfo
from cacher.registry import Environment, PatchType, Registry
from cacher.storage import Codec
from cacher.storage.etcd import EtcdStorage, open_embedded_etcd

OBJECTS = 2_000
BODY_BYTES = 1_000
NAMESPACE = "team-a"
NOW = "2026-01-01T00:00:00Z"
VERBS = ("create", "get", "update", "patch", "delete")


class Verbs(msgspec.Struct, frozen=True):
    """One resource whose verbs are measured."""

    group_version: str
    plural: str
    objects: int = OBJECTS

    @property
    def name(self) -> str:
        return f"verbs, {self.plural}"


class Rate(msgspec.Struct, frozen=True):
    """How many a second."""

    verb: str
    per_s: float


def verb_cases(*, quick: bool = False) -> Iterator[Verbs]:
    """The resources. `quick`: a tenth of the objects."""
    for group_version, plural in (("v1", "configmaps"), ("apps/v1", "deployments"), ("v1", "pods"), ("v1", "services")):
        yield Verbs(group_version, plural, OBJECTS // 10 if quick else OBJECTS)


def measure_verbs(case: Verbs, *, seed: int = 0) -> list[Rate]:
    """Every verb once over all objects, in a store of its own."""
    return trio.run(_measure, case, seed)


async def _measure(case: Verbs, seed: int) -> list[Rate]:
    random = Random(seed)
    info = RESOURCES[case.group_version, case.plural]
    environment = Environment(now=lambda: NOW, random=random)
    async with open_embedded_etcd(random=random) as etcd, trio.open_nursery() as nursery:
        codec = Codec(group_version=info.group_version, kind=info.kind, fields=info.fields, absent=dict(info.absent))
        prefix = info.prefix.rstrip("/").removeprefix("/registry")
        below = EtcdStorage(etcd, resource_prefix=prefix, resource=info.plural, codec=codec, random=random)
        storage = CacherStorage(below, random=random, indexed=info.indexed)
        await nursery.start(storage.run)
        registry = Registry(lambda _: storage, environment=environment, checks_namespaces=False)
        door = registry.resource(case.group_version, case.plural)
        names = [f"object-{number:06d}" for number in range(case.objects)]
        bodies = [body(info, name) for name in names]
        made: dict[str, dict[str, Any]] = {}

        async def create(at: int) -> None:
            made[names[at]] = await door.create(bodies[at], NAMESPACE, field_manager="bench")

        async def get(at: int) -> None:
            made[names[at]] = await door.get(names[at], NAMESPACE)

        async def update(at: int) -> None:
            obj = made[names[at]]
            obj["metadata"]["labels"] = {"step": "update"}
            await door.update(obj, NAMESPACE, field_manager="bench")

        async def patch(at: int) -> None:
            change = {"metadata": {"labels": {"step": "patch"}}}
            await door.patch(names[at], change, NAMESPACE, type=PatchType.MERGE, field_manager="bench")

        async def delete(at: int) -> None:
            await door.delete(names[at], NAMESPACE)

        rates = [
            await _rate(verb, call, case.objects)
            for verb, call in zip(VERBS, (create, get, update, patch, delete), strict=True)
        ]
        nursery.cancel_scope.cancel()
    return rates


async def _rate(verb: str, call: Callable[[int], Awaitable[None]], count: int) -> Rate:
    began = time.perf_counter()
    for at in range(count):
        await call(at)
    return Rate(verb, count / (time.perf_counter() - began))


def body(info: ResourceInfo, name: str) -> dict[str, Any]:
    """A new object of about 1 KB, as a client sends it."""
    labels = {"app": name}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "example.com/app:1"}]}}
    members: dict[str, dict[str, Any]] = {
        "ConfigMap": {"data": {}},
        "Deployment": {"spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pods}},
        "Pod": {"spec": pods["spec"]},
        "Service": {"spec": {"selector": labels, "ports": [{"port": 80}]}},
    }
    whole = {
        "apiVersion": info.group_version,
        "kind": info.kind,
        "metadata": {"name": name, "labels": labels, "annotations": {}},
        **members[info.kind],
    }
    padding = "x" * (BODY_BYTES - len(msgspec.json.encode(whole)) - len('"padding":""'))
    where = whole["data"] if info.kind == "ConfigMap" else whole["metadata"]["annotations"]
    where["padding"] = padding
    return whole
