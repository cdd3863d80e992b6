"""The recorder: fills a History while a run goes on, at a few references an observation.

10,000 clients take some ten million batches. A view hands the same tuple to all its watches in one moment, so the record of
it is made once and shared too: eight bytes a client and batch.
"""

from __future__ import annotations

import msgspec
import trio

from watch import Event, Object, Selector

from .. import CacherStatistics
from ._history import (
    CacheSample,
    ClientHistory,
    Ended,
    EndReason,
    History,
    Listed,
    Opened,
    Received,
    StoreHistory,
)
from ._meter import NOT_MEASURED, Meter


class Receipt(msgspec.Struct, gc=False):
    """What all who take one batch in one moment have in common."""

    received: Received
    stamps: tuple[int, ...]
    """When its deliveries were published, for the meter."""
    bookmarks: int
    takers: int = 0


class Recorder:
    """The history of one run as it grows, and the figures that need no history.

    Args:
        stores: what will be true of each prefix, in the order of the report.
        end_revision: where the run will end.
        meter: takes the wall-clock figures; a new one by default.
    """

    def __init__(self, stores: dict[str, StoreHistory], *, end_revision: int, meter: Meter | None = None) -> None:
        self.history = History(stores, [], [], end_revision, {}, finished=False)
        self.meter = meter or Meter()
        self.logs: list[ClientLog] = []
        self.deliveries_by_second: dict[int, int] = {}
        """Deliveries in each second of the run's clock, from the start of the play."""
        self.watches_peak: dict[str, int] = {}
        self.views_peak: dict[str, int] = {}
        """By prefix, at the fullest moment that was looked at."""
        self._play_started_at_s: float | None = None
        self._moment_s = -1.0
        self._receipts: dict[int, Receipt] = {}  # of this moment, by id of the batch that each of them keeps alive

    def client(self, name: str, prefix: str, selector: Selector, *, slow: bool = False) -> ClientLog:
        """The log of one more client."""
        history = ClientHistory(name, prefix, selector, slow, [])
        self.history.clients.append(history)
        log = ClientLog(self, history)
        self.logs.append(log)
        return log

    def play_starts(self) -> None:
        """The writes begin now."""
        self._play_started_at_s = trio.current_time()
        self.meter.play_starts()

    def play_ends(self) -> None:
        """All is written and taken, or the run was stopped."""
        self._count_moment()
        self.meter.play_ends()

    def published(self, revision: int) -> None:
        """`revision` is about to be written."""
        self.history.published_at_s[revision] = trio.current_time()
        self.meter.published(revision)

    def sampled(
        self, statistics: CacherStatistics, *, revision: int | None = None, objects: tuple[Object, ...] | None = None
    ) -> None:
        """A cache was looked at; with `objects` and the `revision` that they show, at all that it held too."""
        prefix = statistics.prefix
        self.watches_peak[prefix] = max(self.watches_peak.get(prefix, 0), statistics.watches)
        self.views_peak[prefix] = max(self.views_peak.get(prefix, 0), statistics.views)
        self.history.samples.append(
            CacheSample(
                at_s=trio.current_time(),
                prefix=prefix,
                revision=statistics.revision if revision is None else revision,
                ring_length=statistics.ring_length,
                ring_capacity=statistics.ring_capacity,
                ring_capacity_max=statistics.ring_capacity_max,
                log_events=statistics.log_events,
                objects=objects,
                view_log_events_max=statistics.view_log_events_max,
            )
        )

    def receipt(self, batch: tuple[Event, ...]) -> Receipt:
        """What is the same for all who take `batch` now; its takers count themselves."""
        now_s = trio.current_time()
        if now_s != self._moment_s:
            self._count_moment()
            self._moment_s = now_s
        receipt = self._receipts.get(id(batch))
        if receipt is None:
            stamps = self.meter.stamps(batch)
            receipt = Receipt(Received(now_s, batch), stamps, len(batch) - len(stamps))
            self._receipts[id(batch)] = receipt
        return receipt

    def _count_moment(self) -> None:
        """The moment is over: add up what was taken in it, and forget its receipts."""
        deliveries = sum(len(receipt.stamps) * receipt.takers for receipt in self._receipts.values())
        self._receipts.clear()
        if self._play_started_at_s is not None and deliveries:
            second = int(max(0.0, self._moment_s - self._play_started_at_s))
            self.deliveries_by_second[second] = self.deliveries_by_second.get(second, 0) + deliveries


class ClientLog:
    """What one client writes down. Every method is called when the thing has happened, in the order in which it happened."""

    __slots__ = (
        "_meter",
        "_recorder",
        "_since",
        "_steps",
        "deliveries",
        "expired",
        "history",
        "lists",
        "resumes",
        "retries",
        "states",
    )

    def __init__(self, recorder: Recorder, history: ClientHistory) -> None:
        self.history = history
        self.deliveries = 0
        self.lists = 0
        self.states = 0
        """Complete states asked for: lists, and states streamed through a watch."""
        self.resumes = 0
        """Watches opened where an earlier one had ended."""
        self.expired = 0
        self.retries = 0
        """Lists and watches that were refused for the moment (429, 504) and asked again."""
        self._recorder = recorder
        self._meter = recorder.meter
        self._steps = history.steps
        self._since = NOT_MEASURED

    @property
    def relists(self) -> int:
        """States asked for again, after the first."""
        return max(0, self.states - 1)

    @property
    def has_streamed_state(self) -> bool:
        """Whether the bookmark that ends a streamed state has been received. Cost: O(batches taken)."""
        batches = (step.batch for step in self._steps if isinstance(step, Received))
        return any(event.is_initial_events_end for batch in batches for event in batch)

    def listed(self, revision: int, objects: tuple[Object, ...], *, minimum_revision: int) -> None:
        """A list came back."""
        self.lists += 1
        self.states += 1
        self._steps.append(Listed(trio.current_time(), revision, objects, minimum_revision))

    def opened(self, revision: int, *, initial: bool = False, resumed: bool = False) -> None:
        """A watch from `revision` was opened; `resumed`: from where an earlier one ended."""
        self.states += initial
        self.resumes += resumed
        if not self.history.slow:
            self._since = self._meter.watch_opens()
        self._steps.append(Opened(trio.current_time(), revision, initial))

    def received(self, batch: tuple[Event, ...]) -> None:
        """A batch was taken. Cost: about 1 µs."""
        receipt = self._recorder.receipt(batch)
        receipt.takers += 1
        self.deliveries += len(receipt.stamps)
        self._steps.append(receipt.received)
        self._meter.taken(receipt.stamps, self._since, bookmarks=receipt.bookmarks)

    def closed(self, *, drained: bool) -> None:
        """The client closed its watch; `drained`: at the end of the run, with nothing left to take."""
        self._steps.append(Ended(trio.current_time(), EndReason.CLOSED_BY_CLIENT, drained=drained))

    def ended(self) -> None:
        """The cache ended the watch."""
        self._steps.append(Ended(trio.current_time(), EndReason.ENDED))

    def expired_at(self, oldest_revision: int, *, refused: bool = False) -> None:
        """An event of the watch's own is gone; `refused`: so said the opening itself. `oldest_revision`: of the ring then."""
        self.expired += 1
        self._steps.append(Ended(trio.current_time(), EndReason.EXPIRED, oldest_revision, refused=refused))
