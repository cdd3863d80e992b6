"""Subresources: one that shows and changes part of an object by GET, PUT and PATCH; and what those of another kind share.

Source: kubernetes pkg/registry/apps/deployment/storage/storage.go (StatusREST).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._errors import GroupResource, UnknownResource
from ._meta import JSONObject
from ._rest import (
    Context,
    UpdatedObjectInfo,
    UpdateOptions,
    ValidateObject,
    ValidateObjectUpdate,
    accept,
    accept_update,
)

if TYPE_CHECKING:
    from ._store import RegistryStore
    from ._strategy import UpdateStrategy


class Part:
    """A subresource whose bodies are of a kind of their own: a Scale, a Binding. Its verbs are its subclass's.

    Args:
        kind: apiVersion and kind of the bodies.
    """

    def __init__(self, store: RegistryStore, kind: tuple[str, str]) -> None:
        self._store = store
        self._kind = kind

    @property
    def resource(self) -> GroupResource:
        """The resource that it is part of."""
        return self._store.resource

    @property
    def namespaced(self) -> bool:
        """As the resource."""
        return self._store.namespaced

    @property
    def group_version_kind(self) -> tuple[str, str]:
        """See KindProvider."""
        return self._kind

    def new(self) -> JSONObject:
        """An empty body."""
        version, kind = self._kind
        return {"apiVersion": version, "kind": kind}

    def default(self, obj: JSONObject) -> JSONObject:
        """None of them has defaults."""
        return obj


class SubresourceStore:
    """The same objects as `store`'s, updated by other rules. Never creates."""

    def __init__(self, store: RegistryStore, strategy: UpdateStrategy) -> None:
        self._store = store.with_update_strategy(strategy)

    @property
    def resource(self) -> GroupResource:
        """The resource that it is part of."""
        return self._store.resource

    @property
    def namespaced(self) -> bool:
        """As the resource."""
        return self._store.namespaced

    def new(self) -> JSONObject:
        """An empty object of the resource."""
        return self._store.new()

    def default(self, obj: JSONObject) -> JSONObject:
        """As the resource."""
        return self._store.default(obj)

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """See ResetFieldsProvider."""
        return self._store.reset_fields

    def convert_to_table(self, objects: Sequence[JSONObject]) -> JSONObject:
        """As the resource."""
        return self._store.convert_to_table(objects)

    async def get(self, context: Context, name: str, *, resource_version: str = "") -> JSONObject:
        """See Getter."""
        return await self._store.get(context, name, resource_version=resource_version)

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
        """See Updater; `force_create` is not heeded."""
        return await self._store.update(
            context,
            name,
            info,
            validate_create=validate_create,
            validate_update=validate_update,
            options=options,
        )


class NoSubresource:
    """What is left of a subresource that a resource no longer has: every verb is answered by UnknownResource."""

    def __init__(self, resource: GroupResource, what: str) -> None:
        self.resource = resource
        self._what = what

    def new(self) -> JSONObject:
        """Nothing."""
        return {}

    def default(self, obj: JSONObject) -> JSONObject:
        """As it is."""
        return obj

    async def get(self, context: Context, name: str, *, resource_version: str = "") -> JSONObject:
        """See Getter. Raises UnknownResource."""
        raise UnknownResource(self._what)

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
        """See Updater. Raises UnknownResource."""
        raise UnknownResource(self._what)
