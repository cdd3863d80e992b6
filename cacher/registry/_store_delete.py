"""RegistryStore.delete.

    get ─ judge ─┬─ PENDING: answered as it is
                 ├─ marked, or finalizers to set, or some there: guaranteed_update ─┬─ held, or seconds left: it stays
                 │    judged again each time                                        └─ nothing holds it ─┐
                 └─ AT_ONCE, nothing holds it ───────────────────────────────────── Storage.delete ◄─────┘

Source: kubernetes/apiserver pkg/registry/generic/registry/store.go (Delete, updateForGracefulDeletionAndFinalizers,
finalizeDelete), corrupt_obj_deleter.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from watch import Object

from ..storage import KeyNotFound, Preconditions, ResponseMeta, UnreadableObject, Update
from . import _errors as api
from ._deletion import Fate, Verdict, collection_finalizers, judge, marked_as_deleting
from ._dry_run import dry_delete, dry_update
from ._field_errors import invalid
from ._meta import JSONObject, finalizers_of, name_of, text, with_metadata
from ._storage_errors import Operation, translated

if TYPE_CHECKING:
    from ._rest import Context, DeleteOptions, ValidateObject
    from ._store import RegistryStore


class _DeleteNow(Exception):
    """Nothing holds the object any more: the update has nothing to write."""


class _AlreadyPending(Exception):
    """Somebody else's deletion gives it the time that it has."""


class Deletion:
    """One deletion: what it is to do, and what its last attempt came to."""

    def __init__(
        self, store: RegistryStore, context: Context, name: str, validate: ValidateObject, options: DeleteOptions
    ) -> None:
        self.store = store
        self.context = context
        self.name = name
        self.key = store.key(context, name)
        self.validate = validate
        self.options = options
        self.preconditions = options.preconditions
        self.last: JSONObject | None = None
        """The object as the last attempt marked it, where seconds were given."""
        self.is_held = False
        self.seconds = 0

    def judge(self, obj: JSONObject) -> Verdict:
        """What becomes of the object as it is now."""
        store = self.store
        return judge(
            store.delete_strategy, self.context, obj, self.options, kind=store.kind, now=store.environment.now()
        )

    def finalizers(self, obj: JSONObject) -> list[str]:
        """Those that the object is to have."""
        if not self.store.garbage_collection:
            return finalizers_of(obj)
        default = self.store.delete_strategy.default_garbage_collection_policy(self.context)
        return collection_finalizers(obj, self.options, default)

    def __call__(self, found: Object | None, meta: ResponseMeta) -> Update:
        """The object marked as terminating: a storage's TryUpdate."""
        assert found is not None, "a missing object is an error of the storage here"
        present = found.to_dict()
        self.validate(present)
        verdict = self.judge(present)
        if verdict.fate is Fate.PENDING:
            raise _AlreadyPending
        obj = with_metadata(verdict.obj, {"finalizers": self.finalizers(verdict.obj)})
        self.is_held = bool(finalizers_of(obj))
        if verdict.fate is Fate.AT_ONCE:
            if not self.is_held:
                raise _DeleteNow
            return Update(marked_as_deleting(obj, self.store.environment.now()))
        self.seconds = verdict.options.grace_period_s or 0
        self.last = obj
        return Update(obj)


async def delete(
    store: RegistryStore, context: Context, name: str, validate: ValidateObject, options: DeleteOptions
) -> tuple[JSONObject, bool]:
    """See RegistryStore."""
    deletion = Deletion(store, context, name, validate, options)
    with translated(Operation.DELETE, store.resource, name):
        found = await store.storage.get(deletion.key)
    assert found is not None, "a missing object is an error here"
    obj = found.to_dict()
    verdict = deletion.judge(obj)
    if verdict.fate is Fate.PENDING:
        return _answer(deletion, obj, is_over=False), False
    if verdict.fate is Fate.GRACEFUL or finalizers_of(obj) or deletion.finalizers(obj) != finalizers_of(obj):
        try:
            marked = await _mark(deletion)
        except _AlreadyPending:
            return _answer(deletion, obj, is_over=True), False
        except _DeleteNow:
            pass
        else:
            if deletion.is_held or deletion.seconds > 0:
                return marked, False
            if options.dry_run:
                return marked, True
            deletion.preconditions = _moved(deletion.preconditions, marked)
    return await _remove(deletion), True


async def _mark(deletion: Deletion) -> JSONObject:
    store, preconditions = deletion.store, deletion.preconditions
    with translated(Operation.UPDATE, store.resource, deletion.name):
        if deletion.options.dry_run:
            return await dry_update(store.storage, deletion.key, deletion, preconditions=preconditions)
        stored = await store.storage.guaranteed_update(deletion.key, deletion, preconditions=preconditions)
    return stored.to_dict()


def _moved(preconditions: Preconditions | None, marked: JSONObject) -> Preconditions | None:
    """The preconditions, of the object as we have just written it."""
    if preconditions is None or preconditions.resource_version is None:
        return preconditions
    return Preconditions(preconditions.uid, text(marked, "resourceVersion"))


async def _remove(deletion: Deletion) -> JSONObject:
    async def admit(found: Object) -> None:
        deletion.validate(found.to_dict())

    store = deletion.store
    with translated(Operation.DELETE, store.resource, deletion.name):
        try:
            if deletion.options.dry_run:
                found = await dry_delete(store.storage, deletion.key, preconditions=deletion.preconditions)
                await admit(found)
                gone: Object | None = found
            else:
                gone = await store.storage.delete(deletion.key, preconditions=deletion.preconditions, validate=admit)
        except KeyNotFound:
            if deletion.last is None:
                raise
            # Its keeper was faster than we, between our mark and our deletion: the object is gone, which was asked for.
            return _answer(deletion, deletion.last, is_over=True)
    assert gone is not None, "a deletion of what can be read returns it"
    return _answer(deletion, gone.to_dict(), is_over=True)


def _answer(deletion: Deletion, obj: JSONObject, *, is_over: bool) -> JSONObject:
    store = deletion.store
    if is_over and store.hooks.after_delete is not None:
        store.hooks.after_delete(obj, deletion.options)
    if store.returns_deleted_object:
        return store.decorated(obj)
    return deleted_status(store.resource, name_of(obj), text(obj, "uid"))


def deleted_status(resource: api.GroupResource, name: str, uid: str = "") -> JSONObject:
    """The Status that says that the object is deleted; its `kind` is the resource's plural."""
    said = {"name": name, "group": resource.group, "kind": resource.name, "uid": uid}
    details = {member: value for member, value in said.items() if value}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


async def delete_unreadable(
    store: RegistryStore, context: Context, name: str, options: DeleteOptions
) -> tuple[JSONObject, bool]:
    """Deletes what is stored though it cannot be read. No finalizer of it is known, and no hook is called.

    Raises:
        Invalid: it can be read, or is not there: delete it as everything else.
    """
    key = store.key(context, name)
    with translated(Operation.DELETE, store.resource, name):
        try:
            await store.storage.get(key, ignore_not_found=True)
        except UnreadableObject:
            if not options.dry_run:
                await store.storage.delete(key, expect_decode_error=True)
            return deleted_status(store.resource, name), True
    option = "ignoreStoreReadErrorWithClusterBreakingPotential"
    why = "is exclusively used to delete corrupt object(s), try again by removing this option"
    raise api.Invalid(store.resource, name, [invalid(option, True, why)])
