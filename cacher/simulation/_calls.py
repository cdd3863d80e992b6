"""Calls of the API over the network: there, done, back; and what may become of them on the way.

before-write ─► lost? ─► on the server: done, or refused (twice, where it arrives twice) ─► after-write ─► lost? ─► answer
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import outcome
import trio

from reflector import ResourceClient
from watch import APIError, WatchError

from .. import ResourceInfo
from ._acts import Request
from ._beliefs import beliefs_now
from ._connection import Life, Surroundings
from ._faults import Change
from ._injector import Sight
from ._operations import JSONObject
from ._server import ApiServer

T = TypeVar("T")

CHANGES: dict[str, Change] = {"create": "created", "update": "updated", "patch": "updated", "delete": "deleted"}


class Calls:
    """The calls of one resource by one life of a process. `world`: where they go, and where they are written down."""

    def __init__(self, world: Surroundings, life: Life, info: ResourceInfo) -> None:
        self._world = world
        self._life = life
        self._info = info
        self._resource = f"{info.group_version}/{info.plural}"

    async def of(
        self,
        verb: str,
        name: str,
        namespace: str | None,
        make: Callable[[ResourceClient], Awaitable[T]],
        part: str = "",
        *,
        obj: JSONObject | None = None,
        uid: str = "",
        version: str = "",
    ) -> T:
        """What `make` brings, made at the server that the process talks to.

        Raises:
            watch.APIError: what the server answered.
            ConnectionError: the server is down, or the connection was lost; the call may then have been done.
            trio.TooSlowError: the answer did not come in time.
        """
        self._life.check()
        request = self._note(verb, name, namespace, part, uid, version)
        try:
            answer = await self._round_trip(request, make, obj)
        except Exception as error:
            self._done(request, type(error).__name__)
            raise
        except BaseException:
            self._done(request, "crashed")
            raise
        if isinstance(answer, dict):
            metadata = answer.get("metadata") or {}
            request.answer_uid = metadata.get("uid") or ""
            request.answer_revision = int(metadata.get("resourceVersion") or 0)
        self._done(request, "ok")
        return answer

    async def _round_trip(
        self, request: Request, make: Callable[[ResourceClient], Awaitable[T]], obj: JSONObject | None
    ) -> T:
        world, life = self._world, self._life
        verb = request.verb.partition("/")[0]
        writes = verb in CHANGES
        server = world.server(request.server)
        if writes and "before-write" in world.injector.points:
            self._seen("before-write", request, obj)
        await world.network.carry(life.process, server.name)
        life.check()
        link = world.network.state(life.process, server.name)
        dice = world.network.random(life.process, server.name)
        if link.lose and dice.random() < link.lose:
            raise ConnectionResetError(f"the connection to {server.name} was lost before it got there")
        answer = await self._at(server, request, make)
        if writes and request.name and link.duplicate and dice.random() < link.duplicate:
            answer = await self._at(server, request, make)
        if writes and isinstance(answer, outcome.Value) and "after-write" in world.injector.points:
            self._seen("after-write", request, obj)
        if link.lose_reply and dice.random() < link.lose_reply:
            raise ConnectionResetError(f"the connection to {server.name} was lost: nobody knows whether it was done")
        await world.network.carry(server.name, life.process)
        return answer.unwrap()

    async def _at(
        self, server: ApiServer, request: Request, make: Callable[[ResourceClient], Awaitable[T]]
    ) -> outcome.Value[T] | outcome.Error:
        """What the server answers: a refusal is an answer too, and has a way back before it."""
        info, asking = self._info, self._world.store.asking
        task = trio.lowlevel.current_task()
        asking[task] = request.number
        try:
            return outcome.Value(
                await server.serve(lambda cluster: make(cluster.resource(info.group_version, info.plural)))
            )
        except (APIError, WatchError) as error:
            return outcome.Error(error)
        finally:
            del asking[task]

    def _seen(self, point: Any, request: Request, obj: JSONObject | None) -> None:
        verb = request.verb.partition("/")[0]
        before = self._world.store.objects.get(request.key)
        sight = Sight(self._resource, CHANGES[verb], request.namespace, request.name, obj, before)
        self._world.injector.seen(point, self._life.process, sight)

    def _note(self, verb: str, name: str, namespace: str | None, part: str, uid: str, version: str) -> Request:
        life, requests = self._life, self._world.history.acts.requests
        info = self._info
        inside = namespace or ""
        has_key = name and bool(inside) == info.namespaced
        request = Request(
            number=len(requests),
            at_s=trio.current_time(),
            process=life.process,
            incarnation=life.incarnation,
            server=life.server,
            verb=f"{verb}/{part}" if part else verb,
            resource=self._resource,
            namespace=inside,
            name=name,
            key=info.key(name, namespace or None) if has_key else "",
            uid=uid,
            version=version,
            beliefs=beliefs_now(self._world.store.versions) if verb in CHANGES else (),
        )
        requests.append(request)
        return request

    def _done(self, request: Request, outcome: str) -> None:
        request.outcome = outcome
        request.done_s = trio.current_time()
        what = f"{request.verb} {request.resource} {request.namespace}/{request.name}"
        self._world.chronicle.tell(f"{request.process}#{request.incarnation}", f"{request.number} {what}: {outcome}")
