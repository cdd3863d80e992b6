"""What is done to a world: the actions of faults, each with what undoes it, and what a user asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import trio

from cacher.storage import StorageError
from cacher.storage.etcd import EtcdEvent, EventKind
from watch import AlreadyExists, APIError, Conflict, NotFound, PatchType, UnknownResource, WatchError

from .. import Cluster
from .._clock import Clock
from .._resources import find_resource
from ._faults import (
    ALL,
    AnyAction,
    BlockEvents,
    Change,
    Compact,
    Crash,
    Cut,
    DropBookmarks,
    Duplicate,
    EndlessList,
    Evict,
    ExpireLeases,
    HalfOpen,
    JumpClock,
    Lag,
    LateBookmarks,
    LieProgress,
    Lose,
    LoseLeader,
    PauseCache,
    Reconnect,
    RestartServer,
    RestartStore,
    RestoreBackup,
    ShrinkRing,
    Swizzle,
)
from ._injector import Mend, Sight
from ._operations import Create, Delete, JSONObject, Patch, split_resource
from ._process import Process
from ._server import ApiServer

if TYPE_CHECKING:
    from ._world import World

USER_RETRY_S = 1.0
"""How soon a user tries again what no server would do."""
USER_TRIES_MAX = 120
"""A user gives up then: every fault is shorter, or there is none that serves."""

_PASSING = (ConnectionError, WatchError, StorageError, trio.BrokenResourceError)


class Deeds:
    """Does them. One for each world."""

    def __init__(self, world: World) -> None:
        self._world = world

    # ---- faults ------------------------------------------------------------------------------------------------------

    def act(self, action: AnyAction) -> Mend | None:
        """Do `action` in this step, as far as that can be; what it returns undoes it."""
        world = self._world
        match action:
            case Lag() | Lose() | Duplicate() | Cut():
                named = self._named(action)
                world.network.add(named)
                return lambda: world.network.remove(named)
            case Crash():
                for process in self._processes(action.process):
                    process.crash(restart_s=action.restart_s, server=action.restart_on, why="by a fault")
            case Reconnect():
                for process in self._processes(action.process):
                    process.reconnect(action.server)
            case BlockEvents():
                return self._block(action)
            case HalfOpen():
                self._silence(action)
            case Swizzle():
                return self._swizzle(action)
            case RestartServer():
                for server in self._servers(action.server):
                    server.stop(action.down_s)
            case _:
                return self._act_on_store(action)
        return None

    def _act_on_store(self, action: AnyAction) -> Mend | None:
        """Actions on servers, their caches and the store."""
        world = self._world
        match action:
            case PauseCache():
                return self._pause(action)
            case ShrinkRing():
                for server in self._servers(action.server):
                    server.limit_rings(self._prefix(action.resource), action.capacity)
            case Evict():
                for server in self._servers(action.server):
                    server.evict(self._prefix(action.resource))
            case Compact():
                self._soon(lambda: world.store.compact(action.keep))
            case ExpireLeases():
                self._soon(world.store.expire_leases)
            case DropBookmarks():
                return self._set(action.server, "drops_bookmarks", True, False)
            case LateBookmarks():
                return self._set(action.server, "bookmarks_late_s", action.s, 0.0)
            case EndlessList():
                return self._set(action.server, "has_endless_lists", True, False)
            case JumpClock():
                return self._jump(action)
            case LieProgress():
                return self._lie(action)
            case LoseLeader():
                return self._lose_leader()
            case RestartStore():
                return self._restart_store(action.down_s)
            case RestoreBackup():
                self._soon(
                    lambda: world.store.restore(
                        action.back, bumps=world.bumps_restored, switched=self._break_store_watches
                    )
                )
                return self._restart_store(action.down_s)
            case _:
                raise AssertionError(action)
        return None

    def _pause(self, action: PauseCache) -> Mend:
        prefix, links = self._prefix(action.resource), [server.link for server in self._servers(action.server)]
        for link in links:
            link.freeze(prefix)

        def mend() -> None:
            for link in links:
                link.thaw(prefix)

        return mend

    def _block(self, action: BlockEvents) -> Mend:
        prefix, processes = self._prefix(action.resource), self._processes(action.process)
        for process in processes:
            process.block(prefix)

        def mend() -> None:
            for process in processes:
                process.unblock(prefix)

        return mend

    def _silence(self, action: HalfOpen) -> None:
        for process in self._processes(action.a):
            for stream in list(process.life.streams) if process.life is not None else ():
                if action.b in (ALL, stream.server):
                    stream.fall_silent()

    def _swizzle(self, action: Swizzle) -> Mend:
        """One name after the other is cut off from all, then they are mended: the second first, the first last."""
        network, names = self._world.network, [self._name(name) for name in action.names]
        cuts = [Cut(name, ALL) for name in names]
        active: list[Cut] = []
        injector = self._world.injector

        def cut(one: Cut) -> None:
            network.add(one)
            active.append(one)

        def heal(one: Cut) -> None:
            if one in active:
                active.remove(one)
                network.remove(one)

        order = [*cuts[1:], *cuts[:1]]
        for number, one in enumerate(cuts):
            injector.after(number * action.step_s, lambda one=one: cut(one))  # type: ignore[misc]
        for number, one in enumerate(order):
            injector.after((len(cuts) + number) * action.step_s, lambda one=one: heal(one))  # type: ignore[misc]

        def mend() -> None:
            for one in active:
                heal(one)

        return mend

    def _set(self, server: str, name: str, value: object, before: object) -> Mend:
        servers = self._servers(server)
        for each in servers:
            setattr(each, name, value)

        def mend() -> None:
            for each in servers:
                setattr(each, name, before)

        return mend

    def _jump(self, action: JumpClock) -> Mend:
        world = self._world
        clocks: list[Clock] = [
            *(server.clock for server in self._servers(action.who)),
            *(process.clock for process in self._processes(action.who)),
        ]
        world.chronicle.tell(action.who, f"clock jumps by {action.s:g} s")
        for clock in clocks:
            clock.epoch_s += action.s

        def mend() -> None:
            for clock in clocks:
                clock.epoch_s -= action.s

        return mend

    def _lie(self, action: LieProgress) -> Mend:
        links = [server.link for server in self._servers(action.server)]
        for link in links:
            link.lies_held_s = action.held_s

        def mend() -> None:
            for link in links:
                link.lies_held_s = 0.0

        return mend

    def _lose_leader(self) -> Mend:
        links = [server.link for server in self._servers(ALL)]
        for link in links:
            link.has_leader = False

        def mend() -> None:
            for link in links:
                link.has_leader = True
                link.wake()

        return mend

    def _restart_store(self, down_s: float) -> Mend:
        links = [server.link for server in self._servers(ALL)]
        for link in links:
            link.is_up = False
        self._break_store_watches()

        def mend() -> None:
            for link in links:
                link.is_up = True

        self._world.injector.after(down_s, mend)
        return mend

    def _break_store_watches(self) -> None:
        for server in self._servers(ALL):
            server.link.break_watches()

    # ---- names -------------------------------------------------------------------------------------------------------

    def _servers(self, name: str) -> list[ApiServer]:
        servers = self._world.servers
        return list(servers.values()) if name == ALL else [servers[name]] if name in servers else []

    def _processes(self, name: str) -> list[Process]:
        if name == ALL:
            return list(self._world.processes.values())
        found = self._world.process(name)
        return [] if found is None else [found]

    def _name(self, name: str) -> str:
        """A name, or what stands for it: "#0" is the first process."""
        process = self._world.process(name) if name.startswith("#") else None
        return name if process is None else process.name

    def _named(self, action: Lag | Lose | Duplicate | Cut) -> Lag | Lose | Duplicate | Cut:
        return msgspec.structs.replace(action, a=self._name(action.a), b=self._name(action.b))

    def _prefix(self, resource: str) -> str:
        return ALL if resource == ALL else find_resource(*split_resource(resource)).prefix

    def _soon(self, call: Callable[[], Awaitable[None]]) -> None:
        self._world.soon(call)

    def server_received(self, server: str, events: Sequence[EtcdEvent]) -> None:
        """Events have reached a server: triggers look at them."""
        store = self._world.store
        for event in events:
            key = event.kv.key.decode()
            before, now = store.versions.get((key, event.kv.mod_revision), (None, None))
            last = now if now is not None else before
            if last is None:
                continue
            change: Change = (
                "deleted" if event.kind is EventKind.DELETE else "created" if event.is_create else "updated"
            )
            info = store.info_of(key)
            sight = Sight(f"{info.group_version}/{info.plural}", change, last.namespace, last.name, now, before)
            self._world.injector.seen("server-received", server, sight)

    # ---- the user ----------------------------------------------------------------------------------------------------

    async def user(self, operation: Create | Patch | Delete) -> JSONObject | None:
        """Do it at the first server that can; tried again while none can. See Operation for what is left out."""
        world = self._world
        for attempt in range(USER_TRIES_MAX):
            up = [server for server in world.servers.values() if server.is_up]
            if up:
                server = up[attempt % len(up)]
                try:
                    return await server.serve(lambda cluster: _do(cluster, operation))
                except (AlreadyExists, NotFound):
                    return None
                except (
                    Conflict,
                    UnknownResource,
                ):  # a server that has just begun may have yet to serve what is defined
                    pass
                except APIError as error:
                    if error.code < 500 and error.code != 429:
                        raise
                except _PASSING:
                    pass
            await trio.sleep(USER_RETRY_S)
        world.give_up(f"no server would do {operation}")
        return None


async def _do(cluster: Cluster, operation: Create | Patch | Delete) -> JSONObject | None:
    version, plural = split_resource(operation.resource)
    info = find_resource(version, plural)
    door = cluster.resource(version, plural)
    if isinstance(operation, Create):
        inside = (operation.object.get("metadata") or {}).get("namespace") or "default"
        return await door.create(operation.object, inside if info.namespaced else None)
    namespace = (operation.namespace or "default") if info.namespaced else None
    if isinstance(operation, Patch):
        if operation.subresource:
            part = door.subresource(operation.subresource)
            return await part.patch(operation.name, operation.patch, namespace, type=PatchType.MERGE)
        return await door.patch(operation.name, operation.patch, namespace, type=PatchType.MERGE)
    await door.delete(
        operation.name,
        namespace,
        propagation_policy=operation.propagation_policy or None,
        grace_period_s=operation.grace_period_s,
    )
    return None
