"""A subresource as a controller uses it: part of each object, by the verbs of reflector.PartClient."""

from __future__ import annotations

from typing import Any, final

from watch import PatchType

from .registry import JSONObject, ResourceDoor


@final
class Subresource:
    """The door to a part of each object: `status`, `scale`, `binding`, `eviction`. Made by `Resource.subresource`.

    Objects are JSON data; what is handed in is not changed. All verbs raise cacher.registry.APIError, of the class that says who
    must act; what the part cannot do is MethodNotAllowed.
    """

    def __init__(self, door: ResourceDoor) -> None:
        self.api = door
        """All verbs with all of their options."""

    async def get(self, name: str, namespace: str | None = None) -> JSONObject:
        """The part as it is now. Raises NotFound."""
        return await self.api.get(name, namespace)

    async def create(self, obj: JSONObject, namespace: str | None = None) -> JSONObject:
        """What came of it; `obj` has the name of the object below which it is created, as `binding` and `eviction` have."""
        return await self.api.create(obj, namespace, name=_name(obj))

    async def update(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """The object (of a scale, the scale) as it was stored. Raises Conflict, NotFound, Invalid, …"""
        return await self.api.update(obj, namespace, field_manager=field_manager)

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
        force: bool | None = None,
        field_manager: str = "",
    ) -> JSONObject:
        """The object as it was stored with the patch applied."""
        patched, _ = await self.api.patch(name, patch, namespace, type=type, force=force, field_manager=field_manager)
        return patched


def _name(obj: JSONObject) -> str:
    """`metadata.name`, "" where the object has none, or none that is a text: the door says what is wrong with it."""
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""
