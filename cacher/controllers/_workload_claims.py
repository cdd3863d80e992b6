"""Who belongs to whom: objects that a controller adopts, and those that it lets go. Pure.

    controlled by it, selected        its own
    controlled by it, not selected    let go, and then nobody's
    controlled by nobody, selected    adopted, unless one of both is being deleted
    controlled by another             not its concern, whatever its labels say

Source: kubernetes pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from reflector import JSONObject
from watch import LabelSelector

T = TypeVar("T")


class Candidate(msgspec.Struct, frozen=True):
    """What the decision is made by."""

    owner_uid: str
    """"" where nobody controls it."""
    labels: Mapping[str, str]
    is_terminating: bool
    is_adoptable: bool = True
    """False for what nobody wants to have: a pod that has ended."""


class Claims(msgspec.Struct, Generic[T], frozen=True):
    """What is its own, and what becomes or ceases to be."""

    own: tuple[T, ...]
    adopt: tuple[T, ...]
    release: tuple[T, ...]


def claims(
    objects: Sequence[T],
    read: Callable[[T], Candidate],
    owner_uid: str,
    selector: LabelSelector,
    *,
    is_owner_terminating: bool,
) -> Claims[T]:
    """What of `objects` belongs to the owner of that uid, which selects by `selector`.

    An owner that is being deleted neither adopts nor lets go: what it has shall go with it.
    """
    own: list[T] = []
    adopt: list[T] = []
    release: list[T] = []
    for obj in objects:
        seen = read(obj)
        is_selected = selector.matches(seen.labels)
        if seen.owner_uid == owner_uid:
            if is_selected:
                own.append(obj)
            elif not is_owner_terminating:
                release.append(obj)
        elif not seen.owner_uid and is_selected and not (is_owner_terminating or seen.is_terminating):
            adopt += [obj] if seen.is_adoptable else []
    return Claims(tuple(own), tuple(adopt), tuple(release))


def adoption_patch(reference: JSONObject, uid: str) -> JSONObject:
    """The strategic patch that adopts the object of that uid, and no namesake."""
    return {"metadata": {"uid": uid, "ownerReferences": [reference]}}


def release_patch(owner_uid: str, uid: str) -> JSONObject:
    """The strategic patch that lets the object of that uid go."""
    return {"metadata": {"uid": uid, "ownerReferences": [{"$patch": "delete", "uid": owner_uid}]}}
