"""customresourcedefinitions as a resource: their rules, their status, and a deletion that waits for their objects.

What a definition brings about (its names, its objects' storages, its end) is `_definition_service`'s.
Source: kubernetes/apiextensions-apiserver pkg/registry/customresourcedefinition (strategy.go, etcd.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from watch import Object

from ..storage import Preconditions, ResponseMeta, Update
from ._dry_run import dry_update
from ._errors import Conflict, GroupResource
from ._field_errors import FieldError
from ._meta import JSONObject, deletion_timestamp_of, finalizers_of, name_of, text, with_metadata
from ._rest import Context, DeleteOptions, ValidateObject, accept
from ._storage_errors import Operation, translated
from ._store import Descriptor, RegistryStore
from ._strategy import StatusStrategy, Strategy
from ._validation_meta import validate_meta, validate_meta_update
from .schema import (
    FINALIZER,
    definition_errors,
    definition_status_errors,
    prepared_for_create,
    prepared_for_update,
    with_defaults,
    with_deletion_pending,
)

if TYPE_CHECKING:
    from .._resources import ResourceInfo
    from ..storage import Interface
    from ._rest import Environment

DEFINITIONS = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
"""Group version and plural."""


class DefinitionStrategy(Strategy):
    """The rules of customresourcedefinitions."""

    allow_unconditional_update = False

    def __init__(self) -> None:
        group = DEFINITIONS[0].rpartition("/")[0]
        resource = GroupResource(group, DEFINITIONS[1])
        super().__init__(resource, "CustomResourceDefinition", namespaced=False, empty_status={})

    def default(self, obj: JSONObject) -> JSONObject:
        """See schema.with_defaults."""
        return with_defaults(obj)

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """See schema.prepared_for_create."""
        return prepared_for_create(obj)

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """The name, which follows from the spec; the other metadata; the spec."""
        found = definition_errors(obj)
        of_name = [error for error in found if error.field == "metadata.name"]
        metadata = validate_meta(obj, namespaced=False, name_check=_judged_with_the_spec)
        other = [error for error in metadata if error.field != "metadata.name"]
        return of_name + other + [error for error in found if error.field != "metadata.name"]

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """See schema.prepared_for_update."""
        return prepared_for_update(new, old)

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, the spec, and what may not change."""
        return validate_meta_update(new, old) + definition_errors(new, old)


class DefinitionStatusStrategy(StatusStrategy):
    """The rules of a definition's status. Finalizers may change: that is how a definition is let go."""

    def __init__(self, whole: DefinitionStrategy) -> None:
        super().__init__(
            whole, kept=("spec",), kept_metadata=("labels", "annotations", "ownerReferences", "generation")
        )

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """All but the status."""
        return (("metadata",), ("spec",))

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, and the accepted names."""
        return validate_meta_update(new, old) + definition_status_errors(new)


def _judged_with_the_spec(name: str, is_prefix: bool) -> list[str]:
    """A NameCheck that leaves the name to `definition_errors`."""
    return []


class DefinitionStore(RegistryStore):
    """All verbs of customresourcedefinitions. A deletion marks the definition, and its finalizer holds it."""

    def __init__(self, storage: Interface, info: ResourceInfo, *, environment: Environment) -> None:
        names = Descriptor("customresourcedefinition", ("crd", "crds"), ("api-extensions",))
        super().__init__(storage, info, DefinitionStrategy(), environment=environment, descriptor=names)

    async def delete(
        self,
        context: Context,
        name: str,
        *,
        validate: ValidateObject = accept,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008 - a frozen value
    ) -> tuple[JSONObject, bool]:
        """See GracefulDeleter. The first deletion answers with the definition: its objects are to go before it does."""
        if options.ignore_read_errors:
            return await super().delete(context, name, validate=validate, options=options)
        key = self.key(context, name)
        with translated(Operation.DELETE, self.resource, name):
            found = await self.storage.get(key)
        assert found is not None, "a missing object is an error here"
        obj = found.to_dict()
        preconditions = self._preconditions(obj, options)
        if deletion_timestamp_of(obj):
            options = msgspec.structs.replace(options, preconditions=preconditions)
            return await super().delete(context, name, validate=validate, options=options)

        def mark(found: Object | None, meta: ResponseMeta) -> Update:
            assert found is not None, "a missing object is an error of the storage here"
            present = found.to_dict()
            validate(present)
            return Update(self._marked(present))

        with translated(Operation.UPDATE, self.resource, name):
            if options.dry_run:
                return await dry_update(self.storage, key, mark, preconditions=preconditions), False
            stored = await self.storage.guaranteed_update(key, mark, preconditions=preconditions)
        return stored.to_dict(), False

    def _marked(self, crd: JSONObject) -> JSONObject:
        """The definition as one that goes once its objects are gone."""
        now = self.environment.now()
        finalizers = finalizers_of(crd)
        marks = {
            "deletionTimestamp": deletion_timestamp_of(crd) or now,
            "finalizers": finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER],
        }
        return with_deletion_pending(with_metadata(crd, marks), now=now)

    def _preconditions(self, crd: JSONObject, options: DeleteOptions) -> Preconditions:
        """Those of the caller, and that it is this very definition that is deleted.

        Raises:
            Conflict: one does not hold.
        """
        given = options.preconditions if options.preconditions is not None else Preconditions()
        for what, wanted, present in (
            ("UID", given.uid, text(crd, "uid")),
            ("ResourceVersion", given.resource_version, text(crd, "resourceVersion")),
        ):
            if wanted is not None and wanted != present:
                why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {present}"
                raise Conflict(self.resource, name_of(crd), why)
        return Preconditions(text(crd, "uid"), given.resource_version)
