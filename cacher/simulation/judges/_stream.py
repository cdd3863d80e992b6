"""What one watch stream must keep to by itself, and a client over all its streams: Ordered, Unique, Atomic, Monotonic.

None of these asks the store anything: a stream condemns itself. Initial events are exempt from the order of revisions, since
each carries the revision of its object; they come in key order instead.

Source: etcd tests/robustness/validate/watch.go (Ordered, Unique, Atomic, and their texts); k#59848 for Monotonic.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._history import Listed
from ._case import Case, Reading, Stream
from ._judge import Judge
from ._verdict import Tally

# ---- Ordered -------------------------------------------------------------------------------------------------------


def _ordered(reading: Reading, tally: Tally) -> None:
    for stream in reading.streams:
        tally.checked(len(stream.revisions) + len(stream.bookmarks))
        if stream.is_judged_whole or stream.opened.bookmarks:
            tally.checked(len(stream.initial))
            _initial_in_key_order(reading, stream, tally)
        if stream.revisions != sorted(stream.revisions) or not _bookmarks_in_order(stream):
            _tell_falls(reading, stream, tally)


def _initial_in_key_order(reading: Reading, stream: Stream, tally: Tally) -> None:
    keys = [event.object.key for event in stream.initial]
    if keys == sorted(keys):
        return
    for before, after in zip(stream.initial, stream.initial[1:], strict=False):
        if after.object.key < before.object.key:
            facts = f"the initial event of {after.object.key} came after that of {before.object.key}"
            tally.broke(reading.client.name, facts, revision=after.revision, at_s=stream.opened.at_s)


def _bookmarks_in_order(stream: Stream) -> bool:
    """Whether no bookmark stands above what follows it or below what precedes it. `revisions` may be in any order."""
    highest, done = (stream.base if stream.initial_end is not None else 0), 0
    for mark in stream.bookmarks:
        between = stream.revisions[done : mark.events_before]
        if between and min(between) < highest:
            return False
        highest = max([highest, *between])
        if mark.revision < highest:
            return False
        highest, done = mark.revision, mark.events_before
    rest = stream.revisions[done:]
    return not rest or min(rest) >= highest


def _tell_falls(reading: Reading, stream: Stream, tally: Tally) -> None:
    """Each step down is one violation, so that one event out of place is told once."""
    last, told = (stream.base, "the initial events ended") if stream.initial_end is not None else (0, "")
    marks = list(reversed(stream.bookmarks))
    for index in range(len(stream.revisions) + 1):
        while marks and marks[-1].events_before == index:
            mark = marks.pop()
            if mark.revision < last:
                facts = f"a bookmark at {mark.revision} came after {told} at {last}"
                tally.broke(reading.client.name, facts, revision=mark.revision, at_s=mark.at_s)
            last, told = mark.revision, "a bookmark"
        if index == len(stream.revisions):
            break
        revision, key = stream.revisions[index], stream.keys[index]
        if revision < last:
            facts = f"{key} at {revision} came after {told} at {last}"
            tally.broke(reading.client.name, facts, revision=revision, at_s=stream.at_s(index))
        last, told = revision, key


ORDERED = Judge(
    "Ordered",
    "within one watch the revisions of events and bookmarks never fall, and initial events come in key order",
    of_client=_ordered,
)

# ---- Unique --------------------------------------------------------------------------------------------------------


def _unique(reading: Reading, tally: Tally) -> None:
    for stream in reading.streams:
        tally.checked(len(stream.initial) + len(stream.revisions))
        if not stream.initial and len(set(stream.revisions)) == len(stream.revisions):
            continue
        pairs = [(event.revision, event.object.key) for event in stream.initial]
        first_live = len(pairs)
        pairs.extend(zip(stream.revisions, stream.keys, strict=True))
        if len(set(pairs)) != len(pairs):
            _tell_repeats(reading, stream, pairs, first_live, tally)


def _tell_repeats(
    reading: Reading, stream: Stream, pairs: Sequence[tuple[int, str]], first_live: int, tally: Tally
) -> None:
    seen: set[tuple[int, str]] = set()
    for index, pair in enumerate(pairs):
        if pair in seen:
            at_s = stream.opened.at_s if index < first_live else stream.at_s(index - first_live)
            facts = f"{pair[1]} at {pair[0]} was delivered again"
            tally.broke(reading.client.name, facts, revision=pair[0], at_s=at_s)
        seen.add(pair)


UNIQUE = Judge("Unique", "within one watch no change of an object is delivered twice", of_client=_unique)

# ---- Atomic --------------------------------------------------------------------------------------------------------


def _atomic(reading: Reading, tally: Tally) -> None:
    for stream in reading.streams:
        distinct = len(set(stream.revisions))
        tally.checked(distinct)
        if distinct != len(stream.revisions):
            _tell_splits(reading, stream, tally)


def _tell_splits(reading: Reading, stream: Stream, tally: Tally) -> None:
    """An event delivered again is Unique's business, so only the first delivery of each counts here."""
    batch_of: dict[int, int] = {}
    seen: set[tuple[int, str]] = set()
    told: set[int] = set()
    for batch, (start, end) in enumerate(zip(stream.starts, stream.starts[1:], strict=False)):
        for index in range(start, end):
            revision, key = stream.revisions[index], stream.keys[index]
            if (revision, key) in seen:
                continue
            seen.add((revision, key))
            if batch_of.setdefault(revision, batch) != batch and revision not in told:
                told.add(revision)
                facts = f"the events of {revision} came in several batches, {key} in a later one than others"
                tally.broke(reading.client.name, facts, revision=revision, at_s=stream.received_s[batch])


ATOMIC = Judge(
    "Atomic",
    "all events of one revision that a watch lets through arrive in one batch",
    of_client=_atomic,
)

# ---- Monotonic -----------------------------------------------------------------------------------------------------


def _monotonic(reading: Reading, tally: Tally) -> None:
    """`seen` is the newest revision that the client was shown. Each step back is told once: then `seen` is what it saw there."""
    seen = 0
    for part in reading.parts:
        if isinstance(part, Listed):
            _list_not_older(reading, part, seen, tally)
            seen = part.revision
        else:
            went_back = _stream_goes_back(reading, part, seen, tally)
            seen = part.shown if went_back else max(seen, part.shown)


def _list_not_older(reading: Reading, listed: Listed, seen: int, tally: Tally) -> None:
    tally.checked(1)
    if listed.revision < seen:
        facts = f"a list showed revision {listed.revision} to a client that had seen {seen}"
    elif listed.revision < listed.minimum_revision:
        facts = f"a list of the latest state showed {listed.revision} when the store was at {listed.minimum_revision}"
    else:
        return
    tally.broke(reading.client.name, facts, revision=listed.revision, at_s=listed.at_s)


def _stream_goes_back(reading: Reading, stream: Stream, seen: int, tally: Tally) -> bool:
    """Tells the first step back of a stream: what follows it there is its consequence."""
    end, client = stream.initial_end, reading.client.name
    if end is not None:
        tally.checked(1)
        known = max(seen, stream.opened.revision)
        if end.revision < known:
            facts = f"a watch opened with the state at {end.revision} for a client that had seen or asked for {known}"
            tally.broke(client, facts, revision=end.revision, at_s=stream.opened.at_s)
            return True
    tally.checked(len(stream.revisions) + len(stream.bookmarks))
    if stream.revisions and min(stream.revisions) < seen:
        index = next(index for index, revision in enumerate(stream.revisions) if revision < seen)
        revision = stream.revisions[index]
        facts = f"a watch showed {stream.keys[index]} at {revision} to a client that had seen {seen}"
        tally.broke(client, facts, revision=revision, at_s=stream.at_s(index))
        return True
    for mark in stream.bookmarks:
        if mark.revision < seen:
            facts = f"a bookmark at {mark.revision} came to a client that had seen {seen}"
            tally.broke(client, facts, revision=mark.revision, at_s=mark.at_s)
            return True
    return False


def _no_return(case: Case, tally: Tally) -> None:
    """Where a store was restored from a backup, revisions alone do not say what is older."""
    for one in case.returns:
        facts = f"{one.revision} was shown of the store as it had been before it was restored, to a client that had seen it since"
        tally.broke(one.client, facts, revision=one.revision, at_s=one.at_s)


MONOTONIC = Judge(
    "Monotonic",
    "no list, watch or bookmark shows a client an older state than it has seen or asked for, across all reconnects",
    of_client=_monotonic,
    of_caches=_no_return,
)
