"""A cache with a hard life, and a patient client of it: the same contract must hold between the two.

    case ─► PatientStorage ─► Household ─► CacherStorage ─► EtcdStorage ─► etcd
            retries as a      restarts it at    └─ filled through an UnrulyUpstream: delays, lost streams,
            client does       random calls         compactions, lists that fail

Everything that goes wrong is drawn from one seed. What is written is never lost, so what a patient client sees is judged
like what any other sees: events in order, each once, lists at the revision that they say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import TypeVar

import msgspec
import trio

from cacher import CacherStorage
from cacher._lister_watcher import StorageListerWatcher
from cacher.storage import (
    EventStream,
    Interface,
    ListOptions,
    ListResult,
    Match,
    Preconditions,
    Semantics,
    Stats,
    TryUpdate,
    ValidateDeletion,
    Value,
)
from reflector import Changes, ChangeStream, ListerWatcher, Page
from watch import Batch, Event, EventType, Expired, NotReady, Object, TooLargeResourceVersion, WatchError

Result = TypeVar("Result")

RETRIES_S = 150.0
"""How long a client retries before it takes "not ready" for an answer: some of the longest waits it is told, 30 s each."""


class Troubles(msgspec.Struct):
    """How likely is what, and how often it came."""

    restart: float = 0.02
    """Of a call: the cache is thrown away, and a new one takes its place."""
    delay: float = 0.4
    """Of what upstream brings: it comes late, by up to `delay_s`."""
    delay_s: float = 0.5
    stall: float = 0.05
    """Of what upstream brings: it comes later than any reader waits."""
    stall_s: float = 4.0
    lost: float = 0.1
    """Of what upstream brings: the stream breaks instead."""
    compacted: float = 0.06
    """Of what upstream brings: its history is said to be gone, so that the cache starts anew and ends its watches."""
    failed_list: float = 0.1
    counts: dict[str, int] = msgspec.field(default_factory=dict)

    def comes(self, random: Random, what: str) -> bool:
        """Whether this time it does."""
        happens: bool = random.random() < getattr(self, what)
        self.counts[what] = self.counts.get(what, 0) + happens
        return happens


class UnrulyUpstream:
    """`source` as it is on a bad day."""

    def __init__(self, source: ListerWatcher, random: Random, troubles: Troubles) -> None:
        self._source = source
        self._random = random
        self._troubles = troubles

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await self.dawdle()
        if self._troubles.comes(self._random, "failed_list"):
            raise WatchError("the list failed on purpose")
        found = await self._source.list(resource_version=resource_version, page_size=page_size, page=page)
        await self.dawdle()
        return found

    @asynccontextmanager
    async def watch(self, revision: int) -> AsyncIterator[UnrulyStream]:
        async with self._source.watch(revision) as stream:
            yield UnrulyStream(stream, revision, self)

    async def request_progress(self) -> None:
        await self._source.request_progress()

    async def dawdle(self) -> None:
        if self._troubles.comes(self._random, "delay"):
            await trio.sleep(self._random.uniform(0, self._troubles.delay_s))
        if self._troubles.comes(self._random, "stall"):
            await trio.sleep(self._troubles.stall_s)

    def strike(self, revision: int) -> None:
        if self._troubles.comes(self._random, "lost"):
            raise trio.BrokenResourceError("the stream was lost on purpose")
        if self._troubles.comes(self._random, "compacted"):
            raise Expired(revision, revision + 1)


class UnrulyStream:
    """A watch whose words come late, or never; none is kept back and then forgotten, since the reflector asks again."""

    def __init__(self, stream: ChangeStream, revision: int, upstream: UnrulyUpstream) -> None:
        self._stream = stream
        self._revision = revision
        self._upstream = upstream

    async def receive(self) -> Changes:
        changes = await self._stream.receive()
        await self._upstream.dawdle()
        self._upstream.strike(self._revision)
        self._revision = changes.revision
        return changes


class Household:
    """Runs one CacherStorage after the other over one store."""

    def __init__(
        self, store: Interface, random: Random, troubles: Troubles, semantics: Semantics = Semantics.NEWEST
    ) -> None:
        self.store = store
        self.troubles = troubles
        self.semantics = semantics
        self.cached_events = 0
        """What came to clients from a cache."""
        self.recovered_events = 0
        """What they had to learn from the store's history, since the cache's was gone."""
        self._random = random
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self.storage = self._new()

    def _new(self) -> CacherStorage:
        upstream = UnrulyUpstream(StorageListerWatcher(self.store), self._random, self.troubles)
        return CacherStorage(
            self.store,
            random=self._random,
            indexed=("spec.nodeName",),
            lister_watcher=upstream,
            semantics=self.semantics,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._run_one, self.storage, self._scope)
            task_status.started()
            await trio.sleep_forever()

    async def _run_one(self, storage: CacherStorage, scope: trio.CancelScope) -> None:
        with scope:
            await storage.run()

    async def maybe_restart(self) -> None:
        """At a random call: the cache is gone, and another begins to fill itself."""
        if not self.troubles.comes(self._random, "restart"):
            return
        assert self._nursery is not None
        self._scope.cancel()
        self.storage, self._scope = self._new(), trio.CancelScope()
        self._nursery.start_soon(self._run_one, self.storage, self._scope)
        await trio.lowlevel.checkpoint()


class PatientStorage:
    """An Interface over a Household: retries what a client would. An answer is passed on; "not yet" is not one."""

    def __init__(self, household: Household) -> None:
        self._household = household

    @property
    def resource_prefix(self) -> str:
        return self._household.store.resource_prefix

    async def create(self, key: str, value: Value, *, ttl_s: int = 0) -> Object:
        await self._household.maybe_restart()
        return await self._household.storage.create(key, value, ttl_s=ttl_s)

    async def delete(
        self,
        key: str,
        *,
        preconditions: Preconditions | None = None,
        validate: ValidateDeletion | None = None,
        suggestion: Object | None = None,
        expect_decode_error: bool = False,
    ) -> Object | None:
        await self._household.maybe_restart()
        return await self._household.storage.delete(
            key,
            preconditions=preconditions,
            validate=validate,
            suggestion=suggestion,
            expect_decode_error=expect_decode_error,
        )

    async def guaranteed_update(
        self,
        key: str,
        try_update: TryUpdate,
        *,
        ignore_not_found: bool = False,
        preconditions: Preconditions | None = None,
        suggestion: Object | None = None,
    ) -> Object:
        await self._household.maybe_restart()
        return await self._household.storage.guaranteed_update(
            key,
            try_update,
            ignore_not_found=ignore_not_found,
            preconditions=preconditions,
            suggestion=suggestion,
        )

    async def get(self, key: str, *, resource_version: str = "", ignore_not_found: bool = False) -> Object | None:
        return await self.retried(
            lambda: self._household.storage.get(
                key, resource_version=resource_version, ignore_not_found=ignore_not_found
            )
        )

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        return await self.retried(lambda: self._household.storage.get_list(key, options))

    @asynccontextmanager
    async def watch(self, key: str, options: ListOptions) -> AsyncIterator[EventStream]:
        stream = PatientStream(self, self._household, key, options)
        await stream.open()
        try:
            yield stream
        finally:
            await stream.close()

    async def stats(self) -> Stats:
        return await self._household.storage.stats()

    def readiness_check(self) -> None:
        self._household.storage.readiness_check()

    async def request_watch_progress(self) -> None:
        await self._household.storage.request_watch_progress()

    async def current_resource_version(self) -> int:
        return await self._household.storage.current_resource_version()

    def compact_revision(self) -> int:
        return self._household.storage.compact_revision()

    async def retried(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        """What `ask` comes to once the cache is ready and has caught up."""
        until = trio.current_time() + RETRIES_S
        while True:
            await self._household.maybe_restart()
            try:
                return await ask()
            except NotReady as error:
                if trio.current_time() >= until:
                    raise
                wait_s = error.retry_after_s
            except TooLargeResourceVersion as error:
                # The store has not got there either: then this is the answer.
                if error.asked > await self._household.store.current_resource_version():
                    raise
                wait_s = error.retry_after_s
            await trio.sleep(min(wait_s, max(0.0, until - trio.current_time())))


class PatientStream:
    """A watch that is opened again where it was, as often as it takes.

    An initial state is handed out once the bookmark that ends it is there, where one was asked for: cut before, it is
    asked for anew. What a cache's history no longer has is read from the store's: a client would list and compare, and
    then could not say how often something changed meanwhile. What neither has is Expired to the case too, unless it asked
    for a state: then that is asked for anew, and compared.
    """

    def __init__(self, storage: PatientStorage, household: Household, key: str, options: ListOptions) -> None:
        self._storage = storage
        self._household = household
        self._key = key
        self._options = options
        self._starts_at = int(options.resource_version) if options.resource_version.isdigit() else 0
        self._wants_state = options.send_initial_events is not False and (
            not self._starts_at or options.send_initial_events is True
        )
        self._wants_end = self._wants_state and bool(options.send_initial_events) and options.allow_bookmarks
        self._revision = self._starts_at
        """Everything up to here has been handed out, once `_has_state`."""
        self._has_state = not self._wants_state
        self._held: list[Event] = []
        self._known: dict[str, Object] = {}
        self._ready: deque[Event] = deque()
        self._open: AsyncExitStack | None = None
        self._inner: EventStream | None = None
        self._ever_opened = False
        self._is_over = self._is_closed = False

    async def open(self) -> None:
        if not self._wants_state and not self._starts_at:
            self._revision = await self._household.store.current_resource_version()
        await self._reopen()

    async def close(self) -> None:
        self._is_closed = True
        await self._leave()

    async def receive(self) -> Event:
        batch = await self.receive_batch()
        self._ready.extendleft(reversed(batch[1:]))
        return batch[0]

    async def receive_batch(self) -> Batch:
        if self._is_closed:
            raise trio.ClosedResourceError
        while not self._ready:
            await self._fill()
        batch = tuple(self._ready)
        self._ready.clear()
        return batch

    # ---- inside ----

    async def _fill(self) -> None:
        if self._is_over:
            raise trio.EndOfChannel
        if self._inner is None:
            await self._reopen()
        assert self._inner is not None
        try:
            batch = await self._inner.receive_batch()
        except trio.EndOfChannel:
            await self._leave()
        except Expired:
            await self._leave()
            await self._recover()
        except TooLargeResourceVersion as error:
            await self._leave()
            if error.asked > await self._household.store.current_resource_version():
                self._is_over = True
                raise
        except Exception:
            self._is_over = True
            raise
        else:
            self._household.cached_events += self._take(batch)

    async def _reopen(self) -> None:
        """Where it was; from the start as long as nothing was handed out."""
        options = self._options if not self._has_state or not self._ever_opened else self._resumed()
        stack = AsyncExitStack()

        async def enter() -> EventStream:
            return await stack.enter_async_context(self._household.storage.watch(self._key, options))

        self._held.clear()
        self._inner = await self._storage.retried(enter)
        self._open = stack
        self._ever_opened = True

    def _resumed(self) -> ListOptions:
        return msgspec.structs.replace(
            self._options, resource_version=str(self._revision), match=Match.UNSET, send_initial_events=None
        )

    async def _leave(self) -> None:
        self._inner = None
        if self._open is not None:
            stack, self._open = self._open, None
            await stack.aclose()

    def _take(self, batch: Batch) -> int:
        """Hands out what is new in `batch`; how many events that are."""
        before = len(self._ready)
        if self._has_state:
            self._ready.extend(filter(self._is_news, batch))
        elif self._wants_end:
            self._held.extend(batch)
            if any(event.is_initial_events_end for event in batch):
                self._finish_state()
        else:
            self._held.extend(batch)
            self._finish_state()
        return len(self._ready) - before

    def _finish_state(self) -> None:
        self._has_state = True
        held, self._held = self._held, []
        self._revision = max(self._starts_at, *(event.revision for event in held))
        for event in held:
            before = self._known.get(event.key)
            if event.object != before:
                kind = EventType.MODIFIED if before is not None and event.type is EventType.ADDED else event.type
                self._ready.append(Event(kind, event.object, event.revision))
            self._known[event.key] = event.object

    def _is_news(self, event: Event) -> bool:
        if event.type is EventType.BOOKMARK:
            is_news = event.revision >= self._revision
        elif event.type is EventType.DELETED and self._wants_state and event.key not in self._known:
            is_news = False  # it went before it was ever shown
        else:
            is_news = event.revision > self._revision
        if is_news:
            self._revision = event.revision
            self._known[event.key] = event.object
        return is_news

    async def _recover(self) -> None:
        """What happened since `_revision`, from the store's own history.

        Raises:
            watch.Expired, InternalError: as the store's watch.
        """
        if not self._has_state:
            return
        store = self._household.store
        target = await store.current_resource_version()
        missed: list[Event] = []
        options = msgspec.structs.replace(self._resumed(), send_initial_events=False, progress_notify=True)
        try:
            async with store.watch(self._key, options) as history:
                reached = self._revision
                while reached < target:
                    await store.request_watch_progress()
                    with trio.move_on_after(0.1):
                        batch = await history.receive_batch()
                        missed += [event for event in batch if event.type is not EventType.BOOKMARK]
                        reached = batch[-1].revision
        except Exception as error:
            self._household.recovered_events += self._take(tuple(missed))
            if missed:
                return
            if self._wants_state and (isinstance(error, Expired) or "PrevKv=nil" in str(error)):
                self._has_state = False  # what it wants is the state, so it can start over and compare
                return
            self._is_over = True
            raise
        self._household.recovered_events += self._take(tuple(missed))
        self._revision = max(self._revision, target)
