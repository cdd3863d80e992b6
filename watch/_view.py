"""A View: what one selector makes of the event stream, kept once for all who watch with that selector.

A watch is a cursor on its view's log, so filtering, the ADDED/DELETED transition and the batches are made once however many
watch. The log holds only what somebody has not taken yet: when every reader waits, a batch is handed over and never stored.

    log:     [b4][b5][b6]          base = 4: the number of the first batch kept
    cursors:      ^A     ^B,C      A lags two batches behind; B and C have taken all and wait (parked)

Limit: the log never reaches behind the history ring. What the ring drops is dropped here too (`trim`), and a cursor left
behind it has lost an event of its own: its watch expires. One whose cursor is at the end loses nothing, ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from ._event import Event
from ._object import Object
from ._selector import Selector
from ._wake import SharedValue

if TYPE_CHECKING:
    from ._router import Router
    from ._watch import Watch
    from ._watch_set import WatchSet

Batch = tuple[Event, ...]
"""What is delivered at once: whole revisions, oldest first, never empty. Shared by everybody who gets it."""

Sink = Callable[[Batch], None]
"""Called by the publisher with each batch. Must return quickly and must not await: everybody waits for it."""

First = Callable[[Batch], bool]
"""Asked by the publisher before it wakes a reader: whether it took the batch. Quick and without await, as a Sink."""

DEAD_BATCHES_MAX = 64
"""Batches that a single reader may leave taken at the front of the log; a `del` of many costs less than one of each."""


class View:
    """The log of one distinct selector, and who reads it. Made and dropped by the Router alone."""

    __slots__ = (
        "base",
        "firsts",
        "groups",
        "log",
        "lost_revision",
        "members",
        "parked",
        "pending",
        "readers",
        "rest",
        "router",
        "selector",
        "sinks",
    )

    def __init__(self, selector: Selector, router: Router) -> None:
        self.selector = selector
        self.router = router
        self.rest: Callable[[Object], bool] | None = None
        """What the router's index does not decide about an object; None: the index decides all."""
        self.pending: list[Event] = []
        """Routed here since the last flush."""
        self.log: list[Batch] = []
        self.base = 0
        self.lost_revision = 0
        """The newest revision that was dropped before every reader had taken it; who lags behind `base` lost it."""
        self.readers: dict[Watch, None] = {}
        self.parked: dict[Watch, trio.lowlevel.Task] = {}
        """Readers that have taken everything and wait."""
        self.firsts: dict[Watch, First] = {}
        """Of those that wait: whom to ask first. Who takes a batch so goes on waiting."""
        self.groups: dict[WatchSet, dict[Watch, None]] = {}
        self.members: dict[WatchSet, tuple[Watch, ...]] = {}
        """Of each group, as it is shared by all the batches that are queued for it; made anew when the group changes."""
        self.sinks: dict[Watch, Sink] = {}

    @property
    def end(self) -> int:
        """The number that the next batch will have."""
        return self.base + len(self.log)

    @property
    def is_unused(self) -> bool:
        return not (self.readers or self.groups or self.sinks)

    def seal(self) -> None:
        """Make one batch of what is pending and hand it to everybody: waiting readers wake with it, others find it in the log.

        Cost: O(waiting readers) wakes, about 2 µs each; O(1) for all that lag; one call a sink; one append a watch set.
        """
        batch = tuple(self.pending)
        self.pending.clear()
        if self.readers:
            self._hand_to_readers(batch)
        for watch_set, group in list(self.groups.items()):  # who has lost it already leaves
            members = self.members.get(watch_set)
            if members is None:
                members = self.members[watch_set] = tuple(group)
            watch_set.push(members, batch, batch[0].revision)
        if self.sinks:
            for watch in list(self.sinks):  # a sink may close its watch, or another's
                if wanted := watch.wanted(batch):
                    watch.sink_batch(wanted)

    def _hand_to_readers(self, batch: Batch) -> None:
        end = self.base + len(self.log) + 1
        sleeping = self._ask_first(batch, end) if self.firsts else {}
        parked = self.parked
        if len(parked) == len(self.readers):
            self.log.clear()
            self.base = end
        elif batch[0].revision < self.router.oldest_revision:  # more than the ring holds: who did not wait has lost it
            self.log.clear()
            self.base = end
            self.lost_revision = batch[-1].revision
        else:
            if not self.log:
                self.router.note_lag(self, batch[0].revision)
            self.log.append(batch)
        if parked:
            self.parked = sleeping
            wake = SharedValue(batch)
            for watch, task in parked.items():
                if watch not in sleeping:
                    watch.position = end
                    trio.lowlevel.reschedule(task, wake)

    def _ask_first(self, batch: Batch, end: int) -> dict[Watch, trio.lowlevel.Task]:
        """Offer the batch to those who may take it without waking. Returns who did, or did not want it, and sleeps on."""
        sleeping: dict[Watch, trio.lowlevel.Task] = {}
        for watch in list(self.firsts):
            if watch not in self.firsts:
                continue  # another one's call closed it
            wanted = watch.wanted(batch)
            if not wanted or watch.offered(wanted):
                watch.position = end
                sleeping[watch] = self.parked[watch]
        return sleeping

    def take(self, position: int) -> Batch | None:
        """The batch numbered `position`; None where the reader has taken all. The caller has checked `base <= position`."""
        index = position - self.base
        if index >= len(self.log):
            return None
        batch = self.log[index]
        if len(self.readers) == 1 and (index >= DEAD_BATCHES_MAX or index + 1 == len(self.log)):
            del self.log[: index + 1]
            self.base += index + 1
        return batch

    def rest_of(self, position: int) -> list[Batch]:
        """All batches from `position` on, for a reader that is to finish without the view."""
        return self.log[max(0, position - self.base) :]

    def trim(self, oldest_revision: int) -> int | None:
        """Drop every batch with an event older than `oldest_revision`. Returns the revision of the first kept, None if none is.

        A batch goes whole: whoever has not taken it has lost its first event, and is expired by that alone. So is, without
        need, a watch whose start in the future lies within the batch.
        """
        dropped = 0
        for batch in self.log:
            if batch[0].revision >= oldest_revision:
                break
            dropped += 1
            self.lost_revision = batch[-1].revision
        del self.log[:dropped]
        self.base += dropped
        return self.log[0][0].revision if self.log else None

    def join(self, watch_set: WatchSet, watch: Watch) -> None:
        """Queue what comes for `watch` in `watch_set`."""
        self.groups.setdefault(watch_set, {})[watch] = None
        self.members.pop(watch_set, None)

    def part(self, watch_set: WatchSet, watch: Watch) -> None:
        """No longer queue anything for `watch`."""
        group = self.groups.get(watch_set)
        if group is not None and watch in group:
            del group[watch]
            self.members.pop(watch_set, None)
            if not group:
                del self.groups[watch_set]

    def release(self, watch: Watch) -> None:
        """A reader goes, or goes on in another way; what only it had not taken goes too."""
        self.readers.pop(watch, None)
        self.parked.pop(watch, None)
        self.firsts.pop(watch, None)
        if len(self.parked) == len(self.readers) and self.log:
            self.base = self.end
            self.log.clear()

    def leave(self, watch: Watch) -> None:
        """Forget a watch, in whichever way it reads; the last one takes the view with it."""
        self.release(watch)
        self.sinks.pop(watch, None)
        if self.is_unused:
            self.router.drop_view(self)

    def log_events(self) -> int:
        """Events kept for readers who lag. Cost: O(batches kept)."""
        return sum(map(len, self.log))
