"""Strategies: what one resource does differently from the next, in the order in which RegistryStore asks.

    create    begin? ─ prepare_for_create ─ validate ─ warnings_on_create ─ canonicalize ─ stored
    update    prepare_for_update ─ validate_update ─ warnings_on_update ─ canonicalize ─ stored
    delete    check_graceful_delete ─ default_garbage_collection_policy

A strategy is pure: it gets objects, which it must not change, and returns others. `Strategy` is the base from which a
resource starts; its methods do what a resource without rules of its own does. Ten lines make a resource:

    class WidgetStrategy(Strategy):
        def validate(self, context, obj):
            size = obj.get("spec", {}).get("size", 0)
            return [] if size >= 0 else [invalid("spec.size", size, "must be greater than or equal to 0")]

Source: kubernetes/apiserver pkg/registry/rest (create.go, update.go, delete.go).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol

from ._errors import GroupResource
from ._field_errors import FieldError
from ._meta import JSONObject, generation_of, with_member, with_metadata
from ._names import NameCheck, name_is_subdomain
from ._rest import Context, DeleteOptions
from ._validation_meta import validate_core_meta, validate_core_meta_update


class GarbageCollection(enum.Enum):
    """What becomes of an object's dependents where the caller does not say."""

    DELETE_DEPENDENTS = "DeleteDependents"
    ORPHAN_DEPENDENTS = "OrphanDependents"
    UNSUPPORTED = "Unsupported"


class CreateStrategy(Protocol):
    """How objects are created."""

    @property
    def namespaced(self) -> bool:
        """False: they live in no namespace."""
        ...

    def default(self, obj: JSONObject) -> JSONObject:
        """The object with what the client left out filled in: what decoding does, before anything else sees it."""
        ...

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """The object without what a client may not set, and with what every new one has."""
        ...

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """What is wrong with it, the metadata included."""
        ...

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """What the client should know."""
        ...

    def canonicalize(self, obj: JSONObject) -> JSONObject:
        """The object in the form in which it is stored. After validation."""
        ...


class UpdateStrategy(Protocol):
    """How objects are updated. A subresource has its own: what it may not touch comes from the old object."""

    @property
    def namespaced(self) -> bool:
        """False: they live in no namespace."""
        ...

    @property
    def allow_create_on_update(self) -> bool:
        """Whether an update of nothing creates."""
        ...

    @property
    def allow_unconditional_update(self) -> bool:
        """Whether an update may leave the resourceVersion out."""
        ...

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """Paths of what an update here cannot change: nobody comes to own them by it."""
        ...

    def default(self, obj: JSONObject) -> JSONObject:
        """As CreateStrategy.default."""
        ...

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """`new` with what it may not change taken from `old`."""
        ...

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """What is wrong with it, its metadata included."""
        ...

    def warnings_on_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[str]:
        """What the client should know."""
        ...

    def canonicalize(self, obj: JSONObject) -> JSONObject:
        """As CreateStrategy.canonicalize."""
        ...


class DeleteStrategy(Protocol):
    """How objects are deleted."""

    def default_garbage_collection_policy(self, context: Context) -> GarbageCollection:
        """What becomes of dependents where the options do not say."""
        ...

    def check_graceful_delete(self, context: Context, obj: JSONObject, options: DeleteOptions) -> int | None:
        """The seconds that the object gets to go; None: it goes at once.

        Differs: Kubernetes' strategy returns a boolean and writes the seconds into the options.
        """
        ...


class Strategy:
    """What a resource without rules of its own does: the base of a resource's strategy, for all three verbs.

    Args:
        resource: plural and group.
        kind: what one object is.
        namespaced: False: objects live in no namespace.
        name_check: what a name may be.
        empty_status: of a resource whose status has a subresource of its own, what a new object has there; None: it has no
            such status, and counts no generations.
    """

    allow_create_on_update = False
    allow_unconditional_update = True

    def __init__(
        self,
        resource: GroupResource,
        kind: str,
        *,
        namespaced: bool = True,
        name_check: NameCheck = name_is_subdomain,
        empty_status: JSONObject | None = None,
    ) -> None:
        self.resource = resource
        self.kind = kind
        self.namespaced = namespaced
        self.name_check = name_check
        self.empty_status = empty_status

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """Paths of what a client cannot set, and so does not own: the status, where it is written by itself."""
        return () if self.empty_status is None else (("status",),)

    def default(self, obj: JSONObject) -> JSONObject:
        """Nothing is filled in."""
        return obj

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """The status is emptied, and the first generation counted, where there is a status."""
        if self.empty_status is None:
            return obj
        return with_metadata(with_member(obj, "status", dict(self.empty_status)), {"generation": 1})

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """The metadata's errors."""
        return validate_core_meta(obj, namespaced=self.namespaced, name_check=self.name_check)

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """None."""
        return []

    def canonicalize(self, obj: JSONObject) -> JSONObject:
        """As it is."""
        return obj

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The status stays, and a changed spec counts a generation, where there is a status."""
        if self.empty_status is None:
            return new
        kept = with_member(new, "status", old.get("status"))
        return count_generation(kept, old) if kept.get("spec") != old.get("spec") else kept

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """What is wrong with the metadata as an update's, and then what `validate` finds."""
        return validate_core_meta_update(new, old) + self.validate(context, new)

    def warnings_on_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[str]:
        """None."""
        return []

    def default_garbage_collection_policy(self, context: Context) -> GarbageCollection:
        """Dependents are deleted."""
        return GarbageCollection.DELETE_DEPENDENTS

    def check_graceful_delete(self, context: Context, obj: JSONObject, options: DeleteOptions) -> int | None:
        """Objects go at once."""
        return None


class StatusStrategy:
    """How the status of a resource is updated by itself: everything else but annotations and the like stays.

    Args:
        whole: the strategy of the object itself.
        kept: members of the object, and of its metadata, that a status update does not change.
    """

    allow_create_on_update = False

    def __init__(
        self, whole: Strategy, *, kept: tuple[str, ...] = ("spec",), kept_metadata: tuple[str, ...] = ()
    ) -> None:
        self.whole = whole
        self.kept = kept
        self.kept_metadata = kept_metadata
        self.namespaced = whole.namespaced
        self.allow_unconditional_update = whole.allow_unconditional_update

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """Paths of what a status update does not change."""
        return (*((member,) for member in self.kept), *(("metadata", member) for member in self.kept_metadata))

    def default(self, obj: JSONObject) -> JSONObject:
        """As the object itself."""
        return self.whole.default(obj)

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The new status on the old object."""
        kept = dict(new)
        for member in self.kept:
            kept = with_member(kept, member, old.get(member))
        meta: Mapping[str, object] = old.get("metadata") or {}
        return with_metadata(kept, {member: meta.get(member) for member in self.kept_metadata})

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """What is wrong with the metadata."""
        return validate_core_meta_update(new, old)

    def warnings_on_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[str]:
        """None."""
        return []

    def canonicalize(self, obj: JSONObject) -> JSONObject:
        """As the object itself."""
        return self.whole.canonicalize(obj)


def count_generation(new: JSONObject, old: JSONObject) -> JSONObject:
    """`new` as the generation after `old`'s."""
    return with_metadata(new, {"generation": generation_of(old) + 1})
