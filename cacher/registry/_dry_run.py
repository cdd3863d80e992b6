"""Verbs that answer as if they had been carried out, and store nothing.

Source: kubernetes/apiserver pkg/registry/generic/registry/dryrun.go.
"""

from __future__ import annotations

from typing import Any

import msgspec

from watch import Object

from ..storage import (
    Interface,
    InvalidObject,
    KeyExists,
    KeyNotFound,
    Preconditions,
    ResponseMeta,
    TryUpdate,
    read_value,
)
from ._meta import JSONObject, text, with_metadata


def _copy(value: JSONObject) -> JSONObject:
    copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return copied


async def dry_create(storage: Interface, key: str, obj: JSONObject) -> JSONObject:
    """The object as a create would store it: without a version.

    Raises:
        KeyExists: something is there.
    """
    if await storage.get(key, ignore_not_found=True) is not None:
        raise KeyExists(key)
    return _copy(obj)


async def dry_update(
    storage: Interface,
    key: str,
    try_update: TryUpdate,
    *,
    ignore_not_found: bool = False,
    preconditions: Preconditions | None = None,
) -> JSONObject:
    """The object as an update would store it, at the version that it has. One attempt; raises as `guaranteed_update`."""
    found = await storage.get(key, ignore_not_found=ignore_not_found)
    check_preconditions(preconditions, key, found)
    update = try_update(found, ResponseMeta(found.revision if found is not None else 0))
    version = str(found.revision) if found is not None else ""
    return with_metadata(_copy(read_value(update.value)), {"resourceVersion": version})


async def dry_delete(
    storage: Interface, key: str, *, preconditions: Preconditions | None = None, validate: object = None
) -> Object:
    """The object that a deletion would take. Raises as `Interface.delete`."""
    found = await storage.get(key)
    if found is None:
        raise KeyNotFound(key)
    check_preconditions(preconditions, key, found)
    return found


def check_preconditions(preconditions: Preconditions | None, key: str, obj: Object | None) -> None:
    """Raises InvalidObject where one does not hold, as storages do."""
    if preconditions is None:
        return
    whole = obj.to_dict() if obj is not None else {}
    wanted, uid = preconditions.uid, text(whole, "uid")
    if wanted is not None and wanted != uid:
        raise InvalidObject(
            key, detail=f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        )
    wanted, version = preconditions.resource_version, text(whole, "resourceVersion")
    if wanted is not None and wanted != version:
        detail = f"ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {version}"
        raise InvalidObject(key, detail=f"Precondition failed: {detail}")
