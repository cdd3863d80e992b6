"""What a deletion makes of an object: gone at once, gone later, or held until its finalizers are gone. Pure.

    deletionTimestamp unset ── strategy gives seconds ──► marked: timestamp = now + seconds       GRACEFUL
                          └─── it gives none ───────────────────────────────────────────────      AT_ONCE
    set, grace 0 or unset ─────────────────────────────────────────────────────────────────       AT_ONCE
    set, grace > 0 ── options shorten it ──► timestamp moved back                                 GRACEFUL
                  └── otherwise ───────────────────────────────────────────────────────────       PENDING

AT_ONCE still means "once the finalizers are gone": with some left the object is marked and stays.
Source: kubernetes/apiserver pkg/registry/rest/delete.go (BeforeDelete), pkg/registry/generic/registry/store.go
(deletionFinalizersForGarbageCollection, markAsDeleting), apimachinery pkg/apis/meta/v1/validation (ValidateDeleteOptions).
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from ._errors import Conflict, GroupResource, Invalid
from ._field_errors import FieldError, invalid, not_supported
from ._meta import (
    JSONObject,
    deletion_timestamp_of,
    finalizers_of,
    generation_of,
    grace_period_of,
    name_of,
    parse_time,
    seconds_later,
    text,
    with_metadata,
)
from ._rest import Context, DeleteOptions
from ._strategy import DeleteStrategy, GarbageCollection
from ._validation_meta import FOREGROUND, ORPHAN

BACKGROUND_POLICY, FOREGROUND_POLICY, ORPHAN_POLICY = "Background", "Foreground", "Orphan"
_POLICIES = (FOREGROUND_POLICY, BACKGROUND_POLICY, ORPHAN_POLICY)
_DELETE_OPTIONS = GroupResource("meta.k8s.io", "DeleteOptions")


class Fate(enum.Enum):
    """What becomes of the object (see the drawing above)."""

    AT_ONCE = "at once"
    GRACEFUL = "graceful"
    PENDING = "pending"


class Verdict(msgspec.Struct, frozen=True):
    """What a deletion makes of an object."""

    fate: Fate
    obj: JSONObject
    """The object, marked where it is to be stored so."""
    options: DeleteOptions
    """The options as they were carried out: with the seconds that the object gets."""


def check_delete_options(options: DeleteOptions) -> None:
    """Raises Invalid where the options contradict each other, or name a policy that is none."""
    policy = options.propagation_policy
    wrong: list[FieldError] = []
    if policy is not None and options.orphan_dependents is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        wrong.append(invalid("propagationPolicy", policy, why))
    if policy is not None and policy not in _POLICIES:
        wrong.append(not_supported("propagationPolicy", policy, (*_POLICIES, "nil")))
    if wrong:
        raise Invalid(_DELETE_OPTIONS, "", wrong)


def judge(
    strategy: DeleteStrategy,
    context: Context,
    obj: JSONObject,
    options: DeleteOptions,
    *,
    kind: GroupResource,
    now: str,
) -> Verdict:
    """What the deletion makes of the object as it is.

    Raises:
        Invalid: the options cannot be.
        Conflict: a precondition does not hold.
    """
    check_delete_options(options)
    _check_preconditions(options, obj, kind)
    if options.grace_period_s is not None and options.grace_period_s < 0:
        options = msgspec.structs.replace(options, grace_period_s=1)
    if (grace_period_of(obj) or 0) < 0:
        obj = with_metadata(obj, {"deletionGracePeriodSeconds": 1})
    if deletion_timestamp_of(obj):
        return _judge_again(obj, options, now)
    seconds = strategy.check_graceful_delete(context, obj, options)
    if seconds is None:
        return Verdict(Fate.AT_ONCE, obj, options)
    marks = {"deletionTimestamp": seconds_later(now, seconds), "deletionGracePeriodSeconds": seconds}
    marked = with_metadata(obj, {**marks, **_next_generation(obj)})
    return Verdict(Fate.GRACEFUL, marked, msgspec.structs.replace(options, grace_period_s=seconds))


def _judge_again(obj: JSONObject, options: DeleteOptions, now: str) -> Verdict:
    """Of an object that somebody deleted before: its time may only be shortened."""
    present, wanted = grace_period_of(obj), options.grace_period_s
    if not present:
        return Verdict(Fate.AT_ONCE, obj, options)
    if wanted is None or wanted >= present:
        return Verdict(Fate.PENDING, obj, msgspec.structs.replace(options, grace_period_s=present))
    end = seconds_later(deletion_timestamp_of(obj), wanted - present)
    if parse_time(end) < parse_time(now):
        # A time that has passed already would tell the object's keeper that it may go this instant.
        end, wanted = now, min(wanted, 1)
    marks = {"deletionTimestamp": end, "deletionGracePeriodSeconds": wanted}
    return Verdict(Fate.GRACEFUL, with_metadata(obj, marks), msgspec.structs.replace(options, grace_period_s=wanted))


def _check_preconditions(options: DeleteOptions, obj: JSONObject, kind: GroupResource) -> None:
    if options.preconditions is None:
        return
    wanted, uid = options.preconditions.uid, text(obj, "uid")
    if wanted is not None and wanted != uid:
        why = f"the UID in the precondition ({wanted}) does not match the UID in record ({uid})."
        raise Conflict(kind, name_of(obj), f"{why} The object might have been deleted and then recreated")
    wanted, version = options.preconditions.resource_version, text(obj, "resourceVersion")
    if wanted is not None and wanted != version:
        why = f"the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version})."
        raise Conflict(kind, name_of(obj), f"{why} The object might have been modified")


def collection_finalizers(obj: JSONObject, options: DeleteOptions, default: GarbageCollection) -> list[str]:
    """The finalizers that the object is to have, so that its dependents meet the fate that was asked for."""
    present = finalizers_of(obj)
    if default is GarbageCollection.UNSUPPORTED:
        return present
    policy = _policy(present, options, default)
    kept = [name for name in present if name not in (ORPHAN, FOREGROUND)]
    wanted = kept + [ORPHAN] * (policy == ORPHAN_POLICY) + [FOREGROUND] * (policy == FOREGROUND_POLICY)
    return present if set(wanted) == set(present) else wanted


def _policy(finalizers: list[str], options: DeleteOptions, default: GarbageCollection) -> str:
    """What the options say, or what an earlier deletion said, or the resource's default."""
    if options.orphan_dependents is not None:
        return ORPHAN_POLICY if options.orphan_dependents else BACKGROUND_POLICY
    if options.propagation_policy is not None:
        return options.propagation_policy
    for name in finalizers:
        if name == ORPHAN:
            return ORPHAN_POLICY
        if name == FOREGROUND:
            return FOREGROUND_POLICY
    return ORPHAN_POLICY if default is GarbageCollection.ORPHAN_DEPENDENTS else BACKGROUND_POLICY


def marked_as_deleting(obj: JSONObject, now: str) -> JSONObject:
    """The object as one that goes as soon as its finalizers are gone."""
    since = deletion_timestamp_of(obj)
    marks: dict[str, Any] = {"deletionGracePeriodSeconds": 0}
    if not since:
        marks.update(_next_generation(obj))
    if not since or parse_time(since) > parse_time(now):
        marks["deletionTimestamp"] = now
    return with_metadata(obj, marks)


def _next_generation(obj: JSONObject) -> dict[str, int]:
    return {"generation": generation_of(obj) + 1} if generation_of(obj) > 0 else {}


def is_ready_to_go(new: JSONObject, old: JSONObject) -> bool:
    """Whether this update takes the last thing that kept a terminating object."""
    return not finalizers_of(new) and bool(deletion_timestamp_of(old)) and not grace_period_of(old)
