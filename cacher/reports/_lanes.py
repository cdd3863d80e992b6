"""Builds the lanes of clients: each batch is turned into marks once, however many clients took it. Pure."""

from __future__ import annotations

from watch import Event, EventType

from ..simulation import ClientHistory, Ended, EndReason, Listed, Opened, Received
from ._model import (
    BOOKMARK,
    BORN,
    CLOSED,
    EXPIRED,
    INITIAL_END,
    LISTED,
    OPENED,
    OPENED_INITIAL,
    OVER,
    Lane,
    LaneKind,
    Listing,
    differences,
)
from ._versions import VersionTable

_ENDINGS = {EndReason.CLOSED_BY_CLIENT: CLOSED, EndReason.ENDED: OVER, EndReason.EXPIRED: EXPIRED}


class Marks:
    """Marks of one lane while they are collected, in order of time."""

    __slots__ = ("at_us", "kinds", "refs")

    def __init__(self) -> None:
        self.at_us: list[int] = []
        self.kinds: list[str] = []
        self.refs: list[int] = []

    def __len__(self) -> int:
        return len(self.at_us)

    def add(self, at_us: int, kind: str, ref: int) -> None:
        """One more, behind all others."""
        self.at_us.append(at_us)
        self.kinds.append(kind)
        self.refs.append(ref)

    def sort(self) -> None:
        """In order of time; what is of one moment stays as it was. Cost: O(n log n)."""
        order = sorted(range(len(self.at_us)), key=self.at_us.__getitem__)
        self.at_us = [self.at_us[each] for each in order]
        self.kinds = [self.kinds[each] for each in order]
        self.refs = [self.refs[each] for each in order]

    def lane(
        self, name: str, kind: LaneKind, *, under: int = -1, note: str = "", sees_all: bool = False, prefix: str = ""
    ) -> Lane:
        """The lane that has these marks."""
        return Lane(
            name=name,
            kind=kind,
            under=under,
            note=note,
            sees_all=sees_all,
            prefix=prefix,
            at_us=differences(self.at_us),
            kind_of="".join(self.kinds),
            ref=differences(self.refs),
        )


class ClientMarks:
    """Turns what clients saw into marks. Batches and lists that several share are looked at once.

    Cost: some 0.2 µs a delivery, where batches are shared.
    """

    def __init__(self, table: VersionTable, origin_s: float) -> None:
        self.listings: list[Listing] = []
        self._table = table
        self._origin_s = origin_s
        self._batches: dict[int, tuple[list[str], list[int]]] = {}
        self._lists: dict[tuple[int, tuple[int, ...]], int] = {}

    def add(self, client: ClientHistory, marks: Marks) -> None:
        """All of `client`, behind what `marks` has. Its history must outlive this: batches are known by identity."""
        if marks.at_us or client.incarnation > 1:
            at_us = self._us(client.steps[0].at_s) if client.steps else marks.at_us[-1] if marks.at_us else 0
            marks.add(at_us, BORN, client.incarnation)
        for step in client.steps:
            at_us = self._us(step.at_s)
            match step:
                case Received(_, batch):
                    kinds, refs = self._of_batch(batch)
                    marks.kinds += kinds
                    marks.refs += refs
                    marks.at_us += [at_us] * len(kinds)
                case Listed():
                    marks.add(at_us, LISTED, self._listing(step))
                case Opened(_, revision, initial, bookmarks):
                    if initial and not bookmarks:  # nothing will tell where the state ends, so it counts as it comes
                        marks.add(at_us, BORN, client.incarnation)
                    marks.add(at_us, OPENED_INITIAL if initial and bookmarks else OPENED, revision)
                case Ended():
                    marks.add(at_us, _ENDINGS[step.reason], step.oldest_revision)

    def listing(self, revision: int, versions: tuple[int, ...]) -> int:
        """The number of a state that was shown whole."""
        known = self._lists.get((revision, versions))
        if known is None:
            known = self._lists[revision, versions] = len(self.listings)
            self.listings.append(Listing(revision, list(versions)))
        return known

    def _listing(self, step: Listed) -> int:
        return self.listing(step.revision, tuple(map(self._table.of_object, step.objects)))

    def _of_batch(self, batch: tuple[Event, ...]) -> tuple[list[str], list[int]]:
        found = self._batches.get(id(batch))
        if found is None:
            kinds, refs = [], []
            for event in batch:
                if event.type is EventType.BOOKMARK:
                    kind, ref = (INITIAL_END if event.is_initial_events_end else BOOKMARK), event.revision
                else:
                    kind, ref = self._table.of_event(event)
                kinds.append(kind)
                refs.append(ref)
            found = self._batches[id(batch)] = kinds, refs
        return found

    def _us(self, at_s: float) -> int:
        return round((at_s - self._origin_s) * 1e6)
