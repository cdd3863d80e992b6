"""SharedInformer: a copy of what a source lists and watches, and any number of handlers that are told what becomes of it.

    source ─► Reflector ─► Store ─► queue of a handler ─► on_add, on_update, on_delete      in a task of its own
                             │  └─► queue of another   ─► …
                             ▼
                        Lister, indexes, has_synced, is_live, wait_until_revision

The store moves in whole steps, each of them before anybody is told of it: a handler, and whoever reads beside it, finds what it is
told of in the store, and finds nothing of a deleted object there. One informer serves a whole process; `SharedInformers` makes
it so.

Source: client-go tools/cache/shared_informer.go, controller.go.
Differs: a deletion and re-creation that nobody watched is told as both; what a new list shows unchanged is not told; a slow
handler's queue is bounded; `is_live` says how old the copy may be, which `has_synced` never does.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import final

import msgspec
import trio

from watch import Event, Object, WatchError

from ._backoff import BackoffPolicy, Chance
from ._handler_queue import Batch
from ._handlers import Handler, HandlerStatistics, InformerStopped, Registration
from ._indexer import IndexFunction
from ._lister import Lister
from ._lister_watcher import Changes, ListerWatcher, OfOneKind, Replacement
from ._mutations import CHECK_PERIOD_S, MutationDetector
from ._promises import ObjectCheck
from ._reflector import Reflector, ReflectorStatistics
from ._store import Store, StoreChange, StoreChangeKind

QUEUE_SIZE = 1024
"""Changes that a handler may lag behind before they are merged. Source: shared_informer.go, initialBufferSize."""
LIVE_WITHIN_S = 90.0
"""A copy that heard nothing for longer is not live: bookmarks come every 60 s, and a second and a half later at most."""
INACTIVITY_S = 70.0
"""A stream that is silent for longer is resumed: bookmarks come every 60 s, and servers keep 75 s of history at least."""
WATCH_TIMEOUT_S = 300.0
"""A watch is left after this, or up to twice it. Source: client-go tools/cache/reflector.go, defaultMinWatchTimeout."""
OBJECTS_MAX = 1_000_000
"""A list of more objects is taken for endless: some 3 GB of pods, six times the largest cluster that Kubernetes supports."""
PROGRESS_PERIOD_S = 0.1
"""How often the source is asked how far it is while somebody waits for a revision."""

Transform = Callable[[Object], Object]
"""What is kept of an object, and shown to all: the same one, or one with less in it. Same key, names, uid and revision."""


class InformerStatistics(msgspec.Struct, frozen=True):
    """One informer at one moment."""

    name: str
    has_synced: bool
    revision: int
    objects: int
    staleness_s: float
    """Since the source last said something of its state; infinite before it has."""
    reflector: ReflectorStatistics
    """Lists, relists, resumes, failures, backoff, the last error."""
    handlers: tuple[HandlerStatistics, ...]


@final
class SharedInformer:
    """Mirrors `source` into a store, and tells handlers what changed. Starts nothing until `run` is called.

        informer = SharedInformer(pods.lister_watcher(), random=Random(7))
        informer.add_handler(Functions(on_add=lambda pod, _: print("new", pod.name)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(informer.run)
            await informer.wait_until_synced()
            print(len(informer.lister.list("team-a")))

    Args:
        random: chance for the waits, `random.Random` or alike.
        name: for statistics and error messages.
        indexes: functions by the names of the store's indexes, beside "namespace".
        transform: applied to every object, once, before the store and the handlers see it; those of deletions too. One that
            raises ends the run.
        resync_s: how often handlers are told of all objects again, by on_update; 0: never. A handler may have its own.
        backoff: the waits after failures; client-go's by default.
        kind: of the objects, such as "Pod", where the source does not know it itself: another one is a BrokenPromise.
        requires_uid: an object without a uid is a BrokenPromise, as no API server sends one. False for objects that were written
            into a store by hand; a deletion and re-creation that nobody watched is then told as an update.
        streams: ask for the state as a stream where the source can.
        page_size, inactivity_s, watch_timeout_s, objects_max: see Reflector.
        on_failure: called with every failure of the source; `last_failure` has the last.
        detects_mutations: for tests: compare all objects with copies every second; a difference ends the run with ObjectMutated.
    """

    def __init__(
        self,
        source: ListerWatcher,
        *,
        random: Chance,
        name: str = "",
        indexes: Mapping[str, IndexFunction] | None = None,
        transform: Transform | None = None,
        resync_s: float = 0,
        backoff: BackoffPolicy | None = None,
        kind: str = "",
        requires_uid: bool = True,
        streams: bool = True,
        page_size: int | None = None,
        inactivity_s: float = INACTIVITY_S,
        watch_timeout_s: float = WATCH_TIMEOUT_S,
        objects_max: int = OBJECTS_MAX,
        on_failure: Callable[[Exception], None] | None = None,
        detects_mutations: bool = False,
    ) -> None:
        self.name = name
        self.store = Store(indexes)
        """The copy. Read it at any time; it is empty at first."""
        self.lister = Lister(self.store)
        self._source = source
        self._resync_s = resync_s
        self._feed = _Feed(self, transform)
        known_kind = source.kind if isinstance(source, OfOneKind) else ""
        self._reflector = Reflector(
            source,
            self._feed,
            random=random,
            first_list="0",
            backoff=backoff,
            name=name,
            streams=streams,
            page_size=page_size,
            inactivity_s=inactivity_s,
            watch_timeout_s=watch_timeout_s,
            objects_max=objects_max,
            check=ObjectCheck(kind=kind or known_kind, requires_uid=requires_uid),
            on_failure=on_failure,
        )
        self._mutations = MutationDetector() if detects_mutations else None
        self._registrations: tuple[
            Registration, ...
        ] = ()  # replaced, not changed: a handler may add another while it is told
        self._added = 0
        self._nursery: trio.Nursery | None = None
        self._synced = trio.Event()
        self._is_stopped = False
        self._has_begun = False
        self._heard_s = -inf
        self._waiting: list[_Waiting] = []
        self._awaited = trio.Event()

    # ---- its life ----------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Mirror and tell until cancelled; started once the first list is in the store. Once only.

        Raises:
            RuntimeError: it has been run before.
            IndexFunctionFailed, ObjectMutated, or what the transform raised, in an ExceptionGroup: mistakes in the program.
        """
        if self._has_begun:
            raise RuntimeError(f"the informer {self.name!r} has been run before: make another")
        self._has_begun = True
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for registration in self._registrations:
                    nursery.start_soon(registration.run, name=f"handler {registration.name}")
                nursery.start_soon(self._ask_while_awaited)
                if self._mutations is not None:
                    nursery.start_soon(self._detect, self._mutations)
                await self._reflector.run(task_status=task_status)
        finally:
            self._stop()

    @property
    def has_synced(self) -> bool:
        """Whether the store has had a complete list. Once true, always true: ask `is_live` how old it may be by now."""
        return self._synced.is_set() and self._heard_s != -inf

    async def wait_until_synced(self) -> None:
        """Return once `has_synced`. A handler's own is on its Registration.

        Raises:
            InformerStopped: it stopped before.
        """
        await self._synced.wait()
        if not self.has_synced:
            raise InformerStopped(f"the informer {self.name!r} stopped before its first list was complete")

    @property
    def staleness_s(self) -> float:
        """Seconds since an event, a bookmark or a complete list came; infinite before the first list."""
        return trio.current_time() - self._heard_s

    def is_live(self, within_s: float = LIVE_WITHIN_S) -> bool:
        """Whether the source said something of its state within so many seconds: the store is not older than that.

        Choose more than the source's period of bookmarks, and where it sends none, more than a watch lasts.
        """
        return self.staleness_s <= within_s

    @property
    def last_revision(self) -> int:
        """The store shows the source's state at this revision; 0 before the first list."""
        return self.store.revision

    async def wait_until_revision(self, revision: int) -> None:
        """Return once the store shows `revision`, such as that of a write of one's own. The source is asked meanwhile.

        It waits as long as it takes: put a timeout around it.
        Raises:
            InformerStopped: it stopped before.
        """
        await trio.lowlevel.checkpoint()
        if self.store.revision >= revision:
            return
        waiting = _Waiting(revision)
        if not self._is_stopped:
            heapq.heappush(self._waiting, waiting)
            self._awaited.set()
            try:
                await waiting.over.wait()
            finally:
                if not waiting.over.is_set():
                    self._waiting.remove(waiting)
                    heapq.heapify(self._waiting)
        if self.store.revision < revision:
            raise InformerStopped(f"the informer {self.name!r} stopped at revision {self.store.revision} of {revision}")

    # ---- handlers ----------------------------------------------------------------------------------------------------

    def add_handler(
        self, handler: Handler, *, queue_size: int = QUEUE_SIZE, resync_s: float | None = None, name: str = ""
    ) -> Registration:
        """Tell `handler` of all objects, as additions of the initial list, and then of every change. At any time.

        A handler that is added twice is told twice.

        Args:
            queue_size: changes that it may lag behind; what comes then is merged by object (see HandlerQueue).
            resync_s: seconds between two resyncs of this handler, 0 for none; the informer's by default.
        Raises:
            InformerStopped: too late.
        """
        if self._is_stopped:
            raise InformerStopped(f"the informer {self.name!r} has stopped: no handler can be added")
        self._added += 1
        registration = Registration(
            handler,
            self.store,
            self._forget,
            name=name or f"{type(handler).__name__} {self._added}",
            queue_size=queue_size,
            resync_s=self._resync_s if resync_s is None else resync_s,
        )
        if self.has_synced:
            added = [StoreChange(StoreChangeKind.ADDED, key, None, obj) for key, obj in self.store.items()]
            registration.put(Batch(added, self.store.revision, trio.current_time(), is_initial=True))
        self._registrations = (*self._registrations, registration)
        if self._nursery is not None:
            self._nursery.start_soon(registration.run, name=f"handler {registration.name}")
        return registration

    @property
    def last_failure(self) -> Exception | None:
        """The last failure of the source, a BrokenPromise where it lied; None where there was none. All are waited out."""
        return self._reflector.last_failure

    def statistics(self) -> InformerStatistics:
        """How it is doing. Cost: O(handlers), and O(changes that wait in queues that are full)."""
        return InformerStatistics(
            name=self.name,
            has_synced=self.has_synced,
            revision=self.store.revision,
            objects=len(self.store),
            staleness_s=self.staleness_s,
            reflector=self._reflector.statistics(),
            handlers=tuple(each.statistics() for each in self._registrations),
        )

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _tell(self, changes: Sequence[StoreChange]) -> None:
        """The store has moved. Synchronous, and part of the step that moved it."""
        self._heard_s = trio.current_time()
        is_first = not self._synced.is_set()
        if changes or is_first:
            batch = Batch(changes, self.store.revision, self._heard_s, is_initial=is_first)
            for registration in self._registrations:
                registration.put(batch)
        if self._mutations is not None:
            self._mutations.note(changes, self._heard_s)
        self._synced.set()
        while self._waiting and self._waiting[0].revision <= self.store.revision:
            heapq.heappop(self._waiting).over.set()

    def _forget(self, registration: Registration) -> None:
        self._registrations = tuple(each for each in self._registrations if each is not registration)

    def _stop(self) -> None:
        self._is_stopped = True
        self._nursery = None
        self._synced.set()
        for registration in self._registrations:
            registration.end()
        while self._waiting:
            heapq.heappop(self._waiting).over.set()

    async def _ask_while_awaited(self) -> None:
        while True:
            await self._awaited.wait()
            while self._waiting:
                with suppress(WatchError, trio.BrokenResourceError, OSError):
                    await self._source.request_progress()  # it may be lost; the next one follows
                await trio.sleep(PROGRESS_PERIOD_S)
            self._awaited = trio.Event()

    async def _detect(self, mutations: MutationDetector) -> None:
        while True:
            await trio.sleep(CHECK_PERIOD_S)
            mutations.check(trio.current_time())


class _Waiting:
    """Somebody who waits for a revision; the lowest first."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.over = trio.Event()

    def __lt__(self, other: _Waiting) -> bool:
        return self.revision < other.revision


class _Feed:
    """The ReflectorStore that moves an informer's store."""

    def __init__(self, informer: SharedInformer, transform: Transform | None) -> None:
        self._informer = informer
        self._transform = transform

    def objects(self) -> tuple[Object, ...]:
        """The store finds out on its own what a list no longer has."""
        return ()

    def replace(self, replacement: Replacement) -> None:
        """A complete list."""
        if self._transform is not None:
            objects = tuple(map(self._transform, replacement.objects))
            replacement = Replacement(objects, replacement.revision, replacement.gone)
        self._informer._tell(self._informer.store.replace(replacement))

    def apply(self, changes: Changes) -> None:
        """Events, in order."""
        if self._transform is not None:
            events = tuple(_with(event, self._transform(event.object)) for event in changes.events)
            changes = Changes(events, changes.revision)
        self._informer._tell(self._informer.store.apply(changes))

    def bookmark(self, revision: int) -> None:
        """Nothing else happened up to here."""
        self._informer.store.bookmark(revision)
        self._informer._tell(())


def _with(event: Event, obj: Object) -> Event:
    return Event(event.type, obj, event.revision)
