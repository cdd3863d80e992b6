"""Custom resources as RESTStorage: the rules of one version of a definition, its status, and its table. Pure but for the store.

    CustomResourceStorage
    ├── whole     CustomResourceStore    all verbs; generation counts all but metadata; the version is always to be named
    ├── status    SubresourceStore       where the definition has one: the status alone
    └── scale     CustomScaleStore       where it has one: see `_custom_scale`

Source: kubernetes/apiextensions-apiserver pkg/registry/customresource (strategy.go, status_strategy.go, validator.go, etcd.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._errors import APIError, GroupResource, MethodNotAllowed, quoted
from ._field_errors import FieldError
from ._meta import JSONObject, finalizers_of, parse_time
from ._names import name_is_path_segment, name_is_subdomain, qualified_name
from ._rest import Context, CreateOptions
from ._store import Descriptor, Finish, Hooks, RegistryStore
from ._strategy import Strategy
from ._validation_meta import FOREGROUND, ORPHAN, validate_meta, validate_meta_update

if TYPE_CHECKING:
    from .._resources import ResourceInfo
    from ..storage import Interface
    from ._rest import Environment
    from .schema import Definition, Version

_STANDARD_FINALIZERS = ("kubernetes", ORPHAN, FOREGROUND)


class _Terminating(MethodNotAllowed):
    """The definition is about to go: wait until it is gone, and make it anew."""

    def __init__(self, resource: GroupResource) -> None:
        super().__init__(resource, "create")
        APIError.__init__(self, "create not allowed while custom resource definition is terminating", self.details)


class Life:
    """How a definition's life concerns its objects. Shared by all that serves it."""

    def __init__(self) -> None:
        self.is_terminating = False
        """It was deleted, and nothing new may be created."""


class CustomResourceStrategy(Strategy):
    """The rules of one version of a custom resource."""

    allow_unconditional_update = False

    def __init__(self, definition: Definition, version: Version) -> None:
        super().__init__(
            GroupResource(definition.group, definition.names.plural),
            definition.names.kind,
            namespaced=definition.is_namespaced,
            name_check=name_is_subdomain,
        )
        self.version = version

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """The status, where it is a subresource."""
        return (("status",),) if self.version.has_status else ()

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """See Version.prepared_for_create."""
        return self.version.prepared_for_create(obj)

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, schema and rules."""
        metadata = validate_meta(obj, namespaced=self.namespaced, name_check=self.name_check)
        return self.version.validate(obj, check_metadata=embedded_metadata_errors, metadata_errors=metadata)

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """What is wrong with the names of finalizers; and where the version is a deprecated one, that it is."""
        return finalizer_warnings(obj, {}) + self.deprecation()

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """See Version.prepared_for_update."""
        return self.version.prepared_for_update(new, old)

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, schema and rules; what was wrong before, and did not change, is overlooked."""
        metadata = validate_meta_update(new, old)
        return self.version.validate(new, old, check_metadata=embedded_metadata_errors, metadata_errors=metadata)

    def warnings_on_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[str]:
        """As `warnings_on_create`, of the finalizers that are new."""
        return finalizer_warnings(new, old) + self.deprecation()

    def deprecation(self) -> list[str]:
        """That the version is a deprecated one; [] where it is not."""
        return [self.version.deprecation_warning] if self.version.deprecation_warning else []


class CustomStatusStrategy:
    """How the status of a custom resource is updated by itself: nothing else changes.

    Differs: of what the schema does not name at the top of an object, a writer of the status comes to own what it changes.
    """

    allow_create_on_update = False
    allow_unconditional_update = False

    def __init__(self, whole: CustomResourceStrategy) -> None:
        self.whole = whole
        self.namespaced = whole.namespaced

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """All but the status."""
        named = {"metadata", "spec", *(self.whole.version.schema.properties or {})} - {"status", "apiVersion", "kind"}
        return tuple((name,) for name in sorted(named))

    def default(self, obj: JSONObject) -> JSONObject:
        """Nothing: decoding did it."""
        return obj

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """See Version.prepared_for_status_update."""
        return self.whole.version.prepared_for_status_update(new, old)

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, the status's schema, and the rules of the whole."""
        version, metadata = self.whole.version, validate_meta_update(new, old)
        return version.validate_status(new, old, check_metadata=embedded_metadata_errors, metadata_errors=metadata)

    def warnings_on_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[str]:
        """That the version is a deprecated one."""
        return self.whole.deprecation()

    def canonicalize(self, obj: JSONObject) -> JSONObject:
        """As it is."""
        return obj


class CustomResourceStore(RegistryStore):
    """The objects of one version of a definition."""

    def __init__(
        self,
        storage: Interface,
        info: ResourceInfo,
        definition: Definition,
        version: Version,
        life: Life,
        *,
        environment: Environment,
    ) -> None:
        names = definition.names

        def refuse_while_terminating(context: Context, obj: JSONObject, options: CreateOptions) -> Finish:
            """Differs: an apply that creates is refused too."""
            if life.is_terminating:
                raise _Terminating(self.resource)
            return _nothing_to_finish

        self.strategy = CustomResourceStrategy(definition, version)
        super().__init__(
            storage,
            info,
            self.strategy,
            environment=environment,
            hooks=Hooks(begin_create=refuse_while_terminating),
            descriptor=Descriptor(names.singular, names.short_names, names.categories, names.list_kind),
        )
        self.version = version
        self.storage_version = definition.storage_version.name
        """In which its objects are stored."""

    def convert_to_table(self, objects: Sequence[JSONObject]) -> JSONObject:
        """The columns that the definition names; the age, where it names none."""
        now_s = parse_time(self.environment.now()).timestamp()
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {},
            "columnDefinitions": [column.definition() for column in self.version.columns],
            "rows": [{"cells": self.version.cells(obj, now_s=now_s), "object": obj} for obj in objects],
        }


def _nothing_to_finish(success: bool) -> None:
    """A create that may go on."""


def embedded_metadata_errors(metadata: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with the metadata of an object within an object, but for its name."""
    obj = {"metadata": {**metadata, "name": "named-elsewhere"}}
    is_namespaced = bool(metadata.get("namespace"))
    return validate_meta(obj, namespaced=is_namespaced, name_check=name_is_path_segment, path=path)


def finalizer_warnings(new: JSONObject, old: JSONObject) -> list[str]:
    """What is wrong with the names of the finalizers that `old` does not have."""
    warnings: list[str] = []
    for name in sorted({*finalizers_of(new)} - {*finalizers_of(old)}):
        problems = qualified_name(name)
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            problems = [
                *problems,
                "prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other "
                "finalizer writers",
            ]
        warnings += [f"metadata.finalizers: {quoted(name)}: {problem}" for problem in problems]
    return warnings
