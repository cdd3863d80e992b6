"""The case: a history made ready for judging. Each client's steps become lists and streams, and truths are shared.

A stream is what one watch delivered, flattened: the judges compare whole lists, at the speed of list comparison, and look
closer only where something differs.

    opened at 4 │ [ADDED a@5, ADDED b@6] [MODIFIED a@8, BOOKMARK 9] [DELETED b@11] │ ended
    events         a@5 b@6 a@8 b@11          starts 0 2 3          bookmarks (3 events before, revision 9)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate, chain
from math import inf
from typing import NoReturn, cast

import msgspec

from watch import Event, EventType, Selector

from .._history import ClientHistory, Ended, EndReason, History, Listed, Opened, Received
from ._truth import BrokenRecord, SelectorTruth, StoreTruth


class Bookmark(msgspec.Struct, frozen=True, gc=False):
    """A bookmark in a stream, and how many of the stream's events came before it."""

    events_before: int
    revision: int
    at_s: float


class Stream:
    """What one watch delivered, from its opening to its end. Read it only; `read_stream` makes it."""

    def __init__(self, opened: Opened, received: list[Received], ended: Ended | None) -> None:
        self.opened = opened
        self.ended = ended
        self.received_s = [receipt.at_s for receipt in received]
        """When each batch came."""
        batches = [receipt.batch for receipt in received]
        everything = list(chain.from_iterable(batches))
        starts = [0, *accumulate(map(len, batches))]
        marks = [index for index, event in enumerate(everything) if event.type is EventType.BOOKMARK]
        self.initial: list[Event] = []
        """The state streamed first, bookmarks left out."""
        self.initial_end: Event | None = None
        self.early_bookmarks: list[int] = []
        """Revisions of bookmarks before the end of the initial state: there should be none."""
        cut = self._cut_initial(everything, marks) if opened.initial else 0
        self._read_events(everything, starts, [mark for mark in marks if mark >= cut], cut)
        self.revisions = [event.revision for event in self.events]
        self.keys = [event.object.key for event in self.events]

    def _cut_initial(self, everything: list[Event], marks: list[int]) -> int:
        """Takes the initial state off the front; returns how many events and bookmarks that were."""
        end = next((mark for mark in marks if everything[mark].is_initial_events_end), None)
        cut = len(everything) if end is None else end + 1
        self.initial_end = None if end is None else everything[end]
        self.initial = [event for event in everything[:cut] if event.type is not EventType.BOOKMARK]
        self.early_bookmarks = [everything[mark].revision for mark in marks if mark < cut and mark != end]
        return cut

    def _read_events(self, everything: list[Event], starts: list[int], marks: list[int], cut: int) -> None:
        """Separates events from bookmarks, and counts the batches' boundaries in events alone."""
        self.bookmarks: list[Bookmark] = []
        """Those after the initial state, its own end left out."""
        self.events: list[Event] = everything
        """Those after the initial state."""
        self.starts: list[int] = starts
        """Where each batch starts, counted in `events`, and, last, where the last one ends."""
        if not marks and not cut:
            return
        for before, mark in enumerate(marks):
            at_s = self.received_s[bisect_right(starts, mark) - 1]
            self.bookmarks.append(Bookmark(mark - cut - before, everything[mark].revision, at_s))
        self.events = (
            [event for event in everything[cut:] if event.type is not EventType.BOOKMARK] if marks else everything[cut:]
        )
        self.starts = [max(0, start - cut) - bisect_right(marks, start - 1) for start in starts]

    @property
    def is_judged_whole(self) -> bool:
        """Whether it is known from where on every event should have come.

        Not known of a watch that streams the state first and was cut, or had no bookmarks, before that state's end: where the
        state ends and the changes begin can then not be told from outside.
        """
        return not self.opened.initial or self.initial_end is not None

    @property
    def base(self) -> int:
        """The revision after which every change should have come."""
        return self.opened.revision if self.initial_end is None else self.initial_end.revision

    @property
    def heard(self) -> int:
        """The highest revision up to which the stream spoke, or from which it was to speak."""
        return max(
            self.base, max(self.revisions, default=0), max((mark.revision for mark in self.bookmarks), default=0)
        )

    @property
    def shown(self) -> int:
        """The newest revision that its client was shown by it; 0 where it was shown nothing.

        A client that asked to be told where the initial state ends, and was not, has no state: it throws away what came and asks
        again, from wherever it was before. Source: client-go's Reflector.watchList, which fills a store of its own until then.
        """
        if self.opened.initial and self.opened.bookmarks and self.initial_end is None:
            return 0
        initial = max((event.revision for event in self.initial), default=0)
        end = 0 if self.initial_end is None else self.initial_end.revision
        marks = max((mark.revision for mark in self.bookmarks), default=0)
        return max(initial, end, marks, max(self.revisions, default=0))

    @property
    def is_drained(self) -> bool:
        """Whether its client closed it when there was nothing left to take."""
        return self.ended is not None and self.ended.drained and self.ended.reason is EndReason.CLOSED_BY_CLIENT

    @property
    def is_refused(self) -> bool:
        """Whether it expired at its opening: its first revision was out of reach, and nobody's slowness has to do with it."""
        if self.ended is None or self.ended.reason is not EndReason.EXPIRED or self.received_s:
            return False
        return self.ended.refused or self.ended.at_s == self.opened.at_s

    @property
    def ended_at_s(self) -> float:
        """When it was last heard of."""
        return self.ended.at_s if self.ended is not None else max(self.received_s, default=self.opened.at_s)

    def at_s(self, index: int) -> float:
        """When event number `index` came. Cost: O(log batches)."""
        return self.received_s[bisect_right(self.starts, index) - 1]

    def event_times(self) -> list[float]:
        """When each event came. Cost: O(events)."""
        if self.starts == list(range(len(self.starts))):  # every batch is one event, as where all is taken at once
            return self.received_s
        times: list[float] = []
        for at_s, start, end in zip(self.received_s, self.starts, self.starts[1:], strict=False):
            times.extend([at_s] * (end - start))
        return times


class Reading:
    """One client's steps as lists and streams, in its order, with the truth of its selector."""

    def __init__(self, case: Case, client: ClientHistory) -> None:
        self.case = case
        self.client = client
        self.parts: list[Listed | Stream] = []
        self._read()
        self.lists = [part for part in self.parts if isinstance(part, Listed)]
        self.streams = [part for part in self.parts if isinstance(part, Stream)]

    @cached_property
    def truth(self) -> SelectorTruth:
        """What the client's selector should have shown. Raises as `Case.store`."""
        return self.case.truth(self.client.prefix, self.client.selector)

    def _read(self) -> None:
        steps, opened, received = self.client.steps, None, list[Received]()
        turns = [index for index, step in enumerate(steps) if type(step) is not Received]
        for turn, after in zip([-1, *turns], [*turns, len(steps)], strict=True):
            step = steps[turn] if turn >= 0 else None
            if isinstance(step, Listed):
                self.parts.append(step)
            elif step is not None:
                if opened is not None:
                    self.parts.append(Stream(opened, received, step if isinstance(step, Ended) else None))
                elif isinstance(step, Ended):
                    self._refuse(f"ended a watch at {step.at_s:g} s with none open")
                opened, received = step if isinstance(step, Opened) else None, []
            batches = cast(list[Received], steps[turn + 1 : after])
            if batches and opened is None:
                self._refuse(f"received a batch at {batches[0].at_s:g} s with no watch open")
            received += batches
        if opened is not None:
            self.parts.append(Stream(opened, received, None))

    def _refuse(self, facts: str) -> NoReturn:
        raise BrokenRecord(f"{self.client.name} {facts}: record its opening")


class Return(msgspec.Struct, frozen=True):
    """A client that had been shown the store as it was restored was shown what had been before."""

    client: str
    revision: int
    at_s: float


class Case:
    """One history, with its truths: one a store, one a selector of it, each made when first asked for.

    Args:
        whole: the run, where this is a part of it (see `_epochs`).
        over_s: when this history ended, because the store was given another one.
    """

    def __init__(self, history: History, *, whole: History | None = None, over_s: float = inf) -> None:
        self.history = history
        self.whole = whole or history
        self.over_s = over_s
        self.returns: list[Return] = []
        self._stores: dict[str, StoreTruth] = {}
        self._truths: dict[tuple[str, _Canonical], SelectorTruth] = {}

    def readings(self) -> Iterator[Reading]:
        """Every client's, those of one selector after each other, in the order in which selectors and clients came.

        One at a time, and a selector's truth is let go with its last client: 10,000 of either would not fit into the memory.
        """
        groups: dict[tuple[str, _Canonical], list[ClientHistory]] = {}
        for client in self.history.clients:
            groups.setdefault((client.prefix, _canonical(client.selector)), []).append(client)
        for key, clients in groups.items():
            for client in clients:
                yield Reading(self, client)
            self._truths.pop(key, None)

    def store(self, prefix: str) -> StoreTruth:
        """The truth of one store.

        Raises:
            BrokenRecord: the store was not recorded, or what was recorded contradicts itself.
        """
        truth = self._stores.get(prefix)
        if truth is None:
            if prefix not in self.history.stores:
                raise BrokenRecord(f"nothing is recorded of the store {prefix}: record every store that is cached")
            truth = self._stores[prefix] = StoreTruth(self.history.stores[prefix])
        return truth

    def truth(self, prefix: str, selector: Selector) -> SelectorTruth:
        """What `selector` should show of the store at `prefix`. Raises as `store`."""
        key = (prefix, _canonical(selector))
        truth = self._truths.get(key)
        if truth is None:
            truth = self._truths[key] = SelectorTruth(self.store(prefix), selector)
        return truth


_Canonical = tuple[str, tuple[tuple[str, str, tuple[str, ...]], ...], tuple[tuple[str, str, str], ...]]


def _canonical(selector: Selector) -> _Canonical:
    """Equal for selectors of the same requirements in whatever order. Not their own equality, which is on trial too."""
    labels = sorted((one.key, str(one.operator.value), one.values) for one in selector.labels.requirements)
    fields = sorted((one.path, str(one.operator.value), one.value) for one in selector.fields.requirements)
    return selector.namespace, tuple(labels), tuple(fields)
