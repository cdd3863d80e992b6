"""How many pods each ReplicaSet of a deployment is to have: the arithmetic of rollouts. Pure.

    a rollout      new set: as many as surge allows      old sets: the unhealthy first, then as many as availability allows
    a new number   one set: it gets it                   several: each its share, the rest to the largest

Sets are sized one step at a time, and what a step assumes is what was seen: pods are never counted as available before they are.

Source: kubernetes pkg/controller/deployment/{rolling,sync}.go, util/deployment_util.go.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reflector import JSONObject

from ._workload_objects import annotations_of, meta, name_of, replicas_of, rounded, scaled, spec_of, status_of

DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"

INT32_MAX = 2**31 - 1


class Resize(msgspec.Struct, frozen=True):
    """`replica_set` is to have `size` pods."""

    replica_set: JSONObject
    size: int


def is_rolling(deployment: JSONObject) -> bool:
    """Whether old and new pods may be there at once."""
    return (spec_of(deployment).get("strategy") or {}).get("type") != "Recreate"


def fenceposts(deployment: JSONObject) -> tuple[int, int]:
    """(surge, unavailable): how many pods more and fewer than wanted there may be during a rollout; never both 0.

    Source: ResolveFenceposts.
    """
    rolling = (spec_of(deployment).get("strategy") or {}).get("rollingUpdate") or {}
    wanted = replicas_of(deployment)
    surge = scaled(rolling.get("maxSurge"), wanted, up=True)
    unavailable = scaled(rolling.get("maxUnavailable"), wanted, up=False)
    # A surge may be 0 because of rounding, and then nothing could ever move.
    return (surge, unavailable) if surge or unavailable else (0, 1)


def max_surge(deployment: JSONObject) -> int:
    """How many pods more than wanted there may be."""
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: JSONObject) -> int:
    """How many of the wanted pods may be unavailable."""
    if not is_rolling(deployment) or not replicas_of(deployment):
        return 0
    return min(fenceposts(deployment)[1], replicas_of(deployment))


def available_of(replica_set: JSONObject) -> int:
    """How many of its pods are available."""
    return int(status_of(replica_set).get("availableReplicas") or 0)


def total(sets: Sequence[JSONObject]) -> int:
    """How many pods they are to have."""
    return sum(replicas_of(one) for one in sets)


def by_age(sets: Sequence[JSONObject]) -> list[JSONObject]:
    """The oldest first."""
    return sorted(sets, key=lambda one: (meta(one).get("creationTimestamp", ""), name_of(one)))


def active(sets: Sequence[JSONObject]) -> list[JSONObject]:
    """Those that are to have pods."""
    return [one for one in sets if replicas_of(one) > 0]


# --- a rollout --------------------------------------------------------------------------------------------------------


def new_set_size(deployment: JSONObject, all_sets: Sequence[JSONObject], new: JSONObject) -> int:
    """How many pods the new set may have now, with the others as they are. Source: NewRSNewReplicas."""
    wanted, present = replicas_of(deployment), replicas_of(new)
    if not is_rolling(deployment):
        return wanted
    room = wanted + max_surge(deployment) - total(all_sets)
    if room <= 0:
        return present
    return present + min(room, wanted - present)


def resize_new_set(deployment: JSONObject, all_sets: Sequence[JSONObject], new: JSONObject) -> Resize | None:
    """What the new set needs: more where there is room, fewer where it has more than is wanted."""
    wanted, present = replicas_of(deployment), replicas_of(new)
    if present == wanted:
        return None
    size = wanted if present > wanted else new_set_size(deployment, all_sets, new)
    return None if size == present else Resize(new, size)


def shrink_old_sets(deployment: JSONObject, old: Sequence[JSONObject], new: JSONObject) -> list[Resize]:
    """What old sets can give up without fewer pods being available than must be. Source: reconcileOldReplicaSets.

    Pods of the new set that are not available yet count as missing, so that a new set that never becomes available takes
    nothing from the old ones.
    """
    if not total(old):
        return []
    must_have = replicas_of(deployment) - max_unavailable(deployment)
    not_yet = replicas_of(new) - available_of(new)
    may_go = total(old) + replicas_of(new) - must_have - not_yet
    if may_go <= 0:
        return []
    sizes = {name_of(one): replicas_of(one) for one in old}
    _drop_unhealthy(by_age(old), sizes, may_go)
    spare = sum(available_of(one) for one in (*old, new)) - must_have
    _drop_available(by_age(old), sizes, spare)
    return [Resize(one, sizes[name_of(one)]) for one in by_age(old) if sizes[name_of(one)] != replicas_of(one)]


def _drop_unhealthy(old: Sequence[JSONObject], sizes: dict[str, int], may_go: int) -> None:
    """Pods that are not available anyway go first, so that a broken rollout is not kept waiting by them."""
    for one in old:
        gone = min(may_go, sizes[name_of(one)] - available_of(one))
        if gone > 0:
            sizes[name_of(one)] -= gone
            may_go -= gone


def _drop_available(old: Sequence[JSONObject], sizes: dict[str, int], spare: int) -> None:
    for one in old:
        gone = min(max(spare, 0), sizes[name_of(one)])
        sizes[name_of(one)] -= gone
        spare -= gone


# --- a new number of pods ---------------------------------------------------------------------------------------------


def is_scaling(deployment: JSONObject, sets: Sequence[JSONObject]) -> bool:
    """Whether the deployment's number was changed since its sets were sized. Source: isScalingEvent."""
    for one in active(sets):
        desired = read_number(one, DESIRED_REPLICAS)
        if desired is not None and desired != replicas_of(deployment):
            return True
    return False


def scale(deployment: JSONObject, old: Sequence[JSONObject], new: JSONObject | None) -> list[Resize]:
    """The sizes for another number of pods, outside of a rollout's steps or in the middle of them. Source: scale.

    In the list are all sets that were looked at, also those whose size stays: their annotations may have to change.
    """
    only = _active_or_latest(old, new)
    if only is not None:
        wanted = replicas_of(deployment)
        return [] if replicas_of(only) == wanted else [Resize(only, wanted)]
    if new is not None and _is_saturated(deployment, new):
        return [Resize(one, 0) for one in active(by_age(old))]
    if not is_rolling(deployment):
        return []
    return _proportional(deployment, active([*old, *([new] if new is not None else [])]))


def _active_or_latest(old: Sequence[JSONObject], new: JSONObject | None) -> JSONObject | None:
    """The one set that is to have pods; where none is, the new one or the latest; None where several are."""
    newest_first = by_age(old)[::-1]
    found = active([*newest_first, *([new] if new is not None else [])])
    if not found:
        return new if new is not None else next(iter(newest_first), None)
    return found[0] if len(found) == 1 else None


def _is_saturated(deployment: JSONObject, new: JSONObject) -> bool:
    wanted = replicas_of(deployment)
    return read_number(new, DESIRED_REPLICAS) == wanted == replicas_of(new) == available_of(new)


def _proportional(deployment: JSONObject, sets: list[JSONObject]) -> list[Resize]:
    wanted = replicas_of(deployment)
    allowed = wanted + max_surge(deployment) if wanted else 0
    to_add = allowed - total(sets)
    # The largest first, since it takes what is left over; of equal ones the newest grows and the oldest shrinks.
    ordered = by_age(sets)[::-1] if to_add > 0 else by_age(sets)
    ordered.sort(key=replicas_of, reverse=True)
    sizes: list[int] = []
    added = 0
    for one in ordered:
        share = _share(deployment, one, to_add, added)
        sizes.append(replicas_of(one) + share)
        added += share
    if sizes:
        sizes[0] = max(0, sizes[0] + to_add - added)
    return [Resize(one, size) for one, size in zip(ordered, sizes, strict=True)]


def _share(deployment: JSONObject, one: JSONObject, to_add: int, added: int) -> int:
    """The set's part of `to_add`, never more than is left of it. Source: GetReplicaSetProportion."""
    if not replicas_of(one) or to_add in (0, added):
        return 0
    fair, left = _fair_share(deployment, one), to_add - added
    return min(fair, left) if to_add > 0 else max(fair, left)


def _fair_share(deployment: JSONObject, one: JSONObject) -> int:
    """So that the set keeps its part of all pods there may be."""
    wanted, present = replicas_of(deployment), replicas_of(one)
    if not wanted:
        return -present
    before = read_number(one, MAX_REPLICAS) or int(status_of(deployment).get("replicas") or 0)
    if not before:
        return 0
    return rounded(present * (wanted + max_surge(deployment)) / before) - present


# --- what sets remember of the number they were sized for ---------------------------------------------------------------


def size_annotations(deployment: JSONObject) -> dict[str, str]:
    """What is written into each set that is sized."""
    wanted = replicas_of(deployment)
    return {DESIRED_REPLICAS: str(wanted), MAX_REPLICAS: str(wanted + max_surge(deployment))}


def read_number(obj: JSONObject, annotation: str) -> int | None:
    """The number in that annotation; None where there is none, or none that is a 32-bit number."""
    text = annotations_of(obj).get(annotation, "")
    if not text.isascii() or not text.isdigit() or int(text) > INT32_MAX:
        return None
    return int(text)
