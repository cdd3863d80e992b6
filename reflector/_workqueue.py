"""WorkQueue: keys to be worked on, each once however often it was added, and never by two workers at a time.

It stands between what notices (an informer's handlers) and what acts (a reconcile function). `_queue_state` has the
rules, `_rate_limits` the waits after failures; this file waits.

It starts no task. A `get` that finds nothing parks in a line, first come first served; keys are handed to the parked, so
a woken worker has its key and nobody can overtake it. The first in the line also minds the clock for delayed keys.

Source: client-go util/workqueue.
Differs: `get` ends by an exception; `done` of a key that nobody has is an error; draining waits for what is still queued,
and not only for what workers have at that moment.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar, final

import outcome
import trio

from ._queue_state import QueueState, WorkQueueStatistics
from ._rate_limits import RateLimiter, default_limiter

K = TypeVar("K", bound=Hashable)


class QueueShutDown(trio.EndOfChannel):
    """The queue was shut down and has no more keys: a worker's loop ends here."""


@final
class WorkQueue(Generic[K]):
    """Keys to be worked on: deduplicated, in order of priority and then of arrival, delayed and slowed down where asked.

        async def worker(queue: WorkQueue[str]) -> None:
            while True:
                async with queue.item() as key:
                    try:
                        await reconcile(key)
                    except Conflict:
                        queue.add_rate_limited(key)
                    else:
                        queue.forget(key)

    Any number of workers may run at once. A key that is added while a worker has it comes again once that worker is done,
    once. Everything but `get`, `item` and `shut_down_with_drain` is synchronous and whole.

    No add is refused: a lost key would be an object that is never reconciled. Memory is bounded by the keys that there are:
    each is held once at most as dirty, as delayed and with a worker, and the limiter remembers those that failed until they are
    forgotten. So `forget` a key that is given up, too.

    Args:
        name: for statistics and error messages.
        limiter: how long `add_rate_limited` waits; `default_limiter()` unless said otherwise.
    """

    def __init__(self, name: str = "", *, limiter: RateLimiter[K] | None = None) -> None:
        self._state = QueueState[K](name)
        self._limiter: RateLimiter[K] = default_limiter() if limiter is None else limiter
        # Who waits in `get`, the first one first. Between any two steps: nobody waits while a key is ready.
        self._parked: OrderedDict[trio.lowlevel.Task, trio.CancelScope] = OrderedDict()
        self._drained = trio.Event()

    # ---- what notices --------------------------------------------------------------------------------------------

    def add(self, key: K, *, priority: int = 0) -> None:
        """`key` is to be worked on. Where it waits already it keeps its place, or moves up if `priority` is higher.

        Ignored once the queue is shut down. Cost: O(log n).
        """
        now = self._now()  # what was due before this key stands before it
        self._state.add(key, priority, now)
        self._settle(now)

    def add_after(self, key: K, delay_s: float, *, priority: int = 0) -> None:
        """`key` is to be added in `delay_s` seconds (0 or less: now); if that was asked before, at the earlier of the times.

        A key that is added meanwhile is worked on meanwhile, and once more when the time has come.
        Raises:
            ValueError: `delay_s` is infinite or no number.
        """
        if not math.isfinite(delay_s):
            raise ValueError(f"delay_s is {delay_s}: choose a finite number of seconds")
        if self._state.is_shut_down:
            return
        self._state.count_retry()
        if delay_s <= 0:
            self.add(key, priority=priority)
            return
        now = self._now()
        self._state.add_at(key, now + delay_s, priority)
        self._settle(now)

    def add_rate_limited(self, key: K, *, priority: int = 0) -> None:
        """`key` has failed and is to be added when the limiter says."""
        if not self._state.is_shut_down:
            self.add_after(key, self._limiter.when(key, trio.current_time()), priority=priority)

    def forget(self, key: K) -> None:
        """`key` has succeeded, or is given up: the limiter counts its failures from 0. It stays where it is in the queue."""
        self._limiter.forget(key)

    def num_requeues(self, key: K) -> int:
        """How many failures of `key` the limiter remembers."""
        return self._limiter.num_requeues(key)

    # ---- what acts -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def item(self) -> AsyncIterator[K]:
        """The next key, `done` when the block is left, in whatever way. It is not added again: that is for the block to say.

        Raises:
            QueueShutDown: as of `get`.
        """
        key = await self.get()
        try:
            yield key
        finally:
            self.done(key)

    async def get(self) -> K:
        """The next key, which is yours until `done(key)`. A call that is cancelled has taken nothing.

        Raises:
            QueueShutDown: the queue was shut down and no key is ready; return.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        now = self._now()
        self._settle(now)
        if not self._is_over_or_ready():
            return await self._park()
        try:
            return self._take(now)
        finally:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def get_nowait(self) -> K:
        """`get` without waiting.

        Raises:
            trio.WouldBlock: no key is ready.
            QueueShutDown: as of `get`.
        """
        now = self._now()
        self._settle(now)
        if not self._is_over_or_ready():
            raise trio.WouldBlock
        return self._take(now)

    def done(self, key: K) -> None:
        """You are through with `key`. If it was added meanwhile it is ready again, behind the others of its priority.

        Raises:
            ValueError: nobody has it: call this once for each key that `get` returned.
        """
        now = self._now()
        self._state.done(key, now)
        self._settle(now)

    # ---- the end -------------------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """From now on adds are ignored and delayed keys are dropped. Workers get what is ready, and then QueueShutDown.

        What was added while a worker has it is ready when that one is done, as ever.
        """
        now = self._now()
        self._state.shut_down()
        self._settle(now)

    async def shut_down_with_drain(self) -> None:
        """`shut_down`, then wait until no key is ready and none is with a worker.

        It waits for workers: where there may be none, or one may be stuck, put a timeout around it. Cancelled, the queue
        stays shut down.
        """
        self.shut_down()
        await self._drained.wait()

    @property
    def is_shut_down(self) -> bool:
        """Whether adds are ignored."""
        return self._state.is_shut_down

    # ---- what there is -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The keys that a `get` would have now: neither delayed ones nor those that workers have."""
        self._settle(self._now())
        return self._state.ready

    def statistics(self) -> WorkQueueStatistics:
        """What is held and has been done. Cost: O(keys with workers)."""
        now = self._now()
        self._settle(now)
        return self._state.statistics(now)

    # ---- waiting -------------------------------------------------------------------------------------------------

    def _is_over_or_ready(self) -> bool:
        return self._state.ready > 0 or self._state.is_shut_down

    def _take(self, now: float) -> K:
        if self._state.ready:
            return self._state.take(now)
        raise QueueShutDown(f"the work queue {self._state.name!r} is shut down and has no more keys: return")

    async def _park(self) -> K:
        """Waits in line until handed a key, or until the time of the first delayed one."""
        task = trio.lowlevel.current_task()

        def leave(_: object) -> trio.lowlevel.Abort:
            del self._parked[task]
            return trio.lowlevel.Abort.SUCCEEDED

        is_first = False
        while True:
            try:
                with trio.CancelScope() as scope:
                    self._stand_in_line(task, scope, is_first=is_first)
                    key: K = await trio.lowlevel.wait_task_rescheduled(leave)
                    return key
            except trio.Cancelled:
                self._settle(self._now())  # somebody else is the first in line now, and minds the clock
                raise
            # Its time is up, as the first in line: what is due is for it, and what else is due for those behind it.
            now = self._now()
            if self._is_over_or_ready():
                try:
                    return self._take(now)
                finally:
                    self._settle(now)
            is_first = True  # somebody was quicker, or the clock is early: back to its place

    def _stand_in_line(self, task: trio.lowlevel.Task, scope: trio.CancelScope, *, is_first: bool) -> None:
        if is_first and self._parked:
            next(iter(self._parked.values())).deadline = math.inf  # it need not mind the clock any more
        self._parked[task] = scope
        self._parked.move_to_end(task, last=not is_first)
        self._mind_the_clock()

    def _now(self) -> float:
        """The time; what is due by then is ready."""
        now = trio.current_time()
        self._state.promote(now)
        return now

    def _settle(self, now: float) -> None:
        """Whatever happened: ready keys are handed to those who wait, and the rest know what they wait for."""
        state = self._state
        if self._parked:
            while self._parked and state.ready:
                task, _ = self._parked.popitem(last=False)
                trio.lowlevel.reschedule(task, outcome.Value(state.take(now)))
            self._mind_the_clock()
        if state.is_shut_down:
            self._end(now)

    def _mind_the_clock(self) -> None:
        """The first in line wakes up when the next delayed key is due."""
        if self._parked:
            first = next(iter(self._parked.values()))
            due_at = self._state.next_due()
            if first.deadline != due_at:
                first.deadline = due_at

    def _end(self, now: float) -> None:
        while self._parked:
            task, _ = self._parked.popitem(last=False)
            trio.lowlevel.reschedule(task, outcome.capture(self._take, now))
        if self._state.is_idle:
            self._drained.set()
