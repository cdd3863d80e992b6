"""An API with leases alone, that is as slow and as unreliable as a test wants."""

from __future__ import annotations

from typing import Any

import trio

from watch import MODIFIED, APIError, Conflict, GroupResource, NotFound, ServiceUnavailable

LEASES = GroupResource("coordination.k8s.io", "leases")


class LeaseApi:
    """What all candidates share: the lease itself, by its name, and what was asked."""

    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self.revision = 0
        self.asked: list[tuple[float, str, str]] = []

    def holder(self, name: str = "shop") -> str:
        return str(self.leases[name]["spec"]["holderIdentity"])


class LeaseClient:
    """One candidate's way to it. `before_s`, `after_s`: how long a request and its answer take; `is_down`: nothing gets through."""

    def __init__(self, api: LeaseApi, name: str = "api") -> None:
        self.api = api
        self.name = name
        self.before_s = self.after_s = 0.0
        self.is_down = False
        self.hangs = False

    def resource(self, version: str, plural: str) -> Any:
        assert (version, plural) == ("coordination.k8s.io/v1", "leases")
        return self

    async def _pass(self, verb: str, seconds: float) -> None:
        if self.hangs:
            await trio.sleep_forever()
        await trio.sleep(seconds)
        if self.is_down:
            raise ServiceUnavailable(f"nothing gets through to {verb}")

    async def get(self, name: str, namespace: str | None = None) -> dict[str, Any]:
        await self._pass("get", self.before_s)
        self.api.asked.append((trio.current_time(), self.name, "get"))
        found = self.api.leases.get(name)
        await self._pass("get", self.after_s)
        if found is None:
            raise NotFound(LEASES, name)
        return found

    async def create(self, obj: dict[str, Any], namespace: str | None = None, **_: Any) -> dict[str, Any]:
        return await self._write("create", obj)

    async def update(self, obj: dict[str, Any], namespace: str | None = None, **_: Any) -> dict[str, Any]:
        return await self._write("update", obj)

    async def _write(self, verb: str, obj: dict[str, Any]) -> dict[str, Any]:
        await self._pass(verb, self.before_s)
        name = obj["metadata"]["name"]
        self.api.asked.append((trio.current_time(), self.name, verb))
        answer = self._stored(name, obj)
        await self._pass(verb, self.after_s)
        if isinstance(answer, APIError):
            raise answer
        return answer

    def _stored(self, name: str, obj: dict[str, Any]) -> dict[str, Any] | APIError:
        found = self.api.leases.get(name)
        if obj["metadata"].get("resourceVersion") != (found and found["metadata"]["resourceVersion"]):
            return Conflict(LEASES, name, MODIFIED)
        self.api.revision += 1
        stored = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.api.revision)}}
        self.api.leases[name] = stored
        return stored
