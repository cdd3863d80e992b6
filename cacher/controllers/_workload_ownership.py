"""Adopting and letting go, written down: the patches that make what was decided by `claims` true.

Source: kubernetes pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from reflector import JSONObject, ResourceClient
from watch import Conflict, Invalid, LabelSelector, NotFound, PatchType

from ._workload_claims import Candidate, adoption_patch, claims, release_patch
from ._workload_objects import MANAGER, is_terminating, name_of, namespace_of, uid_of

_TOO_LATE = (NotFound, Conflict, Invalid)
"""The object is gone, is another one, or has another owner by now: what it is will be told by the informer."""


class Named(Protocol):
    """What can be patched: an object, or a view of one."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...


T = TypeVar("T", bound=Named)


async def claim(
    objects: Sequence[T],
    read: Callable[[T], Candidate],
    resource: ResourceClient,
    owner: JSONObject,
    owners: ResourceClient,
    selector: LabelSelector,
    reference: JSONObject,
) -> list[T]:
    """Those of `objects` that are the owner's, after adopting what nobody has and letting go what it selects no longer.

    Args:
        read: what decides of one.
        resource: where the objects are written.
        owners: where the owner is asked for, before anything is adopted: the copy may not know that it goes.
        reference: what is written into what is adopted.
    """
    found = claims(objects, read, uid_of(owner), selector, is_owner_terminating=is_terminating(owner))
    own = list(found.own)
    if found.adopt and await _may_adopt(owners, owner):
        for obj in found.adopt:
            if await _patched(resource, obj, adoption_patch(reference, obj.uid)):
                own.append(obj)
    for obj in found.release:
        await _patched(resource, obj, release_patch(uid_of(owner), obj.uid))
    return own


async def _may_adopt(owners: ResourceClient, owner: JSONObject) -> bool:
    try:
        fresh = await owners.get(name_of(owner), namespace_of(owner))
    except NotFound:
        return False
    return uid_of(fresh) == uid_of(owner) and not is_terminating(fresh)


async def _patched(resource: ResourceClient, obj: Named, patch: JSONObject) -> bool:
    try:
        await resource.patch(obj.name, patch, obj.namespace, type=PatchType.STRATEGIC, field_manager=MANAGER)
    except _TOO_LATE:
        return False
    return True
