"""A storage of pods over an embedded etcd, for the tests of EtcdStorage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio

from cacher.storage import Codec, ListOptions, Match
from cacher.storage.etcd import EmbeddedEtcd, Etcd, EtcdEventStream, EtcdStorage, RangeResult, open_embedded_etcd
from watch import Event

GARBAGE = b"\xffthis is no object"


def pod(
    name: str, *, node: str = "", uid: str = "", labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """A pod of namespace `ns`; the keyword arguments beyond the first go to its spec."""
    metadata: dict[str, Any] = {"name": name, "namespace": "ns"}
    metadata |= {"uid": uid} if uid else {}
    metadata |= {"labels": labels} if labels else {}
    return {"metadata": metadata, "spec": {**spec, **({"nodeName": node} if node else {})}}


def pod_storage(etcd: Any, **options: Any) -> EtcdStorage:
    """On an etcd, or on what a test puts in its place."""
    codec = Codec(group_version="v1", kind="Pod", fields=("spec.nodeName",))
    return EtcdStorage(etcd, **{"codec": codec, "random": Random(3), **options})


@asynccontextmanager
async def open_storage(**options: Any) -> AsyncIterator[tuple[EtcdStorage, EmbeddedEtcd]]:
    """The storage and the etcd below it, for at most two days: a test that waits for what never comes fails."""
    with trio.fail_after(2 * 24 * 3600):
        async with open_embedded_etcd(random=Random(1)) as etcd:
            yield pod_storage(etcd, **options), etcd


def exactly(revision: int, **options: Any) -> ListOptions:
    return ListOptions(resource_version=str(revision), match=Match.EXACT, **options)


async def create(storage: EtcdStorage, *names: str) -> list[int]:
    """Pods of these names; the revision of each."""
    return [(await storage.create(f"/pods/ns/{name}", pod(name))).revision for name in names]


async def take(stream: EtcdEventStream, count: int) -> list[Event]:
    """The next `count` events; at the latest after an hour."""
    with trio.fail_after(3600):
        return [await stream.receive() for _ in range(count)]


def shown(events: Sequence[Event]) -> list[tuple[str, str, int]]:
    """Type, name and revision of each."""
    return [(event.type.value, event.object.name, event.revision) for event in events]


class CountedEtcd:
    """An etcd that notes the limit and the revision of each range that is asked of it."""

    def __init__(self, etcd: Etcd) -> None:
        self.etcd = etcd
        self.ranges: list[tuple[int, int]] = []

    async def range(self, *args: Any, **options: Any) -> RangeResult:
        self.ranges.append((options.get("limit", 0), options.get("revision", 0)))
        return await self.etcd.range(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.etcd, name)
