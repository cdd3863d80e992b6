"""Bridge: from one thread to one task, in order, bounded by weight. What is full makes the thread wait, not the task.

    thread: put ──► at most `weight_max` ──► take: task
             ▲ waits while it is full          │ looks, rests, looks again; is woken when it listens
             └──────────── room ◄──────────────┘

The thread reads a grpc stream. While it waits here it reads nothing, the stream's window fills, and the server stops
sending: so a reader that stands still costs a bridge full, and the rest stays in etcd.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import Generic, TypeVar

import trio

from ._embedded_watch import Bell

T = TypeVar("T")

REST_S = 0.001
"""A task that has just taken something looks again only then; what comes after a pause is taken at once. To be woken costs it
some 40 µs of CPU, and takes the interpreter from the thread, which is to read on. Measured with 2,000 single events a second:
docs/track-record.md.
"""


class Bridge(Generic[T]):
    """Made in the task's trio run. One thread at a time puts; one task takes.

    Args:
        weight_max: what may wait; one item more is let in while the sum is below it, so a heavy one passes alone.
    """

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._room = threading.Condition()
        self._token = trio.lowlevel.current_trio_token()
        self._arrived = Bell()
        self._listens = False
        self._rests_until = 0.0
        self._is_over = False

    @property
    def weight(self) -> int:
        """What waits now."""
        return self._weight

    @property
    def is_empty(self) -> bool:
        """Whether `take` would wait, or has nothing more to wait for."""
        return not self._items

    # --- the thread's side --------------------------------------------------------------------------------------------

    def put(self, item: T, weight: int) -> bool:
        """Hand over an item, waiting for room; False, and nothing handed over, once the bridge is finished or closed."""
        with self._room:
            while self._weight >= self._weight_max and not self._is_over:
                self._room.wait()
            if self._is_over:
                return False
            self._items.append((item, weight))
            self._weight += weight
            listened, self._listens = self._listens, False
        if listened:
            # Where the run is over, so is the task that would have taken it.
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._arrived.ring)
        return True

    # --- the task's side ----------------------------------------------------------------------------------------------

    async def take(self, count_max: int) -> list[T]:
        """What has come, oldest first, at most `count_max` items; waits for one. Empty: there will be no more.

        Cancelled, it has taken nothing. A checkpoint unless something is there already. Nothing comes later than REST_S for
        having come soon after what was taken before.
        """
        if not self._items:
            await self._rest()
        while not (taken := self._take(count_max)):
            if self._is_over:
                break
            await self._arrived.wait()
        self._rests_until = trio.current_time() + REST_S
        return taken

    def finish(self) -> None:
        """No more is let in, and a thread that waits goes on at once; what is there can still be taken."""
        self._end(forget=False)

    def close(self) -> None:
        """The reader has left: finish, and forget what is there."""
        self._end(forget=True)

    def _end(self, *, forget: bool) -> None:
        with self._room:
            self._is_over = True
            if forget:
                self._items.clear()
                self._weight = 0
            self._room.notify_all()
        self._arrived.ring()

    async def _rest(self) -> None:
        if self._is_over:
            await trio.lowlevel.checkpoint()
        elif trio.current_time() < self._rests_until:
            await trio.sleep_until(self._rests_until)

    def _take(self, count_max: int) -> list[T]:
        """What is there; where nothing is, the next item rings."""
        taken: list[T] = []
        with self._room:
            while self._items and len(taken) < count_max:
                item, weight = self._items.popleft()
                self._weight -= weight
                taken.append(item)
            if taken:
                self._room.notify_all()
            self._listens = not taken
        return taken
