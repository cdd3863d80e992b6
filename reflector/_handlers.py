"""Handlers: who is told what becomes of an informer's objects, each in a task of its own, at its own pace.

    SharedInformer ─ put ─► HandlerQueue ─► Registration.run ─► on_add, on_update, on_delete, one at a time

A handler that raises, blocks or is slow hurts only itself: the failure is counted and the next change is told, and what it has
not yet been told waits, bounded as HandlerQueue says. Plain functions are called one after the other without a task switch between
them, and where nothing waits, in the very step that moved the store; what a function returns is awaited if it can be.

Source: client-go tools/cache/shared_informer.go, processorListener.
Differs: a failure is counted and never ends the process; an informer's objects are not told again by a list that shows them
unchanged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutine
from math import inf
from typing import Any, Protocol, final

import msgspec
import trio

from watch import Object

from ._handler_queue import Batch, HandlerQueue
from ._store import Store, StoreChange, StoreChangeKind, Tombstone

CALLS_PER_TURN = 64
"""Calls of plain functions before other tasks get their turn: at 1 µs a call the turn costs a tenth of it."""
RESYNC_MIN_S = 1.0
"""The shortest resync. Source: shared_informer.go, minimumResyncPeriod."""


class Handler(Protocol):
    """Who is told. Each method may be a plain function or an async one; objects are shared and are not to be changed.

    One call is over before the next begins. When a method is called, the store shows the change already, and perhaps later ones.
    """

    def on_add(self, obj: Object, is_in_initial_list: bool, /) -> object:
        """There is a new object. `is_in_initial_list`: it was there before the handler was, or before the first list."""
        ...

    def on_update(self, old: Object, new: Object, /) -> object:
        """An object became another version. Both are the same one in a resync."""
        ...

    def on_delete(self, obj: Object | Tombstone, /) -> object:
        """An object is gone: its last state, or a Tombstone where nobody saw it go."""
        ...


@final
class Functions:
    """A Handler made of functions; what is left out does nothing."""

    def __init__(
        self,
        *,
        on_add: Callable[[Object, bool], object] | None = None,
        on_update: Callable[[Object, Object], object] | None = None,
        on_delete: Callable[[Object | Tombstone], object] | None = None,
    ) -> None:
        self.on_add = on_add or _nothing
        self.on_update = on_update or _nothing
        self.on_delete = on_delete or _nothing


@final
class Filtered:
    """A Handler that tells another of the objects that `wants` lets through: one that comes to be wanted is added, one that no
    longer is, is deleted.

    Source: client-go tools/cache/controller.go, FilteringResourceEventHandler.
    """

    def __init__(self, handler: Handler, wants: Callable[[Object], bool]) -> None:
        self._handler = handler
        self._wants = wants

    def on_add(self, obj: Object, is_in_initial_list: bool, /) -> object:
        """See Handler.on_add."""
        return self._handler.on_add(obj, is_in_initial_list) if self._wants(obj) else None

    def on_update(self, old: Object, new: Object, /) -> object:
        """See Handler.on_update."""
        was, is_now = self._wants(old), self._wants(new)
        if was and is_now:
            return self._handler.on_update(old, new)
        if is_now:
            return self._handler.on_add(new, False)
        return self._handler.on_delete(old) if was else None

    def on_delete(self, obj: Object | Tombstone, /) -> object:
        """See Handler.on_delete."""
        known = obj.last_known if isinstance(obj, Tombstone) else obj
        return self._handler.on_delete(obj) if self._wants(known) else None


def _nothing(*_: object) -> None:
    return


class HandlerFailed(Exception):
    """A handler failed on an object of the initial list: it has not handled it, and so is never synced. Mend the handler."""

    def __init__(self, handler: str, key: str, problem: str) -> None:
        self.handler = handler
        self.key = key
        super().__init__(
            f"the handler {handler} failed on {key} of the initial list: {problem}; mend it, and add it anew"
        )


class InformerStopped(Exception):
    """What was waited for can no longer come: the informer has stopped, or the handler was removed."""


class HandlerStatistics(msgspec.Struct, frozen=True):
    """One handler at one moment. Counts run from its start."""

    name: str
    has_synced: bool
    queue_length: int
    """Changes that it has yet to be told."""
    queue_length_peak: int
    handled: int
    """Calls that have returned, or raised."""
    merged: int
    """Changes that were not told on their own, because the handler was too far behind."""
    failures: int
    """Calls that raised."""
    last_failure: str
    """The last of them in words, "" where there was none."""
    resyncs: int
    lag_revisions: int
    """How far the store is ahead of what the handler was told; 0 where nothing waits."""
    lag_s: float
    """The age of the oldest change that it has yet to be told."""
    busy_s: float
    """How long its present call has been waiting for something; 0 where it is not."""


@final
class Registration:
    """One handler of one informer. Made by `SharedInformer.add_handler`.

    Args:
        leave: takes this one off the informer's list.
    """

    def __init__(
        self,
        handler: Handler,
        store: Store,
        leave: Callable[[Registration], None],
        *,
        name: str,
        queue_size: int,
        resync_s: float,
    ) -> None:
        if resync_s and resync_s < RESYNC_MIN_S:
            raise ValueError(f"resync_s is {resync_s:g}: choose at least {RESYNC_MIN_S:g} s, or 0 for none")
        self.name = name
        self._store = store
        self._leave = leave
        # Looked up once: an attribute a call would cost as much as the call of a small function.
        self._on_add: Callable[[Object, bool], Any] = handler.on_add
        self._on_update: Callable[[Object, Object], Any] = handler.on_update
        self._on_delete: Callable[[Object | Tombstone], Any] = handler.on_delete
        self._queue = HandlerQueue(queue_size)
        self._resync_s = resync_s
        self._resync_at_s = inf
        self._scope = trio.CancelScope()
        self._task: trio.lowlevel.Task | None = None
        self._wake: trio.Event | None = None
        self._is_synced = False
        self._settled = trio.Event()
        self._ended = trio.Event()
        self._initial_failure: HandlerFailed | None = None
        self._is_removed = False
        self._told: Batch | None = None  # what is being told
        self._at = 0  # how many of its changes have been
        self._result: Awaitable[object] | None = None  # of the last call, where that is to be awaited
        self._is_idle = False  # everything has been told, and the task waits for more
        self._revision = 0
        self._handled = self._failures = self._resyncs = 0
        self._last_failure = ""
        self._waits_since_s: float | None = None

    # ---- for whoever added it ----------------------------------------------------------------------------------------

    @property
    def has_synced(self) -> bool:
        """Whether the handler has handled all objects of its beginning. Once true, always true; never, where it failed on one."""
        return self._is_synced

    async def wait_until_synced(self) -> None:
        """Return once `has_synced`.

        Raises:
            HandlerFailed: it failed on one of those objects, and never will be: mend it.
            InformerStopped: the informer stopped, or the handler was removed, before.
        """
        await self._settled.wait()
        if self._is_synced:
            return
        if self._initial_failure is not None:
            raise self._initial_failure
        raise InformerStopped(f"the handler {self.name} was stopped before it was synced")

    async def remove(self) -> None:
        """Tell the handler nothing more. When this returns no call is under way, or it is the one that called this. Idempotent.

        A call that waits for something is cancelled.
        """
        self._is_removed = True
        self._leave(self)
        if self._task is trio.lowlevel.current_task():
            await trio.lowlevel.checkpoint()
            return
        self._scope.cancel()
        if self._task is not None:
            await self._ended.wait()
        await trio.lowlevel.checkpoint()

    def statistics(self) -> HandlerStatistics:
        """How it is doing."""
        now = trio.current_time()
        left = len(self._told.changes) - self._at if self._told is not None else 0
        waiting = left + len(self._queue)
        oldest_s = self._told.at_s if self._told is not None and left else self._queue.oldest_s
        return HandlerStatistics(
            name=self.name,
            has_synced=self.has_synced,
            queue_length=waiting,
            queue_length_peak=self._queue.peak,
            handled=self._handled,
            merged=self._queue.merged,
            failures=self._failures,
            last_failure=self._last_failure,
            resyncs=self._resyncs,
            lag_revisions=max(0, self._store.revision - self._revision) if waiting else 0,
            lag_s=now - oldest_s if waiting and oldest_s is not None else 0.0,
            busy_s=0.0 if self._waits_since_s is None else now - self._waits_since_s,
        )

    # ---- for the informer --------------------------------------------------------------------------------------------

    def put(self, batch: Batch) -> None:
        """`batch` is to be told after all before it. Where nothing is before it, and it is short, it is told now.

        Then no task is woken, unless there is something to await; a failure stays here in either case.
        """
        if self._is_removed:
            return
        if self._is_idle and not batch.is_initial and len(batch.changes) <= CALLS_PER_TURN:
            self._begin(batch)
            if self._is_told():
                return
        else:
            self._queue.put(batch)
        self._is_idle = False
        if self._wake is not None:
            self._wake.set()

    async def run(self) -> None:
        """Tell the handler what there is and what comes, until it is removed, or cancelled."""
        self._task = trio.lowlevel.current_task()
        self._plan_resync()
        try:
            with self._scope:
                while not self._is_removed:
                    await self._step()
        finally:
            self._is_idle = False
            if iscoroutine(self._result):
                self._result.close()  # the informer called for it, and this task ended before it could wait for it
            self._ended.set()
            self.end()

    def end(self) -> None:
        """Nothing more will come: whoever waits is told."""
        self._settled.set()

    # ---- inside: the task --------------------------------------------------------------------------------------------

    async def _step(self) -> None:
        if self._told is None and (batch := self._queue.take()) is not None:
            self._told, self._at = batch, 0
        if self._told is not None:
            await self._go_on()
        elif trio.current_time() < self._resync_at_s:
            await self._sleep()
        if self._told is None and trio.current_time() >= self._resync_at_s:
            self._begin_resync()

    async def _sleep(self) -> None:
        self._wake = trio.Event()
        self._is_idle = True
        try:
            with trio.CancelScope(deadline=self._resync_at_s):
                await self._wake.wait()
        finally:
            self._is_idle = False
            self._wake = None

    async def _go_on(self) -> None:
        """Tell the rest of what is being told, and give the others their turn now and then."""
        while not self._is_removed:
            if self._result is not None:
                await self._wait_for(self._result)
            elif self._is_told():
                return
            else:
                await trio.lowlevel.checkpoint()
                self._call()

    async def _wait_for(self, result: Awaitable[object]) -> None:
        self._waits_since_s = trio.current_time()
        try:
            await result
        except Exception as error:  # noqa: BLE001 - a handler's fault is its own; cancellation is no Exception
            self._note_failure(error)
        finally:
            self._result = self._waits_since_s = None
        self._handled += 1

    def _plan_resync(self) -> None:
        if self._resync_s:
            self._resync_at_s = trio.current_time() + self._resync_s

    def _begin_resync(self) -> None:
        """What is told next is each object that the handler knows, but those of which there is news on the way.

        The next one is due so long after this one's end: where a resync takes longer than its period, news has its turn too.
        """
        if not self.has_synced:
            self._plan_resync()
            return
        self._resyncs += 1
        self._resync_at_s = inf
        pending = self._queue.pending_keys()
        updated = StoreChangeKind.UPDATED
        known = [StoreChange(updated, key, obj, obj) for key, obj in self._store.items() if key not in pending]
        self._told, self._at = Batch(known, self._store.revision, trio.current_time()), 0

    # ---- inside: the calls -------------------------------------------------------------------------------------------

    def _begin(self, batch: Batch) -> None:
        self._told, self._at = batch, 0
        self._call()

    def _is_told(self) -> bool:
        """Whether all of a batch has been told; then it is done with."""
        batch = self._told
        assert batch is not None, "something is being told"
        if self._result is not None or self._at < len(batch.changes):
            return False
        self._told = None
        self._revision = batch.revision
        if self._resync_at_s == inf:
            self._plan_resync()
        if batch.is_initial:
            self._is_synced = self._initial_failure is None
            self._settled.set()
        return True

    def _call(self) -> None:
        """Call for the next changes, up to a turn's worth, and no further than one whose call is to be awaited."""
        batch = self._told
        assert batch is not None, "something is being told"
        changes, is_initial, at = batch.changes, batch.is_initial, self._at
        on_add, on_update = self._on_add, self._on_update
        begins, ends = at, min(at + CALLS_PER_TURN, len(changes))
        while at < ends:
            change = changes[at]
            at += 1
            new, old = change.new, change.old
            try:
                if new is None:
                    result = self._on_delete(_final(change, batch.revision))
                elif old is None:
                    result = on_add(new, is_initial)
                else:
                    result = on_update(old, new)
            except Exception as error:  # noqa: BLE001 - no await inside: a handler's fault is its own
                self._at = at
                self._note_failure(error)
                continue
            if result is not None and isawaitable(result):
                self._result = result
                self._handled -= 1  # not yet
                break
        self._at = at
        self._handled += at - begins

    def _note_failure(self, error: Exception) -> None:
        """The call for the change before `_at` has failed."""
        assert self._told is not None, "something is being told"
        change = self._told.changes[self._at - 1]
        self._failures += 1
        problem = f"{type(error).__name__}: {error}"
        self._last_failure = f"{change.kind} {change.key}: {problem}"
        if self._told.is_initial and self._initial_failure is None:
            self._initial_failure = HandlerFailed(self.name, change.key, problem)
            self._initial_failure.__cause__ = error


def _final(change: StoreChange, revision: int) -> Object | Tombstone:
    """What is told of a deletion."""
    if change.final is not None:
        return change.final
    assert change.old is not None, "what is deleted was there"
    return Tombstone(change.old, revision)
