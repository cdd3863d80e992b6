"""A server's objects as an informer of some process mirrors them: lists and streams over the network, and what goes wrong there.

Streams keep their order, whatever delays them; one that is cut or half open is silent, and nobody is told. All that the process
was shown is written down, as it was shown, in a ClientHistory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

import trio

from reflector import Changes, ChangeStream, FieldsLike, LabelsLike, Page, StreamingListerWatcher
from watch import Event, EventType, Expired, Object, Selector, bookmark

from .. import Cluster, ResourceInfo
from ._connection import Life, Surroundings, arrive
from ._faults import Change, Point
from ._history import ClientHistory, Ended, EndReason, Listed, Opened, Received
from ._injector import Sight
from ._server import ApiServer
from ._timers import sleep_until

T = TypeVar("T")

_CHANGES: dict[EventType, Change] = {
    EventType.ADDED: "created",
    EventType.MODIFIED: "updated",
    EventType.DELETED: "deleted",
}

AN_INSTANT_S = 1e-6
"""Of virtual time: what is there is taken within it, and nothing else comes."""

Terms = tuple[str | None, LabelsLike, FieldsLike]
Opening = Callable[[StreamingListerWatcher], AbstractAsyncContextManager[ChangeStream]]


class RemoteSource:
    """A StreamingListerWatcher of what `selector` lets through, for one life of a process.

    Raises, beside what a source raises: ConnectionError and trio.TooSlowError, which a Reflector waits out.
    """

    def __init__(self, world: Surroundings, life: Life, info: ResourceInfo, selector: Selector, terms: Terms) -> None:
        self._world = world
        self._life = life
        self.info = info
        self._terms = terms
        self._server = life.server
        self._log: ClientHistory | None = None
        self.selector = selector
        self._listed: list[Object] = []
        self._minimum = self._restores = 0
        self._asked = ""
        self._at_server: StreamingListerWatcher | None = None
        """Of the stream that is open, so that its progress can be asked for."""

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        """One page; see ListerWatcher."""
        self._begin()
        world = self._world
        if not page:
            self._listed = []
            self._minimum = world.store.revision if resource_version == "" else 0
            self._restores = len(world.history.restores) if resource_version == "" else 0
            self._asked = resource_version
        found = await self._ask(
            lambda source: source.list(resource_version=resource_version, page_size=page_size, page=page)
        )
        await self._let_through(found.objects)
        self._listed.extend(found.objects)
        if not found.next_page:
            self.log.steps.append(
                Listed(
                    trio.current_time(),
                    found.revision,
                    tuple(self._listed),
                    self._minimum,
                    self._asked,
                    minimum_restores=self._restores,
                )
            )
            world.chronicle.tell(self.log.name, f"listed {len(self._listed)} at {found.revision}")
            self._listed = []
        return found

    @asynccontextmanager
    async def watch(self, revision: int, *, timeout_s: float | None = None) -> AsyncIterator[RemoteStream]:
        """The changes after `revision`; see StreamingListerWatcher."""
        async with self._opened(lambda source: source.watch(revision, timeout_s=timeout_s), revision, False) as stream:
            yield stream

    @asynccontextmanager
    async def watch_list(
        self, *, resource_version: str = "", timeout_s: float | None = None
    ) -> AsyncIterator[RemoteStream]:
        """The state, then the changes; see StreamingListerWatcher."""
        asked = int(resource_version) if resource_version.isdigit() else 0
        async with self._opened(
            lambda source: source.watch_list(resource_version=resource_version, timeout_s=timeout_s), asked, True
        ) as stream:
            yield stream

    async def request_progress(self) -> None:
        """Have the open stream say how far it is; see ListerWatcher."""
        source = self._at_server
        if source is None:
            await trio.lowlevel.checkpoint()
            return
        await self._world.network.carry(self._life.process, self._life.server)
        await source.request_progress()

    @property
    def informer_name(self) -> str:
        """What SharedInformers calls an informer that mirrors this."""
        info, text = self.info, str(self.selector)
        return "/".join(filter(None, (self._server, info.group_version, info.plural, text)))

    @property
    def log(self) -> ClientHistory:
        """What this life was shown of these objects."""
        assert self._log is not None, "it begins with its first list or watch"
        return self._log

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._life.check()
        if self._log is None:
            life, text = self._life, str(self.selector)
            name = f"{life.process}#{life.incarnation} {self.info.plural}{f' {text}' if text else ''}"
            resource = f"{self.info.group_version}/{self.info.plural}"
            self._log = ClientHistory(
                name,
                self.info.prefix,
                self.selector,
                self._world.has_lags,
                [],
                resource,
                life.process,
                life.incarnation,
            )
            self._world.history.clients.append(self._log)
            self._world.know(self.info)
            life.on_source(self)

    def _source_at(self, cluster: Cluster) -> StreamingListerWatcher:
        namespace, labels, fields = self._terms
        resource = cluster.resource(self.info.group_version, self.info.plural)
        return resource.lister_watcher(namespace=namespace, labels=labels, fields=fields)

    async def _ask(self, ask: Callable[[StreamingListerWatcher], Awaitable[T]]) -> T:
        server = await arrive(self._world, self._life)
        answer = await server.serve(lambda cluster: ask(self._source_at(cluster)))
        await self._world.network.carry(server.name, self._life.process)
        return answer

    async def _let_through(self, objects: tuple[Object, ...]) -> None:
        """Before a list is handed over: who wants to know is told, and it waits where it is blocked."""
        life, injector = self._life, self._world.injector
        if "before-received" in injector.points:
            for obj in objects:
                self.seen("before-received", "created", obj, None)
        while life.is_blocked(self.info.prefix):
            await life.unblocked.wait()
        if "received" in injector.points:
            for obj in objects:
                self.seen("received", "created", obj, None)

    def seen(self, point: Point, change: Change, now: Object | None, before: Object | None) -> None:
        """Something is about to reach the process, or has."""
        last = now if now is not None else before
        assert last is not None
        info = self.info
        sight = Sight(f"{info.group_version}/{info.plural}", change, last.namespace, last.name, now, before)
        self._world.injector.seen(point, self._life.process, sight)

    @asynccontextmanager
    async def _opened(self, opening: Opening, revision: int, initial: bool) -> AsyncIterator[RemoteStream]:
        self._begin()
        world, life = self._world, self._life
        server = await arrive(world, life)
        if server.cluster is None:
            raise ConnectionRefusedError(f"{server.name} is down: try again, or another server")
        source = self._source_at(server.cluster)
        async with AsyncExitStack() as stack:
            # Not under a scope of the server's: what is entered here stays open. A cache that ends says so itself.
            try:
                inner = await stack.enter_async_context(opening(source))
            except Expired as expired:
                self._note_refusal(expired, revision, initial)
                raise
            # Where the end of the state is never told, nobody can say from outside what came before it.
            is_told = not (initial and server.has_endless_lists)
            is_ahead = self._is_behind(server, revision)
            self.log.steps.append(Opened(trio.current_time(), revision, initial, is_told, is_ahead))
            world.chronicle.tell(self.log.name, f"watches from {revision}{' with the state' if initial else ''}")
            stream = RemoteStream(world, life, self, server, inner, self.info.prefix, initial=initial)
            self._at_server = source
            life.streams[stream] = None
            try:
                yield stream
            finally:
                del life.streams[stream]
                self._at_server = None
                stream.close()

    def _is_behind(self, server: ApiServer, revision: int) -> bool:
        if server.cluster is None:
            return False
        resource = server.cluster.resource(self.info.group_version, self.info.plural)
        return resource.is_cached and resource.statistics().revision < revision

    def _note_refusal(self, expired: Expired, revision: int, initial: bool) -> None:
        now_s = trio.current_time()
        self.log.steps.append(Opened(now_s, revision, initial))
        self.log.steps.append(Ended(now_s, EndReason.EXPIRED, expired.oldest + 1, refused=True))
        self._world.chronicle.tell(self.log.name, f"{revision} has expired")


class RemoteStream:
    """An open watch as it reaches a process (see ChangeStream). Made by a RemoteSource."""

    def __init__(
        self,
        world: Surroundings,
        life: Life,
        source: RemoteSource,
        server: ApiServer,
        inner: ChangeStream,
        prefix: str,
        *,
        initial: bool,
    ) -> None:
        self.server = server.name
        self._world = world
        self._life = life
        self._source = source
        self._at = server
        self._inner = inner
        self._prefix = prefix
        self._in_state = initial
        self._is_endless = initial and server.has_endless_lists
        self._is_broken = self._is_silent = self._is_over = self._is_asked = False
        self._held: Changes | None = None
        self._failure: Expired | trio.EndOfChannel | trio.BrokenResourceError | None = None
        self._due_s = 0.0
        self._looked_s = trio.current_time()
        self._scope: trio.CancelScope | None = None

    def break_off(self) -> None:
        """The connection is lost, and it is noticed."""
        self._is_broken = True
        self._interrupt()

    def fall_silent(self) -> None:
        """The connection is lost, and nobody is told: nothing comes any more."""
        self._is_silent = True
        self._interrupt()

    def drain(self) -> None:
        """The run is over, and all that there was has been handed over; unless nobody asks for more, or nothing gets through."""
        if not self._is_over:
            self._is_over = True
            self._end(EndReason.CLOSED_BY_CLIENT, drained=self._is_asked and not self._is_silent)

    def close(self) -> None:
        """The process left it."""
        if not self._is_over:
            self._is_over = True
            self._end(EndReason.CLOSED_BY_CLIENT)

    async def receive(self) -> Changes:
        """See ChangeStream. Cancelled, it has taken nothing."""
        self._is_asked = True
        try:
            return await self._receive()
        finally:
            self._is_asked = False

    async def _receive(self) -> Changes:
        while True:
            if self._is_broken:
                await trio.lowlevel.checkpoint()
                self._over(EndReason.ENDED)
                raise trio.BrokenResourceError(f"the connection to {self.server} was lost: watch again")
            with trio.CancelScope() as self._scope:
                if self._is_silent:
                    await trio.sleep_forever()
                return await self._next()

    def _interrupt(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    async def _next(self) -> Changes:
        while True:
            if self._held is None:
                await self._take()
            held, world, life = self._held, self._world, self._life
            assert held is not None
            if self._due_s > trio.current_time():
                await sleep_until(self._due_s)
            while world.network.state(self.server, life.process).is_cut:
                await world.network.wait_for_change()
            if not held.events and held.revision and not self._in_state and not await self._is_bookmark_sent():
                self._held = None
                continue
            if "before-received" in world.injector.points:
                self._tell("before-received", held)
            if life.is_blocked(self._prefix):
                while life.is_blocked(self._prefix):
                    await life.unblocked.wait()
                await self._gather()
            life.check()
            held, self._held = self._held, None
            assert held is not None, "gathering adds to what there was"
            return self._handed_over(held)

    async def _gather(self) -> None:
        """All that came while the process was kept from it, as one: so that it never sees what was in between."""
        while not self._in_state and self._failure is None:
            assert self._held is not None, "there was something to keep from it"
            before = self._held
            with trio.move_on_after(AN_INSTANT_S) as scope:
                await self._take()
                if self._held is not before:
                    self._held = Changes(before.events + self._held.events, self._held.revision)
            if scope.cancelled_caught:
                return

    async def _take(self) -> None:
        """The next changes as they leave the server, and when they are due here. A failure waits for what came before it."""
        try:
            if self._failure is not None:
                raise self._failure
            changes = await self._inner.receive()
        except (Expired, trio.EndOfChannel, trio.BrokenResourceError) as error:
            if self._held is not None:
                self._failure = error
                return
            if isinstance(error, Expired):
                self._over(EndReason.EXPIRED, error.oldest + 1)
            else:
                self._over(EndReason.ENDED)
            raise
        now_s = trio.current_time()
        # Several may have left while this waited for the first: each has been on its way since it was there to be sent.
        written_s = self._world.history.published_at_s.get(changes.revision, now_s) if changes.events else now_s
        sent_s = min(now_s, max(self._looked_s, written_s))
        self._looked_s = now_s
        self._due_s = max(self._due_s, sent_s + self._world.network.delay(self.server, self._life.process))
        self._held = changes

    async def _is_bookmark_sent(self) -> bool:
        server = self._at
        if server.drops_bookmarks:
            return False
        if server.bookmarks_late_s:
            await trio.sleep(server.bookmarks_late_s)
        return True

    def _handed_over(self, changes: Changes) -> Changes:
        """Write down what the process gets, and give it to it."""
        world, events = self._world, changes.events
        if self._is_endless:
            changes = Changes(events, 0)
        batch = self._batch(events, changes.revision)
        if batch and not self._is_over:  # after that nobody looks
            self._source.log.steps.append(Received(trio.current_time(), batch))
        revisions = f"{events[0].revision}..{events[-1].revision}" if events else "-"
        world.chronicle.tell(self._source.log.name, f"gets {len(events)} events {revisions} up to {changes.revision}")
        if events and "received" in world.injector.points:
            self._tell("received", changes)
        return changes

    def _batch(self, events: tuple[Event, ...], revision: int) -> tuple[Event, ...]:
        """The events as a watch brings them, its bookmarks among them."""
        if self._in_state:
            if not revision:
                return events
            self._in_state = False
            return (*events, bookmark(revision, initial_events_end=True))
        if not events or events[-1].revision < revision:
            return (*events, bookmark(revision))
        return events

    def _tell(self, point: Point, changes: Changes) -> None:
        for event in changes.events:
            if event.type is EventType.DELETED:
                self._source.seen(point, "deleted", None, event.object)
            else:
                self._source.seen(point, _CHANGES[event.type], event.object, event.previous)

    def _over(self, reason: EndReason, oldest: int = 0) -> None:
        if not self._is_over:
            self._is_over = True
            self._end(reason, oldest=oldest)

    def _end(self, reason: EndReason, *, oldest: int = 0, drained: bool = False) -> None:
        self._source.log.steps.append(Ended(trio.current_time(), reason, oldest, drained=drained))
        self._world.chronicle.tell(self._source.log.name, f"watch over: {reason.value}")
