"""How events reach light clients: by the library's own fan-out, or by a double of another. The same clients read from either.

Cacher ─ router ─► Watch ─────────────────────────────► light client         ShippedFanOut
     └─ Tap ─► KubernetesFanOut ─► BufferedWatch ─────► light client         see `_kubernetes_fan_out`
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from watch import Batch, Event, Expired, NotReady, Selector

from .._cacher import Cacher

Hear = Callable[[], None]
"""Called when something may have come for somebody. It must not block, nor raise."""


class Feed(Protocol):
    """An open watch, as a light client reads it: one event at a time, whenever it likes."""

    @property
    def revision(self) -> int:
        """Everything up to here has been taken: resume from here."""
        ...

    def receive_nowait(self) -> Event:
        """The next event, at once.

        Raises:
            trio.WouldBlock: there is none yet.
            Expired: one of its own was dropped; list again.
            trio.EndOfChannel: the server ended it; watch again from `revision`. As Evicted: because it took too slowly.
        """
        ...

    def close(self) -> None:
        """Stop. Idempotent."""
        ...


class Evicted(trio.EndOfChannel):
    """The server ended a watch that did not take fast enough. The client sees no difference: it is for the record."""


class FanOut(Protocol):
    """What hands the events of one cache to watches. `run` while the cache is there."""

    arrived_s: dict[int, float]
    """When the cache had each revision."""
    hears: dict[Hear, None]
    """Who is called when something may have come."""

    async def run(self) -> None:
        """Work until cancelled."""
        ...

    def watch(self, selector: Selector, *, after: int) -> Feed:
        """A watch from `after` on. Raises Expired and NotReady, as Cacher.watch does."""
        ...


class Tap:
    """Every event of a cache, as its router publishes it, also after the cache was filled anew.

    Args:
        deliver: awaited with each batch; the next one is taken after it. One that falls behind the ring loses its place.
        over: called when the cache ends all watches, or the place was lost.
    """

    def __init__(self, cacher: Cacher, *, deliver: Callable[[Batch], Awaitable[None]], over: Hear) -> None:
        self.arrived_s: dict[int, float] = {}
        self.is_open = False
        self._cacher = cacher
        self._deliver = deliver
        self._over = over

    async def run(self) -> None:
        """Deliver until cancelled."""
        everything = Selector.of()
        while True:
            try:
                await self._cacher.wait_until_ready()
                # Two watches: the second is told in the step of the publishing, however long `deliver` takes.
                stamps = self._cacher.watch(everything, after=None)
                events = self._cacher.watch(everything, after=None)
            except NotReady as refusal:
                await trio.sleep(refusal.retry_after_s)
                continue
            stamps.pipe_to(self._stamp)
            self.is_open = True
            try:
                while True:
                    await self._deliver(await events.receive_batch())
            except (Expired, trio.EndOfChannel):
                self._over()
                await trio.lowlevel.checkpoint()
            finally:
                self.is_open = False
                stamps.close()
                events.close()

    def _stamp(self, batch: Batch) -> None:
        now_s = trio.current_time()
        for event in batch:
            self.arrived_s[event.revision] = now_s


class ShippedFanOut:
    """The library's own: a client's watch is a `watch.Watch` of the cacher's router."""

    def __init__(self, cacher: Cacher) -> None:
        self.hears: dict[Hear, None] = {}
        self._cacher = cacher
        self._tap = Tap(cacher, deliver=self._published, over=self._tell)
        self.arrived_s = self._tap.arrived_s

    async def run(self) -> None:
        """See FanOut."""
        await self._tap.run()

    def watch(self, selector: Selector, *, after: int) -> Feed:
        """See FanOut."""
        return self._cacher.watch(selector, after=after, bookmarks=True)

    async def _published(self, _: Batch) -> None:
        self._tell()
        await trio.lowlevel.checkpoint()

    def _tell(self) -> None:
        for hear in list(self.hears):
            hear()
