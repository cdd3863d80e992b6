"""RegistryStore.update: an update, a patch, or a create that comes as one.

    Storage.guaranteed_update ─┬─ nothing there: make it ─ begin_create ─ before_create ─ validate_create
      again after a conflict   └─ something: make the new of it ─ version ─ begin_update ─ before_update ─ validate_update
                                   └── terminating, and its last finalizer is gone: delete it instead

Source: kubernetes/apiserver pkg/registry/generic/registry/store.go (Update, deleteWithoutFinalizers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from watch import Object

from ..storage import KeyNotFound, ResponseMeta, Update
from ._before import before_create, before_update, with_checked_version
from ._deletion import is_ready_to_go
from ._dry_run import dry_delete, dry_update
from ._errors import NotFound
from ._meta import JSONObject
from ._rest import DeleteOptions
from ._storage_errors import STORAGE_FAMILIES, Operation, api_error, translated
from ._store_create import allocated, begun, new_object
from .patch import keeping_times

if TYPE_CHECKING:
    from ._rest import Context, UpdatedObjectInfo, UpdateOptions, ValidateObject, ValidateObjectUpdate
    from ._store import Finish, RegistryStore


class _DeleteInstead(Exception):
    """The update takes the last finalizer from an object that is to go: `obj` is what the caller is told."""

    def __init__(self, obj: JSONObject) -> None:
        self.obj = obj
        super().__init__("delete instead")


class Attempt:
    """One update, which may be tried several times: what it is to do, and what the last try came to."""

    def __init__(
        self,
        store: RegistryStore,
        context: Context,
        name: str,
        info: UpdatedObjectInfo,
        validate_create: ValidateObject,
        validate_update: ValidateObjectUpdate,
        options: UpdateOptions,
    ) -> None:
        self.store = store
        self.context = context
        self.name = name
        self.info = info
        self.validate_create = validate_create
        self.validate_update = validate_update
        self.options = options
        self.may_create = False
        self.is_creating = False
        self.finishes: list[Finish] = []
        """Of the hooks that the last try began; the last is called first."""

    def __call__(self, found: Object | None, meta: ResponseMeta) -> Update:
        """What is to be stored in place of what was found: a storage's TryUpdate."""
        self.end(False)
        if found is None:
            if not self.may_create:
                raise NotFound(self.store.resource, self.name)
            obj = self._created()
        else:
            obj = self._updated(found.to_dict())
        ttl_s = None
        if self.store.hooks.ttl_s is not None:
            ttl_s = self.store.hooks.ttl_s(obj, meta.ttl_s, found is not None)
        return Update(obj, ttl_s)

    def end(self, success: bool) -> None:
        """Call what the hooks of the last try want to be called with, once."""
        while self.finishes:
            self.finishes.pop()(success)

    def _allocated(self, obj: JSONObject, old: JSONObject | None) -> JSONObject:
        obj, finish = allocated(self.store, self.context, obj, old, dry_run=self.options.dry_run)
        if finish is not None:
            self.finishes.append(finish)
        return obj

    def _created(self) -> JSONObject:
        store, options = self.store, self.options.for_create()
        self.is_creating = True
        obj = new_object(self.info.updated_object(self.context, None), store.environment)
        if store.hooks.begin_create is not None:
            self.finishes.append(store.hooks.begin_create(self.context, obj, options))
        obj = self._allocated(obj, None)
        obj = before_create(store.create_strategy, self.context, obj, store.kind)
        self.validate_create(obj)
        return obj

    def _updated(self, old: JSONObject) -> JSONObject:
        store = self.store
        self.is_creating = False
        new = self.info.updated_object(self.context, old)
        new = with_checked_version(
            new,
            old,
            allow_unconditional=store.update_strategy.allow_unconditional_update,
            resource=store.resource,
            name=self.name,
        )
        if store.hooks.begin_update is not None:
            self.finishes.append(store.hooks.begin_update(self.context, new, old, self.options))
        new = self._allocated(new, old)
        new = before_update(store.update_strategy, self.context, new, old, store.kind)
        new = keeping_times(old, new)
        self.validate_update(new, old)
        if self._goes_now(new, old):
            raise _DeleteInstead(new)
        return new

    def _goes_now(self, new: JSONObject, old: JSONObject) -> bool:
        if not is_ready_to_go(new, old):
            return False
        also = self.store.hooks.should_delete_during_update
        return also is None or also(self.context, self.store.key(self.context, self.name), new, old)


async def update(attempt: Attempt) -> tuple[JSONObject, bool]:
    """See RegistryStore.update."""
    store, options = attempt.store, attempt.options
    key = store.key(attempt.context, attempt.name)
    with begun(attempt.end) as succeeded:
        try:
            obj = await _written(attempt, key)
        except _DeleteInstead as instead:
            await _delete_instead(attempt, key, instead.obj)
            return instead.obj, False
        succeeded.append(True)
    if attempt.is_creating:
        if store.hooks.after_create is not None:
            store.hooks.after_create(obj, options.for_create())
    elif store.hooks.after_update is not None:
        store.hooks.after_update(obj, options)
    return store.decorated(obj), attempt.is_creating


async def _written(attempt: Attempt, key: str) -> JSONObject:
    store, preconditions = attempt.store, attempt.info.preconditions
    try:
        if attempt.options.dry_run:
            return await dry_update(
                store.storage, key, attempt, ignore_not_found=attempt.may_create, preconditions=preconditions
            )
        stored = await store.storage.guaranteed_update(
            key, attempt, ignore_not_found=attempt.may_create, preconditions=preconditions
        )
        return stored.to_dict()
    except STORAGE_FAMILIES as error:
        operation = Operation.CREATE if attempt.is_creating else Operation.UPDATE
        raise api_error(error, operation, store.resource, attempt.name) from error


async def _delete_instead(attempt: Attempt, key: str, obj: JSONObject) -> None:
    store, preconditions = attempt.store, attempt.info.preconditions
    last = obj
    with translated(Operation.DELETE, store.resource, attempt.name):
        try:
            if attempt.options.dry_run:
                last = (await dry_delete(store.storage, key, preconditions=preconditions)).to_dict()
            else:
                gone = await store.storage.delete(key, preconditions=preconditions)
                last = gone.to_dict() if gone is not None else obj
        except KeyNotFound:
            pass  # another update that took the last finalizer was faster
    if store.hooks.after_delete is not None:
        store.hooks.after_delete(last, DeleteOptions(dry_run=attempt.options.dry_run))
