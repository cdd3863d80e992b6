"""A Watch: one reader's stream of events, as a trio ReceiveChannel.

A Watch first gives what it was opened with (the state, or the history since a revision), then what its view gets. It reads in
one of three ways, chosen once:

    async for event in watch         one task a watch; `receive_batch()` takes all there is in one wake
    watch_set.add(watch)             one task for thousands of watches
    watch.pipe_to(sink)              no task: the publisher calls

`receive_batch(first=…)` is between the first and the last: a task that sleeps on while the publisher's calls succeed.

What is undelivered is bounded by the history ring: an event that leaves the ring before this watch took it expires the watch.
Nothing else does: a watch that has taken all of its own events may wait for ever, however far the ring moves.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Never, cast

import outcome
import trio

from ._errors import Expired
from ._event import Event, EventType, bookmark
from ._selector import Selector
from ._view import Batch, First, Sink, View

if TYPE_CHECKING:
    from ._router import Router
    from ._watch_set import WatchSet

NEVER_DROPPED = 1 << 63
"""The guard of a batch that did not come from the ring (initial state, bookmarks): no ring can drop it."""


class Watch(trio.abc.ReceiveChannel[Event]):
    """The events of one selector after one revision: in order, none twice, none missing, no revision split over two batches.

    Close it when done, best by `async with`. Only one task may receive at a time.
    """

    def __init__(self, view: View, *, after: int, live_after: int, has_state: bool = False) -> None:
        self._view = view
        self._start = after
        self._revision = 0 if has_state else after  # until the state has been taken there is nothing to resume from
        self._after = live_after  # what the view brings up to here is in the backlog already, or was not wanted
        self._backlog: deque[tuple[int, Batch, int]] = deque()  # (oldest ring revision in it, batch, revision after it)
        self._current: Batch = ()  # handed over whole to receive(), which gives it out one by one
        self._index = 0
        self._task: trio.lowlevel.Task | None = None
        self._set: WatchSet | None = None
        self._ended = False
        self._closed = False
        self._bookmark_due = False  # one is to be made for this reader, or is queued in its watch set
        self.position = view.end
        """The number of the next batch wanted from the view's log; the view moves it when it hands one over."""
        self.error: Exception | None = None
        """Why the watch ended, if not by `close`: Expired, or what a sink raised."""

    @property
    def selector(self) -> Selector:
        """What this watch lets through."""
        return self._view.selector

    @property
    def revision(self) -> int:
        """Everything of this watch up to here has been handed over; resume from here. 0: not even the initial state has."""
        if self._index == len(self._current):
            return self._revision
        # In the midst of a batch that `receive` gives out one by one. The events of a state are in key order and below its
        # revision: no part of it is a revision. Of all other batches, what is below the next event has been given out.
        next_revision = self._current[self._index].revision
        return next_revision - 1 if next_revision > self._start else 0

    async def receive(self) -> Event:
        """The next event.

        Raises:
            Expired: an event of this watch left the history before it was taken; list again.
            trio.EndOfChannel: the cache ended the watch; watch again from `revision`.
            trio.ClosedResourceError: this watch was closed on this side.
            trio.BusyResourceError: another task is receiving.
        Cost: a scheduler pass an event; `receive_batch` pays one a batch.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        event = self._next()
        if event is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return event
        self._current, self._index = await self._wait(), 1
        return self._current[0]

    def receive_nowait(self) -> Event:
        """The next event, at once. Raises trio.WouldBlock where there is none, and as `receive`."""
        event = self._next()
        if event is None:
            raise trio.WouldBlock
        return event

    async def receive_batch(self, *, first: First | None = None) -> Batch:
        """All that came at once, never empty: a tuple shared with the other watches of the selector. Raises as `receive`.

        Args:
            first: while this call waits, the publisher asks it about each batch: where it says True the batch is taken, and
                the call goes on waiting. One that raises ends this watch, with the exception in `error`.
        Cost: one wake however many events. A cancelled call has taken nothing.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        batch = self._take()
        if batch is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return batch
        return await self._wait(first)

    def receive_batch_nowait(self) -> Batch:
        """What is there, at once. Raises trio.WouldBlock where nothing is, and as `receive`."""
        batch = self._take()
        if batch is None:
            raise trio.WouldBlock
        return batch

    async def aclose(self) -> None:
        """As `close`, and a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Stop watching and let go of everything. A task that waits in `receive` gets ClosedResourceError. Idempotent."""
        if self._closed:
            return
        self._closed = True
        task, self._task = self._task, None
        if task is not None and self in self._view.parked:
            trio.lowlevel.reschedule(task, outcome.Error(trio.ClosedResourceError("this watch was closed")))
        if self._set is not None:
            self._set.discard(self)
        self._detach()

    def pipe_to(self, sink: Sink) -> None:
        """From now on the publisher calls `sink` with each batch; what has come so far is given to it before this returns.

        A sink that raises ends this watch, with the exception in `error`, and disturbs nobody else.
        Raises:
            trio.BusyResourceError: the watch is read in another way already.
            Expired, trio.ClosedResourceError: as `receive`.
        """
        self._leave_cursor_for("a sink")
        self._view.sinks[self] = sink
        while (batch := self._take_from_backlog()) is not None:
            self.sink_batch(batch)
        if self._ended:
            self._view.sinks.pop(self, None)

    @property
    def is_ended(self) -> bool:
        """True once nothing more will come: the cache ended the watch, it expired, or it was closed."""
        return self._ended or self._closed or self.error is not None

    # ---- for the router, the view and the watch set ----

    @property
    def is_void(self) -> bool:
        """True where even what is queued for this watch must not be handed over."""
        return self._closed or self.error is not None

    @property
    def router(self) -> Router:
        """Who feeds this watch."""
        return self._view.router

    def open_with(self, batch: Batch, *, guard: int, revision: int) -> None:
        """Put a batch before all that the view will bring. `guard`: the oldest ring revision in it; `revision`: after it."""
        self._backlog.append((guard, batch, revision))
        if guard != NEVER_DROPPED:
            self._view.router.note_lag(self, guard)

    def trim(self, oldest_revision: int) -> int | None:
        """Expire where the backlog holds an event that left the ring. Returns the oldest ring revision still held, or None."""
        for guard, _, _ in self._backlog:
            if guard < oldest_revision:
                self.expire()
                return None
        held = [guard for guard, _, _ in self._backlog if guard != NEVER_DROPPED]
        return held[0] if held else None

    def host_in(self, watch_set: WatchSet) -> list[tuple[int, Batch, int]]:
        """Become a member of `watch_set`. Returns what has come so far: oldest ring revision in it, batch, revision after it."""
        self._leave_cursor_for("a watch set")
        self._set = watch_set
        taken = list(self._backlog)
        self._backlog.clear()
        if not self._ended:
            self._view.join(watch_set, self)
        return taken

    def hosted(self, batch: Batch, revision: int) -> Batch:
        """What a watch set is to hand over of `batch`. `revision`: after it, for a backlog's or bookmark; 0: from the view."""
        if not revision:
            return self.wanted(batch)
        if batch[0].type is EventType.BOOKMARK:
            self._bookmark_due = False
        self._revision = max(self._revision, revision)
        return batch

    def lost(self, batch: Batch, revision: int) -> None:
        """What a watch set had queued for this watch left the ring: expire, unless nothing of it was wanted. As `hosted`."""
        if revision or batch[-1].revision > self._after:
            self.expire()

    def sink_batch(self, batch: Batch) -> None:
        """Call the sink; its exception ends this watch only."""
        sink = self._view.sinks.get(self)
        if sink is None:
            return
        try:
            sink(batch)
        except Exception as error:  # noqa: BLE001 - no await inside: a sink's fault ends its own watch and nobody else's
            self.error = error
            self.close()

    def offered(self, batch: Batch) -> bool:
        """Ask the `first` of the call that waits. False: the batch is not taken, and nothing more is asked of it."""
        first = self._view.firsts[self]
        try:
            if first(batch):
                return True
        except Exception as error:  # noqa: BLE001 - no await inside: its fault ends its own watch and nobody else's
            self.error = error
            self.close()
        self._view.firsts.pop(self, None)
        return False

    def wanted(self, batch: Batch) -> Batch:
        """What of a view's batch this watch did not have when it was opened; all of it but for a watch from the future."""
        if batch[0].revision <= self._after:
            batch = self._own(batch)
        if batch:
            self._revision = batch[-1].revision
        return batch

    def offer_bookmark(self, event: Event) -> bool:
        """Give a bookmark now if everything before it was taken, else when it has been. False: it would say nothing new."""
        if event.revision <= self._start or self.is_ended:
            return False
        if self in self._view.firsts and self.offered((event,)):
            self._revision = event.revision
            return True
        task = self._view.parked.pop(self, None)
        if task is not None:
            trio.lowlevel.reschedule(task, outcome.Value((event,)))
        elif self._set is not None:
            if self._bookmark_due:  # the last one has not been taken: a set that nobody reads must not fill with them
                return False
            self._bookmark_due = True
            self._set.push((self,), (event,), NEVER_DROPPED, event.revision)
        elif self in self._view.sinks:
            self._revision = event.revision
            self.sink_batch((event,))
        else:
            self._bookmark_due = True
        return True

    def end(self) -> None:
        """The cache is done with this watch: what was published can still be taken, then comes EndOfChannel."""
        if self.is_ended:
            return
        if self in self._view.readers:
            if self._has_lost():
                self.expire()
                return
            # Nobody trims it any more; what is left is no more than the ring held.
            self._backlog.extend(self._rest())
            self._backlog = deque((NEVER_DROPPED, batch, revision) for _, batch, revision in self._backlog)
        self._ended = True
        task = self._view.parked.get(self)
        if task is not None:
            trio.lowlevel.reschedule(task, outcome.Error(trio.EndOfChannel("the cache ended this watch")))
        if self._set is not None:
            self._set.ended(self)
        self._detach()

    def expire(self) -> None:
        """An event of this watch left the ring before it was taken: nothing more will come but `Expired`."""
        if self.is_void:
            return
        router = self._view.router
        self.error = Expired(self.revision, max(0, router.oldest_revision - 1))
        router.expired += 1
        self._backlog.clear()
        if self._set is not None:
            self._set.ended(self)
        self._detach()

    # ---- inside ----

    def _take(self) -> Batch | None:
        """The next batch there is, or None. Synchronous: what it returns counts as taken."""
        if self._task is not None:
            raise trio.BusyResourceError("another task is receiving from this watch: one task a watch")
        if self._closed:
            self._raise_closed()
        if self._set is not None or self in self._view.sinks:
            raise trio.BusyResourceError("this watch is read by a watch set or a sink")
        if self._index < len(self._current):
            batch = self._current[self._index :]
            self._current, self._index = (), 0
            return batch
        if not self.is_ended and self._has_lost():
            self.expire()
        if self.error is not None:
            raise self.error
        taken = self._take_from_backlog()
        if taken is None and not self._ended:
            taken = self._take_from_view()
        if taken is None and self.error is not None:
            raise self.error
        if taken is None and self._ended:
            raise trio.EndOfChannel("the cache ended this watch: watch again from its revision")
        return taken

    def _take_from_backlog(self) -> Batch | None:
        if not self._backlog:
            return None
        guard, batch, revision = self._backlog[0]
        if guard < self._view.router.oldest_revision:
            self.expire()
            return None
        self._backlog.popleft()
        self._revision = max(self._revision, revision)
        return batch

    def _take_from_view(self) -> Batch | None:
        view = self._view
        while (batch := view.take(self.position)) is not None:
            self.position += 1
            if wanted := self.wanted(batch):
                return wanted
        return self._take_bookmark()

    def _take_bookmark(self) -> Batch | None:
        """The bookmark that came due while events were waiting; it may speak of the present, since all was taken."""
        if not self._bookmark_due:
            return None
        if self._view.pending:  # a sink asks in the midst of a publish, and the view's turn is still to come
            return None
        self._bookmark_due = False
        self._revision = max(self._revision, self._view.router.revision)
        return (bookmark(self._revision),)

    def _own(self, batch: Batch) -> Batch:
        """What of a batch comes after what this watch began with."""
        return tuple(event for event in batch if event.revision > self._after or event.type is EventType.BOOKMARK)

    def _rest(self) -> list[tuple[int, Batch, int]]:
        """What waits in the view's log for this watch, as its backlog keeps it."""
        own = map(self._own, self._view.rest_of(self.position))
        return [(batch[0].revision, batch, batch[-1].revision) for batch in own if batch]

    def _has_lost(self) -> bool:
        """Whether the view has dropped what this watch had not taken. Moves the cursor past what it did not want anyway."""
        view = self._view
        if self.position >= view.base:
            return False
        if view.lost_revision > self._after:
            return True
        self.position = view.base
        return False

    def _next(self) -> Event | None:
        """The next single event there is, or None."""
        if self._index == len(self._current):
            self._current, self._index = self._take() or (), 0
            if not self._current:
                return None
        self._index += 1
        return self._current[self._index - 1]

    async def _wait(self, first: First | None = None) -> Batch:
        """Park until there is something that this watch wants."""
        while True:
            if wanted := self.wanted(await self._park(first)):
                return wanted
            # It was from before a start in the future. More may have come before this task ran, or the end.
            if (taken := self._take()) is not None:
                return taken

    async def _park(self, first: First | None) -> Batch:
        task = trio.lowlevel.current_task()
        self._task = task
        self._view.parked[self] = task
        if first is not None:
            self._view.firsts[self] = first
        try:
            # A bound method, not a closure: the publisher frees it in its wake loop, and a closure's cells are cold by then.
            return cast("Batch", await trio.lowlevel.wait_task_rescheduled(self._abort))
        finally:
            self._task = None

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._view.parked.pop(self, None)
        self._view.firsts.pop(self, None)
        return trio.lowlevel.Abort.SUCCEEDED

    def _detach(self) -> None:
        view = self._view
        if self._set is not None:
            view.part(self._set, self)
        if self._closed:
            self._backlog.clear()
            self._current, self._index = (), 0
        view.router.forget(self)
        view.leave(self)

    def _leave_cursor_for(self, reader: str) -> None:
        if self._closed:
            self._raise_closed()
        if self._task is not None or self._set is not None or self in self._view.sinks or self._current:
            raise trio.BusyResourceError(f"this watch is being read already; {reader} needs one that nobody has read")
        if not self.is_ended and self._has_lost():
            self.expire()
        if self.error is not None:
            raise self.error
        self._bookmark_due = False
        if not self._ended:
            self._backlog.extend(self._rest())
            self._view.release(self)

    def _raise_closed(self) -> Never:
        raise trio.ClosedResourceError("this watch was closed") from self.error
