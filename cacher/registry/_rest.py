"""RESTStorage: what a resource can do, one small protocol a verb.

    door, or server ─► RESTStorage: Getter, Creater, … ◄─ RegistryStore, the subresources ─► Storage.Interface

Which of these protocols a resource's storage satisfies is what it can be asked: a server offers a verb where the storage
has it, and answers 405 where it has not. `Context` says in whose request a call is made, options how.

Source: kubernetes/apiserver pkg/registry/rest/rest.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from watch import Object

from ..storage import EventStream, ListOptions, Preconditions
from ._errors import GroupResource
from ._meta import JSONObject

if TYPE_CHECKING:
    from random import Random


def _drop(warning: str) -> None:
    """Whoever asks without a place for warnings gets none."""


class Context(msgspec.Struct, frozen=True):
    """In whose request a call is made."""

    namespace: str = ""
    """That of the path; "" for what lives in none, and for all of them."""
    user: str = ""
    """Who asks, by name; authenticated above."""
    warn: Callable[[str], None] = _drop
    """Takes what the caller should know beside the answer."""


class CreateOptions(msgspec.Struct, frozen=True):
    """How to create."""

    dry_run: bool = False
    field_manager: str = ""


class UpdateOptions(msgspec.Struct, frozen=True):
    """How to update, or to patch."""

    dry_run: bool = False
    field_manager: str = ""

    def for_create(self) -> CreateOptions:
        """The same of an update that creates."""
        return CreateOptions(self.dry_run, self.field_manager)


class DeleteOptions(msgspec.Struct, frozen=True):
    """How to delete."""

    grace_period_s: int | None = None
    preconditions: Preconditions | None = None
    orphan_dependents: bool | None = None
    propagation_policy: str | None = None
    """`Orphan`, `Background` or `Foreground`, or what a client sent instead; None: the resource's default."""
    dry_run: bool = False
    ignore_read_errors: bool = False
    """Delete what is stored though it cannot be read, and only then."""


class UpdatedObjectInfo(Protocol):
    """What an update is to make of the present object."""

    @property
    def preconditions(self) -> Preconditions | None:
        """What must be true of it."""
        ...

    def updated_object(self, context: Context, old: JSONObject | None) -> JSONObject:
        """The new object, made of the present one (None: there is none). May be asked again after a conflict.

        Raises:
            APIError: it cannot be, or may not.
        """
        ...


ValidateObject = Callable[[JSONObject], None]
"""Raises an APIError to refuse an object that is to be created, or deleted: what admission is to a storage."""

ValidateObjectUpdate = Callable[[JSONObject, JSONObject], None]
"""The same of an update: the new object and the old one."""


def accept(obj: JSONObject) -> None:
    """Refuses nothing."""


def accept_update(new: JSONObject, old: JSONObject) -> None:
    """Refuses nothing."""


class Environment(msgspec.Struct, frozen=True):
    """What the registry draws from: the time, and chance."""

    now: Callable[[], str]
    """The time as objects carry it: RFC 3339, to the second."""
    random: Random
    """Makes uids and the ends of generated names."""


@runtime_checkable
class Storage(Protocol):
    """What every resource has."""

    @property
    def resource(self) -> GroupResource:
        """The plural that errors name."""
        ...

    def new(self) -> JSONObject:
        """An empty object: its apiVersion and kind."""
        ...

    def default(self, obj: JSONObject) -> JSONObject:
        """`obj`, which a client sent, with what it left out filled in."""
        ...


@runtime_checkable
class ResetFieldsProvider(Protocol):
    """Says which fields a write here cannot change."""

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """Their paths, such as `("status",)`."""
        ...


@runtime_checkable
class Scoper(Protocol):
    """Says where its objects live."""

    @property
    def namespaced(self) -> bool:
        """False: in no namespace."""
        ...


@runtime_checkable
class KindProvider(Protocol):
    """Its objects are of another kind, or of another group and version, than the resource that it belongs to: a Scale."""

    @property
    def group_version_kind(self) -> tuple[str, str]:
        """`("autoscaling/v1", "Scale")`."""
        ...


@runtime_checkable
class SingularNameProvider(Protocol):
    """Says what one object is called."""

    @property
    def singular_name(self) -> str:
        """`deployment`."""
        ...


@runtime_checkable
class ShortNamesProvider(Protocol):
    """Has short names for the command line."""

    @property
    def short_names(self) -> Sequence[str]:
        """`["deploy"]`."""
        ...


@runtime_checkable
class CategoriesProvider(Protocol):
    """Belongs to groups of resources that are asked for together."""

    @property
    def categories(self) -> Sequence[str]:
        """`["all"]`."""
        ...


@runtime_checkable
class StorageVersionProvider(Protocol):
    """Says in which version its objects are stored, where that may be another than they are served in."""

    @property
    def storage_version(self) -> str:
        """`v1`."""
        ...


@runtime_checkable
class ListKindProvider(Protocol):
    """Says what many of its objects are together, where that is not their kind with `List` at its end."""

    @property
    def list_kind(self) -> str:
        """`WidgetList`."""
        ...


@runtime_checkable
class TableConvertor(Protocol):
    """Shows objects as rows."""

    def convert_to_table(self, objects: Sequence[JSONObject]) -> JSONObject:
        """A metav1.Table: `columnDefinitions` and `rows`, without the list's metadata."""
        ...


@runtime_checkable
class Getter(Protocol):
    """GET of one object."""

    async def get(self, context: Context, name: str, *, resource_version: str = "") -> JSONObject:
        """The object, not older than `resource_version` ("": than the call; "0": any).

        Raises:
            NotFound, and what a storage can answer.
        """
        ...


class ObjectPage(msgspec.Struct, frozen=True):
    """Objects of a list in key order, as they were at `revision`."""

    objects: tuple[Object, ...]
    revision: int
    continue_token: str = ""
    remaining: int | None = None

    def to_list(self, api_version: str, kind: str, *, with_types: bool = False, list_kind: str = "") -> JSONObject:
        """The list as the API shows it.

        Args:
            with_types: as of custom resources: items say what they are, and `continue` is there though it be "".
            list_kind: what the list is; "": the kind with `List` at its end.
        """
        meta: dict[str, Any] = {"resourceVersion": str(self.revision)}
        if self.continue_token or with_types:
            meta["continue"] = self.continue_token
        if self.remaining is not None:
            meta["remainingItemCount"] = self.remaining
        items = [obj.to_dict() for obj in self.objects]
        if not with_types:
            items = [
                {name: value for name, value in item.items() if name not in ("apiVersion", "kind")} for item in items
            ]
        return {"apiVersion": api_version, "kind": list_kind or f"{kind}List", "metadata": meta, "items": items}


@runtime_checkable
class Lister(Protocol):
    """GET of many."""

    async def list(self, context: Context, options: ListOptions) -> ObjectPage:
        """The objects of the context's namespace, or of all, that the options ask for."""
        ...


@runtime_checkable
class Creater(Protocol):
    """POST."""

    async def create(
        self,
        context: Context,
        obj: JSONObject,
        *,
        validate: ValidateObject = accept,
        options: CreateOptions = CreateOptions(),  # noqa: B008 - a frozen value
    ) -> JSONObject:
        """The object as it was stored."""
        ...


@runtime_checkable
class NamedCreater(Protocol):
    """POST below an object: a binding, an eviction, a rollback."""

    async def create_named(
        self,
        context: Context,
        name: str,
        obj: JSONObject,
        *,
        validate: ValidateObject = accept,
        options: CreateOptions = CreateOptions(),  # noqa: B008 - a frozen value
    ) -> JSONObject:
        """What came of it."""
        ...


@runtime_checkable
class Updater(Protocol):
    """PUT; with a Getter it is a Patcher too."""

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
        """The object as it was stored, and whether it is new. `force_create`: create it where the resource would not."""
        ...


@runtime_checkable
class Patcher(Getter, Updater, Protocol):
    """PATCH: an update whose new object is made of the present one."""


@runtime_checkable
class GracefulDeleter(Protocol):
    """DELETE of one object."""

    async def delete(
        self,
        context: Context,
        name: str,
        *,
        validate: ValidateObject = accept,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008 - a frozen value
    ) -> tuple[JSONObject, bool]:
        """What is answered (the object, or a Status), and whether the object is gone at once."""
        ...


@runtime_checkable
class CollectionDeleter(Protocol):
    """DELETE of many."""

    async def delete_collection(
        self,
        context: Context,
        list_options: ListOptions,
        *,
        validate: ValidateObject = accept,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008 - a frozen value
    ) -> ObjectPage:
        """What was listed, and is now deleted, or held by finalizers."""
        ...


@runtime_checkable
class Watcher(Protocol):
    """WATCH."""

    def watch(self, context: Context, options: ListOptions) -> AbstractAsyncContextManager[EventStream]:
        """What happens to the objects that the options ask for."""
        ...


@runtime_checkable
class StandardStorage(
    Getter, Lister, Creater, Updater, GracefulDeleter, CollectionDeleter, Watcher, Storage, Scoper, Protocol
):
    """A whole resource."""
