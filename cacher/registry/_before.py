"""What every create and every update goes through before it is stored, whatever the resource. Pure.

Source: kubernetes/apiserver pkg/registry/rest (create.go: BeforeCreate, FillObjectMetaSystemFields, WipeObjectMetaSystemFields;
update.go: BeforeUpdate; meta.go: EnsureObjectNamespaceMatchesRequestNamespace).
"""

from __future__ import annotations

from typing import Any

from ._errors import MODIFIED, BadRequest, Conflict, GroupResource, Invalid, PlainServerError, quoted
from ._field_errors import invalid
from ._meta import (
    JSONObject,
    deletion_timestamp_of,
    generation_of,
    grace_period_of,
    name_of,
    text,
    with_metadata,
)
from ._names import name_is_path_segment
from ._rest import Context
from ._strategy import CreateStrategy, UpdateStrategy
from ._validation_meta import validate_meta, validate_meta_update

_SYSTEM_FIELDS = ("creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
"""What only the server sets."""


def with_system_fields(obj: JSONObject, *, uid: str, now: str) -> JSONObject:
    """The object as a new one: with a uid and a time of its own, and without what a client said of these."""
    return with_metadata(obj, {**dict.fromkeys(_SYSTEM_FIELDS), "uid": uid, "creationTimestamp": now})


def before_create(strategy: CreateStrategy, context: Context, obj: JSONObject, kind: GroupResource) -> JSONObject:
    """The object as it is to be stored.

    Raises:
        BadRequest: it names another namespace than the request.
        Invalid: its fields must be mended.
    """
    obj = in_namespace(obj, context.namespace, namespaced=strategy.namespaced)
    obj = strategy.prepare_for_create(context, obj)
    if wrong := strategy.validate(context, obj):
        raise Invalid(_told_kind(obj, kind), name_of(obj), wrong)
    # Custom checks have passed; what any object must have is asked last, with the mildest rule for names.
    if wrong := validate_meta(obj, namespaced=strategy.namespaced, name_check=name_is_path_segment):
        raise Invalid(_told_kind(obj, kind), name_of(obj), wrong)
    for warning in strategy.warnings_on_create(context, obj):
        context.warn(warning)
    return strategy.canonicalize(obj)


def with_checked_version(
    obj: JSONObject, old: JSONObject, *, allow_unconditional: bool, resource: GroupResource, name: str
) -> JSONObject:
    """`obj` at the version of `old`, if it claims no other.

    Raises:
        Invalid: it claims none, and must.
        Conflict: it was made of another version.
        PlainServerError: what it claims is no version; Kubernetes answers so too.
    """
    version, present = text(obj, "resourceVersion"), text(old, "resourceVersion")
    if version and not (version.isascii() and version.isdigit()):
        raise PlainServerError(f"strconv.ParseUint: parsing {quoted(version)}: invalid syntax")
    is_unset = not version or not int(version)
    if is_unset and allow_unconditional:
        return with_metadata(obj, {"resourceVersion": present})
    if is_unset:
        raise Invalid(resource, name, [invalid("metadata.resourceVersion", 0, "must be specified for an update")])
    if int(version) != int(present):
        raise Conflict(resource, name, MODIFIED)
    return obj


def before_update(
    strategy: UpdateStrategy, context: Context, new: JSONObject, old: JSONObject, kind: GroupResource
) -> JSONObject:
    """The object as it is to replace `old`. Raises as `before_create`."""
    new = in_namespace(new, context.namespace, namespaced=strategy.namespaced)
    new = with_metadata(new, {"generation": generation_of(old) or None})
    new = strategy.prepare_for_update(context, new, old)
    new = _with_lasting_fields(new, old)
    wrong = validate_meta_update(new, old) + strategy.validate_update(context, new, old)
    if wrong:
        raise Invalid(_told_kind(new, kind), name_of(new), wrong)
    for warning in strategy.warnings_on_update(context, new, old):
        context.warn(warning)
    return strategy.canonicalize(new)


def _told_kind(obj: JSONObject, kind: GroupResource) -> GroupResource:
    """The kind that errors name: what the object says that it is, which of a custom resource may be wrong."""
    return GroupResource(kind.group, obj.get("kind") or kind.name)


def _with_lasting_fields(new: JSONObject, old: JSONObject) -> JSONObject:
    """`new` with what no update can take away."""
    lasting: dict[str, Any] = {"creationTimestamp": text(old, "creationTimestamp"), "selfLink": None}
    if not text(new, "uid"):
        lasting["uid"] = text(old, "uid")
    if deletion_timestamp_of(old):
        lasting["deletionTimestamp"] = deletion_timestamp_of(old)
    if grace_period_of(new) is None:
        lasting["deletionGracePeriodSeconds"] = grace_period_of(old)
    return with_metadata(new, lasting)


def in_namespace(obj: JSONObject, namespace: str, *, namespaced: bool) -> JSONObject:
    """The object in the request's namespace, or in none.

    Raises:
        BadRequest: it names another.
    """
    told = text(obj, "namespace")
    if not namespaced:
        return with_metadata(obj, {"namespace": None}) if told else obj
    if told == namespace:
        return obj
    if told:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    return with_metadata(obj, {"namespace": namespace})
