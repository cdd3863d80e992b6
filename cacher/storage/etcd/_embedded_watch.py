"""EmbeddedWatch: a watch of the embedded etcd, between the task that delivers and the one that receives.

    Watcher.pending ─► delivery task ─► bridge ─► receive
     (bounded, then                     (bounded: when full,
      history takes over)                pending backs up)

The two tasks share one bounded queue and wake each other through bells, once for however much has come.
"""

from __future__ import annotations

from collections import deque

import trio

from ._protocol import CompactedError, WatchResponse
from ._watchable import WatchableStore, Watcher, WatchRequest


class Bell:
    """Wakes the one task that waits for it; rung while nobody waits, it is not heard. Waiters look first, then wait."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None

    def ring(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self) -> None:
        assert self._task is None, "one task waits for a bell"
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class EmbeddedWatch:
    """An open watch (see EtcdWatch). Made by `EmbeddedEtcd.watch`.

    At most `responses_max` responses wait in its bridge. When that is full the watcher's own pending fills, then it becomes
    unsynced and history keeps its events; only a compaction can then lose them, and `receive` says so.
    """

    def __init__(self, store: WatchableStore, request: WatchRequest, responses_max: int) -> None:
        self._offered = Bell()
        self._arrived = Bell()
        self._room = Bell()
        self.watcher: Watcher = store.watch(request, self._offered.ring)
        self._responses_max = responses_max
        self._bridge: deque[WatchResponse] = deque()
        self._scope = trio.CancelScope()
        self._failure: CompactedError | None = None
        self._is_ended = False
        self._is_closed = False
        self._is_receiving = False

    async def receive(self) -> WatchResponse:
        """The next response: whole revisions, or a progress notification. Cancelled, it has taken nothing.

        Raises:
            CompactedError: history was compacted past what this watch needs next; it is over. Read, and watch from there.
            trio.EndOfChannel: the store was closed, or the watch had raised CompactedError; and all was received.
            trio.ClosedResourceError: the watch's context was left.
            trio.BusyResourceError: another task is receiving.
        """
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this watch: open one for each task")
        self._is_receiving = True
        try:
            if self._bridge or self._is_ended:
                await trio.lowlevel.checkpoint()
            while not self._bridge:
                self._raise_if_over()
                await self._arrived.wait()
            response = self._bridge.popleft()
        finally:
            self._is_receiving = False
        self._room.ring()
        return response

    def request_progress(self) -> None:
        """Have `receive` say how far the watch is, after the events before that. Forgotten where the watch is behind.

        Raises:
            trio.ClosedResourceError: the watch's context was left.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this watch was closed: open another")
        if not self._is_ended:
            self.watcher.request_progress()

    def _raise_if_over(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this watch was closed: open another")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._is_ended:
            raise trio.EndOfChannel("the watch is over: watch again from the last revision received, or read anew")

    async def deliver(self) -> None:
        """Carry responses from the watcher over the bridge until the watch is left, or is over."""
        with self._scope:
            try:
                # A task that was woken just before the end runs once more before its cancellation reaches it.
                while not self._is_ended:
                    await self._deliver_some()
            except CompactedError as error:
                self.end(error)

    async def _deliver_some(self) -> None:
        # First room, then the responses: whatever happens while there is no room comes along in the same response.
        if len(self._bridge) >= self._responses_max:
            await self._room.wait()
            return
        response = self.watcher.take()
        if response is not None:
            self._bridge.append(response)
            self._arrived.ring()
        if not self.watcher.is_synced:
            await trio.lowlevel.checkpoint()  # between two slices of history everybody has a turn
        elif response is None:
            await self._offered.wait()

    def end(self, failure: CompactedError | None = None) -> None:
        """Nothing more will come; what is in the bridge is still received."""
        if not self._is_ended:
            self._is_ended = True
            self._failure = failure
            self._arrived.ring()

    def close(self) -> None:
        """The reader has left."""
        self._is_closed = self._is_ended = True
        self._bridge.clear()
        self._scope.cancel()
        self._arrived.ring()
