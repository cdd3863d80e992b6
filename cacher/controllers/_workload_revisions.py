"""ControllerRevisions, written down: what stateful sets and daemon sets remember of their templates.

Source: kubernetes pkg/controller/history/controller_history.go.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import final

from reflector import Client, JSONObject, SharedInformers
from watch import AlreadyExists, NotFound

from ._workload_heads import owned_by, with_owner_index
from ._workload_history import forgotten, history_of
from ._workload_objects import MANAGER, is_controlled_by, name_of, namespace_of, status_of, uid_of


class NameTaken(Exception):
    """A revision's name belongs to another one: write `collisions` into the owner's status, and another name is made."""

    def __init__(self, name: str, collisions: int) -> None:
        self.collisions = collisions
        super().__init__(f"the controller revision {name} is another's: count {collisions} collisions and try again")


@final
class Revisions:
    """The revisions of one kind of owners."""

    def __init__(self, client: Client, informers: SharedInformers, *, api_version: str, kind: str) -> None:
        self._api_version, self._kind = api_version, kind
        self._revisions = client.resource("apps/v1", "controllerrevisions")
        self.informer = with_owner_index(informers.informer("apps/v1", "controllerrevisions"))

    async def wait_until_synced(self) -> None:
        """Return once those that there are are known."""
        await self.informer.wait_until_synced()

    def of(self, owner: JSONObject) -> list[JSONObject]:
        """What is known of the owner's past."""
        return [one.to_dict() for one in owned_by(self.informer, uid_of(owner))]

    async def present(self, owner: JSONObject, known: list[JSONObject]) -> JSONObject:
        """The revision of the owner's template, made or numbered anew where that is needed.

        Raises:
            NameTaken: by the revision of another owner or template.
        """
        collisions = status_of(owner).get("collisionCount")
        history = history_of(owner, known, self._api_version, self._kind, collisions)
        namespace = namespace_of(owner)
        if history.renumber:
            return await self._revisions.update(history.present, namespace, field_manager=MANAGER)
        if not history.create:
            return history.present
        try:
            return await self._revisions.create(history.present, namespace, field_manager=MANAGER)
        except AlreadyExists:
            found = await self._revisions.get(name_of(history.present), namespace)
            if is_controlled_by(found, owner) and found.get("data") == history.present["data"]:
                return found  # made a moment ago, and not seen yet
            raise NameTaken(name_of(found), int(collisions or 0) + 1) from None

    async def forget(self, owner: JSONObject, known: list[JSONObject], live: Collection[str]) -> None:
        """Delete what is more than the owner keeps, and not in use."""
        for one in forgotten(owner, known, live):
            try:
                await self._revisions.delete(name_of(one), namespace_of(one), uid=uid_of(one))
            except NotFound:
                continue
