"""Which keys a change of an object is about, and which changes matter to a controller. Pure.

A controller has one kind of object that it keeps in order, and watches others for their sake: a ReplicaSet's pods, say. A key
function says of any of these objects whose turn it is when it changes; a predicate says whether the change matters at all.

Source: controller-runtime pkg/handler/enqueue_owner.go and pkg/predicate/predicate.go; kubernetes apimachinery
pkg/apis/meta/v1/controller_ref.go, GetControllerOf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from watch import Object

KeyFunction = Callable[[Object], str | Iterable[str] | None]
"""The keys that a change of this object is about: one, several, or none."""

Predicate = Callable[[Object | None, Object | None], bool]
"""Whether a change matters, by the object before and after it: None before an addition, and None after a deletion."""


class OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    """Who an object belongs to. The names are the API's."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    owner_references: list[OwnerReference] | None = None
    generation: int = 0


class _Head(msgspec.Struct, frozen=True):
    metadata: _Metadata | None = None


_READER = msgspec.json.Decoder(_Head)  # the rest is skipped unread: 1-2 µs where `parse` takes 10
_NONE = _Metadata()


def _metadata(obj: Object) -> _Metadata:
    return _READER.decode(obj.raw).metadata or _NONE


def controller_of(obj: Object) -> OwnerReference | None:
    """The one owner that manages `obj`; None where it has none.

    Raises:
        msgspec.ValidationError: its owner references are none; no API server stores such an object.
    Cost: O(size), about 1 µs a KB.
    """
    return next((owner for owner in _metadata(obj).owner_references or () if owner.controller), None)


def owner_key(kind: str, group: str | None = None, *, namespaced: bool = True) -> KeyFunction:
    """Keys of the controller owners of this kind: a pod's change is about the ReplicaSet that manages it.

    Args:
        kind: such as "ReplicaSet".
        group: such as "apps" ("" is the core group), in any version of it; None: whatever group.
        namespaced: whether such owners live in namespaces; they live in the object's own.

    >>> from watch import ObjectReader
    >>> owner = '{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d", "uid": "u", "controller": true}'
    >>> raw = '{"metadata": {"name": "web-7d-x", "namespace": "shop", "ownerReferences": [%s]}}' % owner
    >>> pod = ObjectReader().read("/registry/pods/shop/web-7d-x", raw.encode(), 7)
    >>> owner_key("ReplicaSet")(pod), owner_key("Job")(pod), owner_key("ReplicaSet", "batch")(pod)
    ('shop/web-7d', None, None)
    """

    def key(obj: Object) -> str | None:
        owner = controller_of(obj)
        if owner is None or owner.kind != kind:
            return None
        if group is not None and owner.api_version.rpartition("/")[0] != group:
            return None
        return f"{obj.namespace}/{owner.name}" if namespaced and obj.namespace else owner.name

    return key


def spec_changed(old: Object | None, new: Object | None) -> bool:
    """Additions, deletions, and updates with another `metadata.generation`: where a controller writes status, not its own echo.

    Only for kinds whose generation counts. What changes no generation passes unseen: labels, annotations, finalizers.
    Source: controller-runtime GenerationChangedPredicate.
    """
    return old is None or new is None or _metadata(old).generation != _metadata(new).generation


def labels_changed(old: Object | None, new: Object | None) -> bool:
    """Additions, deletions, and updates that change labels."""
    return old is None or new is None or old.labels != new.labels


def revision_changed(old: Object | None, new: Object | None) -> bool:
    """Whatever happened, and no resync: this replays what is known already, under the same revision."""
    return old is None or new is None or old.revision != new.revision or old.uid != new.uid


def any_of(*predicates: Predicate) -> Predicate:
    """Whether a change matters to any of them.

    >>> matters = any_of(labels_changed, revision_changed)
    >>> matters(None, None)
    True
    """

    def matters(old: Object | None, new: Object | None) -> bool:
        return any(predicate(old, new) for predicate in predicates)

    return matters


def keys_of(function: KeyFunction, *objects: Object | None) -> tuple[str, ...]:
    """Each key that `function` finds for these objects, once, in order. Cost: O(keys)."""
    found: dict[str, None] = {}
    for obj in objects:
        keys = function(obj) if obj is not None else None
        if isinstance(keys, str):
            found[keys] = None
        elif keys is not None:
            found.update(dict.fromkeys(keys))
    return tuple(found)
