"""A world: a store, servers with their caches, processes and their network, from one tape. What scenarios and tests speak to.

async with world.opened():        everything runs
    await world.do(operation)     what a user does, numbered, so that a tape can leave it out
    await world.settle()          faults stop, everything must converge
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import trio

from watch import Object

from .. import ResourceInfo
from .._clock import Clock
from .._resources import find_resource
from ._acts import Asked, Looked, Wanted
from ._chronicle import Chronicle
from ._deeds import Deeds
from ._determinism import Streams
from ._faults import ALL, STORE, AnyAction, Fault
from ._history import History
from ._injector import Injector, Mend, Sight
from ._network import Network
from ._operations import UNTIL_S, AnyOperation, Create, Delete, JSONObject, Patch, Until, Wait, meets, split_resource
from ._process import Process
from ._programs import AnyProgram, as_program
from ._scale import Scale
from ._scenario import Topology
from ._server import EPOCH_S, ApiServer
from ._settle import Settler
from ._store import Happened, SimStore, open_sim_store
from ._store_link import StoreLink
from ._tape import Tape
from ._timers import sleep

USER_RETRY_S = 1.0
"""How soon a user tries again what no server would do."""


class NotConverged(Exception):
    """Faults had stopped, and yet the world did not come to rest in time. The message says what was behind."""


class World:
    """One world, for one run of `tape`. Made by `play`, or by a test's plugin; opened once."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.history = History({}, [], [], 1, {}, finished=False)
        self.chronicle = Chronicle()
        self.clock = Clock(EPOCH_S)
        """The time of day, as no fault moves it."""
        self.counts: dict[str, int] = {}
        """What was met, and how often; see `sometimes`."""
        self.processes: dict[str, Process] = {}
        self.servers: dict[str, ApiServer] = {}
        self.has_settled = False
        """Whether the liveness phase was entered."""
        self.trusts_progress = True
        """Whether servers take the store's word on how far a watch is. Set before the world opens: some stores lie."""
        self.dispatches_as_kubernetes = False
        """Whether light clients watch through a double of Kubernetes' fan-out. Set before the world opens."""
        self.has_fixed_rings = False
        """Whether rings stay as they are at first, whatever comes; else they grow to hold 75 s. Set before the world opens."""
        self.bumps_restored = True
        """Whether a store that is restored from a backup goes on far above all that it ever told, as `etcdutl snapshot restore
        --bump-revision --mark-compacted` has it; else from the backup's own revision, so that revisions come a second time."""
        self.notes: list[str] = []
        """What a reader of the run should know: an Until that gave up, a fault that found nothing."""
        self.undone: list[str] = []
        """What of the workload was not done, and why: such a run is no evidence of anything that held."""
        self._streams = Streams(tape.seed)
        latency_s = tape.topology.latency_s
        assert isinstance(latency_s, float | int), "a tape's topology has been drawn"
        self.network = Network(self._streams, latency_s=latency_s)
        self._deeds = Deeds(self)
        self.injector = Injector(tape.faults, self._deeds.act, self.chronicle, self.history.acts)
        self.has_lags = bool(tape.faults) or latency_s > 0
        self._store: SimStore | None = None
        self._nursery: trio.Nursery | None = None
        self._operations = 0
        self._skipped = frozenset(tape.skipped)
        self._changed = trio.Event()
        self._checks: list[Callable[[Happened], None]] = []
        self._rest_checks: list[tuple[str, Callable[[World], str]]] = []

    # ---- what there is -----------------------------------------------------------------------------------------------

    @property
    def store(self) -> SimStore:
        """The one truth."""
        assert self._store is not None, "the world is open"
        return self._store

    @property
    def revision(self) -> int:
        """The store's, also before the world is open."""
        return self._store.revision if self._store is not None else 1

    @property
    def now_s(self) -> float:
        """Seconds on the run's clock."""
        return trio.current_time()

    def random(self, name: str) -> Random:
        """A stream of the seed: a draw here moves no other stream."""
        return self._streams.stream(name)

    @property
    def scale(self) -> Scale:
        """How much there is to be of everything. Raises ValueError where the scenario has no `scale`."""
        if self.tape.scale is None:
            raise ValueError(f"{self.tape.scenario} has no scale: give its Scenario one")
        return self.tape.scale

    def server(self, name: str) -> ApiServer:
        """The server of that name. Raises KeyError."""
        return self.servers[name]

    def process(self, name: str) -> Process | None:
        """The process of that name, or, for "#2", the third that was started; None where there is none."""
        if name.startswith("#") and name[1:].isdigit():
            return next(iter(list(self.processes.values())[int(name[1:]) :]), None)
        return self.processes.get(name)

    def objects(self, resource: str) -> list[Object]:
        """What the store holds of a resource now, in key order."""
        prefix = find_resource(*split_resource(resource)).prefix
        return [obj for key, obj in sorted(self.store.objects.items()) if key.startswith(prefix)]

    # ---- before and while it runs ------------------------------------------------------------------------------------

    def start(self, program: AnyProgram, *, name: str = "", server: str = "", restart_s: float = 1.0) -> Process:
        """Run `program` as a process, at once or when the world opens; started anew whenever it has crashed.

        Args:
            program: `async def program(site)`, or `def setup(manager)`, which adds controllers to a reflector.Manager.
            name: the program's own by default. Each is there once.
            server: whom it talks to; the first by default.
        Raises:
            ValueError: there is such a process, or no such server.
        """
        name = name or getattr(program, "__name__", type(program).__name__)
        if name in self.processes or name in self._server_names() or name in (STORE, ALL):
            raise ValueError(f"there is a {name!r} already: give this process another name")
        server = server or self._server_names()[0]
        if server not in self._server_names():
            raise ValueError(f"there is no server {server!r}: choose one of {', '.join(self._server_names())}")
        process = self.processes[name] = Process(self, name, as_program(program), server=server, restart_s=restart_s)
        if self._nursery is not None:
            self._nursery.start_soon(process.run, name=f"process {name}")
        return process

    def wants(self, owner: str, path: str, child: str, *, surge: int = 0) -> None:
        """Tell NoOvershoot that an `owner` object's number at `path` is how many `child` objects it may have at a time."""
        prefixes = [find_resource(*split_resource(resource)).prefix for resource in (owner, child)]
        self.history.acts.wanted.append(Wanted(prefixes[0], path, prefixes[1], surge))

    def inject(self, fault: Fault) -> None:
        """One more fault to wait for."""
        self.has_lags = True
        self.injector.add(fault)

    def act(self, action: AnyAction) -> Mend | None:
        """Do an action now; what it returns undoes it."""
        return self._deeds.act(action)

    def sometimes(self, name: str, number: int = 1) -> None:
        """Count that something was met, so that a run can say what it tested."""
        self.counts[name] = self.counts.get(name, 0) + number

    def never(
        self, change: str, resource: str, *, where: Callable[[Object], bool] | None = None, why: str = ""
    ) -> None:
        """From now on no such object is created, updated or deleted. Looked at in the step of each change."""

        def check(happened: Happened) -> None:
            if happened.change == change and happened.resource == resource:
                last = happened.last
                if where is None or where(last):
                    self._broke(why or f"never {change} {resource}", f"{last.key} was {change}", happened.revision)

        self._checks.append(check)

    def always(self, check: Callable[[World], str], *, why: str = "") -> None:
        """`check` is called at each change of the store, and says what is wrong; "" where nothing is."""

        def look(happened: Happened) -> None:
            if facts := check(self):
                self._broke(why or getattr(check, "__name__", "always"), facts, happened.revision)

        self._checks.append(look)

    def at_rest(self, check: Callable[[World], str], *, why: str = "") -> None:
        """`check` is called once everything has converged, and says what is wrong; "" where nothing is."""
        self._rest_checks.append((why or getattr(check, "__name__", "at rest"), check))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[World]:
        """The world, running: its servers are up, its namespaces and definitions are there, its processes begin."""
        topology = self.tape.topology
        async with open_sim_store(
            self.history,
            self.chronicle,
            random=self.random("store"),
            acks=self.random("acks"),
            ack_turns_max=topology.ack_turns_max,
        ) as store:
            self._store = store
            store.on_change.append(self._told)
            store.on_restored.append(self._wake)
            async with trio.open_nursery() as nursery:
                for name in self._server_names():
                    await self._open_server(name, nursery)
                await self._furnish()
                store.first_revision = store.revision
                self.history.acts.phases.workload_s = self.now_s
                await nursery.start(self.injector.run)
                self._nursery = nursery
                for process in self.processes.values():
                    nursery.start_soon(process.run, name=f"process {process.name}")
                nursery.start_soon(Settler(self).look_for_ever, name="looks")
                try:
                    yield self
                finally:
                    self._nursery = None
                    self.history.acts.phases.end_s = self.now_s
                    for process in self.processes.values():
                        process.note_mistakes()
                    self.history.end_revision = store.revision
                    nursery.cancel_scope.cancel()

    # ---- what a user does --------------------------------------------------------------------------------------------

    async def do(self, operation: AnyOperation) -> JSONObject | None:
        """Do what a user would: tried again while no server can. Left out where the tape says so.

        Returns:
            The object as the API answered; None where it answered none, or there was nothing to do.
        """
        number = self._operations
        self._operations += 1
        await trio.lowlevel.checkpoint()
        if number in self._skipped:
            return None
        self.chronicle.tell("user", f"{number} {type(operation).__name__}")
        match operation:
            case Wait(seconds):
                await sleep(seconds)
            case Until():
                await self._until(operation)
            case Create() | Patch() | Delete():
                return await self._deeds.user(operation)
        return None

    async def run(self, operations: Sequence[AnyOperation]) -> None:
        """Do all of them, one after the other."""
        for operation in operations:
            await self.do(operation)

    async def create(self, resource: str, obj: JSONObject) -> JSONObject | None:
        """Create an object."""
        return await self.do(Create(resource, obj))

    async def patch(
        self, resource: str, name: str, patch: JSONObject, namespace: str = "", *, subresource: str = ""
    ) -> JSONObject | None:
        """Merge something into an object."""
        return await self.do(Patch(resource, name, patch, namespace, subresource))

    async def delete(self, resource: str, name: str, namespace: str = "", *, propagation_policy: str = "") -> None:
        """Delete an object."""
        await self.do(Delete(resource, name, namespace, propagation_policy))

    async def write(self, resource: str, obj: JSONObject) -> None:
        """Put an object into the store as it is, past every server: what a churn of thousands of writes is made of.

        Nothing is defaulted or checked, and no tape leaves it out by its number.
        """
        metadata = obj["metadata"]
        info = find_resource(*split_resource(resource))
        key = info.key(metadata["name"], metadata.get("namespace"))
        await self.store.etcd.put(key, msgspec.json.encode(obj))

    async def until(
        self,
        resource: str,
        name: str,
        namespace: str = "",
        *,
        exists: bool = True,
        where: Mapping[str, Any] | None = None,
        within_s: float = UNTIL_S,
    ) -> None:
        """Wait until the store has, or has not, such an object."""
        await self.do(Until(resource, name, namespace, exists, where or {}, within_s))

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await self.do(Wait(seconds))

    async def settle(self, within_s: float = 0.0) -> None:
        """Stop all faults and mend what they did; return when everything has converged and nobody writes any more.

        Args:
            within_s: as the tape says, by default.
        Raises:
            NotConverged: it took longer.
        """
        self.has_settled = True
        lagging = await Settler(self).settle(within_s or self.tape.settle_s)
        if lagging:
            raise NotConverged(
                f"not converged {within_s or self.tape.settle_s:g} s after faults stopped: {'; '.join(lagging)}"
            )
        for name, check in self._rest_checks:
            if facts := check(self):
                self._broke(name, facts, self.store.revision)

    def know(self, info: ResourceInfo) -> None:
        """See Surroundings.know."""
        self.store.keep(info)
        for server in self.servers.values():
            server.warm(info.group_version, info.plural)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def soon(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have `call` run beside everything else; nothing where the world is closed."""
        if self._nursery is not None:
            self._nursery.start_soon(call)

    def _server_names(self) -> list[str]:
        return [f"api-{number}" for number in range(1, self.tape.topology.servers + 1)]

    async def _open_server(self, name: str, nursery: trio.Nursery) -> None:
        def seen(events: Sequence[Any]) -> None:
            if "server-received" in self.injector.points:
                self._deeds.server_received(name, events)

        link = StoreLink(
            self.store, name, self.network, asked=self._note_asked, seen=seen, supports_progress=self.trusts_progress
        )
        server = ApiServer(
            name,
            link,
            self._topology,
            self.random(f"server {name}"),
            on_down=self._server_went_down,
        )
        server.dispatches_as_kubernetes = self.dispatches_as_kubernetes
        self.servers[name] = server
        nursery.start_soon(server.run, name=f"server {name}")
        await server.wait_until_up()

    async def _furnish(self) -> None:
        """Namespaces and definitions, before the clock of the faults begins."""
        topology = self.tape.topology
        for namespace in topology.namespaces:
            await self._deeds.user(Create("v1/namespaces", {"metadata": {"name": namespace}}))
        for definition in topology.definitions:
            await self._deeds.user(Create("apiextensions.k8s.io/v1/customresourcedefinitions", definition))

    @property
    def _topology(self) -> Topology:
        topology = self.tape.topology
        if not self.has_fixed_rings:
            return topology
        return msgspec.structs.replace(topology, ring_capacity_max=topology.ring_capacity)

    def _note_asked(self, asked: Asked) -> None:
        self.history.acts.asked.append(asked)

    def _server_went_down(self, server: str) -> None:
        self.chronicle.tell(server, "went down")
        for process in self.processes.values():
            if process.life is not None:
                process.life.break_streams(server)

    def _told(self, happened: Happened) -> None:
        """In the step of each change: triggers, checks, and who waits for it."""
        if "written" in self.injector.points:
            last = happened.last
            self.injector.seen(
                "written",
                STORE,
                Sight(
                    happened.resource, happened.change, last.namespace, last.name, happened.object, happened.previous
                ),
            )
        for check in self._checks:
            check(happened)
        self._wake()

    def _wake(self) -> None:
        """Who waits for the store looks again."""
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    def _broke(self, name: str, facts: str, revision: int) -> None:
        self.history.acts.looked.append(Looked(self.now_s, name, facts, revision))

    async def _until(self, until: Until) -> None:
        info = find_resource(*split_resource(until.resource))
        key = info.key(until.name, (until.namespace or "default") if info.namespaced else None)
        for within_s in (until.within_s, self.tape.settle_s):
            with trio.move_on_after(within_s):
                while not self._is_so(key, until):
                    await self._changed.wait()
                return
            # The workload is to be done, also where a fault keeps it from being done: so faults stop early.
            Settler(self).calm()
        self.give_up(f"gave up waiting for {until.resource} {until.name}")

    def give_up(self, what: str) -> None:
        """Take note that something of the workload was not done."""
        self.undone.append(f"{self.now_s:.3f} s: {what}")
        self.notes.append(self.undone[-1])

    def _is_so(self, key: str, until: Until) -> bool:
        found = self.store.objects.get(key)
        if found is None:
            return not until.exists
        has_all = not until.where or meets(found.parse(), until.where)
        return has_all if until.exists else bool(until.where) and not has_all
