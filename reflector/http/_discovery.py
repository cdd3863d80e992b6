"""What a server calls its resources: kinds and scopes, asked for when somebody needs to know, and remembered.

Source: the legacy discovery documents, `/api/v1` and `/apis/GROUP/VERSION`, which every API server has.
"""

from __future__ import annotations

import msgspec
import trio

from watch import NotFound, UnknownResource

from ._answers import BadAnswer
from ._paths import group_path
from ._transport import Transport


class APIResource(msgspec.Struct, frozen=True):
    """A resource, or a subresource ("pods/binding"), as its server tells of it."""

    name: str
    kind: str
    namespaced: bool = True
    group: str = ""
    """Of the kind; "" with `version` "": that of the list."""
    version: str = ""

    def api_version(self, group_version: str) -> str:
        """What its objects call themselves. `group_version`: where it is served."""
        if not self.version:
            return group_version
        return f"{self.group}/{self.version}" if self.group else self.version


class _APIResourceList(msgspec.Struct, frozen=True):
    resources: tuple[APIResource, ...] | None = ()


class Discovery:
    """The resources of a server. What is not known is asked for again: it may have been defined meanwhile."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: dict[str, dict[str, APIResource]] = {}
        self._lock = trio.Lock()

    async def find(self, group_version: str, name: str) -> APIResource:
        """The resource `pods`, or the subresource `pods/binding`.

        Raises:
            watch.UnknownResource: the server has none of that name.
            others as Transport.call.
        """
        found = self._known.get(group_version, {}).get(name)
        if found is None:
            async with self._lock:  # one asks for all that are waiting
                found = self._known.get(group_version, {}).get(name)
                if found is None:
                    self._known[group_version] = await self._ask(group_version)
                    found = self._known[group_version].get(name)
        if found is None:
            raise UnknownResource(f"{group_version} {name}")
        return found

    async def _ask(self, group_version: str) -> dict[str, APIResource]:
        try:
            response = await self._transport.call("GET", group_path(group_version))
        except (NotFound, UnknownResource):
            return {}
        try:
            answer = msgspec.json.decode(response.body, type=_APIResourceList)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadAnswer(f"the server's list of resources cannot be read: {error}") from error
        return {resource.name: resource for resource in answer.resources or ()}
