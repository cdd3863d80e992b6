"""The scale of custom resources: its fields are where the definition says, and may be missing. Pure but for the store.

What is written is judged as the object is, not as a Scale: a negative number of replicas is an error of the object's own field.
Source: kubernetes/apiextensions-apiserver pkg/registry/customresource/etcd.go (ScaleREST, scaleUpdatedObjectInfo).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ._errors import BadRequest, NotFound
from ._meta import JSONObject, metadata, with_metadata
from ._rest import (
    Context,
    UpdatedObjectInfo,
    UpdateOptions,
    ValidateObject,
    ValidateObjectUpdate,
    accept,
    accept_update,
)
from ._scale import SCALE_KIND, ScaleStore
from .patch import fields, from_scale, to_scale

if TYPE_CHECKING:
    from ..storage import Preconditions
    from ._errors import GroupResource
    from ._store import RegistryStore
    from .schema import Definition, ScalePaths


class CustomScaleStore(ScaleStore):
    """The scales of a custom resource's objects.

    Args:
        definition: each version that has a scale may have its replicas elsewhere, and each may own them.
    """

    def __init__(self, store: RegistryStore, definition: Definition, paths: ScalePaths) -> None:
        super().__init__(store)
        self._paths = paths
        self._replicas = {
            one.api_version: None if one.scale is None else fields(*_members(one.scale.spec_replicas))
            for one in definition.versions.values()
        }

    async def get(self, context: Context, name: str, *, resource_version: str = "") -> JSONObject:
        """See Getter. Raises InternalError where the object has no replicas in its spec."""
        return self._paths.scale_of(await self._store.get(context, name, resource_version=resource_version))

    async def update(
        self,
        context: Context,
        name: str,
        info: UpdatedObjectInfo,
        *,
        validate_create: ValidateObject = accept,
        validate_update: ValidateObjectUpdate = accept_update,
        force_create: bool = False,
        options: UpdateOptions = UpdateOptions(),  # noqa: B008 - a frozen value
    ) -> tuple[JSONObject, bool]:
        """See Updater; admission sees Scales, `force_create` is not heeded, and nothing is ever created."""
        paths = self._paths

        def validate_scales(new: JSONObject, old: JSONObject) -> None:
            validate_update(paths.scale_to_change(new), paths.scale_to_change(old))

        scaled = _ScaledObject(self._store.resource, name, info, paths, self._replicas)
        obj, _ = await self._store.update(context, name, scaled, validate_update=validate_scales, options=options)
        return paths.scale_of(obj), False


class _ScaledObject:
    """Makes the new object of what `info` makes of its Scale."""

    def __init__(
        self,
        resource: GroupResource,
        name: str,
        info: UpdatedObjectInfo,
        paths: ScalePaths,
        replicas: Mapping[str, tuple[str, ...] | None],
    ) -> None:
        self._resource = resource
        self._name = name
        self._info = info
        self._paths = paths
        self._replicas = replicas

    @property
    def preconditions(self) -> Preconditions | None:
        return self._info.preconditions

    def updated_object(self, context: Context, old: JSONObject | None) -> JSONObject:
        if old is None:
            raise NotFound(self._resource, self._name)
        entries = metadata(old).get("managedFields") or []
        before = with_metadata(self._paths.scale_to_change(old), {"managedFields": to_scale(entries, self._replicas)})
        scale = self._info.updated_object(context, before)
        if scale.get("kind") != SCALE_KIND[1]:
            raise BadRequest(f"wrong object passed to Scale update: {scale.get('kind')}")
        managed = from_scale(
            entries, metadata(scale).get("managedFields") or [], self._replicas, api_version=old.get("apiVersion", "")
        )
        return with_metadata(self._paths.with_scale(old, scale), {"managedFields": managed})


def _members(path: str) -> list[str]:
    return path.removeprefix(".").split(".")
