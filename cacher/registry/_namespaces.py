"""Namespaces: a deletion only begins; who empties the namespace takes the finalizers of its spec, and with the last one it goes.

    NamespaceStorage
    ├── namespace   NamespaceStore     DELETE: deletionTimestamp, and the phase Terminating
    ├── status      SubresourceStore   the status; the phase is that of the deletion
    └── finalize    FinalizeStore      PUT: the finalizers of the spec; with none left, and a deletion begun, it goes

Source: kubernetes pkg/registry/core/namespace/strategy.go, storage/storage.go; pkg/apis/core/v1/defaults.go
(SetDefaults_Namespace); pkg/apis/core/validation/validation.go (ValidateNamespace…).
"""

from __future__ import annotations

from typing import Any

import msgspec

from watch import Object

from ..storage import Preconditions, ResponseMeta, Update
from ._deletion import FOREGROUND_POLICY, ORPHAN_POLICY, check_delete_options
from ._dry_run import dry_update
from ._errors import Conflict, GroupResource
from ._field_errors import FieldError, index, invalid
from ._meta import JSONObject, deletion_timestamp_of, finalizers_of, metadata, name_of, text, with_metadata
from ._names import name_is_label, qualified_name
from ._pod_defaults import filled
from ._rest import Context, DeleteOptions, ValidateObject, accept
from ._storage_errors import Operation, translated
from ._store import RegistryStore
from ._strategy import StatusStrategy, Strategy
from ._subresource import SubresourceStore
from ._validation_meta import FOREGROUND, ORPHAN, core_finalizer, validate_core_meta_update

NAME_LABEL = "kubernetes.io/metadata.name"
KUBERNETES = "kubernetes"
"""The finalizer of whoever deletes what is in a namespace."""
ACTIVE, TERMINATING = "Active", "Terminating"


class NamespaceStrategy(Strategy):
    """The rules of namespaces."""

    def __init__(self) -> None:
        super().__init__(GroupResource("", "namespaces"), "Namespace", namespaced=False, name_check=name_is_label)

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """The status, which is written by itself."""
        return (("status",),)

    def default(self, obj: JSONObject) -> JSONObject:
        """Its name as a label; and it is active."""
        whole = filled(obj, {"metadata": {}, "spec": {}, "status": {}})
        return self.canonicalize({**whole, "status": filled(whole["status"], {"phase": ACTIVE})})

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """A new one is active, and has the finalizer of its contents."""
        finalizers = list(obj["spec"].get("finalizers") or [])
        if KUBERNETES not in finalizers:
            finalizers.append(KUBERNETES)
        return {**obj, "spec": {**obj["spec"], "finalizers": finalizers}, "status": {"phase": ACTIVE}}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, and the finalizers of the spec."""
        wrong = super().validate(context, obj)
        for name in obj["spec"].get("finalizers") or []:
            wrong += validate_finalizer(name, "spec.finalizers")
        return wrong

    def canonicalize(self, obj: JSONObject) -> JSONObject:
        """With its name as a label, also where it was generated."""
        name, labels = name_of(obj), metadata(obj).get("labels") or {}
        return with_metadata(obj, {"labels": {**labels, NAME_LABEL: name}}) if name else obj

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """Finalizers and status stay."""
        return {**new, "spec": old.get("spec") or {}, "status": old.get("status") or {}}

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one, and then as an update."""
        return self.validate(context, new) + validate_core_meta_update(new, old)


class NamespaceStatusStrategy(StatusStrategy):
    """The rules of a namespace's status."""

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, and that the phase is that of the deletion."""
        phase = (new.get("status") or {}).get("phase", "")
        wanted, state = (TERMINATING, "not empty") if deletion_timestamp_of(new) else (ACTIVE, "empty")
        why = f"may only be '{wanted}' if `deletionTimestamp` is {state}"
        wrong = [] if phase == wanted else [invalid("status.Phase", phase, why)]
        return super().validate_update(context, new, old) + wrong


class FinalizeStrategy(StatusStrategy):
    """The rules of a namespace's finalizers."""

    def __init__(self, whole: NamespaceStrategy) -> None:
        super().__init__(whole, kept=("status",))

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, and the finalizers of the spec."""
        wrong = super().validate_update(context, new, old)
        for at, name in enumerate((new.get("spec") or {}).get("finalizers") or []):
            wrong += validate_finalizer(name, index("spec.finalizers", at))
        return wrong


class FinalizeStore(SubresourceStore):
    """The finalizers of namespaces: they are only replaced."""

    # A protocol's member that is None is not there: it cannot be asked for a GET.
    get = None  # type: ignore[assignment]


class NamespaceStore(RegistryStore):
    """The namespaces. They are deleted one by one."""

    delete_collection = None  # type: ignore[assignment]

    async def delete(
        self,
        context: Context,
        name: str,
        *,
        validate: ValidateObject = accept,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008 - a frozen value
    ) -> tuple[JSONObject, bool]:
        """Begins the deletion; repeated, it is only answered until the finalizers of the spec are gone.

        Raises:
            NotFound; Conflict: it is not the namespace of that uid or version.
        """
        check_delete_options(options)
        found = await self.get(context, name)
        options = self._at(found, options)
        if deletion_timestamp_of(found):
            if (found.get("spec") or {}).get("finalizers"):
                return found, False
            return await super().delete(context, name, validate=validate, options=options)
        now = self.environment.now()

        def begin(present: Object | None, meta: ResponseMeta) -> Update:
            assert present is not None, "a missing object is an error of the storage here"
            whole = present.to_dict()
            validate(whole)
            return Update(terminating(whole, options, now))

        key, preconditions = self.key(context, name), options.preconditions
        with translated(Operation.UPDATE, self.resource, name):
            if options.dry_run:
                return await dry_update(self.storage, key, begin, preconditions=preconditions), False
            return (await self.storage.guaranteed_update(key, begin, preconditions=preconditions)).to_dict(), False

    def _at(self, found: JSONObject, options: DeleteOptions) -> DeleteOptions:
        """The options, for this namespace and no other of its name."""
        told = options.preconditions if options.preconditions is not None else Preconditions()
        for what, wanted, present in (
            ("UID", told.uid, text(found, "uid")),
            ("ResourceVersion", told.resource_version, text(found, "resourceVersion")),
        ):
            if wanted is not None and wanted != present:
                why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {present}"
                raise Conflict(self.resource, name_of(found), why)
        return msgspec.structs.replace(options, preconditions=Preconditions(text(found, "uid"), told.resource_version))


def terminating(obj: JSONObject, options: DeleteOptions, now: str) -> JSONObject:
    """The namespace as one that is to go."""
    marks: dict[str, Any] = {"deletionTimestamp": deletion_timestamp_of(obj) or now}
    present = finalizers_of(obj)
    kept = [name for name in present if name not in (ORPHAN, FOREGROUND)]
    wanted = kept + [name for name in (ORPHAN, FOREGROUND) if _is_wanted(name, present, options)]
    if set(wanted) != set(present):
        marks["finalizers"] = wanted
    return with_metadata({**obj, "status": {**(obj.get("status") or {}), "phase": TERMINATING}}, marks)


def _is_wanted(finalizer: str, present: list[str], options: DeleteOptions) -> bool:
    if options.orphan_dependents is not None:
        return options.orphan_dependents == (finalizer == ORPHAN)
    if options.propagation_policy is not None:
        return options.propagation_policy == (ORPHAN_POLICY if finalizer == ORPHAN else FOREGROUND_POLICY)
    return finalizer in present


def is_empty_of_finalizers(context: Context, key: str, new: JSONObject, old: JSONObject) -> bool:
    """A hook's `should_delete_during_update`."""
    return not (new.get("spec") or {}).get("finalizers")


def validate_finalizer(name: str, path: str) -> list[FieldError]:
    """What is wrong with a finalizer of the spec."""
    return [invalid(path, name, why) for why in qualified_name(name) + core_finalizer(name)]
