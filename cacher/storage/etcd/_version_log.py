"""The log of versions that a data directory holds: a row for each version of each key, in the order of the writes. Pure.

It sits between the store (`_mvcc`, `_lease`) and the file that keeps the rows (`_sqlite_file`), and says four things: what a
write leaves there, what a compaction makes superfluous, how rows become a store again, and whether they can be believed.

    seq = revision << 24 | place in the revision       the log only ever grows at its end, so a write touches few pages

    seq        key  value  create  version  lease
    2·2²⁴      a    1      2       1        0
    3·2²⁴      a    2      2       2        0
    4·2²⁴      a           0       0        0          a tombstone
    5·2²⁴      b    x      5       1        7          two keys written by one transaction
    5·2²⁴ + 1  c    y      5       1        7

    compact(4) makes the rows of 2 and 3 superfluous. The tombstone stays: a watch may start at 4.

Superfluous rows are taken away some time after the compaction, oldest first, so it does no harm when some of them are found
again at opening. (A tombstone that went before the version which it ended would bring the key back to life.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

import msgspec

from ._mvcc import State
from ._protocol import EtcdEvent, EventKind, KeyValue

PLACE_BITS = 24
"""16 million events fit one revision, and half a trillion revisions a log."""

REVISION_MAX = 2 ** (63 - PLACE_BITS) - 1
"""Beyond it a row's number would not fit SQLite's 64 bits."""

Row = tuple[int, bytes, bytes, int, int, int, int]
"""seq, key, value, create_revision, version, lease, checksum."""

_HEAD = struct.Struct("<qqqqq")
_PAIR = struct.Struct("<qq")

Superfluous = tuple[int, int, bytes]
"""From this seq to that one, the rows of this key."""


class Record(msgspec.Struct, frozen=True):
    """What one step of the store changed. It becomes durable as a whole, and is shown to nobody before that."""

    revision: int = 0
    """0: no key was touched."""
    events: tuple[EtcdEvent, ...] = ()
    granted: tuple[int, int] | None = None
    """A new lease: its id, and its time to live in seconds."""
    revoked: int | None = None
    """A lease that is gone; `events` are the keys that it took along."""
    compacted: int = 0
    """The new compact revision; 0: none."""


class DamagedError(Exception):
    """The rows are not what was written: this log cannot be believed."""


# --- what a write leaves ----------------------------------------------------------------------------------------------


def rows_of(record: Record) -> list[Row]:
    """The rows of a record's events."""
    assert len(record.events) <= 1 << PLACE_BITS
    first = record.revision << PLACE_BITS
    return [_row(seq, event.kv) for seq, event in enumerate(record.events, first)]


def rows_of_snapshot(kvs: Iterable[KeyValue]) -> list[Row]:
    """The rows of keys without a past, in the order in which they were written."""
    rows: list[Row] = []
    place, before = 0, 0
    for kv in sorted(kvs, key=lambda kv: (kv.mod_revision, kv.key)):
        place = place + 1 if kv.mod_revision == before else 0
        before = kv.mod_revision
        rows.append(_row(before << PLACE_BITS | place, kv))
    return rows


def _row(seq: int, kv: KeyValue) -> Row:
    create, version, lease = kv.create_revision, kv.version, kv.lease
    return seq, kv.key, kv.value, create, version, lease, _row_checksum(seq, create, version, lease, kv.key, kv.value)


def _row_checksum(seq: int, create: int, version: int, lease: int, key: bytes, value: bytes) -> int:
    try:
        return crc32(value, crc32(key, crc32(_HEAD.pack(seq, create, version, lease, len(key)))))
    except (struct.error, TypeError) as error:  # damage can make a text of a number
        raise DamagedError("a row does not hold what rows hold") from error


def checksum(first: int, second: int) -> int:
    """Of a row of two numbers; what a disk gives back changed does not fit it.

    Raises:
        DamagedError: they are no numbers at all.
    """
    try:
        return crc32(_PAIR.pack(first, second))
    except struct.error as error:
        raise DamagedError("a row does not hold what rows hold") from error


# --- what a compaction makes superfluous ------------------------------------------------------------------------------


def superfluous(groups: Iterable[Sequence[EtcdEvent]], revision: int) -> Iterator[Superfluous]:
    """What compacting at `revision` makes so; `groups`: the history up to and with it, as it is before the compaction.

    To be taken away in this order, any number at a time: each key's versions go oldest first.

    Cost: O(1) an event.
    """
    for group in groups:
        mod = group[0].kv.mod_revision
        last = {event.kv.key: place for place, event in enumerate(group)}
        for place, event in enumerate(group):
            key, previous = event.kv.key, event.prev_kv
            if previous is not None:
                first = previous.mod_revision << PLACE_BITS
                yield first, first + (1 << PLACE_BITS) - 1, key
            # What happened at the compact revision itself can still be watched.
            if mod < revision and (not event.kv.version or last[key] != place):
                yield (mod << PLACE_BITS) + place, (mod << PLACE_BITS) + place, key


# --- from rows to a store ---------------------------------------------------------------------------------------------


class Recall:
    """Puts a store together from its rows, which come in order, as many at a time as the caller likes.

    Cost: 2 µs a row of 1 KB.
    """

    def __init__(self, compact_revision: int, history_floor: int) -> None:
        self.superfluous: list[Superfluous] = []
        """Rows that a compaction had left for later, and nobody has taken away yet."""
        self._compacted = compact_revision
        self._floor = history_floor
        self._revision = max(1, compact_revision)
        self._current: dict[bytes, KeyValue] = {}
        self._past: dict[bytes, list[KeyValue]] = {}
        self._history: list[tuple[EtcdEvent, ...]] = []
        self._group: list[EtcdEvent] = []  # the events of the revision that is being read
        self._seqs: dict[bytes, int] = {}  # of the current versions from before or at the compact revision

    def add(self, rows: Iterable[Row]) -> None:
        """Take the next rows.

        Raises:
            DamagedError: they are not what was written.
        """
        for seq, key, value, create, version, lease, sum_ in rows:
            if _row_checksum(seq, create, version, lease, key, value) != sum_:
                raise DamagedError(f"the row {seq} of revision {seq >> PLACE_BITS} does not fit its checksum")
            previous = self._current.get(key)
            # All versions of a key share one key object.
            kv = KeyValue(previous.key if previous else key, value, create, seq >> PLACE_BITS, version, lease)
            if kv.mod_revision <= self._compacted:
                self._take_compacted(seq, kv, previous)
            else:
                self._take(seq, kv, previous)

    def finish(self) -> State:
        """What the rows come to."""
        self._close_group()
        return State(self._revision, self._compacted, self._floor, self._current, self._past, self._history)

    def _take_compacted(self, seq: int, kv: KeyValue, previous: KeyValue | None) -> None:
        """A version of which only the last one counts; with the compact revision itself in history, if it is."""
        key, mod = kv.key, kv.mod_revision
        in_history = mod >= self._floor
        if previous is not None:
            old = self._seqs.pop(key)
            if old >> PLACE_BITS < self._floor:
                self.superfluous.append((old, old, key))
            del self._current[key]
        if kv.version:
            self._current[key] = kv
            self._seqs[key] = seq
        elif not in_history:
            self.superfluous.append((seq, seq, key))
        if in_history:
            self._note(seq, kv, None)

    def _take(self, seq: int, kv: KeyValue, previous: KeyValue | None) -> None:
        """A version that can be read, with all before it back to the compact revision."""
        key, mod = kv.key, kv.mod_revision
        if kv.version:
            expected = (previous.create_revision, previous.version + 1) if previous else (mod, 1)
            if (kv.create_revision, kv.version) != expected:
                raise DamagedError(f"revision {mod} has version {kv.version} of {key!r}, where {expected[1]} is next")
            if previous is not None:
                self._past.setdefault(key, []).append(previous)
            self._current[key] = kv
        else:
            if previous is None:
                raise DamagedError(f"revision {mod} deletes {key!r}, which is not there")
            self._past.setdefault(key, []).extend((previous, kv))
            del self._current[key]
        if previous is not None and previous.mod_revision == mod:
            previous = self._before(key, mod)
        self._note(seq, kv, previous)

    def _before(self, key: bytes, revision: int) -> KeyValue | None:
        """The version that was there before `revision`, where the last one was written by `revision` itself."""
        kv = next((kv for kv in reversed(self._past.get(key, ())) if kv.mod_revision < revision), None)
        return kv if kv and kv.version else None

    def _note(self, seq: int, kv: KeyValue, previous: KeyValue | None) -> None:
        """Append to the history, in which no revision and no event of one may be missing."""
        mod = kv.mod_revision
        if not self._group or self._group[0].kv.mod_revision != mod:
            self._close_group()
            expected = max(self._floor, 2) + len(self._history)
            if mod != expected:
                raise DamagedError(f"revision {expected} is missing; the next one there is {mod}")
        if seq & ((1 << PLACE_BITS) - 1) != len(self._group):
            raise DamagedError(f"revision {mod} lacks its event {len(self._group)}")
        self._group.append(EtcdEvent(EventKind.PUT if kv.version else EventKind.DELETE, kv, previous))
        self._revision = max(self._revision, mod)

    def _close_group(self) -> None:
        if self._group:
            self._history.append(tuple(self._group))
            self._group = []
