"""What a controller needs of an API, wherever that is: in this process, on a watchcache server, or a real kube-apiserver.

    Client ─ resource("apps/v1", "deployments") ─► ResourceClient: verbs that write, and a ListerWatcher to mirror it by

Nothing in this package or in a controller written on it asks which of these it talks to. Objects that are written are JSON data;
those that are mirrored are `watch.Object`s. Every verb raises `watch.APIError`, of the class that says who must act.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from watch import FieldSelector, LabelSelector, PatchType

from ._lister_watcher import ListerWatcher

JSONObject = dict[str, Any]
LabelsLike = str | LabelSelector | Mapping[str, str] | None
FieldsLike = str | FieldSelector | Mapping[str, str] | None


class PartClient(Protocol):
    """A subresource: part of each object, with rules of its own. What is handed in is not changed."""

    async def get(self, name: str, namespace: str | None = None) -> JSONObject:
        """The part as it is now. Raises NotFound."""
        ...

    async def create(self, obj: JSONObject, namespace: str | None = None) -> JSONObject:
        """What came of it: of `binding` and `eviction`, whose names are in `obj`."""
        ...

    async def update(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """The object (of a scale, the scale) as it was stored."""
        ...

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
        """The object as it was stored with the patch applied."""
        ...


class ResourceClient(Protocol):
    """One resource. What is handed in is not changed."""

    @property
    def group_version(self) -> str:
        """Such as "v1" or "apps/v1"."""
        ...

    @property
    def plural(self) -> str:
        """Such as "pods"."""
        ...

    def lister_watcher(
        self, *, namespace: str | None = None, labels: LabelsLike = None, fields: FieldsLike = None
    ) -> ListerWatcher:
        """What a Reflector mirrors the selected objects by.

        Raises:
            InvalidSelector: correct the text where the message points.
        """
        ...

    def subresource(self, name: str) -> PartClient:
        """The door to a part of each object: `status`, `scale`, `binding`, `eviction`."""
        ...

    async def get(self, name: str, namespace: str | None = None) -> JSONObject:
        """The object as it is now, and not as a cache has it. Raises NotFound."""
        ...

    async def create(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """The new object as it was stored. Raises AlreadyExists, Invalid, …"""
        ...

    async def update(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """The object as it was stored; `obj` names the revision that it replaces. Raises Conflict, NotFound, Invalid, …"""
        ...

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
        """The object as it was stored with the patch applied."""
        ...

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
        """Whether it is gone, and not held by finalizers or given time to end. `uid` and `resource_version`: only this one."""
        ...


class Client(Protocol):
    """An API with its resources."""

    @property
    def name(self) -> str:
        """Which server this is, for those who read what a controller did."""
        ...

    def resource(self, version: str, plural: str) -> ResourceClient:
        """The door to a resource such as ("v1", "pods")."""
        ...
