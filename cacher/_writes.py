"""What a Resource can do beside reading from its cache: the API's verbs, with its rules and in its errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from watch import PatchType

from ._subresource import Subresource
from .registry import FieldsLike, JSONObject, LabelsLike, ObjectPage, ResourceDoor, UnknownResource, Warn


class Writes:
    """The verbs of the API on one resource. Objects are JSON data; what is handed in is not changed.

    All raise cacher.registry.APIError, of the class that says who must act: NotFound, Conflict, Invalid, and so on. A custom
    resource may be defined, and go, while this is held: what has just been defined is waited for.

    Args:
        find: the resource's door as it is now. Raises UnknownResource.
        settle: returns once definitions that are stored are served.
    """

    def __init__(self, find: Callable[[], ResourceDoor], settle: Callable[[], Awaitable[None]]) -> None:
        self._find = find
        self._settle = settle

    @property
    def api(self) -> ResourceDoor:
        """All verbs with all of their options, lists and watches in the API's words among them.

        Raises:
            UnknownResource: nobody has defined it, or what defines it is yet to be served: `await` a verb first, or `ready`.
        """
        return self._find()

    async def _door(self) -> ResourceDoor:
        try:
            return self._find()
        except UnknownResource:
            await self._settle()
            return self._find()

    def subresource(self, name: str) -> Subresource:
        """The door to a part of each object: `status`, `scale`, `binding`, `eviction`.

        Raises:
            UnknownResource: there is none of that name.
        """
        return Subresource(self._find().subresource(name))

    async def get(self, name: str, namespace: str | None = None, *, resource_version: str = "") -> JSONObject:
        """The object as it is now; see ResourceDoor.get. Raises NotFound."""
        return await (await self._door()).get(name, namespace, resource_version=resource_version)

    async def create(
        self,
        obj: JSONObject,
        namespace: str | None = None,
        *,
        dry_run: bool = False,
        field_manager: str = "",
        field_validation: str = "",
        warn: Warn = None,
    ) -> JSONObject:
        """The new object as it was stored; see ResourceDoor.create."""
        return await (await self._door()).create(
            obj,
            namespace,
            dry_run=dry_run,
            field_manager=field_manager,
            field_validation=field_validation,
            warn=warn,
        )

    async def update(
        self,
        obj: JSONObject,
        namespace: str | None = None,
        *,
        dry_run: bool = False,
        field_manager: str = "",
        field_validation: str = "",
        warn: Warn = None,
    ) -> JSONObject:
        """The object as it was stored in place of the present one; see ResourceDoor.update."""
        return await (await self._door()).update(
            obj,
            namespace,
            dry_run=dry_run,
            field_manager=field_manager,
            field_validation=field_validation,
            warn=warn,
        )

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
        force: bool | None = None,
        dry_run: bool = False,
        field_manager: str = "",
        field_validation: str = "",
        warn: Warn = None,
    ) -> JSONObject:
        """The object as it was stored with the patch applied; see ResourceDoor.patch."""
        patched, _ = await (await self._door()).patch(
            name,
            patch,
            namespace,
            type=type,
            force=force,
            dry_run=dry_run,
            field_manager=field_manager,
            field_validation=field_validation,
            warn=warn,
        )
        return patched

    async def delete(
        self,
        name: str,
        namespace: str | None = None,
        *,
        grace_period_s: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation_policy: str | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Whether the object is gone, and not held by finalizers or given time to end; see ResourceDoor.delete."""
        _, is_gone = await (await self._door()).delete(
            name,
            namespace,
            grace_period_s=grace_period_s,
            uid=uid,
            resource_version=resource_version,
            propagation_policy=propagation_policy,
            dry_run=dry_run,
        )
        return is_gone

    async def delete_collection(
        self,
        namespace: str | None = None,
        *,
        labels: LabelsLike = None,
        fields: FieldsLike = None,
        grace_period_s: int | None = None,
        propagation_policy: str | None = None,
        dry_run: bool = False,
    ) -> ObjectPage:
        """What was there of the selected objects; see ResourceDoor.delete_collection."""
        return await (await self._door()).delete_collection(
            namespace,
            labels=labels,
            fields=fields,
            grace_period_s=grace_period_s,
            propagation_policy=propagation_policy,
            dry_run=dry_run,
        )
