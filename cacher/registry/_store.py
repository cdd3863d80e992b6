"""RegistryStore: one resource's objects over a Storage.Interface, by the rules that all resources share.

    RESTStorage's verbs ─► RegistryStore ─ strategy, hooks ─► Storage.Interface
    create, create again under another name    _store_create        before a create: _before_create
    update, create on update                   _store_update        before an update: _before_update
    delete, delete_collection                  _store_delete, _store_delete_collection     before a deletion: _deletion
    get, list, watch                           here, _selection

Objects go in and come out as JSON data, lists and events as `watch.Object`s. What a storage raises leaves as an APIError.
A subresource is a copy with another update strategy (`with_update_strategy`); the storage is shared.

Source: kubernetes/apiserver pkg/registry/generic/registry/store.go.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from watch import Batch, Event, EventType, Object

from .._resources import ResourceInfo
from ..storage import EventStream, Interface, ListOptions
from . import _store_create, _store_delete, _store_delete_collection, _store_update
from ._errors import BadRequest, GroupResource, quoted
from ._meta import JSONObject, parse_time
from ._names import path_segment
from ._rest import (
    Context,
    CreateOptions,
    DeleteOptions,
    Environment,
    ObjectPage,
    UpdatedObjectInfo,
    UpdateOptions,
    ValidateObject,
    ValidateObjectUpdate,
    accept,
    accept_update,
)
from ._selection import narrowed
from ._storage_errors import Operation, translated
from ._strategy import Strategy
from ._table import PRINTERS, default_table

if TYPE_CHECKING:
    from ._strategy import CreateStrategy, DeleteStrategy, UpdateStrategy

Finish = Callable[[bool], None]
"""Ends what a Begin hook began; True: the object was stored."""


class Hooks(msgspec.Struct, frozen=True):
    """What a resource does beside its strategy: Kubernetes' functions of these names. None: nothing."""

    begin_create: Callable[[Context, JSONObject, CreateOptions], Finish] | None = None
    """Before the strategy; what it returns is called once, whatever happened. May raise an APIError."""
    allocate: Callable[[Context, JSONObject, JSONObject | None, bool], tuple[JSONObject, Finish]] | None = None
    """Gives the new object what comes of a pool, knowing the old one (None: it is a create) and whether it is a dry run: after
    the begin hooks, before the strategy. What it returns beside the object is called as theirs. May raise an APIError."""
    after_create: Callable[[JSONObject, CreateOptions], None] | None = None
    """Of a stored object, before it is decorated. Raises nothing: it is stored."""
    begin_update: Callable[[Context, JSONObject, JSONObject, UpdateOptions], Finish] | None = None
    """The new object and the old one; again at each attempt. May raise an APIError."""
    after_update: Callable[[JSONObject, UpdateOptions], None] | None = None
    after_delete: Callable[[JSONObject, DeleteOptions], None] | None = None
    """Of the object as it was last."""
    decorator: Callable[[JSONObject], JSONObject] | None = None
    """Changes every object on its way out: of a get, a list, a watch, and what the verbs return."""
    ttl_s: Callable[[JSONObject, int, bool], int] | None = None
    """Seconds to live of an object, of which so many were left (0: all), in an update (True): 0: for ever."""
    should_delete_during_update: Callable[[Context, str, JSONObject, JSONObject], bool] | None = None
    """Of a key, a new object without finalizers and the terminating one: whether it may go now. Adds to the rule."""


class Descriptor(msgspec.Struct, frozen=True):
    """What a resource is called."""

    singular_name: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    list_kind: str = ""


class RegistryStore:
    """All verbs of one resource. Satisfies `StandardStorage`.

    Args:
        storage: where the objects are; its keys start with `storage.resource_prefix`.
        info: what the resource is.
        strategy: its rules, for all three verbs where `create_strategy` and so on name no others.
        environment: the time, and chance.
        returns_deleted_object: a deletion answers with the object, not with a Status.
        garbage_collection: deletions set the finalizers of a garbage collector; off where there is none.
        delete_workers: objects of a collection that are deleted at once.
    """

    def __init__(
        self,
        storage: Interface,
        info: ResourceInfo,
        strategy: Strategy,
        *,
        environment: Environment,
        hooks: Hooks = Hooks(),  # noqa: B008 - a frozen value
        descriptor: Descriptor = Descriptor(),  # noqa: B008 - a frozen value
        returns_deleted_object: bool = False,
        garbage_collection: bool = True,
        delete_workers: int = 1,
    ) -> None:
        group = info.group_version.rpartition("/")[0]
        self.storage = storage
        self.info = info
        self.environment = environment
        self.hooks = hooks
        self.descriptor = descriptor
        self.returns_deleted_object = returns_deleted_object
        self.garbage_collection = garbage_collection
        self.delete_workers = max(1, delete_workers)
        self.resource = GroupResource(group, info.plural)
        """What errors name."""
        self.kind = GroupResource(group, info.kind)
        """What errors of invalid objects, and of preconditions, name."""
        self.create_strategy: CreateStrategy = strategy
        self.update_strategy: UpdateStrategy = strategy
        self.delete_strategy: DeleteStrategy = strategy

    def with_update_strategy(self, strategy: UpdateStrategy) -> RegistryStore:
        """The same store, with other rules of updates: a subresource's."""
        other = copy.copy(self)
        other.update_strategy = strategy
        return other

    # ---- what it is --------------------------------------------------------------------------------------------------

    @property
    def namespaced(self) -> bool:
        """Whether the objects live in namespaces."""
        return self.info.namespaced

    @property
    def singular_name(self) -> str:
        """What one object is called on a command line."""
        return self.descriptor.singular_name or self.info.kind.lower()

    @property
    def list_kind(self) -> str:
        """What many objects are together."""
        return self.descriptor.list_kind or f"{self.info.kind}List"

    @property
    def short_names(self) -> Sequence[str]:
        """Short names of the resource."""
        return self.descriptor.short_names

    @property
    def categories(self) -> Sequence[str]:
        """Groups of resources that it belongs to."""
        return self.descriptor.categories

    def new(self) -> JSONObject:
        """An empty object."""
        return {"apiVersion": self.info.group_version, "kind": self.info.kind}

    def default(self, obj: JSONObject) -> JSONObject:
        """`obj` with what the client left out filled in."""
        return self.update_strategy.default(obj)

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """See ResetFieldsProvider."""
        return self.update_strategy.reset_fields

    def convert_to_table(self, objects: Sequence[JSONObject]) -> JSONObject:
        """The columns of a built-in resource; names and times of creation of any other."""
        printer = PRINTERS.get((self.info.group_version, self.info.plural))
        if printer is None:
            return default_table(objects)
        return printer.table(objects, parse_time(self.environment.now()).timestamp())

    # ---- keys --------------------------------------------------------------------------------------------------------

    def key(self, context: Context, name: str) -> str:
        """Where the object of that name is.

        Raises:
            BadRequest: a namespace is missing, or the name is no segment of a path.
        """
        if self.namespaced and not context.namespace:
            raise BadRequest("Namespace parameter required.")
        if not name:
            raise BadRequest("Name parameter required.")
        if wrong := path_segment(name):
            raise BadRequest(f"Name parameter invalid: {quoted(name)}: {';'.join(wrong)}")
        root = self.storage.resource_prefix
        return f"{root}/{context.namespace}/{name}" if self.namespaced else f"{root}/{name}"

    # ---- reads -------------------------------------------------------------------------------------------------------

    async def get(self, context: Context, name: str, *, resource_version: str = "") -> JSONObject:
        """See Getter."""
        key = self.key(context, name)
        with translated(Operation.GET, self.resource, name):
            found = await self.storage.get(key, resource_version=resource_version)
        assert found is not None, "a missing object is an error here"
        return self.decorated(found.to_dict())

    async def list(self, context: Context, options: ListOptions) -> ObjectPage:
        """See Lister."""
        key, narrow = self._narrowed(context, options)
        with translated(Operation.LIST, self.resource):
            page = await self.storage.get_list(key, narrow)
        objects = page.objects if self.hooks.decorator is None else tuple(map(self._decorated_object, page.objects))
        return ObjectPage(objects, page.revision, page.continue_token, page.remaining)

    @asynccontextmanager
    async def watch(self, context: Context, options: ListOptions) -> AsyncIterator[EventStream]:
        """See Watcher. What goes wrong later is raised by the stream as the storage raises it."""
        key, narrow = self._narrowed(context, options)
        async with AsyncExitStack() as stack:
            with translated(Operation.WATCH, self.resource):
                stream = await stack.enter_async_context(self.storage.watch(key, narrow))
            yield stream if self.hooks.decorator is None else _DecoratedStream(stream, self._decorated_object)

    def _narrowed(self, context: Context, options: ListOptions) -> tuple[str, ListOptions]:
        return narrowed(self.storage.resource_prefix, context.namespace, options, namespaced=self.namespaced)

    # ---- writes ------------------------------------------------------------------------------------------------------

    async def create(
        self,
        context: Context,
        obj: JSONObject,
        *,
        validate: ValidateObject = accept,
        options: CreateOptions = CreateOptions(),  # noqa: B008 - a frozen value
    ) -> JSONObject:
        """See Creater."""
        return await _store_create.create(self, context, obj, validate, options)

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
        """See Updater."""
        attempt = _store_update.Attempt(self, context, name, info, validate_create, validate_update, options)
        attempt.may_create = force_create or self.update_strategy.allow_create_on_update
        return await _store_update.update(attempt)

    async def delete(
        self,
        context: Context,
        name: str,
        *,
        validate: ValidateObject = accept,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008 - a frozen value
    ) -> tuple[JSONObject, bool]:
        """See GracefulDeleter."""
        if options.ignore_read_errors:
            return await _store_delete.delete_unreadable(self, context, name, options)
        return await _store_delete.delete(self, context, name, validate, options)

    async def delete_collection(
        self,
        context: Context,
        list_options: ListOptions,
        *,
        validate: ValidateObject = accept,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008 - a frozen value
    ) -> ObjectPage:
        """See CollectionDeleter."""
        return await _store_delete_collection.delete_collection(self, context, list_options, validate, options)

    # ---- on the way out ----------------------------------------------------------------------------------------------

    def decorated(self, obj: JSONObject) -> JSONObject:
        """The object as it is shown."""
        return obj if self.hooks.decorator is None else self.hooks.decorator(obj)

    def _decorated_object(self, obj: Object) -> Object:
        return msgspec.structs.replace(obj, raw=msgspec.json.encode(self.decorated(obj.parse())))


class _DecoratedStream:
    """A watch whose objects are decorated.

    Differs: Kubernetes decorates the empty objects of bookmarks too.
    """

    def __init__(self, stream: EventStream, decorate: Callable[[Object], Object]) -> None:
        self._stream = stream
        self._decorate = decorate

    async def receive(self) -> Event:
        """See EventStream."""
        return self._shown(await self._stream.receive())

    async def receive_batch(self) -> Batch:
        """See EventStream."""
        return tuple(map(self._shown, await self._stream.receive_batch()))

    def _shown(self, event: Event) -> Event:
        if event.type is EventType.BOOKMARK:
            return event
        return msgspec.structs.replace(event, object=self._decorate(event.object))
