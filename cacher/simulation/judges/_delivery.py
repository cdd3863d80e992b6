"""Reliable: what was delivered is what happened, all of it and nothing else.

The stretch that a stream answers for begins after the revision that it was opened from and ends where it last spoke: at its
last event or bookmark, since a bookmark at 9 promises that all up to 9 has been delivered, or, for a watch drained at the end
of a finished run, at the run's last revision. What a client never asked for, between two watches, is missed too: a resumed
watch that opens above what was heard before has skipped something.

Source: etcd tests/robustness/validate/watch.go (Reliable, Resumable, Bookmarkable); 410 conditions as in
kubernetes/apiserver pkg/storage/cacher/watch_cache.go.
"""

from __future__ import annotations

from .._history import EndReason, Listed
from ._case import Reading, Stream
from ._judge import Judge
from ._verdict import Tally


def _reliable(reading: Reading, tally: Tally) -> None:
    position: int | None = None  # what the client knows everything up to; None: it has not asked yet
    for part in reading.parts:
        if isinstance(part, Listed):
            position = part.revision
            continue
        _end(reading, part, tally)
        if not part.is_judged_whole:
            continue
        if position is not None and not part.opened.initial:
            _resumed(reading, part, position, tally)
        _delivered(reading, part, tally)
        _bookmarks(reading, part, tally)
        position = part.heard


def _resumed(reading: Reading, stream: Stream, position: int, tally: Tally) -> None:
    """Nothing may lie between what the client knew and where its next watch began."""
    tally.checked(1)
    truth = reading.truth
    for revision, key in truth.pairs[truth.after(position) : truth.after(stream.opened.revision)]:
        facts = f"{key} at {revision} was skipped: known up to {position}, watched again from {stream.opened.revision}"
        tally.broke(reading.client.name, facts, revision=revision, at_s=stream.opened.at_s)


def _delivered(reading: Reading, stream: Stream, tally: Tally) -> None:
    """Nothing missing, nothing invented. One comparison of lists decides where all is well."""
    truth = reading.truth
    until = stream.heard
    if stream.is_drained and reading.case.history.finished:
        until = max(until, reading.case.history.end_revision)
    wanted = truth.pairs[truth.after(stream.base) : truth.after(until)]
    pairs = list(zip(stream.revisions, stream.keys, strict=True))
    tally.checked(max(len(wanted), len(pairs)) + stream.is_drained)
    if pairs == wanted:
        return
    delivered, expected = set(pairs), set(wanted)
    for revision, key in wanted:
        if (revision, key) not in delivered:
            facts = f"{key} at {revision} was never delivered by a watch from {stream.base} that spoke up to {until}"
            tally.broke(reading.client.name, facts, revision=revision, at_s=stream.ended_at_s)
    for index, pair in enumerate(pairs):
        if pair not in expected:
            expected.add(pair)
            tally.broke(
                reading.client.name, _uncalled_for(reading, stream, pair), revision=pair[0], at_s=stream.at_s(index)
            )


def _uncalled_for(reading: Reading, stream: Stream, pair: tuple[int, str]) -> str:
    revision, key = pair
    if pair in reading.truth.positions:
        return f"{key} at {revision} was delivered by a watch of what comes after {stream.base}"
    return f"{key} at {revision} was delivered, and no such change that concerns {reading.client.selector} was made"


def _bookmarks(reading: Reading, stream: Stream, tally: Tally) -> None:
    """A bookmark at r promises that no event up to r is still to come, and that the store has got to r."""
    marks, revisions = stream.bookmarks, stream.revisions
    tally.checked(len(marks) + len(stream.early_bookmarks) + (stream.initial_end is not None))
    end_revision = max(reading.case.history.end_revision, reading.truth.store.last_revision)
    promised = stream.base if stream.initial_end is not None else 0
    if promised > end_revision:
        _tell_future(reading, promised, stream.opened.at_s, tally)
    for revision in stream.early_bookmarks:
        facts = f"a bookmark at {revision} came before the end of the initial events, promising a state not yet given"
        tally.broke(reading.client.name, facts, revision=revision, at_s=stream.opened.at_s)
    stops = [*(mark.events_before for mark in marks[1:]), len(revisions)]
    for mark, stop in zip(marks, stops, strict=False):
        if mark.revision > end_revision:
            _tell_future(reading, mark.revision, mark.at_s, tally)
        promised = max(promised, mark.revision)
        if min(revisions[mark.events_before : stop], default=promised + 1) <= promised:
            _tell_late(reading, stream, range(mark.events_before, stop), promised, tally)


def _tell_future(reading: Reading, revision: int, at_s: float, tally: Tally) -> None:
    facts = f"a bookmark promised all up to {revision}, which the store never reached"
    tally.broke(reading.client.name, facts, revision=revision, at_s=at_s)


def _tell_late(reading: Reading, stream: Stream, indexes: range, promised: int, tally: Tally) -> None:
    """Only what was due and had not come before: repeated and invented events are told elsewhere."""
    before = set(zip(stream.revisions[: indexes.start], stream.keys[: indexes.start], strict=True))
    for index in indexes:
        revision, key = pair = (stream.revisions[index], stream.keys[index])
        if stream.base < revision <= promised and pair in reading.truth.positions and pair not in before:
            facts = f"{key} at {revision} came after a bookmark at {promised} that had promised it was delivered"
            tally.broke(reading.client.name, facts, revision=revision, at_s=stream.at_s(index))
        before.add(pair)


def _end(reading: Reading, stream: Stream, tally: Tally) -> None:
    """A watch may end as it likes, but it expires only for history that its client needed and could no longer get."""
    ended = stream.ended
    if ended is None:
        return
    if ended.reason is EndReason.EXPIRED and ended.at_s >= reading.case.over_s:
        return  # its whole history is gone, and it was told so
    if ended.reason is EndReason.EXPIRED:
        tally.checked(1)
        if not _may_expire(reading, stream, ended.oldest_revision):
            known = f"{stream.heard} expired, though the ring from {ended.oldest_revision}"
            facts = f"a watch that knew all up to {known} on lacked nothing of its own"
            tally.broke(reading.client.name, facts, revision=ended.oldest_revision, at_s=ended.at_s)
    elif stream.is_drained and reading.case.history.finished and stream.opened.bookmarks and not stream.is_judged_whole:
        tally.checked(1)
        facts = "a watch with the state first was drained, and the end of its initial events never came"
        tally.broke(reading.client.name, facts, revision=reading.case.history.end_revision, at_s=ended.at_s)


def _may_expire(reading: Reading, stream: Stream, oldest_revision: int) -> bool:
    """Whether an event of its own that it had not taken is gone, or it was opened below what the ring could begin from.

    One that was opened ahead of its cache, and has heard nothing yet, expires with the batch in which its beginning lies.
    """
    has_begun_ahead = stream.opened.is_ahead and not stream.received_s
    if (stream.is_refused or has_begun_ahead) and stream.opened.revision < oldest_revision - 1:
        return True
    revisions = reading.truth.revisions
    first_untaken = reading.truth.after(stream.heard if stream.is_judged_whole else stream.opened.revision)
    return first_untaken < len(revisions) and revisions[first_untaken] < oldest_revision


RELIABLE = Judge(
    "Reliable",
    "a watch delivers every change that concerns it up to where it speaks, invents none, and expires only for want of history",
    of_client=_reliable,
)
