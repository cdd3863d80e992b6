"""An API server as a process sees it: a reflector.Client whose every call and stream goes over the world's network.

informers, controllers ─► RemoteClient ─ RemoteResource ─► _calls ─► network ─► ApiServer.serve ─► the cluster's own Resource
                                 └ RemoteSource (a ListerWatcher) ─► network ─► the cluster's own lister_watcher()
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from reflector import FieldsLike, JSONObject, LabelsLike
from watch import PatchType, Selector

from .. import ResourceInfo
from .._resources import find_resource
from ._calls import Calls
from ._connection import Life, Surroundings
from ._crowd import Crowd, Habits
from ._remote_source import RemoteSource


class RemoteClient:
    """See reflector.Client. `name`: the server that it talks to."""

    def __init__(self, world: Surroundings, life: Life) -> None:
        self._world = world
        self._life = life
        self._resources: dict[tuple[str, str], RemoteResource] = {}

    @property
    def name(self) -> str:
        """Which server this is."""
        return self._life.server

    def crowd(self, version: str, plural: str, habits: Sequence[Habits], *, random: Random) -> Crowd:
        """Light clients of a resource, one for each of `habits`."""
        return Crowd(self._world, self._life, find_resource(version, plural), habits, random=random)

    def resource(self, version: str, plural: str) -> RemoteResource:
        """The door to a resource. Raises ValueError where there can be none of that name."""
        known = self._resources.get((version, plural))
        if known is None:
            info = find_resource(version, plural)
            known = self._resources[version, plural] = RemoteResource(self._world, self._life, info)
        return known


class RemoteResource:
    """See reflector.ResourceClient. Made by `RemoteClient.resource`.

    Every call can also raise what a network adds: ConnectionError (refused; lost, and then nobody knows whether it was done)
    and trio.TooSlowError.
    """

    def __init__(self, world: Surroundings, life: Life, info: ResourceInfo) -> None:
        self.info = info
        self._calls = Calls(world, life, info)
        self._world = world
        self._life = life

    @property
    def group_version(self) -> str:
        """Such as "v1" or "apps/v1"."""
        return self.info.group_version

    @property
    def plural(self) -> str:
        """Such as "pods"."""
        return self.info.plural

    def lister_watcher(
        self, *, namespace: str | None = None, labels: LabelsLike = None, fields: FieldsLike = None
    ) -> RemoteSource:
        """What an informer mirrors the selected objects by. Raises watch.InvalidSelector."""
        selector = Selector.of(namespace=namespace, labels=labels, fields=fields)
        return RemoteSource(self._world, self._life, self.info, selector, (namespace, labels, fields))

    def subresource(self, name: str) -> RemotePart:
        """The door to a part of each object."""
        return RemotePart(self._calls, name)

    async def get(self, name: str, namespace: str | None = None) -> JSONObject:
        """See ResourceClient.get."""
        return await self._calls.of("get", name, namespace, lambda door: door.get(name, namespace))

    async def create(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """See ResourceClient.create."""
        name, inside = _names(obj, namespace)
        return await self._calls.of(
            "create", name, inside, lambda door: door.create(obj, namespace, field_manager=field_manager), obj=obj
        )

    async def update(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """See ResourceClient.update."""
        name, inside = _names(obj, namespace)
        return await self._calls.of(
            "update",
            name,
            inside,
            lambda door: door.update(obj, namespace, field_manager=field_manager),
            obj=obj,
            version=_version(obj),
        )

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
        force: bool | None = None,
        field_manager: str = "",
    ) -> JSONObject:
        """See ResourceClient.patch."""
        return await self._calls.of(
            "patch",
            name,
            namespace,
            lambda door: door.patch(name, patch, namespace, type=type, force=force, field_manager=field_manager),
            obj=patch if isinstance(patch, dict) else None,
        )

    async def delete(
        self,
        name: str,
        namespace: str | None = None,
        *,
        grace_period_s: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation_policy: str | None = None,
    ) -> bool:
        """See ResourceClient.delete."""
        return await self._calls.of(
            "delete",
            name,
            namespace,
            lambda door: door.delete(
                name,
                namespace,
                grace_period_s=grace_period_s,
                uid=uid,
                resource_version=resource_version,
                propagation_policy=propagation_policy,
            ),
            uid=uid or "",
            version=resource_version or "",
        )


class RemotePart:
    """See reflector.PartClient. Made by `RemoteResource.subresource`."""

    def __init__(self, calls: Calls, part: str) -> None:
        self._calls = calls
        self._part = part

    async def get(self, name: str, namespace: str | None = None) -> JSONObject:
        """See PartClient.get."""
        part = self._part
        return await self._calls.of(
            "get", name, namespace, lambda door: door.subresource(part).get(name, namespace), part
        )

    async def create(self, obj: JSONObject, namespace: str | None = None) -> JSONObject:
        """See PartClient.create."""
        part, (name, inside) = self._part, _names(obj, namespace)
        return await self._calls.of(
            "create", name, inside, lambda door: door.subresource(part).create(obj, namespace), part, obj=obj
        )

    async def update(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """See PartClient.update."""
        part, (name, inside) = self._part, _names(obj, namespace)
        return await self._calls.of(
            "update",
            name,
            inside,
            lambda door: door.subresource(part).update(obj, namespace, field_manager=field_manager),
            part,
            obj=obj,
            version=_version(obj),
        )

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
        force: bool | None = None,
        field_manager: str = "",
    ) -> JSONObject:
        """See PartClient.patch."""
        part = self._part
        return await self._calls.of(
            "patch",
            name,
            namespace,
            lambda door: door.subresource(part).patch(
                name, patch, namespace, type=type, force=force, field_manager=field_manager
            ),
            part,
            obj=patch if isinstance(patch, dict) else None,
        )


def _version(obj: JSONObject) -> str:
    """The version that an update of a whole object is limited to; "": none."""
    return (obj.get("metadata") or {}).get("resourceVersion") or ""


def _names(obj: JSONObject, namespace: str | None) -> tuple[str, str | None]:
    """Name and namespace of an object that is sent; "" for a name that is yet to be made."""
    metadata = obj.get("metadata") or {}
    return metadata.get("name") or "", namespace or metadata.get("namespace")
