"""Resumable and Bookmarkable: what a client may rely on when it comes back, and when it is told how far it is.

Source: etcd tests/robustness/validate/watch.go (Resumable, Bookmarkable).
"""

from __future__ import annotations

from .._history import EndReason, Listed
from ._case import Reading, Stream
from ._judge import Judge
from ._verdict import Tally

# ---- Resumable -----------------------------------------------------------------------------------------------------


def _resumable(reading: Reading, tally: Tally) -> None:
    before: Stream | None = None
    for part in reading.parts:
        if isinstance(part, Listed):
            before = None
            continue
        if before is not None and before.is_judged_whole and not part.opened.initial:
            _goes_on(reading, before, part, tally)
        before = part


def _goes_on(reading: Reading, before: Stream, after: Stream, tally: Tally) -> None:
    """One stream after another one, without a state in between: together they are one."""
    tally.checked(1)
    truth, client = reading.truth, reading.client.name
    known, began = before.heard, after.opened.revision
    if after.revisions and min(after.revisions) <= began:
        revision = min(after.revisions)
        facts = f"{revision} was delivered by a watch that was opened again at {began}"
        tally.broke(client, facts, revision=revision, at_s=after.opened.at_s)
        return
    position = truth.after(min(known, began))
    if position == len(truth.pairs) or after.is_refused:
        return
    revision, key = truth.pairs[position]
    first = after.revisions[0] if after.revisions else None
    spoke = max([first or 0, *(mark.revision for mark in after.bookmarks)])
    if spoke >= revision and first != revision:
        facts = f"{key} at {revision} is next after {known}, and the watch opened again at {began} went on to {spoke} without it"
        tally.broke(client, facts, revision=revision, at_s=after.opened.at_s)
    elif after.ended is not None and after.ended.reason is EndReason.ENDED and spoke < known and after.bookmarks:
        facts = f"a watch opened again at {began} told of {spoke}, and {known} had been told before"
        tally.broke(client, facts, revision=spoke, at_s=after.opened.at_s)


RESUMABLE = Judge(
    "Resumable",
    "a watch that is opened again where another ended goes on as if it had never ended, or says that it cannot",
    of_client=_resumable,
)

# ---- Bookmarkable --------------------------------------------------------------------------------------------------


def _bookmarkable(reading: Reading, tally: Tally) -> None:
    for stream in reading.streams:
        if not stream.is_judged_whole:
            continue
        delivered, done = set[tuple[int, str]](), 0
        for mark in stream.bookmarks:
            tally.checked(1)
            delivered.update(
                zip(stream.revisions[done : mark.events_before], stream.keys[done : mark.events_before], strict=True)
            )
            done = mark.events_before
            if missing := _missing(reading, stream, delivered, mark.revision):
                revision, key = missing
                facts = f"a bookmark at {mark.revision} came, and {key} at {revision} had not"
                tally.broke(reading.client.name, facts, revision=mark.revision, at_s=mark.at_s)
                break  # what follows is its consequence


def _missing(reading: Reading, stream: Stream, delivered: set[tuple[int, str]], until: int) -> tuple[int, str] | None:
    """The first expected event up to `until` that has not been delivered. Cost: O(1) where all are there."""
    truth = reading.truth
    first, last = truth.after(stream.base), truth.after(until)
    if last - first <= 0 or len(delivered) >= last - first:
        wanted = truth.pairs[first:last]
        return next((pair for pair in wanted if pair not in delivered), None)
    return next(pair for pair in truth.pairs[first:last] if pair not in delivered)


BOOKMARKABLE = Judge(
    "Bookmarkable",
    "a bookmark at a revision follows every event up to it",
    of_client=_bookmarkable,
)
