"""Assembly: what a stream brings, made into whole revisions; and where to go on when the stream is lost. Pure.

etcd cuts a large response into fragments, and a cut may go through a revision. The events of a stream come in the order of
their revisions, so all below the last one seen are whole:

    fragment: 5 5 6 6 7 │ 7 7 8 │ 8        (│: a cut; the last part has no mark)
    told:     5 5 6 6   │ 7 7 7 │ 8 8
    go on at: 7           8       9

One Assembly serves all streams of a watch, one after the other: it leaves out what an earlier one has told already.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._protocol import EtcdEvent, WatchResponse

EVENTS_A_RESPONSE_MAX = 1_000
"""A response is made larger only by a revision that is: so much at once is a few milliseconds of its reader's time."""


class Assembly:
    """Args:
    start_revision: the first one wanted; 0: what comes after the revision at which the watch is created.
    """

    def __init__(self, start_revision: int) -> None:
        self._start_revision = start_revision
        self._told = max(0, start_revision - 1)
        self._progress_from = start_revision
        self.told_revision = 0
        """The newest one that a server has spoken of; 0: none yet."""
        self._held: list[EtcdEvent] = []

    @property
    def next_revision(self) -> int:
        """Where a new stream has to begin; 0: none was ever created, so it may begin anywhere."""
        return self._told + 1 if self._start_revision else 0

    def began(self, revision: int) -> None:
        """A stream was created on a server that was at `revision`."""
        self._held.clear()
        if not self._start_revision:
            self._start_revision = revision + 1
            self._told = self._progress_from = self.told_revision = revision

    def progress(self, revision: int) -> WatchResponse | None:
        """The server says that it has told everything up to `revision`; None where that is no news to a reader.

        A server may be behind the one before it, or not have come to the revision wanted first.
        """
        if self._held or revision < self._told or revision < self._progress_from:
            return None
        self._told = self.told_revision = revision
        return WatchResponse((), revision)

    def events(self, events: Sequence[EtcdEvent], *, more_follow: bool) -> list[WatchResponse]:
        """What is whole with these `events`, in responses of at most EVENTS_A_RESPONSE_MAX.

        Args:
            more_follow: this was a fragment, and not the last one.
        """
        told = self._told
        self._held += [event for event in events if event.kv.mod_revision > told]
        whole, self._held = self._split(more_follow)
        responses = [WatchResponse(tuple(part), part[-1].kv.mod_revision) for part in _slices(whole)]
        if responses:
            self._told = self.told_revision = responses[-1].revision
        return responses

    def _split(self, more_follow: bool) -> tuple[list[EtcdEvent], list[EtcdEvent]]:
        """What is whole, and what is not yet."""
        held = self._held
        if not more_follow or not held:
            return held, []
        last = held[-1].kv.mod_revision
        cut = len(held)
        while cut and held[cut - 1].kv.mod_revision == last:
            cut -= 1
        return held[:cut], held[cut:]


def _slices(events: list[EtcdEvent]) -> list[list[EtcdEvent]]:
    """`events` in parts that split no revision."""
    if len(events) <= EVENTS_A_RESPONSE_MAX:
        return [events] if events else []
    parts: list[list[EtcdEvent]] = []
    start = 0
    while start < len(events):
        end = min(len(events), start + EVENTS_A_RESPONSE_MAX)
        while end < len(events) and events[end].kv.mod_revision == events[end - 1].kv.mod_revision:
            end += 1
        parts.append(events[start:end])
        start = end
    return parts


def merged(responses: Sequence[WatchResponse]) -> list[WatchResponse]:
    """The same in fewer responses: neighbours with events become one, as far as the limit allows."""
    if len(responses) == 1:
        return list(responses)
    found: list[WatchResponse] = []
    run: list[EtcdEvent] = []
    for response in responses:
        if run and (not response.events or len(run) + len(response.events) > EVENTS_A_RESPONSE_MAX):
            found.append(WatchResponse(tuple(run), run[-1].kv.mod_revision))
            run = []
        if response.events:
            run += response.events
        else:
            found.append(response)
    if run:
        found.append(WatchResponse(tuple(run), run[-1].kv.mod_revision))
    return found
