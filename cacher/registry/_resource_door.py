"""The door to one resource: its verbs as a client in the same process uses them.

    body ─► of its kind ─ defaults ─ owners once ─ admission ─ managedFields ─► RESTStorage

What a server's handlers do between the wire and the storage is done here, so that a controller in the same process and a
client over HTTP get the same. Every error is an APIError; warnings go to the `warn` that is handed in.

Source: kubernetes/apiserver pkg/endpoints/handlers (create.go, update.go, patch.go, delete.go).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from watch import FieldSelector, InvalidSelector, LabelSelector, PatchType, Selector

from .._resources import ResourceInfo
from ..storage import EventStream, ListOptions, Preconditions
from ._admission import Admission, AdmitAll
from ._bodies import check_name, patched_error, strict_error
from ._decode import check_depth
from ._deletion import check_delete_options
from ._errors import APIError, BadRequest, Conflict, GroupResource, Invalid, MethodNotAllowed, NotFound, UnknownResource
from ._meta import JSONObject, name_of, text
from ._options import DryRun, check_patch_options, check_write_options, is_dry_run, validate_dry_run
from ._owner_references import without_doubled_owners
from ._patches import patch_function
from ._rest import (
    CollectionDeleter,
    Context,
    CreateOptions,
    Creater,
    DeleteOptions,
    Environment,
    Getter,
    GracefulDeleter,
    KindProvider,
    Lister,
    ListKindProvider,
    NamedCreater,
    ObjectPage,
    ResetFieldsProvider,
    Scoper,
    Storage,
    UpdateOptions,
    Updater,
    Watcher,
)
from ._schemas import BuiltInSchemas, DescribedSchemas, Endpoint, Schemas
from ._selector_texts import field_selector_problem, label_selector_problem
from ._subresource import NoSubresource
from ._updated_object import Change, Replacement

LabelsLike = str | LabelSelector | Mapping[str, str] | None
FieldsLike = str | FieldSelector | Mapping[str, str] | None
Warn = Callable[[str], None] | None


class ResourceDoor:
    """One resource, or with `subresource` a part of it.

    Args:
        info: what the resource is.
        storage: its RESTStorage: what it cannot do is MethodNotAllowed.
        subresources: RESTStorages by name: `status`, `scale`.
        environment: the time of managedFields.
        admission: asked before something new is, or may be, written.
        schemas: what is known of its objects, and who keeps their managedFields; those of the built-in kinds by default.
    """

    def __init__(
        self,
        info: ResourceInfo,
        storage: Storage,
        subresources: Mapping[str, Storage] | None = None,
        *,
        environment: Environment,
        admission: Admission | None = None,
        schemas: Schemas | None = None,
        subresource: str = "",
    ) -> None:
        self.info = info
        self.storage = storage
        self.name = subresource
        """Of the subresource; "" of the resource itself."""
        # What the storage can do is asked once: looking a protocol's methods up costs as much as a small verb.
        self._getter: Getter | None = storage if isinstance(storage, Getter) else None
        self._lister: Lister | None = storage if isinstance(storage, Lister) else None
        self._watcher: Watcher | None = storage if isinstance(storage, Watcher) else None
        self._creater: Creater | None = storage if isinstance(storage, Creater) else None
        self._named_creater: NamedCreater | None = storage if isinstance(storage, NamedCreater) else None
        self._updater: Updater | None = storage if isinstance(storage, Updater) else None
        self._deleter: GracefulDeleter | None = storage if isinstance(storage, GracefulDeleter) else None
        self._collection_deleter: CollectionDeleter | None = storage if isinstance(storage, CollectionDeleter) else None
        own_kind = storage.group_version_kind if isinstance(storage, KindProvider) else None
        self.kind: tuple[str, str] = own_kind or (info.group_version, info.kind)
        """apiVersion and kind of its objects."""
        self._is_namespaced = not isinstance(storage, Scoper) or storage.namespaced
        self._environment = environment
        self._admission = admission if admission is not None else AdmitAll()
        schemas = schemas if schemas is not None else BuiltInSchemas()
        reset = storage.reset_fields if isinstance(storage, ResetFieldsProvider) else ()
        self._schemas = schemas
        self._endpoint = endpoint = Endpoint(*self.kind, subresource, reset)
        self._type = schemas.type_of(endpoint)
        self._manager = schemas.field_manager(endpoint)
        self._parted: dict[str, ResourceDoor] = {}
        """To subresources that were there once."""
        self._subresources = {
            name: ResourceDoor(
                info,
                part,
                environment=environment,
                admission=admission,
                schemas=schemas,
                subresource=name,
            )
            for name, part in (subresources or {}).items()
        }

    def become(self, other: ResourceDoor) -> None:
        """Lead where `other` leads from now on: who holds this door, or one to a subresource, goes on through it.

        A door to a subresource that `other` does not have answers that there is none, until there is one again.
        """
        held = {**self._parted, **self._subresources}
        vars(self).update(vars(other))
        self._subresources = {}
        for name, door in other._subresources.items():
            mine = self._subresources[name] = held.pop(name, door)
            if mine is not door:
                mine.become(door)
        self._parted = held
        for name, door in held.items():
            nothing = NoSubresource(self.storage.resource, f"{self.info.plural}/{name}")
            door.become(ResourceDoor(self.info, nothing, environment=self._environment, subresource=name))

    @property
    def open_api_schema(self) -> Mapping[str, Any] | None:
        """What a definition says of the objects, as it says it; None where there is none, or where it says nothing."""
        schemas = self._schemas
        return schemas.open_api(self.info.group_version) if isinstance(schemas, DescribedSchemas) else None

    @property
    def subresources(self) -> tuple[str, ...]:
        """The names of what there is below an object."""
        return tuple(self._subresources)

    def subresource(self, name: str) -> ResourceDoor:
        """The door to a part of the resource's objects: `status`, `scale`.

        Raises:
            UnknownResource: it has none of that name.
        """
        found = self._subresources.get(name)
        if found is None:
            raise UnknownResource(f"{self.info.plural}/{name}")
        return found

    @property
    def verbs(self) -> tuple[str, ...]:
        """What it can be asked, in the API's words and their order: `create`, `delete`, `deletecollection`, `get`, …"""
        able = {
            "create": self._creater or self._named_creater,
            "delete": self._deleter,
            "deletecollection": self._collection_deleter,
            "get": self._getter,
            "list": self._lister,
            "patch": self._updater if self._getter is not None else None,
            "update": self._updater,
            "watch": self._watcher,
        }
        return tuple(verb for verb, storage in able.items() if storage is not None)

    @property
    def is_namespaced(self) -> bool:
        """Whether its objects live in namespaces."""
        return self._is_namespaced

    @property
    def is_custom(self) -> bool:
        """Whether nothing is known of its objects but what a definition says; such items of a list say what they are."""
        return self._type is None

    @property
    def list_kind(self) -> str:
        """What many of its objects are together."""
        return self.storage.list_kind if isinstance(self.storage, ListKindProvider) else f"{self.kind[1]}List"

    # ---- reads -------------------------------------------------------------------------------------------------------

    async def get(self, name: str, namespace: str | None = None, *, resource_version: str = "") -> JSONObject:
        """The object, not older than `resource_version` ("": than this call; "0": any).

        Raises:
            NotFound.
        """
        storage = self._getter
        if storage is None:
            raise self._unable("get")
        return await storage.get(self._context(namespace), name, resource_version=resource_version)

    async def list(
        self,
        namespace: str | None = None,
        *,
        labels: LabelsLike = None,
        fields: FieldsLike = None,
        resource_version: str = "",
        match: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectPage:
        """The objects of a namespace, or of all, in key order; `shown(page)` is what the API shows.

        Raises:
            BadRequest: a selector or a version that is none.
            Gone: `match="Exact"`, or the page's token, is older than the history: list again.
        """
        options = ListOptions(
            resource_version=resource_version,
            match=match,
            limit=limit,
            continue_token=continue_token,
            selector=self._selector(labels, fields),
        )
        storage = self._lister
        if storage is None:
            raise self._unable("list")
        return await storage.list(self._context(namespace), options)

    def shown(self, page: ObjectPage) -> JSONObject:
        """A page as the API shows it. Items of built-in kinds do not say what they are: their list does."""
        version, kind = self.kind
        return page.to_list(version, kind, with_types=self.is_custom, list_kind=self.list_kind)

    @asynccontextmanager
    async def watch(
        self,
        namespace: str | None = None,
        *,
        labels: LabelsLike = None,
        fields: FieldsLike = None,
        resource_version: str = "",
        match: str = "",
        bookmarks: bool = False,
        send_initial_events: bool | None = None,
        deadline: float | None = None,
    ) -> AsyncIterator[EventStream]:
        """What happens to them, as events, after `resource_version` ("" and "0": first the state). Raises as `list`."""
        options = ListOptions(
            resource_version=resource_version,
            match=match,
            selector=self._selector(labels, fields),
            allow_bookmarks=bookmarks,
            send_initial_events=send_initial_events,
            deadline=deadline,
        )
        storage = self._watcher
        if storage is None:
            raise self._unable("watch")
        async with storage.watch(self._context(namespace), options) as stream:
            yield stream

    # ---- writes ------------------------------------------------------------------------------------------------------

    async def create(
        self,
        obj: JSONObject,
        namespace: str | None = None,
        *,
        name: str = "",
        dry_run: DryRun = False,
        field_manager: str = "",
        field_validation: str = "",
        flaws: Sequence[str] = (),
        warn: Warn = None,
    ) -> JSONObject:
        """The new object as it was stored. `name`: of the object below which it is created, on a subresource; `flaws`: what
        was wrong with the body's text, and is told, or refused, as unknown fields are.

        Raises:
            AlreadyExists, Invalid, BadRequest; NotFound, Forbidden of the namespace.
        """
        check_write_options(
            "CreateOptions", dry_run=dry_run, field_manager=field_manager, field_validation=field_validation
        )
        creater, named_creater = self._creater, self._named_creater
        if (named_creater if name else creater) is None:
            raise self._unable("create")
        context = self._context(namespace or self._own_namespace(obj), warn)
        body = self._decoded(context, obj, field_validation, flaws)
        await self._admission.admit(self.storage.resource, name or name_of(body), context)
        options = CreateOptions(is_dry_run(dry_run), field_manager)
        if name:
            assert named_creater is not None, "looked at above"
            return await named_creater.create_named(context, name, body, options=options)
        body = self._managed(None, without_doubled_owners(context, body), field_manager)
        assert creater is not None, "looked at above"
        return await creater.create(context, body, options=options)

    async def update(
        self,
        obj: JSONObject,
        namespace: str | None = None,
        *,
        name: str = "",
        dry_run: DryRun = False,
        field_manager: str = "",
        field_validation: str = "",
        warn: Warn = None,
    ) -> JSONObject:
        """The object as it was stored in place of the present one. With a resourceVersion: only if it is that one still.

        Raises:
            Conflict: somebody else was faster, or the uid is another's.
            NotFound, Invalid, BadRequest.
        """
        updated, _ = await self.replace(
            obj,
            namespace,
            name=name,
            dry_run=dry_run,
            field_manager=field_manager,
            field_validation=field_validation,
            warn=warn,
        )
        return updated

    async def replace(
        self,
        obj: JSONObject,
        namespace: str | None = None,
        *,
        name: str = "",
        dry_run: DryRun = False,
        field_manager: str = "",
        field_validation: str = "",
        flaws: Sequence[str] = (),
        warn: Warn = None,
    ) -> tuple[JSONObject, bool]:
        """As `update`, and whether the object is new."""
        check_write_options(
            "UpdateOptions", dry_run=dry_run, field_manager=field_manager, field_validation=field_validation
        )
        storage = self._updater
        if storage is None:
            raise self._unable("update")
        name = name or name_of(obj)
        context = self._context(namespace or self._own_namespace(obj), warn)
        body = self._decoded(context, obj, field_validation, flaws)
        check_name(body, name, context.namespace)

        def finish(context: Context, new: JSONObject, old: JSONObject | None) -> JSONObject:
            return self._managed(old, without_doubled_owners(context, new), field_manager)

        options = UpdateOptions(is_dry_run(dry_run), field_manager)
        refused = await self._refusal(name, context)
        return await storage.update(context, name, Replacement(body, finish), validate_create=refused, options=options)

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType,  # noqa: A002 - the API's own word
        force: bool | None = None,
        dry_run: DryRun = False,
        field_manager: str = "",
        field_validation: str = "",
        flaws: Sequence[str] = (),
        warn: Warn = None,
    ) -> tuple[JSONObject, bool]:
        """The object as it was stored with the patch applied to the present one, and whether it is new (an apply's may be).

        Raises:
            ApplyConflict: an apply changes what others own; `force` takes it from them.
            Conflict: the patch names a version, or a uid, that the object has not.
            NotFound, Invalid, BadRequest, UnsupportedMediaType.
        """
        is_apply = type is PatchType.APPLY
        check_patch_options(
            is_apply=is_apply,
            force=force,
            dry_run=dry_run,
            field_manager=field_manager,
            field_validation=field_validation,
        )
        storage = self._updater
        if storage is None or self._getter is None:
            raise self._unable("patch")
        context = self._context(namespace, warn)
        make = self._apply(patch, field_manager, bool(force)) if is_apply else self._patch(type, patch, name)

        def finish(context: Context, new: JSONObject, old: JSONObject | None) -> JSONObject:
            patched = new
            try:
                new = self._decoded(context, patched, field_validation, flaws)
            except BadRequest as error:
                if is_apply:
                    raise
                raise patched_error(error, patched) from error
            self._check_patched(new, old, name, context)
            new = without_doubled_owners(context, new)
            return new if is_apply else self._managed(old, new, field_manager)

        options = UpdateOptions(is_dry_run(dry_run), field_manager)
        refused = await self._refusal(name, context)
        return await storage.update(
            context, name, Change(make, finish), validate_create=refused, force_create=is_apply, options=options
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
        orphan_dependents: bool | None = None,
        dry_run: DryRun = False,
        ignore_read_errors: bool = False,
    ) -> tuple[JSONObject, bool]:
        """What the API answers (the object, or a Status), and whether it is gone at once and not held, or given time.

        Raises:
            NotFound; Conflict: it is not the object of that uid or version; Invalid: options that cannot be.
        """
        storage = self._deleter
        if storage is None:
            raise self._unable("delete")
        options = self._delete_options(
            grace_period_s, uid, resource_version, propagation_policy, orphan_dependents, dry_run, ignore_read_errors
        )
        return await storage.delete(self._context(namespace), name, options=options)

    async def delete_collection(
        self,
        namespace: str | None = None,
        *,
        labels: LabelsLike = None,
        fields: FieldsLike = None,
        resource_version: str = "",
        match: str = "",
        limit: int = 0,
        continue_token: str = "",
        grace_period_s: int | None = None,
        uid: str | None = None,
        propagation_policy: str | None = None,
        orphan_dependents: bool | None = None,
        dry_run: DryRun = False,
    ) -> ObjectPage:
        """What was there of the selected objects, which are now deleted, or held by their finalizers. Raises as `delete`."""
        storage = self._collection_deleter
        if storage is None:
            raise self._unable("deletecollection")
        options = self._delete_options(grace_period_s, uid, None, propagation_policy, orphan_dependents, dry_run, False)
        list_options = ListOptions(
            resource_version=resource_version,
            match=match,
            limit=limit,
            continue_token=continue_token,
            selector=self._selector(labels, fields),
        )
        return await storage.delete_collection(self._context(namespace), list_options, options=options)

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _unable(self, verb: str) -> MethodNotAllowed:
        return MethodNotAllowed(self.storage.resource, verb)

    def _context(self, namespace: str | None, warn: Warn = None) -> Context:
        if namespace and not self._is_namespaced:
            raise BadRequest(f"{self.info.plural} live in no namespace: leave it out")
        context = Context(namespace or "")
        if warn is None:
            return context
        if self.info.deprecation:
            warn(self.info.deprecation)
        return msgspec.structs.replace(context, warn=warn)

    def _own_namespace(self, obj: JSONObject) -> str | None:
        """The namespace that the object names, where its kind lives in one; elsewhere it means nothing."""
        return text(obj, "namespace") or None if self._is_namespaced else None

    def _selector(self, labels: LabelsLike, fields: FieldsLike) -> Selector:
        try:
            selector = Selector.of(labels=labels, fields=fields)
        except InvalidSelector as error:
            told = label_selector_problem(labels) if error.text == labels and isinstance(labels, str) else None
            raise BadRequest(told or field_selector_problem(error.text) or error.problem) from error
        for requirement in selector.fields.requirements:
            if requirement.path not in ("metadata.name", "metadata.namespace", *self.info.fields):
                raise BadRequest(
                    _unknown_field(requirement.path, is_short=self._type is None or bool(self.info.fields))
                )
        return selector

    def _decoded(
        self, context: Context, body: Any, field_validation: str = "", flaws: Sequence[str] = ()
    ) -> JSONObject:
        """The body as an object with its defaults; what nobody knows is dropped, told, or refused."""
        check_depth(body)
        version, kind = self.kind
        obj, unknown = self._schemas.decoded(self._endpoint, body)
        problems = [*flaws, *(f'unknown field "{path}"' for path in unknown)]
        if problems and field_validation == "Strict":
            raise strict_error(problems, version, kind)
        if field_validation != "Ignore":
            for problem in problems:
                context.warn(problem)
        return self.storage.default(obj)

    def _patch(self, type: PatchType, patch: Any, name: str) -> Callable[[JSONObject | None], JSONObject]:  # noqa: A002
        change = patch_function(type, patch, self._type)

        def make(old: JSONObject | None) -> JSONObject:
            if old is None:
                raise NotFound(self.storage.resource, name)
            changed: JSONObject = change(old)
            return changed

        return make

    def _apply(self, patch: Any, field_manager: str, force: bool) -> Callable[[JSONObject | None], JSONObject]:
        manager = self._manager
        if manager is None:
            raise self._unable("apply")

        def make(old: JSONObject | None) -> JSONObject:
            return manager.apply(old, patch, manager=field_manager, now=self._environment.now(), force=force)

        return make

    def _managed(self, old: JSONObject | None, new: JSONObject, manager: str) -> JSONObject:
        if self._manager is None:
            return new
        return self._manager.update(old, new, manager=manager or "unknown", now=self._environment.now())

    async def _refusal(self, name: str, context: Context) -> Callable[[JSONObject], None]:
        """What refuses to create by an update. The namespace is looked up now, and judged if it comes to that."""
        refusal: APIError | None = None
        try:
            await self._admission.admit(self.storage.resource, name, context)
        except APIError as error:
            refusal = error

        def check(obj: JSONObject) -> None:
            if refusal is not None:
                raise refusal

        return check

    def _check_patched(self, new: JSONObject, old: JSONObject | None, name: str, context: Context) -> None:
        uid = text(new, "uid")
        if old is None and uid:
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise Conflict(self.storage.resource, name, why)
        check_name(new, name, context.namespace)

    def _delete_options(
        self,
        grace_period_s: int | None,
        uid: str | None,
        resource_version: str | None,
        propagation_policy: str | None,
        orphan_dependents: bool | None,
        dry_run: DryRun,
        ignore_read_errors: bool,
    ) -> DeleteOptions:
        if wrong := validate_dry_run(dry_run):
            raise Invalid(GroupResource("meta.k8s.io", "DeleteOptions"), "", wrong)
        preconditions = (
            Preconditions(uid, resource_version) if uid is not None or resource_version is not None else None
        )
        options = DeleteOptions(
            grace_period_s=grace_period_s,
            preconditions=preconditions,
            orphan_dependents=orphan_dependents,
            propagation_policy=propagation_policy,
            dry_run=is_dry_run(dry_run),
            ignore_read_errors=ignore_read_errors,
        )
        check_delete_options(options)
        return options


def _unknown_field(path: str, *, is_short: bool) -> str:
    """Why a field cannot be selected by: custom resources, and those with fields of their own, say it shorter."""
    if is_short:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
