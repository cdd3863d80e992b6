"""A simulated client: lists, watches, reads, falls behind, goes away and comes back, as its plan says.

    start ─▶ list ─▶ watch ─▶ read … ─┬─ away ─────────▶ watch again from its revision
               ▲                      ├─ ended by cache ▶ watch again from its revision
               └──────── expired ◀────┤
                                      └─ drain asked ──▶ takes what is left, closes, is done

One trio task a client. All that it sees goes into its ClientLog, and nothing that it sees is kept anywhere else.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Protocol

import trio

from watch import Expired, NotReady, TooLargeResourceVersion

from .. import ObjectList, ResourceWatch
from ._client_plans import ClientPlan
from ._recorder import ClientLog, Recorder

SETTLE_S = 60.0
"""A watch without a cache that the store has not brought up to date by then is closed as it is."""
SETTLE_POLL_S = 0.01


class Readable(Protocol):
    """What a client needs of a resource: it is `cacher.Resource`, seen from outside."""

    async def list(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        resource_version: str | int = "",
    ) -> ObjectList: ...

    @property
    def is_cached(self) -> bool: ...

    async def wait_until_fresh(self, revision: int, *, watch: ResourceWatch | None = None) -> None: ...

    def watch(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        resource_version: str | int | None = None,
        send_initial_events: bool | None = None,
        bookmarks: bool = False,
    ) -> AbstractAsyncContextManager[ResourceWatch]: ...


class Drain:
    """Tells all clients at once that nothing more will come: whatever they wait for, they stop waiting.

    Cancels only the waits that clients put into `scope`; a read that has got something is never cut.
    """

    def __init__(self) -> None:
        self._asked = False
        self._scopes: dict[trio.CancelScope, None] = {}

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Waits inside end when the drain is asked for, or at once where it has been."""
        with trio.CancelScope() as scope:
            self._scopes[scope] = None
            if self._asked:
                scope.cancel()
            try:
                yield
            finally:
                del self._scopes[scope]

    def ask(self) -> None:
        """From now on nobody waits. Idempotent."""
        self._asked = True
        for scope in list(self._scopes):
            scope.cancel()


class _Outcome(enum.Enum):
    DRAINED = enum.auto()
    AWAY = enum.auto()
    ENDED = enum.auto()
    EXPIRED = enum.auto()


class Client:
    """One client at work. `run` returns when it has been drained.

    Args:
        store_revision: the store's revision now; a list of the latest must not be older.
        speed: seconds of the trace in a second of the run's clock.
    """

    def __init__(
        self,
        plan: ClientPlan,
        resource: Readable,
        log: ClientLog,
        *,
        drain: Drain,
        store_revision: Callable[[], int],
        speed: float = 1.0,
    ) -> None:
        self.plan = plan
        self.has_opened = trio.Event()
        """Set when the client has its first watch."""
        self._resource = resource
        self._log = log
        self._drain = drain
        self._store_revision = store_revision
        self._speed = speed
        self._revision: int | None = None  # where to watch from; None: list first
        terms = plan.terms
        self._terms = {
            "namespace": terms.namespace or None,
            "name": terms.name or None,
            "labels": terms.labels or None,
            "fields": terms.fields or None,
        }

    async def run(self) -> None:
        """Live until drained. Every stay in a watch ends with one `Ended` in the log."""
        await self._sleep(self.plan.start_at_s)
        while True:
            resumes = self._revision is not None
            if not resumes and not self.plan.streaming:
                await self._list()
            outcome = await self._stay(resumes=resumes)
            if outcome is _Outcome.DRAINED:
                return
            if outcome is _Outcome.EXPIRED:
                self._revision = None
            elif outcome is _Outcome.AWAY:
                await self._sleep(self.plan.away_s)

    async def _list(self) -> None:
        while True:
            wanted = self._store_revision() if self.plan.lists_latest else 0
            try:
                found = await self._resource.list(**self._terms, resource_version="" if self.plan.lists_latest else "0")
            except (NotReady, TooLargeResourceVersion) as refusal:
                self._log.retries += 1
                await trio.sleep(refusal.retry_after_s)
                continue
            self._log.listed(found.revision, found.objects, minimum_revision=wanted)
            self._revision = found.revision
            return

    async def _stay(self, *, resumes: bool) -> _Outcome:
        """One watch, from opening it to whatever ends it."""
        initial = self._revision is None
        opening = self._resource.watch(
            **self._terms,
            resource_version=self._revision,
            send_initial_events=True if initial else None,
            bookmarks=True,
        )
        try:
            async with opening as watch:
                self._log.opened(watch.revision, initial=initial, resumed=resumes)
                self.has_opened.set()
                return await self._read(watch)
        except Expired as expired:  # refused at the door
            self._log.opened(self._revision or 0, resumed=resumes)
            return self._expired(expired, refused=True)
        except (NotReady, TooLargeResourceVersion) as refusal:
            self._log.retries += 1
            await trio.sleep(refusal.retry_after_s)
            return _Outcome.ENDED

    async def _read(self, watch: ResourceWatch) -> _Outcome:
        """Take batch after batch, until the plan says to go away or the drain is asked for. Cost: one wake a batch."""
        try:
            is_away = False
            with self._drain.scope():
                # No call in between: with thousands of clients the depth of their stacks is what a wake costs.
                received, pause_s, batches_left = self._log.received, self.plan.pause_s, self.plan.close_after_batches
                while True:
                    received(await watch.receive_batch())
                    batches_left -= 1
                    if not batches_left:
                        break
                    if pause_s:
                        await self._sleep(pause_s)
                is_away = True
            if is_away:
                return self._closed(watch, _Outcome.AWAY)
            await self._drain_watch(watch)
            return self._closed(watch, _Outcome.DRAINED)
        except Expired as expired:
            return self._expired(expired)
        except trio.EndOfChannel:
            self._log.ended()
            self._note_place(watch)
            return _Outcome.ENDED

    async def _drain_watch(self, watch: ResourceWatch) -> None:
        """Take what is left. From a cache all is here; the store may have more for a watch that was just opened."""
        if not self._resource.is_cached:
            with trio.move_on_after(SETTLE_S):
                while not await self._has_settled(watch):
                    self._take_all(watch)
        self._take_all(watch)

    async def _has_settled(self, watch: ResourceWatch) -> bool:
        """Whether all that the store has is here, within a moment; a full buffer must then be read first."""
        with trio.move_on_after(SETTLE_POLL_S) as waiting:
            await self._resource.wait_until_fresh(self._store_revision(), watch=watch)
        return not waiting.cancelled_caught

    def _take_all(self, watch: ResourceWatch) -> None:
        with suppress(trio.WouldBlock):
            while True:
                self._log.received(watch.receive_batch_nowait())

    def _closed(self, watch: ResourceWatch, outcome: _Outcome) -> _Outcome:
        watch.close()
        self._log.closed(drained=outcome is _Outcome.DRAINED)
        self._note_place(watch)
        return outcome

    def _expired(self, expired: Expired, *, refused: bool = False) -> _Outcome:
        # `oldest` is where a watch could have started: the revision before the oldest event in the ring.
        self._log.expired_at(expired.oldest + 1, refused=refused)
        return _Outcome.EXPIRED

    def _note_place(self, watch: ResourceWatch) -> None:
        """Remember where to resume. A state that was streamed in part has no such place: it is streamed again."""
        if self._revision is not None or self._log.has_streamed_state:
            self._revision = watch.revision

    async def _sleep(self, trace_seconds: float) -> None:
        if trace_seconds > 0:
            with self._drain.scope():
                await trio.sleep(trace_seconds / self._speed)


@asynccontextmanager
async def open_clients(
    plans: Sequence[ClientPlan],
    resources: Mapping[str, Readable],
    recorder: Recorder,
    *,
    store_revision: Callable[[], int],
    speed: float = 1.0,
) -> AsyncIterator[None]:
    """All clients at work, one task each: entered when those that are not to come late watch; left when all are drained.

    Drain, that is leave, only when the caches have reached the end: what a cache has yet to get, its clients would miss.
    An exception inside stops the clients where they are.
    Args:
        resources: what to read, by prefix; every plan's must be there.
        store_revision, speed: as for `Client`.
    """
    drain = Drain()
    async with trio.open_nursery() as nursery:
        prompt = []
        for plan in plans:
            log = recorder.client(plan.name, plan.prefix, plan.terms.selector(), slow=plan.is_slow)
            client = Client(plan, resources[plan.prefix], log, drain=drain, store_revision=store_revision, speed=speed)
            nursery.start_soon(client.run, name=plan.name)
            if not plan.start_at_s:
                prompt.append(client)
        for client in prompt:
            await client.has_opened.wait()
        yield
        drain.ask()
