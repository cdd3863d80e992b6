"""Writes to exactly what was read: this object and no other of its name, in this version and no later one. Pure.

What a controller decides, it decides on something that it saw; by the time its write arrives that may be another object under
the same name, or the same one in another state. With the uid and the resource version of what was seen in the write, the store
compares, and answers Conflict where it differs: then nothing was done, and the next reconcile decides anew. This also fences off a
leader that was suspended and wakes up late.
"""

from __future__ import annotations

from typing import Any, Protocol

from watch import Object, PatchType

from ._client import JSONObject, ResourceClient

Seen = Object | JSONObject
"""What a decision was made on: out of a copy, or as a verb answered it."""


class Updater(Protocol):
    """A resource, or a part of its objects, such as `status`."""

    async def update(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject: ...


class Patcher(Protocol):
    """A resource, or a part of its objects, such as `status`."""

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
        force: bool | None = None,
        field_manager: str = "",
    ) -> JSONObject: ...


async def update_exactly(door: Updater, seen: Seen, changed: JSONObject, *, field_manager: str = "") -> JSONObject:
    """Put `changed` in place of `seen`, and of nothing else. `changed` is not changed; it need not name uid or version.

    Raises:
        Conflict: it is another object, or in another version: read again, decide again.
        ValueError: `seen` has no uid or no version, or `changed` another name: what is to be written is not what was seen.
    """
    name, namespace, exactly = _identity(seen)
    metadata = changed.get("metadata") or {}
    if metadata.get("name", name) != name:
        raise ValueError(
            f"the update is of {metadata['name']!r} and was decided on {name!r}: hand in what was seen of it"
        )
    body = {**changed, "metadata": {**metadata, "name": name, **exactly}}
    return await door.update(body, namespace, field_manager=field_manager)


async def patch_exactly(
    door: Patcher,
    seen: Seen,
    patch: JSONObject,
    *,
    type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
    field_manager: str = "",
) -> JSONObject:
    """Change what was `seen`, and nothing else, by a merge patch or one like it.

    Raises:
        Conflict: it is another object, or in another version: read again, decide again.
        ValueError: `seen` has no uid or no version; or this is a JSON patch, which can say the same by operations `test`.
    """
    if type is PatchType.JSON or not isinstance(patch, dict):
        raise ValueError(
            "a JSON patch has no metadata to name a version in: begin it with `test` operations, or use a merge patch"
        )
    name, namespace, exactly = _identity(seen)
    body = {**patch, "metadata": {**(patch.get("metadata") or {}), **exactly}}
    return await door.patch(name, body, namespace, type=type, field_manager=field_manager)


async def delete_exactly(
    door: ResourceClient,
    seen: Seen,
    *,
    any_version: bool = False,
    grace_period_s: int | None = None,
    propagation_policy: str | None = None,
) -> bool:
    """Delete what was `seen`, and nothing else; whether it is gone.

    Args:
        any_version: this very object, however it may have changed since.
    Raises:
        Conflict: it is another object, or in another version: read again, decide again.
        NotFound: it is gone already.
        ValueError: `seen` has no uid or no version.
    """
    name, namespace, exactly = _identity(seen)
    return await door.delete(
        name,
        namespace,
        grace_period_s=grace_period_s,
        uid=exactly["uid"],
        resource_version=None if any_version else exactly["resourceVersion"],
        propagation_policy=propagation_policy,
    )


def controller_reference(owner: Seen, api_version: str, kind: str) -> JSONObject:
    """The owner reference by which `owner` manages an object: for `metadata.ownerReferences`, once an object.

    Raises:
        ValueError: `owner` has no uid: a reference without it owns whatever has the name.
    Source: kubernetes apimachinery pkg/apis/meta/v1/controller_ref.go, NewControllerRef.
    """
    name, namespace, uid, _ = _names(owner)
    if not (name and uid):
        raise ValueError(f"{namespace}/{name} was seen with uid {uid!r}: read it before it owns anything")
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _identity(seen: Seen) -> tuple[str, str | None, dict[str, str]]:
    """(name, namespace, the metadata that tell it from all others)."""
    name, namespace, uid, version = _names(seen)
    if not (name and uid and version and version != "0"):
        raise ValueError(
            f"{namespace}/{name} was seen with uid {uid!r} and version {version!r}: read it before it is written"
        )
    return name, namespace or None, {"uid": uid, "resourceVersion": version}


def _names(seen: Seen) -> tuple[str, str, str, str]:
    """(name, namespace, uid, version), empty where there is none."""
    if isinstance(seen, Object):
        return seen.name, seen.namespace or "", seen.uid, seen.resource_version
    metadata = seen.get("metadata") or {}
    return (
        metadata.get("name", ""),
        metadata.get("namespace", ""),
        metadata.get("uid", ""),
        metadata.get("resourceVersion", ""),
    )
